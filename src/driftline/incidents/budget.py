"""How the one false-alarm budget of a model is divided, and what threshold each part gives.

An accumulated e-value M, fed once a window, reaches c at most once in c windows on average, whatever the dependence
between its signals (docs/statistics.md). So a part that may raise a false alarms a period, in windows of size s, opens
an incident at c = (period / s) / a. The parts add up to the budget:

    budget ─┬─ window sizes, equally
            ├─ kinds: inputs 40 %, output 30 %, quality 20 %, volume 5 %, the mix of segments 5 %
            │         where labels are awaited they share 80 %, and performance has 20 %
    └─ all events 1/2, segments together 1/2: the k-th segment seen 1 / (k (k + 1)) of that half
"""

import math
from dataclasses import dataclass

from driftline.incidents.incident import Kind

KIND_SHARES = {
    Kind.DATA_DRIFT: 0.4,
    Kind.PREDICTION_DRIFT: 0.3,
    Kind.DATA_QUALITY: 0.2,
    Kind.VOLUME: 0.05,
    Kind.MIX: 0.05,
}
PERFORMANCE_SHARE = 0.2
"""Of the budget of a model whose labels are awaited."""


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """At most `count` false alarms in `period_ms` milliseconds of event time, for one version of a model."""

    count: float
    period_ms: int
    with_labels: bool = False
    """Whether labels are awaited, so that performance has a share."""

    def allowance(self, kind: Kind, *, sizes: int, segment_rank: int | None, segmented: bool) -> float:
        """Return a part of the budget, in false alarms a period.

        Args:
            kind: one of KIND_SHARES, or PERFORMANCE.
            sizes: number of window sizes.
            segment_rank: 1 for the first segment seen, and so on; None for all events.
            segmented: whether the model has segments at all.
        """
        if kind is Kind.PERFORMANCE:
            part = self.count * PERFORMANCE_SHARE * self.with_labels / sizes
        else:
            part = self.count * KIND_SHARES[kind] * (1 - PERFORMANCE_SHARE * self.with_labels) / sizes
        if not segmented:
            return part
        return part / 2 if segment_rank is None else part / 2 / (segment_rank * (segment_rank + 1))

    def run_length(self, detectors: int, pane_ms: int) -> float:
        """Return the panes between two false detections of one of so many detectors: together they are as seldom wrong
        as the budget says. Detections date a change and open no incident, so they take nothing of the budget.
        """
        return max(self.period_ms / pane_ms * detectors / self.count, 2.0)

    def log_threshold(self, allowance: float, size_ms: int) -> float:
        """Return log c for a part of the budget, fed one window of this size after the other."""
        return math.log(max(self.period_ms / size_ms / allowance, 1.0))
