"""Slack: a bot posts a message for each group; what follows, the resolution too, answers it in its thread."""

import logging
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec

from driftline.config.sinks import SlackSettings, revealed
from driftline.incidents.text import cut, one_line
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later, Never
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import Text, facts

log = logging.getLogger(__name__)

JSON = "application/json; charset=utf-8"
FILE_NAME = "incident.png"
MAX_HEADER, MAX_TEXT, MAX_FIELDS = 150, 3_000, 10
"""Slack's own limits of a header, of a text and of the fields in a section. All blocks may have some 13,000."""
REFUSED = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text", "invalid_arguments"}
)
"""Errors that say that the message itself is wrong."""


class SlackSink(HttpSink[SlackSettings]):
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once, in order; Slack has no idempotency key, so a message whose answer was lost appears twice"
    )

    acknowledges: ClassVar[bool] = True

    def __init__(self, settings: SlackSettings, name: str) -> None:
        super().__init__(settings, name, escaped)
        self.shows_pictures = settings.picture

    async def deliver(self, notification: Notification) -> str:
        """Post a message; return its `ts`, by which Slack names it."""
        if notification.attended is not None:
            return await self._say(notification)
        words = self._texts.of(notification, lambda words: len(words.text) <= MAX_TEXT)
        message: dict[str, Any] = {
            "channel": self._settings.channel,
            "text": escaped(words.title),
            "mrkdwn": False,
            "unfurl_links": False,
            "blocks": blocks(notification, words),
            "metadata": {"event_type": "driftline", "event_payload": {"key": notification.key}},
        }
        if notification.thread:
            message["thread_ts"] = notification.thread
            message["reply_broadcast"] = notification.status == "resolved"
        posted = await self._call("chat.postMessage", msgspec.json.encode(message))
        if notification.picture:
            try:
                await self._show(notification.picture, posted.channel, notification.thread or posted.ts)
            except (Later, Never) as error:  # the message is there: posting it again would tell it twice
                log.warning("%s: the message has no picture: %s", self._name, error)
        return posted.ts

    async def _say(self, notification: Notification) -> str:
        """Say in the thread who looks after it, or that nobody does any more."""
        word = cut(one_line(notification.word), MAX_TEXT)
        message = {
            "channel": self._settings.channel,
            "text": escaped(word),
            "mrkdwn": False,
            "blocks": [{"type": "section", "text": _plain(word)}],
            "metadata": {"event_type": "driftline", "event_payload": {"key": notification.key}},
        }
        if notification.thread:
            message["thread_ts"] = notification.thread
        return (await self._call("chat.postMessage", msgspec.json.encode(message))).ts

    async def _show(self, picture: bytes, channel: str, thread: str) -> None:
        """Upload a picture into a thread, by the three steps that Slack asks for. The bot needs `files:write`."""
        asked = urlencode({"filename": FILE_NAME, "length": len(picture)}).encode()
        place = await self._call("files.getUploadURLExternal", asked, content_type="application/x-www-form-urlencoded")
        await self._http.post(place.upload_url, picture, content_type="image/png")
        done = {"files": [{"id": place.file_id}], "channel_id": channel, "thread_ts": thread}
        await self._call("files.completeUploadExternal", msgspec.json.encode(done))

    async def _call(self, method: str, body: bytes, content_type: str = JSON) -> "_Answer":
        login = {"authorization": f"Bearer {revealed(self._settings.token)}"}
        url = f"{self._settings.api.rstrip('/')}/{method}"
        return _read(await self._http.post(url, body, login, content_type=content_type))


class _Answer(msgspec.Struct):
    ok: bool
    error: str = ""
    channel: str = ""
    ts: str = ""
    upload_url: str = ""
    file_id: str = ""


def _read(said: bytes) -> _Answer:
    """Return what Slack answers. It answers 200 to what it refuses, too. Raises `Later` or `Never`."""
    try:
        answer = msgspec.json.decode(said, type=_Answer)
    except msgspec.DecodeError:  # a long answer is cut; ok comes first
        if said.startswith(b'{"ok":true'):
            return _Answer(ok=True)
        raise Later("the answer is not from Slack") from None
    if not answer.ok:
        raise (Never if answer.error in REFUSED else Later)(f"Slack says {answer.error}")
    return answer


def blocks(notification: Notification, words: Text) -> list[dict[str, Any]]:
    """Return the message as Slack's blocks: a title, the sentences and, of a single incident, its facts."""
    found: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(cut(words.title, MAX_HEADER))},
        {"type": "section", "text": {"type": "mrkdwn", "text": words.text} if words.marked else _plain(words.text)},
    ]
    if len(notification.alerts) == 1:
        fields = [_plain(f"{name}\n{value}") for name, value in facts(notification.alerts[0])[:MAX_FIELDS]]
        found.append({"type": "section", "fields": fields})
    return found


def _plain(text: str) -> dict[str, Any]:
    """Return a text of which nothing is markup: names are a producer's."""
    return {"type": "plain_text", "text": text, "emoji": False}


def escaped(text: str) -> str:
    """Return a text in which nothing is Slack's markup for links and mentions.

    >>> escaped("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
