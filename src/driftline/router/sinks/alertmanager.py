"""Alertmanager, by its API version 2: it groups, silences and delivers by rules of its own.

It takes an alert for over when it hears nothing of it for five minutes. So each is sent with an end some time ahead,
and sent again well before that; one that is over is sent with the end it had.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import AlertmanagerSettings, revealed
from driftline.events import rfc3339
from driftline.incidents.alerts import Alert
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink
from driftline.router.sinks.webhook import as_alertmanager, in_bodies

CHANGING = frozenset({"level", "incident", "signal"})
"""Labels that change while an incident goes on, or name one of many: Alertmanager would take it for another one."""


class AlertmanagerSink(HttpSink[AlertmanagerSettings]):
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once; the same labels name the same alert, so repeats change nothing; posted again each minute"
    )
    refresh_ms: ClassVar[int | None] = 60_000
    stale_after: ClassVar[timedelta] = timedelta(minutes=5)

    async def deliver(self, notification: Notification) -> str:
        """Post the group's alerts."""
        posted = [
            self._posted(alert, written)
            for alert, written in zip(notification.alerts, as_alertmanager(notification), strict=True)
        ]
        address = revealed(self._settings.url).rstrip("/") + "/api/v2/alerts"
        for some in in_bodies(posted):
            await self._http.post(address, msgspec.json.encode(some))
        return ""

    def _posted(self, alert: Alert, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return an alert as it is posted: times are those of the clock, for Alertmanager's own rules go by it."""
        now = datetime.now(UTC)
        end = now + self.stale_after if alert.firing else now
        labels = {name: value for name, value in written["labels"].items() if name not in CHANGING}
        return {
            "labels": labels,
            "annotations": {**written["annotations"], "opened": alert.data.opened},
            "startsAt": min(alert.data.opened, rfc3339(int(now.timestamp() * 1000))),
            "endsAt": rfc3339(int(end.timestamp() * 1000)),
        }
