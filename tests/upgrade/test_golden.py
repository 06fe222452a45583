"""What earlier releases stored is read by this one, and goes on as if nothing had happened."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import asdict

from driftline.columns.signals import is_beside
from driftline.evidence import reference
from driftline.formats import event_shape
from driftline.incidents.incident import Kind, Status, Subject
from driftline.panes import open as open_panes
from driftline.panes import records, stored_rows
from driftline.panes.census import is_census
from driftline.panes.records import GROUP_STEP, PANE, WATERMARK, PaneRecord, Watermark, decode_record
from driftline.sketches.cells import Cells
from driftline.sketches.group import ROLES
from driftline.tasks import admission, reference_learning, volume
from driftline.tasks import judge as judge_module
from driftline.tasks import summarise as summarise_module
from driftline.tasks.judge import SUBJECT_VERSION, Judge
from driftline.tasks.summarise import Summarise
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
        ("subject", judge_module.SUBJECT_VERSION),
        ("rows", stored_rows.VERSION),
        ("cells", open_panes.VERSION),
        ("reference", reference.VERSION),
        ("volume", volume.VERSION),
        (PANE, records.PANE_VERSION),
        (WATERMARK, records.VERSION),
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


@golden_files
def test_summarise_goes_on_from_a_golden_state_to_the_very_panes_that_were_sent_then(golden: Golden) -> None:
    task = Summarise(summarise_settings(), 0, 1)
    task.restore(golden.summarise)
    assert task.position == golden.cut
    sent = [
        record for stop in range(golden.cut, len(golden.values), 250) for record in fed(task, golden, stop, stop + 250)
    ]
    cut = max(at for at, record in enumerate(golden.panes, start=1) if _position(record) == golden.cut)
    if ("cells", 1) in golden.versions:  # of before it was counted how events came
        assert any(record != _without_arrivals(record) for record in sent)
        sent = [_without_arrivals(record) for record in sent]
    if dict(golden.versions)["summarise"] < 4:  # where panes went out once, whatever came for them later was late
        assert {_flushes(record) for record in sent} <= {1, None}
        sent = [_without_flushes(record) for record in sent]
    if ("places", 1) not in golden.versions:  # of before tasks of Judge were told of all models
        sent = [record for record in sent if not _is_census(record)]
    assert sent == [_today(record) for record in golden.panes[cut:]]
    whole = Summarise(summarise_settings(), 0, 1)
    fed(whole, golden, 0, len(golden.values))
    assert whole.counters.refused == task.counters.refused
    assert whole.counters.accepted == task.counters.accepted


def _today(record: bytes) -> bytes:
    return decode_record(record).encode()


def _without_arrivals(record: bytes) -> bytes:
    found = decode_record(record)
    if isinstance(found, Watermark):
        return record
    fields = tuple(name for name in found.signals if not is_beside(name))
    inside = np.flatnonzero(found.cells.ids % GROUP_STEP // ROLES < len(fields))
    return replace(found, signals=fields, cells=found.cells.take(inside)).encode()


def _flushes(record: bytes) -> int | None:
    found = decode_record(record)
    return found.flushes if isinstance(found, PaneRecord) else None


def _without_flushes(record: bytes) -> bytes:
    found = decode_record(record)
    return replace(found, flushes=0).encode() if isinstance(found, PaneRecord) else record


def _is_census(record: bytes) -> bool:
    found = decode_record(record)
    return isinstance(found, PaneRecord) and is_census(found.model)


def _position(record: bytes) -> int:
    found = decode_record(record)
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
    """What is seen, learned and open is the same. Alerts may be fewer: what was added to the state since is unknown.

    Release 0.1.0 let a segment wait for a reference of its own where it now borrows the model's: of its state, what is
    known of all events must be the same. What earlier releases learned says otherwise how much windows vary, and has
    another address. Up to version 5 of subjects, values out of range were evidence beside that of their drift.
    """
    with_segments = ("subject", 1) not in golden.versions
    same_references = ("judge", 4) in golden.versions  # what earlier ones learned does not say whose the events were
    restored, whole = Judge(judge_settings()), Judge(judge_settings())
    restored.restore(golden.judge)
    whole.process(golden.panes[: golden.sent])
    whole.emit()
    assert _seen(restored, with_segments, same_references) == _seen(whole, with_segments, same_references)
    if with_segments:
        assert _own(restored) == _own(whole)
    for judge in (restored, whole):
        assert judge.process(golden.panes[golden.sent :]) == []
    assert _seen(restored, with_segments, same_references) == _seen(whole, with_segments, same_references)
    told, expected = _told(restored), _told(whole)
    if not any(("subject", version) in golden.versions for version in range(6, SUBJECT_VERSION + 1)):
        told = {each for each in told if each[1] is not Kind.DATA_QUALITY or each in expected}
    assert {each for each in told if with_segments or not each[0].segment} <= expected
    assert {status for _, _, status in told} == {"firing", "resolved"}
    stored = {**golden.judge, **{name: blob for name, blob in restored.checkpoint().items() if blob is not None}}
    again = Judge(judge_settings())
    again.restore(stored)
    assert _seen(again, with_segments, same_references) == _seen(whole, with_segments, same_references)


def _own(judge: Judge) -> set[tuple[str, Kind]]:
    """Return what is open of versions and segments: how many events a model has may be learned anew meanwhile."""
    whole = {Kind.VOLUME, Kind.MIX, Kind.RELEASE}
    return {(model, kind) for model, kind in judge.open_incidents() if kind not in whole}


def _told(judge: Judge) -> set[tuple[Subject, Kind, Status]]:
    incidents = [alert.incident for alert in judge.emit()]
    return {(incident.subject, incident.kind, incident.status) for incident in incidents}


def _seen(judge: Judge, with_segments: bool, same_references: bool) -> object:
    view = judge.view()
    counters = {name: count for name, count in asdict(view.counters).items() if with_segments or name != "windows"}
    subjects = [
        (each.model, each.version, each.segment, each.window)
        if not with_segments
        else (
            each.model,
            each.version,
            each.segment,
            each.window,
            each.reference if same_references else each.reference is not None,
            each.learned_events,
        )
        for each in view.subjects
        if with_segments or not each.segment
    ]
    return view.mark, counters, view.sources, subjects
