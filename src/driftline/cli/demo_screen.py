"""What the demo shows while it runs: signals against their reference, incidents, and how far the work has come."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from driftline.cli.terminal import age
from driftline.events import rfc3339

if TYPE_CHECKING:
    from driftline.tasks.views import IncidentView, JudgeView, SignalView

DAY_MS = 86_400_000
EVIDENCE_WIDTH = 24
MAX_EVIDENCE = 24.0
"""Log e-value at the right end of the bar: odds of e^24 against nothing having changed."""


@dataclass
class Screen:
    """The state of the display. `show` turns it into what rich draws."""

    rows: int
    """Records: predictions and labels."""
    first: int
    last: int
    model: str
    signals: "list[SignalView]" = field(default_factory=list)
    incidents: "list[IncidentView]" = field(default_factory=list)
    window_end: int | None = None
    window_ms: int = DAY_MS
    owners: dict[int, int] = field(default_factory=dict)
    """Tasks by worker."""
    bars: Progress = field(
        default_factory=lambda: Progress(TextColumn("{task.description:>9}"), BarColumn(40), MofNCompleteColumn())
    )

    def __post_init__(self) -> None:
        self._published = self.bars.add_task("published", total=self.rows)
        self._counted = self.bars.add_task("counted", total=self.rows)
        self._judged = self.bars.add_task("judged", total=max((self.last - self.first) // self.window_ms, 1))

    def advance(self, *, published: int, counted: int, mark: int | None) -> None:
        """Move the bars. `mark`: event time up to which all was judged; its bar counts windows."""
        self.bars.update(self._published, completed=published)
        self.bars.update(self._counted, completed=counted)
        if mark is not None:
            windows = (min(mark, self.last) - self.first) // self.window_ms
            self.bars.update(self._judged, completed=max(windows, 0))

    def take(self, views: "list[JudgeView]") -> None:
        """Take in what the judging tasks last stored of the model."""
        for view in views:
            for subject in view.subjects:
                if subject.model == self.model and not subject.segment:
                    self.signals = subject.signals
                    self.incidents = subject.incidents
                    self.window_end = None if subject.window is None else subject.window.end

    def show(self) -> RenderableType:
        """Return what to draw now."""
        when = ""
        if self.window_end is not None:
            end = rfc3339(self.window_end)
            when = f" in the {age(self.window_ms)} before {end[:10] if self.window_ms >= DAY_MS else end}"
        table = Table("signal", "mean before", "now", "PSI", "JS", "evidence of change", title=f"{self.model}{when}")
        for column in (1, 2, 3, 4):
            table.columns[column].justify = "right"
        for signal in self.signals:
            effects = signal.effects
            table.add_row(
                signal.name,
                *(_number(effects.get(name)) for name in ("mean_before", "mean_after", "psi", "jensen_shannon")),
                _evidence(signal.evidence),
            )
        lines = [
            Text.assemble(("● ", "red"), f"{rfc3339(incident.opened)}  {incident.summary}")
            for incident in self.incidents
        ]
        workers = [Text(f"worker {number} has {tasks} tasks", "dim") for number, tasks in self.owners.items() if tasks]
        return Group(self.bars, *workers, table, *(lines or [Text("nothing fires", "green")]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _evidence(log_evidence: float) -> Text:
    filled = round(min(max(log_evidence, 0.0), MAX_EVIDENCE) / MAX_EVIDENCE * EVIDENCE_WIDTH)
    style = "red" if log_evidence > MAX_EVIDENCE / 2 else "yellow" if log_evidence > MAX_EVIDENCE / 4 else "green"
    return Text("█" * filled + "·" * (EVIDENCE_WIDTH - filled), style)
