"""All metrics of predictions of a number, from a tally of outcomes.

Sums are exact but for the rounding of places: each error, truth and relative error is within 2^-20 of its own. What
goes by absolute values, and quantile loss, needs the sums of errors above and below 0 apart, which are other buckets.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from driftline.performance.grid import ROUNDING
from driftline.performance.intervals import CONFIDENCE, Measured, mean_like
from driftline.performance.outcomes import (
    GRIDS,
    PREDICTIONS,
    Series,
    effective,
    labelled,
    moments,
    prediction_of,
    series_of,
    with_any,
)
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def measured(
    tally: Tally, groups: int, quantiles: Sequence[float] = (), confidence: float = CONFIDENCE
) -> Mapping[str, Measured]:
    """Return every metric of each group by its name: mae, rmse, bias, mape, r2, and a quantile's loss as quantile_0.9.

    All have intervals by influence (see `intervals`): exact for means of first powers; for those of squares an error
    counts as its bucket's mean does. The bias is prediction less truth.

    Args:
        tally: of `regressed`; what still waits for its label does not count.
        groups: the number of groups, which are 0 to that.
        quantiles: whose loss is wanted.
        confidence: of the intervals.

    >>> from driftline.performance.outcomes import regressed
    >>> found = measured(regressed(np.zeros(2, dtype=np.int64), np.array([3.0, 5.0]), np.array([2.0, 7.0])), 1, [0.9])
    >>> found["mae"].values, found["bias"].values, found["rmse"].values.round(4), found["r2"].values
    (array([1.5]), array([-0.5]), array([1.5811]), array([0.6]))
    >>> found["quantile_0.9"].values.round(6)
    array([0.95])
    """
    tally = with_any(tally, labelled(tally, groups))
    errors = tally.take(series_of(tally.keys) == Series.ERRORS)
    weight, error, within = moments(errors, GRIDS[Series.ERRORS])
    group, worth = errors.groups, effective(tally, groups)
    total = np.bincount(group, weight, groups)
    n = total * worth

    def mean(values: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.bincount(group, weight * values, groups) / total

    def found(first: Floats, second: Floats, least: float = -np.inf) -> Measured:
        """Return the mean of a loss, given for each row with the mean of its square."""
        values = mean(first)
        variance = np.maximum(mean(second) - values**2, 0)
        return mean_like(values, variance, n, confidence, least=least, error=mean(np.abs(first)) * 2 * ROUNDING)

    squared = error**2 + within
    square = mean(squared)
    noise = np.maximum(mean(squared**2) - square**2, 0)
    root = np.sqrt(square)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_root = noise / (4 * square)
    of_root = np.where(square > 0, of_root, np.where(total > 0, 0, np.nan))
    result = {
        "mae": found(np.abs(error), squared, least=0),
        "rmse": mean_like(root, of_root, n, confidence, least=0, error=root * 2 * ROUNDING),
        "bias": found(error, squared),
        "mape": _relative(tally, groups, n, confidence),
        "r2": _determination(tally, errors, groups, squared, confidence),
    }
    for level in quantiles:
        if not 0 < level < 1:
            raise ValueError(f"a quantile must be between 0 and 1, such as .9, not {level:g}")
        slope = np.where(error < 0, -level, 1 - level)  # an error below 0: the prediction was too low
        result[f"quantile_{level:g}"] = found(slope * error, slope**2 * squared, least=0)
    return result


def _relative(tally: Tally, groups: int, n: Floats, confidence: float) -> Measured:
    """Return the mean of |error| / |truth|, where a truth of 0 counts as 2^-52, as in scikit-learn."""
    rows = tally.take(series_of(tally.keys) == Series.RELATIVE)
    weight, mean, variance = moments(rows, GRIDS[Series.RELATIVE])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = np.bincount(rows.groups, weight, groups)
        values = np.bincount(rows.groups, weight * mean, groups) / total
        second = np.bincount(rows.groups, weight * (mean**2 + variance), groups) / total
        spread = np.maximum(second - values**2, 0)
    return mean_like(values, spread, n, confidence, least=0, error=values * 2 * ROUNDING)


def _determination(tally: Tally, errors: Tally, groups: int, squared: Floats, confidence: float) -> Measured:
    """Return R² = 1 - Σ error² / Σ (truth - mean truth)², exact; its interval takes truths from buckets' means.

    NaN where all truths are alike (scikit-learn says 1 or 0 there).
    """
    rows = tally.take(series_of(tally.keys) == Series.TRUTHS)
    weight, truth, within = moments(rows, GRIDS[Series.TRUTHS])
    error_weight, error, _ = moments(errors, GRIDS[Series.ERRORS])
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.bincount(rows.groups, weight, groups)
        middle = np.bincount(rows.groups, weight * truth, groups) / total
        away = (truth - middle[rows.groups]) ** 2 + within
        spread = np.bincount(rows.groups, weight * away, groups) / total
        missed = np.bincount(errors.groups, error_weight * squared, groups) / total
        known = spread > 0
        values = np.where(known, 1 - missed / np.where(known, spread, 1), np.nan)
        # Of a prediction's bucket its middle is known, and the mean error there: so the truth, nearly.
        about = PREDICTIONS.values(prediction_of(errors.keys))[0] - error - middle[errors.groups]
        ratio = (missed / spread)[errors.groups]
        moved = (squared - ratio * about**2) / spread[errors.groups]
        variance = np.bincount(errors.groups, error_weight * moved**2, groups) / total
        # A truth that is rounded moves by 2^-20 of its size, which may be large beside the spread.
        size = np.bincount(rows.groups, weight * truth**2, groups) / total
        off = 2 * ROUNDING * (1 - values) * (2 + np.sqrt(size / spread))
    return mean_like(values, variance, total * effective(tally, groups), confidence, most=1, error=off)
