"""Metrics of predictions of a number as shares, so that the evidence that weighs rates (`concept`) weighs them.

An outcome is a hit by h, from 0 to 1, and a miss by 1 - h:

    mae            |error| / most           mape         |error / truth| / most
    rmse           (error / most)²          bias         1/2 + error / (2 most)
    quantile_0.9   the quantile's loss / most

Of a hundredth of the reference's outcomes the loss is larger than `most`; what is larger counts as that. So one outcome
that is far off moves the evidence no more than any other bad one. Estimates take for an outcome what the reference has
on the mean at a prediction of that size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.performance.names import quantile_of
from driftline.performance.outcomes import (
    GRIDS,
    PREDICTIONS,
    Series,
    bucket_of,
    effective,
    moments,
    prediction_of,
    series_of,
)
from driftline.performance.rates import Rates, bin_of, binned_means
from driftline.performance.shares import Counted, summed
from driftline.performance.tally import WEIGHT_UNIT, Tally
from driftline.sketches.keys import Floats, Ints

BEYOND: Final = 0.01
"""Part of the reference's outcomes whose loss is capped."""
Loss = Callable[[Floats, Floats], Floats]
"""Of errors, and of predictions."""


@dataclass(frozen=True, slots=True, eq=False)
class ErrorShare:
    """One metric as a share."""

    loss: Loss
    most: float
    signed: bool
    """Whether the loss has two sides."""
    likely: Rates
    """What the reference has on the mean, by bin of the prediction."""

    def measured(self, window: Tally) -> Counted:
        """Count what has labels, of one group."""
        weight, error, predicted, _ = _errors(window)
        hit = _hits(self.loss(error, predicted), self.most, signed=self.signed)
        return summed(weight * effective(window, 1)[0], hit, 1 - hit)

    def expected(self, window: Tally) -> Counted:
        """Count what is likely to come, with labels and without."""
        series = series_of(window.keys)
        rows = window.take((series == Series.ERRORS) | (series == Series.PENDING))
        with_label = series_of(rows.keys) == Series.ERRORS
        bucket = np.where(with_label, prediction_of(rows.keys), bucket_of(rows.keys))
        hit = self.likely.rates[bin_of(bucket, self.likely)]
        return summed(rows.weights / WEIGHT_UNIT, hit, 1 - hit)


def error_share(name: str, reference: Tally) -> ErrorShare | None:
    """Return how to count a metric, by the outcomes of one group; None where there is no such one, or no error."""
    loss = _loss(name)
    if loss is None:
        return None
    weight, error, predicted, bucket = _errors(reference)
    values = loss(error, predicted)
    most = _cap(np.abs(values), weight)
    if not 0 < most < np.inf:
        return None
    signed = name == "bias"
    hit = _hits(values, most, signed=signed)
    return ErrorShare(loss, most, signed, binned_means(bucket, weight, hit, effective(reference, 1)[0]))


def _loss(name: str) -> Loss | None:
    if (level := quantile_of(name)) is not None:
        return lambda error, predicted: np.where(error < 0, -level, 1 - level) * error
    known: dict[str, Loss] = {
        "mae": lambda error, predicted: np.abs(error),
        "rmse": lambda error, predicted: error**2,
        "bias": lambda error, predicted: error,
        "mape": lambda error, predicted: np.abs(error) / np.maximum(np.abs(predicted - error), _LEAST),
    }
    return known.get(name)


_LEAST: Final = float(np.finfo(np.float64).eps)


def _errors(tally: Tally) -> tuple[Floats, Floats, Floats, Ints]:
    """Return weight, mean error, prediction and its bucket of each row that has a label."""
    rows = tally.take((series_of(tally.keys) == Series.ERRORS) & (tally.weights != 0))
    weight, error, _ = moments(rows, GRIDS[Series.ERRORS])
    bucket = prediction_of(rows.keys)
    return weight, error, PREDICTIONS.values(bucket)[0], bucket


def _hits(values: Floats, most: float, *, signed: bool) -> Floats:
    part = np.clip(values / most, -1, 1)
    return np.asarray((1 + part) / 2 if signed else part)


def _cap(sizes: Floats, weight: Floats) -> float:
    """Return the size that a hundredth exceed."""
    if not len(sizes) or weight.sum() <= 0:
        return 0.0
    order = np.argsort(sizes)
    return float(sizes[order][np.searchsorted(np.cumsum(weight[order]), (1 - BEYOND) * weight.sum())])
