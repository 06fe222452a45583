"""Microsoft Teams: an Adaptive Card, posted to the URL of a workflow ("when a webhook request is received")."""

from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import TeamsSink as Settings
from driftline.config.sinks import revealed
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import Text, facts

MAX_TEXT = 5_000
"""Characters of text: a card may have 28 kB in all."""


class TeamsSink(HttpSink[Settings]):
    """See the module's head."""

    guarantee: ClassVar[str] = "at least once, in order; a card whose answer was lost appears twice"

    async def deliver(self, notification: Notification) -> str:
        """Post a card."""
        card = message(notification, self._texts.of(notification))
        await self._http.post(
            revealed(self._settings.url), msgspec.json.encode(card), {"Idempotency-Key": notification.key}
        )
        return ""


def message(notification: Notification, words: Text) -> dict[str, Any]:
    """Return the message with its one card."""
    colour = "Good" if notification.status == "resolved" else "Attention"
    if notification.status == "firing" and notification.severity != "critical":
        colour = "Warning"
    body: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": words.title,
            "weight": "Bolder",
            "size": "Medium",
            "color": colour,
            "wrap": True,
        },
        *({"type": "TextBlock", "text": line, "wrap": True} for line in words.text[:MAX_TEXT].splitlines()),
    ]
    if len(notification.alerts) == 1:
        told = [{"title": name, "value": value} for name, value in facts(notification.alerts[0])]
        body.append({"type": "FactSet", "facts": told})
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [card]}
