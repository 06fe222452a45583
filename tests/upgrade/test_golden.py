"""What earlier releases stored is read by this one, and goes on as if nothing had happened."""

import pytest
from msgspec.structs import replace

from driftline.evidence import reference
from driftline.formats import event_shape
from driftline.incidents.incident import Status
from driftline.labels import ledger
from driftline.labels.join import Fate
from driftline.panes import open as open_panes
from driftline.panes import outcomes, records, stored_rows
from driftline.panes.outcomes import OutcomeRecord, decode_outcomes, is_of_outcomes
from driftline.panes.records import PANE, WATERMARK, PaneRecord, Watermark, decode_record
from driftline.performance import reference as performance_reference
from driftline.performance import tally
from driftline.sketches.cells import Cells
from driftline.tasks import admission, labelling
from driftline.tasks import judge as judge_module
from driftline.tasks import summarise as summarise_module
from driftline.tasks.judge import Judge
from driftline.tasks.outcomes import outcome_judge, performance
from driftline.tasks.subjects import reference_learning, stored
from driftline.tasks.summarise import Summarise
from driftline.tasks.views import JudgeView
from driftline.tasks.watching import capacity, releases, silence, stream, volume
from tests.upgrade.golden import Golden, fed, judge_settings, kind_and_version, read_all, summarise_settings

FILES = read_all()
golden_files = pytest.mark.parametrize("golden", FILES.values(), ids=FILES)


def test_there_is_a_file_for_every_version_that_this_release_writes() -> None:
    written = {
        ("summarise", summarise_module.TASK_VERSION),
        ("shapes", event_shape.VERSION),
        ("judge", judge_module.VERSION),
        ("places", admission.VERSION),
        ("slice", reference_learning.SLICE_VERSION),
        ("subject", stored.SUBJECT_VERSION),
        ("rows", stored_rows.VERSION),
        ("cells", open_panes.VERSION),
        ("reference", reference.VERSION),
        ("volume", volume.VERSION),
        (stream.BLOB, stream.VERSION),
        (capacity.BLOB, capacity.VERSION),
        (silence.SILENCES, silence.VERSION),
        (releases.RELEASES, releases.VERSION),
        (judge_module.DETECTORS, judge_module.DETECTORS_VERSION),
        (PANE, records.PANE_VERSION),
        (WATERMARK, records.VERSION),
        (labelling.BLOB, labelling.VERSION),
        ("ledger", ledger.VERSION),
        (tally.KIND, tally.VERSION),
        (outcomes.OUTCOMES, outcomes.VERSION),
        (outcomes.MARK, outcomes.VERSION),
        (outcome_judge.KIND, outcome_judge.VERSION),
        (performance.SUBJECT, performance.VERSION),
        (performance.ARRIVALS, performance.VERSION),
        (performance_reference.KIND, performance_reference.VERSION),
    }
    kept = {found for golden in FILES.values() for found in golden.versions}
    assert written - kept == set(), "a version of state has no golden file: run `make golden` and commit what it writes"


@golden_files
def test_the_files_hold_something_of_everything(golden: Golden) -> None:
    judge = Judge(judge_settings())
    judge.restore(golden.judge)
    assert judge.open_incidents()
    assert judge.detectors
    subjects = judge.view().subjects
    assert {subject.learned_events > 0 for subject in subjects} == {True, False}
    kinds = {name.split("/")[0] for name in golden.judge}
    assert {"task", "subject", "slice", "reference", "pane"} <= kinds
    assert any(name.startswith("cells/") for name in golden.summarise)
    assert {"outcomes", "performance"} <= kinds
    assert {"labels/0/known", "labels/0/facts", "labels/early/rows", "labels/outcomes"} <= {
        name.rpartition("/")[0].removesuffix("/rows") if "early" not in name else name.rpartition("/")[0]
        for name in golden.summarise
        if name.startswith("labels/")
    }
    task = Summarise(summarise_settings(), 0, 1)
    task.restore(golden.summarise)
    assert task.labelling is not None
    assert min(task.labelling.held, task.labelling.waiting, task.labelling.fates[Fate.JOINED]) > 0


@golden_files
def test_summarise_goes_on_from_a_golden_state_to_the_very_panes_that_were_sent_then(golden: Golden) -> None:
    task = Summarise(summarise_settings(), 0, 1)
    task.restore(golden.summarise)
    assert task.position == golden.cut
    sent = [
        record for stop in range(golden.cut, len(golden.values), 250) for record in fed(task, golden, stop, stop + 250)
    ]
    cut = max(at for at, record in enumerate(golden.panes, start=1) if _position(record) == golden.cut)
    assert sent == [_today(record) for record in golden.panes[cut:]]
    whole = Summarise(summarise_settings(), 0, 1)
    fed(whole, golden, 0, len(golden.values))
    assert whole.counters.rejected == task.counters.rejected
    assert whole.counters.accepted == task.counters.accepted


def _today(record: bytes) -> bytes:
    return _decoded(record).encode()


def _decoded(record: bytes) -> PaneRecord | OutcomeRecord | Watermark:
    return decode_outcomes(record) if is_of_outcomes(record) else decode_record(record)


def _position(record: bytes) -> int:
    found = _decoded(record)
    return found.position if isinstance(found, Watermark) else -1


@golden_files
def test_panes_records_of_then_say_the_same_today(golden: Golden) -> None:
    for record in golden.panes:
        today = _today(record)
        assert _today(today) == today
        if kind_and_version(record) == kind_and_version(today):
            assert today == record
        else:
            assert _content(today) == _content(record)


def _content(record: bytes) -> object:
    found = decode_record(record)
    assert isinstance(found, PaneRecord)
    said = [getattr(found, name) for name in PaneRecord.__slots__ if name != "cells"]
    return said, [getattr(found.cells, name).tolist() for name in Cells.__slots__]


@golden_files
def test_judge_goes_on_from_a_golden_state_as_if_it_had_judged_all_of_it(golden: Golden) -> None:
    restored, whole = Judge(judge_settings()), Judge(judge_settings())
    restored.restore(golden.judge)
    whole.process(golden.panes[: golden.sent])
    whole.emit()
    assert _kept(restored) == _kept(whole)
    for judge in (restored, whole):
        assert judge.process(golden.panes[golden.sent :]) == []
    assert restored.view() == whole.view()
    told = [alert.incident for alert in restored.emit()]
    assert told == [alert.incident for alert in whole.emit()]
    assert {incident.status for incident in told} == set(Status)
    stored = {**golden.judge, **{name: blob for name, blob in restored.checkpoint().items() if blob is not None}}
    again = Judge(judge_settings())
    again.restore(stored)
    assert _kept(again) == _kept(whole)


def _kept(judge: Judge) -> JudgeView:
    """Return what a Judge shows, but for what it measures anew with the next window."""
    view = judge.view()
    return replace(view, subjects=[replace(subject, signals=[]) for subject in view.subjects])
