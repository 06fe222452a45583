"""Every sink keeps the contract: ours, and one that a package offers. To be listed in `TRIALS` is to be tried."""

import asyncio
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import pytest

from driftline.config import Settings
from driftline.config.showing import masked
from driftline.config.sinks import AnySink
from driftline.errors import ConfigError
from driftline.incidents.incident import Status
from driftline.router.sinks.conformance import SinkTrial, check_promise, check_sink, promises_of
from driftline.router.sinks.receiver import HttpReceiver, Received
from driftline.router.testing import sample, trial
from tests.packages import offer
from tests.router.changes import NOW
from tests.router.receivers import PASSWORD, MailReceiver, TopicReceiver, mail_settings
from tests.router.test_sinks import SLACK_OK

EXAMPLE = Path(__file__).parents[2] / "examples" / "ticket_sink"
ROUTING_KEY = "R" * 32


def alert_labels(received: Received) -> object:
    return tuple(tuple(sorted(alert["labels"].items())) for alert in received.json)


def packaged(name: str, **options: object) -> Mapping[str, Any]:
    return {"type": "package", "name": name, "options": options}


TRIALS: dict[str, SinkTrial] = {
    "webhook": SinkTrial(
        lambda url: {"type": "webhook", "url": f"{url}/hook-of-ours", "secret": "s3cret"},
        key=lambda received: (received.headers["idempotency-key"], received.body),
        secrets=["s3cret", "hook-of-ours"],
    ),
    "alertmanager": SinkTrial(
        lambda url: {"type": "alertmanager", "url": f"{url}/behind-a-secret"},
        key=alert_labels,
        secrets=["behind-a-secret"],
    ),
    "slack": SinkTrial(
        lambda url: {"type": "slack", "token": "xoxb-1", "channel": "C1", "api": url},
        key=lambda received: received.json["metadata"]["event_payload"]["key"],
        secrets=["xoxb-1"],
        receiver=lambda: HttpReceiver((200, {}, SLACK_OK)),
    ),
    "teams": SinkTrial(lambda url: {"type": "teams", "url": f"{url}/workflow-of-ours"}, secrets=["workflow-of-ours"]),
    "pagerduty": SinkTrial(
        lambda url: {"type": "pagerduty", "routing_key": ROUTING_KEY, "api": url},
        key=lambda received: received.json["dedup_key"],
        secrets=[ROUTING_KEY],
    ),
    "opsgenie": SinkTrial(
        lambda url: {"type": "opsgenie", "api_key": "genie-1", "api": url},
        key=lambda received: received.json["alias"],
        secrets=["genie-1"],
    ),
    "apprise": SinkTrial(
        lambda url: {"type": "apprise", "url": f"json://me:s3cret@{url.removeprefix('http://')}/hook-of-ours"},
        key=lambda received: received.body,
        secrets=["s3cret"],
        says_why=False,
    ),
    "email": SinkTrial(
        mail_settings,
        key=lambda received: received.headers["message-id"],
        secrets=[PASSWORD],
        receiver=MailReceiver,
    ),
    "rebuild": SinkTrial(
        lambda topic: {"type": "rebuild", "topic": topic},
        key=lambda received: received.json["id"],
        receiver=TopicReceiver,
    ),
    "tickets": SinkTrial(lambda url: packaged("tickets", url=url, token="s3cret"), secrets=["s3cret"]),
}


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put the example on the path with its entry points."""
    place, project = tmp_path_factory.mktemp("site"), tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    offer(place, "ticket_sink", project["entry-points"])
    sys.path[:0] = [str(place), str(EXAMPLE)]
    yield
    del sys.path[:2]
    sys.modules.pop("ticket_sink", None)


def test_every_sink_is_tried() -> None:
    ours = {get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(AnySink)[0])}
    assert set(TRIALS) == (ours - {"package"}) | set(entry_points(group="driftline.sinks").names)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in a plug-in of Apprise
@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the mail server, on this machine only
@pytest.mark.parametrize(("sink", "promise"), [(sink, name) for sink in TRIALS for name in promises_of(TRIALS[sink])])
def test_it_keeps_its_promises(sink: str, promise: str) -> None:
    check_promise(TRIALS[sink], promise)


def test_a_packaged_sink_gets_what_all_sinks_have_beside_its_options() -> None:
    async def play() -> None:
        async with HttpReceiver() as receiver, TRIALS["tickets"].sink(receiver, title="{{ n.status }}!") as sink:
            await sink.deliver(trial("ops", sample("driftline", NOW, Status.FIRING), NOW))
            assert receiver.got[0].json["title"] == "firing!"

    asyncio.run(play())


BAD = """
import asyncio, logging, secrets
from dataclasses import replace

from driftline.config.sinks import revealed
from driftline.router.sinks.api import Later
from ticket_sink import TicketSink

class Forgetful(TicketSink):
    async def deliver(self, notification):
        self.later = asyncio.create_task(super().deliver(notification))
        await asyncio.sleep(0)
        return ""

    async def close(self):
        await asyncio.gather(self.later, return_exceptions=True)
        await super().close()

class Forging(TicketSink):
    async def deliver(self, notification):
        return await super().deliver(replace(notification, key=secrets.token_hex()))

class Same(TicketSink):
    async def deliver(self, notification):
        return await super().deliver(replace(notification, key="the same"))

class Chatty(TicketSink):
    async def deliver(self, notification):
        logging.getLogger(__name__).info("posting with %s", revealed(self._settings.token))
        return await super().deliver(notification)

class Deaf(TicketSink):
    async def deliver(self, notification):
        try:
            return await super().deliver(notification)
        except Later:
            return ""

class Hasty(TicketSink):
    async def deliver(self, notification):
        try:
            return await super().deliver(notification)
        except Later as error:
            raise Later(str(error)) from error

class Silent(TicketSink):
    guarantee = ""

class Telling(TicketSink):
    async def deliver(self, notification):
        try:
            return await super().deliver(notification)
        except Later as error:
            raise Later(f"{revealed(self._settings.token)} was not accepted") from error

class Broken(TicketSink):
    def __init__(self, settings, name):
        raise KeyError("port")
"""
NAMES = ("Forgetful", "Forging", "Same", "Chatty", "Deaf", "Hasty", "Silent", "Telling", "Broken", "Missing")


@pytest.fixture
def bad_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "bad_sinks.py").write_text(BAD)
    offer(tmp_path, "bad_sinks", {"driftline.sinks": {name.lower(): f"bad_sinks:{name}" for name in NAMES}})
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("bad_sinks", None)


@pytest.mark.parametrize(
    ("name", "promise", "why"),
    [
        ("silent", "says what it is", "guarantee is empty"),
        ("forgetful", "returns when the receiver has it", "before the receiver had answered"),
        ("forging", "repeats under the same key", "repeated deliveries have the keys"),
        ("same", "repeats under the same key", "two models have the same key"),
        ("forging", "tells an incident in order", "has another key"),
        ("chatty", "tells what fires and what is over", "shows secret number 0"),
        ("telling", "tries again after a failure", "shows secret number 0"),
        ("deaf", "tries again after a failure", "returned as if"),
        ("hasty", "waits as long as it is asked to", "asked for 17"),
    ],
)
def test_one_that_breaks_a_promise_is_found(bad_ones: None, name: str, promise: str, why: str) -> None:
    how = SinkTrial(lambda url: packaged(name, url=url, token="s3cret"), secrets=["s3cret"])
    with pytest.raises(AssertionError, match=why):
        check_promise(how, promise)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("ticket", {}, r'ops\.name: "ticket" is not a sink; did you mean tickets\?'),
        ("missing", {}, r'ops\.name: "missing" cannot be loaded \(AttributeError.*fix bad_sinks:Missing'),
        ("broken", {"url": "x", "token": "y"}, r"ops: broken cannot be made: 'port'"),
        ("tickets", {"url": "x"}, r"ops\.options\.token: Field required"),
        ("tickets", {"url": "x", "token": "y", "colour": 1}, r"ops\.options\.colour: Extra inputs"),
    ],
)
def test_one_that_cannot_be_made_is_refused(bad_ones: None, name: str, options: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        check_sink(SinkTrial(lambda url: packaged(name, **options)))


def test_nothing_shows_the_options_of_a_package() -> None:
    given = Settings.model_validate({"router": {"sinks": {"ops": packaged("tickets", token="s3cret")}}})
    shown = masked(given)["router"]["sinks"]["ops"]["options"]
    assert shown == {"token": "********"}
    assert "s3cret" not in repr(given)
