"""What the client brings twice counts once, and what it leaves out is fetched again, whatever it does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.log.api import Batch, Polled, Record, TopicPartition
from driftline.log.memory_consumer import MemoryBatch
from driftline.runtime.task import Owned
from driftline.state.api import Claim, TaskId
from tests.runtime.streams import Bench, Manual, Plain, settings

SOURCE = TopicPartition("t", 0)
FIRST = 100


class Noting(Plain):
    """A stage that notes what it was given."""

    name = "noting"
    inputs: tuple[str, ...] = (SOURCE.topic,)
    at_once = 3

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.values: list[bytes | None] = []

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        raise NotImplementedError

    def process(self, batch: Batch) -> bool:
        self.offsets += batch.offsets
        self.values += batch.values
        assert [batch.record(at).value for at in range(len(batch.offsets))] == list(batch.values)
        assert list(batch.timestamps) == list(batch.offsets)
        return True

    def checkpoint(self) -> dict[str, bytes | None]:
        raise NotImplementedError


def owned(*, end: int | None = None) -> tuple[Owned, Noting]:
    task, stage = TaskId("g", "noting", 0), Noting()
    claim = Claim(task, "w", 1, 1, {SOURCE.topic: FIRST}, {}, ())
    ends = {} if end is None else {SOURCE.topic: end}
    return Owned(task, stage, claim, 1, {SOURCE.topic: FIRST}, {SOURCE.topic: FIRST}, ends, 0.0, 0.0), stage


def batch(offsets: Sequence[int]) -> MemoryBatch:
    values = [str(offset).encode() for offset in offsets]
    return MemoryBatch(SOURCE, values, list(offsets), list(offsets), [Record(None, value) for value in values])


def worked(task: Owned) -> None:
    while task.waiting:
        task.work()


@given(st.data())
def test_each_record_counts_once_and_in_order_however_often_it_comes(data: st.DataObject) -> None:
    task, stage = owned()
    gaps = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=40))  # of compaction and transactions
    there = [FIRST + number + sum(gaps[: number + 1]) for number in range(len(gaps))]
    at = 0
    while at < len(there):
        runs = []
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, min(at, len(there) - 1)))
            at_end = data.draw(st.integers(start + 1, len(there)))
            runs += there[start:at_end]
            at = max(at, at_end)
        if not task.receive(batch(runs), 0.0):
            assert task.receive(batch(runs), 0.0), "a gap that is there when it is fetched again is one of the log"
        if data.draw(st.booleans()):
            worked(task)
    worked(task)
    assert stage.offsets == there
    assert stage.values == [str(offset).encode() for offset in there]
    assert task.positions == {SOURCE.topic: there[-1] + 1}


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8))
def test_what_the_client_leaves_out_is_fetched_again(records: int, astray: list[tuple[int, int]]) -> None:
    end = FIRST + records
    task, stage = owned(end=end)
    for begins, size in [*astray, (0, 0)]:
        offsets = range(min(FIRST + begins, end), min(FIRST + begins + size, end))
        if offsets and not task.receive(batch(offsets), 0.0):
            told = task.next(SOURCE.topic)  # and there it begins
            assert told < offsets[0]
            assert task.receive(batch(range(told, told + 1)), 0.0)
        if not offsets and task.next(SOURCE.topic) < end:
            assert not task.reach_end(SOURCE.topic)
            task.doubted.clear()
    if task.next(SOURCE.topic) < end:
        assert task.receive(batch(range(task.next(SOURCE.topic), end)), 0.0)
    worked(task)
    assert stage.offsets == list(range(FIRST, end))


def test_gaps_that_were_there_again_are_believed_from_then_on() -> None:
    task, stage = owned()
    assert not task.receive(batch([102, 103]), 0.0)
    assert task.receive(batch([102, 103]), 0.0)
    assert task.receive(batch([105]), 0.0)
    task.forget_fetched()
    assert not task.receive(batch([104]), 0.0), "after a start, it has to be shown again"
    worked(task)
    assert stage.offsets == []


@pytest.mark.parametrize("pieces", [[[6, 7], [9]], [[6, 7, 9]]])
def test_a_gap_before_several_batches_is_fetched_once_more_and_then_believed(pieces: list[list[int]]) -> None:
    """A poll may bring several of a partition, and its end: each lies behind the gap, and none begins where it ends."""
    bench, manual = Bench(settings()), Manual()
    worker = bench.worker(clock=manual.clock())
    while not list(worker._tasks):
        worker.step()
    task = next(owned for owned in worker._tasks if owned.task.stage == "summarise")
    (source,) = task.partitions
    task.ends[source.topic] = 12
    batches = tuple(replace(batch(offsets), source=source) for offsets in pieces)
    for _ in range(2):  # once more
        assert not task.waiting
        worker._tasks.take(Polled(batches, frozenset({source})), manual.time)
    assert list(task.waiting) == list(batches)


def test_an_input_that_ends_early_is_asked_once_more() -> None:
    task, _ = owned(end=FIRST + 2)
    assert not task.reach_end(SOURCE.topic)
    assert task.caught_up == set()
    assert task.reach_end(SOURCE.topic), "what lies before its end are records of transactions"
    assert task.caught_up == {SOURCE.topic}
