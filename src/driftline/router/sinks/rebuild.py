"""Ask for a model to be trained anew: a CloudEvent in a topic, from which a pipeline can start.

Only drift asks: who trains on broken data makes it worse. A model is asked for once in a cooldown, however many
incidents it has. The topic itself remembers that: an event's key is its model, so a compacted topic keeps the last one
of each.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import RebuildSettings
from driftline.errors import LogError
from driftline.events import rfc3339
from driftline.incidents.alerts import Alert
from driftline.incidents.cloud_events import CONTENT_TYPE, CloudEvent
from driftline.incidents.incident import Kind, digest
from driftline.log.api import Log, Outgoing
from driftline.log.reading import read_whole
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later

TYPE = "io.driftline.rebuild"
SCHEMA = "https://driftline.dev/schemas/rebuild-1.json"
DRIFT = frozenset({Kind.DATA_DRIFT, Kind.PREDICTION_DRIFT, Kind.THRESHOLD})
PUBLISH_S = 10.0


class Rebuild(msgspec.Struct, frozen=True):
    """What is asked for. Times are RFC 3339."""

    model: str
    version: str | None
    levels: list[str]
    """What changed, by the alerts: data, model, code, environment or unknown."""
    incidents: list[str]
    since: str
    """When the change began: data from then on is what the model meets now."""
    until: str
    """The end of the newest window that was judged."""
    reference: str
    """A command that makes the reference for the new version from that span."""
    summary: str


class RebuildEvent(CloudEvent, frozen=True):
    """That, as it is published."""

    data: Rebuild


class RebuildSink:
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once; a repeated event has the same id; it asks once per cooldown for each model"
    )
    tells_resolved: ClassVar[bool] = False
    pages: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    refresh_ms: ClassVar[int | None] = None
    shows_pictures: bool = False

    def __init__(self, settings: RebuildSettings, name: str, log: Log, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._asked: dict[str, int] | None = None

    async def deliver(self, notification: Notification) -> str:
        """Publish an event for each model that is to be trained anew."""
        try:
            await asyncio.to_thread(self._publish, notification)
        except LogError as error:
            raise Later(str(error)) from error
        return ""

    def _publish(self, notification: Notification) -> None:
        if self._asked is None:
            self._asked = self._read()
        now = int(self._clock() * 1000)
        due: dict[str, list[Alert]] = {}
        for alert in notification.firing:
            data = alert.data
            asks = data.kind in DRIFT and (data.level or "unknown") in self._settings.levels
            if asks and data.model and now >= self._asked.get(data.model, 0) + self._settings.cooldown:
                due.setdefault(data.model, []).append(alert)
        producer = self._log.producer()
        try:
            for _, alerts in sorted(due.items()):
                asked = event(alerts, now)
                headers = (("content-type", CONTENT_TYPE.encode()),)
                producer.produce(Outgoing(self._settings.topic, asked.key, asked.encode(), headers=headers))
            producer.flush(PUBLISH_S)
        finally:
            producer.close()
        self._asked.update(dict.fromkeys(due, now))

    def _read(self) -> dict[str, int]:
        """Return when each model was asked for last, in epoch milliseconds."""
        asked: dict[str, int] = {}
        for _, record in read_whole(self._log, self._settings.topic):
            try:
                held = msgspec.json.decode(record.value or b"null", type=dict[str, Any])
                at = int(datetime.fromisoformat(held["time"]).timestamp() * 1000)
                asked[held["data"]["model"]] = at
            except (msgspec.DecodeError, KeyError, TypeError, ValueError):
                continue  # of somebody else
        return asked

    async def close(self) -> None:
        """Nothing is kept open."""


def event(alerts: list[Alert], now: int) -> RebuildEvent:
    """Return the event that asks for the one model of these alerts. `now` is in epoch milliseconds."""
    first = alerts[0]
    model, version = first.data.model, first.data.version
    since = min(alert.data.began or alert.data.window.start for alert in alerts)
    incidents = sorted(alert.data.incident for alert in alerts)
    asked = Rebuild(
        model=model,
        version=version,
        levels=sorted({alert.data.level or "unknown" for alert in alerts}),
        incidents=incidents,
        since=since,
        until=max(alert.data.window.end for alert in alerts),
        reference=f"driftline reference rebase {model} --learn 1d",
        summary=" ".join(dict.fromkeys(alert.data.summary for alert in alerts)),
    )
    return RebuildEvent(
        specversion="1.0",
        id=digest(first.source, model, *incidents),
        source=first.source,
        type=TYPE,
        subject=model,
        time=rfc3339(now),
        datacontenttype="application/json",
        dataschema=SCHEMA,
        partitionkey=model,
        data=asked,
    )
