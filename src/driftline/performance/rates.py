"""How often outcomes came in a reference, by the score or the prediction, and how often they come in a window.

Where scores move within a bin its rate moves along the calibration's curve: so `Seen.rates` are the reference's rates
for the very scores that the window has.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.performance.by_score import Curve
from driftline.performance.calibration import ScoreCalibration, calibrated
from driftline.performance.outcomes import IS, Series, bucket_of, effective, prediction_of, series_of
from driftline.performance.tally import WEIGHT_UNIT, Tally
from driftline.sketches.keys import Bools, Floats, Ints

BINS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """How often a reference's outcomes came, by bin of the score. Bin b begins at bucket `starts[b]`."""

    starts: Ints
    rates: Floats
    sizes: Floats
    """How many independent outcomes each rate is of."""
    foreseen: Floats
    """What `likely` says of the bin's scores, on the mean."""
    likely: ScoreCalibration | None
    """How rates go within a bin; None where they are taken as alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Outcomes of a window by bin (all shapes: groups, bins), as so many as their weights are worth."""

    hits: Floats
    """Those that are what the rates are of."""
    counts: Floats
    rates: Floats
    """What the reference says of their scores."""
    squares: Floats | None = None
    """Where hits are chances: Σ h², Σ k² and Σ h k of what is a hit by h and a miss by k (shape: 3, groups, bins)."""


def rates_by_score(reference: Curve, bins: int = BINS) -> Rates:
    """Learn from the outcomes of one group how often they are the class, in bins of about equal mass."""
    likely = calibrated(reference)
    mass = reference.weights.sum(axis=0)
    starts, at = _bins(reference.bucket, mass, bins)
    total = np.bincount(at, mass, len(starts))
    foreseen = np.bincount(at, _foreseen(reference, likely), len(starts)) / total
    rates = np.bincount(at, reference.weights[IS], len(starts)) / total
    return Rates(starts, rates, total * reference.worth[0], foreseen, likely)


def seen_by_score(window: Curve, known: Rates) -> Seen:
    """Count the outcomes of each group by bin of the score."""
    if known.likely is None:
        raise ValueError("these rates belong to predictions, not to scores: see `seen_by_prediction`")
    worth = window.worth[window.group]
    mass, sure = window.weights.sum(axis=0) * worth, _foreseen(window, known.likely) * worth
    columns = (window.weights[IS] * worth, mass, sure)
    hits, counts, foreseen = (_bybin_of(window.group, window.bucket, window.groups, each, known) for each in columns)
    mean = np.divide(foreseen, counts, out=np.broadcast_to(known.foreseen, counts.shape).copy(), where=counts > 0)
    return Seen(hits, counts, np.clip(known.rates + mean - known.foreseen, 0, 1))


def _foreseen(curve: Curve, likely: ScoreCalibration) -> Floats:
    """Return how many outcomes of each row are the class, by the calibration."""
    return np.asarray((curve.weights * likely(curve.means)).sum(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class ErrorRates:
    """How often predictions of a number erred by much, and to which side, by bin of the prediction."""

    far: Rates
    """Errors as large as `limit` says, or larger."""
    above: Rates
    """Predictions above the truth."""
    limit: Ints
    """The bucket of |error| from which on it is large, for each bin of the prediction: about the reference's median."""


def rates_by_prediction(reference: Tally, bins: int = BINS) -> ErrorRates:
    """Learn from a reference of one group how its errors go by the prediction."""
    rows, group = _errors(reference)
    if not len(rows) or group.any():
        raise ValueError("rates need the outcomes of one group: wait for labels")
    weight, size = rows.weights / WEIGHT_UNIT, _size(rows)
    starts, at = _bins(prediction_of(rows.keys), weight, bins)
    limit = np.array([_median(size[at == each], weight[at == each]) for each in range(len(starts))])
    worth = effective(reference, 1)[0]
    far = _rates(starts, at, weight, size >= limit[at], worth)
    return ErrorRates(far, _rates(starts, at, weight, bucket_of(rows.keys) >= 0, worth), limit)


def seen_by_prediction(window: Tally, groups: int, known: ErrorRates) -> tuple[Seen, Seen]:
    """Count the errors of each group by bin of the prediction: those that are far, and those above the truth."""
    rows, group = _errors(window)
    bucket, weight = prediction_of(rows.keys), rows.weights / WEIGHT_UNIT * effective(window, groups)[group]
    counts = _bybin_of(group, bucket, groups, weight, known.far)
    far = _size(rows) >= known.limit[bin_of(bucket, known.far)]
    found = []
    for of, chosen in ((known.far, far), (known.above, bucket_of(rows.keys) >= 0)):
        hits = _bybin_of(group, bucket, groups, weight * chosen, of)
        found.append(Seen(hits, counts, np.broadcast_to(of.rates, counts.shape)))
    return found[0], found[1]


@dataclass(frozen=True, slots=True, eq=False)
class LargeErrors:
    """How often predictions of a number err by more than half of the reference's do, by bin of the prediction."""

    limit: int
    """The bucket of |error| from which on it is large: the reference's median."""
    likely: Rates

    def seen(self, window: Tally) -> tuple[Floats, Floats]:
        """Return how many of one group's errors are large, and how many there are (shape: 1)."""
        rows, _ = _errors(window)
        weight = rows.weights / WEIGHT_UNIT * effective(window, 1)[0]
        return np.array([weight[_size(rows) >= self.limit].sum()]), np.array([weight.sum()])

    def expected(self, window: Tally) -> tuple[Floats, Floats, Floats]:
        """Return how many errors of one group's predictions are likely to be large, with labels and without.

        And the sums of squares of what each is likely to be (see `Seen.squares`).
        """
        series = series_of(window.keys)
        rows = window.take((series == Series.ERRORS) | (series == Series.PENDING))
        with_label = series_of(rows.keys) == Series.ERRORS
        bucket = np.where(with_label, prediction_of(rows.keys), bucket_of(rows.keys))
        weight, large = rows.weights / WEIGHT_UNIT, self.likely.rates[bin_of(bucket, self.likely)]
        squares = [(weight * each).sum(keepdims=True) for each in (large**2, (1 - large) ** 2, large * (1 - large))]
        return (weight * large).sum(keepdims=True), weight.sum(keepdims=True), np.array(squares)


def large_errors(reference: Tally, bins: int = BINS) -> LargeErrors:
    """Learn from a reference of one group what a large error is, and how often it comes by the prediction.

    Raises `ValueError` where there are no outcomes.
    """
    rows, _ = _errors(reference)
    if not len(rows):
        raise ValueError("rates need the outcomes of one group: wait for labels")
    weight, size = rows.weights / WEIGHT_UNIT, _size(rows)
    limit = _median(size, weight)
    starts, at = _bins(prediction_of(rows.keys), weight, bins)
    return LargeErrors(limit, _rates(starts, at, weight, size >= limit, effective(reference, 1)[0]))


def binned_means(bucket: Ints, weight: Floats, values: Floats, worth: float, bins: int = BINS) -> Rates:
    """Return the mean of what rows are worth, by bin of the prediction."""
    starts, at = _bins(bucket, weight, bins)
    return _rates(starts, at, weight, values, worth)


def standard_score(seen: Seen, dispersion: float = 1.0) -> Floats:
    """Return by how many standard deviations each group has more hits than foreseen.

    About standard normal while nothing changes, whatever the scores are: what the online detectors are fed (ADWIN,
    Page-Hinkley, HDDM). Spiegelhalter 1986 (Statistics in Medicine 5, p. 421). NaN without outcomes.
    """
    if seen.squares is None:
        spread = (seen.counts * seen.rates * (1 - seen.rates)).sum(axis=1) * dispersion
    else:
        weights = np.stack([(1 - seen.rates) ** 2, seen.rates**2, -2 * seen.rates * (1 - seen.rates)])
        spread = (weights * seen.squares).sum(axis=(0, 2)) * dispersion
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((seen.hits - seen.counts * seen.rates).sum(axis=1) / np.sqrt(spread))


def _bins(bucket: Ints, mass: Floats, bins: int) -> tuple[Ints, Ints]:
    """Return the first buckets of bins of about equal mass, and the bin of each row."""
    order = np.argsort(bucket, kind="stable")
    bucket, mass = bucket[order], mass[order]
    before = np.cumsum(mass) - mass
    first = np.searchsorted(bucket, bucket)  # rows of one bucket stay together
    wanted = np.minimum(before[first] / mass.sum() * bins, bins - 1).astype(np.int64)
    _, rows, ordered = np.unique(wanted, return_index=True, return_inverse=True)
    at = np.empty(len(order), dtype=np.int64)
    at[order] = ordered
    return bucket[rows], at


def _rates(starts: Ints, at: Ints, weight: Floats, values: Floats | Bools, worth: float) -> Rates:
    """Return the mean of what rows, each in a bin, are worth: or how often they are among those chosen."""
    total = np.bincount(at, weight, len(starts))
    rates = np.asarray(np.bincount(at, weight * values, len(starts)) / total, dtype=np.float64)
    return Rates(starts, rates, np.asarray(total * worth, dtype=np.float64), rates, None)


def bin_of(bucket: Ints, known: Rates) -> Ints:
    """Return the bin of each bucket; what is below the reference's first counts to the first."""
    return np.maximum(np.searchsorted(known.starts, bucket, side="right") - 1, 0).astype(np.int64)


def _bybin_of(group: Ints, bucket: Ints, groups: int, values: Floats, known: Rates) -> Floats:
    """Return the sum of values by group and bin."""
    bins = len(known.starts)
    found = np.bincount(group * bins + bin_of(bucket, known), values, groups * bins)
    return np.asarray(found.reshape(groups, bins), dtype=np.float64)


def _errors(tally: Tally) -> tuple[Tally, Ints]:
    rows = tally.take(series_of(tally.keys) == Series.ERRORS)
    return rows, rows.groups


def _size(rows: Tally) -> Ints:
    """Return the bucket of |error|: buckets of negative numbers mirror those of positive ones."""
    bucket = bucket_of(rows.keys)
    return np.where(bucket < 0, -1 - bucket, bucket)


def _median(size: Ints, weight: Floats) -> int:
    order = np.argsort(size)
    return int(size[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
