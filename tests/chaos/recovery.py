"""`make recovery`: how soon others go on after one of three workers dies, or is asked to stop, at default settings.

The state is that of panes that never close: a hundred numbers an event, ten events a pane. What is timed begins with
the signal and ends when every partition that the worker had is stored further than it was then, by somebody else.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread

import redis
from confluent_kafka import Producer

from driftline.config import Settings
from driftline.log.kafka import KafkaLog
from driftline.log.kafka_settings import CONSUMER_PREFERRED
from driftline.pipeline.stage_names import SUMMARISE
from driftline.sandbox import KafkaServer, RedisServer
from driftline.state.api import TaskInfo
from driftline.state.redis import RedisStore
from tests.chaos.workers import Tally, WorkerProcess, wait_until

WORKERS = 3
PARTITIONS = 24
FEATURES, EVENTS_A_PANE = 100, 10
PANE_MS = 60_000
BEGIN = 1_500_000_000_000
BODIES = 2_000
LOADING = 25_000
"""Events published between two looks at the size of the state."""
AHEAD = 150_000
"""Events that may wait to be read while the state is made."""
A_SECOND = 240
START_S, LOAD_S, RECOVER_S, SETTLE_S = 120, 1_800, 60, 120


@dataclass
class Scene:
    """What is running."""

    store: RedisStore
    raw: dict[str, object]
    folder: Path
    workers: list[WorkerProcess] = field(default_factory=list)
    started: int = 0

    def add_worker(self) -> None:
        self.started += 1
        self.workers.append(WorkerProcess(self.started, json.dumps(self.raw), self.folder, Tally()))

    def tasks(self) -> list[TaskInfo]:
        return [info for info in self.store.tasks("recovery") if info.task.stage == SUMMARISE]

    def owned_by(self, worker: WorkerProcess) -> dict[int, int]:
        """Return the stored offset of each of a worker's partitions."""
        mark = f"/{worker.process.pid}/"
        return {info.task.partition: _offset(info) for info in self.tasks() if mark in info.owner}

    def settled(self) -> bool:
        """Whether every worker has its share, and goes on with it."""
        shared = all(len(self.owned_by(worker)) == PARTITIONS // WORKERS for worker in self.workers)
        return shared and all(info.committed_at > info.claimed_at for info in self.tasks())


class Publishing:
    """Events whose panes stay open: as fast as they are read at first, then a few a second."""

    def __init__(self, bootstrap: str) -> None:
        chance = random.Random(1)
        self._bodies = [
            json.dumps({f"f{place}": round(chance.random(), 6) for place in range(FEATURES)}) for _ in range(BODIES)
        ]
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 50, "compression.type": "lz4", "log_level": 0}
        )
        self._stopping = Event()
        self._thread = Thread(target=self._trickle, daemon=True)
        self.count = 0

    def publish(self, events: int) -> None:
        for number in range(self.count, self.count + events):
            turn = number // PARTITIONS
            time_ms = BEGIN + turn * PANE_MS // EVENTS_A_PANE
            body = self._bodies[turn * 7 % BODIES]
            value = f'{{"event_id":"{number}","event_time":{time_ms},"model":"m","features":{body},"prediction":0.5}}'
            while True:
                try:
                    self._producer.produce("predictions", value.encode(), partition=number % PARTITIONS)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self.count += events
        self._producer.poll(0)

    def trickle(self) -> None:
        """Go on at a steady rate, until stopped."""
        self._thread.start()

    def _trickle(self) -> None:
        while not self._stopping.wait(0.1):
            self.publish(A_SECOND // 10)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)


def _offset(info: TaskInfo) -> int:
    return max(info.offsets.values(), default=0)


def main() -> int:
    """Print both tables; 0 if the promises were kept."""
    parser = argparse.ArgumentParser(prog="recovery", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--state", type=int, default=1024, help="MiB of state in all")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="driftline-recovery-"))
    try:
        return _measure(folder, asked.runs, asked.state << 20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(folder: Path, runs: int, state: int) -> int:
    with KafkaServer(heap="512m") as kafka, RedisServer() as server:
        raw: dict[str, object] = {
            "kafka": {"bootstrap.servers": kafka.bootstrap},
            "redis": {"url": server.url},
            "group": "recovery",
            "max_out_of_orderness": "3650d",  # no pane closes, so that state stays
            "models": {"*": {"windows": ["10m"], "pane": "1m"}},
        }
        topics = Settings.model_validate(raw).topics
        counts = {topics.main: PARTITIONS, topics.panes: 3, topics.alerts: 1, topics.dead_letters: 1}
        KafkaLog({"bootstrap.servers": kafka.bootstrap}).create_topics(counts, {})
        scene = Scene(RedisStore(server.url), raw, folder)
        publishing = Publishing(kafka.bootstrap)
        try:
            for _ in range(WORKERS):
                scene.add_worker()
            size = _make_state(scene, publishing, server, state)
            publishing.trickle()
            killed = [_time(scene, signal.SIGKILL) for _ in range(runs)]
            stopped = [_time(scene, signal.SIGTERM) for _ in range(runs)]
            publishing.stop()
        finally:
            for worker in scene.workers:
                worker.send(signal.SIGKILL)
                worker.until_it_ends(10)
            scene.store.close()
    session, beat = (CONSUMER_PREFERRED[f"{name}.ms"] for name in ("session.timeout", "heartbeat.interval"))
    print(
        f"{WORKERS} workers, {PARTITIONS} partitions, {size / 2**20:,.0f} MiB of state in Redis, "
        f"a checkpoint a second; session.timeout.ms {session:,}, heartbeat.interval.ms {beat:,}\n"
        "| one of three workers | times | all its partitions go on after: p50 | max | the first of them: p50 |\n"
        "|---|---|---|---|---|"
    )
    for what, times in (("kill -9", killed), ("SIGTERM", stopped)):
        firsts, lasts = [first for first, _ in times], [last for _, last in times]
        print(f"| {what} | {len(times)} | {median(lasts):.1f} s | {max(lasts):.1f} s | {median(firsts):.1f} s |")
    kept = max(last for _, last in killed) <= 10 and max(last for _, last in stopped) <= 3
    return 0 if kept else 1


def _make_state(scene: Scene, publishing: Publishing, server: RedisServer, state: int) -> int:
    """Publish until Redis holds so many bytes, and return how many it holds."""
    with redis.Redis.from_url(server.url, retry=None) as client:
        deadline = time.monotonic() + LOAD_S

        def used() -> int:
            return int(client.info("memory")["used_memory_dataset"])

        while used() < state:
            publishing.publish(LOADING)
            waiting = publishing.count - sum(map(_offset, scene.tasks()))
            print(f"{used() >> 20} MiB, {waiting:,} events wait", file=sys.stderr, flush=True)
            done = wait_until(
                lambda: publishing.count - sum(map(_offset, scene.tasks())) < AHEAD, deadline - time.monotonic()
            )
            if not done:
                raise SystemExit("the state was not made in time")
        if not wait_until(lambda: publishing.count == sum(map(_offset, scene.tasks())), LOAD_S):
            raise SystemExit("what was published is not read to its end")
        return used()


def _time(scene: Scene, how: signal.Signals) -> tuple[float, float]:
    """End the oldest worker. Return the seconds until the first, and until all of its partitions went on."""
    if not wait_until(scene.settled, SETTLE_S):
        raise SystemExit(f"the workers do not share the partitions: {[info.owner for info in scene.tasks()]}")
    time.sleep(random.uniform(0, 1))  # anywhere between two heartbeats
    victim = scene.workers.pop(0)
    was = scene.owned_by(victim)
    mark = f"/{victim.process.pid}/"
    begin = time.monotonic()
    victim.send(how)
    resumed: dict[int, float] = {}
    while len(resumed) < len(was) and time.monotonic() - begin < RECOVER_S:
        for info in scene.tasks():
            number = info.task.partition
            if number in was and number not in resumed and mark not in info.owner and _offset(info) > was[number]:
                resumed[number] = time.monotonic() - begin
        time.sleep(0.02)
    if len(resumed) < len(was):
        raise SystemExit(f"partitions {was.keys() - resumed.keys()} stand still for {RECOVER_S} s")
    victim.until_it_ends(60)
    scene.add_worker()
    first, last = min(resumed.values()), max(resumed.values())
    print(f"{how.name}: {first:.1f} to {last:.1f} s", file=sys.stderr, flush=True)
    return first, last


if __name__ == "__main__":
    sys.exit(main())
