"""What an incident tells of a metric: from where to where, how sure that is, and how large the loss.

A signal is named `metric.what`, such as `auroc.measured`. Effects: `before`, `after` with the interval from `low` to
`high`, `labels` of `predictions`; `loss` is the part of what the metric was that is lost (below 0: it is better), and
`sure` the least part that the interval leaves; with a cost matrix `money` is what all the predictions were worth less.
"""

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from driftline.incidents.incident import Signal
from driftline.incidents.performance_words import INPUTS_MOVED
from driftline.performance.foreseen import EvidenceOf
from driftline.performance.intervals import Measured, share
from driftline.performance.names import is_loss
from driftline.performance.outcomes import Series
from driftline.performance.study import Followed, Study
from driftline.performance.telling import written
from driftline.tasks.outcomes.evidence import Finding
from driftline.tasks.subjects.prepared_reference import rounded

LEVEL: Final = "level"
"""What a signal is that tells of a service level; else one of `EvidenceOf`."""
UNSIGNED: Final = frozenset({"bias"})
"""Metrics of which more is not less: what counts is how far they are from 0."""
VALUE: Final = "value"


class Fallback(StrEnum):
    """Shares that tell of a part where no metric can."""

    RIGHT = "right"
    POSITIVES = "positives"
    LARGE_ERRORS = "large_errors"


def of_part(finding: Finding, study: Study, series: Series, *, inputs_moved: bool = False) -> list[Signal]:
    """Return what there is to tell of a part, by a study of one window; the largest loss first."""
    found = _of_part(finding, study, series)
    if not inputs_moved or finding.part is not EvidenceOf.MEANING:
        return found
    return [msgspec.structs.replace(each, effects={**each.effects, INPUTS_MOVED: 1.0}) for each in found]


def _of_part(finding: Finding, study: Study, series: Series) -> list[Signal]:
    part, predictions, labels = finding.part, int(study.predictions[0]), int(study.labels[0])
    signals = []
    for metric in study.metrics:
        found = metric.estimated if part is EvidenceOf.ESTIMATED else metric.realised
        before = metric.estimated.values[0] if part is EvidenceOf.MEANING else metric.reference
        if np.isfinite(found.values[0]) and np.isfinite(before):
            signals.append(_signal(metric.name, part, float(before), found, predictions, labels, finding.evidence))
    signals.sort(key=lambda signal: -_badness(signal))
    if part is EvidenceOf.MEANING:
        signals = signals[:1]
    return signals or [_of_rates(finding, series, predictions)]


def of_level(metric: Followed, study: Study, wanted: float) -> Signal:
    """Return what there is to tell of a metric that does not keep a service level."""
    found = _signal(
        metric.name, LEVEL, metric.reference, metric.realised, int(study.predictions[0]), int(study.labels[0]), 0.0
    )
    return msgspec.structs.replace(found, effects={**found.effects, LEVEL: wanted})


def loss(name: str, before: float, after: float) -> float:
    """Return the part of what a metric was that is lost; below 0 where it is better.

    >>> loss("auroc", 1.0, 0.75), loss("mae", 2.0, 3.0)
    (0.25, 0.5)
    """
    if name == Fallback.POSITIVES:  # neither is better
        return abs(after - before) / max(before, 1e-9)
    if name in UNSIGNED:
        before, after = -abs(before), -abs(after)
    gained = before - after if is_loss(name) or name == Fallback.LARGE_ERRORS else after - before
    return -gained / abs(before) if before else 0.0


def signal_of(
    name: str, what: str, before: float, found: tuple[float, float, float], *, predictions: int, labels: int,
    evidence: float = 0.0,
) -> Signal:  # fmt: skip
    """Return what there is to tell of a metric, of which a value was found between a lowest and a highest one."""
    after, low, high = found
    losses = [loss(name, before, end) for end in (low, high) if np.isfinite(end)]
    effects = {
        "before": before, "after": after, "low": low, "high": high,
        "labels": float(labels), "predictions": float(predictions),
        "loss": loss(name, before, after), "sure": min(losses, default=0.0),
    }  # fmt: skip
    if name == VALUE:
        effects["money"] = (before - after) * predictions
    return Signal(
        f"{name}.{what}",
        rounded(evidence),
        {key: rounded(each) for key, each in effects.items() if np.isfinite(each)},
        what=what,
        before=written(before),
        after=written(after),
    )


def _signal(
    name: str, what: str, before: float, found: Measured, predictions: int, labels: int, evidence: float
) -> Signal:
    after, low, high = (float(each[0]) for each in (found.values, found.low, found.high))
    return signal_of(name, what, before, (after, low, high), predictions=predictions, labels=labels, evidence=evidence)


def _of_rates(finding: Finding, series: Series, predictions: int) -> Signal:
    """Return what the rates themselves say."""
    seen, of_errors = finding.seen, series is Series.ERRORS
    name = Fallback.LARGE_ERRORS if of_errors else Fallback.RIGHT
    if finding.part is EvidenceOf.MEANING and series in (Series.SCORES, Series.MARGINS):
        name = Fallback.POSITIVES
    counts = float(np.maximum(seen.counts[0], 0).sum())
    hits, due = float(np.clip(seen.hits[0].sum(), 0, counts)), float((seen.counts[0] * seen.rates[0]).sum())
    found = share(np.array([hits]), np.array([counts]), np.ones(1))
    before, labels = due / counts if counts else 0.0, round(counts)
    return _signal(name, finding.part, before, found, predictions, labels, finding.evidence)


def _badness(signal: Signal) -> float:
    return max(signal.effects.get("sure", 0.0), 0.0) or signal.effects.get("loss", 0.0)
