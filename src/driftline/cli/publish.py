"""`driftline publish`: a table of past predictions, as the events that a service would have published."""

import time
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.columns import mapping_options, opened
from driftline.cli.options import ConfigOption, JsonOption
from driftline.errors import InputError

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.log.api import Producer
    from driftline.tables import ColumnMapping, EncodedEvents

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
        typer.Option(min=0.001, help="Events a second (default: as fast as Kafka takes them).", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the first events and check all of them; publish nothing.")
    ] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="The rows are labels (--label-column) of predictions with the same ids.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Publish a table's rows as prediction events, in event-time order; or its labels.

    First look at the events (exits with 1 if workers would reject some), then publish all of them, here at a hundred a
    second. A mapping file saves naming the columns each time:

    \b
    $ driftline publish loans.csv --model loans --prediction-column ok --dry-run
    $ driftline publish loans.csv --model loans --prediction-column ok --rate 100
    $ driftline publish loans.csv --mapping loans.yaml
    $ driftline publish repaid.csv --labels --model loans --id-column id --label-column repaid --label-time-column on
    """
    # Imported when it runs: polars and librdkafka take most of a second, which --help does without.
    from driftline.cli.connect import open_kafka
    from driftline.cli.terminal import note, out, print_json
    from driftline.config import load
    from driftline.events import rfc3339
    from driftline.tables import iter_events, iter_labels, read_labels

    settings = load(config)
    read = opened(table, mapping, watched=not labels)
    if labels:
        _refuse_unawaited(settings)
        parts = iter_labels(read_labels(read, mapping))
    else:
        parts = iter_events(read, mapping)
    topic, what = (settings.topics.labels, "labels") if labels else (settings.topics.main, "predictions")
    if dry_run:
        rehearsed(settings, parts, labels=labels)
        return
    first = list(islice(parts, 1))  # so that a wrong column is found before Kafka is waited for
    producer = open_kafka(settings).producer()
    start = time.monotonic()
    try:
        sent = send(chain(first, parts), topic, producer, Pace(rate), read.rows)
    finally:
        producer.close()
    seconds = time.monotonic() - start
    speed = round(sent / seconds)
    if json:
        from driftline.cli.documents import Published

        print_json(Published(**{what: sent}, seconds=round(seconds, 3), events_per_second=speed))
        return
    out().print(f"published {sent:,} {what} to {topic} in {seconds:.1f} s ({speed:,} events/s)")
    if labels:
        return
    if mapping.label_delay is not None or mapping.label_time_column is not None:
        note("labels are not among them: to publish these, too, write the same with --labels")
    oldest = min((events.times[0] for events in first if events.times), default=None)
    if oldest is not None and time.time() * 1_000 - oldest > PAST_MS:
        note(
            f"these events begin at {rfc3339(oldest)}. In a topic that already had newer events they are late, and "
            "workers reject them (see `driftline status`). Backfill into separate topics, with a separate group, "
            "or use `driftline backtest`"
        )


def _refuse_unawaited(settings: "Settings") -> None:
    """Raise `InputError` where nobody awaits labels."""
    if not settings.awaits_labels:
        raise InputError(
            "--labels: no model awaits labels; write models: {'*': {awaits_labels: 30d}}, as long as labels may take, "
            "and `driftline topics create`"
        )


def rehearsed(settings: "Settings", parts: Iterable["EncodedEvents"], *, labels: bool = False) -> None:
    """Print the first events, and say what workers would make of all. Exits with 1 if they would reject some."""
    from driftline.cli.terminal import note, print_error
    from driftline.offline.backtest import rehearse

    parts = iter(parts)
    first = list(islice(parts, 1))
    for value in islice(chain.from_iterable(events.values for events in first), SHOWN):
        print(value.decode(), flush=True)
    found = rehearse(settings, chain(first, parts), now_ms=time.time_ns() // 1_000_000, labels=labels)
    what = "labels" if labels else "events"
    if found.unawaited:
        note(f"{found.unawaited:,} labels are of models that await none: write awaits_labels for these models")
    if found.beyond_limits:
        note(
            f"{found.beyond_limits:,} values exceed the limits (see `driftline config show`): "
            "Driftline counts but does not watch them"
        )
    for reason, (number, event_id, detail) in found.rejected.items():
        print_error(
            InputError(
                f"workers would reject {number:,} of {found.events:,} {what} as {reason}; "
                f"the first is {event_id.decode()}: {detail}"
            )
        )
    if found.rejected:
        raise typer.Exit(PROBLEMS_FOUND)
    note(f"workers would accept all {found.events:,} {what}")


class Pace:
    """Holds a sender back to a number of events a second; None lets it run."""

    MIN_SLEEP_S = 0.01  # sleeping less costs more than it paces

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
        if ahead >= self.MIN_SLEEP_S:
            self._sleep(ahead)
        self._sent += 1


def send(parts: Iterable["EncodedEvents"], topic: str, producer: "Producer", pace: Pace, rows: int) -> int:
    """Produce everything and wait for its delivery; return the number of events."""
    from driftline.cli.terminal import progress
    from driftline.log.api import Outgoing

    sent = 0
    with progress() as bar:
        task = bar.add_task(topic, total=rows)
        for events in parts:
            for key, value in zip(events.keys, events.values, strict=True):
                pace.wait()
                producer.produce(Outgoing(topic, key, value))
                sent += 1
                if sent % 1_000 == 0:
                    bar.update(task, completed=sent)
        producer.flush(FLUSH_S)
        bar.update(task, completed=sent, total=sent)
    return sent
