"""State is taken up by other settings, and refused where it makes no sense: found by fuzzing, one by one."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from driftline.codec import pack, unpack
from driftline.errors import StateCorrupt
from driftline.panes.records import PaneRecord, decode_record
from driftline.runtime.outbox import decode_outgoing
from driftline.sketches.packing import unpack_cells
from driftline.tasks.judge import Judge
from driftline.tasks.model_rules import JudgeSettings
from tests.fuzz.states import Blobs, Sample, header_of, samples, sealed
from tests.fuzz.worlds import judge_settings


@pytest.fixture(scope="module")
def summarise() -> Sample:
    return samples(random.Random("restoring"))[0]


@pytest.fixture(scope="module")
def judge() -> Sample:
    return samples(random.Random("restoring"))[1]


def other_rules(**changes: Any) -> JudgeSettings:
    settings = judge_settings()
    rules = replace(settings.rules("m"), **changes)
    return replace(settings, rules=lambda model: rules)


def watched(judge: Judge) -> int:
    return sum(subject.reference is not None for subject in judge.view().subjects)


@pytest.mark.parametrize(
    "windows",
    [((30_000, 30_000),), ((60_000, 60_000), (120_000, 60_000)), ((120_000, 60_000), (60_000, 60_000))],
    ids=["another size", "one more", "one before"],
)
def test_windows_that_are_asked_for_no_more_are_let_go_and_new_ones_begin(
    judge: Sample, windows: tuple[tuple[int, int], ...]
) -> None:
    settings = other_rules(windows=windows)
    task, before = Judge(settings), Judge(judge_settings())
    task.restore(judge.blobs)
    before.restore(judge.blobs)
    assert watched(task) == watched(before) > 0
    assert task.open_incidents() == before.open_incidents()
    kept = [name for name in judge.blobs if name.startswith("pane/")]
    task.process([judge.blobs[name] for name in kept])
    again = Judge(settings)
    again.restore({**judge.blobs, **{name: blob for name, blob in task.checkpoint().items() if blob}})
    assert watched(again) == watched(task)


def test_the_window_that_was_judged_last_is_shown_as_before(judge: Sample) -> None:
    task = Judge(judge_settings())
    task.restore(judge.blobs)
    shown = task.shown()
    assert [each.window.count for each in shown] == [588]
    again = Judge(judge_settings())
    again.restore({**judge.blobs, **{name: blob for name, blob in task.checkpoint().items() if blob}})
    assert [(each.subject, each.window, each.portraits) for each in again.shown()] == [
        (each.subject, each.window, each.portraits) for each in shown
    ]


def test_a_reference_that_is_lost_is_missed(judge: Sample) -> None:
    blobs = {other: blob for other, blob in judge.blobs.items() if not other.startswith("reference/")}
    with pytest.raises(StateCorrupt, match="is not among what was stored"):
        judge.restored(blobs)


Change = Callable[[Any], None]


def changed(blob: bytes, change: Change) -> bytes:
    header, arrays = header_of(blob)
    change(header[2])
    return sealed(header, arrays)


def a_group_without_cells(state: Any) -> None:
    state[6][2][-1][0] -= 1


def a_group_without_number(state: Any) -> None:
    state[6][0] = 0


def a_group_without_length(state: Any) -> None:
    state[6][2][-1][3] = 0


def an_unknown_model(state: Any) -> None:
    state[6][2][-1][1] = "unknown"


def an_unknown_reason(state: Any) -> None:
    state[4] = {63: 1}


def a_watermark_that_is_text(state: Any) -> None:
    state[0] = "now"


def rows_that_wait_twice(state: Any) -> None:
    assert state[6][4]
    state[6][4] *= 2


@pytest.mark.parametrize(
    "change",
    [
        *(a_group_without_cells, a_group_without_number, a_group_without_length),
        *(an_unknown_model, an_unknown_reason, a_watermark_that_is_text, rows_that_wait_twice),
    ],
)
def test_summarise_refuses_what_would_end_it_later(summarise: Sample, change: Change) -> None:
    blobs: Blobs = {**summarise.blobs, "task": changed(summarise.blobs["task"], change)}
    with pytest.raises(StateCorrupt, match="Restore the store from a backup, or start again"):
        summarise.restored(blobs)


def no_version(value: Any) -> None:
    value[0][1] = "another"


def a_score_that_is_no_number(value: Any) -> None:
    value[10][0][2]["scores"] = [float("nan")]


def a_detector_that_is_not_known(value: Any) -> None:
    value[10][0][0] = "__import__"


def an_incident_of_no_time(value: Any) -> None:
    value[7][0]["opened"] = 2**60


def a_rank_of_nothing(value: Any) -> None:
    value[1] = 0


@pytest.mark.parametrize(
    "change",
    [
        *(no_version, a_score_that_is_no_number),
        *(an_incident_of_no_time, a_rank_of_nothing),
    ],
)
def test_judge_refuses_what_would_end_it_later(judge: Sample, change: Change) -> None:
    name = next(
        name
        for name, blob in judge.blobs.items()
        if name.startswith("subject/") and header_of(blob)[0][2][7] and header_of(blob)[0][2][10]
    )
    with pytest.raises(StateCorrupt):
        judge.restored({**judge.blobs, name: changed(judge.blobs[name], change)})


def test_a_detector_that_is_no_longer_installed_is_let_go(judge: Sample) -> None:
    name = next(name for name, blob in judge.blobs.items() if name.startswith("subject/") and header_of(blob)[0][2][10])
    judge.restored({**judge.blobs, name: changed(judge.blobs[name], a_detector_that_is_not_known)})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_evidence_that_is_no_number_would_silence_a_model_for_ever(judge: Sample, value: float) -> None:
    name = next(name for name, blob in judge.blobs.items() if name.startswith("subject/") and header_of(blob)[0][2][10])
    header, _ = header_of(judge.blobs[name])
    arrays = unpack(judge.blobs[name], "subject", [header[1]]).arrays
    evidence = next(array for array in arrays if array.endswith("/past"))
    arrays[evidence][0] = value
    with pytest.raises(StateCorrupt, match="not a number"):
        judge.restored({**judge.blobs, name: pack("subject", header[1], header[2], arrays)})


def test_a_reference_that_is_not_what_its_address_says_is_not_taken_for_it(judge: Sample) -> None:
    first, second, *_ = [name for name in judge.blobs if name.startswith("reference/")]
    with pytest.raises(StateCorrupt, match="is not what its address says"):
        judge.restored({**judge.blobs, first: judge.blobs[second]})


def a_pane(judge: Sample) -> PaneRecord:
    found = decode_record(next(blob for name, blob in judge.blobs.items() if name.startswith("pane/")))
    assert isinstance(found, PaneRecord)
    return found


@pytest.mark.parametrize("changes", [{"length": 2**50}, {"start": -1}, {"start": 2**48}, {"source": 9}, {"groups": ()}])
def test_a_pane_of_no_time_or_source_is_refused(judge: Sample, changes: dict[str, Any]) -> None:
    with pytest.raises(StateCorrupt):
        decode_record(replace(a_pane(judge), **changes).encode())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("counts", lambda array: array.__setitem__(0, 2**62)),
        ("offsets", lambda array: array.__setitem__(slice(None), 2**62)),
        ("keys", lambda array: array.__setitem__(slice(None), 0)),
    ],
)
def test_sketches_that_no_values_give_are_refused(name: str, change: Callable[[Any], None]) -> None:
    arrays = {
        **{"ids0": np.array([3]), "shifts0": np.array([0]), "sizes0": np.array([2])},
        **{"keys0": np.array([1, 2], dtype=np.uint32), "counts0": np.array([5, 1]), "offsets0": np.array([0, 0])},
    }
    assert len(unpack_cells(arrays)) == 1
    change(arrays[f"{name}0"])
    with pytest.raises(StateCorrupt):
        unpack_cells(arrays)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x95\xa1t\xc0\xc0\xff\x90", b"\x95\xa1\xff\xc0\xc0\x00\x90"])
def test_an_outbox_entry_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(StateCorrupt, match="'outbox' cannot be read"):
        decode_outgoing(data)
