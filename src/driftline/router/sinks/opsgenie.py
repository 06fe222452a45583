"""Opsgenie, by its alert API: a group is one alert, known by its alias, and closed when all of it is over."""

from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import OpsgenieSettings, revealed
from driftline.incidents.severity import CRITICAL, WARNING
from driftline.incidents.text import cut, one_line
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import MAX_FACT, facts

MAX_MESSAGE, MAX_DESCRIPTION, MAX_TAG, MAX_TAGS = 130, 15_000, 50, 20
"""Opsgenie's own limits, in characters, and of the number of tags."""
_PRIORITIES = {CRITICAL: "P1", WARNING: "P3"}


class OpsgenieSink(HttpSink[OpsgenieSettings]):
    """See the module's head."""

    guarantee: ClassVar[str] = "at least once, in order; a group has one alias, so a repeated alert increases its count"
    pages: ClassVar[bool] = True
    acknowledges: ClassVar[bool] = True

    async def deliver(self, notification: Notification) -> str:
        """Create the alert, close it, or say who looks after it."""
        words = self._texts.of(notification, lambda words: len(words.text) <= MAX_DESCRIPTION)
        place, body = "/v2/alerts", self._alert(notification, words.title, words.text)
        done, note = "close", words.text
        if notification.attended is not None:
            done, note = "acknowledge" if notification.attended else "unacknowledge", one_line(notification.word)
        if notification.status == "resolved" or notification.attended is not None:
            place = f"/v2/alerts/{notification.group_key}/{done}?identifierType=alias"
            body = {"source": "Driftline", "note": cut(note, MAX_DESCRIPTION)}
        login = {"authorization": f"GenieKey {revealed(self._settings.api_key)}"}
        await self._http.post(self._settings.api.rstrip("/") + place, msgspec.json.encode(body), login)
        return notification.group_key

    def _alert(self, notification: Notification, title: str, text: str) -> dict[str, Any]:
        first = notification.alerts[0]
        return {
            "message": cut(title, MAX_MESSAGE),
            "alias": notification.group_key,
            "description": text,
            "source": "Driftline",
            "entity": cut(first.data.model, MAX_FACT),
            "priority": _PRIORITIES.get(notification.severity, "P5"),
            "tags": sorted({cut(alert.data.kind.value, MAX_TAG) for alert in notification.alerts})[:MAX_TAGS],
            "details": dict(facts(first)),
        }
