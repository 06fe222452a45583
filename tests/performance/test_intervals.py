"""Intervals are the published ones, and hold what they should about as often as they say."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from scipy import stats

from driftline.performance import classification, regression
from driftline.performance.by_score import auroc, curve
from driftline.performance.intervals import Measured, hanley_mcneil, share
from driftline.performance.outcomes import classified, regressed
from tests.performance.drawn import draw


@pytest.mark.parametrize(("hits", "tries"), [(0, 10), (10, 10), (3, 17), (500, 1000)])
def test_shares_have_wilson_s(hits: int, tries: int) -> None:
    found = share(np.array([float(hits)]), np.array([float(tries)]), np.ones(1))
    expected = stats.binomtest(hits, tries).proportion_ci(method="wilson")
    assert (found.low[0], found.high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_auroc_has_delong_s() -> None:
    rows = draw(3, 200, decimals=2)
    found = auroc(curve(classified(rows.groups, rows.predicted, rows.truths, rows.scores), 1))
    above, below = rows.scores[rows.truths == 1], rows.scores[rows.truths == 0]
    wins = (above[:, None] > below) + (above[:, None] == below) / 2
    of_above, of_below = wins.mean(axis=1), wins.mean(axis=0)
    deviation = np.sqrt(of_above.var(ddof=1) / len(above) + of_below.var(ddof=1) / len(below))
    area = wins.mean()
    reach = 1.959963984540054 * deviation / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = 1 / (1 + np.exp(-(logit - reach))), 1 / (1 + np.exp(-(logit + reach)))
    assert (found.low[0], found.high[0]) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_of_few_is_not_certain() -> None:
    few, many = (hanley_mcneil(np.ones(1), np.full(1, n), np.full(1, n)) for n in (5.0, 500.0))
    assert few[0][0] < 0.7 < 0.99 < many[0][0]
    assert few[1][0] == many[1][0] == 1


Sampled = Callable[[np.random.Generator, int], Mapping[str, Measured]]


def _two(rng: np.random.Generator, rows: int) -> Mapping[str, Measured]:
    rate = rng.beta(1.5, 1.5, rows)
    score = rate**1.3
    truth = (rng.random(rows) < rate).astype(np.int64)
    return classification.measured(classified(0 * truth, (score > 0.5).astype(np.int64), truth, score), 1)


def _three(rng: np.random.Generator, rows: int) -> Mapping[str, Measured]:
    scores = rng.dirichlet([0.8, 1.0, 1.5], rows)
    truth = (rng.random(rows)[:, None] > np.cumsum(scores, axis=1)).sum(axis=1).clip(0, 2)
    return classification.measured(classified(0 * truth, scores.argmax(axis=1), truth, scores), 1, 3)


def _number(rng: np.random.Generator, rows: int) -> Mapping[str, Measured]:
    truth = rng.normal(100, 10, rows)
    predicted = 0.9 * truth + 8 + rng.laplace(0, 3, rows)
    return regression.measured(regressed(np.zeros(rows, dtype=np.int64), predicted, truth), 1, [0.9])


BIASED = {"calibration_error", "reliability", "resolution"}
"""Chance makes these larger in samples than in truth."""


@pytest.mark.parametrize("sampled", [_two, _three, _number])
def test_intervals_hold_the_truth_as_often_as_they_say(sampled: Sampled) -> None:
    """200 samples of 400 outcomes: .95 is missed by 10 on the mean; 24 and more come once in 20,000."""
    rng = np.random.default_rng(7)
    truth = sampled(rng, 400_000)
    missed = dict.fromkeys(truth, 0)
    for _ in range(200):
        for name, each in sampled(rng, 400).items():
            missed[name] += not each.low[0] <= truth[name].values[0] <= each.high[0]
    assert {name: times for name, times in missed.items() if times >= 24 and name not in BIASED} == {}


def test_weights_widen_intervals_as_fewer_outcomes_would() -> None:
    rows = draw(4, 2_000, decimals=2)
    heavy = np.where(np.arange(2_000) < 1_000, 2.0, 1 / 64)
    weighted = classification.measured(
        classified(rows.groups, rows.predicted, rows.truths, rows.scores, weights=heavy), 1
    )
    half = slice(0, 1_000)
    halved = classification.measured(
        classified(rows.groups[half], rows.predicted[half], rows.truths[half], rows.scores[half]), 1
    )
    for name in ("accuracy", "precision", "recall", "f1", "f1_macro", "auroc", "log_loss", "brier"):
        width, expected = (float((each[name].high - each[name].low)[0]) for each in (weighted, halved))
        assert width == pytest.approx(expected, rel=0.02), name
