"""What a reference foresees of windows, in rates that `Concept` weighs: three parts, each with a budget of its own.

    MEANING     how often the class comes at each score (numbers: large errors, and answers above the truth, by the
                answer). Inputs that move are no evidence here: only what they mean is
    MEASURED    each metric that is followed, as a share (`shares`; of numbers `error_shares`, or how often errors are
                large). Whatever makes a model worse shows here, once labels come
    ESTIMATED   what these metrics are likely to be, by the scores alone. Shows before labels come

Of the metrics, only those of `shares.OF_ANSWERS` are weighed where labels do not come for all scores alike. ESTIMATED
adds up chances instead of outcomes (see `concept`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np

from driftline.performance.by_score import Curve, confidences, curve
from driftline.performance.concept import MIN_EFFECT, Concept
from driftline.performance.error_shares import error_share
from driftline.performance.outcome_kinds import ByScore, Classes, Estimator, OutcomeKind
from driftline.performance.outcomes import Series, effective
from driftline.performance.rates import (
    Seen,
    large_errors,
    rates_by_prediction,
    rates_by_score,
    seen_by_prediction,
    seen_by_score,
    standard_score,
)
from driftline.performance.reference import PerformanceReference
from driftline.performance.shares import OF_ANSWERS, Count, Counted, by_estimate, by_labels
from driftline.performance.study import MIN_STRETCHES
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats

ACCURACY = "accuracy"


class EvidenceOf(StrEnum):
    """What evidence is of."""

    MEANING = "meaning"
    MEASURED = "measured"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One part: rates of some signals, and how to count what a window, of one group, has of them."""

    sizes: Floats
    """Of how many independent outcomes each rate is (shape: signals, bins)."""
    count: Callable[[Tally], Seen]
    dispersion: Floats
    """How much more windows vary than chance has them (shape: signals), 1 or more."""
    metrics: tuple[str, ...] = ()
    """Of which metric each signal is; none where signals are no metrics."""

    def seen(self, window: Tally, *, alike: bool = True) -> Seen:
        """Count a window; `alike` says whether labels come for all scores alike."""
        found = self.count(window)
        if alike or not self.metrics:
            return found
        told = np.array([[name in OF_ANSWERS] for name in self.metrics])
        return replace(found, hits=found.hits * told, counts=found.counts * told)

    def concept(self, allowance: float, min_effect: float = MIN_EFFECT) -> Concept:
        """Return evidence that has seen nothing yet."""
        return Concept(self.sizes, allowance=allowance, dispersion=self.dispersion, min_effect=min_effect)


def foreseen(
    reference: PerformanceReference, kind: OutcomeKind, learned: Estimator | None, metrics: Sequence[str] = ()
) -> Mapping[EvidenceOf, Foreseen]:
    """Return the parts that a reference can foresee: without scores there is nothing to estimate by.

    Args:
        reference: what is compared with.
        kind: what it is of.
        learned: of `kind.learned`; None without scores.
        metrics: those that are followed; what is no share is left out. Where nothing is left, it is the accuracy, or
            how often errors are large.
    """
    if isinstance(kind, Classes):
        parts = {EvidenceOf.MEASURED: _shares(reference, metrics, partial(by_labels, kind=kind))}
        if isinstance(learned, ByScore):
            parts[EvidenceOf.MEANING] = _by_score(reference)
            parts[EvidenceOf.ESTIMATED] = _shares(reference, metrics, partial(by_estimate, learned=learned))
    else:
        parts = {EvidenceOf.MEANING: _errors(reference), **_of_numbers(reference, metrics)}
    tally, zeros = reference.tally, np.zeros(reference.stretches, dtype=np.int64)
    stretches = [tally.take(tally.groups == at).regrouped(zeros) for at in np.unique(tally.groups).tolist()]
    return {part: replace(of, dispersion=_dispersion(stretches, of)) for part, of in parts.items()}


def _dispersion(stretches: Sequence[Tally], of: Foreseen) -> Floats:
    """Return the variance of stretches of the reference, in those that chance has."""
    scores = np.array([standard_score(of.count(stretch)) for stretch in stretches]).reshape(-1, len(of.sizes))
    held = np.isfinite(scores)
    many = held.sum(axis=0)
    varied = (np.where(held, scores, 0) ** 2).sum(axis=0) / np.maximum(many - 1, 1)
    return np.where(many < MIN_STRETCHES, 1.0, np.maximum(varied, 1.0))


def _shares(reference: PerformanceReference, metrics: Sequence[str], of: Callable[[str], Count | None]) -> Foreseen:
    """Return a part whose signals are metrics: those that the reference tells, and the accuracy if it tells none."""
    told = [name for name in dict.fromkeys(metrics) if reference.alike or name in OF_ANSWERS]
    known = {name: count for name in told if (count := of(name)) is not None}
    known = {name: count for name, count in known.items() if (count(reference.whole)[1] > 0).any()}
    if not known:
        count = of(ACCURACY)
        assert count is not None  # it is a share of all that is answered
        known = {ACCURACY: count}
    return replace(_of(reference, list(known.values())), metrics=tuple(known))


def _of_numbers(reference: PerformanceReference, metrics: Sequence[str]) -> dict[EvidenceOf, Foreseen]:
    """Return what is measured and estimated of numbers: metrics, or how often errors are large."""
    told = dict.fromkeys(metrics) if reference.alike else {}
    known = {name: each for name in told if (each := error_share(name, reference.whole)) is not None}
    if not known:
        large = large_errors(reference.whole)
        return {
            EvidenceOf.MEASURED: _of(reference, [lambda window: (*large.seen(window), None)]),
            EvidenceOf.ESTIMATED: _of(reference, [large.expected]),
        }
    measured = _of(reference, [each.measured for each in known.values()])
    estimated = _of(reference, [each.expected for each in known.values()])
    return {
        EvidenceOf.MEASURED: replace(measured, metrics=tuple(known)),
        EvidenceOf.ESTIMATED: replace(estimated, metrics=tuple(known)),
    }


def _of(reference: PerformanceReference, counts: Sequence[Count]) -> Foreseen:
    """Return a part of some signals, whose rates are those of the reference."""
    sizes, rates, bins = [], [], 1
    for hits, size, _ in (count(reference.whole) for count in counts):
        sizes.append(size)
        rates.append(np.divide(hits, size, out=np.full_like(size, 0.5), where=size > 0))
        bins = max(bins, len(size))
    foreseen_rates = np.stack([_filled(each, bins, 0.5) for each in rates])

    def seen(window: Tally) -> Seen:
        found: list[Counted] = [count(window) for count in counts]
        hits = np.stack([_filled(each, bins) for each, _, _ in found])
        all_ = np.stack([_filled(each, bins) for _, each, _ in found])
        if all(each is None for _, _, each in found):
            return Seen(hits, all_, foreseen_rates)
        moved = [np.stack([_filled(line, bins) for line in _squares(*each)]) for each in found]
        return Seen(hits, all_, foreseen_rates, np.stack(moved, axis=1))

    return Foreseen(np.stack([_filled(each, bins) for each in sizes]), seen, np.ones(len(counts)))


def _squares(hits: Floats, counts: Floats, moved: Floats | None) -> Floats:
    """Return Σ h², Σ k² and Σ h k: where outcomes are hits and misses as wholes, these are hits, misses and nothing."""
    return np.stack([hits, counts - hits, np.zeros_like(hits)]) if moved is None else moved


def _filled(values: Floats, bins: int, value: float = 0.0) -> Floats:
    """Return values for so many bins: those that a signal does not have are empty."""
    return np.concatenate([values, np.full(bins - len(values), value)])


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
