"""The standard workload: seeded prediction events of 20 features and about 540 bytes of JSON.

14 features are numbers, 1 % of them null, and 6 are categories of 3 to 50 values. Events are in event-time order but
for two seconds of disorder, and spread over the partitions at random, as keys spread them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

PARTITIONS: Final = 4
START_MS: Final = 1_787_302_800_000
"""2026-08-21T09:00:00Z, the time of the first event."""
EVENTS_A_SECOND: Final = 10_000
"""Of event time: a million events are 100 s of a busy service."""
DISORDER_MS: Final = 2_000
NULLS: Final = 0.01
SLICE: Final = 50_000
"""Events made at once."""

NUMBERS: Final = (
    ("age", 18, 80, 0),
    ("tenure_months", 0, 120, 0),
    ("monthly_charge", 5, 250, 2),
    ("balance", -500, 20_000, 2),
    ("transactions_30d", 0, 90, 0),
    ("idle_days", 0, 60, 0),
    ("utilisation", 0, 1, 4),
    ("income", 12_000, 250_000, 0),
    ("session_minutes", 0, 90, 2),
    ("support_calls", 0, 8, 0),
    ("distance_km", 0, 500, 1),
    ("discount_rate", 0, 0.5, 3),
    ("basket_value", 1, 400, 2),
    ("device_score", 0, 1, 4),
)
"""Name, range, and digits after the point."""
CATEGORIES: Final = (
    ("city", "city", 50),
    ("merchant", "shop", 30),
    ("channel", "channel", 12),
    ("device", "device", 8),
    ("plan", "plan", 5),
    ("contract", "type", 3),
)
"""Name, what its values begin with, and how many there are."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Which events: `models` of different schemas, drawn at random, and `segments` values of the tag `tenant`."""

    events: int
    models: int = 1
    segments: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class WorkloadSlice:
    """Some events, in order of publication: parallel lists."""

    partitions: list[int]
    keys: list[bytes]
    values: list[bytes]
    times: list[int]
    """Event times, which are the records' timestamps too."""


def model_name(number: int) -> str:
    """Return the name of a model: `churn-000`."""
    return f"churn-{number:03}"


def feature_names(number: int) -> tuple[list[str], list[str]]:
    """Return the names of a model's numbers and of its categories. No two models share one."""
    suffix = str(number) if number else ""
    return [f"{name}{suffix}" for name, *_ in NUMBERS], [f"{name}{suffix}" for name, *_ in CATEGORIES]


def slices(workload: Workload) -> Iterator[WorkloadSlice]:
    """Make the events, a slice at a time: some 3 µs an event."""
    random = np.random.default_rng(workload.seed)
    types = [_event_type(number, tagged=workload.segments > 0) for number in range(workload.models)]
    for start in range(0, workload.events, SLICE):
        yield _slice(workload, types, start, min(SLICE, workload.events - start), random)


def _slice(
    workload: Workload, types: list[tuple[type, type]], start: int, count: int, random: np.random.Generator
) -> WorkloadSlice:
    times = START_MS + (np.arange(start, start + count) * 1_000) // EVENTS_A_SECOND
    times = np.maximum(times - random.integers(0, DISORDER_MS, count), START_MS)
    texts = np.datetime_as_string(times.astype("M8[ms]"), unit="ms").tolist()
    rows = list(zip(*feature_columns(count, random), strict=True))
    scores = random.beta(2, 5, count).round(5).tolist()
    models = random.integers(0, workload.models, count).tolist()
    tenants = random.integers(0, max(workload.segments, 1), count).tolist()
    encode = msgspec.json.Encoder().encode
    values = []
    for at, (model, row, text, score, tenant) in enumerate(
        zip(models, rows, texts, scores, tenants, strict=True), start
    ):
        event, features = types[model]
        segment = (({"tenant": f"tenant-{tenant:04}"}),) if workload.segments else ()
        values.append(encode(event(f"p-{at:09}", f"{text}Z", "2026.08", features(*row), score, *segment)))
    keys = [b"p-%09d" % at for at in range(start, start + count)]
    return WorkloadSlice(random.integers(0, PARTITIONS, count).tolist(), keys, values, times.tolist())


def feature_columns(count: int, random: np.random.Generator) -> Iterator[list[Any]]:
    """Yield the values of each feature, in the order of `feature_names`."""
    for _, low, high, digits in NUMBERS:
        spread = random.beta(2, 3, count) * (high - low) + low
        column: list[Any] = (spread.astype(np.int64) if digits == 0 else spread.round(digits)).tolist()
        for row in np.flatnonzero(random.random(count) < NULLS).tolist():
            column[row] = None
        yield column
    for _, prefix, size in CATEGORIES:
        names = np.array([f"{prefix}-{value:02}" for value in range(size)], dtype=object)
        yield names[(random.beta(1, 3, count) * size).astype(np.int64)].tolist()


def _event_type(number: int, *, tagged: bool) -> tuple[type, type]:
    """Return the types of an event and of its features: struct types encode fastest."""
    features = msgspec.defstruct("Features", [name for names in feature_names(number) for name in names], gc=False)
    fields = ["event_id", "event_time", "model_version", "features", "prediction", *(["segment"] if tagged else [])]
    event = msgspec.defstruct("Event", fields, tag_field="model", tag=model_name(number), gc=False)
    return event, features
