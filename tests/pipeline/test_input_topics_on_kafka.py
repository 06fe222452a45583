"""Two topics of predictions in two formats, on a real Kafka and Redis, under worker processes of which one dies."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import yaml

from driftline.config import Settings
from driftline.incidents.alerts import alert_id
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.log.reading import read_whole
from driftline.offline.backtest import backtest
from driftline.pipeline.views import views
from driftline.sandbox import Kafka
from driftline.state.redis import RedisStore
from driftline.tables import EncodedEvents
from driftline.tasks.views import SummariseView
from driftline.tasks.warming import warm_up
from tests.cli.processes import driftline, environment
from tests.runtime.streams import events

pytestmark = pytest.mark.real
STREAM = events(hours=3, shift_after=2.2, a_minute=20)
THIRD = len(STREAM) // 3
LINES = 20
"""Events of a record of the second topic."""
PARTITIONS = {"predictions": 3, "nightly": 2, "panes": 2, "alerts": 1, "dead_letters": 1}
DEADLINE_S = 240.0


@dataclass
class Fleet:
    """Workers of one group, each a process, and what they read."""

    folder: Path
    kafka: Kafka
    store: RedisStore
    redis_url: str
    name: str
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    """Records by topic."""

    def __post_init__(self) -> None:
        self.log = KafkaLog({"bootstrap.servers": self.kafka.bootstrap})
        self.log.create_topics({f"{self.name}.{key}": number for key, number in PARTITIONS.items()}, {})
        self.first, self.second = f"{self.name}.predictions", f"{self.name}.nightly"
        self.published = {self.first: 0, self.second: 0}
        self.reads([self.first])

    def reads(self, predictions: list[object]) -> None:
        """Configure what workers read that start from now on."""
        topics = {key: f"{self.name}.{key}" for key in ("panes", "alerts", "dead_letters")}
        document = {
            **{"kafka": {"bootstrap.servers": self.kafka.bootstrap}, "redis": {"url": self.redis_url}},
            **{"group": self.name, "topics": {"predictions": predictions, **topics}},
            **{"max_out_of_orderness": "5s", "max_age": "1000d", "checkpoint": "1s", "idle_timeout": "10m"},
            "models": {"*": {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "false_alarms": "1 per 30d"}},
        }
        self.settings = Settings.model_validate(document)
        (self.folder / "driftline.yaml").write_text(yaml.safe_dump(document))

    def start(self, *names: str) -> None:
        command = [sys.executable, "-m", "driftline", "run", "--config", str(self.folder / "driftline.yaml")]
        for name in names:
            with (self.folder / f"{name}.log").open("wb") as log:
                self.workers[name] = subprocess.Popen(
                    command, env=environment({}), stdin=subprocess.DEVNULL, stderr=log
                )

    def stop(self, name: str) -> None:
        worker = self.workers.pop(name)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(DEADLINE_S) == 0, self.said(name)

    def kill(self, name: str) -> None:
        worker = self.workers.pop(name)
        worker.kill()
        worker.wait()

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def publish(self, stream: list[tuple[bytes, bytes, int]], *, both: bool) -> None:
        """Publish events: each a record of the first topic, or every other LINES of them one record of the second."""
        producer = self.log.producer()
        for at in range(0, len(stream), LINES):
            part = stream[at : at + LINES]
            if both and at // LINES % 2:
                value = b"\n".join(event for _, event, _ in part)
                partition = self.published[self.second] % PARTITIONS["nightly"]
                producer.produce(Outgoing(self.second, part[0][0], value, partition))
                self.published[self.second] += 1
                continue
            for key, event, _ in part:
                producer.produce(Outgoing(self.first, key, event))
                self.published[self.first] += 1
        producer.flush(DEADLINE_S)
        producer.close()

    def read(self) -> dict[str, int]:
        """Return how many records of each topic are checkpointed."""
        infos = self.store.tasks(self.name)
        return {topic: sum(info.offsets.get(topic, 0) for info in infos) for topic in self.published}

    def owner(self, stage: str) -> str:
        """Return the worker that owns the first task of a stage, "" if it is none of those that run."""
        pids = [info.owner.split("/")[1] for info in self.store.tasks(self.name) if info.task.stage == stage]
        return next((name for name, worker in self.workers.items() if pids[:1] == [str(worker.pid)]), "")

    def owners(self) -> set[str]:
        return {info.owner.split("/")[1] for info in self.store.tasks(self.name)}

    def until(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            for name, worker in self.workers.items():
                assert worker.poll() is None, self.said(name)
            assert time.monotonic() < deadline, f"not so in time: {what}; {self.read()} of {self.published}"
            time.sleep(0.1)


@pytest.fixture
def fleet(tmp_path: Path, kafka: Kafka, redis_url: str, unique_name: str) -> Iterator[Fleet]:
    warm_up()  # once, before the clock runs: on a busy machine processes that all compile take minutes
    store = RedisStore(redis_url)
    found = Fleet(tmp_path, kafka, store, redis_url, unique_name)
    yield found
    for name in list(found.workers):
        found.kill(name)
    store.close()


@pytest.mark.timeout(600)
def test_each_record_of_two_topics_counts_once_though_one_was_added_and_a_worker_killed(fleet: Fleet) -> None:
    fleet.start("alone")
    fleet.publish(STREAM[:THIRD], both=False)
    fleet.until("the first topic is read", lambda: fleet.read() == fleet.published)
    fleet.stop("alone")

    fleet.reads([fleet.first, {"topic": fleet.second, "format": "ndjson"}])
    fleet.start("left", "right")
    pids = {str(worker.pid) for worker in fleet.workers.values()}
    fleet.publish(STREAM[THIRD : 2 * THIRD], both=True)
    fleet.until("two workers share what is read", lambda: fleet.read() == fleet.published and fleet.owners() == pids)
    stage = f"summarise.{fleet.second}"
    fleet.publish(STREAM[2 * THIRD :], both=True)
    fleet.kill(fleet.owner(stage))
    (heir,) = fleet.workers
    fleet.until("the other one reads the rest", lambda: fleet.read() == fleet.published and fleet.owner(stage) == heir)
    fleet.stop(heir)
    rest = driftline("run", "--until-caught-up", "--config", str(fleet.folder / "driftline.yaml"), env={})
    assert rest.returncode == 0, rest.stderr

    told = list(views(fleet.store, fleet.name, SummariseView))
    assert [view.rejected for view in told] == [{}] * (PARTITIONS["predictions"] + PARTITIONS["nightly"])
    assert sum(view.accepted for view in told) == sum(fleet.published.values())
    assert sum(view.events for view in told) == len(STREAM)
    keys, values, times = map(list, zip(*STREAM, strict=True))
    found = backtest(fleet.settings, [EncodedEvents(keys, values, times)])
    alerts = [record for _, record in read_whole(fleet.log, fleet.settings.topics.alerts)]
    ids = {msgspec.json.decode(record.value or b"")["id"] for record in alerts}
    assert ids == {alert_id(incident) for incident in found.incidents} != set()
