"""How the demo's events come: the past replayed, or as they happen now."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftline.demo.dataset import CarLoans
    from driftline.demo.live import Event
    from driftline.log.api import Producer
    from driftline.tables import ColumnMapping

DAY_MS = 86_400_000


def no_pause() -> str:
    """Say nothing: traffic does not pause."""
    return ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Some events, and what is known of them before. Times are epoch milliseconds."""

    run: Callable[[], None]
    """Publishes them."""
    published: Callable[[], int]
    """How many it has published."""
    rows: int
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
    data: "CarLoans",
    mapping: "ColumnMapping",
    producer: "Producer",
    topic: str,
    *,
    read: Callable[[], int],
    stopped: Callable[[], bool],
    rate: float | None,
) -> Scene:
    """Ten months of events as fast as they are read, or at a rate."""
    from driftline.demo.dataset import FIRST_MS, LAST_MS, ROWS, SHIFT_MS
    from driftline.demo.feed import Feed
    from driftline.tables import iter_events, open_table

    feed = Feed(producer, topic, read=read, stopped=stopped, rate=rate)
    return Scene(
        run=lambda: feed.run(iter_events(open_table(data.analysis), mapping)),
        published=lambda: feed.published,
        rows=ROWS,
        first=FIRST_MS,
        last=LAST_MS,
        shift=SHIFT_MS,
        window_ms=DAY_MS,
        lasts_s=0 if rate is None else ROWS / rate,
    )


def happening(data: "CarLoans", producer: "Producer", topic: str, *, stopped: Callable[[], bool]) -> Scene:
    """Two minutes of events with the clock's own times, and a pause."""
    from driftline.demo.dataset import COLUMNS, ROWS
    from driftline.demo.live import IDLE_MS, PANE_MS, PAUSE_MS, LiveFeed
    from driftline.tables import ColumnMapping, iter_events, open_table

    untimed = ColumnMapping.build(**{**COLUMNS, "time_column": None})
    feed = LiveFeed(producer, topic, stopped=stopped)

    def rows() -> "Iterator[Event]":
        for batch in iter_events(open_table(data.analysis), untimed):
            yield from zip(batch.keys, batch.values, strict=True)

    return Scene(
        run=lambda: feed.run(islice(rows(), ROWS // 2), islice(rows(), ROWS // 2, None)),
        published=lambda: feed.published,
        rows=feed.expected,
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
