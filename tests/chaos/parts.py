"""What the faults are done to: a Kafka, a Redis with a replica, proxies in front of both, and workers."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from driftline.config import Settings
from driftline.demo.dataset import COLUMNS, CarLoans
from driftline.evidence.profile import encode_profile
from driftline.runtime.local import build_references
from driftline.runtime.stage_names import JUDGE, SUMMARISE
from driftline.sandbox import KafkaServer, RedisServer
from driftline.tables import ColumnMapping, open_table
from tests.chaos.proxy import Proxy
from tests.chaos.publishing import MODELS
from tests.chaos.servers import Servers
from tests.chaos.workers import Tally, WorkerProcess, wait_until

PARTITIONS, PANES_PARTITIONS = 6, 3
MODEL = {"windows": ["1d"], "pane": "12h", "false_alarms": "1 per 365d"}
SESSION_S = 3.0
"""Half the default, for the sake of more faults an hour; recovery at the defaults is measured by `make recovery`."""
KAFKA = {"session.timeout.ms": int(SESSION_S * 1000), "heartbeat.interval.ms": 500, "reconnect.backoff.max.ms": 1000}
BROKER = {"group.min.session.timeout.ms": "1000", "log.retention.check.interval.ms": "300000", "num.io.threads": "2"}
START_S = 60


@dataclass
class Parts(Servers):
    """Everything that runs, and what may be done to it. `redis` is the master."""

    replica: RedisServer
    to_kafka: Proxy
    to_redis: Proxy
    folder: Path
    tally: Tally = field(default_factory=Tally)
    workers: list[WorkerProcess] = field(default_factory=list)
    started: int = 0
    deaths: list[str] = field(default_factory=list)
    """Workers that ended though nobody asked them to."""
    gave_up: int = 0
    """Workers that began in an outage and gave up after 30 s, as they should: whoever starts them starts them again."""

    # workers

    def add_worker(self, *, bounded: bool = False) -> WorkerProcess:
        self.started += 1
        worker = WorkerProcess(self.started, json.dumps(self.raw), self.folder, self.tally, bounded=bounded)
        self.workers.append(worker)
        return worker

    def remove(self, worker: WorkerProcess) -> None:
        """Forget a worker that was asked to end; it must, within its `shutdown` time, and with status 0 if it may."""
        killed = worker.process.exitcode == -signal.SIGKILL
        status = worker.until_it_ends(60)
        if not killed and worker.began and status not in (0, -signal.SIGKILL):
            self.deaths.append(f"{worker.name} ended with status {status} after SIGTERM: {last_line(worker.log)}")
        self.workers.remove(worker)

    def look_after(self) -> None:
        """Note workers that ended by themselves, and put others in their place."""
        for worker in [each for each in self.workers if not each.running and not each.expected_to_end]:
            status = worker.process.exitcode
            if worker.began or "Unavailable" not in last_line(worker.log):
                self.deaths.append(f"{worker.name} ended by itself with status {status}: {last_line(worker.log)}")
            else:
                self.gave_up += 1
            self.workers.remove(worker)
            self.add_worker()

    def told(self, what: str) -> int:
        """Return how many lines of all workers' logs say it."""
        return sum(log.read_text(errors="replace").count(what) for log in self.folder.glob("worker-*.log"))

    # progress

    def ends(self) -> dict[tuple[str, int], int]:
        """Return where each partition of both stages ends now."""
        log, topics = self.log, self.settings.topics
        return {
            (stage, number): end
            for stage, topic in ((SUMMARISE, topics.predictions), (JUDGE, topics.panes))
            for number, (_, end) in log.bounds(topic).items()
        }

    def behind(self, ends: dict[tuple[str, int], int]) -> list[tuple[str, int]]:
        """Return the partitions that are not stored up to these ends."""
        with self.store() as store:
            offsets = {
                (info.task.stage, info.task.partition): max(info.offsets.values(), default=0)
                for info in store.tasks(self.settings.group)
            }
        return [place for place, end in ends.items() if offsets.get(place, 0) < end]

    def until_past(self, ends: dict[tuple[str, int], int], deadline_s: float) -> tuple[float, list[tuple[str, int]]]:
        """Wait until all partitions are stored up to these ends. Return the seconds, and which are still behind."""
        begin = time.monotonic()
        left = self.behind(ends)
        while left and time.monotonic() - begin < deadline_s:
            time.sleep(0.1)
            self.look_after()
            left = self.behind({place: ends[place] for place in left})
        return time.monotonic() - begin, left

    # redis

    def fail_over(self, lag_s: float) -> None:
        """Let the replica become master without the writes of the last `lag_s` seconds."""
        old, new = self.redis, self.replica
        _command(new, "REPLICAOF", "NO", "ONE")
        time.sleep(lag_s)
        old.kill()
        self.to_redis.lead_to(port_of(new))
        self.redis, self.replica = new, old
        old.start()
        follow(new, old)


def port_of(server: RedisServer) -> int:
    return urlsplit(server.url).port or 0


def _command(server: RedisServer, *words: str) -> Any:
    with redis.Redis.from_url(server.url, retry=None) as client:
        return client.execute_command(*words)


def follow(master: RedisServer, replica: RedisServer) -> None:
    """Make one server a replica of another, and wait until it has all of it."""
    _command(replica, "REPLICAOF", "127.0.0.1", str(port_of(master)))
    with redis.Redis.from_url(replica.url, retry=None) as client:
        assert wait_until(lambda: client.info("replication")["master_link_status"] == "up", START_S)


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


@contextmanager
def running_parts(folder: Path, loans: CarLoans, *, workers: int, **more: Any) -> Iterator[Parts]:
    """Start all parts; the workers are at work when this returns."""
    with ExitStack() as stack:
        redis_options = {"repl-diskless-sync-delay": "0", "repl-timeout": "10"}
        master, replica = (stack.enter_context(RedisServer(options=redis_options)) for _ in range(2))
        follow(master, replica)
        to_redis = stack.enter_context(Proxy(port_of(master)))
        to_kafka = stack.enter_context(Proxy())
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{to_kafka.port}"}
        kafka = KafkaServer(properties={**BROKER, **advertised}, heap="384m")
        to_kafka.lead_to(int(kafka.bootstrap.rpartition(":")[2]))
        stack.enter_context(kafka)
        raw = {
            "kafka": {"bootstrap.servers": f"127.0.0.1:{to_kafka.port}", **KAFKA},
            "redis": {"url": f"redis://127.0.0.1:{to_redis.port}/0"},
            "group": "chaos",
            "disorder": "2h",
            "models": {"*": {**MODEL, "reference": str(_profile(folder, loans))}},
            **more,
        }
        raw["models"] |= {f"loan-{number}": {} for number in range(MODELS)}
        parts = Parts(kafka, master, raw, replica, to_kafka, to_redis, folder)
        topics = parts.settings.topics
        counts = {topics.predictions: PARTITIONS, topics.panes: PANES_PARTITIONS}
        parts.log.create_topics({**counts, topics.alerts: 1, topics.dead_letters: 1}, {})
        stack.callback(_end_all, parts)
        for _ in range(workers):
            parts.add_worker()
        yield parts


def _end_all(parts: Parts) -> None:
    for worker in parts.workers:
        worker.send(signal.SIGKILL)
        worker.until_it_ends(10)


def _profile(folder: Path, loans: CarLoans) -> Path:
    path = folder / "loans.profile"
    settings = Settings.model_validate({"models": {"*": MODEL}})
    path.write_bytes(
        encode_profile(build_references(settings, open_table(loans.reference), ColumnMapping.build(**COLUMNS)))
    )
    return path
