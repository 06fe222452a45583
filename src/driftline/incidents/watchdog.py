"""The watchdog: an event that always comes, so that whoever reads the alerts topic notices when alerts cannot come.

Nothing firing and nothing working look alike to a reader of alerts. So each partition of the panes topic says so in an
event of a type of its own when all up to a multiple of the interval was judged. That event has gone the way of an
alert: every partition of the predictions was read, panes were written, read and judged, and the event published. A
receiver that misses it for some intervals knows that one of these does not work any more.

    event time ──► 10:00 ───────── 10:05 ───────── 10:10
                                     ▲ event "10:05": all events up to 10:05 were judged

Event time that is passed in one step, as in a backfill or after an outage, is told once, by its last multiple. What an
event says depends on its multiple alone, so the same id always has the same content.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from driftline.events import rfc3339
from driftline.incidents.cloud_events import CloudEvent, alert_source
from driftline.incidents.incident import digest

WATCHDOG_TYPE: Literal["io.driftline.watchdog"] = "io.driftline.watchdog"


class Alive(msgspec.Struct, frozen=True):
    """What is said of one partition of a group's panes."""

    partition: int
    partitions: int
    interval_ms: int
    next: str
    """When the next event is due in event time, RFC 3339."""
    summary: str


class WatchdogEvent(CloudEvent, frozen=True):
    """That, as it is published.

    >>> event = Watchdog("driftline", 0, 4, 300_000).event(600_000)
    >>> event.data.summary, decode_watchdog(event.encode()) == event, decode_watchdog(b"{}")
    ('alive: all events up to 1970-01-01T00:10:00Z are evaluated', True, None)
    """

    type: Literal["io.driftline.watchdog"]
    data: Alive


@dataclass(frozen=True, slots=True)
class Watchdog:
    """What is said of one partition of a group's panes, one of `partitions`."""

    group: str
    partition: int
    partitions: int
    interval_ms: int

    @property
    def key(self) -> str:
        """The same for all its events: a compacted topic keeps the last one."""
        return digest(self.group, "watchdog", str(self.partition))

    def due(self, before: int, now: int) -> int | None:
        """Return the last multiple of the interval in (before, now], or None. Times are epoch milliseconds.

        >>> dog = Watchdog("driftline", 0, 4, 300)
        >>> dog.due(299, 300), dog.due(300, 599), dog.due(299, 1_000)
        (300, None, 900)
        """
        last = now - now % self.interval_ms
        return last if last > before else None

    def event(self, time: int) -> WatchdogEvent:
        """Return the event that says that all up to `time` was judged."""
        return WatchdogEvent(
            specversion="1.0",
            id=digest(self.key, str(time)),
            source=alert_source(self.group),
            type=WATCHDOG_TYPE,
            subject=f"panes/{self.partition}",
            time=rfc3339(time),
            datacontenttype="application/json",
            dataschema="https://driftline.dev/schemas/watchdog-1.json",
            partitionkey=self.key,
            data=Alive(
                partition=self.partition,
                partitions=self.partitions,
                interval_ms=self.interval_ms,
                next=rfc3339(time + self.interval_ms),
                summary=f"alive: all events up to {rfc3339(time)} are evaluated",
            ),
        )


def decode_watchdog(value: bytes | None) -> WatchdogEvent | None:
    """Return the event of the watchdog that a record of the alerts topic holds; None if it holds something else."""
    try:
        return _decoder.decode(value or b"null")
    except (msgspec.DecodeError, ValueError):
        return None


_decoder = msgspec.json.Decoder(WatchdogEvent)
