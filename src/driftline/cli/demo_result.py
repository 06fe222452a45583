"""What came out of a demo: whether it is what must come out, for people and for programs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from driftline.cli.result_documents import Demonstrated, IncidentOpened
from driftline.events import rfc3339

if TYPE_CHECKING:
    from rich.text import Text

    from driftline.cli.demo_performance import DemoPerformance
    from driftline.incidents.alerts import Alert
    from driftline.tasks.subjects.shown import Shown


@dataclass(frozen=True, slots=True)
class DemoCounts:
    """How many records workers have counted, over all partitions."""

    consumed: int = 0
    """Predictions."""
    accepted: int = 0
    labels: int = 0
    joined: int = 0
    """Labels that met their predictions."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came out of a demo."""

    published: int
    """Predictions."""
    shift: int
    """Epoch milliseconds: from then on the events are of another population."""
    counted: DemoCounts
    seconds: float
    alerts: "list[Alert]"
    """Those that opened an incident, or said what joined it, in the order of telling."""
    labels: int = 0
    """That were published."""
    is_calm: bool = True
    """Whether nothing changes before the shift."""
    after_pause: int | None = None
    """Events that came after a pause for the pane in which it began; None where there was none."""
    shown: "Shown | None" = None
    """The last window of what the first incident is about."""
    performance: "DemoPerformance | None" = None
    """None where no labels are published."""

    def faults(self) -> list[str]:
        """Return what came out otherwise than it must."""
        found, held = [], self.counted
        if (held.consumed, held.accepted) != (self.published, self.published):
            counted = f"{held.consumed:,} counted and {held.accepted:,} accepted"
            found.append(f"{self.published:,} events were published, {counted}")
        if (held.labels, held.joined) != (self.labels, self.labels):
            counted = f"{held.labels:,} counted and {held.joined:,} joined with their predictions"
            found.append(f"{self.labels:,} labels were published, {counted}")
        early = [alert for alert in self.opened if alert.opened <= self.shift]
        if early and self.is_calm:
            found.append(f"{len(early)} incidents opened before the shift")
        if self.story is None:
            found.append("no incident opened after the shift, and nothing joined one")
        if self.performance is not None:
            found += self.performance.faults()
        elif self.labels:
            found.append("labels were published, and workers say nothing of performance")
        return found

    @property
    def opened(self) -> "list[Alert]":
        """Those that opened an incident."""
        return [alert for alert in self.alerts if alert.data.update is None]

    @property
    def story(self) -> "Alert | None":
        """The first that was told after the shift."""
        return next((alert for alert in self.alerts if alert.changed > self.shift), None)

    @property
    def delay_ms(self) -> int | None:
        """From the shift until it was told, in event time."""
        return None if self.story is None else self.story.changed - self.shift

    def document(self, faults: list[str]) -> Demonstrated:
        """Return what --json prints."""
        return Demonstrated(
            events=self.counted.consumed,
            rejected=self.counted.consumed - self.counted.accepted,
            labels=self.counted.joined,
            events_after_pause=UNSET if self.after_pause is None else self.after_pause,
            seconds=round(self.seconds, 3),
            events_per_second=round(self.counted.consumed / self.seconds),
            shift=rfc3339(self.shift),
            first_incident_after_ms=self.delay_ms,
            incidents=[
                IncidentOpened(alert.data.incident, alert.data.kind.value, rfc3339(alert.opened))
                for alert in self.opened
            ],
            performance=UNSET if self.performance is None else self.performance.document(),
            faults=faults,
        )


def print_result(result: DemoResult, after: str, workers: int) -> None:
    """Print what was counted, and the incidents. `after` is what comes with the shift."""
    from driftline.cli.terminal import out

    console, counted = out(), result.counted
    labels = f" and {counted.labels:,} labels" if result.labels else ""
    console.print(
        f"{counted.consumed:,} events{labels} in {result.seconds:.1f} s "
        f"({counted.consumed / result.seconds:,.0f} events/s), counted and judged by {workers} workers"
    )
    console.print(f"the data shifts at {rfc3339(result.shift)}: {after}")
    if result.after_pause is not None:
        rejected = counted.consumed - counted.accepted
        console.print(
            f"traffic paused within a pane for longer than idle_timeout; {result.after_pause:,} events came after it "
            f"for the same pane: {rejected:,} rejected"
        )
    for alert in result.alerts:
        if alert.data.update is None or alert is result.story or _tells_of_performance(alert):
            console.print(_line(alert, result))


def _tells_of_performance(alert: "Alert") -> bool:
    """Tell whether an update says what a drift costs, or that performance joins its incident."""
    from driftline.incidents.incident import Kind

    update = alert.data.update
    if update is None:
        return False
    return update.cost or any(
        part.kind is Kind.PERFORMANCE and part.incident in update.parts for part in alert.data.parts
    )


def _line(alert: "Alert", result: DemoResult) -> "Text":
    from rich.text import Text

    from driftline.cli.terminal import age

    after = alert.changed - result.shift
    before = "BEFORE the shift" if result.is_calm else "before the shift"
    when = f"{age(after)} after the shift" if after > 0 else before
    return Text.assemble((rfc3339(alert.changed), "yellow"), f"  {when}  {alert.data.kind}: {alert.data.summary}")


def print_verdict(result: DemoResult, faults: list[str]) -> None:
    """Print whether all came out as it must."""
    from rich.text import Text

    from driftline.cli.terminal import out

    console = out()
    if faults:
        for fault in faults:
            console.print(Text(f"wrong: {fault}", "bold red"))
    else:
        calm = ", and raised no false alarm before it" if result.is_calm else ""
        console.print(Text(f"Driftline found the shift{calm}", "green"))
