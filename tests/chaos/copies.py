"""The second scene: what fails has copies. Three brokers, and a Redis that sentinels fail over."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from driftline.demo.nannyml import Files
from driftline.sandbox import KafkaBrokers, RedisSentinels
from tests.chaos.faults import KILL, Fault, kill_for_a_while, kill_worker
from tests.chaos.fleet import BROKER, Fleet, profile_of, settings_of


@dataclass(kw_only=True)
class Copies(Fleet):
    """Everything that runs, and what may be done to it."""

    kafka: KafkaBrokers
    redis: RedisSentinels


def fail_over_as_planned(scene: Copies, chance: random.Random) -> None:
    """A sentinel is told to; what the old master takes until all clients have left it is lost."""
    scene.redis.wait_until_whole()
    time.sleep(chance.uniform(0, 1))
    scene.redis.fail_over()


def kill_master(scene: Copies, chance: random.Random) -> None:
    """SIGKILL; the sentinels have a replica take its place. It comes back as a master, and is made a replica."""
    scene.redis.wait_until_whole()
    time.sleep(chance.uniform(0, 1))
    old = scene.redis.master()
    old.kill()
    scene.redis.wait_for_another(old)
    time.sleep(chance.uniform(0, 2))
    scene.redis.bring_back(old)


def kill_one_broker(scene: Copies, chance: random.Random) -> None:
    """SIGKILL of one of three; it comes back on its data."""
    kill_for_a_while(chance.choice(scene.kafka.servers), chance, 8)


FAULTS: Mapping[str, Fault[Copies]] = {
    KILL: kill_worker,
    "Redis: planned failover by the sentinels": fail_over_as_planned,
    "Redis: master kill -9, failover by the sentinels": kill_master,
    "broker: one of three kill -9, restart": kill_one_broker,
}


@contextmanager
def running_copies(folder: Path, loans: Files, *, workers: int) -> Iterator[Copies]:
    """Start all of it; the workers are at work when this returns."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisSentinels(replicas=2))
        kafka = stack.enter_context(KafkaBrokers(properties=BROKER))
        raw = settings_of(kafka.bootstrap, redis.url, profile_of(folder, loans))
        scene = Copies(kafka=kafka, redis=redis, raw=raw, folder=folder)
        scene.begin(stack, workers)
        yield scene
