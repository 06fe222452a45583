"""What Judge knows of the configuration, resolved for one model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from driftline.columns.shape import Limits
from driftline.evidence.detectors import DETECTORS, USUAL, Maker
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season
from driftline.incidents.budget import AlarmBudget
from driftline.panes.sources import FIRST_TOPIC
from driftline.performance.reference import PerformanceReference


@dataclass(frozen=True, slots=True)
class LearnRule:
    """Learn a reference from the first `span_ms` of a stream, and for as long as it has fewer than `events`."""

    span_ms: int
    events: int
    renewed: bool = False
    """Whether the next one is learned as soon as one is complete, so that windows are compared with the period before.
    """


@dataclass(frozen=True, slots=True)
class PerformanceRules:
    """How the performance of a model is judged, whose labels are awaited. Durations in milliseconds."""

    window_ms: int
    awaited_ms: int
    """How long after a prediction its label counts."""
    levels: Mapping[str, tuple[Literal[">=", "<="], float]] = field(default_factory=dict)
    """By metric: what it should be."""
    metrics: tuple[str, ...] = ()
    """What evidence follows; none for the usual ones of what is predicted."""
    min_effect: float = 0.01
    """χ² of changes of a metric that are too small to matter (see `performance.concept`)."""
    sample: float = 1.0
    """Share of the predictions that wait for labels."""
    costs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """What an outcome is worth, by true and predicted class; 0 for those that are not named."""
    reference: Callable[[str, str], PerformanceReference | None] = lambda version, segment: None
    """A given reference by (version, segment); where there is none, one is learned."""


@dataclass(frozen=True, slots=True)
class ModelRules:
    """How one model is judged. Durations in milliseconds."""

    windows: tuple[tuple[int, int], ...]
    """(size, every): tumbling where they are equal, hopping otherwise."""
    pane_ms: int
    budget: AlarmBudget
    learn: LearnRule
    min_effect: float
    min_events: int
    segmented: bool
    reference: Callable[[str, str], Reference | None] = lambda version, segment: None
    """A given reference by (version, segment); where there is none, one is learned."""
    new_version: Literal["learn", "compare"] = "learn"
    """Whether a version without a given reference learns its own, or is compared with that of the version before."""
    silence_ms: int | None = None
    """After how long without an event a model is silent; None: by the pauses of its reference. 0: never."""
    min_volume_change: float = 0.25
    """Part by which the number of events may rise, and by which it may fall short, without anybody minding."""
    season_ms: int = 0
    """Length of the season whose phases are told apart in references that are learned; 0 for none."""
    timezone: str = ""
    """Of the clocks that seasons follow; "" is UTC."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By signal (or "*") and metric: a fixed threshold that the user set."""
    group: str = ""
    """The consumer group, which is part of what incidents are known by."""
    detectors: Mapping[str, Mapping[str, Maker]] = field(
        default_factory=lambda: {"*": {name: DETECTORS[name] for name in USUAL}}
    )
    """By signal (or "*", for those not named) and detector's name: what dates a change."""

    performance: PerformanceRules | None = None
    """None where no labels are awaited."""

    @property
    def season(self) -> Season:
        """The season of references that are learned, and by which clocks."""
        return Season(self.season_ms, self.timezone)

    @property
    def longest_window(self) -> int:
        """The greatest size of a window."""
        return max(size for size, _ in self.windows)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """All that Judge knows of the configuration."""

    rules: Callable[[str], ModelRules]
    group: str
    """The consumer group: others may have their panes and alerts in the same topics."""
    dead_letter_share: float
    """Share of rejected records in a window of the stream above which an incident says so."""
    stream_window_ms: int
    topics: tuple[int, ...] = (FIRST_TOPIC,)
    """Numbers of the topics of predictions, whose sources are waited for."""
    limits: Limits = field(default_factory=Limits)
