"""Microsoft Teams: an Adaptive Card, posted to the URL of a workflow ("when a webhook request is received")."""

import re
from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import TeamsSettings, revealed
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink, judge
from driftline.router.texts import Text, facts

MAX_SIZE = 28_000
"""Bytes of a message. Teams counts it in UTF-16 where nothing says that it is UTF-8, and in that it must fit, too."""
FAILED = re.compile(rb"delivery failed with error: .*HTTP error (\d{3})")
"""What Teams answers with status 200 where it did not deliver."""
MARKUP = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|~]")


class TeamsSink(HttpSink[TeamsSettings]):
    """See the module's head."""

    guarantee: ClassVar[str] = "at least once, in order; a card whose answer was lost appears twice"

    def __init__(self, settings: TeamsSettings, name: str) -> None:
        super().__init__(settings, name, escaped)

    async def deliver(self, notification: Notification) -> str:
        """Post a card."""
        words = self._texts.of(notification, lambda words: fits(encoded(notification, words)))
        said = await self._http.post(
            revealed(self._settings.url),
            encoded(notification, words),
            {"Idempotency-Key": notification.key},
            content_type="application/json; charset=utf-8",
        )
        failed = FAILED.search(said)
        if failed is not None:
            judge(int(failed[1]), said)
        return ""


def fits(body: bytes) -> bool:
    """Tell whether Teams takes a message of this size."""
    return max(len(body), len(body.decode().encode("utf-16-le"))) <= MAX_SIZE


def encoded(notification: Notification, words: Text) -> bytes:
    """Return the message as it is posted."""
    return msgspec.json.encode(message(notification, words))


def message(notification: Notification, words: Text) -> dict[str, Any]:
    """Return the message with its one card."""
    colour = "Good" if notification.status == "resolved" else "Attention"
    if notification.status == "firing" and notification.severity != "critical":
        colour = "Warning"
    title = {"type": "TextRun", "text": words.title, "weight": "Bolder", "size": "Medium", "color": colour}
    lines = [line for line in words.text.splitlines() if line]
    body: list[dict[str, Any]] = [_plain(title)]
    if words.marked:
        body += ({"type": "TextBlock", "text": line, "wrap": True} for line in lines)
    else:
        body += (_plain({"type": "TextRun", "text": line}) for line in lines)
    if len(notification.alerts) == 1:
        for name, value in facts(notification.alerts[0]):
            body.append(
                _plain({"type": "TextRun", "text": f"{name}: ", "weight": "Bolder"}, {"type": "TextRun", "text": value})
            )
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [card]}


def _plain(*runs: dict[str, Any]) -> dict[str, Any]:
    """Return a paragraph of which nothing is markup, unlike a TextBlock and a FactSet: names are a producer's."""
    return {"type": "RichTextBlock", "inlines": [*runs]}


def escaped(text: str) -> str:
    """Return a text in which nothing is Markdown.

    >>> print(escaped("*x*_[a](http://e)"))
    \\*x\\*\\_\\[a\\]\\(http://e\\)
    """
    return MARKUP.sub(r"\\\g<0>", text)
