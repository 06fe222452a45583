"""Predictions, with their labels or still without, as tallies.

What a row counts is its key: of which series, which class was scored and which one predicted, whether the label is
that class, and the bucket.

    series    first       second       truth                bucket of
    SCORES    class 1     predicted    not, is, unknown     the probability of class 1 (of two)
    MARGINS   class 1     predicted    not, is, unknown     a score of class 1 that is no probability
    CLASSES   a class     predicted    not, is, unknown     that class's probability, one row for each class
    ERRORS    bucket of the prediction                      prediction less truth
    TRUTHS                                                  the truth
    RELATIVE                                                |error| by |truth|
    PENDING                                                 the prediction that has no label yet
    WEIGHTS                                                 (how much the squares of weights are above the weights)
    DELAYS                                                  how long after its prediction a first label came
    VALUES                                                  what the label says that the outcome is worth

A score that is missing (NaN), or no probability where it should be one, has the bucket NO_SCORE: then it counts for
what is right and wrong, and for nothing that goes by scores.

A correction takes the old outcome away (sign -1) and adds the new one. A label that comes for a prediction that was
counted as waiting takes the waiting one away (truth WAITING) and adds the outcome.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from driftline.performance.grid import Grid
from driftline.performance.tally import WEIGHT_UNIT, Tally, counted, merged, units
from driftline.sketches.keys import Bools, Floats, Ints

MAX_CLASSES: Final = 1 << 14
WAITING: Final = -1
"""As a truth: no label has come yet."""
NOT, IS, UNKNOWN = 0, 1, 2
"""Whether the label is the class."""
SCORED: Final = 0.99
"""Of so many outcomes a class must have a score, for anything to go by it."""
POSITIVE: Final = 1
"""The class whose score is counted, where there are two."""

_BUCKET_BITS, _TRUTH_BITS, _CLASS_BITS = 26, 2, 14
_TRUTHS: Final = np.int64(((1 << _TRUTH_BITS) - 1) << _BUCKET_BITS)
NO_SCORE: Final = -(1 << (_BUCKET_BITS - 1))
"""Stands for the bucket of a score that is missing."""


class Series(IntEnum):
    """What is counted by bucket."""

    SCORES = 0
    MARGINS = 1
    CLASSES = 2
    ERRORS = 3
    TRUTHS = 4
    RELATIVE = 5
    PENDING = 6
    WEIGHTS = 7
    DELAYS = 8
    VALUES = 9


GRIDS: Final = {
    Series.SCORES: Grid(5, probabilities=True),
    Series.MARGINS: Grid(5),
    Series.CLASSES: Grid(3, probabilities=True),
    Series.ERRORS: Grid(2),
    Series.TRUTHS: Grid(2),
    Series.RELATIVE: Grid(2),
    Series.PENDING: Grid(5),
    Series.DELAYS: Grid(3),
    Series.VALUES: Grid(2),
}
"""Where moments do, buckets are coarse; where rank or a curve matters, fine."""
PREDICTIONS: Final = GRIDS[Series.PENDING]
"""Buckets of the prediction, by which errors are counted."""


def classified(
    groups: Ints,
    predicted: Ints,
    truths: Ints,
    scores: Floats | None = None,
    *,
    weights: Floats | None = None,
    signs: Ints | None = None,
    probabilities: bool = True,
) -> Tally:
    """Return the tally of predictions of a class.

    Args:
        groups: the group of each (shape: rows), 0 or more.
        predicted: the class that was predicted, as a code from 0 on; the same class has the same code in all that is
            merged. Of two classes, 1 is the one that scores are of.
        truths: the class of the label, or WAITING.
        scores: of class 1 (shape: rows), or of each class (shape: rows, classes); NaN where there is none.
        weights: between 1/256 and 256; None for 1.
        signs: 1 for what is added, -1 for what is taken away; None for 1.
        probabilities: whether scores are probabilities; else any finite numbers, of two classes.

    >>> zero = np.zeros(3, dtype=np.int64)
    >>> tally = classified(zero, np.array([1, 0, 1]), np.array([1, 0, 0]), np.array([0.9, 0.2, 0.9]))
    >>> tally.counts
    array([1, 1, 1])
    >>> len(tally - classified(zero, np.array([1, 0, 1]), np.array([1, 0, 0]), np.array([0.9, 0.2, 0.9])))
    0
    """
    _check_classes(predicted, truths)
    rows, found = len(groups), scores
    if found is not None and found.ndim == 2 and found.shape[1] == 2:
        found = found[:, POSITIVE]
    if found is None or found.ndim == 1:
        series = Series.SCORES if probabilities else Series.MARGINS
        classes, found = np.array([POSITIVE]), np.full(rows, np.nan) if found is None else found
        if max(predicted.max(initial=0), truths.max(initial=0)) > POSITIVE:
            raise ValueError("with more than two classes, each needs a score: pass scores of shape (rows, classes)")
    else:
        series, classes = Series.CLASSES, np.arange(found.shape[1])
        if max(predicted.max(initial=0), truths.max(initial=0)) >= len(classes):
            raise ValueError(f"there are scores for {len(classes)} classes, but another class was predicted or is true")
    each = len(classes)
    found = np.ascontiguousarray(found, dtype=np.float64).reshape(rows * each)
    buckets, offsets = _buckets(GRIDS[series], found)
    truth = np.where(truths[:, None] < 0, UNKNOWN, np.where(truths[:, None] == classes, IS, NOT))
    keys = key(series, np.broadcast_to(classes, (rows, each)), predicted[:, None], truth, buckets.reshape(rows, each))
    units_, signs_, known = _units(weights, rows), _signs(signs, rows), truths >= 0
    repeated = [np.repeat(column, each) for column in (groups, units_, signs_)]
    tally = counted(repeated[0], keys.reshape(-1), offsets, repeated[1], repeated[2])
    return tally + squares(groups[known], units_[known], signs_[known])


def regressed(
    groups: Ints, predicted: Floats, truths: Floats, *, weights: Floats | None = None, signs: Ints | None = None
) -> Tally:
    """Return the tally of predictions of a number; a truth that is NaN has not come yet.

    Predictions and truths are finite otherwise. For `groups`, `weights` and `signs` see `classified`.

    >>> len(regressed(np.zeros(1, dtype=np.int64), np.array([10.0]), np.array([12.0])))
    3
    """
    labelled = ~np.isnan(truths)
    units_, signs_ = _units(weights, len(groups)), _signs(signs, len(groups))
    truth, estimate = truths[labelled], predicted[labelled]
    with np.errstate(over="ignore"):
        error = estimate - truth
        relative = np.abs(error) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)
    at = PREDICTIONS.buckets(estimate)[0] - NO_SCORE
    known = (groups[labelled], units_[labelled], signs_[labelled])
    late = (groups[~labelled], units_[~labelled], signs_[~labelled])
    none = np.zeros(len(truth), dtype=np.int64)
    return merged(
        [
            _numbers(Series.ERRORS, error, at, *known),
            _numbers(Series.TRUTHS, truth, none, *known),
            _numbers(Series.RELATIVE, relative, none, *known),
            _numbers(Series.PENDING, predicted[~labelled], np.zeros(len(late[0]), dtype=np.int64), *late),
            squares(*known),
        ]
    )


def _numbers(series: Series, values: Floats, first: Ints, groups: Ints, weights: Ints, signs: Ints) -> Tally:
    buckets, offsets = GRIDS[series].buckets(values)
    keys = key(series, first >> _CLASS_BITS, first & (MAX_CLASSES - 1), NOT, buckets)
    return counted(groups, keys, offsets, weights, signs)


def key(series: int, first: Ints, second: Ints, truth: Ints | int, buckets: Ints) -> Ints:
    """Return keys of rows; all are below 2^60."""
    cell = (((np.int64(series) << _CLASS_BITS | first) << _CLASS_BITS) | second) << _TRUTH_BITS | truth
    return np.asarray((cell << _BUCKET_BITS) + (buckets - NO_SCORE))


def series_of(keys: Ints) -> Ints:
    """Return the series of each key."""
    return np.asarray(keys >> (_BUCKET_BITS + _TRUTH_BITS + 2 * _CLASS_BITS))


def first_of(keys: Ints) -> Ints:
    """Return the class that was scored."""
    return (keys >> (_BUCKET_BITS + _TRUTH_BITS + _CLASS_BITS)) & (MAX_CLASSES - 1)


def second_of(keys: Ints) -> Ints:
    """Return the class that was predicted."""
    return (keys >> (_BUCKET_BITS + _TRUTH_BITS)) & (MAX_CLASSES - 1)


def rewritten(keys: Ints, first: Ints, second: Ints) -> Ints:
    """Return the same keys of other classes."""
    below, above = _TRUTH_BITS + _BUCKET_BITS, _TRUTH_BITS + _BUCKET_BITS + 2 * _CLASS_BITS
    classes = first << _CLASS_BITS | second
    return np.asarray(keys >> above << above | classes << below | keys & ((1 << below) - 1))


def prediction_of(keys: Ints) -> Ints:
    """Return the bucket of the prediction, in ERRORS."""
    bucket: Ints = (first_of(keys) << _CLASS_BITS | second_of(keys)) + NO_SCORE
    return bucket


def truth_of(keys: Ints) -> Ints:
    """Return whether the label is the class: NOT, IS, UNKNOWN."""
    return (keys >> _BUCKET_BITS) & ((1 << _TRUTH_BITS) - 1)


def bucket_of(keys: Ints) -> Ints:
    """Return the bucket, or NO_SCORE."""
    return (keys & ((1 << _BUCKET_BITS) - 1)) + NO_SCORE


def without_labels(tally: Tally) -> Tally:
    """Return rows of classes as if no label had come yet."""
    return tally.rekeyed(tally.keys & ~_TRUTHS | np.int64(UNKNOWN << _BUCKET_BITS))


def arrived(tally: Tally) -> Tally:
    """Return what is of predictions whose label has come, but not what they are worth."""
    series = series_of(tally.keys)
    return tally.take((truth_of(tally.keys) != UNKNOWN) & (series != Series.PENDING) & (series != Series.VALUES))


def of_classes(tally: Tally, classes: int) -> Tally:
    """Return what is of so many classes: others have come since they were learned."""
    series = series_of(tally.keys)
    other = (first_of(tally.keys) >= classes) | (second_of(tally.keys) >= classes)
    return tally.take(~other | (series > Series.CLASSES))


def moments(tally: Tally, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Return the weight, mean and variance of the values of each row (NaN where the weight is 0)."""
    weight = tally.weights / WEIGHT_UNIT
    middle, step = grid.values(bucket_of(tally.keys))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        place = tally.firsts / tally.weights
        spread = np.maximum(tally.seconds / tally.weights - place**2, 0)
        mean: Floats = middle + step * place
        return weight, mean, step**2 * spread


def effective(tally: Tally, groups: int) -> Floats:
    """Return (Σ weight)² / Σ weight² over Σ weight of each group's labelled: 1 where all weights are.

    So many independent outcomes of weight 1 a unit of weight is worth (Kish 1965, Survey Sampling, section 11.7).
    """
    series = series_of(tally.keys)
    extra = tally.take(series == Series.WEIGHTS)
    lone = tally.take(_once(tally))
    total = np.bincount(lone.groups, lone.weights, groups)
    squares = np.bincount(extra.groups, extra.firsts, groups) + WEIGHT_UNIT * total
    worth: Floats = np.divide(WEIGHT_UNIT * total, squares, out=np.ones(groups), where=squares > 0)
    return worth


def labelled(tally: Tally, groups: int) -> Ints:
    """Return how many outcomes each group has."""
    lone = tally.take(_once(tally))
    return np.asarray(np.bincount(lone.groups, lone.counts, groups), dtype=np.int64)


def waiting(tally: Tally, groups: int) -> Ints:
    """Return how many predictions of each group have no label yet."""
    series, truth = series_of(tally.keys), truth_of(tally.keys)
    of_class = (truth == UNKNOWN) & ((series != Series.CLASSES) | (first_of(tally.keys) == 0))
    lone = tally.take(of_class | (series == Series.PENDING))
    return np.asarray(np.bincount(lone.groups, lone.counts, groups), dtype=np.int64)


def all_scored(tally: Tally, groups: int, classes: int) -> Floats:
    """Return 0 for groups of whose outcomes nearly all have a score of each class, and NaN for others."""
    rows = tally.take(series_of(tally.keys) == Series.CLASSES)
    cell, scored = rows.groups * classes + first_of(rows.keys), bucket_of(rows.keys) != NO_SCORE
    every = np.bincount(cell, rows.weights, groups * classes)
    some = np.bincount(cell[scored], rows.weights[scored], groups * classes)
    return np.where((some >= SCORED * every).reshape(groups, classes).all(axis=1), 0.0, np.nan)


def with_any(tally: Tally, counts: Ints) -> Tally:
    """Return the rows of groups that have a count above 0; in others a correction came before what it corrects."""
    return tally.take((counts > 0)[tally.groups])


def share_of(tally: Tally, chosen: Bools, groups: int) -> Floats:
    """Return which part of the weight of each group's rows those are that are chosen; 0 where there are none."""
    total = np.bincount(tally.groups, tally.weights, groups)
    part = np.bincount(tally.groups, tally.weights * chosen, groups)
    return np.asarray(np.divide(part, total, out=np.zeros(groups), where=total > 0))


def _once(tally: Tally) -> Bools:
    """Tell of rows which to count, that each outcome is counted once."""
    series, truth = series_of(tally.keys), truth_of(tally.keys)
    two = ((series == Series.SCORES) | (series == Series.MARGINS)) & (truth != UNKNOWN)
    return np.asarray(two | ((series == Series.CLASSES) & (truth == IS)) | (series == Series.ERRORS))


def _buckets(grid: Grid, scores: Floats) -> tuple[Ints, Ints]:
    good = (scores >= 0) & (scores <= 1) if grid.probabilities else np.isfinite(scores)
    buckets, offsets = grid.buckets(np.where(good, scores, 0.0))
    return np.where(good, buckets, NO_SCORE), np.where(good, offsets, 0)


def squares(groups: Ints, weights: Ints, signs: Ints) -> Tally:
    """Count in WEIGHTS how much each weight's square is above what one of weight 1 would have: nothing for most."""
    apart = weights != WEIGHT_UNIT
    above = weights[apart] - WEIGHT_UNIT
    none = np.zeros(len(above), dtype=np.int64)
    return counted(groups[apart], key(Series.WEIGHTS, none, none, NOT, none), above, weights[apart], signs[apart])


def _units(weights: Floats | None, rows: int) -> Ints:
    return np.full(rows, WEIGHT_UNIT, dtype=np.int64) if weights is None else units(weights)


def _signs(signs: Ints | None, rows: int) -> Ints:
    return np.ones(rows, dtype=np.int64) if signs is None else signs.astype(np.int64)


def _check_classes(predicted: Ints, truths: Ints) -> None:
    if min(predicted.min(initial=0), truths.min(initial=0) - WAITING) < 0 or predicted.max(initial=0) >= MAX_CLASSES:
        raise ValueError(
            f"a class must be a code from 0 to {MAX_CLASSES - 1}, and a truth that has not come is {WAITING}"
        )
