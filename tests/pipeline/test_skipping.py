"""A person lets a task go on at another offset: in one fenced commit, with what is left out counted and told."""

import json
from typing import Any

import pytest

from driftline.cli.state import checked
from driftline.cli.status import collect
from driftline.errors import InputError, StateError
from driftline.log.api import TopicPartition
from driftline.observe import metrics
from driftline.pipeline.skipping import SkipPlan, carry_out, plan_skip
from driftline.runtime.inputs import INPUTS, decode_inputs
from driftline.runtime.owning import ASIDE_S
from driftline.runtime.progress import samples
from driftline.state.api import Commit, CommitOutcome, Committed, TaskId
from driftline.state.memory import MemoryStore
from tests.cli.test_status import shown
from tests.runtime.streams import Bench, Manual, settings
from tests.runtime.test_lost_offsets import (
    HALF,
    LOST,
    OTHERS,
    PANES,
    PREDICTIONS,
    STREAM,
    anew,
    caught_up,
    end,
    half_done,
    lose_the_end,
    offset,
    steps,
    stop,
)


def plan(bench: Bench, task: TaskId, to: str, *, force: bool = False) -> SkipPlan:
    return plan_skip(bench.store, bench.log, bench.settings, task, to, force=force)


def skip(bench: Bench, task: TaskId, to: str, *, force: bool = False) -> SkipPlan:
    made = plan(bench, task, to, force=force)
    carry_out(bench.store, bench.log, bench.settings, made)
    return made


def view(bench: Bench, task: TaskId) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench.store.read(task, "view/progress")["view/progress"])
    return found


def skipped(bench: Bench, task: TaskId) -> int:
    return sum(held.skipped for held in decode_inputs(bench.store.read(task, INPUTS)).values())


def alerts(bench: Bench) -> list[dict[str, Any]]:
    found = [json.loads(record.value or b"{}") for record in bench.records(bench.settings.topics.alerts)]
    return [alert for alert in found if alert["data"]["kind"] == "skipped"]


def passed_by_retention(ahead: int = 100) -> tuple[Bench, Manual, int]:
    bench, manual = half_done()
    at = offset(bench, LOST)
    bench.publish(STREAM[HALF:])
    bench.log.trim(TopicPartition(PREDICTIONS, 1), at + ahead)
    return bench, manual, at


def test_a_running_worker_goes_on_behind_what_retention_took_and_all_that_is_left_out_is_counted_and_told() -> None:
    bench, manual, at = passed_by_retention()
    workers = [bench.worker(name, bounded=False, clock=manual.clock()) for name in ("second", "third")]
    steps(workers, manual, lambda: any(worker.progress.set_aside for worker in workers))
    before = view(bench, LOST)
    done = skip(bench, LOST, "first")
    assert (done.offset, done.to, done.records, done.again, done.anew) == (at, at + 100, 100, 0, False)
    assert "summarise 1 continues at offset" in done.words
    assert "skips 100 records" in done.words
    assert "100 records are missing" in done.fault
    assert offset(bench, LOST) == at + 100
    assert view(bench, LOST) == before  # nothing of its state but the count
    manual.time += ASIDE_S
    steps(workers, manual, lambda: caught_up(bench, LOST, *OTHERS))
    assert not any(worker.progress.set_aside for worker in workers)
    after = view(bench, LOST)
    assert after["consumed"] == after["accepted"] + sum(after["rejected"].values())
    assert after["consumed"] + skipped(bench, LOST) == end(bench, LOST)
    assert [skipped(bench, task) for task in (LOST, *OTHERS)] == [100, 0, 0]

    found = collect(bench.log, bench.store, bench.settings, now_ms=0)
    assert [each.skipped for each in found.partitions] == [0, 100, 0, 0, 0]
    assert "an operator skipped 100 records of predictions 1" in shown(found)
    (info,) = [info for info in bench.store.tasks("driftline") if info.task == LOST]
    assert checked(bench.store, bench.log, bench.settings, info).skipped == 100
    measured = [
        (sample.labels, sample.value)
        for worker in workers
        for sample in samples(worker.progress, worker._tasks, lambda source, at: None, 0)
        if sample.metric is metrics.SKIPPED
    ]
    assert ((PREDICTIONS, "1"), 100) in measured
    assert sum(value for _, value in measured) == 100
    stop(*workers)

    bench.worker("last").run()
    firing, resolved = alerts(bench)
    assert (firing["data"]["status"], firing["severity"], firing["data"]["model"]) == ("firing", "critical", "")
    assert firing["data"]["summary"].startswith(
        f"(stream)[predictions 1]: an operator skipped records, which stay uncounted: 100 known records, "
        f"from offset {at} to {at + 100}. Environment:"
    )
    assert firing["data"]["window"]["count"] == 100
    assert resolved["data"]["status"] == "resolved"
    assert resolved["data"]["incident"] == firing["data"]["incident"]


def test_the_alert_fires_as_soon_as_the_next_owner_has_published_the_word_of_it() -> None:
    bench, manual, _ = passed_by_retention()
    skip(bench, LOST, "first")
    assert [info.outbox for info in bench.store.tasks("driftline") if info.task == LOST] == [1]
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: bool(alerts(bench)))
    assert [alert["data"]["status"] for alert in alerts(bench)][:1] == ["firing"]
    stop(worker)


def test_what_follows_is_judged_with_the_state_of_before() -> None:
    bench, _, _ = passed_by_retention()
    skip(bench, LOST, "first")
    bench.worker("last").run()
    assert view(bench, LOST)["consumed"] == end(bench, LOST) - 100
    found = collect(bench.log, bench.store, bench.settings, now_ms=0)
    (model,) = found.models
    assert "data_drift" in [incident.kind for incident in model.incidents]  # the stream's own shift


def test_a_skip_to_the_latest_or_to_an_offset_gives_up_what_is_still_there() -> None:
    bench, _, at = passed_by_retention()
    last = end(bench, LOST)
    assert plan(bench, LOST, "latest").records == last - at
    assert plan(bench, LOST, str(at + 150)).records == 150
    for wrong in ("0", str(at), str(last + 1), "-1", "newest", ""):
        with pytest.raises(InputError, match=rf"write first, latest, or an offset from {at + 100} to {last}"):
            plan(bench, LOST, wrong)


def test_an_offset_that_can_be_read_from_is_left_only_when_that_is_meant() -> None:
    bench, _, _ = passed_by_retention()
    healthy = OTHERS[0]
    with pytest.raises(InputError, match="can be read, and workers continue there; add --force"):
        plan(bench, healthy, "latest")
    assert plan(bench, healthy, "latest", force=True).records == end(bench, healthy) - offset(bench, healthy)
    for back in ("first", str(offset(bench, healthy))):
        with pytest.raises(InputError, match=r"nothing to skip.*state reset summarise 0 --force"):
            plan(bench, healthy, back, force=True)


def test_tasks_that_there_are_not() -> None:
    bench, _, _ = passed_by_retention()
    with pytest.raises(InputError, match="there is no stage 'sumarise': write summarise or judge"):
        plan(bench, TaskId("driftline", "sumarise", 1), "first")
    with pytest.raises(InputError, match="no offset is stored of summarise 7"):
        plan(bench, TaskId("driftline", "summarise", 7), "first")


def test_a_task_that_moved_on_meanwhile_is_left_alone() -> None:
    bench, _, _ = passed_by_retention()
    healthy = OTHERS[0]
    made = plan(bench, healthy, "latest", force=True)
    claim = bench.store.claim(healthy, "worker")
    step = Commit(claim.sequence, claim.offsets, {PREDICTIONS: made.offset + 1}, {})
    assert bench.store.commit(claim, step).outcome is CommitOutcome.OK
    with pytest.raises(InputError, match=f"moved on to offset {made.offset + 1} meanwhile, so nothing was skipped"):
        carry_out(bench.store, bench.log, bench.settings, made)
    assert offset(bench, healthy) == made.offset + 1


class Overtaken(MemoryStore):
    """A worker claims each task just before a commit of the command."""

    def commit(self, claim: Any, commit: Commit) -> Committed:
        if claim.owner == "driftline state skip":
            self.claim(claim.task, "worker")
        return super().commit(claim, commit)


def test_a_worker_that_claims_in_between_is_not_overwritten() -> None:
    bench, _, at = passed_by_retention()
    store = Overtaken()
    assert isinstance(bench.store, MemoryStore)
    store._stored = bench.store._stored
    made = plan(bench, LOST, "first")
    with pytest.raises(StateError, match="was not moved, a worker was faster"):
        carry_out(store, bench.log, bench.settings, made)
    assert offset(bench, LOST) == at
    assert skipped(bench, LOST) == 0


def test_a_worker_that_owns_the_task_is_fenced_and_goes_on_at_the_new_offset() -> None:
    bench, manual = half_done()
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: len(worker.progress.tasks) == 5)
    bench.publish(STREAM[HALF:])
    made = skip(bench, OTHERS[0], "latest", force=True)
    steps([worker], manual, lambda: caught_up(bench, LOST, *OTHERS))
    for _ in range(30):
        worker.step()
        manual.time += 0.2
    seen = view(bench, OTHERS[0])
    assert seen["consumed"] + made.records == end(bench, OTHERS[0])
    assert skipped(bench, OTHERS[0]) == made.records
    stop(worker)


def test_a_topic_that_was_created_anew_is_read_from_its_first_record_on_each_once() -> None:
    bench, manual = half_done()
    anew(bench, len(STREAM))
    counted = {task: view(bench, task)["consumed"] for task in (LOST, *OTHERS)}
    for task in (LOST, *OTHERS):
        made = skip(bench, task, "first")
        assert (made.records, made.to, made.anew) == (0, 0, True)
        assert "the number of records is unknown" in made.words
    bench.worker("last").run()
    for task in (LOST, *OTHERS):
        seen = view(bench, task)
        assert offset(bench, task) == end(bench, task)
        assert seen["consumed"] == counted[task] + end(bench, task)
        assert seen["consumed"] == seen["accepted"] + sum(seen["rejected"].values())
    assert all("of the topic that was deleted" in alert["data"]["summary"] for alert in alerts(bench)[:3])
    worker = bench.worker("again", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: len(worker.progress.tasks) == 5)  # the new id is stored
    stop(worker)


def test_a_source_whose_topic_was_created_anew_still_tells_judge_that_it_is_quiet() -> None:
    """Judge knows a repeated word by its place: places must go on ascending, though offsets begin at 0 again."""
    bench, manual = Bench(settings(idle_timeout="60s", checkpoint="1s")), Manual()
    bench.publish(STREAM[:HALF])
    idle_for(300, bench, manual)
    bench.log.delete_topic(PREDICTIONS)
    bench.log.create_topics({PREDICTIONS: 3}, {})
    bench.publish(STREAM[HALF - 30 : HALF])
    for task in (LOST, *OTHERS):
        skip(bench, task, "first")
    idle_for(100, bench, manual)  # for shorter than before: time does not move on, so that places alone can tell
    assert caught_up(bench, LOST, *OTHERS)


def idle_for(seconds: int, bench: Bench, manual: Manual) -> None:
    """Let a worker read all and be idle. In the end Judge knows that no source will send more."""
    worker, over = bench.worker("worker", bounded=False, clock=manual.clock()), manual.time + seconds
    steps([worker], manual, lambda: manual.time > over)
    stop(worker)
    for number in (0, 1):
        found = bench.store.read(TaskId("driftline", "judge", number), "view/incidents")["view/incidents"]
        assert [source["idle"] for source in json.loads(found)["sources"].values()] == [True, True, True]


def test_a_log_that_lost_its_end_is_read_on_from_where_it_ended() -> None:
    bench, manual = half_done()
    at = offset(bench, LOST)
    lose_the_end(bench)
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: bool(worker.progress.set_aside))
    bench.publish(STREAM[HALF:])
    last = end(bench, LOST)
    back = plan(bench, LOST, str(at - 40))
    assert (back.records, back.again) == (0, 10)
    assert "10 records that it then reads were counted before, and count twice" in back.words
    assert plan(bench, LOST, "latest").records == last - at + 30
    counted = view(bench, LOST)["consumed"]
    done = skip(bench, LOST, str(at - 30))
    assert (done.records, done.again) == (0, 0)
    manual.time += ASIDE_S
    steps([worker], manual, lambda: caught_up(bench, LOST, *OTHERS) and not worker.progress.set_aside)
    assert view(bench, LOST)["consumed"] == counted + last - at + 30
    stop(worker)


def test_a_judge_goes_on_with_the_panes_that_are_left() -> None:
    bench, manual = half_done()
    judge = max((TaskId("driftline", "judge", number) for number in (0, 1)), key=lambda task: end(bench, task))
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: caught_up(bench, judge))
    worker.close()
    bench.publish(STREAM[HALF:])
    claim, at = bench.store.claim(judge, "test"), offset(bench, judge)
    bench.store.commit(claim, Commit(claim.sequence, claim.offsets, {PANES: at - 5}, {}))
    bench.log.trim(TopicPartition(PANES, judge.partition), at)
    worker = bench.worker("third", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: bool(worker.progress.set_aside))
    made = skip(bench, judge, "first")
    assert made.records == 5
    assert "Panes are lost: Judge evaluates windows of that time with what is left" in made.words
    manual.time += ASIDE_S
    steps([worker], manual, lambda: caught_up(bench, LOST, *OTHERS, judge))
    stop(worker)
    bench.worker("last").run()
    assert alerts(bench)[0]["data"]["segment"] == f"{PANES} {judge.partition}"
    assert skipped(bench, judge) == 5


def test_words_that_come_again_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next owner publishes it, dies before it can say so, and the one behind publishes it once more."""
    bench, manual, _ = passed_by_retention()
    skip(bench, LOST, "first")
    acknowledged = bench.store.ack
    monkeypatch.setattr(bench.store, "ack", lambda claim, through: CommitOutcome.OK)
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: bool(alerts(bench)))
    worker.close()
    monkeypatch.setattr(bench.store, "ack", acknowledged)
    bench.worker("last").run()
    assert len({alert["id"] for alert in alerts(bench)}) == 2


def test_a_panes_topic_that_was_created_anew_is_read_from_its_first_record_on() -> None:
    bench, manual = half_done()
    judges = [TaskId("driftline", "judge", number) for number in (0, 1)]
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps([worker], manual, lambda: caught_up(bench, *judges))
    bench.log.delete_topic(PANES)
    bench.log.create_topics({PANES: 2}, {})
    bench.publish(STREAM[HALF:])
    steps([worker], manual, lambda: len(worker.progress.set_aside) == 2 and caught_up(bench, LOST, *OTHERS))
    for judge in judges:
        assert skip(bench, judge, "first").anew
    manual.time += ASIDE_S
    steps([worker], manual, lambda: caught_up(bench, *judges) and not worker.progress.set_aside)
    stop(worker)
    bench.worker("last").run()
    assert [each["data"]["segment"] for each in alerts(bench)[:2]] == [f"{PANES} 0", f"{PANES} 1"]
    view_of = bench.store.read(judges[0], "view/incidents")["view/incidents"]
    assert json.loads(view_of)["counters"]["unreadable"] == 0
