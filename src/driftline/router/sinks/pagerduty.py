"""PagerDuty, by Events API version 2: a group is one PagerDuty incident, triggered, acknowledged and resolved."""

from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import PagerDutySettings, revealed
from driftline.incidents.level import CONCERNS
from driftline.incidents.text import cut, one_line
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import MAX_FACT, command, facts

MAX_SUMMARY = 1_024
MAX_DETAILS, MAX_DETAIL = 20, 4_000
"""Incidents in the details, and characters of the sentences of each: an event may have 512 kB."""


class PagerDutySink(HttpSink[PagerDutySettings]):
    """See the module's head."""

    guarantee: ClassVar[str] = "at least once, in order; a group has one dedup key, so a repeated event changes nothing"
    pages: ClassVar[bool] = True
    acknowledges: ClassVar[bool] = True

    async def deliver(self, notification: Notification) -> str:
        """Trigger, acknowledge or resolve. It cannot be told that nobody does any more, so that triggers."""
        event = self._event(notification)
        await self._http.post(self._settings.api.rstrip("/") + "/v2/enqueue", msgspec.json.encode(event))
        return notification.group_key

    def _event(self, notification: Notification) -> dict[str, Any]:
        common = {
            "routing_key": revealed(self._settings.routing_key),
            "dedup_key": notification.group_key,
            "client": "Driftline",
        }
        if notification.status == "resolved":
            return {**common, "event_action": "resolve"}
        if notification.attended:
            return {**common, "event_action": "acknowledge"}
        title, lead = self._texts.of(notification).title, one_line(notification.lead)
        if len(notification.alerts) == 1 and self._settings.title is None:
            title = title.partition(": ")[0]  # the sentence says the rest
        first = notification.firing[0]
        details = {
            alert.data.incident: dict(
                [
                    *facts(alert),
                    ("Concerns", CONCERNS.get(alert.data.level or "", "")),
                    ("Summary", cut(one_line(alert.data.summary), MAX_DETAIL)),
                    ("More", command(alert)),
                ]
            )
            for alert in notification.alerts[:MAX_DETAILS]
        }
        payload = {
            "summary": cut(f"{title}: {lead}", MAX_SUMMARY),
            "source": cut(first.data.model or first.source, MAX_FACT),
            "severity": notification.severity,
            "timestamp": first.data.opened,
            "component": cut(first.data.version or "", MAX_FACT),
            "group": cut(first.data.segment or "", MAX_FACT),
            "class": first.data.kind.value,
            "custom_details": {"incidents": details, "more": notification.more},
        }
        return {**common, "event_action": "trigger", "payload": payload}
