"""A model's events of some hours, of which one thing changes at some time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from driftline.config import Settings
from driftline.pipeline.task_settings import summarise_settings
from driftline.tables import EncodedEvents
from driftline.tasks.summarise import Summarise
from tests.tasks.streams import Run, Value

HOUR = 3_600_000
MINUTE = 60_000
START = 497_222 * HOUR  # a whole hour, so that windows are easy to name
LEARNED = START + 6 * HOUR
Event = dict[str, Any]
Change = Callable[[Event, np.random.Generator], Event | None]


def unchanged(event: Event, chance: np.random.Generator) -> Event | None:
    return event


@dataclass(frozen=True)
class Stream:
    """Events of one model: `change` is applied to those in [begin, end) hours after the start."""

    change: Change = unchanged
    begin: float = 8.0
    end: float = 1e9
    hours: float = 12.0
    a_minute: int = 12
    seed: int = 1
    model: str = "m"
    tenants: tuple[str, ...] = ()

    def events(self) -> Iterator[tuple[int, bytes]]:
        """Yield (time, event) in order of time."""
        chance = np.random.default_rng(self.seed)
        size = int(self.hours * 60 * self.a_minute)
        times = START + np.sort(chance.integers(0, int(self.hours * HOUR), size))
        x, y = chance.normal(0, 1, (2, size)).tolist()
        cities = chance.choice(["Oslo", "Turin", "Lyon"], size, p=[0.5, 0.3, 0.2])
        for at, time in enumerate(times.tolist()):
            event: Event | None = {
                "event_id": f"p-{at}",
                "event_time": time,
                "model": self.model,
                "features": {"x": x[at], "y": y[at], "city": str(cities[at])},
                "prediction": float(chance.beta(2, 5)),
            }
            assert event is not None
            if self.tenants:
                event["segment"] = {"tenant": self.tenants[at % len(self.tenants)]}
            if self.begin * HOUR <= time - START < self.end * HOUR:
                event = self.change(event, chance)
            if event is not None:
                yield time, msgspec.json.encode(event)


def encoded(events: Iterable[tuple[int, bytes]], size: int = 2_000) -> Iterator[EncodedEvents]:
    """Yield the events in batches, as a table's come."""
    held = list(events)
    for start in range(0, len(held), size):
        part = held[start : start + size]
        yield EncodedEvents([b""] * len(part), [value for _, value in part], [time for time, _ in part])


def panes_of(stream: Stream, sources: int, how: Settings) -> list[list[bytes]]:
    """Return what each source sends when the events are spread over them by their ids."""
    runs = [Run(Summarise(summarise_settings(how), source, sources)) for source in range(sources)]
    held: list[list[tuple[int, Value]]] = [[] for _ in range(sources)]
    for number, (time, value) in enumerate(stream.events()):
        held[number * 2654435761 % 2**32 * sources >> 32].append((time, value))
    for run, pairs in zip(runs, held, strict=True):
        for start in range(0, len(pairs), 500):
            part = pairs[start : start + 500]
            run.feed([value for _, value in part], [time for time, _ in part])
        run.finish()
    return [run.sent for run in runs]


def watching(**model: object) -> Settings:
    """Settings with windows of 10 minutes and a reference learned from the first six hours."""
    own: dict[str, object] = {"windows": ["10m"], "pane": "5m", "reference": "learn 6h", **model}
    return Settings.model_validate({"models": {"*": own}, "max_out_of_orderness": "5s"})


def shift_x(event: Event, chance: np.random.Generator) -> Event:
    event["features"]["x"] += 1.0
    return event


def new_city(event: Event, chance: np.random.Generator) -> Event:
    if chance.random() < 0.2:
        event["features"]["city"] = "Atlantis"
    return event


def y_missing(event: Event, chance: np.random.Generator) -> Event:
    if chance.random() < 0.3:
        del event["features"]["y"]
    return event


def y_null(event: Event, chance: np.random.Generator) -> Event:
    if chance.random() < 0.3:
        event["features"]["y"] = None
    return event


def y_text(event: Event, chance: np.random.Generator) -> Event:
    event["features"]["y"] = str(event["features"]["y"])
    return event


def shift_prediction(event: Event, chance: np.random.Generator) -> Event:
    event["prediction"] = float(chance.beta(4, 3))
    return event


def half(event: Event, chance: np.random.Generator) -> Event | None:
    return event if chance.random() < 0.5 else None


def silent(event: Event, chance: np.random.Generator) -> None:
    return None
