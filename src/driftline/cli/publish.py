"""`driftline publish`: a table of past predictions, as the events that a service would have published."""

import time
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from driftline.cli.columns import mapping_options
from driftline.cli.options import ConfigOption, JsonOption
from driftline.errors import ConfigError

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.log.api import Producer
    from driftline.tables import ColumnMapping, EncodedEvents, Table

FLUSH_S = 60.0
PAST_MS = 3_600_000
"""Events older than this are taken for a table of the past, which is late beside a live stream."""
SHOWN = 3
"""Events that --dry-run prints."""


@mapping_options
def publish(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    mapping: "ColumnMapping",
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="Events a second; else as fast as Kafka takes them.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the first events and publish nothing.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Publish a table's rows as prediction events, in event-time order, and its labels as label events.

    Look at the first events, then publish all of them at a hundred a second, then say the columns once and for all:

    \b
    $ driftline publish loans.csv --model loans --prediction-column ok --dry-run
    $ driftline publish loans.csv --model loans --prediction-column ok --rate 100
    $ driftline publish loans.csv --mapping loans.yaml
    """
    # Imported when it runs: polars and librdkafka take most of a second, which --help does without.
    from driftline.cli.connect import open_kafka
    from driftline.cli.terminal import note, out, print_json, utc
    from driftline.config import load
    from driftline.tables import open_table

    settings = load(config)
    opened = open_table(table)
    parts = parts_in_order(opened, mapping, settings)
    if dry_run:
        for value in islice(chain.from_iterable(part.events.values for part in parts), SHOWN):
            print(value.decode())
        return
    first = list(islice(parts, 1))  # so that a wrong column is found before Kafka is waited for
    producer = open_kafka(settings).producer()
    start = time.monotonic()
    try:
        sent = send(chain(first, parts), producer, Pace(rate), opened.rows)
    finally:
        producer.close()
    seconds = time.monotonic() - start
    predictions, labels = sent.get(settings.topics.predictions, 0), sent.get(settings.topics.labels or "", 0)
    speed = round((predictions + labels) / seconds)
    if json:
        print_json(
            {"predictions": predictions, "labels": labels, "seconds": round(seconds, 3), "events_per_second": speed}
        )
        return
    and_labels = f" and {labels:,} labels to {settings.topics.labels}" if labels else ""
    out().print(
        f"published {predictions:,} predictions to {settings.topics.predictions}{and_labels} "
        f"in {seconds:.1f} s ({speed:,} events/s)"
    )
    oldest = min((part.events.times[0] for part in first if part.events.times), default=None)
    if oldest is not None and time.time() * 1_000 - oldest > PAST_MS:
        note(
            f"these events begin at {utc(oldest)}. In a topic that has held newer ones they are late, and refused "
            "(see `driftline status`): give the past a topic and a group of its own, or use `driftline backtest`"
        )


class Part(NamedTuple):
    """Events that go to one topic."""

    topic: str
    events: "EncodedEvents"


def parts_in_order(table: "Table", mapping: "ColumnMapping", settings: "Settings") -> Iterator[Part]:
    """Yield the table's predictions and labels in batches, by the time of each batch's first event.

    Raises ConfigError where the table has labels and no topic takes them.
    """
    from driftline.tables import iter_events, iter_labels

    predictions = (Part(settings.topics.predictions, events) for events in iter_events(table, mapping))
    if mapping.label_column is None:
        return predictions
    topic = settings.topics.labels
    if topic is None:
        raise ConfigError(
            "topics.labels: is not set, and the table has labels; set it (DRIFTLINE_TOPICS__LABELS=labels), "
            "or leave out --label-column"
        )
    labels = (Part(topic, events) for events in iter_labels(table, mapping) if events.values)
    return merge(
        predictions, labels, key=lambda part: part.events.times[0] if part.events.times else part.topic == topic
    )


class Pace:
    """Holds a sender back to a number of events a second; None lets it run."""

    LEAST_SLEEP_S = 0.01  # sleeping less costs more than it paces

    def __init__(
        self,
        rate: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None
        self._sent = 0

    def wait(self) -> None:
        """Wait until the next event is due, and count it."""
        if self._rate is None:
            return
        if self._start is None:
            self._start = self._clock()
        ahead = self._start + self._sent / self._rate - self._clock()
        if ahead >= self.LEAST_SLEEP_S:
            self._sleep(ahead)
        self._sent += 1


def send(parts: Iterable[Part], producer: "Producer", pace: Pace, rows: int) -> dict[str, int]:
    """Produce everything and wait for its delivery; return the number of events by topic."""
    from driftline.cli.terminal import progress
    from driftline.log.api import Outgoing

    sent: dict[str, int] = {}
    with progress() as bar:
        tasks = {}
        for topic, events in parts:
            if topic not in tasks:
                tasks[topic] = bar.add_task(topic, total=rows)
            for number, (key, value) in enumerate(zip(events.keys, events.values, strict=True), start=1):
                pace.wait()
                producer.produce(Outgoing(topic, key, value))
                if number % 1_000 == 0 or number == len(events.keys):
                    bar.update(tasks[topic], completed=sent.get(topic, 0) + number)
            sent[topic] = sent.get(topic, 0) + len(events.keys)
        producer.flush(FLUSH_S)
        for topic, task in tasks.items():
            bar.update(task, total=sent[topic])
    return sent
