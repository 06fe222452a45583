"""Small worlds of a model with fields of every kind, some of which change for a while: in plain Python, from a seed."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftline.config import Settings

MINUTE = 60_000
START = 29_833_320 * MINUTE  # a whole hour
CITIES = (
    "Oslo",
    "Turin",
    "Lyon",
    "Bergen",
    "Graz",
    "Porto",
    "Ghent",
    "Turku",
    "Split",
    "Vigo",
    "Brno",
    "Cork",
    "Nîmes",
)


def shifted(event: dict[str, Any], chance: random.Random) -> None:
    event["features"]["x"] += 1.5


def scaled(event: dict[str, Any], chance: random.Random) -> None:
    event["features"]["x"] *= 2.5


def moved(event: dict[str, Any], chance: random.Random) -> None:
    event["features"]["city"] = chance.choice((*CITIES[:3], "Atlantis"))


def more(event: dict[str, Any], chance: random.Random) -> None:
    if isinstance(event["features"]["children"], int):
        event["features"]["children"] += chance.randrange(3)


def gone(event: dict[str, Any], chance: random.Random) -> None:
    del event["features"]["wage"]


def sometimes_null(event: dict[str, Any], chance: random.Random) -> None:
    if chance.random() < 0.3:
        event["features"]["city"] = None


def typed_otherwise(event: dict[str, Any], chance: random.Random) -> None:
    if chance.random() < 0.4:
        event["features"]["x"] = str(event["features"]["x"])


def listed(event: dict[str, Any], chance: random.Random) -> None:
    event["features"]["x"] = [event["features"]["x"]]


def renamed(event: dict[str, Any], chance: random.Random) -> None:
    event["features"]["age_years"] = event["features"].pop("age")


def other_scores(event: dict[str, Any], chance: random.Random) -> None:
    event["prediction"] = {"label": chance.choice(["yes", "no"]), "score": round(chance.betavariate(4, 2), 4)}


def slower(event: dict[str, Any], chance: random.Random) -> None:
    event["latency_ms"] *= 3


def late(event: dict[str, Any], chance: random.Random) -> None:
    event["delay"] = chance.choice([0, 40_000, 900_000])


def without_time(event: dict[str, Any], chance: random.Random) -> None:
    if chance.random() < 0.2:
        del event["event_time"]


def repeated(event: dict[str, Any], chance: random.Random) -> None:
    event["event_id"] = f"e{chance.randrange(40)}"


def fewer(event: dict[str, Any], chance: random.Random) -> None:
    event["dropped"] = chance.random() < 0.6


def silent(event: dict[str, Any], chance: random.Random) -> None:
    event["dropped"] = True


Change = Callable[[dict[str, Any], random.Random], None]
CHANGES: tuple[Change, ...] = (
    shifted, scaled, moved, more, gone, sometimes_null, typed_otherwise, listed, renamed, other_scores, slower, late,
    without_time, repeated, fewer, silent,
)  # fmt: skip
"""In an order in which any of them can be applied together."""


@dataclass(frozen=True)
class World:
    """Changes strike events from `begin` until `end`, minutes after the start; versions follow one another."""

    changes: Sequence[Change] = ()
    begin: int = 130
    end: int = 170
    minutes: int = 220
    a_minute: int = 9
    seed: int = 1
    tenants: str = ""
    release: int | None = None
    """The minute in which version 2 takes over from version 1; None where there are no versions."""
    model: Mapping[str, object] = field(default_factory=dict)
    """How it is watched, where that is not as usual."""

    @property
    def settings(self) -> Settings:
        own = {
            "windows": ["5m"],
            "pane": "1m",
            "reference": "learn 2h",
            "false_alarms": "1 per 1d",
            "detectors": {"*": []},
            **self.model,
        }
        return Settings.model_validate({"models": {"*": own}, "max_out_of_orderness": "5s"})

    def records(self) -> list[tuple[bytes, int]]:
        """Return the events with their timestamps, in order of their times."""
        chance = random.Random(self.seed)
        times = sorted(chance.randrange(self.minutes * MINUTE) for _ in range(self.minutes * self.a_minute))
        found = []
        for number, time in enumerate(times):
            event = self._event(number, START + time, chance)
            if self.begin * MINUTE <= time < self.end * MINUTE:
                for change in self.changes:
                    change(event, chance)
            if not event.pop("dropped", False):
                delay = event.pop("delay", 0)
                found.append((json.dumps(event).encode(), START + time + delay))
        beats = range(START, START + self.minutes * MINUTE, MINUTE)  # keep time going where the model falls silent
        found += [(json.dumps({"model": "clock", "event_time": time}).encode(), time) for time in beats]
        return sorted(found, key=lambda record: json.loads(record[0]).get("event_time", record[1]))

    def _event(self, number: int, time: int, chance: random.Random) -> dict[str, Any]:
        features: dict[str, Any] = {
            "x": chance.gauss(0.0, 1.0),
            "wage": round(chance.lognormvariate(8, 0.5), 2),
            "age": chance.randrange(20, 55),
            "children": min(int(chance.expovariate(0.8)), 6),
            "city": CITIES[min(int(chance.expovariate(0.4)), len(CITIES) - 1)],
            "member": chance.random() < 0.7,
            "number": number,
            "session": f"s{number}-{chance.randrange(10**6)}",
        }
        if chance.random() < 0.05:
            features["children"] = 2.0 if number % 2 else [1, 2]
        if chance.random() < 0.04:
            features["note"] = chance.choice([None, "seen", {"deep": {"er": 1}}])
        event: dict[str, Any] = {
            "event_id": f"e{number}",
            "event_time": time,
            "model": "m",
            "features": features,
            "prediction": {"label": chance.choice(["yes", "no", "no"]), "score": round(chance.betavariate(2, 4), 4)},
            "latency_ms": int(chance.lognormvariate(3, 0.6)),
            "tags": {"code_version": "a1"},
            "delay": chance.choice([0, 0, 0, 0, 0, 12_000]),
        }
        if self.tenants:
            event["segment"] = {"tenant": chance.choice(self.tenants)}
        if self.release is not None:
            event["model_version"] = "1" if time < START + self.release * MINUTE else "2"
        return event
