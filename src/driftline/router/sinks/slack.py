"""Slack: a bot posts a message for each group; what follows, the resolution too, answers it in its thread."""

from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import SlackSink as Settings
from driftline.config.sinks import revealed
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later, Never
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import Text, facts

MAX_HEADER, MAX_TEXT, MAX_FIELDS = 150, 3_000, 10
"""Slack's own limits of a header, of a text and of the fields in a section."""
REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_too_long", "no_text", "invalid_arguments"})
"""Errors that say that the message itself is wrong."""


class SlackSink(HttpSink[Settings]):
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once, in order; Slack knows no idempotency key, so a message whose answer was lost comes twice"
    )

    async def deliver(self, notification: Notification) -> str:
        """Post a message; return its `ts`, by which Slack names it."""
        words = self._texts.of(notification)
        message: dict[str, Any] = {
            "channel": self._settings.channel,
            "text": words.title,
            "blocks": blocks(notification, words),
            "metadata": {"event_type": "driftline", "event_payload": {"key": notification.key}},
        }
        if notification.thread:
            message["thread_ts"] = notification.thread
            message["reply_broadcast"] = notification.status == "resolved"
        said = await self._http.post(
            self._settings.api.rstrip("/") + "/chat.postMessage",
            msgspec.json.encode(message),
            {"authorization": f"Bearer {revealed(self._settings.token)}"},
            content_type="application/json; charset=utf-8",
        )
        return _thread_of(said)


class _Answer(msgspec.Struct):
    ok: bool
    error: str = ""
    ts: str = ""


def _thread_of(said: bytes) -> str:
    """Return the message's name. Slack answers 200 to what it refuses, too. Raises `Later` or `Never`."""
    try:
        answer = msgspec.json.decode(said, type=_Answer)
    except msgspec.DecodeError:  # a long answer is cut; ok and ts come first
        if said.startswith(b'{"ok":true'):
            return ""
        raise Later("the answer is not Slack's") from None
    if not answer.ok:
        raise (Never if answer.error in REFUSED else Later)(f"Slack says {answer.error}")
    return answer.ts


def blocks(notification: Notification, words: Text) -> list[dict[str, Any]]:
    """Return the message as Slack's blocks: a title, the sentences and, of a single incident, its facts."""
    found: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(words.title, MAX_HEADER), "emoji": True}},
        {"type": "section", "text": {"type": "mrkdwn", "text": cut(escaped(words.text), MAX_TEXT)}},
    ]
    if len(notification.alerts) == 1:
        fields = [
            {"type": "mrkdwn", "text": cut(f"*{name}*\n{escaped(value)}", 2_000)}
            for name, value in facts(notification.alerts[0])[:MAX_FIELDS]
        ]
        found.append({"type": "section", "fields": fields})
    return found


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def escaped(text: str) -> str:
    """Return a text in which nothing is Slack's markup for links and mentions: names are a producer's.

    >>> escaped("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
