"""Small streams, each with something to find: enough for a few panes, windows and incidents, and cheap to run."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from driftline.config import Settings
from driftline.log.api import TopicPartition

MINUTE = 60_000
START = 29_783_340 * MINUTE
LABELS = "labels"
STEP = 2_000
"""Milliseconds between two events."""

Published = tuple[TopicPartition, bytes | None, bytes | None, int]
"""Place, key, value, timestamp."""
MORE = "more"
"""The second topic of predictions, where there are two."""


@dataclass(frozen=True, eq=False)
class Workload:
    """What is published, in order, and how it is watched."""

    name: str
    settings: Settings
    records: Sequence[Published]
    partitions: Mapping[str, int] = field(default_factory=dict)
    """Of each topic."""
    grows: bool = False
    """Whether the topic gets a partition on the way."""
    pauses: bool = False
    """Whether partitions are idle on the way, and are flushed by a clock."""
    stamped_by_log: Callable[[int], bool] = lambda number: False
    """Whether the log writes the timestamp of a record, by its place in `records`."""

    def of(self, place: TopicPartition) -> list[tuple[bytes | None, bytes | None, int, bool]]:
        """Return the records of a partition: key, value, timestamp, and whether the log writes that."""
        return [
            (key, value, stamp, self.stamped_by_log(number))
            for number, (at, key, value, stamp) in enumerate(self.records)
            if at == place
        ]


def _settings(
    idle_timeout: str = "1000d",
    limits: Mapping[str, object] = MappingProxyType({}),
    predictions: object = "predictions",
    **model: object,
) -> Settings:
    """One window of a minute; a reference of the first events; a budget so large that little evidence is enough."""
    own = {
        "windows": ["30s"],
        "pane": "30s",
        "reference": "learn 20 events",
        "false_alarms": "20 per 1h",
        "min_events": 5,
        **model,
    }
    # As a rule nothing is flushed by the clock: when that happens depends on what goes wrong, and so does what comes.
    return Settings.model_validate(
        {
            "models": {"*": own},
            "max_out_of_orderness": "5s",
            "max_age": "1000d",
            "idle_timeout": idle_timeout,
            "checkpoint": "500ms",
            "limits": dict(limits),
            "topics": {"predictions": predictions},
        }
    )


def _events(
    seed: int,
    size: int,
    partitions: int,
    *,
    models: str = "m",
    bad: float = 0.0,
    tenants: str = "",
    versions: str = "",
    late: float = 0.0,
    ahead: float = 0.0,
    returns: float = 1.0,
    grows_at: int | None = None,
    rich: bool = False,
    topics: Sequence[str] = ("predictions",),
) -> list[Published]:
    chance = random.Random(seed)
    found: list[Published] = []
    for number in range(size):
        now = START + number * STEP
        time = now - int(chance.expovariate(1 / 1_500))
        if chance.random() < late:
            time -= 2 * MINUTE
        if ahead and chance.random() < ahead:
            time += 4 * MINUTE
        moved = size * 0.5 < number <= size * returns
        event: dict[str, object] = {
            "event_id": f"e{number}",
            "event_time": time,
            "model": chance.choice(models),
            "features": {"x": round(chance.gauss(4.0 if moved else 0.0, 1.0), 2)},
        }
        if rich:
            event["features"] = {"x": chance.choice("xxy" if moved else "xyy"), "c": chance.choice([1, 2, None])}
            event["prediction"] = chance.choice([0.1, 0.2, 0.9][2 * moved :])
        if tenants:
            event["segment"] = {"tenant": chance.choice(tenants)}
        if versions:
            event["model_version"] = chance.choice(versions)
        value: bytes | None = json.dumps(event).encode()
        if chance.random() < bad:
            value = chance.choice([None, b"{", b"[]", b'{"features":{"x":1}}', value[:40] if value else None])
        grown = grows_at is not None and number >= grows_at
        topic = topics[number * len(topics) // size] if number % 5 else topics[number // 5 % len(topics)]
        place = TopicPartition(topic, chance.randrange(partitions + grown))
        found.append((place, f"e{number}".encode(), value, now))
    return found


def _labels_of(seed: int, predictions: Sequence[Published]) -> list[Published]:
    """Return predictions with labels among them: some early, corrected, repeated, withdrawn, unknown, or too late."""
    chance = random.Random(seed)
    found = list(predictions)
    for (_, partition), key, _, now in predictions:
        for revision in range(chance.choice((0, 1, 1, 1, 2, 3))):
            delay = int(chance.choice((-3_000, 2_000, 20_000, 70_000)) * chance.random())
            name = "nobody" if chance.random() < 0.05 else (key or b"").decode()
            said = chance.choice((True, False, True, False, None))
            event = {"event_id": name, "model": "m", "label": said, "revision": revision}
            value: bytes | None = json.dumps(event).encode()
            if chance.random() < 0.1:
                value = chance.choice([None, b"{", b'{"event_id": "e1", "model": "m"}', json.dumps(event).encode()])
            found.append((TopicPartition(LABELS, partition), name.encode(), value, now + delay))
    return sorted(found, key=lambda record: record[3] + chance.randrange(20_000))  # read sooner or later than it came


def _workload(name: str, settings: Settings, records: list[Published], partitions: int, **more: Any) -> Workload:
    topics = settings.topics
    counts = {**dict.fromkeys(topics.inputs, partitions), topics.panes: 2, topics.alerts: 1, topics.dead_letters: 1}
    if settings.awaits_labels:
        counts[topics.labels] = partitions
    return Workload(name, settings, records, counts, **more)


@cache
def workloads() -> tuple[Workload, ...]:
    """Return all of them; the same each time."""
    drifts = _settings()
    tagged = _settings(segments=["tenant"], windows=[{"size": "1m", "every": "30s"}], pane="30s")
    bounded = _settings(thresholds={"*": {"psi": 0.5}}, false_alarms="0.001 per 1h")
    limited = _settings(limits={"models": 2, "versions": 2, "segments": 2}, segments=["tenant"])
    two = _settings(predictions=["predictions", {"topic": MORE, "format": "ndjson"}])
    labelled = _settings(awaits_labels="40s", early_labels="5s", segments=["tenant"])
    hours = _settings(idle_timeout="400ms", windows=["1m"], pane="1m", reference="learn 12 events")
    return (
        _workload("one partition", drifts, _events(1, 120, 1, returns=0.65), 1),
        _workload("two partitions", drifts, _events(2, 70, 2, bad=0.05, rich=True), 2),
        _workload("two models", bounded, _events(3, 70, 2, models="mmmn"), 2),
        _workload("bad records", drifts, _events(4, 90, 2, bad=0.45, late=0.1), 2),
        _workload("segments", tagged, _events(5, 60, 2, tenants="pq", late=0.05), 2),
        _workload("three partitions", bounded, _events(6, 60, 3, late=0.1, bad=0.1), 3),
        _workload("a growing topic", drifts, _events(7, 64, 1, bad=0.05, grows_at=30), 1, grows=True),
        _workload("beyond limits", limited, _events(10, 150, 3, models="mmmmmmnop", tenants="abcd", versions="123"), 3),
        _workload("pauses", _settings(idle_timeout="400ms"), _events(8, 64, 2, bad=0.05), 2, pauses=True),
        _workload("pauses in long panes", hours, _events(9, 90, 2, returns=0.7), 2, pauses=True),
        _workload("labels", labelled, _labels_of(13, _events(12, 60, 2, bad=0.05, late=0.1, rich=True)), 2),
        _workload(
            "wrong clocks",
            drifts,
            _events(14, 120, 2, bad=0.05, late=0.05, ahead=0.6, returns=0.7),
            2,
            stamped_by_log=lambda number: number % 60 < 40,
        ),
        _workload("two topics", two, _events(11, 90, 2, bad=0.15, late=0.1, topics=two.topics.inputs), 2),
    )
