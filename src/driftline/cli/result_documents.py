"""What `backtest`, `show`, `demo` and `bench` print with --json, as types.

Times are RFC 3339, and None stands for what is not known or not there. `documents` publishes their schema.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from driftline.cli.performance_documents import VersionPerformance, WindowMeasured
from driftline.codec import Count
from driftline.incidents.incident import Signal


class WindowShown(Struct, frozen=True):
    """A window: [start, end), and its events."""

    start: str
    end: str
    count: Count


class ReferenceShown(Struct, frozen=True):
    """What a window is compared with."""

    address: str
    events: Count


class HistogramShares(Struct, frozen=True):
    """Shares of values in bars of equal width between two ends; the outer bars hold what lies beyond."""

    low: float
    high: float
    before: list[float]
    after: list[float]


class SharesShown(Struct, frozen=True):
    """The share of a category in the reference, and in the window."""

    before: float
    after: float


class SignalBeside(Struct, frozen=True):
    """A signal of a window beside its reference."""

    name: str
    family: str
    nature: str
    effects: dict[str, float]
    """Distances, and values before and after, where they are defined."""
    histogram: HistogramShares | None
    """Of numbers."""
    categories: dict[str, SharesShown]
    """The most frequent ones."""


class WindowCompared(Struct, frozen=True):
    """The last window of a version or segment, the signal that is farthest away first."""

    version: str | None
    segment: str | None
    window: WindowShown
    reference: ReferenceShown
    signals: list[SignalBeside]


class ModelShown(Struct, frozen=True):
    """The last windows of a model."""

    model: str
    shown: list[WindowCompared]


class ChangeTold(Struct, frozen=True):
    """A change of an incident, as its alert says first."""

    time: str
    what: str
    """`firing`, `updated` or `resolved`."""
    severity: str
    summary: str


class PartFound(Struct, frozen=True, kw_only=True):
    """One of several findings that have the same cause."""

    id: str
    version: str | None
    segment: str | None
    kind: str
    status: str
    severity: str
    opened: str
    began: str
    signals: list[str]
    what: str
    """What moved most, in words."""


class IncidentFound(Struct, frozen=True, kw_only=True):
    """An incident as it stood at the end of the table."""

    id: str
    model: str
    version: str | None
    segment: str | None
    kind: str
    opened: str
    resolved: str | None
    window: WindowShown
    """Of its last change."""
    began: str | None
    level: str | None
    """Which of data, model, code and environment changed."""
    reason: str | None
    """Why it is this level."""
    summary: str
    signals: list[Signal]
    parts: list[PartFound]
    """All findings that have its cause, its own first; none where it is the only one."""
    changes: list[ChangeTold]


class Backtested(Struct, frozen=True, kw_only=True):
    """What would have fired on a table."""

    events: Count
    windows: Count
    counters: dict[str, Count]
    """Records consumed and accepted, and those rejected by their reason."""
    incidents: list[IncidentFound]
    labels: dict[str, Count] | UnsetType = UNSET
    """How many there were, and what became of them, where labels were read."""
    performance: list[VersionPerformance] | UnsetType = UNSET
    """Where labels were read."""
    chosen: dict[str, dict[str, Any]]
    """Settings that Driftline chose to suit the table, by model."""
    shown: list[WindowCompared] | UnsetType = UNSET
    """With --show."""


class IncidentOpened(Struct, frozen=True):
    """An incident of the demo."""

    id: str
    kind: str
    opened: str


class DemoMetric(Struct, frozen=True, kw_only=True):
    """How well the demo's model works."""

    metric: str
    window_ms: Count
    before: str | None
    """The last window that ends before the shift."""
    after: str | None
    """The first window that begins after it."""
    windows: list[WindowMeasured]
    said: list[str]


class Demonstrated(Struct, frozen=True, kw_only=True):
    """What came out of the demo."""

    events: Count
    rejected: Count
    labels: Count
    """Labels that met their predictions."""
    events_after_pause: Count | UnsetType = UNSET
    """With --live."""
    seconds: float
    events_per_second: Count
    shift: str
    """From then on the events are of another population."""
    first_incident_after_ms: int | None
    """From the shift until it was told, in event time."""
    incidents: list[IncidentOpened]
    performance: DemoMetric | UnsetType = UNSET
    """Where labels are published."""
    faults: list[str]
    """What came out otherwise than it must."""


class DemoPublished(Struct, frozen=True):
    """With --publish-only."""

    predictions: Count


class ContenderMeasured(Struct, frozen=True, kw_only=True):
    """One contender of the bench: medians over the rounds."""

    name: str
    cpu_us: float
    """CPU microseconds an event, all threads."""
    wall_us: float
    ratio: float
    """CPU against the floor."""
    rounds_us: list[float]
    """CPU of each round."""
    events_per_core: float
    """Events a second that one core could take."""


class TargetMeasured(Struct, frozen=True, kw_only=True):
    """Something promised, and whether this run kept it."""

    name: str
    value: float
    limit: float
    at_least: bool
    unit: str
    met: bool


class FactMeasured(Struct, frozen=True):
    """A measured number without a target."""

    name: str
    value: float
    unit: str


class Benched(Struct, frozen=True, kw_only=True):
    """What `driftline bench` measured."""

    environment: dict[str, str | int]
    floor: str
    """The contender that is the best library decoder."""
    rows: list[ContenderMeasured]
    targets: list[TargetMeasured]
    facts: list[FactMeasured]
