"""Receivers take messages of a certain form and size. What Driftline sends fits, however long names and stories are."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.router.notification import Notification
from driftline.router.sinks.receiver import HttpReceiver
from tests.router.changes import HOUR, NOW, change, over
from tests.router.documented import SCHEMAS, refuse_what_is_not_documented
from tests.router.test_conformance import TRIALS
from tests.router.test_sinks import notification

HOSTILE = ("x", "<&>" * 700, "🙂" * 700, "表" * 3_000, "_*~`[a](http://b)\n" * 50, "\u202e\x00\x07", '"\\' * 900)


def alert(name: str, kind: Kind = Kind.VOLUME, *, firing: bool = True) -> Alert:
    """Return an alert of which each name and sentence is this."""
    made = change(name, kind, segment=f"customer-id={name}", version=name)
    made = made if firing else over(made, NOW + HOUR)
    return msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, summary=f"{name}: {name}"))


def large(name: str, *, firing: bool, count: int) -> Notification:
    kinds = [*Kind]
    alerts = tuple(alert(f"{name}{number}", kinds[number % len(kinds)], firing=firing) for number in range(count))
    owned = {each.data.model: {"2nd-line": name, "team": name} for each in alerts}
    return replace(
        notification(firing=firing),
        alerts=alerts,
        changed=frozenset(each.data.incident for each in alerts),
        more=9_900 if count > 1 else 0,
        owned=owned,
    )


def received(sink: str, what: Notification, **settings: object) -> HttpReceiver:
    async def play() -> HttpReceiver:
        trial = TRIALS[sink]
        async with trial.receiver() as receiver, trial.sink(receiver, **settings) as made:
            await made.deliver(what)
            assert isinstance(receiver, HttpReceiver)
            return receiver

    return asyncio.run(play())


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("firing", [True, False])
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("sink", SCHEMAS)
def test_what_is_sent_is_as_documented(sink: str, name: str, firing: bool, count: int) -> None:
    got = received(sink, large(name, firing=firing, count=count)).got
    for request in got:
        refuse_what_is_not_documented(sink, request)
    assert len(got) == 1 or sum(len(request.json) for request in got) == count, "all that Alertmanager has to know"


@pytest.mark.parametrize("sink", SCHEMAS)
def test_a_text_of_ones_own_is_cut_to_fit(sink: str) -> None:
    what = notification()
    (request,) = received(sink, what, title="{{ 'title ' * 400 }}", text="{{ '&表🙂 ' * 20000 }}").got
    refuse_what_is_not_documented(sink, request)


def text_of_slack(body: Any) -> str:
    return str(body["blocks"][1]["text"]["text"])


def text_of_teams(body: Any) -> str:
    blocks = body["attachments"][0]["content"]["body"]
    return "\n".join(block["inlines"][0]["text"] for block in blocks if len(block["inlines"]) == 1)


@pytest.mark.parametrize(
    ("sink", "text"),
    [("slack", text_of_slack), ("teams", text_of_teams), ("opsgenie", lambda body: body["description"])],
)
def test_where_not_all_fits_fewer_are_told_whole_and_the_others_counted(sink: str, text: Callable[[Any], str]) -> None:
    (request,) = received(sink, large("word " * 400, firing=True, count=12)).got
    said = text(request.json).splitlines()
    whole = [line for line in said if line.startswith(("🔴", "🟡", "🔵"))]
    assert 0 < len(whole) < 10
    assert all(len(line) > 4_000 or sink == "slack" for line in whole), "a text of Slack's holds not one of them"
    assert said[-1] == f"… and {12 + 9_900 - len(whole)} more; see all with: driftline alerts"


def test_a_webhook_gets_as_many_as_servers_take_and_the_number_of_the_others() -> None:
    (request,) = received("webhook", large("🙂" * 700, firing=True, count=100)).got
    told = request.json["alerts"]
    assert (0 < len(told) < 100, len(request.body) < 1_000_000) == (True, True)
    assert request.json["truncatedAlerts"] == 9_900 + 100 - len(told)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in a plug-in of Apprise
def test_a_long_text_reaches_what_apprise_knows_in_parts() -> None:
    got = received("apprise", notification(), text="{{ 'word ' * 8000 }}").got
    assert len(got) == 2
    assert sum(len(each.json["message"].split()) for each in got) == 8_000
