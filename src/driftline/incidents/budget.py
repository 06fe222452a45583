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

PERFORMANCE_SHARE = 0.2
"""Of the budget of a model whose labels are awaited. The others share the rest."""


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """At most `count` false alarms in `period_ms` milliseconds of event time, for one version of a model."""

    count: float
    period_ms: int
    with_labels: bool = False
    """Whether labels are awaited, so that performance has a share."""

    def allowance(self, share: float, *, sizes: int, segment_rank: int | None, segmented: bool) -> float:
        """Return a part of the budget, in false alarms a period.

        Args:
            share: that of a kind of incident, among those that share what outcomes leave.
            sizes: number of window sizes.
            segment_rank: 1 for the first segment seen, and so on; None for all events.
            segmented: whether the model has segments at all.
        """
        part = self.count * (1 - PERFORMANCE_SHARE * self.with_labels) * share / sizes
        if not segmented:
            return part
        return part / 2 if segment_rank is None else part / 2 / (segment_rank * (segment_rank + 1))

    @property
    def outcomes(self) -> "AlarmBudget":
        """What is left for performance, which shares it with nobody."""
        return AlarmBudget(self.count * PERFORMANCE_SHARE * self.with_labels, self.period_ms)

    def run_length(self, detectors: int, pane_ms: int) -> float:
        """Return the panes between two false detections of one of so many detectors: together they are as seldom wrong
        as the budget says. Detections date a change and open no incident, so they take nothing of the budget.
        """
        return max(self.period_ms / pane_ms * detectors / self.count, 2.0)

    def log_threshold(self, allowance: float, size_ms: int) -> float:
        """Return log c for a part of the budget, fed one window of this size after the other."""
        return math.log(max(self.period_ms / size_ms / allowance, 1.0))
