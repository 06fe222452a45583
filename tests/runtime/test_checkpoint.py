"""What a checkpoint took out of a task is not lost, whatever comes between it and its commit."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from driftline.cli.status import collect
from driftline.config import Settings
from driftline.errors import PublishError, StateUnavailable
from driftline.incidents.alerts import alert_id
from driftline.log.api import Batch, Outgoing, TopicPartition
from driftline.log.memory import MemoryLog, MemoryProducer
from driftline.offline.backtest import backtest
from driftline.panes.records import decode_record
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.stage import StageKind
from driftline.runtime.worker import Worker
from driftline.state.api import Claim, CommitOutcome, TaskId, TaskInfo
from driftline.state.memory import MemoryStore
from driftline.tables import EncodedEvents
from tests.runtime.streams import START, Bench, Manual, Plain, events, settings

STREAM = events(hours=2, shift_after=1.5, a_minute=20)
FREQUENT = settings(checkpoint="1ms")
Trouble = Callable[[], None]


def nothing() -> None:
    pass


@dataclass
class Hooked(MemoryStore):
    """A store that asks before each call whether to answer."""

    before_ack: Trouble = nothing
    before_tasks: Trouble = nothing
    acks: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def ack(self, claim: Claim, through: int) -> CommitOutcome:
        self.acks += 1
        self.before_ack()
        return super().ack(claim, through)

    def tasks(self, group: str) -> list[TaskInfo]:
        self.before_tasks()
        return super().tasks(group)


@dataclass
class Away:
    """Trouble that lasts for some calls."""

    calls: int
    seen: int = 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen <= self.calls:
            raise StateUnavailable("away")


@pytest.fixture(scope="module")
def expected() -> list[str]:
    keys, values, times = map(list, zip(*STREAM, strict=True))
    result = backtest(settings(), [EncodedEvents(keys, values, times)])
    ids = [alert_id(incident) for incident in result.incidents]
    assert ids, "the stream must open an incident"
    return ids


def finish(bench: Bench, *workers: Worker, manual: Manual) -> None:
    """Step bounded workers in turn until all of them have stopped, with a worker more that finds nothing left."""
    left = list(workers)
    for _ in range(20_000):
        for worker in list(left):
            if worker.stopping:
                worker.wind_up()
                worker.close()
                left.remove(worker)
            else:
                worker.step()
            manual.time += 0.05
        if not left:
            break
    assert not left, "they did not come to an end"
    bench.worker("last").run()


class FailsToFlush(MemoryLog):
    """Its producers lose what is queued at the second flush, as when the broker did not answer in time."""

    flushes = 0

    def producer(self) -> MemoryProducer:
        log = self

        class Producer(MemoryProducer):
            queued: list[Outgoing]

            def produce(self, record: Outgoing) -> None:
                self.__dict__.setdefault("queued", []).append(record)

            def flush(self, timeout_s: float) -> None:
                queued, self.queued = self.__dict__.get("queued", []), []
                log.flushes += 1
                if log.flushes == 2:
                    raise PublishError("the broker did not answer")
                for record in queued:
                    super().produce(record)

        return Producer(self._cluster)


def test_dead_letters_that_were_not_delivered_are_sent_again_before_their_commit(expected: list[str]) -> None:
    log = FailsToFlush()
    bench = Bench(settings(), log=log)
    stream: list[tuple[bytes, bytes, int]] = [*STREAM[:1200], (b"k", b"not json", START), *STREAM[1200:]]
    plain = MemoryProducer(log._cluster)
    for key, value, time in stream:
        plain.produce(Outgoing(bench.settings.topics.main, key, value, timestamp=time))
    log.flushes = 1
    bench.worker().run()
    assert log.flushes > 2
    letters = bench.records(bench.settings.topics.dead_letters)
    assert {letter.value for letter in letters} == {b"not json"}
    assert bench.alert_ids() == expected


def test_an_acknowledgement_that_fails_is_made_up_for(expected: list[str]) -> None:
    store = Hooked(before_ack=Away(calls=3))
    bench = Bench(FREQUENT, store=store)
    bench.publish(STREAM)
    manual = Manual()
    finish(bench, bench.worker(clock=manual.clock()), manual=manual)
    assert store.acks > 3
    assert not any(info.outbox for info in store.tasks("driftline"))
    assert bench.alert_ids() == expected


def test_a_bounded_run_waits_for_a_store_that_does_not_say_whether_all_is_done(expected: list[str]) -> None:
    bench = Bench(FREQUENT, store=Hooked(before_tasks=Away(calls=5)))
    bench.publish(STREAM)
    manual = Manual()
    finish(bench, bench.worker(clock=manual.clock()), manual=manual)
    assert bench.alert_ids() == expected


def test_a_resting_task_notices_that_the_store_went_back(expected: list[str]) -> None:
    """With no record to read, no commit would tell it; and what was lost would wait for the next record."""
    store = MemoryStore()
    bench = Bench(FREQUENT, store=store)
    bench.publish(STREAM)
    manual = Manual()
    worker = bench.worker(bounded=False, clock=manual.clock())
    saved: list[dict[TaskId, object]] = []

    def total() -> int:
        return sum(sum(info.offsets.values()) for info in bench.store.tasks("driftline") if "sum" in info.task.stage)

    while total() < len(STREAM):
        saved.append(dict(store._stored))
        worker.step()
        manual.time += 0.05
    store._stored = dict(saved[len(saved) // 2])  # type: ignore[arg-type]
    assert total() < len(STREAM)
    for _ in range(300):
        worker.step()
        manual.time += 0.05
    assert total() == len(STREAM)
    assert worker.progress.restarts["stale"] > 0
    worker.stop()
    worker.run()
    bench.worker("last").run()
    assert bench.alert_ids() == expected


def test_a_partition_added_while_workers_run_is_a_source_that_judge_waits_for() -> None:
    bench = Bench(settings())
    topic = bench.settings.topics.main
    bench.publish(STREAM[:600])
    manual = Manual()
    worker = bench.worker(bounded=False, clock=manual.clock())
    for _ in range(20):
        worker.step()
        manual.time += 0.5
    bench.log.grow(topic, 4)
    producer = bench.log.producer()
    for key, value, time in STREAM[600:]:
        producer.produce(Outgoing(topic, key, value, 3, timestamp=time))
    worker.finish()
    finish(bench, worker, manual=manual)
    panes = [decode_record(record.value or b"") for record in bench.records(bench.settings.topics.panes)]
    assert {pane.sources for pane in panes if pane.source == 3} == {4}
    views = [
        json.loads(bench.store.read(info.task, "view/incidents")["view/incidents"])
        for info in bench.store.tasks("driftline")
        if info.task.stage == "judge"
    ]
    assert [view["counters"]["unreadable"] for view in views] == [0, 0]
    assert all(len(view["sources"]) == 4 for view in views)


@dataclass
class Sums(Plain):
    """A stage that adds up records one by one, and trips over a certain one."""

    trips_at: int
    total: int = 0
    name: str = "sum"
    at_once: int = 7
    inputs: tuple[str, ...] = ("numbers",)
    seen: list[int] = field(default_factory=list)

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        self.total = int(blobs.get("total", b"0"))

    def process(self, batch: Batch) -> bool:
        for offset in batch.offsets:
            if offset == self.trips_at:
                raise RuntimeError("a bug of its own")
            self.total += 1
        return True

    def checkpoint(self) -> dict[str, bytes | None]:
        return {"total": b"%d" % self.total}


@pytest.mark.parametrize("wrong_by", [-86_400_000, 86_400_000])
def test_whether_a_group_is_alive_is_told_by_the_stores_clock_and_no_workers(wrong_by: int) -> None:
    manual = Manual()
    bench = Bench(settings(), store=MemoryStore(clock_ms=lambda: int(manual.time * 1000)))
    clock = replace(manual.clock(), wall_ms=lambda: int(manual.time * 1000) + wrong_by)
    worker = bench.worker(bounded=False, clock=clock)
    bench.publish(events(hours=1, shift_after=9))
    while not all(info.committed_at for info in bench.store.tasks(bench.settings.group)) or not worker.progress.tasks:
        worker.step()
        manual.time += 0.2

    def state() -> str:
        return collect(bench.log, bench.store, bench.settings, now_ms=bench.store.time_ms()).state

    assert state() == "working"
    manual.time += 600.0
    assert state() == "stopped"


def test_a_task_that_broke_off_in_the_middle_is_not_committed_as_it_is() -> None:
    config: Settings = settings(checkpoint="1h")
    bench = Bench(config)
    bench.log.create_topics({"numbers": 1}, {})
    bench.publish(STREAM[:20], "numbers")
    kind = StageKind("sum", ("numbers",), lambda partition: Sums(trips_at=10))
    pipeline = replace(monitoring(config), kinds=lambda counts: [kind])
    with pytest.raises(RuntimeError, match="a bug of its own"):
        Worker(config, bench.log, bench.store, pipeline, owner="one", poll_s=0.01).run()
    (info,) = bench.store.tasks(config.group)
    stored = bench.store.read(info.task, "total")
    assert int(stored.get("total", b"0")) == info.offsets.get("numbers", 0)
    assert TopicPartition("numbers", 0).partition == info.task.partition
