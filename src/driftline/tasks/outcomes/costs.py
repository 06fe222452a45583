"""What a drift costs: how well the model is estimated to work on the predictions made since, window by window.

    critical   a tenth or more of a metric is estimated to be lost, and the interval says that something is
    warning    the estimate left the reference's band for the worse
    info       it did not, and the interval leaves no loss of a tenth: the drift costs nothing that matters

A window of which none of this holds is too small to be certain of it, and says nothing. The highest of all counts.

An estimate needs no labels of these predictions, but the reference of performance that labels gave. It is that of the
windows of predictions that end after the drift was found, whichever was read first. A window that began before the
drift says only what got worse: what it holds of before would hide some of it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from driftline.codec import Time
from driftline.incidents.incident import Incident, Kind, Part, Signal, Status
from driftline.incidents.performance_words import describe_cost
from driftline.incidents.severity import CRITICAL, INFO, WARNING, urgency
from driftline.performance import foreseen
from driftline.tasks.outcomes.following import LOSS
from driftline.tasks.outcomes.signals import UNSIGNED, loss, signal_of
from driftline.tasks.views import MetricWindow, PerformanceWindow

DRIFTS: Final = (Kind.DATA_DRIFT, Kind.PREDICTION_DRIFT)
"""What has a cost: data quality has a severity of its own, and performance is the cost itself."""
UNCERTAIN: Final = ""
_RANK: Final = (CRITICAL, WARNING, UNCERTAIN, INFO)
"""What metrics of one window say: the first of them counts."""


class Cost(msgspec.Struct, frozen=True):
    """What predictions of one window are estimated to have lost."""

    severity: str
    start: Time
    end: Time
    metrics: list[Signal]
    """The largest loss first."""


def cost_of(
    windows: Iterable[PerformanceWindow], size: int, *, began: int, opened: int, min_events: int
) -> Cost | None:
    """Return the highest cost of a drift in windows that are over; None where no window says anything.

    Args:
        windows: of predictions, oldest first.
        size: their length, in milliseconds.
        began: when the drift did, and
        opened: when it was found.
        min_events: predictions that a window must hold.
    """
    found: Cost | None = None
    for window in windows:
        if window.start + size < opened or window.predictions < min_events:
            continue
        told = [each for each in (_told(metric, window) for metric in window.metrics) if each is not None]
        severity = min((severity for severity, _ in told), key=_RANK.index, default=UNCERTAIN)
        if severity == UNCERTAIN or (severity == INFO and window.start < began):
            continue
        if found is None or urgency(severity) < urgency(found.severity):
            signals = sorted((signal for _, signal in told), key=lambda signal: -signal.effects["loss"])
            found = Cost(severity, window.start, window.start + size, signals)
    return found


def _told(metric: MetricWindow, window: PerformanceWindow) -> tuple[str, Signal] | None:
    """Return what there is to tell of a metric and how urgent it is; None where it has no estimate."""
    before, found = metric.reference, metric.estimated
    if metric.name in UNSIGNED or before is None or found.value is None or found.low is None or found.high is None:
        return None
    values = found.value, found.low, found.high
    signal = signal_of(
        metric.name, foreseen.EvidenceOf.ESTIMATED, before, values, predictions=window.predictions, labels=window.labels
    )
    lost, sure = signal.effects["loss"], signal.effects["sure"]
    if lost >= LOSS and sure > 0:
        return CRITICAL, signal
    if metric.estimate_left and lost > 0:
        return WARNING, signal
    most = max(loss(metric.name, before, end) for end in (found.low, found.high))
    return (UNCERTAIN if most >= LOSS else INFO), signal


def priced(parts: Iterable[Part], cost: Cost | None) -> list[Part]:
    """Return parts of an incident, of which drifts are as urgent as their cost, where that is known."""
    if cost is None:
        return list(parts)
    return [msgspec.structs.replace(part, severity=cost.severity) if part.kind in DRIFTS else part for part in parts]


def with_cost(lead: Incident, parts: Sequence[Part], cost: Cost | None, *, is_new: bool) -> Incident:
    """Return an incident that is to be told, with what it costs.

    Where performance is a part of it, that says the same in more words.
    """
    if cost is None:
        return lead
    severity, update = min((part.severity for part in parts), key=urgency), lead.update
    if update is not None and is_new:
        update = msgspec.structs.replace(update, cost=True)
    lead = msgspec.structs.replace(lead, cost=cost.metrics, severity=severity, update=update)
    firing = [part.kind for part in parts if part.status is Status.FIRING]
    if lead.status is not Status.FIRING or Kind.PERFORMANCE in firing:
        return lead
    said = describe_cost(cost.metrics[0], cost.severity, cost.start)
    return msgspec.structs.replace(lead, summary=f"{lead.summary} {said}")
