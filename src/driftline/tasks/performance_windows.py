"""What metrics of a window of predictions were estimated and measured to be: what is shown of it."""

from collections.abc import Sequence

import msgspec

from driftline.codec import Count, Time
from driftline.performance.intervals import Measured
from driftline.performance.study import Followed, Study
from driftline.tasks.prepared_reference import rounded


class Figure(msgspec.Struct, frozen=True):
    """A value with its interval; None where it is not known."""

    value: float | None
    low: float | None
    high: float | None


class MetricWindow(msgspec.Struct, frozen=True):
    """One metric in one window."""

    name: str
    reference: float | None
    band: tuple[float | None, float | None]
    """Where it lies in 99.7% of windows while nothing changes."""
    estimated: Figure
    realised: Figure
    estimate_left: bool
    """Whether the estimate is outside the band."""
    realised_left: bool
    unforeseen: bool
    """Whether labels contradict the estimate of the very predictions."""


class PerformanceWindow(msgspec.Struct, frozen=True):
    """Predictions of one window, and what is known of them by now."""

    start: Time
    predictions: Count
    labels: Count
    selection: str
    """What the labels stand for: `alike`, `weighted`, `partly`, `none`."""
    reason: str
    metrics: list[MetricWindow]


def windows_of(study: Study, starts: Sequence[int]) -> list[PerformanceWindow]:
    """Return the windows of a study, given when each began."""
    return [
        PerformanceWindow(
            start,
            max(int(study.predictions[at]), 0),
            max(int(study.labels[at]), 0),
            study.selection[at].verdict.name.lower(),
            study.selection[at].reason,
            [_metric(metric, at) for metric in study.metrics],
        )
        for at, start in enumerate(starts)
    ]


def _metric(metric: Followed, at: int) -> MetricWindow:
    return MetricWindow(
        metric.name,
        _known(metric.reference),
        (_known(metric.low[at]), _known(metric.high[at])),
        _figure(metric.estimated, at),
        _figure(metric.realised, at),
        bool(metric.estimate_left[at]),
        bool(metric.realised_left[at]),
        bool(metric.unforeseen[at]),
    )


def _figure(found: Measured, at: int) -> Figure:
    return Figure(_known(found.values[at]), _known(found.low[at]), _known(found.high[at]))


def _known(value: float) -> float | None:
    return rounded(float(value)) if abs(value) < float("inf") else None
