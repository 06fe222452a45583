"""Studies of performance as views hold them, and back."""

from collections.abc import Callable, Sequence

import numpy as np

from driftline.performance.intervals import Measured
from driftline.performance.selective import Judged, SelectionVerdict
from driftline.performance.study import Followed, Study
from driftline.sketches.keys import Floats
from driftline.tasks.subjects.prepared_reference import rounded
from driftline.tasks.views import Figure, MetricWindow, PerformanceWindow


def windows_of(study: Study, starts: Sequence[int], values: Sequence[tuple[int, float]]) -> list[PerformanceWindow]:
    """Return the windows of a study, given when each began, and of how many labels how much they are worth."""
    return [
        PerformanceWindow(
            start,
            max(int(study.predictions[at]), 0),
            max(int(study.labels[at]), 0),
            study.selection[at].verdict.name.lower(),
            study.selection[at].reason,
            [_metric(metric, at) for metric in study.metrics],
            max(values[at][0], 0),
            rounded(values[at][1]) if values[at][0] > 0 else None,
            rounded(float(study.unseen[at])),
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
        _figure(metric.together, at),
    )


def _figure(found: Measured, at: int) -> Figure:
    return Figure(_known(found.values[at]), _known(found.low[at]), _known(found.high[at]))


def _known(value: float) -> float | None:
    return rounded(float(value)) if abs(value) < float("inf") else None


def metrics_of(windows: Sequence[PerformanceWindow]) -> list[str]:
    """Return the metrics that windows of one subject have."""
    return list(dict.fromkeys(metric.name for window in windows for metric in window.metrics))


def study_of(windows: Sequence[PerformanceWindow], metrics: Sequence[str] | None = None) -> Study:
    """Return what windows of one subject say, as one study: of these metrics, or of all."""
    names = [name for name in metrics_of(windows) if not metrics or name in metrics]
    return Study(
        np.array([window.predictions for window in windows]),
        np.array([window.labels for window in windows]),
        tuple(Judged(SelectionVerdict[window.selection.upper()], frozenset(), window.reason) for window in windows),
        tuple(_followed(name, windows) for name in names),
        np.array([window.unseen for window in windows]),
    )


def _followed(name: str, windows: Sequence[PerformanceWindow]) -> Followed:
    found = [next((metric for metric in window.metrics if metric.name == name), None) for window in windows]

    def column(of: Callable[[MetricWindow], float | None]) -> Floats:
        held = [None if metric is None else of(metric) for metric in found]
        return np.array([np.nan if value is None else value for value in held])

    def measured(of: Callable[[MetricWindow], Figure]) -> Measured:
        return Measured(
            column(lambda metric: of(metric).value),
            column(lambda metric: of(metric).low),
            column(lambda metric: of(metric).high),
            np.zeros(len(found)),
        )

    reference = next((metric.reference for metric in found if metric is not None), None)
    return Followed(
        name,
        np.nan if reference is None else reference,
        column(lambda metric: metric.band[0]),
        column(lambda metric: metric.band[1]),
        measured(lambda metric: metric.estimated),
        measured(lambda metric: metric.realised),
        np.array([metric is not None and metric.estimate_left for metric in found]),
        np.array([metric is not None and metric.realised_left for metric in found]),
        np.array([metric is not None and metric.unforeseen for metric in found]),
        measured(lambda metric: metric.together),
    )
