"""The end of the demo: how well the model works, as estimated and by labels, and where the estimate was wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from driftline.cli.result_documents import DemoMetric

if TYPE_CHECKING:
    from driftline.performance.study import Followed, Study
    from driftline.tasks.views import PerformanceView

METRIC = "auroc"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class DemoPerformance:
    """AUROC as workers have it at the end, by windows of predictions. Times are epoch milliseconds."""

    study: "Study"
    """Of this metric alone."""
    starts: list[int]
    window_ms: int
    shift: int
    half_labelled: Callable[[int, int, int], int | None]
    """When half of the predictions from these times, so many, had labels."""

    @classmethod
    def of(
        cls, view: "PerformanceView", shift: int, half_labelled: Callable[[int, int, int], int | None]
    ) -> "DemoPerformance":
        """Take what workers told."""
        from driftline.tasks.outcomes.stored_windows import study_of

        return cls(
            study_of(view.windows, [METRIC]),
            [window.start for window in view.windows],
            view.window_ms,
            shift,
            half_labelled,
        )

    @property
    def metric(self) -> "Followed":
        """The metric, window by window."""
        return self.study.metrics[0]

    @property
    def when(self) -> list[str]:
        """The day on which each window begins."""
        from driftline.cli.performance_report import days

        return days(self.starts)

    @property
    def before(self) -> int:
        """The last window that ends before the shift."""
        return sum(start + self.window_ms <= self.shift for start in self.starts) - 1

    @property
    def after(self) -> int:
        """The first window that begins after the shift."""
        return sum(start < self.shift for start in self.starts)

    @property
    def found(self) -> int | None:
        """The first window whose estimate left the band."""
        left = np.flatnonzero(self.metric.estimate_left)
        return int(left[0]) if len(left) else None

    def faults(self) -> list[str]:
        """Return what came out otherwise than it must."""
        if self.before < 0 or self.after >= len(self.starts):
            return [f"{len(self.starts)} windows of performance are known, and none before or none after the shift"]
        left, real = self.metric.estimate_left, self.metric.realised_left
        found = []
        if left[: self.before + 1].any():
            found.append("the estimated AUROC left its band before the shift")
        if not left[self.before + 1 :].any():
            found.append("the estimated AUROC stayed in its band after the shift")
        elif not (left & real).any():
            found.append("labels did not confirm that the AUROC left its band")
        return found

    def sentences(self) -> list[str]:
        """Say what became of the metric, how far the estimate was ahead, and where it was wrong."""
        from driftline.performance.telling import sentence

        said = [sentence(self.metric, self.when), self._ahead(), right_or_wrong(self.metric, self.when)]
        unlabelled = int(np.sum(self.study.labels == 0))
        if unlabelled:
            newest = "newest window has" if unlabelled == 1 else f"{unlabelled} newest windows have"
            said.append(f"The {newest} no labels yet: there, only the estimate tells how well the model works.")
        return [each for each in said if each]

    def _ahead(self) -> str:
        from driftline.events import rfc3339

        if self.found is None:
            return ""
        start = self.starts[self.found]
        end = start + self.window_ms
        known = self.half_labelled(start, end, int(self.study.predictions[self.found]))
        if known is None or known < end + DAY_MS:
            return ""
        return (
            f"An estimate takes predictions alone, so this one was known on {rfc3339(end)[:10]}, "
            f"{(known - end) // DAY_MS} days before half of these predictions had labels."
        )

    def document(self) -> DemoMetric:
        """Return what --json prints."""
        from driftline.cli.performance_report import window

        return DemoMetric(
            metric=METRIC,
            window_ms=self.window_ms,
            before=self.when[self.before] if self.before >= 0 else None,
            after=self.when[self.after] if self.after < len(self.starts) else None,
            windows=[window(self.study, self.metric, self.when, at) for at in range(len(self.starts))],
            said=self.sentences(),
        )


def right_or_wrong(found: "Followed", when: list[str]) -> str:
    """Say in which windows labels contradict the estimate."""
    from driftline.performance.telling import written

    estimates, truths = found.estimated.values, found.realised.values
    known = np.flatnonzero(np.isfinite(estimates) & np.isfinite(truths)).tolist()
    wrong = [at for at in known if found.unforeseen[at]]
    if not known:
        return "No window has labels yet, so nobody knows whether the estimate is right."
    if not wrong:
        return (
            f"The estimate was right in all {len(known)} windows that have labels: they differ from it by no more than "
            "chance explains."
        )
    cases = [f"{when[at]} (estimated {written(estimates[at])}, labels say {written(truths[at])})" for at in wrong]
    return (
        f"The estimate was right in {len(known) - len(wrong)} of {len(known)} windows that have labels, and wrong in "
        f"{', '.join(cases)}: there a score no longer means what it meant in the reference."
    )


def print_performance(found: DemoPerformance) -> None:
    """Print the windows around the shift and the newest one, the picture of all, and what became of the metric."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.chart import chart
    from driftline.cli.terminal import out
    from driftline.config.durations import format_duration
    from driftline.performance.telling import written

    console, metric, when = out(), found.metric, found.when
    console.print()
    console.print(Text("How well the model works", "bold"))
    console.print(
        f"  AUROC was {written(metric.reference)} in the reference. By windows of {format_duration(found.window_ms)}:"
    )
    table = Table("", "since", "predictions", "estimated", "", "by labels", "", "labels", box=None, pad_edge=False)
    for name, at in (("before", found.before), ("after", found.after), ("newest", len(when) - 1)):
        cells = []
        for measured in (metric.estimated, metric.realised):
            value, low, high = (column[at] for column in (measured.values, measured.low, measured.high))
            cells += [written(value), f"{written(low)} to {written(high)}" if low == low else ""]
        share = found.study.labels[at] / found.study.predictions[at]
        table.add_row(name, when[at], f"{found.study.predictions[at]:,}", *cells, f"{share:.0%}")
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    console.print()
    for line in chart(metric, when[0], when[-1]):
        console.print(Text("  ").append_text(line))
    console.print()
    for said in found.sentences():
        console.print(Padding(said, (0, 0, 0, 2), expand=False))
