"""The third scene: two routers, the chat and the pager that they deliver to, Kafka and Redis, each killed at random.

Incidents open, go on and end meanwhile. In the end each change has reached the chat, the pager knows how each incident
stands that concerns it, nothing came twice under another key, and nothing after a resolution.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.sandbox import KafkaServer, RedisServer
from driftline.sandbox.process import free_port
from tests.chaos.faults import Fault, kill_for_a_while, rounds, together
from tests.chaos.fleet import BROKER, last_line
from tests.chaos.seen import Seen, table
from tests.chaos.told import CHANGES, SINKS, Told
from tests.chaos.workers import wait_until
from tests.router.changes import change

GROUP, TOPIC = "chaos", "alerts"
ROUTERS = 2
SILENCE_S = 14.0
"""Longer than a router is believed to be alive that gives no sign."""
PAUSE_S = 0.3
"""Between two changes of incidents."""
MAX_OPEN = 30
UNSEATED = "another router has taken over"
GIVE_UP_S = 120.0
KINDS = (Kind.VOLUME, Kind.DATA_DRIFT, Kind.SILENCE, Kind.PREDICTION_DRIFT)


@dataclass
class Served:
    """A process that may be killed, and is started again with the same command."""

    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output, cwd=Path.cwd())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Routers:
    """Everything that runs, and what may be done to it."""

    kafka: KafkaServer
    redis: RedisServer
    told: Told
    routers: list[Served] = field(default_factory=list)
    receivers: dict[str, Served] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    """Routers that ended though nobody asked them to, and no other one had taken over."""
    unseated: int = 0

    def look_after(self) -> None:
        """Start routers again that ended by themselves."""
        for router in self.routers:
            if router.process.poll() not in (None, -signal.SIGKILL):
                said = last_line(router.log)
                self.unseated += UNSEATED in said
                self.deaths += [] if UNSEATED in said else [f"a router ended by itself: {said}"]
                router.start()

    def end(self) -> None:
        for each in (*self.routers, *self.receivers.values()):
            each.kill()


class Incidents:
    """Incidents that open, go on and end, in a thread, until told to stop."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self.published: list[Alert] = []
        """In their order; each is in Kafka, or will be."""
        self._chance = random.Random(seed)
        self._producer = KafkaLog({"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 500}).producer()
        self._open: list[Alert] = []
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="incidents", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        self._producer.flush(60)
        self._producer.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._chance.uniform(0, 2 * PAUSE_S)):
            alert = self._next(int(time.time() * 1000))
            self._producer.produce(Outgoing(TOPIC, alert.key, alert.encode()))
            self.published.append(alert)

    def _next(self, now: int) -> Alert:
        number, how = len(self.published), self._chance.random()
        if not self._open or (how < 0.4 and len(self._open) < MAX_OPEN):
            kind = self._chance.choice(KINDS)
            alert = change(f"m{number % 5}", kind, at=now, segment=f"n={number}", group=GROUP)
        else:
            held = self._open.pop(self._chance.randrange(len(self._open)))
            alert = change(
                held.data.model,
                held.data.kind,
                at=now,
                opened=held.opened,
                firing=how < 0.7,
                segment=held.data.segment or "",
                group=GROUP,
            )
        if alert.firing:
            self._open.append(alert)
        return alert


# faults


def kill_router(scene: Routers, chance: random.Random) -> None:
    """SIGKILL of the one at work or of the one that stands by; it is started again."""
    router = chance.choice(scene.routers)
    router.kill()
    router.start()


def kill_both_routers(scene: Routers, chance: random.Random) -> None:
    """SIGKILL; nobody delivers for a while."""
    for router in scene.routers:
        router.kill()
    time.sleep(chance.uniform(0, 3))
    for router in scene.routers:
        router.start()


def freeze_router(scene: Routers, chance: random.Random) -> None:
    """SIGSTOP until the other one has taken over, then SIGCONT: a zombie wakes up, perhaps in the middle of a post."""
    router = chance.choice(scene.routers)
    router.process.send_signal(signal.SIGSTOP)
    time.sleep(SILENCE_S)
    router.process.send_signal(signal.SIGCONT)


def kill_receiver(scene: Routers, chance: random.Random) -> None:
    """SIGKILL; it comes back after a while."""
    kill_for_a_while(chance.choice([*scene.receivers.values()]), chance, 6)


def hang_receiver(scene: Routers, chance: random.Random) -> None:
    """SIGSTOP, SIGCONT: it takes connections and says nothing."""
    receiver = chance.choice([*scene.receivers.values()])
    receiver.process.send_signal(signal.SIGSTOP)
    time.sleep(chance.uniform(1, 6))
    receiver.process.send_signal(signal.SIGCONT)


def kill_kafka(scene: Routers, chance: random.Random) -> None:
    """SIGKILL; it comes back on its data."""
    kill_for_a_while(scene.kafka, chance, 3)


def kill_redis(scene: Routers, chance: random.Random) -> None:
    """SIGKILL of a Redis that syncs each write; it comes back on its append-only file."""
    kill_for_a_while(scene.redis, chance, 3)


KILL = "router: kill -9"
FAULTS: Mapping[str, Fault[Routers]] = {
    KILL: kill_router,
    "routers: kill -9 of both": kill_both_routers,
    "router: SIGSTOP past the take-over, SIGCONT": freeze_router,
    "receiver: kill -9, restart": kill_receiver,
    "receiver: SIGSTOP, SIGCONT": hang_receiver,
    "broker: kill -9, restart": kill_kafka,
    "Redis (AOF always): kill -9, restart": kill_redis,
}


@contextmanager
def running_routers(folder: Path) -> Iterator[Routers]:
    """Start all of it; one router delivers when this returns: what is over before is no news."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(options={"appendfsync": "always"}))
        kafka = stack.enter_context(KafkaServer(properties=BROKER, heap="384m"))
        KafkaLog({"bootstrap.servers": kafka.bootstrap}).create_topics(
            {TOPIC: 3}, {TOPIC: {"cleanup.policy": "compact"}}
        )
        scene = Routers(kafka, redis, Told(folder))
        ports = {sink: free_port() for sink in SINKS}
        config = folder / "driftline.yaml"
        config.write_text(json.dumps(settings(kafka.bootstrap, redis.url, ports)))  # JSON is YAML
        stack.callback(scene.end)
        for sink, port in ports.items():
            command = [sys.executable, "-m", "tests.chaos.receiver", str(port), str(scene.told.file(sink))]
            scene.receivers[sink] = Served(command, folder / f"{sink}.log")
        for number in range(ROUTERS):
            command = [sys.executable, "-m", "driftline", "router", "run", "--config", str(config)]
            scene.routers.append(Served(command, folder / f"router-{number}.log"))
        assert wait_until(lambda: any(" delivering" in router.log.read_text() for router in scene.routers), GIVE_UP_S)
        yield scene


def settings(bootstrap: str, redis_url: str, ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the settings of the routers."""
    chat, pager = (f"http://127.0.0.1:{ports[sink]}" for sink in SINKS)
    common = {"rate": 6000, "timeout": "2s"}
    return {
        "kafka": {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 500},
        "redis": {"url": redis_url},
        "group": GROUP,
        "topics": {"alerts": TOPIC},
        "router": {
            "inhibit": [],
            "sinks": {
                "chat": {"type": "slack", "token": "t", "channel": "#c", "api": chat, "text": CHANGES, **common},
                "pager": {"type": "webhook", "url": f"{pager}/hook", **common},
            },
            "route": {
                "sink": "chat",
                "group_wait": "1s",
                "group_interval": "1s",
                "routes": [{"match": ['severity="critical"'], "sink": "pager", "continue": True}, {"match": []}],
            },
        },
    }


def play(runs: int, seed: int, folder: Path) -> list[str]:
    """Do all faults, then look what came of it. Returns what is wrong."""
    chance = random.Random(seed)
    seen: defaultdict[str, Seen] = defaultdict(Seen)
    wrong: list[str] = []
    with running_routers(folder) as scene:
        incidents = Incidents(scene.kafka.bootstrap, seed)
        planned = rounds(FAULTS, max(1, runs // 6), max(1, runs // 30), chance, KILL)
        for number, names in enumerate(planned, start=1):
            before = scene.told.repeated
            together([FAULTS[name] for name in names], scene, chance)
            recovery, left = until_told(scene, list(incidents.published))
            again = scene.told.repeated - before
            for name in names:
                seen[name].take(recovery, again)
            note = f"{number}: {' + '.join(names)}: {recovery:.1f} s, {again} notifications again"
            print(note, file=sys.stderr, flush=True)
            if left:
                wrong.append(f"after {names} {len(left)} changes have not arrived within {GIVE_UP_S:g} s")
                break
        incidents.stop()
        _, left = until_told(scene, incidents.published)
        wrong += left + scene.told.disorder() + scene.deaths
        print(table(seen, FAULTS, "notifications again"))
        opened = {alert.data.incident for alert in incidents.published}
        chat, pager = (len(dict(scene.told.noted(sink))) for sink in SINKS)
        print(
            f"{len(incidents.published):,} changes of {len(opened):,} incidents, told in {chat:,} notifications to the "
            f"chat and {pager:,} to the pager; {scene.told.repeated:,} came again, under the same key; "
            f"{scene.unseated} routers found that another one had taken over"
        )
    return wrong


def until_told(scene: Routers, published: Sequence[Alert]) -> tuple[float, list[str]]:
    """Wait until these changes have arrived. Return the seconds, and what has not."""
    begin = time.monotonic()
    while left := scene.told.missing(published):
        if time.monotonic() > begin + GIVE_UP_S:
            break
        time.sleep(0.2)
        scene.look_after()
    return time.monotonic() - begin, left
