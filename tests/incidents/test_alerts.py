"""Alerts are CloudEvents that their own schema and another library accept, with ids that do not depend on chance."""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest
from cloudevents.v1.http import from_json
from hypothesis import given
from hypothesis import strategies as st

from driftline.events import rfc3339
from driftline.incidents.alerts import alert_id, alert_of, decode_alert
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window, digest
from driftline.incidents.text import number, percent
from driftline.incidents.words import sentence, worded
from driftline.tasks.kinds import defined
from tests.alerts import alert_validator, check_alert

SUBJECT = Subject("churn", "3", "tenant=acme")
SIGNAL = Signal("features.age", 12.5, {"mean_before": 34.0, "mean_after": 51.0, "psi": 0.8})


def incident(kind: Kind = Kind.DATA_DRIFT, status: Status = Status.FIRING, subject: Subject = SUBJECT) -> Incident:
    window = Window(1_790_000_000_000, 1_790_000_600_000, 512)
    detections: list[dict[str, str | int]] = [{"detector": "adwin", "signal": "features.age", "at": 1_790_000_000_000}]
    address = "sha256:" + "0" * 64
    return worded(Incident(subject, kind, status, window.end, window, [SIGNAL], address, "", detections), defined(kind))


def encoded(found: Incident, *, group: str) -> bytes:
    return alert_of(found, group=group).encode()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("subject", [SUBJECT, Subject("churn", "", ""), Subject("", "", "")])
def test_every_kind_of_alert_is_as_the_schema_says(kind: Kind, status: Status, subject: Subject) -> None:
    severity = "critical" if kind in {Kind.DEAD_LETTERS, Kind.SILENCE, Kind.SKIPPED} else "info"
    told = alert_of(msgspec.structs.replace(incident(kind, status, subject), severity=severity), group="test")
    assert decode_alert(told.encode()) == told
    alert = check_alert(told.encode())
    assert alert["severity"] == severity
    assert alert["data"]["version"] == (subject.version or None)


def test_another_library_reads_it_as_a_cloud_event() -> None:
    event = from_json(encoded(incident(), group="test"))
    assert event["type"] == "io.driftline.incident.firing"
    assert event["subject"] == "churn/3[tenant=acme]"
    assert event["partitionkey"] == incident().fingerprint
    data = event.get_data()
    assert data is not None
    assert data["signals"][0]["name"] == "features.age"


@dataclass
class Change:
    path: tuple[str, ...]
    value: object


@pytest.mark.parametrize(
    "change",
    [
        Change(("extra",), 1),
        Change(("data", "extra"), 1),
        Change(("data", "window", "extra"), 1),
        Change(("id",), "not-a-digest"),
        Change(("time",), "2026-09-21"),
        Change(("time",), "2026-09-21T00:00Z"),
        Change(("severity",), "critical"),
        Change(("type",), "io.driftline.incident.resolved"),
        Change(("data", "kind"), "other"),
        Change(("data", "status"), "resolved"),
        Change(("data", "signals"), []),
        Change(("data", "reference"), "sha256:0"),
        Change(("data", "signals"), [{"name": "x", "evidence": None, "effects": {}}]),
        Change(("data", "signals"), [{"name": "x", "evidence": 1, "effects": {"psi": None}}]),
    ],
)
def test_the_schema_refuses_what_is_not_an_alert(change: Change) -> None:
    alert: dict[str, Any] = msgspec.json.decode(encoded(incident(), group="test"))
    place = wrong = copy.deepcopy(alert)
    for name in change.path[:-1]:
        place = place[name]
    place[change.path[-1]] = change.value
    alert_validator().validate(alert)
    with pytest.raises(jsonschema.ValidationError):
        alert_validator().validate(wrong)


def test_ids_name_what_happened() -> None:
    first, resolved = incident(), incident(status=Status.RESOLVED)
    assert alert_id(first) == alert_id(incident())
    assert first.id == resolved.id
    assert alert_id(first) != alert_id(resolved)
    assert first.fingerprint != incident(Kind.VOLUME).fingerprint
    later = msgspec.structs.replace(incident(), opened=first.opened + 1)
    assert (later.id == first.id, later.fingerprint == first.fingerprint) == (False, True)


def test_two_groups_that_find_the_same_share_no_key_and_no_id() -> None:
    """On one alerts topic, which is compacted by key."""
    mine, theirs = (msgspec.structs.replace(incident(), group=group) for group in ("a", "b"))
    first, second = (msgspec.to_builtins(alert_of(each, group=each.group)) for each in (mine, theirs))
    for name in ("id", "partitionkey", "source"):
        assert first[name] != second[name]
    assert first["data"]["incident"] != second["data"]["incident"]


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_no_two_lists_of_names_share_a_digest(left: list[str], right: list[str]) -> None:
    assert (digest(*left) == digest(*right)) == (left == right)


@given(st.integers(-86_400_000, 253_370_764_799_999))
def test_times_are_written_to_the_millisecond_where_there_is_one(time_ms: int) -> None:
    text = rfc3339(time_ms)
    assert datetime.fromisoformat(text) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    assert (len(text) == 20) is (time_ms % 1000 == 0)


@pytest.mark.parametrize(
    ("kind", "signal", "words"),
    [
        (Kind.DATA_DRIFT, SIGNAL, "age mean 34 → 51 (PSI 0.8)"),
        (Kind.DATA_DRIFT, Signal("features.city", 9.0, {"psi": 0.31}), "city has a different mix of values (PSI 0.31)"),
        (
            Kind.DATA_QUALITY,
            Signal("features.age", 9.0, {"null_before": 0.01, "null_after": 0.5}),
            "age 1% → 50% null",
        ),
        (Kind.DATA_QUALITY, Signal("features.age", 9.0, {}), "age changed"),
        (Kind.VOLUME, Signal("events", 9.0, {"events_before": 500.0, "events_after": 0.0}), "events 500 → 0 a window"),
        (
            Kind.VOLUME,
            Signal("events", 9.0, {"events_before": 500.0, "events_after": 900.0, "window_minutes": 90.0}),
            "events 500 → 900 in 90 minutes",
        ),
        (Kind.CAPACITY, Signal("fields", 0.0, {"count": 1234.0}), "fields 1,230"),
        (
            Kind.SKIPPED,
            Signal("predictions 3", 0.0, {"count": 12_345.0}, before="10", after="12355"),
            "12,345 known records, from offset 10 to 12355",
        ),
    ],
)
def test_a_person_understands_what_happened(kind: Kind, signal: Signal, words: str) -> None:
    assert defined(kind).describe(signal) == words
    assert words in sentence(msgspec.structs.replace(incident(kind), signals=[signal]), defined(kind))


def test_a_long_list_of_signals_is_cut() -> None:
    assert sentence(msgspec.structs.replace(incident(), signals=[SIGNAL] * 8), defined(Kind.DATA_DRIFT)).endswith(
        "; and 5 more."
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_has_words(value: float) -> None:
    assert number(value)
    assert percent(abs(value) % 1).endswith("%")
