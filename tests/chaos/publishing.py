"""Real data, published for as long as it is wanted: the car loans over and over, under several models."""

import heapq
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Thread

from confluent_kafka import Producer

from driftline.demo.dataset import COLUMNS, FIRST_MS
from driftline.demo.nannyml import Files
from driftline.tables import ColumnMapping, iter_events, open_table

MODELS = 4
STRIDE = 5
"""Every fifth row, so that the cars become dearer, and cheap again, every 10,000 events of a model."""
APART_MS = 523_153
"""Event time between two rows of the data set."""
BAD, LATE = 0.005, 0.005
"""Shares of records that cannot be read, and that come three days late."""
DISORDER_MS = 3_600_000
LATE_MS = 3 * 86_400_000
LABEL_MS = 8 * 86_400_000
"""How long labels take, on the mean; they are awaited for 30 days."""


@dataclass(frozen=True, slots=True)
class Published:
    key: bytes
    value: bytes | None
    topic: str = ""
    """Of a label; empty: it is a prediction."""


def endless(loans: Files, seed: int) -> Iterator[Published]:
    """Yield events in order of publication. They begin in 2010, and every one is a function of the seed."""
    chance = random.Random(seed)
    rows = [
        json.loads(value)
        for batch in iter_events(open_table(loans.analysis), ColumnMapping.build(**COLUMNS))
        for value in batch.values
    ]
    begin = FIRST_MS - 8 * 365 * 86_400_000
    number = 0
    while True:
        turn, model = divmod(number, MODELS)
        row = rows[(turn * STRIDE + 20_000 + model * len(rows) // MODELS) % len(rows)]
        draw = chance.random()
        key = f"e{number}".encode()
        moment = begin + turn * APART_MS - int(chance.random() * DISORDER_MS)
        if draw < BAD:
            yield Published(key, b'{"model": "loan-0", "features"')
        else:
            moment -= LATE_MS if draw < BAD + LATE else 0
            event = {**row, "event_id": f"e{number}", "event_time": moment, "model": f"loan-{model}"}
            yield Published(key, json.dumps(event).encode())
        number += 1


def with_labels(predictions: Iterator[Published], topic: str, seed: int) -> Iterator[Published]:
    """Yield predictions, and labels when they are known: some soon, some too late, repeated, corrected or withdrawn."""
    chance = random.Random(seed + 1)
    known: list[tuple[int, int, Published]] = []
    for number, prediction in enumerate(predictions):
        yield prediction
        if prediction.value is not None and prediction.value.endswith(b"}"):
            event = json.loads(prediction.value)
            for revision in range(chance.choice((0, 1, 1, 1, 2))):
                after = int(chance.expovariate(1 / LABEL_MS))
                said = {
                    "event_id": event["event_id"],
                    "model": event["model"],
                    "label": chance.choice(("0", "1", "1", None)) if chance.random() < 0.1 else "1",
                    "label_time": event["event_time"] + after,
                    "revision": revision,
                }
                label = Published(prediction.key, json.dumps(said).encode(), topic)
                heapq.heappush(known, (number + after * MODELS // APART_MS, chance.getrandbits(60), label))
        while known and known[0][0] <= number:
            yield heapq.heappop(known)[2]


class Publishing:
    """Publishes at a steady rate from a thread, through outages, until stopped; then all is delivered."""

    def __init__(self, bootstrap: str, topic: str, events: Iterator[Published], a_second: int) -> None:
        self.count = 0
        self.undelivered = 0
        self._stopping = Event()
        self._events = events
        self._topic = topic
        self._a_second = a_second
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._thread = Thread(target=self._run, name="publishing", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        begin = time.monotonic()
        while not self._stopping.is_set():
            due = int((time.monotonic() - begin) * self._a_second)
            while self.count < due:
                event = next(self._events)
                self._producer.produce(event.topic or self._topic, event.value, event.key)
                self.count += 1
            self._producer.poll(0)
            self._stopping.wait(0.02)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        self.undelivered = self._producer.flush(60)
