"""The faults: each is done to the parts, lasts for a while, and is over when its function returns."""

import random
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import redis

from tests.chaos.fleet import SESSION_S, Fleet
from tests.chaos.parts import Parts
from tests.chaos.workers import WorkerProcess

Scene = TypeVar("Scene", contravariant=True)


class Fault(Protocol[Scene]):
    """What is done to a scene."""

    def __call__(self, scene: Scene, chance: random.Random, /) -> None: ...


class Server(Protocol):
    """What comes back on its data."""

    def kill(self) -> None:
        """End it by SIGKILL."""

    def start(self) -> None:
        """Start it again."""


def kill_for_a_while(server: Server, chance: random.Random, most_s: float) -> None:
    """SIGKILL; it comes back after so many seconds at most."""
    server.kill()
    time.sleep(chance.uniform(0, most_s))
    server.start()


MIN_WORKERS, MAX_WORKERS = 3, 5


def _some_worker(parts: Fleet, chance: random.Random) -> WorkerProcess | None:
    running = [worker for worker in parts.workers if worker.running and not worker.expected_to_end]
    return chance.choice(running) if running else None


def kill_worker(parts: Fleet, chance: random.Random) -> None:
    """SIGKILL; another one takes its place."""
    worker = _some_worker(parts, chance)
    if worker is not None:
        worker.send(signal.SIGKILL)
        parts.remove(worker)
        parts.add_worker()


def freeze_worker(parts: Parts, chance: random.Random) -> None:
    """SIGSTOP until its session is over and others have its partitions, then SIGCONT: a zombie wakes up."""
    worker = _some_worker(parts, chance)
    if worker is not None:
        worker.send(signal.SIGSTOP)
        time.sleep(SESSION_S + chance.uniform(0.5, 4))
        worker.send(signal.SIGCONT)


def replace_worker(parts: Parts, chance: random.Random) -> None:
    """SIGTERM, as in a rolling restart."""
    worker = _some_worker(parts, chance)
    if worker is not None:
        parts.add_worker()
        worker.send(signal.SIGTERM)
        parts.remove(worker)


def scale(parts: Parts, chance: random.Random) -> None:
    """Add workers or take them away, within bounds."""
    if len(parts.workers) <= MIN_WORKERS:
        for _ in range(chance.randint(1, MAX_WORKERS - MIN_WORKERS)):
            parts.add_worker()
        return
    for _ in range(len(parts.workers) - MIN_WORKERS):
        worker = _some_worker(parts, chance)
        if worker is not None:
            worker.send(signal.SIGTERM)
            parts.remove(worker)


def kill_broker(parts: Parts, chance: random.Random) -> None:
    """SIGKILL; it comes back on its data."""
    kill_for_a_while(parts.kafka, chance, 2)


def kill_redis_synced_always(parts: Parts, chance: random.Random) -> None:
    """SIGKILL of a Redis that syncs each write; it comes back on its append-only file."""
    _kill_redis(parts, chance, "always")


def kill_redis_synced_each_second(parts: Parts, chance: random.Random) -> None:
    """SIGKILL of a Redis that syncs each second; it comes back on its append-only file."""
    _kill_redis(parts, chance, "everysec")


def _kill_redis(parts: Parts, chance: random.Random, sync: str) -> None:
    master = parts.redis
    with redis.Redis.from_url(master.url, retry=None) as client:
        client.config_set("appendfsync", sync)
    time.sleep(chance.uniform(0, 1.5))
    kill_for_a_while(master, chance, 2)


def fail_redis_over(parts: Parts, chance: random.Random) -> None:
    """The replica becomes master without the writes of the last moments; the old master becomes its replica."""
    parts.fail_over(chance.uniform(0.2, 2.5))


def cut_kafka(parts: Parts, chance: random.Random) -> None:
    """No connection to Kafka: refused, or silent like a lost cable."""
    chance.choice([parts.to_kafka.cut, parts.to_kafka.silence])()
    time.sleep(chance.uniform(1, 6))
    parts.to_kafka.heal()


def slow_kafka(parts: Parts, chance: random.Random) -> None:
    """Everything to and from Kafka takes long."""
    parts.to_kafka.slow_down(chance.uniform(0.05, 0.4))
    time.sleep(chance.uniform(2, 5))
    parts.to_kafka.heal()


def cut_redis(parts: Parts, chance: random.Random) -> None:
    """No connection to Redis: refused, or silent like a lost cable."""
    chance.choice([parts.to_redis.cut, parts.to_redis.silence])()
    time.sleep(chance.uniform(1, 6))
    parts.to_redis.heal()


def slow_redis(parts: Parts, chance: random.Random) -> None:
    """Everything to and from Redis takes long."""
    parts.to_redis.slow_down(chance.uniform(0.05, 0.4))
    time.sleep(chance.uniform(2, 5))
    parts.to_redis.heal()


KILL = "worker: kill -9"
FAULTS: Mapping[str, Fault[Parts]] = {
    KILL: kill_worker,
    "worker: SIGSTOP past the session, SIGCONT": freeze_worker,
    "worker: SIGTERM, replaced": replace_worker,
    "workers: scaled up or down": scale,
    "broker: kill -9, restart": kill_broker,
    "Redis (AOF always): kill -9, restart": kill_redis_synced_always,
    "Redis (AOF everysec): kill -9, restart": kill_redis_synced_each_second,
    "Redis: failover, last writes lost": fail_redis_over,
    "Kafka: connection cut or silent": cut_kafka,
    "Kafka: connection slow": slow_kafka,
    "Redis: connection cut or silent": cut_redis,
    "Redis: connection slow": slow_redis,
}


def rounds(
    faults: Collection[str], kills: int, others: int, chance: random.Random, kill: str = KILL
) -> list[list[str]]:
    """Return which faults come, and which of them together: so many kills, and so many of each other one."""
    deck = [kill] * kills + [name for name in faults if name != kill for _ in range(others)]
    chance.shuffle(deck)
    found: list[list[str]] = []
    for name in deck:
        alone = not found or chance.random() > 0.35 or len(found[-1]) == 3
        if alone or not _may_join(name, found[-1]):
            found.append([name])
        else:
            found[-1].append(name)
    return found


def _may_join(name: str, others: list[str]) -> bool:
    """Tell whether a fault makes sense at the same time: two of one server are one, but workers may die together."""
    if name == KILL:
        return all(other == KILL or not other.startswith("worker") for other in others)
    return name.split()[0].rstrip(":s") not in {other.split()[0].rstrip(":s") for other in others}


def together(faults: Sequence[Fault[Any]], scene: object, chance: random.Random) -> None:
    """Do some faults at the same time, each at a moment of its own; return when all are over."""
    with ThreadPoolExecutor(len(faults)) as pool:
        for each in [pool.submit(_at_some_moment, fault, scene, random.Random(chance.random())) for fault in faults]:
            each.result()


def _at_some_moment(fault: Fault[Any], scene: object, chance: random.Random) -> None:
    time.sleep(chance.uniform(0, 1.0))
    fault(scene, chance)
