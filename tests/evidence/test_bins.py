"""Bins: round edges, shares near what was wanted, every key in exactly one bin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.evidence.bins import MIN_BIN_COUNT, Quality, bins_of
from driftline.evidence.novelty import seen_once
from driftline.evidence.projection import Projection
from driftline.evidence.signals import MAX_VALUES, Nature, expected_kinds, natures_of
from driftline.sketches.group import SignalRole
from driftline.sketches.keys import number_keys
from tests.evidence.columns import reference_of, summarise

floats = st.floats(allow_nan=False, allow_infinity=False)


def test_a_normal_signal_gets_ten_even_bins_and_two_thin_tails() -> None:
    values = np.random.default_rng(1).standard_normal(20_000)
    projection = Projection(reference_of({"x": values}))
    shares = projection.shares[1]
    assert len(shares) == 12
    assert 0.005 < shares[0] < 0.015
    assert 0.005 < shares[-1] < 0.015
    assert ((shares[1:-1] > 0.05) & (shares[1:-1] < 0.15)).all()
    assert 35 <= projection.bins[1].fine_bins <= 48


def test_edges_are_round() -> None:
    values = np.random.default_rng(1).standard_normal(20_000)
    summary = summarise({"x": values})
    shift = int(summary.cells.shifts[1])
    starts = bins_of(summary, 1, SignalRole.NUMBERS, Nature.NUMBERS, seen_once(summary)).starts[1:]
    zeros = np.array([(int(key) & -int(key)).bit_length() - 1 for key in starts])
    assert (zeros >= shift).all(), "an edge inside a bucket"
    assert np.median(zeros) >= shift + 1, "no edge is rounder than the sketch"


def test_a_heavy_atom_has_an_edge_on_both_sides() -> None:
    rng = np.random.default_rng(1)
    values = np.where(rng.random(10_000) < 0.6, 0.0, rng.standard_normal(10_000))
    projection = Projection(reference_of({"x": values}))
    assert projection.shares[1].max() == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [1.0] * 1000, [0.0, 1.0] * 500])
def test_few_values_still_give_bins(values: list[float]) -> None:
    reference = reference_of({"x": values})
    projection = Projection(reference)
    assert projection.totals(projection.reference)[1] == len(values)
    assert projection.shares[1].sum() == pytest.approx(1.0)


def test_a_value_between_known_values_is_unseen_and_one_beyond_is_out_of_range() -> None:
    projection = Projection(reference_of({"x": [0.0, 1.0, 5.0] * 100}))
    quality = projection.quality(projection.project(summarise({"x": [0.0, 1.0, 2.0, 5.0, 6.0, -1.0]})))[1]
    assert quality.tolist() == [3, 0, 0, 0, 2, 1]


def test_a_number_that_went_through_32_bits_or_was_computed_is_the_same_value() -> None:
    rates = np.array([0.01, 0.035, 1 / 3, 7.1, -2.7, 35164.97, 0.3, 3.0, 0.5])
    computed = np.array([0.1 + 0.2, 3 - 2**-51, 3 + 2**-51, 0.5 - 2**-54])
    narrow = rates.astype(np.float32).astype(np.float64)
    for before, after in ((rates, narrow), (narrow, rates), (rates, computed)):
        projection = Projection(reference_of({"x": np.repeat(before, 20).tolist()}))
        assert projection.natures[1] is Nature.VALUES
        quality = projection.quality(projection.project(summarise({"x": after.tolist()})))[1]
        assert quality.tolist() == [len(after), 0, 0, 0, 0, 0]
    assert projection.totals(projection.project(summarise({"x": narrow.tolist()})))[1] == len(narrow)


def test_neighbours_that_32_bits_would_not_tell_apart_stay_apart() -> None:
    numbers = [31_260_312.0, 31_260_313.0, 31_260_315.0]
    projection = Projection(reference_of({"x": numbers * 50, "y": [0.1, 0.1 + 2**-29, 0.2] * 50}))
    project = projection.project(summarise({"x": [*numbers, 31_260_314.0], "y": [0.1, 0.1, 0.1 + 2**-29, 0.2]}))
    assert projection.quality(project)[1].tolist() == [3, 0, 0, 0, 0, 1]
    first, last = projection.fine_bounds[2:4]
    assert project[first:last].tolist() == [2, 1, 1]


@given(st.lists(floats, min_size=1, max_size=400), st.lists(floats, max_size=50))
def test_any_numbers_fall_into_exactly_one_bin(reference: list[float], window: list[float]) -> None:
    summary = summarise({"x": reference})
    nature = natures_of(summary, [summary])[1]
    bins = bins_of(summary, 1, SignalRole.NUMBERS, nature, seen_once(summary))
    assert bins.starts[0] == 0
    assert (np.diff(bins.starts) > 0).all()
    assert set(bins.fine.tolist()) == set(range(bins.fine_bins))
    assert (np.diff(bins.fine) >= 0).all()
    assert bins.evidence[0] == 0
    assert (np.diff(bins.evidence) > 0).all()
    at = np.searchsorted(bins.starts, number_keys(np.array(reference)), side="right") - 1
    assert (bins.quality[at] == Quality.EXPECTED).all(), "the reference is not within its own range"
    counts = np.bincount(bins.fine[at], minlength=bins.fine_bins)
    if nature is Nature.NUMBERS and bins.fine_bins > 1:
        assert min(counts[0], counts[-1]) >= MIN_BIN_COUNT
    if nature is Nature.VALUES:
        assert bins.fine_bins <= MAX_VALUES
    projection = Projection(reference_of({"x": reference}))
    assert projection.totals(projection.project(summarise({"x": window})))[1] == len(window)


def test_frequent_categories_have_their_own_bin_and_the_unseen_the_last() -> None:
    column = [name for number in range(60) for name in [f"c{number:02}"] * (60 - number)]
    summary = summarise({"x": column})
    bins = bins_of(summary, 1, SignalRole.STRINGS, Nature.CATEGORIES, seen_once(summary))
    assert bins.labels[:3] == ("c00", "c01", "c02")
    assert bins.labels[-2:] == ("(rest)", "(unseen)")
    assert len(bins.evidence) == 10 + 8 + 1, "ten categories, the others in eight groups, and the unseen"
    assert bins.alone.sum() == 1


def test_the_expected_kind_is_that_of_most_values() -> None:
    summary = summarise({"x": ["a", "b", 1.0, None], "y": [True, False, 1.0, ...], "z": [None, ..., None, ...]})
    assert expected_kinds(summary).tolist() == [-1, SignalRole.STRINGS, SignalRole.BOOLEANS, -1]
