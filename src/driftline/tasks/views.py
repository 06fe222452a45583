"""What the stages tell the world with each checkpoint: typed here, written by them, and read in `runtime.views` alone.

`views.schema.json` beside this file is their published JSON Schema. A field that is added has a default, so that what
earlier workers stored is read.
"""

import json
from typing import Any, ClassVar, Final

import msgspec

from driftline.codec import Count, Time
from driftline.tasks.subjects.adoption import Adoption


class LabelsView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the labels of one partition: consumed = the sums of fates and rejected + waiting."""

    consumed: Count
    fates: dict[str, Count]
    rejected: dict[str, Count]
    """Records by the reason why they are no labels."""
    waiting: Count
    """Labels that wait for their predictions."""
    predictions: Count
    """Predictions that wait for labels, or have one that may be corrected."""
    newest: int | None = None
    """When the newest label arrived (epoch milliseconds), None before any."""
    kinds: dict[str, Count] = {}
    """Labels that count, by the `kind` that they say: the first 100 kinds of a partition are told apart."""


class SummariseView(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition of predictions has come."""

    NAME: ClassVar[str] = "view/progress"

    watermark: int | None
    """Event time up to which it was counted (epoch milliseconds), None before any."""
    ended_at: int
    """The offset at which its input was last taken to end, -1 if never."""
    before: Count = 0
    """What is added to offsets so that positions ascend, though the topic was created anew."""
    consumed: Count
    """Records read: accepted + the sum of rejected."""
    accepted: Count
    rejected: dict[str, Count]
    """Records by the reason why they are not counted."""
    events: Count = 0
    """Events in accepted records."""
    without_time: Count
    beyond_limits: Count
    panes: Count
    labels: LabelsView | None = None
    """None where no model awaits labels."""


class PaneCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Records of panes that were taken in, of those the repeated and unreadable ones, the supplements, and of these the
    late ones, of which a window had been judged; windows judged.
    """

    panes: Count = 0
    repeated: Count = 0
    supplements: Count = 0
    late: Count = 0
    unreadable: Count = 0
    windows: Count = 0


class SourceView(msgspec.Struct, frozen=True):
    """How far Judge knows one source to have come."""

    watermark: int
    idle: bool


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that fires. `model` is "" for one of the stream itself."""

    model: str = ""
    id: str
    kind: str
    opened: int
    signals: list[str]
    summary: str
    part_of: str = ""
    """The id of the incident that it is told as a part of; "" where it is told by itself, or leads one."""


class SignalView(msgspec.Struct, frozen=True):
    """A signal as the last window had it."""

    name: str
    evidence: float
    effects: dict[str, float]


class WindowView(msgspec.Struct, frozen=True):
    """A window that was judged. Times are epoch milliseconds."""

    start: int
    end: int
    count: int


class SubjectView(msgspec.Struct, frozen=True, kw_only=True):
    """What is watched of one version or segment of a model."""

    model: str
    version: str
    segment: str
    reference: str | None
    """The address of what it is compared with, None while that is learned."""
    learned_events: Count
    history: list[Adoption]
    window: WindowView | None
    signals: list[SignalView]
    incidents: list[IncidentView]

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it comes among others."""
        return self.model, self.version, self.segment


class OutcomesView(msgspec.Struct, frozen=True):
    """How many predictions of a model have labels, as far as both logs have come."""

    labelled: int
    waiting: int
    """Those without a label, awaited or not any more."""


class JudgeView(msgspec.Struct, frozen=True, kw_only=True):
    """What one partition of the panes topic has made of its models."""

    NAME: ClassVar[str] = "view/incidents"

    mark: int
    """All slices that end at or before this event time were judged."""
    counters: PaneCounters
    sources: dict[str, SourceView]
    """By number, see `panes.sources`."""
    subjects: list[SubjectView]
    events: dict[str, Count] = {}
    """Events that are watched, and those beyond each limit."""
    silences: list[IncidentView] = []
    stream: list[IncidentView]
    """About the topics of predictions themselves, limits and skipped records."""
    traffic: list[IncidentView] = []
    """About models as wholes: how many events they have, and which versions answer."""
    performance: list[IncidentView] = []
    """About outcomes, and how labels come."""
    outcomes: dict[str, OutcomesView] = {}
    """By model, of those whose labels are awaited."""


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
    together: Figure = Figure(None, None, None)
    """Labels where they have come, and the estimate of the others."""


class PerformanceWindow(msgspec.Struct, frozen=True):
    """Predictions of one window, and what is known of them by now."""

    start: Time
    predictions: Count
    labels: Count
    selection: str
    """What the labels stand for: `alike`, `weighted`, `partly`, `none`."""
    reason: str
    metrics: list[MetricWindow]
    valued: Count = 0
    """Labels that say what their outcome is worth."""
    worth: float | None = None
    """How much that is in all; None where none says so."""
    unseen: float = 0.0
    """Share of the predictions that are beyond all of the reference's."""


class CohortView(msgspec.Struct, frozen=True):
    """Predictions of one window, and how many of them had a label at each age."""

    start: Time
    predictions: Count
    labels: list[Count]
    """At the ages of `LABEL_AGES`, as many as the window has reached."""


LABEL_AGES: Final = (1, 2, 4, 8, 16, 32, 64)
"""Ages at which labels are counted for people, in windows since the predictions' window began."""


class PerformanceView(msgspec.Struct, frozen=True, kw_only=True):
    """How well one version or segment of a model works."""

    model: str
    version: str
    segment: str
    numbers: bool
    """Whether it predicts numbers; else classes."""
    classes: list[str]
    """By code."""
    reference: str | None
    """The address of what it is compared with, None while that is learned."""
    given: bool
    """Whether that is a file's."""
    learned_labels: Count
    """Collected for a reference so far."""
    sample: float = 1.0
    """Share of the predictions that wait for labels: all counts are of these."""
    has_no_room: bool = False
    """Whether its reference is complete but for the room that those of others take."""
    left_out: Count = 0
    """Labels of classes that no metric counts: beyond the limit on classes, or unknown to the reference."""
    window_ms: Count
    unmeasured: list[str] = []
    """Metrics with a service level that cannot be measured of what it predicts."""
    windows: list[PerformanceWindow]
    """Of predictions, oldest first."""
    cohorts: list[CohortView] = []
    """How complete the labels of the model are by age, in all its versions, oldest first; none for a segment."""


class PerformancesView(msgspec.Struct, frozen=True):
    """How well the models of one partition of the panes topic work."""

    NAME: ClassVar[str] = "view/performance"

    models: list[PerformanceView]


class OthersView(msgspec.Struct, frozen=True):
    """Records of other groups on the same panes topic, by group."""

    NAME: ClassVar[str] = "view/others"

    others: dict[str, Count]


VIEWS: tuple[type[SummariseView] | type[JudgeView] | type[PerformancesView] | type[OthersView], ...] = (
    SummariseView,
    JudgeView,
    PerformancesView,
    OthersView,
)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all views: each is a blob of its task's state, under its name."""
    found, components = msgspec.json.schema_components(VIEWS, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://driftline.dev/schemas/views-1.json",
        "title": "What the stages tell the world",
        "type": "object",
        "properties": {view.NAME: reference for view, reference in zip(VIEWS, found, strict=True)},
        "$defs": components,
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
