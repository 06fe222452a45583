"""Metrics as shares: the same as the metrics; and pairs expect no gain while ranks are as they were."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]

from driftline.performance import estimated
from driftline.performance.concept import _fixed
from driftline.performance.outcome_kinds import ByScore, Classes
from driftline.performance.outcomes import WAITING, Series, classified
from driftline.performance.shares import MAX_LOSS, by_estimate, by_labels

BINARY = Classes(("no", "yes"), Series.SCORES, np.array([[0.0, -20.0], [-100.0, 30.0]]))
TRIPLE = Classes(("a", "b", "c"), Series.CLASSES)


@pytest.mark.parametrize("seed", range(3))
def test_shares_of_labels_are_the_metrics_that_scikit_learn_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.beta(0.6, 0.9, 2_000)
    truth, guess = (rng.random(2_000) < score).astype(int), (score > 0.4).astype(int)
    window = classified(0 * truth, guess, truth, score)
    wanted = {
        "accuracy": metrics.accuracy_score(truth, guess), "precision": metrics.precision_score(truth, guess),
        "recall": metrics.recall_score(truth, guess), "f1": metrics.jaccard_score(truth, guess),
        "auroc": metrics.roc_auc_score(truth, score), "brier": metrics.brier_score_loss(truth, score),
        "log_loss": np.minimum(-np.log(np.where(truth, score, 1 - score)), MAX_LOSS).mean() / MAX_LOSS,
    }  # fmt: skip
    for name, value in wanted.items():
        count = by_labels(name, BINARY)
        assert count is not None
        hits, counts, _ = count(window)
        assert hits.sum() / counts.sum() == pytest.approx(value, abs=1e-4), name
    worth = by_labels("value", BINARY)
    assert worth is not None
    assert BINARY.costs is not None
    hits, counts, _ = worth(window)
    assert hits.item() / counts.item() * 130 - 100 == pytest.approx(BINARY.costs[truth, guess].mean())


@pytest.mark.parametrize("kind", [BINARY, TRIPLE])
def test_shares_of_estimates_are_the_metrics_that_are_estimated(kind: Classes) -> None:
    rng = np.random.default_rng(4)
    score = rng.dirichlet(np.full(kind.classes, 0.7), 3_000)
    truth = (rng.random((3_000, 1)) > np.cumsum(score, axis=1)).sum(axis=1)
    given = score[:, 1] if kind.classes == 2 else score
    known = classified(0 * truth, score.argmax(axis=1), truth, given)
    learned = ByScore(kind, estimated.calibrations(known, kind.series, kind.classes))
    found = learned.estimated(classified(0 * truth, score.argmax(axis=1), np.full(3_000, WAITING), given), 1)
    names = ("accuracy", "auroc", "precision", "recall", "brier") if kind is BINARY else ("accuracy", "brier")
    for name in names:
        count = by_estimate(name, learned)
        assert count is not None
        hits, counts, moved = count(known)
        assert moved is not None
        value = hits.sum() / counts.sum() * (kind.classes if kind is TRIPLE and name == "brier" else 1)
        assert value == pytest.approx(found[name].values[0], abs=0.003), name
        assert counts.sum() <= 3_000.001
    for name in ("precision_macro", "recall_macro"):
        likely = by_estimate(name, learned)
        assert likely is not None
        hits, counts, _ = likely(known)
        assert (hits / counts).mean() == pytest.approx(found[name].values[0], abs=0.003), name
        assert counts.sum() <= 3_000.001
    if kind is TRIPLE:
        areas = by_estimate("auroc_macro", learned)
        assert areas is not None
        hits, counts, _ = areas(known)
        assert (hits / counts).mean() == pytest.approx(found["auroc_macro"].values[0], abs=0.003)


@pytest.mark.parametrize("kind", [BINARY, TRIPLE])
def test_losses_and_means_over_classes_are_counted_by_labels_as_they_are_expected(kind: Classes) -> None:
    """Of a calibrated model with many outcomes, by which each outcome counts for at most one."""
    rng = np.random.default_rng(7)
    score = np.clip(rng.dirichlet(np.full(kind.classes, 0.7), 40_000), 1e-4, 1)
    score /= score.sum(axis=1, keepdims=True)
    truth = np.minimum((rng.random((len(score), 1)) > np.cumsum(score, axis=1)).sum(axis=1), kind.classes - 1)
    guess = score.argmax(axis=1)
    rows = classified(0 * truth, guess, truth, score[:, 1] if kind.classes == 2 else score)
    learned = ByScore(kind, estimated.calibrations(rows, kind.series, kind.classes))
    true = score[np.arange(len(truth)), truth]
    wanted = {
        "precision_macro": metrics.precision_score(truth, guess, average=None),
        "recall_macro": metrics.recall_score(truth, guess, average=None),
        "f1_macro": metrics.jaccard_score(truth, guess, average=None),
        "log_loss": np.array([np.minimum(-np.log(true), MAX_LOSS).mean() / MAX_LOSS]),
    }
    for name, value in wanted.items():
        real, likely = by_labels(name, kind), by_estimate(name, learned)
        assert real is not None
        assert likely is not None
        hits, counts, _ = real(rows)
        assert hits / counts == pytest.approx(value, abs=1e-4), name
        assert counts.sum() <= len(truth) + 1e-6
        hits, counts, moved = likely(rows)
        found = hits / counts if len(hits) == len(value) else np.array([hits.sum() / counts.sum()])
        assert found == pytest.approx(value, abs=0.01), name
        assert moved is not None
        assert (moved[0] <= hits + 1e-9).all()
        assert counts.sum() <= len(truth) + 1e-6


weights_ = st.lists(st.integers(1, 9), min_size=3, max_size=3)


@settings(max_examples=20)
@given(weights_, weights_, st.floats(0.05, 0.95), st.integers(1, 2), st.integers(1, 3))
def test_pairs_expect_no_gain_while_ranks_are_as_they_were(
    yes: list[int], no: list[int], guess: float, positives: int, negatives: int
) -> None:
    """The expectation itself, over all scores that some of each class may have."""
    p, n = np.array(yes) / sum(yes), np.array(no) / sum(no)
    true = sum(p[i] * n[j] * (1.0 if i > j else 0.5 if i == j else 0.0) for i in range(3) for j in range(3))
    box, expected, count = np.clip(np.full((1, 1), true), 1e-6, 1 - 1e-6), 0.0, by_labels("auroc", BINARY)
    assert count is not None
    places = np.array([0.1, 0.5, 0.9])
    truth = np.repeat([1, 0], [positives, negatives])
    for drawn in product(range(3), repeat=positives + negatives):
        at = np.array(drawn)
        hits, counts, _ = count(classified(0 * truth, truth, truth, places[at]))
        logs = _fixed(np.full((1, 1, 1), guess), hits[None], counts[None], box, box, None)
        expected += float(np.where(truth == 1, p[at], n[at]).prod() * np.exp(logs.item()))
    assert expected <= 1 + 1e-6
