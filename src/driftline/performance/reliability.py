"""Whether probabilities are right: how often the class came where it was given so much.

Reliability, resolution and calibration error are of bins, of about equal mass and made of whole buckets: with one bin
to a bucket they would measure nothing but chance.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.performance.by_score import Curve
from driftline.performance.grid import ROUNDING
from driftline.performance.intervals import CONFIDENCE, Measured, mean_like, normal_quantile
from driftline.performance.outcomes import IS
from driftline.sketches.keys import Floats

BINS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """Outcomes in bins of about equal mass (shapes: groups, bins); a bin may be empty."""

    weights: Floats
    scores: Floats
    """Mean score."""
    rates: Floats
    """Share of the outcomes that are the class."""
    worth: Floats

    @property
    def total(self) -> Floats:
        """Weight of each group."""
        return np.asarray(self.weights.sum(axis=1))


def binned(curve: Curve, bins: int = BINS) -> Binned:
    """Put buckets together in bins: by where the middle of a bucket's mass lies in its group's."""
    mass = curve.weights.sum(axis=0)
    total = curve.sums(mass)[curve.group]
    at = np.minimum((curve.below(mass) + mass / 2) / np.where(total > 0, total, 1) * bins, bins - 1).astype(np.int64)
    cell, shape = curve.group * bins + np.maximum(at, 0), (curve.groups, bins)

    def sums(values: Floats) -> Floats:
        return np.asarray(np.bincount(cell, values, curve.groups * bins).reshape(shape), dtype=np.float64)

    weights = sums(mass)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = sums((curve.weights * curve.means).sum(axis=0)) / weights
        rates = sums(curve.weights[IS]) / weights
    return Binned(weights, scores, rates, curve.worth)


def chance_error(bins: Binned) -> Floats:
    """Return the calibration error that chance alone would show, on the mean: |normal| has mean √(2/π) deviations."""
    with np.errstate(divide="ignore", invalid="ignore"):
        part = bins.weights / bins.total[:, None]
        variance = bins.rates * (1 - bins.rates) / (bins.weights * bins.worth[:, None])
        return np.asarray(np.nansum(part * np.sqrt(variance * 2 / np.pi), axis=1))


def calibration_error(bins: Binned, confidence: float = CONFIDENCE) -> Measured:
    """Return the expected calibration error: the mean of |score - rate| over bins of equal mass.

    Nixon and others 2019 (arXiv 1904.01685), "Measuring calibration in deep learning". Chance alone makes it positive:
    the interval's lower end takes that off (`chance_error`).
    """
    total = bins.total
    with np.errstate(divide="ignore", invalid="ignore"):
        part = bins.weights / total[:, None]
        variance = bins.rates * (1 - bins.rates) / (bins.weights * bins.worth[:, None])
        values = np.where(total > 0, np.nansum(part * np.abs(bins.scores - bins.rates), axis=1), np.nan)
        reach = normal_quantile(confidence) * np.sqrt(np.nansum(part**2 * variance, axis=1))
    low = np.maximum(values - chance_error(bins) - reach, 0)
    return Measured(values, low, np.minimum(values + reach, 1), np.full(len(total), 2 * ROUNDING))


def murphy(bins: Binned, confidence: float = CONFIDENCE) -> dict[str, Measured]:
    """Return the parts of Brier's score: Brier = reliability - resolution + uncertainty + what is within the bins.

    Murphy 1973 (J. Applied Meteorology 12, p. 595); what is within: Stephenson, Coelho and Jolliffe 2008 (Weather and
    Forecasting 23, p. 752). Intervals by influence, with the bins' mean scores taken as given.
    """
    total = bins.total
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(bins.weights > 0, bins.weights / total[:, None], 0)
        score, rate = np.nan_to_num(bins.scores), np.nan_to_num(bins.rates)
        mean = (part * rate).sum(axis=1)
        gap, undefined = score - rate, np.where(total > 0, 0, np.nan)
        reliability, resolution = (part * gap**2).sum(axis=1), (part * (rate - mean[:, None]) ** 2).sum(axis=1)
        uncertainty = mean * (1 - mean)
        moved: dict[str, Floats] = {"reliability": np.zeros(len(total)), "resolution": np.zeros(len(total))}
        for outcome, likely in ((0.0, 1 - rate), (1.0, rate)):
            by_reliability = 2 * gap * (score - outcome) - gap**2 - reliability[:, None]
            about = 2 * mean[:, None] * outcome - mean[:, None] ** 2
            by_resolution = 2 * rate * outcome - rate**2 - about - resolution[:, None]
            moved["reliability"] += (part * likely * by_reliability**2).sum(axis=1)
            moved["resolution"] += (part * likely * by_resolution**2).sum(axis=1)
    n = total * bins.worth
    return {
        "reliability": mean_like(reliability + undefined, moved["reliability"], n, confidence, least=0, most=1),
        "resolution": mean_like(resolution + undefined, moved["resolution"], n, confidence, least=0, most=1),
        "uncertainty": mean_like(
            uncertainty + undefined, (1 - 2 * mean) ** 2 * uncertainty, n, confidence, least=0, most=0.25
        ),
    }
