import json
from typing import Any

import msgspec
import pytest

from driftline.cli.alerts import watch
from driftline.config import Settings
from driftline.errors import InputError
from driftline.incidents.alerts import alert_of
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.standing import Incidents
from driftline.incidents.watchdog import Watchdog
from driftline.log.api import Outgoing, Record
from driftline.log.memory import MemoryLog
from tests.cli.conftest import Driftline


def alert(fingerprint: str, *, firing: bool = True, model: str = "churn", severity: str = "warning") -> dict[str, Any]:
    status = Status.FIRING if firing else Status.RESOLVED
    opened, window = 1_787_302_800_000, Window(1_787_302_800_000, 1_787_303_400_000, 500)
    signal = Signal("features.age", 1e5, {"psi": 0.3})
    subject = Subject(model, "3", "tenant=acme")
    found = Incident(subject, Kind.DATA_DRIFT, status, opened, window, [signal], "", f"age of {model} moved")
    event: dict[str, Any] = msgspec.to_builtins(alert_of(found, group="driftline"))
    event |= {"id": f"{fingerprint}/{status}", "partitionkey": fingerprint, "severity": severity}
    event["data"]["incident"] = fingerprint
    return event


def record(event: dict[str, Any]) -> Record:
    return Record(event["partitionkey"].encode(), json.dumps(event).encode())


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics({"alerts": 2}, {})
    return log


def publish(log: MemoryLog, *events: dict[str, Any]) -> None:
    producer = log.producer()
    for event in events:
        key, value, _ = record(event)
        producer.produce(Outgoing("alerts", key, value))
    producer.flush(1)


def shown(capsys: pytest.CaptureFixture[str], log: MemoryLog, **options: Any) -> str:
    given: dict[str, Any] = {
        "group": "driftline",
        "follow": False,
        "resolved": False,
        "model": None,
        "as_json": False,
    } | options
    watch(log, Settings(), **given)
    return capsys.readouterr().out


def test_the_latest_alert_of_an_incident_counts(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    publish(log, alert("a"), alert("b"), alert("a", firing=False))

    lines = shown(capsys, log, as_json=True).splitlines()

    assert [json.loads(line)["partitionkey"] for line in lines] == ["b"]


def test_resolved_ones_and_other_models_are_shown_when_asked_for(
    log: MemoryLog, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(log, alert("a", firing=False), alert("b", model="fraud"), alert("c", severity="critical"))

    def ids(**options: Any) -> list[str]:
        return [json.loads(line)["partitionkey"] for line in shown(capsys, log, as_json=True, **options).splitlines()]

    assert ids() == ["c", "b"]
    assert ids(resolved=True) == ["c", "b", "a"]
    assert ids(model="fraud") == ["b"]


def test_incidents_of_other_groups_are_shown_when_asked_for(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    publish(log, alert("a"), alert("b") | {"source": "/driftline/fraud%20team"})

    assert [json.loads(line)["partitionkey"] for line in shown(capsys, log, as_json=True).splitlines()] == ["a"]
    both = shown(capsys, log, as_json=True, group=None)
    assert {json.loads(line)["partitionkey"] for line in both.splitlines()} == {"a", "b"}
    watch(log, Settings(), group="fraud team", follow=False, resolved=False, model=None, as_json=True)
    captured = capsys.readouterr()
    assert [json.loads(line)["partitionkey"] for line in captured.out.splitlines()] == ["b"]
    assert "left out 1 alerts of groups other than fraud team" in captured.err


def signs(log: MemoryLog, *dogs: Watchdog) -> None:
    producer = log.producer()
    for dog in dogs:
        for time in (0, dog.interval_ms):
            producer.produce(Outgoing("alerts", dog.key.encode(), dog.event(time).encode()))
    producer.flush(1)


def test_the_watchdogs_events_are_no_incidents_and_shown_when_asked_for(
    log: MemoryLog, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(log, alert("a"))
    signs(log, Watchdog("driftline", 0, 2, 60_000), Watchdog("driftline", 1, 2, 60_000), Watchdog("b", 0, 1, 60_000))

    watch(log, Settings(), group="driftline", follow=False, resolved=True, model=None, as_json=True)
    without = capsys.readouterr()
    assert [json.loads(line)["partitionkey"] for line in without.out.splitlines()] == ["a"]
    assert without.err == ""
    asked = [json.loads(line) for line in shown(capsys, log, as_json=True, watchdog=True).splitlines()]
    assert [(each["subject"], each["time"]) for each in asked[1:]] == [
        ("panes/0", "1970-01-01T00:01:00Z"),
        ("panes/1", "1970-01-01T00:01:00Z"),
    ]
    text = shown(capsys, log, watchdog=True)
    assert "/driftline/driftline panes/1  alive: all events up to 1970-01-01T00:01:00Z are evaluated" in text
    assert "/driftline/b" not in text
    assert "/driftline/b panes/0" in shown(capsys, log, watchdog=True, group=None)


def test_a_watchdog_that_never_spoke_is_told(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    watch(log, Settings(), group="g", follow=False, resolved=False, model=None, as_json=False, watchdog=True)

    assert "there are no watchdog events; set `watchdog`" in capsys.readouterr().err


def test_following_the_watchdog_prints_its_events_as_they_come(
    log: MemoryLog, capsys: pytest.CaptureFixture[str]
) -> None:
    coming = [Watchdog("driftline", 0, 1, 60_000), Watchdog("other", 0, 1, 60_000)]
    looks = iter(range(4))

    def stopped() -> bool:
        signs(log, *coming)
        coming.clear()
        return next(looks, None) is None

    lines = shown(capsys, log, follow=True, as_json=True, watchdog=True, stopped=stopped).splitlines()

    assert [json.loads(line)["source"] for line in lines] == ["/driftline/driftline"] * 2


def test_people_read_what_fires_since_when_and_why(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    publish(log, alert("a", severity="critical"))

    text = shown(capsys, log)

    for part in ("critical", "churn", "3", "tenant=acme", "drift", "2026-08-21T09:00:00Z", "age of churn moved"):
        assert part in text


def test_nothing_is_said_in_words(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, log) == "nothing fires\n"


def test_following_prints_each_alert_as_it_comes(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    publish(log, alert("old"))
    coming = [alert("new"), alert("old", firing=False)]
    done = False

    def stopped() -> bool:
        nonlocal done
        if coming:
            publish(log, coming.pop(0))
            return False
        ended, done = done, True
        return ended

    lines = shown(capsys, log, follow=True, as_json=True, stopped=stopped).splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["old/firing", "new/firing", "old/resolved"]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"1", b'{"type": "other"}', b'{"type": 1}', b"\xff"])
def test_what_is_no_alert_is_counted_and_left_out(value: bytes) -> None:
    incidents = Incidents(None)
    incidents.update(*record(alert("a"))[:2])
    incidents.update(b"a", value)

    assert incidents.unreadable == 1
    assert len(incidents.alerts()) == 1


def test_a_tombstone_forgets_its_incident() -> None:
    incidents = Incidents(None)
    incidents.update(*record(alert("a"))[:2])
    incidents.update(b"a", None)

    assert incidents.alerts() == []
    assert incidents.unreadable == 0


def test_the_command_reads_the_real_topic(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    missing = driftline("alerts", **on_kafka)
    driftline("topics", "create", **on_kafka)
    empty = driftline("alerts", **on_kafka)

    assert (missing.status, on_kafka["DRIFTLINE_TOPICS__ALERTS"] in missing.err) == (2, True)
    assert (empty.status, empty.out) == (0, "nothing fires\n")


def test_all_is_all_incidents_also_earlier_ones(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    for incident in ("first", "second"):
        for firing in (True, False):
            event = alert("drift", firing=firing)
            event["data"]["incident"] = incident
            publish(log, event)

    watch(log, Settings(), group=None, follow=False, resolved=True, model=None, as_json=True)
    shown = [json.loads(line)["data"]["incident"] for line in capsys.readouterr().out.splitlines()]
    watch(log, Settings(), group=None, follow=False, resolved=False, model=None, as_json=True)

    assert sorted(shown) == ["first", "second"]
    assert capsys.readouterr().out == ""


def test_a_model_that_nobody_knows_is_an_error(log: MemoryLog, capsys: pytest.CaptureFixture[str]) -> None:
    publish(log, alert("a", model="churn"))

    with pytest.raises(InputError, match='no model "chrun" is known; did you mean churn'):
        watch(log, Settings(), group=None, follow=False, resolved=False, model="chrun", as_json=False)
    watch(log, Settings(), group=None, follow=False, resolved=False, model="quiet", as_json=False, watched=["quiet"])
    assert capsys.readouterr().out == "nothing fires\n"
