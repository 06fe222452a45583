"""Producers of real events, as trees to be changed: the benchmark's workload, the demo's cars, and every other kind."""

import csv
import json
import random
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from driftline.bench.workload import Workload, slices
from driftline.demo.dataset import COLUMNS
from tests.fuzz.mutations import Pairs, read

EVERY_KIND = (
    {"model": "scalar", "features": {"x": 1.5}, "prediction": 0.25},
    {"model": "text", "features": {"age": 34, "city": "Oslo"}, "prediction": "yes", "latency_ms": 12.5},
    {"model": "flag", "model_version": 3, "features": {"on": True, "x": None}, "prediction": False},
    {
        "model": "proba",
        "model_version": "3",
        "features": {"age": 34, "city": "Oslo", "tags": ["a", "b"], "home": {"rooms": 3, "heating": {"kind": "gas"}}},
        "prediction": {"label": "yes", "value": 1.0, "proba": {"yes": 0.81, "no": 0.19}},
        "segment": {"tenant": "acme", "land": "no"},
        "tags": {"code_version": "git:abc", "run": 7},
        "latency_ms": 12.5,
    },
    {"model": "only-prediction", "prediction": {"label": 3, "value": -2.75e-3}},
    {"model": "only-features", "features": {"a.b": 1, "a": {"b": 2, "c": [1, 2, 3]}, "é": "ü"}},
    {"model": "churn-000", "label": "no", "label_time": "2026-09-10T00:00:00Z", "revision": 2},
)
"""Each form that a prediction, feature or segment may have; last a label, which is none of these."""


def workload(chance: random.Random, *, models: int, segments: int) -> Iterator[Pairs]:
    """Yield the benchmark's events, for ever."""
    while True:
        made = Workload(events=2_000, models=models, segments=segments, seed=chance.getrandbits(32))
        for part in slices(made):
            yield from map(read, part.values)


def every_kind(chance: random.Random) -> Iterator[Pairs]:
    """Yield events of all forms, for ever."""
    kinds = [json.dumps({"event_id": "p-1", "event_time": 0, **kind}).encode() for kind in EVERY_KIND]
    while True:
        yield read(chance.choice(kinds))


def one_kind(chance: random.Random) -> Iterator[Pairs]:
    """Yield events of one form, for ever: what a decoder that expects a certain form knows best."""
    kind = chance.choice(EVERY_KIND[:-1])
    value = json.dumps({"event_id": "p-1", "event_time": 0, **kind}).encode()
    while True:
        yield read(value)


def cars(path: Path) -> list[bytes]:
    """Return the events of the demo's data."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    found = []
    for number, row in enumerate(rows):
        features = {name: _number(row[name]) for name in COLUMNS["feature_columns"]}
        score = _number(row[COLUMNS["score_column"]])
        event = {
            "event_id": str(number),
            "event_time": row[COLUMNS["time_column"]],
            "model": COLUMNS["model"],
            "features": features,
            "prediction": {"label": row[COLUMNS["prediction_column"]], "value": score},
        }
        found.append(json.dumps(event).encode())
    return found


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def driven(chance: random.Random, values: Sequence[bytes]) -> Iterator[Pairs]:
    """Yield these events from anywhere on, for ever."""
    start = chance.randrange(len(values))
    yield from map(read, cycle((*values[start:], *values[:start])))
