"""One class by its score: what goes by rank (AUROC, average precision), and how good probabilities are.

A bucket's outcomes have no order. Where they had one, AUROC and average precision may differ from those of the rows,
and each result says at most how far (`Measured.error`). Means of losses come from moments: Brier's is exact but for the
rounding of places (2^-20, see `grid`), and so is log loss but for the third order within a bucket, which is told too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from driftline.performance.grid import ROUNDING
from driftline.performance.intervals import CONFIDENCE, Measured, hanley_mcneil, mean_like, on_logits
from driftline.performance.outcomes import (
    GRIDS,
    IS,
    NO_SCORE,
    NOT,
    POSITIVE,
    UNKNOWN,
    Series,
    bucket_of,
    effective,
    first_of,
    second_of,
    series_of,
    truth_of,
)
from driftline.performance.tally import WEIGHT_UNIT, Tally
from driftline.sketches.keys import Bools, Floats, Ints

Likely = Callable[[Floats], Floats]
"""How probable the class is at each score."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Labelled outcomes of one class by score, lowest first: one row for each group's bucket.

    Arrays of two lines are of outcomes whose label is not the class, and is (NOT, IS).
    """

    groups: int
    group: Ints
    bucket: Ints
    weights: Floats
    """Shape: 2, rows."""
    means: Floats
    """Mean score (shape: 2, rows); 0 where there is no weight."""
    rests: Floats
    """Mean of 1 - score: apart, for it may be too small to be seen in the score."""
    variances: Floats
    units: Floats
    """Mean weight of an outcome that is the class (shape: rows)."""
    tied: Bools
    """Rows whose outcomes all have the same score (shape: rows)."""
    widths: Floats
    worth: Floats
    """How many independent outcomes a unit of weight is worth (shape: groups)."""

    def sums(self, values: Floats) -> Floats:
        """Return the sum of values over each group (of shape: rows, or 2, rows)."""
        if values.ndim == 2:
            return np.asarray(self.sums(values[NOT]) + self.sums(values[IS]))
        return np.asarray(np.bincount(self.group, values, self.groups), dtype=np.float64)

    def below(self, values: Floats) -> Floats:
        """Return for each row the sum of values over the group's rows with lower scores."""
        before = np.cumsum(values) - values
        starts = np.searchsorted(self.group, np.arange(self.groups))
        return np.asarray(before - before[starts[self.group]])

    @property
    def totals(self) -> Floats:
        """Weight of what is not and what is the class (shape: 2, groups)."""
        return np.stack([self.sums(self.weights[NOT]), self.sums(self.weights[IS])])


def curve(tally: Tally, groups: int, series: Series = Series.SCORES, of_class: int = POSITIVE) -> Curve:
    """Return the outcomes of a class by score; those without a score are left out."""
    keys = tally.keys
    chosen = (series_of(keys) == series) & (first_of(keys) == of_class) & (truth_of(keys) <= IS)
    return curve_of(tally.take(chosen & (bucket_of(keys) != NO_SCORE)), groups, series, effective(tally, groups))


def confidences(tally: Tally, groups: int, worth: Floats) -> Curve:
    """Return all outcomes of many classes by the probability of the class that was predicted: right (IS) or not."""
    keys = tally.keys
    chosen = (series_of(keys) == Series.CLASSES) & (first_of(keys) == second_of(keys)) & (truth_of(keys) <= IS)
    return curve_of(tally.take(chosen & (bucket_of(keys) != NO_SCORE)), groups, Series.CLASSES, worth)


def curve_of(scored: Tally, groups: int, series: Series, worth: Floats, likely: Likely | None = None) -> Curve:
    """Return the curve of rows that all count one class.

    What has no label yet (UNKNOWN) counts in part as the class, and in part as not: `likely` says how probable the
    class is at a score. Without it there is nothing of that kind among the rows.
    """
    grid, buckets = GRIDS[series], bucket_of(scored.keys)
    order = np.lexsort((buckets, scored.groups))
    pairs = np.stack([scored.groups[order], buckets[order]])
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (np.diff(pairs) != 0).any(axis=0)
    at = np.empty(len(order), dtype=np.int64)
    at[order] = np.cumsum(new) - 1
    group, bucket = pairs[:, new]
    sums = np.zeros((4, 3, len(group)), dtype=np.int64)
    for line, column in enumerate((scored.weights, scored.firsts, scored.seconds, scored.counts)):
        np.add.at(sums[line], (truth_of(scored.keys), at), column)
    both = sums.sum(axis=1)
    mean = both[1] // np.where(both[0] != 0, both[0], 1)
    tied = (mean * both[0] == both[1]) & (mean * both[1] == both[2])
    middle, step = grid.values(bucket)
    floats = sums.astype(np.float64)
    if likely is not None:
        unknown = floats[:, UNKNOWN]
        chance = likely(middle + step * unknown[1] / np.where(unknown[0] != 0, unknown[0], 1))
        floats[:, NOT] += unknown * (1 - chance)
        floats[:, IS] += unknown * chance
    weight, first, second, count = floats[:, :UNKNOWN]
    held = np.where(weight != 0, weight, 1)
    place = first / held
    spread = np.maximum(second / held - place**2, 0)
    rest, back = grid.complements(bucket) if grid.probabilities else (1 - middle, -step)
    low, high = grid.edges(bucket)
    one = weight[IS] / WEIGHT_UNIT / np.where(count[IS] > 0, count[IS], 1)
    return Curve(
        groups, group, bucket, weight / WEIGHT_UNIT, middle + step * place, rest + back * place, step**2 * spread,
        one, tied, high - low, worth,
    )  # fmt: skip


def auroc(curve: Curve, confidence: float = CONFIDENCE) -> Measured:
    """Return the area under the ROC curve, with DeLong's interval (1988, Biometrics 44, p. 837) on the logit scale.

    Where DeLong's variance is 0 (all positives above all negatives) the interval is Newcombe's. The error is what
    buckets can hide: which one of a positive and a negative in one bucket has the higher score is an estimate.

    >>> from driftline.performance.outcomes import classified
    >>> truth = np.array([0, 0, 1, 1])
    >>> rows = classified(0 * truth, truth, truth, np.array([0.1, 0.4, 0.35, 0.8]))
    >>> auroc(curve(rows, 1)).values
    array([0.75])
    """
    negatives, positives = curve.weights
    total, won = curve.totals, won_within(curve)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_positives = (curve.below(negatives) + won * negatives) / total[NOT, curve.group]
        of_negatives = 1 - (curve.below(positives) + (1 - won) * positives) / total[IS, curve.group]
        values = curve.sums(positives * of_positives) / total[IS]
        worth = total * curve.worth
        spread = np.stack([(of_negatives - values[curve.group]) ** 2, (of_positives - values[curve.group]) ** 2])
        pieces = np.stack([curve.sums(negatives * spread[NOT]), curve.sums(positives * spread[IS])]) / total
        deviation = np.sqrt((pieces / np.maximum(worth - 1, 0)).sum(axis=0))
        unsure = np.where(curve.tied, 0, negatives * positives * np.maximum(won, 1 - won))
        error = curve.sums(unsure) / (total[NOT] * total[IS])
    low, high = on_logits(values, deviation, confidence)
    sure = hanley_mcneil(values, worth[IS], worth[NOT], confidence)
    none = ~((deviation > 0) & (values > 0) & (values < 1))
    return Measured(values, np.where(none, sure[0], low), np.where(none, sure[1], high), error)


def won_within(curve: Curve) -> Floats:
    """Return in how many pairs in a bucket the positive is above the negative, about; a half where all are tied.

    Of two means that differ by d, and a common standard deviation s, that is 1/2 + d / (s √12) for even spreads, about
    the same for normal ones, and exact for a pair.
    """
    low, high = curve.means
    whole = curve.weights.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = curve.weights / whole
        variance = (part * curve.variances).sum(axis=0) + part[NOT] * part[IS] * (high - low) ** 2
        won = 0.5 + (high - low) / np.sqrt(12 * variance)
    both = (curve.weights != 0).all(axis=0) & ~curve.tied & (variance > 0)
    return np.where(both, np.clip(won, 0, 1), 0.5)


def average_precision(curve: Curve, confidence: float = CONFIDENCE) -> Measured:
    """Return the average precision, as scikit-learn does: Σ (recall gained) * precision, from the highest score down.

    The interval is that of Boyd, Eng and Page 2013 (ECML, "Area under the precision-recall curve", section 3.2): on the
    logit scale, with the number of positives. The error is between the best and the worst order within buckets.
    """
    negatives, positives = curve.weights
    total = curve.totals
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = total[IS, curve.group] - curve.below(positives)  # from here up
        misses = total[NOT, curve.group] - curve.below(negatives)
        above, wrong = hits - positives, misses - negatives
        at_once = np.where(positives > 0, positives * hits / (hits + misses), 0)
        best = np.where(positives > 0, positives * hits / (hits + wrong), 0)
        # All negatives first: the integral of (above + x) / (above + misses + x), below any sum of it.
        most = np.where(misses > 0, misses * np.log1p(positives / (above + misses)), 0)
        worst = np.maximum(positives - most, 0)
        parts = np.where(curve.tied, at_once, np.clip(_one_by_one(curve, above, wrong), worst, best))
        values = curve.sums(parts) / total[IS]
        off = np.where(curve.tied, 0, np.maximum(best - parts, parts - worst))
        error = curve.sums(off) / total[IS]
        low, high = on_logits(values, np.sqrt(values * (1 - values) / (total[IS] * curve.worth)), confidence)
    values = np.where(total[IS] > 0, values, np.nan)
    return Measured(values, np.where(values == 1, 1.0, low), np.where(values == 1, 1.0, high), error)


def _one_by_one(curve: Curve, above: Floats, wrong: Floats) -> Floats:
    """Return Σ precision over a row's positives if these and the negatives lie evenly: by the integral of (t + x) / D.

    `above` positives and `wrong` negatives have higher scores. Of the row's own negatives a share rises along its
    positives, so that as many pairs are in order as `won_within` says.
    """
    negatives, positives = curve.weights
    won, unit = won_within(curve), curve.units
    ahead = above + wrong + np.maximum(1 - 2 * won, 0) * negatives
    slope = 1 + 2 * np.minimum(won, 1 - won) * negatives / (positives + unit)
    low, high = unit / 2, positives + unit / 2
    grown = np.log((ahead + slope * high) / (ahead + slope * low))
    return np.where(positives > 0, (positives + (above - ahead / slope) * grown) / slope, 0)


def log_loss(curve: Curve, confidence: float = CONFIDENCE) -> Measured:
    """Return the mean of -log(the probability given to what came), as scikit-learn does.

    Good 1952 (J. Royal Statistical Society B 14, p. 107).

    >>> from driftline.performance.outcomes import classified
    >>> truth = np.array([0, 1])
    >>> log_loss(curve(classified(0 * truth, truth, truth, np.array([0.2, 0.5])), 1)).values.round(3).item()
    0.458
    """
    loss, error = losses(curve)
    return _mean(curve, loss, confidence, error=error)


def losses(curve: Curve) -> tuple[Floats, Floats]:
    """Return the mean log loss of each row (shape: 2, rows), and at most how far off each is.

    By moments: -log s = -log m + v / 2m² + the third order, where m is the mean and v the variance within the bucket.
    """
    given = np.stack([curve.rests[NOT], curve.means[IS]])
    held = curve.weights != 0
    given = np.where(held, given, 1)
    least = np.maximum(given - curve.widths, given / 2)
    away = curve.variances / given**2
    beyond = np.minimum(curve.widths / least, 1)
    return np.where(held, away / 2 - np.log(given), 0), np.where(held, away * beyond + ROUNDING * 2, 0)


def brier(curve: Curve, confidence: float = CONFIDENCE) -> Measured:
    """Return the mean of (probability - outcome)² (Brier 1950, Monthly Weather Review 78, p. 1).

    >>> from driftline.performance.outcomes import classified
    >>> truth = np.array([0, 1])
    >>> brier(curve(classified(0 * truth, truth, truth, np.array([0.2, 0.5])), 1)).values.round(3).item()
    0.145
    """
    loss = squares(curve)
    return _mean(curve, loss, confidence, least=0, most=1, error=np.full_like(loss, 2 * ROUNDING))


def squares(curve: Curve) -> Floats:
    """Return the mean of (probability - outcome)² of each row (shape: 2, rows)."""
    missed = np.stack([curve.means[NOT], curve.rests[IS]])
    return np.where(curve.weights != 0, missed**2 + curve.variances, 0)


def _mean(
    curve: Curve, loss: Floats, confidence: float, *, error: Floats, least: float = 0.0, most: float = np.inf
) -> Measured:
    """Return the mean of losses given for each row, with the variance between rows: within a bucket they are alike."""
    weight = curve.totals.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = curve.sums(curve.weights * loss) / weight
        variance = curve.sums(curve.weights * (loss - values[curve.group]) ** 2) / weight
        off = curve.sums(curve.weights * error) / weight
    return mean_like(values, variance, weight * curve.worth, confidence, least=least, most=most, error=off)
