"""What a regression's errors are likely to be before the labels come, from its predictions alone.

NannyML's direct loss estimation (DLE) fits a model of |error| or error² to all features; a tally holds the prediction
alone, so this one is a table: the reference's errors by the prediction, in neighbouring buckets put together until
there are enough of them. It sees as much as the predictions move to where errors are larger or smaller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.performance.estimated import BAND
from driftline.performance.intervals import Measured, less, mean_like
from driftline.performance.outcomes import (
    GRIDS,
    PREDICTIONS,
    Series,
    bucket_of,
    effective,
    labelled,
    moments,
    prediction_of,
    series_of,
    share_of,
    waiting,
    with_any,
)
from driftline.performance.regression import measured
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats, Ints

LEAST: Final = 100.0
MAX_BINS: Final = 50
"""A bin holds a fiftieth of the reference's outcomes, or 100 if that is more."""
BLIND: Final = (
    "An estimate takes for granted that predictions of one size err as they did in the reference. It sees when there "
    "are more or fewer of a size; it cannot see that other inputs, or another world, make them err otherwise. "
    "Only labels can."
)
"""What an estimate cannot see, for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """A reference's errors by bin of the prediction (all shapes: bins)."""

    first: Ints
    """First bucket of each bin; what is below the first bin's counts to that."""
    last: int
    """Last bucket that the reference holds."""
    sizes: Floats
    """How many independent outcomes each bin is worth."""
    bias: Floats
    absolute: Floats
    square: Floats
    fourth: Floats


def errors_by_prediction(reference: Tally) -> Errors:
    """Learn errors by the prediction from a reference's outcomes, of one group."""
    rows = reference.take(series_of(reference.keys) == Series.ERRORS)
    if not len(rows):
        raise ValueError("expected errors need outcomes, but there are none: wait for labels")
    weight, error, variance = moments(rows, GRIDS[Series.ERRORS])
    bucket, at = np.unique(prediction_of(rows.keys), return_inverse=True)
    mass = np.bincount(at, weight)
    wanted = max(LEAST, float(mass.sum()) / MAX_BINS)
    starts = [0]
    held, left = 0.0, float(mass.sum())
    for position, each in enumerate(mass.tolist()):
        if held >= wanted and left >= wanted:
            starts.append(position)
            held = 0.0
        held, left = held + each, left - each
    of = np.repeat(np.arange(len(starts)), np.diff([*starts, len(mass)]))[at]
    total = np.bincount(of, weight)
    square = error**2 + variance

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(of, weight * values) / total)

    worth = effective(reference, 1)[0]
    return Errors(
        bucket[np.array(starts)], int(bucket[-1]), total * worth, mean(error), mean(np.abs(error)), mean(square),
        mean(square**2),
    )  # fmt: skip


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def expected(tally: Tally, groups: int, known: Errors, confidence: float = BAND) -> Mapping[str, Measured]:
    """Return mae, rmse and bias to expect of each group's predictions, those with labels and those without.

    Bands hold the sampling error of the outcomes to come, and the table's own; the mean of a table's rows is known as
    if from 1 / Σ share² / n outcomes.

    >>> from driftline.performance.outcomes import regressed
    >>> none, guess = np.zeros(400, dtype=np.int64), np.repeat([1.0, 100.0], 200)
    >>> known = errors_by_prediction(regressed(none, guess, guess + np.where(guess > 10, 10.0, 1.0)))
    >>> waits = regressed(none[:4], np.array([1.0, 1.0, 1.0, 100.0]), np.full(4, np.nan))
    >>> expected(waits, 1, known)["mae"].values
    array([3.25])
    """
    tally = with_any(tally, labelled(tally, groups) + waiting(tally, groups))
    group, bin_, weight = _by_bin(tally, known)
    bins = len(known.first)
    of = np.bincount(group * bins + bin_, weight, groups * bins).reshape(groups, bins)
    total = of.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = of / total[:, None]
        n = 1 / (1 / (total * effective(tally, groups)) + (share**2 / known.sizes).sum(axis=1))
        square = share @ known.square
        noise = np.maximum(share @ known.fourth - square**2, 0)
        return {
            "mae": _mean(share @ known.absolute, square, n, confidence, least=0),
            "rmse": mean_like(np.sqrt(square), noise / (4 * square), n, confidence, least=0),
            "bias": _mean(share @ known.bias, square, n, confidence),
        }


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def in_flight(tally: Tally, groups: int, known: Errors, confidence: float = BAND) -> Mapping[str, Measured]:
    """Return mae, rmse and bias of all predictions: as measured where labels have come, as expected where not.

    At worst both parts err to the same side, so the ends of their bands are mixed like the values.

    >>> from driftline.performance.outcomes import regressed
    >>> none = np.zeros(200, dtype=np.int64)
    >>> known = errors_by_prediction(regressed(none, np.ones(200), np.zeros(200)))
    >>> some = regressed(none[:4], np.ones(4), np.array([-2.0, -2.0, np.nan, np.nan]))
    >>> in_flight(some, 1, known)["mae"].values
    array([2.])
    """
    series = series_of(tally.keys)
    came, waits = tally.take(series != Series.PENDING), tally.take(series == Series.PENDING)
    real, likely = measured(came, groups, confidence=confidence), expected(waits, groups, known, confidence)
    weights = [np.bincount(rows.groups, rows.weights, groups) for rows in (_predictions(came)[0], waits)]
    share = weights[1] / (weights[0] + weights[1])

    def mixed(name: str, column: str) -> Floats:
        power = 2 if name == "rmse" else 1  # squares add up
        parts = zip((1 - share, share), (real[name], likely[name]), strict=True)
        mean = sum(np.where(part > 0, part * getattr(found, column) ** power, 0) for part, found in parts)
        return np.asarray(mean ** (1 / power))

    return {
        name: Measured(
            mixed(name, "values"), mixed(name, "low"), mixed(name, "high"), likely[name].error + real[name].error
        )
        for name in likely
    }


def gap(tally: Tally, groups: int, known: Errors, confidence: float = BAND) -> Mapping[str, Measured]:
    """Return expected less realised, both of the predictions whose labels have come (see `estimated.gap`)."""
    came = tally.take(series_of(tally.keys) != Series.PENDING)
    real = measured(came, groups)
    return {name: less(each, real[name]) for name, each in expected(came, groups, known, confidence).items()}


def unknown_share(tally: Tally, groups: int, known: Errors) -> Floats:
    """Return the share of each group's predictions that are smaller or larger than any of the reference."""
    rows, buckets = _predictions(tally)
    outside = (buckets < known.first[0]) | (buckets > known.last)
    return share_of(rows, outside, groups)


def _mean(values: Floats, square: Floats, n: Floats, confidence: float, least: float = -np.inf) -> Measured:
    return mean_like(values, np.maximum(square - values**2, 0), n, confidence, least=least)


def _predictions(tally: Tally) -> tuple[Tally, Ints]:
    """Return rows that count each prediction once, and the buckets of the predictions."""
    series = series_of(tally.keys)
    rows = tally.take((series == Series.ERRORS) | (series == Series.PENDING))
    with_label = series_of(rows.keys) == Series.ERRORS
    return rows, np.where(with_label, prediction_of(rows.keys), bucket_of(rows.keys))


def _by_bin(tally: Tally, known: Errors) -> tuple[Ints, Ints, Floats]:
    rows, buckets = _predictions(tally)
    at = np.maximum(np.searchsorted(known.first, buckets, side="right") - 1, 0)
    return rows.groups, at.astype(np.int64), moments(rows, PREDICTIONS)[0]
