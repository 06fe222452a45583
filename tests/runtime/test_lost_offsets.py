"""An offset that is not in the log sets its task aside, whoever owns it: all others go on, and a message says how."""

import logging
from collections.abc import Callable

import pytest

from driftline.cli.state import checked
from driftline.cli.status import collect
from driftline.errors import OffsetLost, TopicError
from driftline.log.api import TopicPartition
from driftline.runtime.inputs import INPUTS, decode_inputs
from driftline.runtime.owning import ASIDE_S
from driftline.runtime.worker import Worker
from driftline.state.api import Commit, TaskId
from tests.cli.test_status import shown
from tests.runtime.streams import Bench, Manual, events, settings

STREAM = events(hours=4, shift_after=2.5)
HALF = len(STREAM) // 2
PREDICTIONS, PANES = "predictions", "driftline.panes"
LOST = TaskId("driftline", "summarise", 1)
OTHERS = [TaskId("driftline", "summarise", number) for number in (0, 2)]


def offset(bench: Bench, task: TaskId) -> int:
    return sum(sum(info.offsets.values()) for info in bench.store.tasks("driftline") if info.task == task)


def end(bench: Bench, task: TaskId) -> int:
    return bench.log.bounds(PREDICTIONS if task.stage == "summarise" else PANES)[task.partition][1]


def fault(bench: Bench, task: TaskId) -> str:
    return next(info.fault for info in bench.store.tasks("driftline") if info.task == task)


def steps(workers: list[Worker], manual: Manual, done: Callable[[], bool]) -> None:
    for _ in range(2_000):
        for worker in workers:
            worker.step()
        manual.time += 0.2
        if done():
            return
    raise AssertionError(f"it never came to that: {[worker.progress for worker in workers]}")


def stop(*workers: Worker) -> None:
    for worker in workers:
        worker.stop()
        worker.run()


def half_done() -> tuple[Bench, Manual]:
    """Let a worker do the first half, and stop it."""
    bench, manual = Bench(settings(idle_timeout="1000d", checkpoint="1s")), Manual()
    bench.publish(STREAM[:HALF])
    worker = bench.worker("first", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: sum(offset(bench, task) for task in (*OTHERS, LOST)) == HALF)
    stop(worker)
    return bench, manual


def lose_the_end(bench: Bench) -> None:
    """Take the last 30 records from the log of a partition."""
    partition = bench.log._cluster.topics[PREDICTIONS][LOST.partition]
    for column in partition.columns:
        del column[-30:]


def caught_up(bench: Bench, *tasks: TaskId) -> bool:
    return all(offset(bench, task) == end(bench, task) for task in tasks)


def aside(workers: list[Worker]) -> list[TopicPartition]:
    return [partition for worker in workers for partition in worker.progress.set_aside]


def test_retention_that_passed_a_partition_sets_its_task_aside_at_every_heir(caplog: pytest.LogCaptureFixture) -> None:
    bench, manual = half_done()
    at = offset(bench, LOST)
    bench.publish(STREAM[HALF:])
    bench.log.trim(TopicPartition(PREDICTIONS, 1), at + 100)
    workers = [bench.worker(name, bounded=False, clock=manual.clock()) for name in ("second", "third")]
    caplog.set_level(logging.ERROR)
    steps(workers, manual, lambda: caught_up(bench, *OTHERS) and bool(aside(workers)))
    for _ in range(3 * int(ASIDE_S / 0.2)):  # it is tried again, and said no more
        workers[0].step()
        workers[1].step()
        manual.time += 0.2
    assert aside(workers) == [TopicPartition(PREDICTIONS, 1)]
    assert offset(bench, LOST) == at
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith(
        f"summarise 1 is set aside, other tasks continue: topic {PREDICTIONS}, partition 1: offset {at} is no longer "
        f"in the log, which begins with {at + 100} now: 100 records are missing"
    )
    assert "`driftline state skip summarise 1 --to first`" in line
    found = collect(bench.log, bench.store, bench.settings, now_ms=0)
    assert [each.fault is None for each in found.partitions] == [True, False, True, True, True]
    assert "summarise 1 is set aside: topic predictions, partition 1: offset" in shown(found)
    infos = {info.task: info for info in bench.store.tasks("driftline")}
    assert "100 records are missing" in checked(bench.store, bench.log, bench.settings, infos[LOST]).fault
    assert not checked(bench.store, bench.log, bench.settings, infos[OTHERS[0]]).fault

    owner = next(worker for worker in workers if worker.progress.set_aside)
    heir = next(worker for worker in workers if worker is not owner)
    stop(owner)
    steps([heir], manual, lambda: bool(heir.progress.set_aside))
    assert "100 records are missing" in heir.progress.set_aside[TopicPartition(PREDICTIONS, 1)]
    assert len(heir.progress.tasks) == 4
    stop(heir)
    with pytest.raises(OffsetLost, match="summarise 1 --to first"):
        bench.worker("bounded").run()


def test_panes_that_retention_took_set_a_judge_aside() -> None:
    bench, manual = half_done()
    judge = next(
        task for task in (TaskId("driftline", "judge", 0), TaskId("driftline", "judge", 1)) if end(bench, task)
    )
    bench.publish(STREAM[HALF:])
    claim = bench.store.claim(judge, "test")
    blobs = {name: blob for name, blob in claim.blobs.items() if name != INPUTS}
    bench.store.commit(claim, Commit(claim.sequence, claim.offsets, {PANES: 1}, blobs))
    bench.log.trim(TopicPartition(PANES, judge.partition), 3)
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: caught_up(bench, LOST, *OTHERS) and bool(worker.progress.set_aside))
    assert "2 records are missing (retention or an operator deleted them)" in fault(bench, judge)
    assert f"`driftline state skip judge {judge.partition} --to first`" in fault(bench, judge)
    stop(worker)


def test_what_was_read_before_the_offset_was_lost_is_committed_first() -> None:
    bench, manual = half_done()
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: len(worker.progress.tasks) == 5)
    bench.publish(STREAM[HALF : HALF + 100])
    steps([worker], manual, lambda: caught_up(bench, LOST, *OTHERS))
    bench.publish(STREAM[HALF + 100 :])
    last = end(bench, LOST)
    worker.step()  # reads it all; the next commit is a second away
    assert offset(bench, LOST) < last
    partition = bench.log._cluster.topics[PREDICTIONS][1]
    bench.log.trim(TopicPartition(PREDICTIONS, 1), last)
    partition.first += 10
    steps([worker], manual, lambda: bool(worker.progress.set_aside))
    assert offset(bench, LOST) == last
    assert ": 10 records are missing" in fault(bench, LOST)
    stop(worker)


def test_an_offset_that_is_in_the_log_after_all_is_read_on_from() -> None:
    bench, manual = half_done()
    bench.publish(STREAM[HALF:])
    partition = bench.log._cluster.topics[PREDICTIONS][1]
    at, partition.first = partition.first, partition.first + 1_000_000
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: bool(worker.progress.set_aside))
    partition.first = at
    steps([worker], manual, lambda: caught_up(bench, LOST, *OTHERS))
    assert not worker.progress.set_aside
    assert not fault(bench, LOST)
    stop(worker)


def test_a_log_that_lost_its_end_holds_its_task_up_even_when_it_has_grown_again() -> None:
    """Else what was written in the meantime would never be read."""
    bench, manual = half_done()
    at = offset(bench, LOST)
    lose_the_end(bench)
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: bool(worker.progress.set_aside))
    assert f"which ended with {at - 30}: it lost its end, 30 records that were counted" in fault(bench, LOST)
    assert f"`driftline state skip summarise 1 --to {at - 30}`" in fault(bench, LOST)
    bench.publish(STREAM[HALF:])
    steps([worker], manual, lambda: caught_up(bench, *OTHERS))
    manual.time += 2 * ASIDE_S
    worker.step()
    stop(worker)
    assert offset(bench, LOST) == at < end(bench, LOST)
    with pytest.raises(OffsetLost, match="it lost its end, 30 records"):
        bench.worker("bounded").run()


def anew(bench: Bench, records: int) -> tuple[str, str]:
    before = bench.log.topic_ids([PREDICTIONS])[PREDICTIONS]
    bench.log.delete_topic(PREDICTIONS)
    bench.log.create_topics({PREDICTIONS: 3}, {})
    bench.publish(STREAM[:records])
    return before, bench.log.topic_ids([PREDICTIONS])[PREDICTIONS]


@pytest.mark.parametrize("records", [60, HALF, len(STREAM)], ids=["shorter", "as long", "longer"])
@pytest.mark.parametrize("lives", [True, False], ids=["under a worker", "while none runs"])
def test_a_topic_that_was_created_anew_is_not_read_on_at_the_old_offsets(records: int, lives: bool) -> None:
    bench, manual = half_done()
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    if lives:
        steps([worker], manual, lambda: len(worker.progress.tasks) == 5)
    before = {task: offset(bench, task) for task in (*OTHERS, LOST)}
    ids = anew(bench, records)
    steps([worker], manual, lambda: len(worker.progress.set_aside) == 3)
    for _ in range(50):
        worker.step()
        manual.time += 0.2
    assert before == {task: offset(bench, task) for task in (*OTHERS, LOST)}
    assert (
        f"topic {PREDICTIONS}, partition 1: the topic was deleted and created again (its id was {ids[0]} and is "
        f"{ids[1]}), so offset {before[LOST]} means nothing there"
    ) in fault(bench, LOST)
    assert "`driftline state skip summarise 1 --to first`" in fault(bench, LOST)
    assert len(worker.progress.tasks) == 2  # Judge goes on
    stop(worker)
    assert before == {task: offset(bench, task) for task in (*OTHERS, LOST)}
    with pytest.raises(OffsetLost, match="created again"):
        bench.worker("bounded").run()


def test_state_of_before_ids_were_stored_takes_the_id_that_it_meets() -> None:
    bench, manual = half_done()
    claim = bench.store.claim(LOST, "earlier")
    ids = {topic: held.topic_id for topic, held in decode_inputs(claim.blobs).items()}
    assert ids == bench.log.topic_ids([PREDICTIONS])
    bench.store.commit(claim, Commit(claim.sequence, claim.offsets, claim.offsets, {INPUTS: None}))
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: INPUTS in bench.store.read(LOST, INPUTS))
    anew(bench, HALF)
    steps([worker], manual, lambda: len(worker.progress.set_aside) == 3)
    stop(worker)


def test_a_topic_that_is_deleted_pauses_a_worker_and_ends_a_bounded_run(caplog: pytest.LogCaptureFixture) -> None:
    bench, manual = half_done()
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: len(worker.progress.tasks) == 5)
    bench.log.delete_topic(PREDICTIONS)
    steps([worker], manual, lambda: worker.progress.pause is not None)
    assert worker.progress.pause is not None
    assert f"topic {PREDICTIONS} does not exist: create it" in worker.progress.pause.why
    (line,) = [line for line in caplog.messages if line.startswith("paused")]
    assert line.startswith("paused: ")  # not that nothing is lost: what was in it is gone
    with pytest.raises(TopicError, match="does not exist: create it with `driftline topics create`"):
        checked(bench.store, bench.log, bench.settings, bench.store.tasks("driftline")[0])
    bench.log.create_topics({PREDICTIONS: 3}, {})
    steps([worker], manual, lambda: worker.progress.pause is None and len(worker.progress.set_aside) == 3)
    stop(worker)

    other = Bench(settings())
    bounded = other.worker("bounded", clock=manual.clock())
    bounded.step()
    other.log.delete_topic(PREDICTIONS)
    with pytest.raises(TopicError, match="does not exist"):
        bounded.run()
