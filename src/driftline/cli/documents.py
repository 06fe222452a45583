"""What commands print with --json, as types. `commands.schema.json` beside this file is their published JSON Schema.

`driftline status`, `profile show` and `diff`, and `topics acls` have documents, and schemas, of their own.
"""

import json
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from driftline.cli.performance_documents import ModelPerformance, TablePerformance
from driftline.cli.profile_document import Head
from driftline.cli.result_documents import Backtested, Benched, Demonstrated, DemoPublished, ModelShown
from driftline.codec import Count
from driftline.incidents.responses import Acknowledgement, Silence
from driftline.tasks.subjects.adoption import Adoption


class TopicChecked(msgspec.Struct, frozen=True):
    """A topic that the settings name."""

    topic: str
    partitions: Count | None
    """None where it does not exist."""
    settings: dict[str, str | None] | None
    """In Kafka's words; None where they cannot be read."""


class TopicsChecked(msgspec.Struct, frozen=True):
    """All topics, by what they are for, and what is wrong with them."""

    topics: dict[str, TopicChecked]
    problems: list[str]
    """Driftline does not run until these are solved."""
    warnings: list[str]


class ConfigChecked(msgspec.Struct, frozen=True):
    """Whether the settings are good, and all that is wrong with them."""

    ok: bool
    faults: list[str]


class StateChecked(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one task."""

    stage: str
    partition: int
    checkpoints: Count
    offsets: dict[str, int]
    """By input, the next record that the task reads."""
    blobs: Count
    bytes: Count
    skipped: Count
    """Records that an operator gave up."""
    fault: str | None
    other_release: bool
    """Whether nothing is wrong but that another release wrote it."""


class Base64(msgspec.Struct, frozen=True):
    """Bytes that are no text."""

    base64: str


class DeadLetterShown(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was rejected, and why. Its key, value and headers are as they came in."""

    time: str
    """When it was rejected (RFC 3339)."""
    topic: str
    partition: str
    offset: str
    reason: str
    detail: str
    group: str | None
    """Whose workers rejected it; None where it does not say."""
    key: str | Base64 | None
    value: str | Base64 | None
    headers: list[tuple[str, str | Base64 | None]]


class LettersReplayed(msgspec.Struct, frozen=True):
    """Dead letters that were found, and how many were published again."""

    found: dict[str, Count]
    """By the topic that they came from."""
    replayed: Count


class ProfileBuilt(msgspec.Struct, frozen=True):
    """A profile that was written."""

    file: str
    references: list[Head]
    """All events first, then its segments."""
    labels: Count
    """From which the reference of performance was made."""


class BudgetMeasured(msgspec.Struct, frozen=True):
    """A budget of false alarms."""

    count: float
    period_ms: Count


class RateMeasured(msgspec.Struct, frozen=True):
    """False alarms in the budget's period, with the 95% interval."""

    rate: float
    low: float
    high: float


class DependentWindows(msgspec.Struct, frozen=True):
    """A signal whose windows depend on the window before."""

    signal: str
    window_ms: Count
    independent_at_ms: Count | None
    """The shortest windows measured that do not; None where the table shows none."""


class ProfileCalibrated(msgspec.Struct, frozen=True, kw_only=True):
    """The false alarms that a table without changes raises, beside the budget."""

    file: str | None
    """The profile that was written, if one was asked for."""
    budget: BudgetMeasured
    measured: RateMeasured
    guaranteed: bool
    """Whether the budget holds for windows like these."""
    untold_ms: list[Count]
    """Window sizes of which the table holds too few to tell."""
    alarms: dict[str, Count]
    """False alarms over all passes, by the signal that led each."""
    passes: Count
    replayed_ms: Count
    """Event time judged, over all passes."""
    table_ms: Count
    seasons: list[str]
    """Those that would help."""
    dependent: list[DependentWindows]


class SubjectNamed(msgspec.Struct, frozen=True):
    """A version of a model, or one of its segments."""

    model: str
    version: str
    segment: str


class ReferenceTrail(SubjectNamed, frozen=True):
    """What it was compared with, and why."""

    history: list[Adoption]


class ReferenceHistory(msgspec.Struct, frozen=True):
    """The audit trail of a model."""

    subjects: list[ReferenceTrail]


class Rebased(msgspec.Struct, frozen=True):
    """Which references a published command replaces."""

    asked: list[SubjectNamed]


class ReferencesSaved(msgspec.Struct, frozen=True):
    """A profile that was written."""

    file: str
    references: list[str]
    """Their addresses."""


class SinkChecked(msgspec.Struct, frozen=True):
    """What came back from a sink."""

    sink: str
    delivered: bool
    fault: str | None


class AlertPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """Where one alert would go."""

    labels: dict[str, str]
    sink: str
    route: str
    because: str
    """The matchers that lead here."""
    group: dict[str, str]
    """Incidents with these labels come in the same notification."""
    shares: str | None
    """What it and incidents of other models report alike."""
    held_back: bool
    """By an inhibition."""
    silenced: bool
    muted: bool


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a table that were published."""

    predictions: Count | UnsetType = UNSET
    labels: Count | UnsetType = UNSET
    seconds: float
    events_per_second: Count


class IncidentShown(msgspec.Struct, frozen=True):
    """An incident as it was told."""

    changes: list[dict[str, Any]]
    """The alert of each change, in order, as it was published (`alert.schema.json`)."""
    acknowledged: Acknowledgement | None
    """The last word of a person who did."""
    silences: list[Silence]
    """Those that hold it back now."""


class Happened(msgspec.Struct, frozen=True):
    """A record of the alerts topic."""

    published: str
    """When (RFC 3339)."""
    event: dict[str, Any]
    """The CloudEvent: an alert (`alert.schema.json`), or what a person said (`response.schema.json`)."""


DOCUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    "alerts history": (list[Happened],),
    "alerts show": (IncidentShown,),
    "alerts silences": (list[Silence],),
    "backtest": (Backtested,),
    "bench": (Benched,),
    "config check": (ConfigChecked,),
    "dead-letters list": (DeadLetterShown,),
    "dead-letters replay": (LettersReplayed,),
    "demo": (Demonstrated, DemoPublished),
    "performance": (TablePerformance, ModelPerformance),
    "profile build": (ProfileBuilt,),
    "profile calibrate": (ProfileCalibrated,),
    "publish": (Published,),
    "reference history": (ReferenceHistory,),
    "reference rebase": (Rebased,),
    "reference save": (ReferencesSaved,),
    "router check": (list[SinkChecked],),
    "router plan": (list[AlertPlanned],),
    "show": (ModelShown,),
    "state check": (StateChecked,),
    "topics check": (TopicsChecked,),
    "topics create": (TopicsChecked,),
}
"""By command, the type of each line that it prints; one of several where it prints different ones."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all: each is a property with the name of its command."""
    types = [each for held in DOCUMENTS.values() for each in held]
    made, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    found = iter(made)
    schemas = {name: [next(found) for _ in held] for name, held in DOCUMENTS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://driftline.dev/schemas/commands-1.json",
        "title": "What commands print with --json, a document a line",
        "type": "object",
        "properties": {name: held[0] if len(held) == 1 else {"anyOf": held} for name, held in schemas.items()},
        "$defs": components,
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
