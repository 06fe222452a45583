"""Outcomes that changed, given the score, are found within the budget for false alarms; inputs that moved are not."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from driftline.detection import outcomes as published
from driftline.evidence.detectors import DETECTORS, Replayed
from driftline.performance.by_score import curve
from driftline.performance.concept import Concept, _fixed, _learning
from driftline.performance.outcomes import classified, regressed
from driftline.performance.rates import (
    BINS,
    Rates,
    Seen,
    rates_by_prediction,
    rates_by_score,
    seen_by_prediction,
    seen_by_score,
    standard_score,
)
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats

rates_ = st.floats(0.001, 0.999)


@given(rates_, rates_, rates_, st.integers(1, 40), st.floats(0, 1))
def test_no_e_value_gains_while_the_truth_is_in_the_box(
    one: float, other: float, guess: float, tries: int, where: float
) -> None:
    """The expectation itself, summed over all that may come."""
    low, high = min(one, other), max(one, other)
    true = low + where * (high - low)
    hits = np.arange(tries + 1.0)[:, None]
    counts, box = np.full_like(hits, tries), (np.full_like(hits, low), np.full_like(hits, high))
    chance = stats.binom.pmf(hits[:, 0], tries, true)
    fixed = _fixed(np.full((1, *hits.shape), guess), hits, counts, *box, None)[0]
    learned = _learning(hits, counts, np.full_like(hits, (low + high) / 2), *box)
    for logs in (fixed, *learned):
        assert float((chance * np.exp(logs)).sum()) <= 1 + 1e-9


parts_ = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=4)


@settings(max_examples=50)
@given(parts_, rates_, st.floats(0, 0.2), st.floats(0, 0.2), st.integers(1, 3))
def test_nor_do_those_of_what_is_a_hit_in_part(
    parts: list[tuple[float, float, float]], guess: float, below: float, above: float, tries: int
) -> None:
    """Whatever parts of a hit and a miss outcomes are, if the rate is in the box."""
    h = np.array([(1 - no) * yes for yes, no, _ in parts])
    k = np.array([(1 - no) * (1 - yes) for yes, no, _ in parts])
    chance = np.array([weight for _, _, weight in parts])
    chance /= chance.sum()
    if (chance * (h + k)).sum() < 1e-9:
        return
    true = float((chance * h).sum() / (chance * (h + k)).sum())
    box = tuple(np.full((1, 1), bound) for bound in np.clip([true - below, true + above], 1e-6, 1 - 1e-6))
    expected = np.zeros(2)
    for drawn in product(range(len(parts)), repeat=tries):
        rows = list(drawn)
        hits, misses = h[rows].sum().reshape(1, 1), k[rows].sum().reshape(1, 1)
        squares = np.array([(h[rows] ** 2).sum(), (k[rows] ** 2).sum(), (h[rows] * k[rows]).sum()]).reshape(3, 1, 1)
        logs = _fixed(np.full((1, 1, 1), guess), hits, hits + misses, box[0], box[1], squares)
        learned = _learning(hits, hits + misses, (box[0] + box[1]) / 2, box[0], box[1])
        expected += chance[rows].prod() * np.exp([logs.item(), learned[0].item()])
    assert (expected <= 1 + 1e-9).all()


def _stream(rng: np.random.Generator, rows: int, skew: float = 1.0, groups: int = 1, lost: float = 0.0) -> Tally:
    """Draw outcomes of a model whose score is calibrated, but for a share of outcomes that are turned round."""
    score = rng.beta(1.2 * skew, 1.8, rows * groups)
    truth = (rng.random(rows * groups) < score) ^ (rng.random(rows * groups) < lost)
    of = np.repeat(np.arange(groups), rows)
    return classified(of, (score > 0.4).astype(np.int64), truth.astype(np.int64), score)


def _concept(known: Rates, groups: int, allowance: float = 0.1) -> Concept:
    return Concept(np.tile(known.sizes, (groups, 1)), allowance=allowance)


def _known(rng: np.random.Generator, rows: int) -> Rates:
    return rates_by_score(curve(_stream(rng, rows), 1))


def _alarms(concept: Concept, seen: Seen, threshold: float, totals: Floats) -> None:
    """Add a window to all streams, each with a budget of its own; an alarm resets its stream."""
    found = concept.update(seen)
    fired = found >= math.log(threshold)
    totals += fired
    concept.log_r[:, fired] = -np.inf


@pytest.mark.parametrize(("reference", "moving"), [(2_000, False), (50_000, False), (50_000, True)])
def test_false_alarms_keep_to_the_budget(reference: int, moving: bool) -> None:
    """40 streams of 300 windows, of a budget of a tenth each: 4 are allowed. Scores that move are no alarm."""
    rng = np.random.default_rng(1)
    known = _known(rng, reference)
    concept, alarms = _concept(known, 40), np.zeros(40)
    for window in range(300):
        skew = 1 + window / 150 if moving else 1.0
        seen = seen_by_score(curve(_stream(rng, 100, skew, groups=40), 40), known)
        _alarms(concept, seen, 300 / 0.1, alarms)
    assert alarms.sum() <= 4, alarms.sum()


@pytest.mark.parametrize(("lost", "windows"), [(0.1, 10), (0.2, 3), (0.5, 1)])
def test_outcomes_that_turn_are_found_soon(lost: float, windows: int) -> None:
    """Windows of 500, a budget of a tenth in 300 windows: the median of 20 streams."""
    rng = np.random.default_rng(2)
    known = _known(rng, 20_000)
    concept = _concept(known, 20)
    for _ in range(10):
        concept.update(seen_by_score(curve(_stream(rng, 500, groups=20), 20), known))
    delay = np.full(20, np.inf)
    for window in range(1, 41):
        found = concept.update(seen_by_score(curve(_stream(rng, 500, groups=20, lost=lost), 20), known))
        delay[(found >= math.log(3_000)) & np.isinf(delay)] = window
    assert np.median(delay) <= windows, sorted(delay)


def test_car_loans_pass_the_first_half_in_silence() -> None:
    before, after = published.car_loans()
    zero = np.zeros(len(before.truths), dtype=np.int64)
    known = rates_by_score(curve(classified(zero, before.predicted, before.truths, before.scores), 1))
    seen = seen_by_score(
        curve(classified(np.arange(50_000) // 500, after.predicted, after.truths, after.scores), 100), known
    )
    concept, found = _concept(known, 1), []
    for window in range(100):
        row = slice(window, window + 1)
        concept.update(Seen(seen.hits[row], seen.counts[row], seen.rates[row]))
        found.append(concept.log_m)
    assert max(found[:50]) < math.log(3_000)


def _numbers(rng: np.random.Generator, rows: int, noise: float = 0.1, bias: float = 0.0, skew: float = 1.0) -> Tally:
    guess = rng.gamma(4 * skew, 50, rows)
    return regressed(np.zeros(rows, dtype=np.int64), guess, guess * (1 - bias) + rng.normal(0, noise * guess))


@pytest.mark.parametrize(("noise", "bias", "signal"), [(0.15, 0.0, 0), (0.1, 0.05, 1)])
def test_errors_that_grow_or_lean_are_found(noise: float, bias: float, signal: int) -> None:
    rng = np.random.default_rng(3)
    known = rates_by_prediction(_numbers(rng, 20_000))
    of = (known.far, known.above)[signal]
    concept = Concept(of.sizes[None], allowance=0.1)
    for window in range(50):
        concept.update(seen_by_prediction(_numbers(rng, 500, skew=1 + window / 100), 1, known)[signal])
        assert concept.log_m < math.log(3_000)
    for _ in range(5):
        concept.update(seen_by_prediction(_numbers(rng, 500, noise, bias), 1, known)[signal])
    assert concept.log_m > math.log(3_000)


@pytest.mark.parametrize("name", ["adwin", "page_hinkley", "cusum", "ewma", "hddm_a", "hddm_w"])
def test_online_detectors_are_fed_the_error_stream(name: str) -> None:
    rng = np.random.default_rng(4)
    known = _known(rng, 50_000)
    detector = Replayed(name, "outcome", lambda: DETECTORS[name](10_000.0))
    calm = standard_score(seen_by_score(curve(_stream(rng, 200, groups=200), 200), known))
    turned = standard_score(seen_by_score(curve(_stream(rng, 200, groups=100, lost=0.4), 100), known))
    assert abs(calm.mean()) < 0.3
    assert calm.std() == pytest.approx(1, abs=0.15)
    before = [detector.update(score, at) for at, score in enumerate(calm.tolist())]
    after = [detector.update(score, 200 + at) for at, score in enumerate(turned.tolist())]
    assert not any(before)
    assert any(after)


def test_what_is_stored_goes_on_as_if_nothing_had_been() -> None:
    rng = np.random.default_rng(5)
    known = _known(rng, 5_000)
    one, other = _concept(known, 3), _concept(known, 3)
    windows = [seen_by_score(curve(_stream(rng, 100, groups=3), 3), known) for _ in range(6)]
    for seen in windows[:3]:
        one.update(seen)
    other.restore(one.snapshot())
    for seen in windows[3:]:
        assert one.update(seen).tolist() == other.update(seen).tolist()


def test_corrections_that_outweigh_what_came_are_nothing() -> None:
    concept = Concept(np.full((1, 2), 1_000.0), allowance=0.1)
    found = concept.update(Seen(np.array([[-3.0, 2.0]]), np.array([[-5.0, 1.0]]), np.full((1, 2), 0.5)))
    assert np.isfinite(found).all()


def test_how_much_ranking_may_be_lost_unseen_within_bins() -> None:
    """The figures of docs/performance-monitoring.md: of each tenth the order is lost, or turned round."""
    score = np.sort(np.random.default_rng(0).beta(0.6, 0.9, 200_000))
    bins = np.arange(len(score)) * BINS // len(score)
    lost = (np.bincount(bins, score) / np.bincount(bins))[bins]
    turned = np.concatenate([score[bins == each][::-1] for each in range(BINS)])
    areas = []
    for chance in (score, lost, turned):
        below = np.cumsum(1 - chance) - (1 - chance) / 2
        areas.append(float((chance * below).sum() / chance.sum() / (1 - chance).sum()))
    assert areas == pytest.approx([0.868, 0.865, 0.861], abs=1e-3)
