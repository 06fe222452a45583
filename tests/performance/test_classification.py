"""Metrics of classifiers are scikit-learn's on the same rows, as near as each one says."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]
from sklearn.calibration import calibration_curve  # type: ignore[import-untyped]

from driftline.performance.by_score import curve
from driftline.performance.classification import business_value, confusion, measured
from driftline.performance.intervals import Measured
from driftline.performance.outcomes import WAITING, classified
from driftline.performance.reliability import binned
from driftline.sketches.keys import Floats
from tests.performance.drawn import Classified, decimals, draw, seeds, sharp

CLOSE = 1e-12
ROUNDED = 3e-7
"""What two scores that agree to 2^-20 can do to a rank of a few hundred: of 10,000 pairs none, nearly always."""


def _tally(rows: Classified, weighted: bool) -> Any:
    return classified(rows.groups, rows.predicted, rows.truths, rows.scores, weights=rows.weights if weighted else None)


def _near(found: Measured, expected: float, slack: float = CLOSE) -> None:
    value, off = float(found.values[0]), float(found.error[0])
    assert abs(value - expected) <= off + slack, (value, expected, off)
    assert found.low[0] <= value + CLOSE
    assert value - CLOSE <= found.high[0]


@given(seeds, st.integers(30, 400), sharp, decimals, st.booleans())
@example(seed=1, rows=400, sharpness=2.0, places=17, weighted=True)
def test_two_classes(seed: int, rows: int, sharpness: float, places: int, weighted: bool) -> None:
    drawn = draw(seed, rows, sharpness=sharpness, decimals=places)
    truth, guess, score = drawn.truths, drawn.predicted, drawn.scores
    if len(set(truth.tolist())) < 2:
        return
    weight = drawn.weights if weighted else None
    found = measured(_tally(drawn, weighted), 1)
    options: Any = {"sample_weight": weight}
    _near(found["accuracy"], metrics.accuracy_score(truth, guess, **options))
    for name, of in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        if guess.any():
            _near(found[name], of(truth, guess, zero_division=0, **options))
        _near(found[f"{name}_macro"], of(truth, guess, average="macro", zero_division=0, **options))
    _near(found["log_loss"], metrics.log_loss(truth, score, **options), 1e-9)
    _near(found["brier"], metrics.brier_score_loss(truth, score, **options))
    _near(found["auroc"], metrics.roc_auc_score(truth, score, **options), ROUNDED)
    _near(found["average_precision"], metrics.average_precision_score(truth, score, **options), ROUNDED)


@given(seeds, st.integers(60, 300), st.integers(3, 6), sharp, st.booleans())
def test_many_classes(seed: int, rows: int, classes: int, sharpness: float, weighted: bool) -> None:
    drawn = draw(seed, rows, classes, sharpness=sharpness)
    truth, guess, score = drawn.truths, drawn.predicted, drawn.scores
    if len(set(truth.tolist())) < classes:
        return
    options: Any = {"sample_weight": drawn.weights if weighted else None}
    found = measured(_tally(drawn, weighted), 1, classes)
    for name, of in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        _near(found[f"{name}_macro"], of(truth, guess, average="macro", zero_division=0, **options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows that sum to 1 but for the last bit
        _near(found["log_loss"], metrics.log_loss(truth, score, **options), 1e-6)
    is_class = np.eye(classes)[truth]
    brier = np.average(((score - is_class) ** 2).sum(axis=1), weights=options["sample_weight"])
    _near(found["brier"], float(brier))
    _near(found["auroc_macro"], metrics.roc_auc_score(truth, score, multi_class="ovr", **options), ROUNDED)
    expected = metrics.average_precision_score(is_class, score, average="macro", **options)
    _near(found["average_precision_macro"], expected, ROUNDED)
    table = confusion(_tally(drawn, weighted), 1, classes)[0]
    np.testing.assert_allclose(table, metrics.confusion_matrix(truth, guess, labels=range(classes), **options))


def test_error_of_ranks_is_small_for_scores_that_spread() -> None:
    found = measured(_tally(draw(1, 20_000), False), 1)
    assert found["auroc"].error[0] < 0.003
    assert found["average_precision"].error[0] < 0.02
    exact = metrics.roc_auc_score(draw(1, 20_000).truths, draw(1, 20_000).scores)
    assert found["auroc"].values[0] == pytest.approx(exact, abs=3e-6)


def test_scores_of_two_digits_are_ranked_exactly() -> None:
    rows = draw(2, 5_000, decimals=2)
    found = measured(_tally(rows, False), 1)
    assert found["auroc"].error[0] == 0
    assert found["auroc"].values[0] == pytest.approx(metrics.roc_auc_score(rows.truths, rows.scores), abs=1e-14)


@pytest.mark.parametrize("score", [0.0, 1e-300, 2.0**-52, 1e-9, 0.5, 1 - 1e-9, 1 - 2.0**-52, 1.0])
def test_sure_scores_lose_what_scikit_learn_says(score: float) -> None:
    truth, scores = np.array([0, 1]), np.array([score, score])
    found = measured(classified(0 * truth, truth, truth, scores), 1)["log_loss"]
    _near(found, metrics.log_loss(truth, scores), 1e-9)


@given(seeds, sharp)
def test_parts_of_brier_and_calibration_error_are_those_of_the_bins(seed: int, sharpness: float) -> None:
    """One score a bucket, so that bins can be made of rows: by the middle of its mass."""
    rows = draw(seed, 500, sharpness=sharpness, decimals=2)
    _, at, many = np.unique(rows.scores, return_inverse=True, return_counts=True)
    middle = (np.cumsum(many) - many / 2) / 500
    bins = np.minimum((middle * 10).astype(int), 9)[at]
    found = measured(_tally(rows, False), 1)
    held = [bins == each for each in np.unique(bins)]
    part = np.array([each.mean() for each in held])
    score, rate = (np.array([column[each].mean() for each in held]) for column in (rows.scores, rows.truths))
    mean = rows.truths.mean()
    _near(found["calibration_error"], float((part * abs(score - rate)).sum()))
    _near(found["reliability"], float((part * (score - rate) ** 2).sum()), ROUNDED)
    _near(found["resolution"], float((part * (rate - mean) ** 2).sum()))
    _near(found["uncertainty"], float(mean * (1 - mean)))
    within = sum(
        p * (np.var(rows.scores[e]) - 2 * np.cov(rows.scores[e], rows.truths[e], bias=True)[0, 1])
        for p, e in zip(part, held, strict=True)
    )
    parts = found["reliability"].values - found["resolution"].values + found["uncertainty"].values
    assert float(parts[0] + within) == pytest.approx(float(found["brier"].values[0]), abs=ROUNDED)


def test_bins_of_equal_mass_are_scikit_learn_s_where_scores_are_fine() -> None:
    rows = draw(5, 20_000)
    bins = binned(curve(_tally(rows, False), 1))
    rates, scores = calibration_curve(rows.truths, rows.scores, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(bins.rates[0], rates, atol=0.02)
    np.testing.assert_allclose(bins.scores[0], scores, atol=0.01)


@given(seeds)
def test_business_value_is_what_each_outcome_brings(seed: int) -> None:
    rows, matrix = draw(seed, 100), np.array([[0.0, -5.0], [-100.0, 20.0]])
    found = business_value(confusion(_tally(rows, False), 1), np.ones(1), matrix)
    each = matrix[rows.truths, rows.predicted]
    _near(found, float(each.mean()))
    assert found.high[0] - found.low[0] == pytest.approx(2 * 1.959964 * each.std() / 10)


def test_groups_are_measured_as_if_each_were_alone() -> None:
    rows = draw(3, 3_000, groups=3)
    together = measured(_tally(rows, True), 3)
    for group in range(3):
        own = rows.groups == group
        alone = measured(
            classified(
                0 * rows.groups[own], rows.predicted[own], rows.truths[own], rows.scores[own], weights=rows.weights[own]
            ),
            1,
        )
        for name, each in together.items():
            for column in Measured.__slots__:
                expected: Floats = getattr(alone[name], column)
                np.testing.assert_allclose(getattr(each, column)[group], expected[0], rtol=1e-12, atol=1e-15)


def test_a_group_without_outcomes_is_nan_and_disturbs_nobody() -> None:
    rows = draw(3, 100)
    found = measured(_tally(rows, False), 2)
    assert all(np.isnan(each.values[1]) for each in found.values())
    assert not any(np.isnan(each.values[0]) for each in found.values())


def test_what_waits_for_its_label_counts_for_nothing() -> None:
    rows = draw(4, 100)
    waiting = classified(rows.groups, rows.predicted, np.full(100, WAITING), rows.scores)
    before, after = measured(_tally(rows, False), 1), measured(_tally(rows, False) + waiting, 1)
    assert {name: each.values.tolist() for name, each in before.items()} == {
        name: each.values.tolist() for name, each in after.items()
    }


def test_without_scores_what_is_right_is_known_all_the_same() -> None:
    rows = draw(4, 100)
    found = measured(classified(rows.groups, rows.predicted, rows.truths), 1)
    _near(found["accuracy"], metrics.accuracy_score(rows.truths, rows.predicted))
    assert np.isnan(found["auroc"].values[0])


def test_where_only_the_predicted_class_has_a_score_ranks_are_not_known() -> None:
    rows = draw(4, 300, classes=3)
    scores = np.where(np.arange(3) == rows.predicted[:, None], rows.scores, np.nan)
    found = measured(classified(rows.groups, rows.predicted, rows.truths, scores), 1, 3)
    whole = measured(_tally(rows, False), 1, 3)
    assert np.isnan([found[name].values[0] for name in ("auroc_macro", "log_loss", "brier")]).all()
    for name in ("accuracy", "f1_macro", "calibration_error"):
        assert found[name].values[0] == whole[name].values[0]


def test_two_columns_of_scores_are_as_good_as_one() -> None:
    rows = draw(4, 300)
    both = np.stack([1 - rows.scores, rows.scores], axis=1)
    one = classified(rows.groups, rows.predicted, rows.truths, rows.scores)
    assert np.array_equal(classified(rows.groups, rows.predicted, rows.truths, both).keys, one.keys)


def test_margins_have_ranks_and_no_losses() -> None:
    rows = draw(6, 500)
    margins = np.log(rows.scores / (1 - rows.scores)) * 3 - 1
    found = measured(classified(rows.groups, rows.predicted, rows.truths, margins, probabilities=False), 1)
    _near(found["auroc"], metrics.roc_auc_score(rows.truths, margins))
    assert "log_loss" not in found


@pytest.mark.parametrize(
    ("predicted", "truth", "scores", "said"),
    [
        ([2], [0], None, "more than two classes"),
        ([0], [3], [[0.1, 0.2, 0.7]], "another class was predicted"),
        ([-1], [0], None, "a class must be a code"),
        ([0], [-2], None, "a class must be a code"),
    ],
)
def test_classes_that_cannot_be_are_refused(
    predicted: list[int], truth: list[int], scores: list[list[float]] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        classified(
            np.zeros(1, dtype=np.int64),
            np.array(predicted),
            np.array(truth),
            None if scores is None else np.array(scores),
        )
