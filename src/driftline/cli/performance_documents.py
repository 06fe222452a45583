"""How well a model works, as `performance`, `backtest` and `demo` print it with --json. None: it is not known."""

from msgspec import UNSET, Struct, UnsetType

from driftline.codec import Count


class WindowMeasured(Struct, frozen=True, kw_only=True):
    """One window of one metric."""

    since: str
    predictions: Count
    labels: Count
    unseen: float
    """Share of the predictions that are beyond all of the reference's."""
    band_low: float | None
    """The band in which the metric is usually."""
    band_high: float | None
    estimated: float | None
    """Before labels came."""
    estimated_low: float | None
    estimated_high: float | None
    realised: float | None
    """By the labels."""
    realised_low: float | None
    realised_high: float | None
    together: float | None
    """Labels where they have come, and the estimate of the others; None where all or none have come."""
    together_low: float | None
    together_high: float | None
    estimate_left: bool
    """Whether the estimate is outside the band."""
    realised_left: bool
    """Whether the metric by labels is outside the band of so many labels."""
    unforeseen: bool
    """Whether labels contradict the estimate of the same predictions."""


class MetricFollowed(Struct, frozen=True):
    """One metric over time."""

    name: str
    reference: float
    sentence: str
    windows: list[WindowMeasured]


class TablePerformance(Struct, frozen=True, kw_only=True):
    """How well the model of a table works."""

    metrics: list[MetricFollowed]
    labels: list[str]
    """What the labels of each window stand for."""
    said_of_labels: list[str]
    cannot_see: str
    """What no estimate can see."""


class OutcomesWorth(Struct, frozen=True):
    """What labels say that the outcomes of a window are worth."""

    since: str
    labels: Count
    """With a value."""
    total: float
    mean: float


class CohortLabelled(Struct, frozen=True):
    """Predictions of a window, and how many of them had labels at each age that it has reached."""

    since: str
    predictions: Count
    labels: list[Count]


class LabelsByAge(Struct, frozen=True, kw_only=True):
    """How complete the labels of a model are, in all its versions."""

    ages_ms: list[Count]
    """Since the window of the predictions began."""
    windows: list[CohortLabelled]
    complete: list[float]
    """By age, the share of the predictions that have a label, of all windows that have reached it."""
    complete_low: list[float]
    complete_high: list[float]


class VersionPerformance(Struct, frozen=True, kw_only=True):
    """How well a version or segment works, by what workers know."""

    model: str | UnsetType = UNSET
    """Left out where the document is of one model."""
    version: str | None
    segment: str | None
    reference: str | None
    """Its address."""
    given: bool
    """Whether the reference is that of a file."""
    window_ms: Count
    sample: float
    """Share of the predictions that wait for labels: all counts are of these."""
    left_out: Count
    """Labels that count in no metric."""
    metrics: list[MetricFollowed]
    labels: list[str]
    """What the labels of each window stand for."""
    said_of_labels: list[str]
    cannot_see: str
    """What no estimate can see."""
    values: list[OutcomesWorth]
    labels_by_age: LabelsByAge
    """Empty for a segment."""


class ModelPerformance(Struct, frozen=True):
    """How well a model works."""

    model: str
    versions: list[VersionPerformance]
