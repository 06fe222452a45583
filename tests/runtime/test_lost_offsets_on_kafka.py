"""Lost offsets on a real Kafka and a real Redis: four partitions, two workers, and an admin who deletes things."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from driftline.cli.status import collect
from driftline.cli.status_document import PartitionStatus
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.pipeline.monitoring import monitoring
from driftline.pipeline.skipping import carry_out, plan_skip
from driftline.runtime.clock import Clock
from driftline.runtime.owning import ASIDE_S
from driftline.runtime.worker import Worker
from driftline.sandbox.find import Kafka
from driftline.state.api import TaskId
from driftline.state.redis import RedisStore
from tests.runtime.streams import events, settings

pytestmark = pytest.mark.real
STREAM = events(hours=4, shift_after=2.5)
EACH = 500
"""Records of a partition in the first part of the stream."""
DEADLINE_S = 60.0


@dataclass
class Fleet:
    """Workers that are stepped in turn, on a topic of four partitions."""

    kafka: Kafka
    store: RedisStore
    name: str
    workers: dict[str, Worker] = field(default_factory=dict)
    ahead_s: float = 0.0
    """How far the workers' clock is ahead of the real one."""
    published: int = 0

    def __post_init__(self) -> None:
        topics = {name: f"{self.name}.{name}" for name in ("predictions", "labels", "panes", "alerts", "dead_letters")}
        self.settings = settings(idle_timeout="1000d", checkpoint="1s", group=self.name, topics=topics)
        self.topic = topics["predictions"]
        self.log = KafkaLog({"bootstrap.servers": self.kafka.bootstrap, "heartbeat.interval.ms": 200})
        self.admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        self.log.create_topics(dict.fromkeys(topics.values(), 4), {})

    def start(self, *names: str) -> None:
        clock = Clock(now=lambda: time.monotonic() + self.ahead_s)
        for name in names:
            self.workers[name] = Worker(
                self.settings, self.log, self.store, monitoring(self.settings), owner=name, clock=clock, poll_s=0.02
            )

    def stop(self, *names: str) -> None:
        for name in names:
            worker = self.workers.pop(name)
            worker.stop()
            worker.run()

    def publish(self, each: int) -> None:
        """Add so many records to each partition."""
        producer = self.log.producer()
        for number in range(each):
            for partition in range(4):
                key, value, stamp = STREAM[(self.published + number) % len(STREAM)]
                producer.produce(Outgoing(self.topic, key, value, partition, timestamp=stamp))
        producer.flush(DEADLINE_S)
        producer.close()
        self.published += each

    def until(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < deadline, f"not so in time: {what}; {self.offsets()}, {self.faults()}"
            for worker in self.workers.values():
                worker.step()

    def create_anew(self, each: int) -> None:
        self.admin.delete_topics([self.topic], operation_timeout=20)[self.topic].result(20)
        self.log.create_topics({self.topic: 4}, {})
        self.publish(each)

    def skip(self, partition: int) -> None:
        task = TaskId(self.name, "summarise", partition)
        plan = plan_skip(self.store, self.log, self.settings, task, "first", force=False)
        carry_out(self.store, self.log, self.settings, plan)

    def partitions(self) -> list[PartitionStatus]:
        found = collect(self.log, self.store, self.settings, now_ms=0)
        return [each for each in found.partitions if each.stage == "summarise"]

    def offsets(self) -> list[object]:
        return [each.offset for each in self.partitions()]

    def faults(self) -> list[str]:
        return [each.fault for each in self.partitions() if each.fault]

    def read(self, *partitions: int) -> bool:
        found = self.partitions()
        return all(found[number].lag == 0 for number in partitions)

    def counted(self) -> int:
        return sum(each.records.consumed for each in self.partitions() if each.records is not None)


@pytest.fixture
def fleet(kafka: Kafka, redis_url: str, unique_name: str) -> Iterator[Fleet]:
    store = RedisStore(redis_url)
    made = Fleet(kafka, store, unique_name)
    made.start("a", "b")
    made.publish(EACH)
    made.until("the first part is read", lambda: made.read(0, 1, 2, 3))
    yield made
    for worker in made.workers.values():
        worker.close()
    store.close()
    for deleted in made.admin.delete_topics([name for _, name in made.settings.topics.named()]).values():
        deleted.result(20)


def test_retention_that_passed_one_partition_of_four_holds_up_that_one_alone(fleet: Fleet) -> None:
    fleet.stop("a", "b")
    fleet.publish(EACH)
    for deleted in fleet.admin.delete_records([KafkaPartition(fleet.topic, 2, EACH + 120)]).values():
        deleted.result(20)
    fleet.start("c", "d")
    fleet.until("three are read, one is set aside", lambda: fleet.read(0, 1, 3) and bool(fleet.faults()))
    (fault,) = fleet.faults()
    assert f"partition 2: offset {EACH} is no longer in the log, which begins with {EACH + 120} now: 120 rec" in fault
    assert "`driftline state skip summarise 2 --to first`" in fault

    owner = next(name for name, worker in fleet.workers.items() if worker.progress.set_aside)
    fleet.stop(owner)
    (heir,) = fleet.workers.values()
    fleet.publish(EACH)
    fleet.until("the heir sets it aside", lambda: fleet.read(0, 1, 3) and bool(heir.progress.set_aside))
    fleet.skip(2)
    fleet.ahead_s += ASIDE_S
    fleet.until("all are read", lambda: fleet.read(0, 1, 2, 3) and not heir.progress.set_aside)
    assert [each.skipped for each in fleet.partitions()] == [0, 0, 120, 0]
    assert fleet.counted() == 4 * fleet.published - 120


@pytest.mark.parametrize("lives", [True, False], ids=["under workers", "while none runs"])
@pytest.mark.parametrize("each", [EACH // 5, 3 * EACH], ids=["shorter", "longer"])
def test_a_topic_that_was_created_anew_is_read_from_its_first_record_on_once_a_person_says_so(
    fleet: Fleet, lives: bool, each: int
) -> None:
    before = fleet.offsets()
    if not lives:
        fleet.stop("a", "b")
    fleet.create_anew(each)
    if not lives:
        fleet.start("c", "d")
    fleet.until("all are set aside", lambda: len(fleet.faults()) == 4)
    assert all("was deleted and created again" in fault for fault in fleet.faults())
    assert fleet.offsets() == before
    for partition in range(4):
        fleet.skip(partition)
    fleet.ahead_s += ASIDE_S
    fleet.until("the new topic is read", lambda: fleet.read(0, 1, 2, 3))
    assert fleet.counted() == 4 * fleet.published
    fleet.until("nothing is set aside", lambda: not any(w.progress.set_aside for w in fleet.workers.values()))
