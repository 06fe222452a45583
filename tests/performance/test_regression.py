"""Metrics of regressions are scikit-learn's on the same rows, as near as each one says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics  # type: ignore[import-untyped]

from driftline.performance.outcomes import regressed
from driftline.performance.regression import measured
from tests.performance.drawn import seeds

shapes = st.sampled_from(
    [(290.0, 5.0, 0.5), (0.0, 1.0, 1.0), (1e9, 1e7, 1e5), (-3.0, 1e-3, 1e-4), (0.0, 1e12, 1e-3), (50.0, 1.0, 50.0)]
)


@given(seeds, st.integers(2, 300), shapes, st.booleans(), st.booleans())
def test_all_metrics(seed: int, rows: int, shape: tuple[float, float, float], weighted: bool, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    middle, spread, noise = shape
    truth = rng.normal(middle, spread, rows)
    predicted = truth + noise * rng.standard_t(3, rows)
    if whole:
        truth, predicted = truth.round(), predicted.round()
    weights = rng.integers(1, 2000, rows) / 256 if weighted else None
    found = measured(regressed(np.zeros(rows, dtype=np.int64), predicted, truth, weights=weights), 1, [0.1, 0.5, 0.9])
    options: Any = {"sample_weight": weights}
    expected = {
        "mae": metrics.mean_absolute_error(truth, predicted, **options),
        "rmse": metrics.root_mean_squared_error(truth, predicted, **options),
        "bias": np.average(predicted - truth, weights=weights),
        "mape": metrics.mean_absolute_percentage_error(truth, predicted, **options),
        **{
            f"quantile_{level:g}": metrics.mean_pinball_loss(truth, predicted, alpha=level, **options)
            for level in (0.1, 0.5, 0.9)
        },
    }
    if np.ptp(truth) > 0:
        expected["r2"] = metrics.r2_score(truth, predicted, **options)
    for name, value in expected.items():
        each = found[name]
        assert abs(each.values[0] - value) <= each.error[0] + 1e-12 * abs(value), name
        if rows > 2:
            assert each.low[0] <= each.values[0] <= each.high[0], name


def test_each_error_bound_is_small() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(290, 5, 5_000)
    found = measured(regressed(np.zeros(5_000, dtype=np.int64), truth + rng.normal(0, 1, 5_000), truth), 1)
    for name, each in found.items():
        assert each.error[0] < 2e-5 * max(abs(each.values[0]), 1), name


def test_truths_all_alike_have_no_r2() -> None:
    found = measured(regressed(np.zeros(3, dtype=np.int64), np.array([1.0, 2.0, 3.0]), np.full(3, 2.0)), 1)
    assert np.isnan(found["r2"].values[0])
    assert found["mae"].values[0] == pytest.approx(2 / 3)


def test_a_group_without_outcomes_is_nan() -> None:
    found = measured(regressed(np.zeros(3, dtype=np.int64), np.arange(3.0), np.arange(3.0) + 1), 2, [0.5])
    assert all(np.isnan(each.values[1]) for each in found.values())
    assert found["bias"].values[0] == -1


def test_infinitely_wrong_relative_errors_stay_numbers() -> None:
    found = measured(regressed(np.zeros(2, dtype=np.int64), np.array([1.0, 1e300]), np.array([0.0, 1e-300])), 1)
    assert found["mape"].values[0] > 1e15


def test_a_quantile_is_between_0_and_1() -> None:
    rows = regressed(np.zeros(1, dtype=np.int64), np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match="a quantile must be between 0 and 1"):
        measured(rows, 1, [90])
