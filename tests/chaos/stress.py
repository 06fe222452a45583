"""`make stress`: Redis full or slow, Kafka or its disk away, an alerts topic that refuses, each for OUTAGE seconds.

One worker each time, events without a pause, and after the outage the same comparison as `make chaos` makes.
"""

import argparse
import json
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from driftline.cli.status import collect
from driftline.config import Settings
from driftline.log.kafka import KafkaLog
from driftline.sandbox import KafkaServer, RedisServer
from tests.chaos.proxy import Proxy
from tests.chaos.servers import Servers
from tests.chaos.verdict import as_it_came, differences, undisturbed
from tests.chaos.workers import Tally, WorkerProcess, wait_until

GROUP = "stress"
A_SECOND = 500
APART_MS = 1_000
SHIFT_MS = 7_200_000
"""Every two hours of event time the model's input moves, and moves back."""
BEGIN = 1_700_000_000_000 // SHIFT_MS * SHIFT_MS
START_S, PAUSE_S, GO_ON_S, END_S = 120.0, 60.0, 60.0, 120.0
MODEL = {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "false_alarms": "1 per 30d"}


@dataclass
class Scene(Servers):
    """What is running."""

    kafka: KafkaServer
    redis: RedisServer
    to_redis: Proxy
    worker: WorkerProcess
    folder: Path

    def stored(self, topic: str) -> int:
        """Return how many records of a topic are checkpointed."""
        with self.store() as store:
            return sum(info.offsets.get(topic, 0) for info in store.tasks(GROUP))

    def warnings(self) -> list[str]:
        return [line for line in self.worker.log.read_text().splitlines() if " WARNING " in line or " ERROR " in line]

    def members(self) -> set[str]:
        """Return the ids of the members of both groups."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        groups = admin.describe_consumer_groups([f"{GROUP}.summarise", f"{GROUP}.judge"])
        return {member.member_id for group in groups.values() for member in group.result(timeout=20).members}

    def memory_mib(self) -> tuple[int, int]:
        """Return the resident memory of the worker, now and at most."""
        status = Path(f"/proc/{self.worker.process.pid}/status").read_text()
        now, most = (re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "VmHWM"))
        assert now is not None
        assert most is not None
        return int(now[1]) >> 10, int(most[1]) >> 10


# outages: each begins when entered and ends when left


@contextmanager
def redis_full(scene: Scene) -> Iterator[None]:
    """Redis refuses writes because its memory is full.

    Twice over: where it is a byte too full, it takes a small commit as soon as it lets go of a buffer, and the worker
    goes on for a second and pauses again.
    """
    with redis.Redis.from_url(scene.redis.url, retry=None) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def redis_slow(scene: Scene) -> Iterator[None]:
    """Redis takes longer than `redis.timeout` for everything."""
    scene.to_redis.slow_down(2.0)
    yield
    scene.to_redis.heal()


@contextmanager
def kafka_down(scene: Scene) -> Iterator[None]:
    """The broker is killed, and comes back after a while."""
    scene.kafka.kill()
    yield
    scene.kafka.start()


@contextmanager
def disk_full(scene: Scene) -> Iterator[None]:
    """No file of the broker may grow, which fails its writes as a full disk does: it gives up, and is started again."""
    resource.prlimit(scene.kafka.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    yield
    scene.kafka.kill()
    scene.kafka.start()


@contextmanager
def alerts_refused(scene: Scene) -> Iterator[None]:
    """The alerts topic takes no record of an alert's size."""
    _alter(scene, "max.message.bytes", "50")
    yield
    _alter(scene, "max.message.bytes", "1048588")


def _alter(scene: Scene, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    wanted = ConfigResource(ConfigResource.Type.TOPIC, scene.settings.topics.alerts, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": scene.kafka.bootstrap})
    for answer in admin.incremental_alter_configs([wanted]).values():
        answer.result(timeout=20)


@dataclass(frozen=True, slots=True)
class Outage:
    """What is done, and what must be said of it."""

    begin: Callable[[Scene], Any]
    said: str
    """In the one warning of the log, as a regular expression."""
    shown: str
    """In `status`."""
    kafka_up: bool = True


NOT_DELIVERED = "not delivered|cannot|timed out"
OUTAGES: Mapping[str, Outage] = {
    "Redis full": Outage(redis_full, "OOM: its memory is full", "is full"),
    "Redis slow": Outage(redis_slow, "did not answer in time", "did not answer in time"),
    "Kafka down": Outage(kafka_down, NOT_DELIVERED, NOT_DELIVERED, kafka_up=False),
    "broker's disk full": Outage(disk_full, NOT_DELIVERED, NOT_DELIVERED, kafka_up=False),
    "alerts topic refuses": Outage(alerts_refused, "topic alerts.*larger|topic alerts.*too large", "topic alerts"),
}


@dataclass
class Seen:
    """What came of one outage."""

    paused_after: float = 0.0
    went_on_after: float = 0.0
    warnings: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    kept_membership: bool | None = None
    memory_before: int = 0
    memory_most: int = 0
    records: int = 0
    alerts: int = 0
    wrong: tuple[str, ...] = ()


def events() -> Iterator[bytes]:
    """Yield events for ever; each is a second after the last."""
    chance, number = Random(1), 0
    while True:
        time_ms = BEGIN + number * APART_MS
        mean = 3.0 if time_ms // SHIFT_MS % 2 else 0.0
        features = {"x": round(chance.gauss(mean, 1.0), 4), "c": chance.choice("abc")}
        event = {"event_id": f"e{number}", "event_time": time_ms, "model": "m", "features": features}
        yield json.dumps(event).encode()
        number += 1


def stress(name: str, outage_s: float, folder: Path) -> Seen:
    """Run one outage."""
    outage, seen = OUTAGES[name], Seen()
    with running_scene(folder) as (scene, publishing):
        topics = scene.settings.topics
        working = wait_until(lambda: scene.stored(topics.main) > 2_000, START_S)
        assert working, f"the worker did not begin: {scene.worker.log.read_text()}"
        members = scene.members()
        with outage.begin(scene):
            begin = time.monotonic()
            wait_until(lambda: bool(scene.warnings()), PAUSE_S)
            seen.paused_after = time.monotonic() - begin
            seen.memory_before = scene.memory_mib()[0]
            wait_until(lambda: not scene.worker.running, outage_s)
            with scene.store() as store:
                found = collect(scene.log, store, scene.settings, now_ms=time.time_ns() // 1_000_000)
            seen.shown = tuple(wait.why for wait in found.waits)
            if outage.kafka_up:
                seen.kept_membership = scene.members() == members
            seen.warnings = tuple(scene.warnings())
            seen.memory_most = scene.memory_mib()[1]
        begin = time.monotonic()
        end = publishing.count  # Kafka may have all of the outage's events still to come
        went_on = wait_until(lambda: scene.stored(topics.main) >= end, GO_ON_S)
        seen.went_on_after = time.monotonic() - begin
        publishing.stop()
        seen.memory_most = max(seen.memory_most, scene.memory_mib()[1])
        seen.wrong = tuple(_verdict(scene, seen, outage, went_on=went_on))
    return seen


def _verdict(scene: Scene, seen: Seen, outage: Outage, *, went_on: bool) -> Iterator[str]:
    if not went_on:
        yield f"it did not go on within {GO_ON_S:g} s"
    if len(seen.warnings) != 1 or not re.search(outage.said, seen.warnings[0]):
        yield f"the log should have one warning about {outage.said!r}: {seen.warnings}"
    if not any(re.search(outage.shown, why) for why in seen.shown):
        yield f"status should say {outage.shown!r}: {seen.shown}"
    if seen.kept_membership is False:
        yield "it lost its membership"
    scene.worker.send(signal.SIGTERM)
    if status := scene.worker.until_it_ends(END_S):
        yield f"it ended with status {status}: {scene.worker.log.read_text()}"
    last = WorkerProcess(2, json.dumps(scene.raw), scene.folder, Tally(), bounded=True)
    if status := last.until_it_ends(END_S):
        yield f"the last run ended with status {status}: {last.log.read_text()}"
    log, settings = scene.log, scene.settings
    ends = {number: end for number, (_, end) in log.bounds(settings.topics.main).items()}
    with scene.store() as store:
        came = as_it_came(log, store, settings)
    seen.records, seen.alerts = sum(ends.values()), len(came.alerts)
    if not came.alerts:
        yield "nothing was at stake: no alert came"
    yield from differences(undisturbed(log, settings), came, ends)


class Publishing:
    """Publishes from a thread; what Kafka does not take waits in the client."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "message.timeout.ms": 0, "enable.idempotence": True, "log_level": 0}
        )
        self.count = 0
        self._stopping = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        source, begin = events(), time.monotonic()
        while not self._stopping.wait(0.02):
            while self.count < (time.monotonic() - begin) * A_SECOND:
                self._producer.produce("predictions", next(source))
                self.count += 1
            self._producer.poll(0)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)
        assert self._producer.flush(60) == 0


@contextmanager
def running_scene(folder: Path) -> Iterator[tuple[Scene, Publishing]]:
    """Start a Kafka, a Redis behind a proxy, a worker, and events."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        kafka = stack.enter_context(KafkaServer(heap="384m"))
        proxy = stack.enter_context(Proxy(urlsplit(server.url).port or 0))
        raw: dict[str, Any] = {
            "kafka": {"bootstrap.servers": kafka.bootstrap, "reconnect.backoff.max.ms": 1_000},
            "redis": {"url": f"redis://127.0.0.1:{proxy.port}/0", "timeout": "1s"},
            "group": GROUP,
            "max_out_of_orderness": "5s",
            "models": {"*": MODEL},
        }
        topics = Settings.model_validate(raw).topics
        counts = {topics.main: 2, topics.panes: 1, topics.alerts: 1, topics.dead_letters: 1}
        stamped = {topic: {"message.timestamp.type": "LogAppendTime"} for topic in counts}
        KafkaLog({"bootstrap.servers": kafka.bootstrap}).create_topics(counts, stamped)
        worker = WorkerProcess(1, json.dumps(raw), folder, Tally())
        stack.callback(_end, worker)
        publishing = Publishing(kafka.bootstrap)
        yield Scene(kafka, server, raw, proxy, worker, folder), publishing


def _end(worker: WorkerProcess) -> None:
    worker.send(signal.SIGKILL)
    worker.until_it_ends(10)


def main() -> int:
    """Print the table; 0 if all is as it must be."""
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--only", choices=OUTAGES, action="append", help="this one; all if left out")
    parser.add_argument("--outage", type=float, default=120, help="seconds of each")
    asked = parser.parse_args()
    rows, wrong = [], []
    for name in asked.only or OUTAGES:
        folder = Path(tempfile.mkdtemp(prefix="driftline-stress-"))
        try:
            seen = stress(name, asked.outage, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        kept = {True: "kept", False: "LOST", None: "no Kafka"}[seen.kept_membership]
        rows.append(
            f"| {name} | {seen.paused_after:.1f} s | {len(seen.warnings)} | {kept} | {seen.went_on_after:.1f} s "
            f"| {seen.memory_before} MiB | {seen.memory_most} MiB | {seen.records:,} | {seen.alerts} "
            f"| {len(seen.wrong)} |"
        )
        print(rows[-1], *seen.warnings, *seen.shown, sep="\n  ", file=sys.stderr, flush=True)
        wrong += [f"{name}: {each}" for each in seen.wrong]
    print(
        f"outages of {asked.outage:g} s\n"
        "| outage | pauses after | warnings | membership | has caught up after | memory before | at most "
        "| records | alerts | differences |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    print(*rows, *(f"FAULT: {each}" for each in wrong), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
