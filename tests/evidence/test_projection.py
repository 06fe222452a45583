"""A window's vector is the sum of its panes' vectors, and counts what the raw values say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.evidence.bins import Quality
from driftline.evidence.counting import bucket_means
from driftline.evidence.projection import Projection
from driftline.evidence.signals import Family
from driftline.sketches.cells import CAP, from_buckets
from driftline.sketches.group import GroupSketch, SignalRole, combine
from driftline.sketches.keys import number_keys
from tests.evidence.columns import Column, Value, reference_of, summarise

RNG = np.random.default_rng(5)
CITIES = ["Oslo", "Bergen", "Paris", "Rome"]
values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([*CITIES, "new"]), st.booleans(), st.none(),
    st.just(...),
)  # fmt: skip
events = st.lists(st.tuples(values, values, values), min_size=1, max_size=60)


def columns_of(rows: list[tuple[Value, Value, Value]]) -> dict[str, list[Value]]:
    return {name: [row[at] for row in rows] for at, name in enumerate(("features.a", "features.b", "other"))}


@pytest.fixture(scope="module")
def projection() -> Projection:
    cities = [CITIES[k] for k in RNG.integers(0, 4, 2000)]
    return Projection(reference_of({"features.a": RNG.standard_normal(2000), "features.b": cities}))


@given(st.lists(events, min_size=1, max_size=4))
def test_vectors_add_up(projection: Projection, panes: list[list[tuple[Value, Value, Value]]]) -> None:
    parts = [summarise(columns_of(rows)) for rows in panes]
    each = [projection.project(part) for part in parts]
    total = np.sum(each, axis=0)
    if all(len(part.signals) == 4 for part in parts):
        whole = projection.project(combine(parts))
        at = projection.fine_bounds[-1] + 6 * len(projection.signals)
        assert whole[:at].tolist() == total[:at].tolist()
    assert projection.events(total) == sum(map(len, panes))


@given(events)
def test_quality_partitions_the_events(projection: Projection, rows: list[tuple[Value, Value, Value]]) -> None:
    quality = projection.quality(projection.project(summarise(columns_of(rows))))
    assert (quality >= 0).all()
    assert (quality.sum(axis=1) == len(rows)).all()
    numbers = [value for value, _, _ in rows if isinstance(value, float) and np.isfinite(value)]
    strings = [value for _, value, _ in rows if isinstance(value, str)]
    assert quality[1, Quality.EXPECTED] + quality[1, Quality.OUT_OF_RANGE] == len(numbers)
    assert quality[2, Quality.UNSEEN] == sum(value == "new" for value in strings)
    for slot, column in ((1, 0), (2, 1)):
        assert quality[slot, Quality.NULL] == sum(row[column] is None for row in rows)
        assert quality[slot, Quality.MISSING] == sum(row[column] is ... for row in rows)
    carried = sum(row[2] is not ... for row in rows)
    assert quality[0, Quality.UNSEEN] == carried


def test_fine_counts_are_those_of_the_raw_values(projection: Projection) -> None:
    window = RNG.standard_normal(150) * 3
    fine = projection.fine(projection.project(summarise({"features.a": window})))
    bins = projection.bins[1]
    places = bins.fine[np.searchsorted(bins.starts, number_keys(window), side="right") - 1]
    assert fine[: bins.fine_bins].tolist() == np.bincount(places, minlength=bins.fine_bins).tolist()


def test_evidence_bins_are_runs_of_fine_bins(projection: Projection) -> None:
    evidence = projection.evidence(projection.reference)
    assert evidence.sum(axis=1).tolist() == [0, 2000, 2000]
    assert (evidence[projection.shares == 0] == 0).all()
    stacked = projection.evidence(np.stack([projection.reference, projection.reference]))
    assert (stacked == evidence).all()


def test_means_are_exact_to_the_unit(projection: Projection) -> None:
    parts = [RNG.standard_normal(size) * 2 + 1 for size in (40, 500, 7)]
    total = np.sum([projection.project(summarise({"features.a": part})) for part in parts], axis=0)
    assert projection.means(total)[1] == pytest.approx(np.concatenate(parts).mean(), abs=2e-5)
    assert np.isnan(projection.means(total)[[0, 2]]).all()


def test_sums_do_not_overflow(projection: Projection) -> None:
    vector = projection.project(summarise({"features.a": [1.7e308] * 3000}))
    mean = projection.means(vector * 1_000_000)[1]
    assert 1000 < mean < 10_000, "clipped to thousands of deviations"


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1.0, 1e12, 1e300])
def test_any_scale_works(scale: float) -> None:
    numbers = RNG.standard_normal(1000) * scale
    projection = Projection(reference_of({"x": numbers}))
    assert projection.means(projection.reference)[1] == pytest.approx(numbers.mean(), abs=1e-4 * scale)
    assert (projection.shares[1] > 0).sum() == 12


def test_a_coarser_window_of_numbers_stays_within_a_bin_of_the_truth(projection: Projection) -> None:
    window = RNG.standard_normal(4000)
    parts = [summarise({"features.a": window[at : at + CAP]}) for at in range(0, len(window), CAP)]  # each exact
    exact = projection.fine(np.sum([projection.project(part) for part in parts], axis=0))
    coarse_summary = summarise({"features.a": window}, cap=48)
    coarse = projection.fine(projection.project(coarse_summary))
    assert coarse_summary.cells.shifts[1] > summarise({"features.a": window}).cells.shifts[1]
    assert coarse.sum() == exact.sum()
    bucket = coarse_summary.cells.counts[coarse_summary.slice(1, SignalRole.NUMBERS)].max()
    assert np.abs(np.cumsum(coarse) - np.cumsum(exact)).max() <= bucket
    quality = projection.quality(projection.project(coarse_summary))
    assert quality[1, Quality.OUT_OF_RANGE] <= 10


def test_a_coarser_window_of_categories_goes_to_the_category_that_shares_its_prefix() -> None:
    names = [f"c{k}" for k in range(40)]
    projection = Projection(reference_of({"x": names * 50}))
    window = summarise({"x": names * 5}, cap=32)
    assert window.cells.shifts[1] > 0
    vector = projection.project(window)
    quality = projection.quality(vector)[1]
    assert quality.tolist() == [200, 0, 0, 0, 0, 0]
    assert projection.totals(vector)[1] == 200


def test_a_coarsened_reference_knows_prefixes() -> None:
    names = [f"c{k}" for k in range(600)]
    projection = Projection(reference_of({"x": names * 20}))
    vector = projection.project(summarise({"x": names[:200] * 2}))
    assert projection.quality(vector)[1].tolist() == [400, 0, 0, 0, 0, 0]


def test_signals_in_another_order_count_alike(projection: Projection) -> None:
    window = summarise({"features.a": [0.5, 1.5], "features.b": ["Oslo", "Rome"]})
    ids = np.array([{0: 0, 5: 9, 10: 6}[cell] for cell in window.cells.ids.tolist()])
    swapped = GroupSketch(("events", "features.b", "features.a"), window.cells.renamed(ids), window.categories)
    assert projection.project(swapped).tolist() == projection.project(window).tolist()


def test_rows_by_family() -> None:
    pair = [1.0, 2.0]
    columns: dict[str, Column] = {
        "features.a": pair,
        "prediction.value": pair,
        "latency_ms": pair,
        "features.none": [None, ...],
        "tags.code_version": ["a", "b"],
        "segment.tenant": ["acme", "birch"],
    }
    projection = Projection(reference_of(columns))
    names = {family: [projection.signals[slot] for slot in projection.rows(family)] for family in Family}
    assert names == {
        Family.INPUTS: ["features.a"], Family.OUTPUT: ["prediction.value"], Family.SERVICE: ["latency_ms"],
        Family.TAGS: ["tags.code_version"], Family.ARRIVAL: [], Family.MIX: ["segment.tenant"],
    }  # fmt: skip
    watched = [projection.signals[slot] for slot in projection.quality_rows]
    assert watched == ["events", "features.a", "features.none", "latency_ms", "prediction.value"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_bucket_means_are_those_of_the_sketch(numbers: list[float]) -> None:
    keys = number_keys(np.array(numbers))
    none = np.zeros(len(keys), dtype=np.int64)
    cells = from_buckets(np.array([1]), np.array([20]), none, keys, none + 1, none)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = cells.means()
    near = np.isfinite(expected)
    assert bucket_means(cells.keys, cells.counts, cells.offsets)[near] == pytest.approx(expected[near], rel=1e-6)


def test_what_is_beside_the_events_is_no_new_field_and_how_they_came_adds_up_to_what_is_known_of_it() -> None:
    projection = Projection(reference_of({"arrival.delay_s": [0.0] * 99 + [8.0], "features.a": [1.0] * 100}))
    columns: dict[str, Column] = {
        "arrival.delay_s": [0.0, 8.0, 16.0, -8.0, None, ..., ..., ...],
        "arrival.repeated": [0.0] * 8,
        "tags.code_version": ["git:1"] * 8,
        "features.a": [1.0] * 8,
    }
    quality = projection.quality(projection.project(summarise(columns)))
    delays = quality[projection.signals.index("arrival.delay_s")]
    assert (delays[Quality.EXPECTED], delays[Quality.OUT_OF_RANGE], delays[Quality.NULL]) == (1, 3, 1)
    assert delays.sum() == 5, "of three events it is not known"
    assert quality[0].tolist() == [8, 0, 0, 0, 0, 0], "no field is new"


@pytest.mark.parametrize(
    ("seconds", "late"),
    [
        ([0.0] * 100, [8.0]),
        ([0.0] * 99 + [64.0], [8.0, 128.0]),
        ([0.0] * 98 + [8.0, 64.0], [64.0]),
        ([64.0] * 90 + [-16.0] * 10, [128.0, -32.0]),
    ],
)
def test_late_is_what_comes_later_than_all_but_a_hundredth_did(seconds: list[float], late: list[float]) -> None:
    projection = Projection(reference_of({"arrival.delay_s": seconds, "features.a": [1.0] * 100}))
    slot = projection.signals.index("arrival.delay_s")
    usual = [each for each in (0.0, *seconds) if each not in late and each <= max(seconds[:97])]
    for values, column in ((late, Quality.OUT_OF_RANGE), (usual, Quality.EXPECTED)):
        quality = projection.quality(projection.project(summarise({"arrival.delay_s": values})))
        assert quality[slot, column] == len(values)
