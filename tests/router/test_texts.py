"""What people read is what was meant: names are no markup in any sink, and no template holds anything up."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from email import message_from_bytes, policy
from html.parser import HTMLParser

import msgspec
import pytest

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.router.notification import Notification
from driftline.router.sinks.receiver import Received
from driftline.router.texts import Text, Texts
from tests.router.changes import HOUR, NOW, change, over
from tests.router.test_conformance import TRIALS
from tests.router.test_pictures import PNG
from tests.router.test_sinks import notification

NAMES = {
    "markdown": "*x*_[a](http://e)",
    "a mention": "<!channel> & @here",
    "lines": "a\n# b\n\nc\u2028d",
    "long": "n" * 300,
    "right to left": "דוגמה",
    "turned around": "\u202enrubhc",
}


def about(name: str) -> Notification:
    """Return the notification of a model of this name."""
    made = change(name, Kind.DATA_DRIFT, segment=f"tenant={name}", version=name)
    made = msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, summary=f"{name}: age 34 → 51."))
    return replace(notification(), alerts=(made,), changed=frozenset({made.data.incident}), picture=PNG)


def received(sink: str, what: Notification, **settings: object) -> Received:
    """Return the first that a sink sends."""

    async def play() -> Received:
        trial = TRIALS[sink]
        async with trial.receiver() as receiver, trial.sink(receiver, **settings) as made:
            await made.deliver(what)
            return receiver.got[0]

    return asyncio.run(play())


def seen_in_slack(got: Received) -> str:
    parts = [part for block in got.json["blocks"] for part in block.get("fields", [block.get("text")])]
    assert {part["type"] for part in parts} == {"plain_text"}, "markup"
    assert (got.json["mrkdwn"], "<" in got.json["text"]) == (False, False)
    return "\n".join(part["text"] for part in parts)


def seen_in_teams(got: Received) -> str:
    blocks = got.json["attachments"][0]["content"]["body"]
    assert {block["type"] for block in blocks} == {"RichTextBlock"}, "only that is no Markdown"
    return "\n".join("".join(run["text"] for run in block["inlines"]) for block in blocks)


class Page(HTMLParser):
    """What a page shows, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def seen_in_a_mail(got: Received) -> str:
    mail = message_from_bytes(got.body, policy=policy.default)
    plain, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert page is not None
    shown = Page(page.get_content())
    assert shown.tags == ["p", "img"]
    assert shown.text.split() == plain.get_content().split()
    return f"{mail['subject']}\n{plain.get_content()}"


def seen_in_pagerduty(got: Received) -> str:
    payload = got.json["payload"]
    (details,) = payload["custom_details"]["incidents"].values()
    return "\n".join([payload["summary"], *details.values()])


SEEN: dict[str, Callable[[Received], str]] = {
    "slack": seen_in_slack,
    "teams": seen_in_teams,
    "email": seen_in_a_mail,
    "apprise": lambda got: f"{got.json['title']}\n{got.json['message']}",
    "pagerduty": seen_in_pagerduty,
    "opsgenie": lambda got: "\n".join([got.json["message"], got.json["description"], *got.json["details"].values()]),
}
FOR_PROGRAMS = ("webhook", "alertmanager", "rebuild")


def test_every_sink_shows_people_or_programs_what_it_is_told() -> None:
    assert set(SEEN) | set(FOR_PROGRAMS) | {"tickets"} == set(TRIALS)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in a plug-in of Apprise
@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the mail server, on this machine only
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("sink", SEEN)
def test_a_name_is_shown_as_it_is_and_can_do_nothing(sink: str, name: str) -> None:
    said = SEEN[sink](received(sink, about(name))).replace("\u200b", "" if sink == "apprise" else "\u200b")
    shown = " ".join(name.split()).replace("\u202e", "\\u202e")
    lines = [said.replace("\n", " ")] if sink == "email" else said.splitlines()
    assert any(f"{shown}: age 34 → 51." in line for line in lines), "in one line, whole"
    assert "# b" not in said.splitlines()
    assert not {"\u202e", "\u2028"} & set(said)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # in a plug-in of Apprise
def test_nobody_is_called_by_a_name_through_apprise() -> None:
    assert "@here" not in received("apprise", about("@here")).body.decode()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("sink", FOR_PROGRAMS)
def test_programs_get_names_as_they_are(sink: str, name: str) -> None:
    said = msgspec.json.decode(received(sink, about(name)).body)
    assert msgspec.json.encode(name).decode()[1:-1] in msgspec.json.encode(said).decode()


def test_a_text_of_ones_own_is_markup_and_what_it_inserts_is_not() -> None:
    text = "*{{ n.models[0] }}* <https://wiki|runbook>"
    slack = received("slack", about("<!here>"), text=text).json["blocks"][1]["text"]
    assert slack == {"type": "mrkdwn", "text": "*&lt;!here&gt;* <https://wiki|runbook>"}
    card = received("teams", about("[a](http://e)"), text="**{{ n.models[0] }}** [runbook](https://wiki)")
    assert card.json["attachments"][0]["content"]["body"][1] == {
        "type": "TextBlock",
        "text": r"**\[a\]\(http://e\)** [runbook](https://wiki)",
        "wrap": True,
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ n.frist }}", "frist"),
        ("{{ 1 / (n.more) }}", "division by zero"),
        ("{{ n.alerts[7].id }}", "no element 7"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", "100,000 rounds"),
        ("{% for a in range(90000) if a < 0 %}{% endfor %}" * 2, "100,000 rounds"),
        ("{% for a in range(90000) %}{{ 'words ' * 1000 }}{% endfor %}", "1,000,000 characters"),
        ("{{ '-' * 10 ** 9 }}", "too large"),
        ("{{ 10 ** 9 * ['a'] }}", "too large"),
        ("{{ 9 ** 9999999 }}", "too large"),
        ("{{ '-' | center(10 ** 11) }}", "too large"),
        ("{{ '-'.ljust(10 ** 11) }}", "too large"),
        ("{{ cycler.__init__.__globals__.os.environ }}", "unsafe"),
        ("{{ '{0.labels_of.__globals__}'.format(n) }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
    ],
)
def test_a_template_that_fails_or_does_not_end_is_told_once_and_replaced(
    text: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    texts = Texts(text=text, escape=str.upper)
    assert [texts.of(notification()) for _ in range(2)] == [Texts().of(notification())] * 2
    (said,) = caplog.messages
    assert "the default text goes out" in said
    assert why in said


def test_loops_of_a_template_are_as_they_were() -> None:
    text = "{% for a in n.alerts %}{{ loop.index }}/{{ loop.length }}{% if loop.last %}.{% endif %}{% endfor %}"
    assert Texts(text=text).of(notification()).text == "1/1."


def test_a_title_says_what_happened_and_the_text_whom_it_concerns() -> None:
    silent, drift = change("churn", Kind.SILENCE), change("churn", Kind.DATA_DRIFT)
    drift = msgspec.structs.replace(drift, data=msgspec.structs.replace(drift.data, level="data"))

    def words(*alerts: Alert) -> Text:
        return Texts().of(replace(notification(), alerts=alerts))

    assert words(silent).title == "Critical: churn: no events"
    assert words(silent, drift).title == "Critical: churn: no events and data drift (2 incidents)"
    assert "It concerns whoever provides the inputs.\nMore: driftline alerts show" in words(drift).text
    assert "concerns" not in words(silent).text + words(over(drift, NOW + HOUR)).text
