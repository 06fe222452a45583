"""Pictures in what a sink sends: a mail carries its own, Slack gets it in three steps, Apprise as an attachment."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from driftline.pictures import sample
from driftline.router.notification import Notification
from driftline.router.sinks.receiver import HttpReceiver
from driftline.router.testing import Tried, try_sinks
from tests.router.changes import NOW
from tests.router.test_sinks import SLACK_OK, made, notification, with_receiver

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 400


def pictured() -> Notification:
    return replace(notification(), picture=PNG)


@dataclass
class Slack:
    """Does as https://docs.slack.dev/messaging/working-with-files says, and refuses anything else."""

    may_write_files: bool = True
    answer: dict[str, Any] = field(default_factory=lambda: json.loads(SLACK_OK))
    uploaded: bytes = b""
    shared: list[dict[str, Any]] = field(default_factory=list)
    posted: int = 0
    size: int = len(PNG)
    url: str = ""

    async def serve(self, play: Callable[[], Awaitable[None]]) -> None:
        app = web.Application()
        app.router.add_post("/api/chat.postMessage", self._post)
        app.router.add_post("/api/files.getUploadURLExternal", self._place)
        app.router.add_post("/upload/v1/abc", self._upload)
        app.router.add_post("/api/files.completeUploadExternal", self._share)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            await play()
        finally:
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        self.posted += 1
        return web.json_response({**self.answer, "message": {"text": "x" * 20_000}})

    async def _place(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-www-form-urlencoded"
        asked = parse_qs((await request.read()).decode())
        if not self.may_write_files:
            return web.json_response({"ok": False, "error": "missing_scope"})
        assert asked == {"filename": ["incident.png"], "length": [str(self.size)]}
        return web.json_response({"ok": True, "upload_url": f"{self.url}/upload/v1/abc", "file_id": "F1"})

    async def _upload(self, request: web.Request) -> web.Response:
        self.uploaded = await request.read()
        return web.Response(text=f"OK - {len(self.uploaded)}")

    async def _share(self, request: web.Request) -> web.Response:
        self.shared.append(await request.json())
        return web.json_response({"ok": True, "files": [{"id": "F1"}]})


def told_to_slack(slack: Slack, what: Notification) -> str:
    threads = []

    async def play() -> None:
        sink = made("slack", token="xoxb-1", channel="#models", api=f"{slack.url}/api")
        assert sink.shows_pictures
        threads.append(await sink.deliver(what))
        await sink.close()

    asyncio.run(slack.serve(play))
    return threads[0]


def test_slack_gets_the_picture_in_the_thread_of_the_message() -> None:
    slack = Slack()
    assert told_to_slack(slack, pictured()) == "1790000000.000100", "though the answer is long"
    assert slack.uploaded == PNG
    assert slack.shared == [{"files": [{"id": "F1"}], "channel_id": "C1", "thread_ts": "1790000000.000100"}]


def test_a_bot_that_may_write_no_files_has_told_it_in_words(caplog: pytest.LogCaptureFixture) -> None:
    slack = Slack(may_write_files=False)
    assert told_to_slack(slack, pictured()) == "1790000000.000100"
    assert (slack.posted, slack.shared) == (1, [])
    assert "the message has no picture: Slack says missing_scope" in caplog.text


def test_a_check_shows_whether_the_bot_may_write_files() -> None:
    """The test alert comes with a picture, the resolution without."""
    slack, picture = Slack(), sample()
    tried: list[Tried] = []

    async def play() -> None:
        sink = made("slack", token="xoxb-1", channel="#models", api=f"{slack.url}/api")
        tried.extend(await try_sinks({"chat": sink}, "g", NOW, picture))

    slack.size = len(picture)
    asyncio.run(slack.serve(play))
    assert tried == [Tried("chat", "")]
    assert (slack.posted, slack.uploaded, len(slack.shared)) == (2, picture, 1)


def test_what_has_no_picture_asks_for_no_file() -> None:
    slack = Slack()
    told_to_slack(slack, notification())
    assert (slack.posted, slack.uploaded) == (1, b"")


def test_a_mail_carries_its_picture() -> None:
    sink: Any = made("email", host="localhost", sender="driftline@example.org", to=["a@b.c"])
    sent = message_from_bytes(sink.message(pictured()).as_bytes(), policy=policy.default)
    assert isinstance(sent, EmailMessage)
    words, page = sent.get_body(("plain",)), sent.get_body(("html",))
    assert words is not None
    assert page is not None
    assert "events 100 → 3 a window" in words.get_content()
    assert "events 100 → 3 a window" in page.get_content()
    (image,) = (part for part in sent.walk() if part.get_content_type() == "image/png")
    assert image.get_content() == PNG
    assert f"cid:{image['Content-ID'].strip('<>')}" in page.get_content()
    assert "multipart" not in sink.message(notification()).get_content_type()


def test_names_of_producers_are_no_markup_in_a_mail() -> None:
    sink: Any = made("email", host="localhost", sender="driftline@example.org", to=["a@b.c"])
    evil = replace(notification(model="<script>"), picture=PNG)
    page = sink.message(evil).get_body(("html",))
    assert "&lt;script&gt;" in page.get_content()
    assert "<script>" not in page.get_content()


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_attaches_it() -> None:
    async def play(receiver: HttpReceiver) -> None:
        sink = made("apprise", url=f"json://{receiver.url.removeprefix('http://')}/hook")
        await sink.deliver(pictured())
        (attached,) = receiver.got[0].json["attachments"]
        assert (attached["filename"], attached["mimetype"]) == ("incident.png", "image/png")

    with_receiver(play)


@pytest.mark.parametrize("kind", ["slack", "email", "apprise"])
def test_who_wants_no_picture_says_so(kind: str) -> None:
    settings: dict[str, dict[str, object]] = {
        "slack": {"token": "x", "channel": "C1"},
        "email": {"host": "localhost", "sender": "a@b.c", "to": ["a@b.c"]},
        "apprise": {"url": "json://localhost"},
    }
    assert not made(kind, **settings[kind], picture=False).shows_pictures
