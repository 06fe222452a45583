"""Metrics of classifiers as shares, so that the evidence that weighs rates (`concept`) weighs them.

An outcome is a hit in part (h), a miss in part (k), or neither: h, k >= 0 and h + k <= 1. The share is Σ h / Σ (h + k).

    accuracy                what is right, by the answer: that another answer comes more often is no evidence
    precision, recall, f1   hits are right answers of class 1; misses are wrong ones, or what is it and was not found
    value                   a hit as far as the outcome is worth more than the worst one, in parts of the best
    precision_macro, …      the same for each class, in a bin of its own
    brier                   a hit as far as the probability was off: (probability - outcome)²; of K classes a Kth each
    log_loss                a hit as far as -ln(probability of what is true) is of MAX_LOSS, which none exceeds here
    auroc                   pairs of one that is the class and one that is not: a hit where the former's score is higher

Labels give as many pairs as the rarer side has. Estimates pair predictions two by two: p (1 - p') is a hit, where p is
the chance of the one with the higher score, and p' (1 - p) a miss. Both count the mean over all ways to pair; and of K
classes, each one's pairs as a Kth. (An average of logarithms is at most the logarithm of the average, so what was an
e-value for each way to pair, or for each class, stays one.)
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from driftline.performance.by_score import Curve, auroc, curve, losses, squares
from driftline.performance.classification import confusion
from driftline.performance.outcome_kinds import ByScore, Classes
from driftline.performance.outcomes import (
    GRIDS,
    IS,
    NO_SCORE,
    NOT,
    POSITIVE,
    Series,
    bucket_of,
    effective,
    first_of,
    moments,
    second_of,
    series_of,
    without_labels,
)
from driftline.performance.rates import BINS
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats, Ints

OF_ANSWERS: Final = frozenset({"accuracy", "precision", "precision_macro"})
"""Metrics of which labels of some answers alone tell. For others, labels must come for all scores alike."""
MACRO: Final = frozenset({"precision_macro", "recall_macro", "f1_macro"})
MAX_LOSS: Final = float(np.log(100))
"""That of a probability of a hundredth: else one outcome could outweigh all others."""
AREAS: Final = frozenset({"auroc", "auroc_macro"})
Counted = tuple[Floats, Floats, Floats | None]
"""Hits and counts by bin; of estimates also Σ h², Σ k² and Σ h k (shape: 3, bins)."""
Count = Callable[[Tally], Counted]
"""Counts a window, of one group."""


def by_labels(name: str, kind: Classes) -> Count | None:
    """Return how to count a metric of what has labels; None where it is no share, or there is no such metric."""
    many = kind.series is Series.CLASSES
    if name in AREAS:
        return (lambda window: _pairs(window, kind)) if many == (name == "auroc_macro") else None
    if name in ("brier", "log_loss"):
        found = _squares if name == "brier" else _logs
        return None if kind.series is Series.MARGINS else (lambda window: found(window, kind))
    if name in MACRO:
        return lambda window: _by_class(name, confusion(window, 1, kind.classes)[0] * effective(window, 1)[0])
    cells = _cells(name, kind)
    if cells is None:
        return None
    hit, counts = cells

    def count(window: Tally) -> Counted:
        table = confusion(window, 1, kind.classes)[0] * effective(window, 1)[0]
        hits, all_ = (table * hit).sum(axis=0), (table * counts).sum(axis=0)
        if name != "accuracy" or kind.classes > BINS:
            hits, all_ = hits.sum(keepdims=True), all_.sum(keepdims=True)
        return hits, all_, None

    return count


def by_estimate(name: str, learned: ByScore) -> Count | None:
    """Return how to count what is likely to come, by the scores alone, whether its label has come or not."""
    kind = learned.kind
    many = kind.series is Series.CLASSES
    if name in AREAS:
        return (lambda window: _likely_pairs(window, learned)) if many == (name == "auroc_macro") else None
    if name in ("brier", "log_loss"):
        loss = _square_of if name == "brier" else _log_of
        return None if kind.series is Series.MARGINS else (lambda window: _likely_losses(window, learned, loss))
    if name in MACRO:
        return lambda window: _likely_by_class(name, window, learned)
    if many:
        return (lambda window: _likely_right(window, learned)) if name == "accuracy" else None
    cells = _cells(name, kind)
    if cells is None:
        return None
    hit, counts = cells

    def count(window: Tally) -> Counted:
        weight, score, predicted = _scored(window, kind.series, POSITIVE)
        chance = learned.known[0](score)
        h, both = (chance * of[IS, predicted] + (1 - chance) * of[NOT, predicted] for of in (hit, counts))
        return summed(weight, h, both - h)

    return count


def _cells(name: str, kind: Classes) -> tuple[Floats, Floats] | None:
    """Return how far an outcome is a hit, and how far it counts, by true and predicted class."""
    hit, counts = np.zeros((2, kind.classes, kind.classes))
    if name == "accuracy":
        return np.eye(kind.classes), np.ones_like(hit)
    if name == "value" and kind.costs is not None and np.ptp(kind.costs) > 0:
        return (kind.costs - kind.costs.min()) / np.ptp(kind.costs), np.ones_like(hit)
    if kind.classes != 2 or name not in ("precision", "recall", "f1"):
        return None
    hit[IS, IS] = 1
    if name != "recall":
        counts[:, IS] = 1
    if name != "precision":
        counts[IS] = 1
    return hit, counts


def _pairs(window: Tally, kind: Classes) -> Counted:
    """Count pairs of labels, by class where there are many."""
    curves = _curves(window, kind)
    pairs = np.array([(each.totals[:, 0] * each.worth[0]).min() for each in curves]) / len(curves)
    areas = np.array([auroc(each).values[0] for each in curves])
    pairs = np.where(np.isfinite(areas), np.maximum(pairs, 0), 0)
    return np.where(pairs > 0, areas, 0) * pairs, pairs, None


def _likely_pairs(window: Tally, learned: ByScore) -> Counted:
    """Count pairs of predictions, by class where there are many."""
    kind, found = learned.kind, []
    classes = range(kind.classes) if kind.series is Series.CLASSES else (POSITIVE,)
    for each, known in zip(classes, learned.known, strict=True):
        weight, score, _ = _scored(window, kind.series, each)
        weight, score = _together(weight, score)
        is_ = known(score)
        sums = [weight * part for part in (is_, 1 - is_, is_**2, (1 - is_) ** 2, is_ * (1 - is_))]
        p, n, pp, nn, pn = sums
        tied = (pn**2).sum() / 2  # of one score, half is a hit
        found.append(
            np.array(
                [
                    (p * _below(n)).sum() + (p * n).sum() / 2,
                    (n * _below(p)).sum() + (p * n).sum() / 2,
                    (pp * _below(nn)).sum() + tied,
                    (nn * _below(pp)).sum() + tied,
                    (pn * _below(pn)).sum() + tied,
                ]
            )
            / (max(weight.sum(), 1.0) * len(classes))
        )
    hits, misses, *moved = np.array(found).T
    return hits, hits + misses, np.array(moved)


def _curves(window: Tally, kind: Classes) -> list[Curve]:
    """Return the curve of each class whose score counts: of two classes that of one."""
    classes = range(kind.classes) if kind.series is Series.CLASSES else (POSITIVE,)
    return [curve(window, 1, kind.series, each) for each in classes]


def _squares(window: Tally, kind: Classes) -> Counted:
    """Add up how far probabilities were off, squared."""
    found = _curves(window, kind)
    weights = [each.weights * each.worth[0] / len(found) for each in found]
    hits = [(weight * squares(each)).sum() for weight, each in zip(weights, found, strict=True)]
    return np.array(hits), np.array([weight.sum() for weight in weights]), None


def _logs(window: Tally, kind: Classes) -> Counted:
    """Add up the log losses: of many classes, that of the one that is true."""
    true = IS if kind.series is Series.CLASSES else slice(None)
    found = [(each.weights[true] * each.worth[0], losses(each)[0][true]) for each in _curves(window, kind)]
    weight, loss = (np.concatenate([part[at].reshape(-1) for part in found]) for at in (0, 1))
    hit = np.clip(loss / MAX_LOSS, 0, 1)
    return summed(weight, hit, 1 - hit)


def _by_class(name: str, table: Floats) -> Counted:
    """Count right answers of each class; one that is wrong is of two classes, for F1."""
    right, predicted, true = np.diag(table), table.sum(axis=0), table.sum(axis=1)
    if name == "f1_macro":  # so each outcome counts for at most one
        return right / 2, (predicted + true - right) / 2, None
    return right, predicted if name == "precision_macro" else true, None


def _likely_by_class(name: str, window: Tally, learned: ByScore) -> Counted:
    kind, found = learned.kind, []
    for each in range(kind.classes):
        at = each if kind.series is Series.CLASSES else POSITIVE
        weight, score, predicted = _scored(window, kind.series, at)
        chance = learned.known[at if kind.series is Series.CLASSES else 0](score)
        chance = chance if at == each else 1 - chance
        is_ = predicted == each
        hit = np.where(is_, chance, 0)
        miss = {
            "precision_macro": np.where(is_, 1 - chance, 0), "recall_macro": np.where(is_, 0, chance),
            "f1_macro": np.where(is_, 1 - chance, chance),
        }[name]  # fmt: skip
        # A prediction is of one class that was predicted, and has a chance to be of each.
        found.append(summed(weight if name == "precision_macro" else weight / kind.classes, hit, miss))
    hits, counts, moved = zip(*found, strict=True)
    return np.concatenate(hits), np.concatenate(counts), np.concatenate(moved, axis=1)


def _square_of(scores: Floats) -> Floats:
    return np.asarray((1 - scores) ** 2)


def _log_of(scores: Floats) -> Floats:
    """Return the loss where this was the probability of what is true, in parts of the most."""
    return np.clip(-np.log(np.maximum(scores, np.exp(-MAX_LOSS))) / MAX_LOSS, 0, 1)


def _likely_losses(window: Tally, learned: ByScore, loss: Callable[[Floats], Floats]) -> Counted:
    kind, found = learned.kind, []
    many = kind.series is Series.CLASSES
    for each, known in zip(range(kind.classes) if many else (POSITIVE,), learned.known, strict=True):
        weight, score, _ = _scored(window, kind.series, each)
        chance = known(score)
        if many and loss is _log_of:  # that of the true class alone
            found.append(summed(weight / kind.classes, chance * loss(score), chance * (1 - loss(score))))
            continue
        hit = chance * loss(score) + (1 - chance) * loss(1 - score)
        found.append(summed(weight / len(learned.known), hit, 1 - hit))
    hits, counts, moved = zip(*found, strict=True)
    return np.concatenate(hits), np.concatenate(counts), np.concatenate(moved, axis=1)


def _likely_right(window: Tally, learned: ByScore) -> Counted:
    """Add up how likely the class is right that was predicted, of many."""
    found = []
    for code, known in enumerate(learned.known):
        weight, score, predicted = _scored(window, Series.CLASSES, code)
        found.append(np.stack([weight, known(score)])[:, predicted == code])
    weight, chance = np.concatenate(found, axis=1)
    return summed(weight, chance, 1 - chance)


def _scored(window: Tally, series: Series, of_class: int) -> tuple[Floats, Floats, Ints]:
    """Return the weight, the score of a class and the predicted class of what has a score, with labels or without."""
    keys = window.keys
    chosen = (series_of(keys) == series) & (first_of(keys) == of_class) & (bucket_of(keys) != NO_SCORE)
    rows = without_labels(window.take(chosen))
    weight, score, _ = moments(rows, GRIDS[series])
    held = weight > 0
    return weight[held] * effective(window, 1)[0], score[held], second_of(rows.keys)[held]


def summed(weight: Floats, h: Floats, k: Floats) -> Counted:
    """Add up hits and misses in part, and how much they vary."""
    moved = [(weight * part).sum(keepdims=True) for part in (h, h + k, h**2, k**2, h * k)]
    return moved[0], moved[1], np.array(moved[2:])


def _together(weight: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Return what has the same score as one, lowest first."""
    scores, at = np.unique(score, return_inverse=True)
    return np.asarray(np.bincount(at, weight, len(scores)), dtype=np.float64), scores


def _below(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values) - values)
