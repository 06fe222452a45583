"""Records of the panes topic: what is written is read, and what is damaged is refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.codec import pack
from driftline.columns.signals import CODE_VERSION
from driftline.errors import StateCorrupt
from driftline.panes.records import GROUP_STEP, Group, PaneRecord, Watermark, decode_record, split
from driftline.sketches.cells import Cells, from_buckets
from driftline.sketches.group import EVENTS, SignalRole
from driftline.sketches.keys import category_key


def pane(source: int = 0, start: int = 60_000, part: int = 0, events: int = 3) -> PaneRecord:
    ids = np.zeros(1, dtype=np.int64)
    cells = from_buckets(ids, ids, ids, ids, np.array([events], dtype=np.int64), ids)
    return PaneRecord(source, 4, 0, "m", start, 60_000, part, 1, (Group("1", ""),), (EVENTS,), cells, {})


def test_a_pane_survives() -> None:
    again = decode_record(pane().encode())
    assert isinstance(again, PaneRecord)
    assert again.encode() == pane().encode()
    ((group, summary),) = again.summaries()
    assert (group, summary.events, again.end) == (Group("1", ""), 3, 120_000)


def test_a_watermark_survives() -> None:
    mark = Watermark(1, 4, 60_000, True, 17)
    assert decode_record(mark.encode()) == mark


@given(st.integers(0, 400), st.binary(max_size=3))
def test_a_damaged_record_is_refused_and_nothing_else_is_raised(at: int, damage: bytes) -> None:
    value = bytearray(pane().encode())
    at %= len(value)
    value[at : at + 1] = damage
    if bytes(value) != pane().encode():
        with pytest.raises(StateCorrupt):
            decode_record(bytes(value))


@pytest.mark.parametrize(
    "value",
    [b"", b"watermark", b"{}", pack("pane", 1, [], {}), pack("watermark", 1, ["x"], {}), pack("pane", 2, [], {})],
)
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(StateCorrupt):
        decode_record(value)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 100))
def test_runs_hold_everything_once_and_weigh_no_more_than_allowed(weights: list[int], most: int) -> None:
    runs = split(np.array(weights, dtype=np.int64), most)
    assert [at for run in runs for at in run] == list(range(len(weights)))
    assert all(len(run) == 1 or sum(weights[at] for at in run) <= most for run in runs)
    for left, right in pairwise(runs):
        assert sum(weights[at] for at in left) + weights[right.start] > most


def tagged(*, signals: tuple[str, ...] = (EVENTS, "features.x", CODE_VERSION)) -> PaneRecord:
    """A pane of two groups, each with three events, numbers of x and one value of the tag."""
    cell = np.array([0, 5, 10])
    cells = np.concatenate([cell, GROUP_STEP + cell])
    order = np.arange(len(cells))
    keys = np.array([0, 77, category_key("git:1")] * 2)
    held = from_buckets(cells, np.zeros_like(cells), order, keys, np.full_like(cells, 3), np.zeros_like(cells))
    return replace(
        pane(),
        groups=(Group("1", ""), Group("1", "tenant=a")),
        signals=signals,
        cells=held,
        categories={category_key("git:1"): "git:1"},
    )


def test_what_stands_beside_the_events_comes_back_as_it_went() -> None:
    record = tagged()
    again = decode_record(record.encode())
    assert isinstance(again, PaneRecord)
    assert again.encode() == record.encode()
    for name in Cells.__slots__:
        assert np.array_equal(getattr(again.cells, name), getattr(record.cells, name))
    assert again.signals == record.signals
    assert again.summaries()[1][1].counts(2, SignalRole.STRINGS) == {category_key("git:1"): 3}
