"""When a change began: the best explanation of the windows so far, kept in two numbers a signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.evidence.onset import Onset

logs = st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=30)


def brute(values: list[float]) -> int | None:
    """The k whose sum from k to the end is greatest, the last of several; None if none is above 0."""
    sums = [sum(values[k:]) for k in range(len(values))]
    best = max(sums)
    return max(k for k, total in enumerate(sums) if total == best) if best > 0 else None


@given(logs)
def test_it_is_the_most_likely_first_window(values: list[float]) -> None:
    onset = Onset(1)
    for at, value in enumerate(values):
        onset.add(np.array([value]), at * 600_000)
    found = onset.of(0)
    assert (None if found is None else found // 600_000) == brute(values)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12), st.integers(1, 11))
def test_a_snapshot_goes_on_where_it_was(pairs: list[tuple[int, int]], cut: int) -> None:
    whole, first = Onset(2), Onset(2)
    for at, pair in enumerate(pairs):
        whole.add(np.array(pair, dtype=np.float64), at)
    for at, pair in enumerate(pairs[:cut]):
        first.add(np.array(pair, dtype=np.float64), at)
    second = Onset(2)
    second.restore(first.snapshot())
    for at, pair in enumerate(pairs[cut:], cut):
        second.add(np.array(pair, dtype=np.float64), at)
    assert [second.of(0), second.of(1)] == [whole.of(0), whole.of(1)]


@pytest.mark.parametrize(("sums", "beginnings"), [(3, 3), (2, 3), (3, 2)])
def test_a_snapshot_of_other_signals_is_refused(sums: int, beginnings: int) -> None:
    with pytest.raises(ValueError, match="not of these signals"):
        Onset(2).restore({"sum": np.ones(sums), "began": np.ones(beginnings, dtype=np.int64)})


@pytest.mark.parametrize("values", [[-1.0], [1.0, -1.0], [-1.0, 2.0, -3.0]])
def test_where_nothing_speaks_for_a_change_there_is_no_beginning(values: list[float]) -> None:
    onset = Onset(1)
    for value in values:
        onset.add(np.array([value]), 0)
    assert onset.of(0) is None
