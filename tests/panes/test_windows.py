"""A pane belongs to every window that holds all of it, and to no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.panes.windows import window_starts


@given(st.integers(0, 2_000), st.integers(1, 30), st.integers(1, 60), st.integers(1, 60))
def test_equals_the_naive_definition(start: int, length: int, size: int, every: int) -> None:
    every = min(size, every)
    end = start + length
    naive = [begin for begin in range(-every * 100, end + every, every) if begin <= start and end <= begin + size]
    assert list(window_starts(start, end, size, every)) == naive


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 12), st.integers(1, 12))
def test_panes_fill_windows_without_a_gap(at: int, pane: int, panes_a_hop: int, hops: int) -> None:
    """Where a pane divides hop and size, and hops divide the size, every pane is in as many windows."""
    every, size = pane * panes_a_hop, pane * panes_a_hop * hops
    start = at * pane
    assert len(list(window_starts(start, start + pane, size, every))) == hops


@pytest.mark.parametrize(("start", "expected"), [(0, [0]), (59, [0]), (60, [60]), (61, [60])])
def test_tumbling_windows_are_aligned_to_the_epoch(start: int, expected: list[int]) -> None:
    assert list(window_starts(start, start + 1, 60, 60)) == expected
