"""Kafka or Redis is away: the worker pauses, says so once, and goes on without loss or repetition."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from driftline.errors import DeliveryPending, DriftlineError, LogUnavailable, PublishError, StateUnavailable
from driftline.incidents.alerts import alert_id
from driftline.log.api import Consumer, Log, Outgoing, Producer, RebalanceListener, TopicPartition
from driftline.log.memory import MemoryLog
from driftline.observe.metrics import PAUSED, Sample
from driftline.offline.backtest import backtest
from driftline.panes.census import is_census
from driftline.panes.records import PaneRecord, Watermark, decode_record
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.pausing import RETRY_S, TELL_S
from driftline.runtime.task import Prepared
from driftline.runtime.worker import CHECKPOINT_S, Worker
from driftline.state.api import Claim, Commit, CommitOutcome, Committed, TaskInfo
from driftline.state.memory import MemoryStore
from driftline.tables import EncodedEvents
from tests.runtime.streams import START, Bench, Manual, events, settings

STREAM = events(hours=2.5, shift_after=1.5)
STEP_S = 0.05


@pytest.fixture(autouse=True)
def many_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline.runtime.worker.MAX_RECORDS", 500)


@pytest.fixture(scope="module")
def expected() -> list[str]:
    keys, values, times = map(list, zip(*STREAM, strict=True))
    result = backtest(settings(), [EncodedEvents(keys, values, times)])
    assert result.incidents
    return [alert_id(incident) for incident in result.incidents]


@dataclass
class Sabotage:
    """Raises what it is given, for as long as it is given something."""

    error: Exception | None = None
    seen: int = 0

    def check(self) -> None:
        if self.error is not None:
            self.seen += 1
            raise self.error


class FailingStore(MemoryStore):
    """A store of which single methods can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.on = {name: Sabotage() for name in ("commit", "ack", "claim", "tasks", "time_ms")}
        self.before_commit: Callable[[], None] = lambda: None

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        self.before_commit()
        self.on["commit"].check()
        return super().commit(claim, commit)

    def ack(self, claim: Claim, through: int) -> CommitOutcome:
        self.on["ack"].check()
        return super().ack(claim, through)

    def claim(self, task: object, owner: str) -> Claim:
        self.on["claim"].check()
        return super().claim(task, owner)  # type: ignore[arg-type]

    def tasks(self, group: str) -> list[TaskInfo]:
        self.on["tasks"].check()
        return super().tasks(group)

    def time_ms(self) -> int:
        self.on["time_ms"].check()
        return super().time_ms()


@dataclass
class FailingLog:
    """A log in memory whose producers and questions can be made to fail."""

    inner: MemoryLog
    produce: Sabotage = field(default_factory=Sabotage)
    flush: Sabotage = field(default_factory=Sabotage)
    ask: Sabotage = field(default_factory=Sabotage)
    refuse: Callable[[Outgoing], bool] = lambda record: False
    """Records that are lost, with all behind them, as the next flush tells."""
    producers: int = 0

    def producer(self) -> Producer:
        self.producers += 1
        return FailingProducer(self, self.inner.producer())

    def consumer(self, group: str, topics: list[str], listener: RebalanceListener, **more: object) -> Consumer:
        consumer = self.inner.consumer(group, topics, listener)
        bounds = consumer.bounds

        def asked(partition: TopicPartition) -> tuple[int, int]:
            self.ask.check()
            return bounds(partition)

        consumer.bounds = asked  # type: ignore[method-assign]
        return consumer

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class FailingProducer:
    def __init__(self, log: FailingLog, inner: Producer) -> None:
        self._log = log
        self._inner = inner
        self._lost: str | None = None

    def produce(self, record: Outgoing) -> None:
        self._log.produce.check()
        if self._lost is None and self._log.refuse(record):
            self._lost = record.topic
        if self._lost is None:
            self._inner.produce(record)

    def flush(self, timeout_s: float) -> None:
        self._log.flush.check()
        if self._lost is not None:
            raise PublishError(f"topic {self._lost}: refused")

    def close(self) -> None:
        self._inner.close()


class Driven:
    """A worker on a log and a store that may fail, stepped by hand."""

    def __init__(self, *, bounded: bool = True, **more: object) -> None:
        self.store = FailingStore()
        self.bench = Bench(settings(checkpoint="200ms", **more), store=self.store)
        self.log = FailingLog(self.bench.log)
        self.manual = Manual()
        self.reported: list[Sample] = []
        self.worker = self.another("w", bounded=bounded)

    def another(self, owner: str, *, bounded: bool = True) -> Worker:
        log: Log = self.log  # type: ignore[assignment]
        return Worker(
            self.bench.settings,
            log,
            self.store,
            monitoring(self.bench.settings),
            owner=owner,
            until_caught_up=bounded,
            clock=self.manual.clock(),
            poll_s=0.0,
            observe=self.reported.extend,
        )

    def step(self, times: int = 1, of: float = STEP_S) -> None:
        for _ in range(times):
            self.worker.step()
            self.manual.time += of

    def wait(self, seconds: float) -> None:
        self.step(int(seconds / RETRY_S), RETRY_S)

    def step_until(self, condition: Callable[[], bool], most: int = 20_000) -> None:
        for _ in range(most):
            if condition():
                return
            self.step()
        pytest.fail("it did not come about")

    def to_the_end(self) -> None:
        self.step_until(lambda: self.worker._stopping)
        self.worker.run()

    def read(self) -> int:
        return sum(owned.positions.get("predictions", 0) for owned in self.worker._tasks)

    def pending(self) -> list[Prepared]:
        return [owned.pending for owned in self.worker._tasks if owned.pending is not None]

    def paused(self) -> bool:
        return self.worker.progress.pause is not None

    def alert_ids(self) -> list[str]:
        return self.bench.alert_ids()


def pauses(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("where", ["commit", "ack", "claim"])
def test_a_store_that_is_away_for_minutes_is_waited_for(
    where: str, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="driftline")
    driven = Driven()
    driven.bench.publish(STREAM)
    sabotage = driven.store.on[where]
    if where != "claim":
        driven.step(3)
    sabotage.error = StateUnavailable("Redis at h:1/0 answered OOM: its memory is full")
    driven.wait(180)

    assert sabotage.seen > 100
    assert pauses(caplog) == ["paused, nothing is lost: Redis at h:1/0 answered OOM: its memory is full"]
    assert (PAUSED, ("redis",)) in {(sample.metric, sample.labels) for sample in driven.reported}
    assert driven.paused()
    held = sum(len(batch.offsets) for owned in driven.worker._tasks for batch in owned.waiting)
    assert held < len(STREAM)

    sabotage.error = None
    driven.to_the_end()
    assert not driven.paused()
    assert "resumed after 1" in caplog.text
    assert driven.alert_ids() == expected
    assert driven.worker.progress.restarts == {}


@pytest.mark.parametrize("away", ["store", "log"])
def test_a_resting_worker_goes_on_once_all_answer_and_not_before(away: str, caplog: pytest.LogCaptureFixture) -> None:
    """It has nothing to finish that would fail again, and would else say every now and then that all is well."""
    caplog.set_level(logging.INFO, logger="driftline")
    driven = Driven(bounded=False)
    driven.bench.publish(STREAM[:1000])
    driven.step(100)
    assert not any(owned.moved or owned.unfinished for owned in driven.worker._tasks)
    of_store = [driven.store.on[name] for name in ("tasks", "time_ms")]
    for sabotage in of_store if away == "store" else [driven.log.ask]:
        sabotage.error = StateUnavailable("away") if away == "store" else LogUnavailable("away")
    driven.wait(270)  # within the first minute it looks whether its inputs are idle, and asks the log
    assert driven.paused()
    assert pauses(caplog) == ["paused, nothing is lost: away"]
    assert "goes on" not in caplog.text

    for sabotage in (*of_store, driven.log.ask):
        sabotage.error = None
    driven.wait(2)
    assert not driven.paused()
    assert "resumed after 2" in caplog.text


def test_nothing_more_is_read_while_the_store_is_away() -> None:
    driven = Driven(bounded=False)
    driven.bench.publish(STREAM[:1000])
    driven.step(3)
    driven.store.on["commit"].error = StateUnavailable("away")
    driven.step_until(driven.paused)
    driven.bench.publish(STREAM[1000:])
    before = driven.worker.progress.records
    driven.step(200)
    assert driven.worker.progress.records == before
    driven.store.on["commit"].error = None
    driven.step_until(lambda: driven.worker.progress.records >= len(STREAM))


@pytest.mark.parametrize("back_up", [False, True])
def test_a_task_that_moves_while_its_checkpoint_is_pending_takes_all_of_it_along(
    back_up: bool, expected: list[str]
) -> None:
    """What was taken out of a task for a checkpoint is in it no more: a second, empty one must not take its place."""
    driven = Driven(bounded=False)
    driven.bench.publish(STREAM)
    store = driven.store
    driven.step(2)
    store.on["commit"].error = StateUnavailable("away")
    driven.step_until(driven.paused)
    pending = [owned for owned in driven.worker._tasks if owned.pending is not None]
    assert any(owned.pending.records for owned in pending if owned.pending), "panes must be at stake"
    second = driven.another("second", bounded=False)
    if back_up:
        store.on["commit"].error = None
    for _ in range(10):  # `second` joins, and `w` is told inside its poll that it must hand over
        second.step()
        driven.step()
    store.on["commit"].error = None
    assert driven.worker.progress.rebalances["revoked"] > 0
    for worker in (driven.worker, second):
        worker.finish()
    while not second._stopping:
        second.step()
        driven.step()
    driven.to_the_end()
    second.run()
    assert set(driven.alert_ids()) == set(expected)


def test_nothing_more_is_read_while_a_slow_store_takes_a_checkpoint_bit_by_bit(expected: list[str]) -> None:
    driven = Driven()
    driven.bench.publish(STREAM)

    def take_long() -> None:
        driven.manual.time += CHECKPOINT_S + 1  # so that a step commits one task, and leaves the others pending

    driven.store.before_commit = take_long
    waited = 0
    while not driven.worker._stopping:
        read, pending = driven.worker.progress.records, driven.pending()
        driven.step()
        if any(left is before for left in driven.pending() for before in pending):
            assert driven.worker.progress.records == read
            waited += 1
    driven.worker.run()
    assert waited > 10
    assert driven.alert_ids() == expected


def test_refused_records_are_published_again_in_order(expected: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Judge takes a pane that comes after its successor for repeated: nothing queued behind a refused one may stay."""
    driven = Driven()
    driven.bench.publish(STREAM)
    panes = driven.bench.settings.topics.panes
    count = 0

    def every_seventh(record: Outgoing) -> bool:
        nonlocal count
        count += record.topic == panes
        return record.topic == panes and count % 7 == 0 and count < 200

    driven.log.refuse = every_seventh
    driven.to_the_end()

    assert driven.log.producers > 5
    assert set(pauses(caplog)) == {f"paused, nothing is lost: topic {panes}: refused"}
    assert driven.alert_ids() == expected


def test_records_that_kafka_does_not_take_are_queued_once(expected: list[str]) -> None:
    driven = Driven()
    driven.bench.publish([*STREAM, (b"bad", b"not json", START)])
    driven.log.flush.error = DeliveryPending("3 records are not delivered after 5 s and are still retried")
    driven.wait(300)
    assert driven.log.flush.seen > 100
    driven.log.flush.error = None
    driven.to_the_end()

    assert driven.log.producers == 1
    assert driven.alert_ids() == expected
    panes = [decode_record(record.value or b"") for record in driven.bench.records(driven.bench.settings.topics.panes)]
    places = Counter((pane.source, pane.model, pane.start, pane.part) for pane in panes if isinstance(pane, PaneRecord))
    judges = len(driven.bench.log.bounds(driven.bench.settings.topics.panes))  # each of them hears of all models
    assert all(times == (judges if is_census(place[1]) else 1) for place, times in places.items())
    assert len(driven.bench.records(driven.bench.settings.topics.dead_letters)) == 1


def test_a_full_local_queue_is_gone_through_bit_by_bit(expected: list[str]) -> None:
    driven = Driven()
    driven.bench.publish(STREAM)
    room = 3

    class Small(FailingProducer):
        def produce(self, record: Outgoing) -> None:
            nonlocal room
            room -= 1
            if room <= 0:
                room = 3
                raise DeliveryPending("no room")
            super().produce(record)

    driven.worker._checkpointer._producer = Small(driven.log, driven.bench.log.producer())
    driven.to_the_end()
    assert driven.log.producers == 1
    assert driven.alert_ids() == expected


@pytest.mark.parametrize("error", [PublishError("topic alerts: refused"), LogUnavailable("no broker answers")])
def test_status_is_told_why_where_the_store_takes_it(error: DriftlineError) -> None:
    driven = Driven()
    driven.bench.publish(STREAM)
    driven.log.flush.error = error
    driven.step_until(driven.paused)
    driven.wait(3 * TELL_S)
    (word,) = driven.store.told("driftline")
    assert (word.owner, word.why) == ("w", str(error))
    assert word.at - word.since >= TELL_S * 1000
    driven.log.flush.error = None
    driven.to_the_end()
    assert driven.store.told("driftline") == []


def test_stopping_while_the_store_is_away_ends_in_time_and_says_so() -> None:
    driven = Driven(bounded=False, shutdown="3s")
    driven.bench.publish(STREAM)
    driven.step(2)
    driven.store.on["commit"].error = StateUnavailable("Redis is away")
    driven.step_until(driven.paused)
    asked = driven.manual.time
    driven.worker.stop()
    with pytest.raises(StateUnavailable, match="Redis is away"):
        driven.worker.run()
    assert driven.manual.time - asked < 5


def rests(driven: Driven) -> int:
    """Return how often it was told that a partition is idle."""
    marks = [decode_record(record.value or b"") for record in driven.bench.records(driven.bench.settings.topics.panes)]
    return sum(isinstance(mark, Watermark) and mark.idle for mark in marks)


def test_a_log_that_is_away_is_not_idle() -> None:
    """Nothing comes from it either; its panes closed now, all that services keep for it would be late."""
    driven = Driven(bounded=False, idle_timeout="60s")
    driven.bench.publish(STREAM[: 60 * 61])
    driven.step(100)
    driven.log.ask.error = LogUnavailable("no broker answers")
    driven.wait(300)
    assert driven.paused()
    assert rests(driven) == 0

    driven.log.ask.error = None
    driven.wait(30)
    assert not driven.paused()
    assert rests(driven) == 0, "the idle time begins anew"
    driven.wait(40)
    assert rests(driven) > 0


def test_a_worker_that_could_not_read_does_not_take_its_inputs_for_idle() -> None:
    driven = Driven(bounded=False, idle_timeout="60s")
    driven.bench.publish(STREAM[: 60 * 61])
    driven.step(100)
    driven.bench.publish(STREAM[60 * 61 : 60 * 62])
    driven.store.on["commit"].error = StateUnavailable("away")
    driven.step_until(driven.paused)
    driven.bench.publish(STREAM[60 * 62 : 60 * 64])
    driven.wait(300)
    driven.store.on["commit"].error = None
    driven.step_until(lambda: driven.read() == 60 * 64)
    driven.step(10)
    assert rests(driven) == 0


def test_what_is_there_and_not_fetched_yet_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    driven = Driven(bounded=False, idle_timeout="60s")
    driven.bench.publish(STREAM[: 60 * 61])
    driven.step(100)
    stalled = [source for owned in driven.worker._tasks for source in owned.partitions]
    driven.worker._consumer.pause(stalled)  # a broker that answers, and brings nothing,
    monkeypatch.setattr(driven.worker._consumer, "start", lambda positions: None)  # however often it is asked
    driven.bench.publish(STREAM[60 * 61 : 60 * 62])
    driven.wait(90)
    assert rests(driven) == 0
    driven.worker._consumer.resume(stalled)
    driven.step_until(lambda: driven.read() == 60 * 62)
    driven.wait(30)
    assert rests(driven) == 0
