"""What charts are fed is independent and standard normal, whatever the reference's mean is off by."""

import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.detection.simulated_limits import run_length_interval
from driftline.evidence.baseline import CLIP, Baseline, Learned, Sizes
from driftline.evidence.detectors import DETECTORS, Replayed

charts = pytest.mark.parametrize("name", ["cusum", "ewma"])
sizes_of_panes = st.lists(st.integers(10, 100_000), min_size=1, max_size=30)
SMALL = 1e-6
"""Far from where anything is clipped."""


def scores_of(mean: float, panes: list[float], sizes: list[int]) -> list[float]:
    """Return scores of panes of these means, by a reference of this one, in standard deviations of a value."""
    return [math.sqrt(n) * (each - mean) for each, n in zip(panes, sizes, strict=True)]


@given(st.integers(1, 1_000_000), sizes_of_panes)
def test_it_is_independent_and_of_unit_variance_and_free_of_the_references_error(
    reference: int, sizes: list[int]
) -> None:
    """Exactly: it is linear in the means, so its covariance follows from theirs."""
    columns = []
    for at in range(len(sizes) + 1):
        means = [SMALL * (at == other) for other in range(len(sizes) + 1)]
        baseline = Baseline()
        scores = scores_of(means[0], means[1:], sizes)
        columns.append([baseline.compare(x, Sizes(n, reference)) for x, n in zip(scores, sizes, strict=True)])
    linear = np.array(columns).T / SMALL
    covariance = linear @ np.diag(1 / np.array([reference, *sizes])) @ linear.T
    assert covariance == pytest.approx(np.eye(len(sizes)), abs=1e-6)
    assert np.abs(linear.sum(axis=1) / np.sqrt(sizes)).max() < 1e-6, "where all means are off alike, nothing shows"


@given(st.integers(10, 1_000_000), sizes_of_panes, st.integers(0, 2**32))
def test_it_is_the_mean_less_that_of_all_values_before(reference: int, sizes: list[int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    mean, *panes = (chance.standard_normal(len(sizes) + 1) / np.sqrt([reference, *sizes])).tolist()
    baseline = Baseline()
    values = list(accumulate([reference, *sizes]))
    sums = list(accumulate([mean * reference, *(each * n for each, n in zip(panes, sizes, strict=True))]))
    scores = scores_of(mean, panes, sizes)
    for at, (x, n) in enumerate(zip(scores, sizes, strict=True)):
        expected = (panes[at] - sums[at] / values[at]) / math.sqrt(1 / n + 1 / values[at])
        assert baseline.compare(x, Sizes(n, reference)) == pytest.approx(expected, abs=1e-6)
        if abs(expected) > CLIP:
            return  # from here on it is not all that counts


def test_it_is_standard_normal() -> None:
    chance = np.random.default_rng(1)
    found = []
    for off in (chance.standard_normal(1_000) / math.sqrt(5)).tolist():
        baseline = Baseline()
        scores = (chance.standard_normal(40) - off).tolist()
        found.append([baseline.compare(score, Sizes(1, 5)) for score in scores])
    drawn = np.array(found)
    assert drawn.var(axis=0) == pytest.approx(1, abs=4 * math.sqrt(2 / 1_000))
    assert np.abs(drawn.mean(axis=0)).max() < 4 / math.sqrt(1_000)
    assert abs((drawn[:, :-1] * drawn[:, 1:]).mean()) < 4 / math.sqrt(drawn.size)
    assert (np.abs(drawn) > 3).mean() == pytest.approx(0.0027, abs=4 * math.sqrt(0.0027 / drawn.size))


@given(st.floats(-1e9, 1e9), st.integers(1, 1_000), st.integers(1, 1_000))
def test_no_pane_carries_the_mean_away(wild: float, pane: int, reference: int) -> None:
    baseline = Baseline()
    baseline.compare(wild, Sizes(pane, reference))
    after = baseline.compare(0.0, Sizes(pane, reference))
    assert abs(after) <= CLIP * math.sqrt(pane / reference)


def test_the_truth_needs_no_mending() -> None:
    baseline = Baseline()
    assert [baseline.compare(score, Sizes()) for score in (3.0, -1.0, 7.0)] == [3.0, -1.0, 7.0]


def test_every_phase_of_a_season_has_its_own_mean() -> None:
    chance = np.random.default_rng(2)
    both, night, noon = Baseline(), Baseline(), Baseline()
    for off, own, phase in [(0.5, night, (0, 1)), (-0.3, noon, (12, 1))] * 20:
        score, sizes = off + chance.standard_normal(), Sizes(50, 500, phase)
        assert both.compare(score, sizes) == own.compare(score, sizes)
    assert {held.phase for held in both.snapshot()} == {(0, 1), (12, 1)}


@pytest.mark.parametrize("held", [Learned((0, 0), math.nan, 5), Learned((0, 0), -1e300, 5), Learned((0, 0), 1.0, 0)])
def test_what_no_panes_can_have_added_is_refused(held: Learned) -> None:
    with pytest.raises(ValueError, match="no panes"):
        Baseline([held])


@charts
def test_runs_are_as_long_as_asked_though_the_reference_holds_ten_panes(name: str) -> None:
    """Where the reference is taken for the truth it is a ninth: 115 for the CUSUM of 1,000, 107 for the EWMA."""
    chance, asked, panes, detections = np.random.default_rng(3), 1_000.0, 1_000, 0
    for off in (chance.standard_normal(200) / math.sqrt(10)).tolist():
        detector = Replayed(name, "x", lambda: DETECTORS[name](asked))
        for at, score in enumerate((chance.standard_normal(panes) - off).tolist()):
            detector.update(score, at, Sizes(100, 1_000))
        detections += detector.detections
    low, high = run_length_interval(200 * panes, detections, 0.9999)
    assert low < asked < high


@charts
@pytest.mark.parametrize(("reference", "shift", "within"), [(10, 3.0, 15), (100, 2.0, 20), (10_000, 1.0, 40)])
def test_a_shift_is_found_all_the_same(name: str, reference: int, shift: float, within: int) -> None:
    chance = np.random.default_rng(4)
    for off in (chance.standard_normal(20) / math.sqrt(reference)).tolist():
        detector = Replayed(name, "x", lambda: DETECTORS[name](20_000.0))
        scores = chance.standard_normal(50 + within) + shift * (np.arange(50 + within) >= 50) - off
        for at, score in enumerate(scores.tolist()):
            detector.update(score, at, Sizes(1, reference))
        assert detector.detected_at >= 50


@charts
def test_what_was_detected_does_not_count_and_the_reference_holds_when_it_is_over(name: str) -> None:
    chance = np.random.default_rng(5)
    detector = Replayed(name, "x", lambda: DETECTORS[name](20_000.0))
    scores = chance.standard_normal(1_000) + 3.0 * (np.arange(1_000) // 200 == 1)
    told = [at for at, score in enumerate(scores.tolist()) if detector.update(score, at, Sizes(1, 1_000))]
    assert len(told) == 1
    assert 200 <= told[0] < 215
    (held,) = detector.snapshot().learned
    assert 590 < held.values < 610, "the panes since it was detected for the last time"
    assert abs(held.total) < 4 * math.sqrt(600)
