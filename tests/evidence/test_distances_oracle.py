"""Every distance of a window from its reference against a naive oracle, from the values themselves."""

from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.evidence.bins import Bins
from driftline.evidence.distances import effects
from driftline.evidence.projection import Projection
from driftline.sketches.group import SignalRole
from tests.evidence.columns import reference_of, summarise
from tests.oracle import distances as oracle
from tests.oracle.summarise import category_key, number_key

NUMBERS = st.decimals(-1_000, 1_000, places=2).map(float)
FEW = st.sampled_from([0.0, 1.0, 2.0, 5.0, 100.0])
CATEGORIES = st.sampled_from(["a", "b", "c", "d", "e", "f", "g"])
MOST = 250
"""Values of a column: so many stay exact in a sketch, and the oracle can count them."""


def keys_of(column: list[float] | list[str]) -> list[int]:
    return [category_key(value) if isinstance(value, str) else number_key(value) for value in column]


def places_of(column: list[float], bins: Bins) -> list[float]:
    """Return the mean of the reference's values in each fine bin, in standard deviations from their mean."""
    mean, deviation = fmean(column), pstdev(column)
    within: list[list[float]] = [[] for _ in range(bins.fine_bins)]
    for value in column:
        at = oracle.counts_in(keys_of([value]), bins.starts.tolist(), bins.fine.tolist(), bins.fine_bins).index(1)
        within[at].append(value)
    return [(fmean(values) - mean) / deviation for values in within]


@settings(max_examples=60)
@given(data=st.data(), values=st.sampled_from([NUMBERS, FEW, CATEGORIES]))
def test_they_are_what_the_values_say(data: st.DataObject, values: st.SearchStrategy[float | str]) -> None:
    before: list[float] | list[str] = data.draw(st.lists(values, min_size=20, max_size=MOST))  # type: ignore[assignment]
    after: list[float] | list[str] = data.draw(st.lists(values, min_size=1, max_size=MOST))  # type: ignore[assignment]
    projection = Projection(reference_of({"x": before}))
    bins = projection.bins.get(1)
    if bins is None:  # an identifier: it is not compared
        return
    found = effects(projection, projection.project(summarise({"x": after}))).of(1)
    fine = [
        oracle.counts_in(keys_of(side), bins.starts.tolist(), bins.fine.tolist(), bins.fine_bins)
        for side in (after, before)
    ]
    if bins.unseen is not None:  # what one event alone held is as new as what comes next
        keys = keys_of(before)
        for key in [key for key in keys if keys.count(key) == 1]:
            fine[1][oracle.counts_in([key], bins.starts.tolist(), bins.fine.tolist(), bins.fine_bins).index(1)] -= 1
            fine[1][bins.unseen] += 1
    few = [oracle.joined(side, bins.evidence.tolist()) for side in fine]

    assert found["values"] == len(after)
    assert found["psi"] == close(oracle.psi(*few))
    assert found["jensen_shannon"] == close(oracle.jensen_shannon(*few))
    chi_square = oracle.chi_square(*few)
    assert ("chi2" in found) == (chi_square is not None)
    if chi_square is not None:
        assert found["chi2"] == close(chi_square[0])
        assert found["chi2_p"] == pytest.approx(chi_square[1], rel=1e-6, abs=1e-12)
    if bins.role is not SignalRole.NUMBERS:
        assert {"kolmogorov_smirnov", "wasserstein", "shift"}.isdisjoint(found)
        return
    first, second = [float(value) for value in before], [float(value) for value in after]
    assert found["kolmogorov_smirnov"] == close(oracle.kolmogorov_smirnov(*fine))
    # Keys keep 28 bits of a number below its first, and sums 20 bits of the deviation.
    deviation = pstdev(first)
    least = max(map(abs, (*first, *second))) * 2.0**-27 + (deviation or 1.0) * 2.0**-20
    assert found["mean_before"] == close(fmean(first), least)
    assert found["mean_after"] == close(fmean(second), least)
    if deviation:
        shift = (fmean(second) - fmean(first)) / deviation
        assert found["shift"] == close(shift, 2 * least / deviation)
        area = oracle.wasserstein(fine[0], fine[1], places_of(first, bins))
        assert found["wasserstein"] == close(max(area, abs(shift)), 4 * least / deviation)


def close(value: float, absolute: float = 1e-9) -> object:
    return pytest.approx(value, rel=1e-9, abs=absolute)
