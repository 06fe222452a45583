"""Labels that come for some predictions sooner, or only: then what was measured on those that came is biased.

Whether a label comes may hang on what was predicted: a loan that was refused is never repaid. Predictions are put into
*strata* by the predicted class and bins of the score (or of the predicted number). Where labels come for some of each
stratum, and within a stratum for any of them alike, an outcome stands for all predictions of its stratum: it counts
with the inverse of the labelling rate (Horvitz and Thompson 1952, JASA 47, p. 663; missing at random: Little and Rubin
2019, Statistical Analysis with Missing Data, section 3.3). Where a stratum has no labels nothing stands for it, and
what depends on it cannot be known: no recall where only predicted positives are labelled.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
import scipy

from driftline.performance.intervals import CONFIDENCE, Measured, share
from driftline.performance.outcomes import (
    IS,
    NO_SCORE,
    UNKNOWN,
    Series,
    bucket_of,
    effective,
    first_of,
    key,
    prediction_of,
    second_of,
    series_of,
    truth_of,
)
from driftline.performance.tally import WEIGHT_UNIT, Tally, merged
from driftline.sketches.keys import Bools, Floats, Ints

BINS: Final = 10
MIN_LABELS: Final = 10
"""A stratum with fewer is not known."""
SMALL: Final = 0.01
"""Predictions in strata that are not known may be so many of all, and nothing is said."""
CHANCE: Final = 1e-4
"""Labelling rates that differ by strata no more than chance would once in so many times are taken as one."""
_ROOM: Final = 2.0**60
_PLACE_BITS: Final = 27


class SelectionVerdict(Enum):
    """What labels that have come say about all predictions."""

    ALIKE = "labels come equally often for all scores: metrics on them hold for all predictions"
    WEIGHTED = "labels come sooner or more often for some scores: the rarer a label, the more its outcome counts"
    PARTLY = "no labels come for some predictions: metrics that depend on them are unknown"
    NONE = "there are too few labels to tell"


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """How predictions are labelled by stratum (shape: groups, predicted classes, bins of the score)."""

    labelled: Ints
    waiting: Ints

    @property
    def rates(self) -> Floats:
        """Labelling rate of each stratum; NaN where nothing was predicted."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.labelled / (self.labelled + self.waiting))

    @property
    def known(self) -> Bools:
        """Whether a stratum has labels enough for what waits in it, or nothing waits."""
        return np.asarray((self.labelled >= MIN_LABELS) | (self.waiting == 0))

    def coverage(self, confidence: float = CONFIDENCE) -> Measured:
        """Return the share of predictions whose label has come."""
        came, all_ = self.labelled.sum(axis=(1, 2)), (self.labelled + self.waiting).sum(axis=(1, 2))
        return share(came.astype(np.float64), all_.astype(np.float64), np.ones(len(all_)), confidence)

    def unknown(self) -> Floats:
        """Return the share of each group's predictions, by predicted class, in strata that are not known."""
        both = self.labelled + self.waiting
        total = np.maximum(both.sum(axis=(1, 2)), 1)
        return np.asarray((both * ~self.known).sum(axis=2) / total[:, None])


@dataclass(frozen=True, slots=True)
class Judged:
    """What can be known of one group, and why not the rest."""

    verdict: SelectionVerdict
    unknowable: frozenset[str]
    """Metrics that cannot be known, by name."""
    reason: str


OF_PREDICTED: Final = frozenset({"precision"})
"""Metrics that need the labels of what was predicted as class 1, and no others."""


def strata(tally: Tally, groups: int, classes: int = 2, bins: int = BINS) -> Strata:
    """Count labels by stratum. For numbers (`regressed`) there is one class.

    >>> from driftline.performance.outcomes import WAITING, classified
    >>> guess = np.repeat([0, 1], 50)
    >>> rows = classified(0 * guess, guess, np.where(guess == 1, 1, WAITING), guess * 0.6 + 0.2)
    >>> found = strata(rows, 1, bins=1)
    >>> found.labelled[0, :, 0], found.waiting[0, :, 0], judged(found)[0].reason
    (array([ 0, 50]), array([50,  0]), 'no labels come for what was predicted as class 0 (50% of predictions)')
    """
    once, came = _predictions(tally)
    rows = tally.take(once)
    cell = _cells(rows, rows, groups, classes, bins)
    shape = (groups, classes, bins)

    def counts(chosen: Ints) -> Ints:
        found = np.bincount(cell[chosen], rows.counts[chosen], groups * classes * bins)
        return np.asarray(found.reshape(shape), dtype=np.int64)

    return Strata(counts(np.flatnonzero(came[once])), counts(np.flatnonzero(~came[once])))


def judged(found: Strata, metrics: frozenset[str] = frozenset()) -> list[Judged]:
    """Say of each group what its labels stand for.

    Args:
        found: of `strata`.
        metrics: the names of those that are asked for; of each it is said whether it can be known.
    """
    unknown, many = found.unknown(), found.labelled.sum(axis=(1, 2))
    return [
        _judged(unknown[group], int(many[group]), found.labelled[group], found.waiting[group], metrics)
        for group in range(len(many))
    ]


def _judged(unknown: Floats, labels: int, came: Ints, waits: Ints, metrics: frozenset[str]) -> Judged:
    if labels < MIN_LABELS:
        return Judged(SelectionVerdict.NONE, metrics, f"{labels} labels have come so far: wait for more")
    if unknown.sum() > SMALL:
        spared = OF_PREDICTED if len(unknown) == 2 and unknown[1] <= SMALL else frozenset()
        whole = (came + waits).sum(axis=1) / (came + waits).sum()
        without = [
            f"what was predicted as class {which}"
            if lost >= 0.999 * all_
            else f"some scores predicted as class {which}"
            for which, (lost, all_) in enumerate(zip(unknown.tolist(), whole.tolist(), strict=True))
            if lost > SMALL / len(unknown)
        ]
        reason = f"no labels come for {' and '.join(without)} ({unknown.sum():.0%} of predictions)"
        return Judged(SelectionVerdict.PARTLY, metrics - spared, reason)
    held = (came + waits).ravel() > 0
    table = np.stack([came.ravel()[held], waits.ravel()[held]])
    if _by_chance(table) >= CHANCE:
        return Judged(SelectionVerdict.ALIKE, frozenset(), SelectionVerdict.ALIKE.value)
    rates = table[0] / table.sum(axis=0)
    reason = f"labels have come for {rates.min():.0%} of some scores' predictions and {rates.max():.0%} of others'"
    return Judged(SelectionVerdict.WEIGHTED, frozenset(), reason)


def _by_chance(table: Ints) -> float:
    """Return how often labelling rates differ so much by chance: Pearson's χ² of (labelled, waiting) by stratum."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    if not expected.all():
        return 1.0
    return float(scipy.special.chdtrc(table.shape[1] - 1, ((table - expected) ** 2 / expected).sum()))


def come_alike(tally: Tally, groups: int, classes: int) -> bool:
    """Tell whether labels come as often for all strata, as far as chance can tell: each group by itself, all together.

    Groups may have other scores, and other shares of labels. Cochran 1954 (Biometrics 10, p. 417); Mantel and Haenszel
    1959 (J. National Cancer Institute 22, p. 719).

    >>> from driftline.performance.outcomes import WAITING, classified
    >>> guess, day = np.repeat([0, 1, 0, 1], [90, 10, 10, 90]), np.repeat([0, 1], 100)
    >>> has = np.where(day == 0, np.arange(200) % 10 < 9, np.arange(200) % 2 == 0)
    >>> rows = classified(day, guess, np.where(has, guess, WAITING), guess * 0.6 + 0.2)
    >>> come_alike(rows, 2, 2), come_alike(rows.regrouped(np.zeros(2, dtype=np.int64)), 1, 2)
    (True, False)
    """
    found = strata(tally, groups, classes)
    came = found.labelled.reshape(groups, -1).astype(np.float64)
    all_ = came + found.waiting.reshape(groups, -1)
    there = all_.sum(axis=0) > 0
    came, all_ = came[:, there], all_[:, there]
    whole = np.maximum(all_.sum(axis=1, keepdims=True), 1)
    rate = came.sum(axis=1, keepdims=True) / whole
    more = (came - all_ * rate).sum(axis=0)
    scale = (rate * (1 - rate) * whole / np.maximum(whole - 1, 1))[:, :, None]
    spread = (
        scale * (all_[:, :, None] * np.eye(len(more)) - all_[:, :, None] * all_[:, None] / whole[:, :, None])
    ).sum(0)
    rank = int(np.linalg.matrix_rank(spread)) if len(more) else 0
    if rank == 0:
        return True
    return float(scipy.special.chdtrc(rank, more @ np.linalg.pinv(spread, hermitian=True) @ more)) >= CHANCE


def reweighted(tally: Tally, groups: int, classes: int = 2, bins: int = BINS) -> Tally:
    """Return the outcomes, each weighted by the inverse of its stratum's labelling rate.

    Horvitz and Thompson 1952 (J. American Statistical Association 47, p. 663). `measured` then says of this tally what
    it would say if all labels had come, provided that each stratum has labels (`judged`). Its intervals allow for
    unequal weights, which are worth fewer outcomes. With more than two classes, strata depend on the predicted class
    alone. For numbers, R² and MAPE are not known by stratum, and are left out.
    """
    once, came = _predictions(tally)
    found = strata(tally, groups, classes, bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(found.labelled > 0, 1 / found.rates, 0.0).ravel()
    with_label = _labelled(tally)
    rows = tally.take(with_label)
    factor = factors[_cells(rows, tally.take(once), groups, classes, bins)]
    largest = float(np.max(np.abs(rows.seconds) * factor, initial=WEIGHT_UNIT)) * max(len(rows), 1)
    scale = 2.0 ** min(8, np.floor(np.log2(_ROOM / largest)))  # finer than a 256th of a 256th there is no need

    def scaled(column: Ints) -> Ints:
        return np.asarray(np.rint(column * factor * scale), dtype=np.int64)

    weights = scaled(rows.weights)
    kept = Tally(rows.groups, rows.keys, rows.counts, weights, scaled(rows.firsts), scaled(rows.seconds))
    lone = (once & came)[with_label]
    total = np.asarray(np.bincount(rows.groups[lone], weights[lone], groups), dtype=np.float64)
    squares = np.bincount(rows.groups[lone], (rows.weights * factor**2)[lone], groups) * WEIGHT_UNIT * scale**2
    return merged([kept, _worth(total, squares / effective(tally, groups))])


def completeness(predictions: Ints, labels: Ints, confidence: float = CONFIDENCE) -> Measured:
    """Return how complete labels are by age, from all cohorts that have reached it.

    Args:
        predictions: of each cohort (shape: cohorts).
        labels: that came by each age, growing along a cohort; -1 for an age not reached yet (shape: cohorts, ages).
        confidence: of the intervals.

    >>> completeness(np.array([100, 200]), np.array([[40, 90], [80, -1]])).values
    array([0.4, 0.9])
    """
    reached = labels >= 0
    came = np.where(reached, labels, 0).sum(axis=0).astype(np.float64)
    whole = (predictions[:, None] * reached).sum(axis=0).astype(np.float64)
    return share(came, whole, np.ones(len(came)), confidence)


def _predictions(tally: Tally) -> tuple[Bools, Bools]:
    """Return masks of rows: which to count, that each prediction is counted once, and which of them have a label."""
    series, truth = series_of(tally.keys), truth_of(tally.keys)
    two = (series == Series.SCORES) | (series == Series.MARGINS)
    # Of many classes the one that was predicted: its score is the prediction's.
    many = (series == Series.CLASSES) & (first_of(tally.keys) == second_of(tally.keys))
    numbers = (series == Series.ERRORS) | (series == Series.PENDING)
    came = np.where(numbers, series == Series.ERRORS, truth != UNKNOWN)
    return two | many | numbers, came


def _labelled(tally: Tally) -> Bools:
    """Tell which rows are of predictions that have a label, and tell their stratum."""
    series, truth = series_of(tally.keys), truth_of(tally.keys)
    return np.asarray((series <= Series.ERRORS) & (truth <= IS))


def _cells(rows: Tally, once: Tally, groups: int, classes: int, bins: int) -> Ints:
    """Return the stratum of each row; bins are of about equal mass among the predictions that `once` counts."""
    place, predicted = _places(rows, classes), _places(once, classes)
    order = np.argsort(predicted, kind="stable")
    sorted_, mass = predicted[order], np.maximum(once.counts[order], 0).astype(np.float64)
    own = sorted_ >> _PLACE_BITS
    starts = np.searchsorted(own, np.arange(groups * classes))
    below = np.cumsum(mass) - mass
    below -= below[np.minimum(starts, len(below) - 1)][own] if len(below) else 0
    total = np.bincount(own, mass, groups * classes)[own]
    # All rows of one bucket go where the first of them does.
    first = np.searchsorted(sorted_, sorted_)
    bin_ = np.minimum(below[first] / np.maximum(total, 1) * bins, bins - 1).astype(np.int64)
    at = np.searchsorted(sorted_, place)
    return np.asarray((place >> _PLACE_BITS) * bins + bin_[np.minimum(at, max(len(bin_) - 1, 0))])


def _places(rows: Tally, classes: int) -> Ints:
    """Return group, predicted class and bucket of the score as one number, in this order."""
    series = series_of(rows.keys)
    number = (series == Series.ERRORS) | (series == Series.PENDING)
    bucket = np.where(series == Series.ERRORS, prediction_of(rows.keys), bucket_of(rows.keys))
    # Of many classes the row of one does not know the score of the predicted one.
    bucket = np.where(series == Series.CLASSES, 0, bucket) - NO_SCORE
    predicted = np.where(number, 0, second_of(rows.keys))
    return np.asarray(((rows.groups * classes + predicted) << _PLACE_BITS) + bucket)


def _worth(total: Floats, squares: Floats) -> Tally:
    """Return the row of each group that makes `effective` say (Σ weight)² / Σ weight² over Σ weight."""
    held = np.flatnonzero(total > 0)
    none = np.zeros(len(held), dtype=np.int64)
    above = np.rint(squares[held] - WEIGHT_UNIT * total[held]).astype(np.int64)
    return Tally(held.astype(np.int64), key(Series.WEIGHTS, none, none, 0, none), none, none, above, none)
