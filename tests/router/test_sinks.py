"""What each sink sends is what the receiver's documentation asks for. See `test_conformance` for what all promise."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import TypeAdapter

from driftline.config.sinks import AnySink
from driftline.incidents.incident import Kind
from driftline.log.memory import MemoryLog
from driftline.router.notification import Notification
from driftline.router.sinks import open_sink
from driftline.router.sinks.api import Later, Never, Sink
from driftline.router.sinks.http import seconds
from driftline.router.sinks.receiver import HttpReceiver, Received
from driftline.router.sinks.webhook import signature
from driftline.sandbox.process import free_port
from tests.router.changes import HOUR, NOW, change, over
from tests.router.documented import refuse_what_is_not_documented

SLACK_OK = '{"ok":true,"channel":"C1","ts":"1790000000.000100","message":{}}'
HTTP_SINKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "webhook": lambda url: {"url": f"{url}/hook", "secret": "s3cret"},
    "slack": lambda url: {"token": "xoxb-1", "channel": "C1", "api": url},
    "teams": lambda url: {"url": f"{url}/workflow"},
    "pagerduty": lambda url: {"routing_key": "R" * 32, "api": url},
    "opsgenie": lambda url: {"api_key": "K", "api": url},
}


def made(kind: str, **settings: object) -> Sink:
    return open_sink("ops", TypeAdapter(AnySink).validate_python({"type": kind, **settings}), MemoryLog)


def notification(*, firing: bool = True, thread: str = "", more: int = 0, model: str = "churn") -> Notification:
    alert = change(model, Kind.VOLUME, segment="tenant=acme", version="3")
    alert = alert if firing else over(alert, NOW + HOUR)
    changed, labels = frozenset({alert.data.incident}), {"model": model}
    key, group = "k" * 32, "g" * 32
    owned = {model: {"team": "growth"}}
    return Notification(
        *(key, "ops", group, "route", labels, (alert,), changed, (), more, thread), reminder=False, at=NOW, owned=owned
    )


def with_receiver(play: Callable[[HttpReceiver], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with HttpReceiver() as receiver:
            await play(receiver)

    asyncio.run(whole())


def sent(kind: str, what: Notification, then: tuple[int, dict[str, str], str] = (200, {}, SLACK_OK)) -> HttpReceiver:
    """Return the receiver after one delivery."""
    kept = []

    async def play(receiver: HttpReceiver) -> None:
        receiver.answer(*then)
        kept.append(receiver)
        sink = made(kind, **HTTP_SINKS[kind](receiver.url))
        try:
            await sink.deliver(what)
        finally:
            await sink.close()

    with_receiver(play)
    return kept[0]


def test_a_webhook_is_as_alertmanagers_and_signed() -> None:
    (request,) = sent("webhook", notification(more=3)).got
    body = request.json
    assert {name: type(value).__name__ for name, value in body.items()} == {
        "version": "str",
        "groupKey": "str",
        "truncatedAlerts": "int",
        "status": "str",
        "receiver": "str",
        "groupLabels": "dict",
        "commonLabels": "dict",
        "commonAnnotations": "dict",
        "externalURL": "str",
        "alerts": "list",
    }
    assert (body["version"], body["truncatedAlerts"], body["status"]) == ("4", 3, "firing")
    (alert,) = body["alerts"]
    assert set(alert) == {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert (alert["labels"]["tenant"], alert["labels"]["team"]) == ("acme", "growth")
    assert request.headers["idempotency-key"] == "k" * 32
    stamp = request.headers["x-driftline-timestamp"]
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-driftline-signature"] == f"sha256={expected}" == signature("s3cret", stamp, request.body)


def test_pagerduty_is_triggered_and_resolved_by_one_dedup_key() -> None:
    accepted: tuple[int, dict[str, str], str] = (202, {}, '{"status":"success"}')
    trigger, resolve = (sent("pagerduty", notification(firing=firing), accepted).got[0] for firing in (True, False))
    for request in (trigger, resolve):
        refuse_what_is_not_documented("pagerduty", request)
        assert request.place == "/v2/enqueue"
    assert [each.json["event_action"] for each in (trigger, resolve)] == ["trigger", "resolve"]
    assert trigger.json["dedup_key"] == resolve.json["dedup_key"]
    payload = trigger.json["payload"]
    assert payload["summary"] == "Critical: churn: events 100 → 3 a window.", "the model once"
    (told,) = payload["custom_details"]["incidents"].values()
    assert told["More"].startswith("driftline alerts show ")


@pytest.mark.parametrize(
    ("sink", "status", "said", "fault"),
    [
        ("pagerduty", 400, '{"status":"invalid event","errors":["Invalid routing key"]}', Later),
        ("pagerduty", 400, '{"errors":["Length of \'routing_key\' is incorrect (should be 32 characters)"]}', Later),
        ("pagerduty", 400, '{"status":"invalid event","errors":["\'payload.severity\' is invalid"]}', Never),
        ("opsgenie", 422, '{"message":"Key format is not valid!"}', Later),
        ("opsgenie", 403, '{"message":"You are not authorized to access this resource"}', Later),
        ("teams", 400, '{"error":{"code":"WorkflowTriggerIsNotEnabled"}}', Later),
    ],
)
def test_a_key_or_a_flow_that_was_revoked_loses_nothing(
    sink: str, status: int, said: str, fault: type[Exception]
) -> None:
    with pytest.raises(fault, match=f"HTTP {status}"):
        sent(sink, notification(), (status, {}, said))


def test_who_looks_after_it_is_said_where_it_was_told() -> None:
    def said(kind: str, attended: bool) -> Received:
        word = "Acknowledged by ada: <prices>."
        told = replace(notification(thread="1790000000.000100"), attended=attended, word=word)
        (request,) = sent(kind, told).got
        refuse_what_is_not_documented(kind, request)
        return request

    pager = said("pagerduty", True).json
    assert (pager["event_action"], pager["dedup_key"], "payload" in pager) == ("acknowledge", "g" * 32, False)
    assert said("pagerduty", False).json["event_action"] == "trigger"
    genie = [said("opsgenie", attended) for attended in (True, False)]
    places = [f"/v2/alerts/{'g' * 32}/{what}?identifierType=alias" for what in ("acknowledge", "unacknowledge")]
    assert [each.place for each in genie] == places
    assert genie[0].json["note"] == "Acknowledged by ada: <prices>."
    chat = said("slack", True).json
    assert (chat["thread_ts"], chat["text"]) == ("1790000000.000100", "Acknowledged by ada: &lt;prices&gt;.")
    assert chat["blocks"][0]["text"]["text"] == "Acknowledged by ada: <prices>."


def test_slack_gets_blocks_and_the_resolution_in_the_thread() -> None:
    (first,) = sent("slack", notification()).got
    (last,) = sent("slack", notification(firing=False, thread="1790000000.000100")).got
    assert first.place == "/chat.postMessage"
    assert first.headers["authorization"] == "Bearer xoxb-1"
    assert "thread_ts" not in first.json
    assert (last.json["thread_ts"], last.json["reply_broadcast"]) == ("1790000000.000100", True)
    for request in (first, last):
        header, *sections = request.json["blocks"]
        assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
        assert len(header["text"]["text"]) <= 150
        assert all(block["type"] == "section" and ("text" in block or len(block["fields"]) <= 10) for block in sections)
        assert request.json["text"], "what a phone shows"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ("ratelimited", Later),
        ("invalid_auth", Later),
        ("is_archived", Later),
        ("channel_not_found", Later),
        ("invalid_blocks", Never),
        ("no_text", Never),
    ],
)
def test_slack_says_no_with_status_200(error: str, fault: type[Exception]) -> None:
    with pytest.raises(fault, match=error):
        sent("slack", notification(), (200, {}, json.dumps({"ok": False, "error": error})))


def test_teams_gets_an_adaptive_card() -> None:
    (request,) = sent("teams", notification(), (202, {}, "")).got
    (card,) = request.json["attachments"]
    assert (request.json["type"], card["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["content"]["type"], card["content"]["version"]) == ("AdaptiveCard", "1.4")
    said = ["".join(run["text"] for run in block["inlines"]) for block in card["content"]["body"]]
    assert "Segment: tenant=acme" in said


@pytest.mark.parametrize(("status", "fault"), [(429, Later), (503, Later), (413, Never)])
def test_teams_says_no_with_status_200(status: int, fault: type[Exception]) -> None:
    said = f"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {status} with"
    with pytest.raises(fault, match=f"HTTP {status}"):
        sent("teams", notification(), (200, {}, said))


def test_a_redirect_is_not_followed_and_the_reason_says_what_to_do() -> None:
    with pytest.raises(Later, match=r"HTTP 301: it is at another address.*correct the URL"):
        sent("webhook", notification(), (301, {"Location": "http://elsewhere"}, ""))


@pytest.mark.parametrize(
    ("url", "why"), [("https://{}", "no TLS with it"), ("http://no-such-host.invalid", "not known to the DNS")]
)
def test_why_it_cannot_be_reached_is_said_without_the_url(monkeypatch: pytest.MonkeyPatch, url: str, why: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)  # which would answer in its place

    async def play(receiver: HttpReceiver) -> None:
        sink = made("webhook", url=url.format(receiver.url.removeprefix("http://")))
        with pytest.raises(Later, match=why):
            await sink.deliver(notification())
        await sink.close()

    with_receiver(play)


def test_opsgenie_alerts_are_closed_by_their_alias() -> None:
    create, close = (sent("opsgenie", notification(firing=firing), (202, {}, "{}")).got[0] for firing in (True, False))
    assert create.place == "/v2/alerts"
    assert (create.json["alias"], create.json["priority"], len(create.json["message"]) <= 130) == ("g" * 32, "P1", True)
    assert close.place == f"/v2/alerts/{'g' * 32}/close?identifierType=alias"
    assert create.headers["authorization"] == "GenieKey K"


class Kept(Message):
    """A mail server's mailbox."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the server, on this machine only
def test_mail_arrives_and_later_ones_answer_the_first() -> None:
    def login(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and given.password == b"pass"
        return AuthResult(success=right, handled=right)

    kept = Kept()
    port = free_port()
    controller = Controller(kept, "127.0.0.1", port, authenticator=login, auth_require_tls=False, auth_required=True)
    controller.start()
    try:
        common = {"host": "127.0.0.1", "port": port, "tls": "none", "sender": "driftline@example.org", "to": ["a@b.c"]}

        async def play() -> None:
            sink = made("email", **common, username="me", password="pass")
            thread = await sink.deliver(notification(model="Überweisung\r\nBcc: x@y.z"))
            await sink.deliver(notification(firing=False, thread=thread))
            wrong = made("email", **common, username="me", password="no")
            with pytest.raises(Later, match="Authentication"):
                await wrong.deliver(notification())

        asyncio.run(play())
    finally:
        controller.stop()
    first, last = kept.messages
    assert last["In-Reply-To"] == first["Message-ID"]
    assert first["Bcc"] is None
    assert (first["To"], last["Auto-Submitted"]) == ("a@b.c", "auto-generated")


def test_retry_after_may_be_a_date() -> None:
    assert seconds("Fri, 01 Jan 2100 00:00:00 GMT") or 0 > 1e9
    assert seconds("Fri, 01 Jan 1999 00:00:00 GMT") == 0
