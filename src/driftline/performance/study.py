"""Windows of predictions against a reference: what was estimated, what labels say, and which of them left its band.

The band is where a metric lies in 99.7% of windows while nothing changes: 3 standard errors of the reference's
value and of a window of that size. Where the reference's own windows vary by more than chance, it is as much wider.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.performance.estimated import BAND
from driftline.performance.intervals import CONFIDENCE, Measured, normal_quantile
from driftline.performance.names import SIGNED, is_loss
from driftline.performance.outcome_kinds import Estimator, OutcomeKind, OutcomeRows
from driftline.performance.outcomes import effective, labelled, waiting
from driftline.performance.selective import MIN_LABELS, Judged, SelectionVerdict, judged, reweighted, strata
from driftline.performance.tally import Tally
from driftline.sketches.keys import Bools, Floats, Ints

MIN_STRETCHES: Final = 5
"""Stretches of the reference that it takes to say how much windows vary."""


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """One metric, window by window (all shapes: windows)."""

    name: str
    reference: float
    low: Floats
    """The reference's band, for a window with all its labels."""
    high: Floats
    estimated: Measured
    """NaN where the metric has no estimate."""
    realised: Measured
    """NaN where labels do not tell it."""
    estimate_left: Bools
    """Whether the estimate is outside the band."""
    realised_left: Bools
    """Whether the labels' is outside the band of so many labels."""
    unforeseen: Bools
    """Whether labels contradict the estimate that was made of the very predictions: outcomes have changed."""
    together: Measured
    """The book in flight: labels where they have come, and the estimate of the others. NaN where all or none have."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What was found."""

    predictions: Ints
    labels: Ints
    selection: tuple[Judged, ...]
    """What the labels of each window stand for."""
    metrics: tuple[Followed, ...]
    unseen: Floats
    """Share of predictions that are beyond all of the reference's: their estimate is that of the nearest."""


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """What a reference says of windows: where metrics lie while nothing changes, and what to expect without labels."""

    kind: OutcomeKind
    size: int
    """Outcomes that it was learned from."""
    learned: Estimator | None
    """None where nothing can be estimated, as without scores."""
    values: Mapping[str, float]
    """By metric, of those that are followed."""
    spreads: Mapping[str, float]
    """Standard errors of these values: wider, where the reference's own windows vary by more than chance."""

    def study(self, tally: Tally, groups: int) -> Study:
        """Follow the metrics through windows, each a group."""
        came, all_ = labelled(tally, groups), labelled(tally, groups) + waiting(tally, groups)
        selection = _selection(tally, groups, self.kind.classes, came, all_, frozenset(self.values))
        real, worth = _realised(self.kind, tally, groups, selection)
        likely = self.learned.estimated(tally, groups) if self.learned else {}
        gap = self.learned.gap(tally, groups) if self.learned else {}
        partly = (came > 0) & (came < all_)
        flying = self.learned.in_flight(tally, groups) if self.learned and partly.any() else {}
        none = np.full(groups, np.nan)
        nothing = Measured(none, none, none, none)
        followed = []
        for name, before in self.values.items():
            here, there = (_bounds(name, before, self.spreads[name], self.size, n) for n in (all_, came * worth))
            estimate, truth = likely.get(name, nothing), _without(real[name], name, selection)
            off = gap.get(name, nothing)
            followed.append(
                Followed(
                    name, before, *here, estimate, truth,
                    estimate_left=_outside(estimate.values, here), realised_left=_outside(truth.values, there),
                    unforeseen=((off.low > 0) | (off.high < 0)) & ~np.isnan(truth.values) & (came >= MIN_LABELS),
                    together=_where(partly, flying.get(name, nothing)),
                )
            )  # fmt: skip
        unseen = self.learned.unseen(tally, groups) if self.learned else np.zeros(groups)
        return Study(all_, came, selection, tuple(followed), unseen)


def yardstick(
    kind: OutcomeKind, reference: Tally, stretches: int, names: Sequence[str], learned: Estimator | None
) -> Yardstick:
    """Learn from outcomes with labels, by stretches of time: each a group. Metrics that there are not are left out."""
    whole = reference.regrouped(np.zeros(stretches, dtype=np.int64))
    before, varied = kind.measured(whole, 1), kind.measured(reference, stretches)
    spreads = {
        name: float(_deviation(before[name])[0] * np.sqrt(_dispersion(varied[name])))
        for name in dict.fromkeys(names)
        if name in before
    }
    values = {name: float(before[name].values[0]) for name in spreads}
    return Yardstick(kind, int(labelled(whole, 1)[0]), learned, values, spreads)


def study(
    kind: OutcomeKind,
    reference: OutcomeRows,
    outcomes: OutcomeRows,
    windows: Ints,
    metrics: Sequence[str] | None = None,
) -> Study:
    """Follow metrics through windows.

    Args:
        kind: what is predicted.
        reference: outcomes with labels, of a time when the model worked.
        outcomes: those to look at.
        windows: the window of each, from 0 on without a gap, ascending.
        metrics: their names; None for the usual ones.

    Raises `ValueError` for a metric that there is not, and for a reference with too little to learn from.
    """
    tally, many = kind.tally(outcomes, windows), int(windows[-1]) + 1
    stretches = max(len(reference) // max(int(np.median(labelled(tally, many) + waiting(tally, many))), 1), 1)
    known = kind.tally(reference, np.arange(len(reference)) * stretches // len(reference))
    whole = known.regrouped(np.zeros(stretches, dtype=np.int64))
    names = kind.usual if metrics is None else metrics
    kind = kind.measuring(names)
    found = yardstick(kind, known, stretches, names, kind.learned(whole))
    if unknown := [name for name in names if name not in found.values]:
        raise ValueError(f'there is no metric "{unknown[0]}"; choose from {", ".join(sorted(kind.measured(whole, 1)))}')
    return found.study(tally, many)


def _selection(
    tally: Tally, groups: int, classes: int, came: Ints, all_: Ints, names: frozenset[str]
) -> tuple[Judged, ...]:
    """Say what labels stand for: all predictions where none waits, else as `selective` finds."""
    complete = Judged(SelectionVerdict.ALIKE, frozenset(), "all labels have come")
    found = judged(strata(tally, groups, classes), names)
    return tuple(complete if came[group] == all_[group] else found[group] for group in range(groups))


def _realised(
    kind: OutcomeKind, tally: Tally, groups: int, selection: Sequence[Judged]
) -> tuple[Mapping[str, Measured], Floats]:
    """Return metrics by the labels, and how many independent outcomes a label is worth."""
    plain, worth = kind.measured(tally, groups), effective(tally, groups)
    weighs = np.array([each.verdict is SelectionVerdict.WEIGHTED for each in selection])
    if not weighs.any():
        return plain, worth
    again = reweighted(tally.take(weighs[tally.groups]), groups, kind.classes)
    other = kind.measured(again, groups)
    none = np.full(groups, np.nan)
    found = {
        name: Measured(
            *(
                np.where(weighs, getattr(other[name], column) if name in other else none, getattr(each, column))
                for column in ("values", "low", "high", "error")
            )
        )
        for name, each in plain.items()
    }
    return found, np.where(weighs, effective(again, groups), worth)


def _without(real: Measured, name: str, selection: Sequence[Judged]) -> Measured:
    return _where(np.array([name not in each.unknowable for each in selection]), real)


def _where(known: Bools, found: Measured) -> Measured:
    """Return what is known of some groups; NaN for others."""
    hidden = np.where(known, 0.0, np.nan)
    return Measured(*(each + hidden for each in (found.values, found.low, found.high, found.error)))


def _deviation(found: Measured) -> Floats:
    """Return the standard error that an interval tells."""
    return np.asarray((found.high - found.low) / (2 * normal_quantile(CONFIDENCE)))


def _dispersion(varied: Measured) -> float:
    """Return how much more the reference's own windows vary than chance has them: 1 or more."""
    values, squares = varied.values, _deviation(varied) ** 2
    held = np.isfinite(values) & (squares > 0)
    if held.sum() < MIN_STRETCHES:
        return 1.0
    return max(1.0, float(values[held].var(ddof=1) / squares[held].mean()))


def _bounds(name: str, value: float, spread: float, size: int, counts: Ints | Floats) -> tuple[Floats, Floats]:
    """Return the band for windows of these counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = normal_quantile(BAND) * spread * np.sqrt(1 + size / counts)
    low, high = value - reach, value + reach
    if name not in SIGNED:
        low = np.maximum(low, 0)
    return low, high if name in SIGNED or is_loss(name) else np.minimum(high, 1)


def _outside(values: Floats, band: tuple[Floats, Floats]) -> Bools:
    return np.asarray((values < band[0]) | (values > band[1]))
