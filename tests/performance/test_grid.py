import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.performance.grid import CLOSEST, LARGEST, ROUNDING, Grid

numbers = st.floats(-LARGEST, LARGEST)
probabilities = st.floats(0, 1)
bits = st.integers(0, 7)


@given(st.lists(numbers, min_size=2, max_size=30), bits)
def test_numbers_keep_their_order_and_their_values(drawn: list[float], fine: int) -> None:
    grid, values = Grid(fine), np.sort(np.array(drawn))
    buckets, offsets = grid.buckets(values)
    places = buckets * grid.width + offsets
    assert (np.diff(places) >= 0).all()
    normal = abs(values) >= np.finfo(np.float64).smallest_normal
    assert (abs(grid.rounded(values) - values)[normal] <= ROUNDING * 1.0000001 * abs(values)[normal]).all()
    low, high = grid.edges(buckets)
    rounded = grid.rounded(values)
    slack = abs(rounded) * 1e-15
    assert ((low - slack <= rounded) & (rounded <= high + slack)).all()


@given(st.lists(probabilities, min_size=2, max_size=30), bits)
def test_probabilities_are_as_fine_near_1_as_near_0(drawn: list[float], fine: int) -> None:
    grid, values = Grid(fine, probabilities=True), np.sort(np.array(drawn))
    buckets, offsets = grid.buckets(values)
    assert (np.diff(buckets * grid.width + offsets) >= 0).all()
    middle, step = grid.values(buckets)
    rest, back = grid.complements(buckets)
    for value, exact in ((middle + step * offsets, values), (rest + back * offsets, 1 - values)):
        near = np.maximum(np.minimum(values, 1 - values), CLOSEST)
        assert (abs(value - np.clip(exact, CLOSEST, 1)) <= 2 * ROUNDING * near + 3e-16).all()


@pytest.mark.parametrize("fine", [3, 5])
def test_buckets_are_few_to_a_power_of_two(fine: int) -> None:
    buckets, _ = Grid(fine, probabilities=True).buckets(np.linspace(0.25, 0.5, 10_000, endpoint=False))
    assert len(np.unique(buckets)) in (2**fine, 2**fine + 1)


def test_what_is_beyond_all_measure_counts_as_the_largest() -> None:
    assert Grid(5).rounded(np.array([-np.inf, -1e300, 1e300, np.inf])).tolist() == [
        -LARGEST,
        -LARGEST,
        LARGEST,
        LARGEST,
    ]
