"""What a reference foresees of windows, in rates that `Concept` weighs: three parts, each with a budget of its own.

    MEANING     how often the class comes at each score (numbers: large errors, and answers above the truth, by the
                answer). Inputs that move are no evidence here: only what they mean is
    MEASURED    how often what was answered is right, by the answer (numbers: how often errors are large). Whatever
                makes a model worse shows here, once labels come
    ESTIMATED   how often it is likely to be right, by the scores alone. Shows before labels come

MEASURED takes for granted that labels come for predictions of one answer alike. ESTIMATED adds up chances instead of
outcomes: for a chance x with the mean r, a^x b^(1-x) <= x a + (1-x) b, so its e-values are e-values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from driftline.performance.by_score import Curve, confidences, curve
from driftline.performance.classification import confusion
from driftline.performance.concept import Concept
from driftline.performance.kinds import ByScore, Estimator
from driftline.performance.outcomes import (
    GRIDS,
    NO_SCORE,
    Series,
    bucket_of,
    effective,
    first_of,
    moments,
    second_of,
    series_of,
    without_labels,
)
from driftline.performance.rates import (
    BINS,
    Seen,
    large_errors,
    rates_by_prediction,
    rates_by_score,
    seen_by_prediction,
    seen_by_score,
    standard_score,
)
from driftline.performance.reference import PerformanceReference
from driftline.performance.study import MIN_STRETCHES
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats

Counted = tuple[Floats, Floats]
"""Hits and counts, by bin."""


class Part(StrEnum):
    """What evidence is of."""

    MEANING = "meaning"
    MEASURED = "measured"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One part: rates of some signals, and how to count what a window, of one group, has of them."""

    sizes: Floats
    """Of how many independent outcomes each rate is (shape: signals, bins)."""
    seen: Callable[[Tally], Seen]
    dispersion: Floats
    """How much more windows vary than chance has them (shape: signals), 1 or more."""

    def concept(self, allowance: float) -> Concept:
        """Return evidence that has seen nothing yet."""
        return Concept(self.sizes, allowance=allowance, dispersion=self.dispersion)


def foreseen(reference: PerformanceReference, learned: Estimator | None) -> Mapping[Part, Foreseen]:
    """Return the parts that a reference can foresee: without scores there is nothing to estimate by."""
    if reference.series is Series.ERRORS:
        known = large_errors(reference.whole)
        parts = {
            Part.MEANING: _errors(reference),
            Part.MEASURED: _of(reference, known.seen),
            Part.ESTIMATED: _of(reference, known.expected),
        }
    else:
        parts = {Part.MEASURED: _of(reference, lambda window: _right(window, len(reference.classes)))}
        if isinstance(learned, ByScore):
            parts[Part.MEANING] = _by_score(reference)
            parts[Part.ESTIMATED] = _of(reference, lambda window: _likely_right(window, learned))
    tally, zeros = reference.tally, np.zeros(reference.stretches, dtype=np.int64)
    stretches = [tally.take(tally.groups == at).regrouped(zeros) for at in np.unique(tally.groups).tolist()]
    return {part: replace(of, dispersion=_dispersion(stretches, of)) for part, of in parts.items()}


def _dispersion(stretches: Sequence[Tally], of: Foreseen) -> Floats:
    """Return the variance of stretches of the reference, in those that chance has."""
    scores = np.array([standard_score(of.seen(stretch)) for stretch in stretches]).reshape(-1, len(of.sizes))
    held = scores[np.isfinite(scores).all(axis=1)]
    if len(held) < MIN_STRETCHES:
        return np.ones(len(of.sizes))
    return np.asarray(np.maximum((held**2).sum(axis=0) / (len(held) - 1), 1.0))


def _of(reference: PerformanceReference, count: Callable[[Tally], Counted]) -> Foreseen:
    """Return a part of one signal, whose rates are those of the reference."""
    of_reference, sizes = count(reference.whole)
    rates = np.divide(of_reference, sizes, out=np.full_like(sizes, 0.5), where=sizes > 0)[None]

    def seen(window: Tally) -> Seen:
        hits, counts = count(window)
        return Seen(hits[None], counts[None], rates)

    return Foreseen(sizes[None], seen, np.ones(1))


def _errors(reference: PerformanceReference) -> Foreseen:
    """Return large errors and answers above the truth, each by the answer."""
    known = rates_by_prediction(reference.whole)

    def seen(window: Tally) -> Seen:
        far, above = seen_by_prediction(window, 1, known)
        return Seen(
            np.concatenate([far.hits, above.hits]),
            np.concatenate([far.counts, above.counts]),
            np.concatenate([far.rates, above.rates]),
        )

    return Foreseen(np.stack([known.far.sizes, known.above.sizes]), seen, np.ones(2))


def _by_score(reference: PerformanceReference) -> Foreseen:
    """Return how often the class comes by its score; of many classes, how often the predicted one does."""
    series = reference.series

    def by_score(tally: Tally) -> Curve:
        many = series is Series.CLASSES
        return confidences(tally, 1, effective(tally, 1)) if many else curve(tally, 1, series)

    known = rates_by_score(by_score(reference.whole))
    return Foreseen(known.sizes[None], lambda window: seen_by_score(by_score(window), known), np.ones(1))


def _right(window: Tally, classes: int) -> Counted:
    """Count what was right, and what was predicted, by predicted class; all together where there are many."""
    table = confusion(window, 1, classes)[0] * effective(window, 1)[0]
    right, predicted = np.diagonal(table).copy(), table.sum(axis=0)
    if classes > BINS:
        right, predicted = right.sum(keepdims=True), predicted.sum(keepdims=True)
    return right, predicted


def _likely_right(window: Tally, learned: ByScore) -> Counted:
    """Add up how likely each prediction is right, by its score, whether its label has come or not."""
    series = learned.kind.series
    rows = without_labels(window.take((series_of(window.keys) == series) & (bucket_of(window.keys) != NO_SCORE)))
    first, predicted = first_of(rows.keys), second_of(rows.keys)
    weight, score, _ = moments(rows, GRIDS[series])
    if series is Series.CLASSES:
        chance = np.zeros(len(rows))
        for code, known in enumerate(learned.known):
            chance = np.where(first == code, known(score), chance)
        weight = np.where(first == predicted, weight, 0.0)
    else:
        chance = learned.known[0](score)
        chance = np.where(predicted == first, chance, 1 - chance)
    held = weight != 0
    return np.array([(weight * chance)[held].sum()]), np.array([weight[held].sum()])
