"""Opsgenie, by its alert API: a group is one alert, known by its alias, and closed when all of it is over."""

from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import OpsgenieSink as Settings
from driftline.config.sinks import revealed
from driftline.incidents.severity import CRITICAL, WARNING
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import facts

MAX_MESSAGE, MAX_DESCRIPTION = 130, 15_000
"""Opsgenie's own limits, in characters."""
_PRIORITIES = {CRITICAL: "P1", WARNING: "P3"}


class OpsgenieSink(HttpSink[Settings]):
    """See the module's head."""

    guarantee: ClassVar[str] = "at least once, in order; a group has one alias, so a repeated alert increases its count"

    async def deliver(self, notification: Notification) -> str:
        """Create the alert, or close it."""
        words = self._texts.of(notification)
        place, body = "/v2/alerts", self._alert(notification, words.title, words.text)
        if notification.status == "resolved":
            place = f"/v2/alerts/{notification.group_key}/close?identifierType=alias"
            body = {"source": "Driftline", "note": words.text[:MAX_DESCRIPTION]}
        login = {"authorization": f"GenieKey {revealed(self._settings.api_key)}"}
        await self._http.post(self._settings.api.rstrip("/") + place, msgspec.json.encode(body), login)
        return notification.group_key

    def _alert(self, notification: Notification, title: str, text: str) -> dict[str, Any]:
        first = notification.alerts[0]
        return {
            "message": title[:MAX_MESSAGE],
            "alias": notification.group_key,
            "description": text[:MAX_DESCRIPTION],
            "source": "Driftline",
            "entity": first.data.model,
            "priority": _PRIORITIES.get(notification.severity, "P5"),
            "tags": sorted({alert.data.kind.value for alert in notification.alerts}),
            "details": dict(facts(first)),
        }
