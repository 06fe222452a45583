"""Small streams of events for the runtime's tests, and a worker's surroundings in memory."""

import json
import random
from collections.abc import Set
from dataclasses import dataclass, field

from driftline.config import Settings
from driftline.log.api import Outgoing, Record
from driftline.log.memory import MemoryLog
from driftline.observe.metrics import Sample
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.clock import Clock
from driftline.runtime.stage import Output
from driftline.runtime.worker import Worker
from driftline.state.api import Store
from driftline.state.memory import MemoryStore

MINUTE = 60_000
START = 1_787_000_400_000 // (10 * MINUTE) * (10 * MINUTE)
PARTITIONS = 3


def settings(**more: object) -> Settings:
    """Small windows, a reference learned from the first hour."""
    model = {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "false_alarms": "1 per 30d"}
    return Settings.model_validate({"models": {"*": model}, "max_out_of_orderness": "5s", "max_age": "1000d", **more})


def events(hours: float, shift_after: float, seed: int = 1, a_minute: int = 60) -> list[tuple[bytes, bytes, int]]:
    """(key, value, time) of a model whose one number moves by two standard deviations after some hours."""
    rng = random.Random(seed)
    found = []
    for index in range(int(hours * 60 * a_minute)):
        time = START + index * MINUTE // a_minute
        mean = 2.0 if time >= START + shift_after * 60 * MINUTE else 0.0
        value = {
            "event_id": f"e{index}",
            "event_time": time,
            "model": "m",
            "features": {"x": round(rng.gauss(mean, 1.0), 4), "c": rng.choice("abc")},
            "prediction": round(rng.random(), 3),
        }
        found.append((f"e{index}".encode(), json.dumps(value).encode(), time))
    return found


def truths(stream: list[tuple[bytes, bytes, int]], until: float, seed: int = 2) -> list[tuple[bytes, bytes, int]]:
    """(key, value, time) of a label for each prediction, 5 minutes later: scores are right about them for some hours.

    After that, the outcomes are others at the same scores.
    """
    rng = random.Random(seed)
    found = []
    for key, value, time in stream:
        event = json.loads(value)
        likely = event["prediction"] if time < START + until * 60 * MINUTE else 1 - event["prediction"]
        label = {"event_id": event["event_id"], "model": "m", "label": int(rng.random() < likely)}
        at = time + 5 * MINUTE
        found.append((key, json.dumps({**label, "label_time": at}).encode(), at))
    return found


@dataclass
class Manual:
    """A clock that moves when it is told to."""

    time: float = 1_000.0
    steps: list[float] = field(default_factory=list)

    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.time += seconds

        return Clock(lambda: self.time, lambda: int(self.time * 1000), sleep)


@dataclass
class Bench:
    """A log and a store in memory with the topics made."""

    settings: Settings
    log: MemoryLog = field(default_factory=MemoryLog)
    store: Store = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        topics = self.settings.topics
        counts = {topics.main: PARTITIONS, topics.panes: 2, topics.alerts: 1, topics.dead_letters: 1}
        self.log.create_topics(counts, {})

    def publish(self, records: list[tuple[bytes, bytes, int]], topic: str | None = None) -> None:
        producer = self.log.producer()
        for key, value, time in records:
            producer.produce(Outgoing(topic or self.settings.topics.main, key, value, timestamp=time))
        producer.flush(10)
        producer.close()

    def worker(self, owner: str = "w", *, bounded: bool = True, clock: Clock | None = None) -> Worker:
        return Worker(
            self.settings,
            self.log,
            self.store,
            monitoring(self.settings),
            owner=owner,
            until_caught_up=bounded,
            clock=clock,
            poll_s=0.01 if clock is None else 0.0,  # a clock that is moved by hand makes no record come
        )

    def records(self, topic: str) -> list[Record]:
        reader = self.log.read(topic)
        found: list[Record] = []
        while not reader.at_end:
            found.extend(record for _, _, _, record in reader.poll(0.01))
        reader.close()
        return found

    def alert_ids(self) -> list[str]:
        return [json.loads(record.value or b"{}")["id"] for record in self.records(self.settings.topics.alerts)]


class Plain:
    """What a stage without times, inputs to hold back and output of its own has to say."""

    def hear_idle(self, idle: Set[str]) -> None:
        pass

    @property
    def ahead(self) -> str | None:
        return None

    def skip(self, offset: int, to: int) -> None:
        pass

    def rest(self, position: int, now: int, idle_ms: int) -> bool:
        return False

    def end(self, position: int, now: int) -> bool:
        return False

    def output(self) -> Output:
        return Output([], [])

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        return []
