"""How the demo's events come: the past replayed, or as they happen now."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.demo.live import Event
    from driftline.demo.scenarios import Scenario, Tables
    from driftline.log.api import Producer


def no_pause() -> str:
    """Say nothing: traffic does not pause."""
    return ""


@dataclass(frozen=True, slots=True)
class DemoScene:
    """Some events, and what is known of them before. Times are epoch milliseconds."""

    run: Callable[[], None]
    """Publishes them."""
    published: Callable[[], int]
    """How many it has published, with labels."""
    rows: int
    """Predictions."""
    labels: int
    first: int
    last: int
    shift: int
    window_ms: int
    lasts_s: float
    pausing: Callable[[], str] = no_pause
    """What is to be said while traffic pauses."""
    after_pause: Callable[[], int | None] = lambda: None
    """Events that came after a pause for the pane in which it began."""


def replayed(
    scenario: "Scenario",
    tables: "Tables",
    settings: "Settings",
    producer: "Producer",
    *,
    read: Callable[[], int],
    stopped: Callable[[], bool],
    seconds: float | None,
) -> DemoScene:
    """Months of predictions, and labels as they came: as fast as they are read, or over so many seconds."""
    from driftline.demo.feed import Feed
    from driftline.demo.scenarios import sizes

    rows, labels, first, last = sizes(scenario, tables)
    feed = Feed(producer, read=read, stopped=stopped, rate=None if seconds is None else (rows + labels) / seconds)
    return DemoScene(
        run=lambda: feed.run(scenario.records(tables, settings.topics.main, settings.topics.labels)),
        published=lambda: feed.published,
        rows=rows,
        labels=labels,
        first=first,
        last=last,
        shift=tables.shift,
        window_ms=scenario.window_ms,
        lasts_s=seconds or 0,
    )


def happening(
    scenario: "Scenario", tables: "Tables", settings: "Settings", producer: "Producer", *, stopped: Callable[[], bool]
) -> DemoScene:
    """Two minutes of predictions with the clock's own times, and a pause; without labels."""
    from driftline.demo.live import IDLE_MS, PANE_MS, PAUSE_MS, LiveFeed
    from driftline.demo.scenarios import sizes
    from driftline.tables import ColumnMapping, iter_events, open_table

    untimed = ColumnMapping.build(**{**scenario.columns, "time_column": None})
    feed = LiveFeed(producer, settings.topics.main, stopped=stopped)
    half = sizes(scenario, tables)[0] // 2

    def rows() -> "Iterator[Event]":
        for batch in iter_events(open_table(tables.predictions), untimed):
            yield from zip(batch.keys, batch.values, strict=True)

    return DemoScene(
        run=lambda: feed.run(islice(rows(), half), islice(rows(), half, None)),
        published=lambda: feed.published,
        rows=feed.expected,
        labels=0,
        first=feed.plan.start,
        last=feed.plan.end,
        shift=feed.plan.shift,
        window_ms=PANE_MS,
        lasts_s=(feed.plan.end - feed.plan.start) / 1_000,
        pausing=lambda: (
            f"traffic pauses for {PAUSE_MS // 1_000} s within a pane, longer than idle_timeout ({IDLE_MS // 1_000} s)"
            if feed.pausing
            else ""
        ),
        after_pause=lambda: feed.in_the_same_pane,
    )
