"""An incident says what changed: ranked signals, before and after, since when, and in which level."""

from collections.abc import Sequence
from typing import Any

import pytest

from driftline.config import Settings
from driftline.events import rfc3339
from driftline.incidents.incident import Incident, Kind, Status
from driftline.tasks.subjects.codes import MAX_CODES, CodeVersions
from tests.evidence.columns import summarise
from tests.tasks import changes
from tests.tasks.changes import HOUR, MINUTE, START, Change, Event, Stream, panes_of, watching
from tests.tasks.test_reference_choice import judging, released, run

BEGAN = START + 8 * HOUR


def judged(values: Sequence[bytes], how: Settings) -> list[Incident]:
    """Judge all, checkpoint and restart in the middle; return the incidents as they opened."""
    _, alerts, _ = run(judging(how), values, [len(values) * 3 // 4])
    return [alert.incident for alert in alerts if alert.incident.status is Status.FIRING]


def opened(stream: Stream, how: Settings | None = None) -> list[Incident]:
    how = how or watching()
    (sent,) = panes_of(stream, 1, how)
    return judged(sent, how)


def test_the_beginning_is_found_though_the_incident_opens_later() -> None:
    def slightly(event: Event, chance: object) -> Event:
        event["features"]["x"] += 0.4
        return event

    (incident,) = opened(Stream(slightly, hours=14, a_minute=12))
    assert incident.began is not None
    assert BEGAN - 10 * MINUTE <= incident.began <= BEGAN + 40 * MINUTE
    assert incident.opened - incident.began >= 20 * MINUTE, "or there would be nothing to find"
    assert f"since about {rfc3339(incident.began)}: x mean" in incident.summary


def test_signals_are_ranked_by_share_of_the_evidence_then_by_effect() -> None:
    def both(event: Event, chance: object) -> Event:
        event["features"]["x"] += 2.5
        event["features"]["y"] += 0.7
        return event

    (incident,) = [found for found in opened(Stream(both, hours=11, a_minute=20)) if found.kind is Kind.DATA_DRIFT]
    ranked = [(round(signal.share, 2), signal.effects["psi"]) for signal in incident.signals]
    assert ranked == sorted(ranked, reverse=True)
    assert incident.signals[0].name == "features.x"
    assert sum(signal.share for signal in incident.signals) == pytest.approx(1, abs=0.01)
    first = incident.signals[0]
    assert first.what == "mean"
    assert float(first.after) - float(first.before) == pytest.approx(2.5, abs=0.4)


def mixed(event: Event, chance: Any) -> Event:
    event["features"]["city"] = str(chance.choice(["Oslo", "Turin", "Lyon"], p=[0.2, 0.3, 0.5]))
    return event


def test_before_and_after_name_the_category_that_moved() -> None:
    (incident,) = opened(Stream(mixed, hours=11, a_minute=20))
    signal = incident.signals[0]
    assert signal.what in ("Oslo", "Lyon")
    assert (signal.before.endswith("%"), signal.after.endswith("%")) == (True, True)
    assert f"city {signal.what}: {signal.before} → {signal.after} (PSI" in incident.summary


def y_gone(event: Event, chance: object) -> Event:
    del event["features"]["y"]
    return event


def new_field(event: Event, chance: object) -> Event:
    event["features"]["extra"] = 1.0
    return event


def both_move(event: Event, chance: Any) -> Event:
    return changes.shift_prediction(changes.shift_x(event, chance), chance) or event


@pytest.mark.parametrize(
    ("change", "kind", "level", "reason"),
    [
        (changes.shift_x, Kind.DATA_DRIFT, "data", "the inputs moved, but the version is the same"),
        (changes.y_missing, Kind.DATA_QUALITY, "data", "the quality of the inputs changed"),
        (changes.half, Kind.VOLUME, "data", "the number of events changed"),
        (changes.shift_prediction, Kind.PREDICTION_DRIFT, "model", "the output moved, but the inputs did not"),
        (both_move, Kind.DATA_DRIFT, "data", "the inputs moved, but the version is the same"),
        (y_gone, Kind.DATA_QUALITY, "code", "the schema changed: y is gone"),
        (new_field, Kind.DATA_QUALITY, "code", "the schema changed: extra is new"),
        (changes.y_text, Kind.DATA_QUALITY, "code", "the schema changed: y became text"),
    ],
)
def test_each_change_has_its_level(change: Change, kind: Kind, level: str, reason: str) -> None:
    found = opened(Stream(change, hours=12))
    assert {(incident.id, incident.kind, incident.level) for incident in found} == {(found[0].id, kind, level)}
    assert reason in found[0].reason
    assert f"{level.capitalize()}: {found[0].reason}." in found[0].summary


def slow(event: Event, chance: Any) -> Event:
    event["latency_ms"] = float(chance.gamma(2, 5 if event["event_time"] < BEGAN else 15))
    return event


def test_latency_alone_is_a_matter_of_the_environment() -> None:
    found = opened(Stream(slow, begin=0, hours=11))
    assert {incident.level for incident in found if incident.kind is Kind.DATA_DRIFT} == {"environment"}


def test_a_new_version_compared_with_the_one_before_is_a_matter_of_the_model() -> None:
    found = opened(Stream(released, hours=12), watching(new_version="compare"))
    assert [(incident.level, incident.reason) for incident in found] == [
        ("model", "another version of the model is answering"),
        ("model", "version 2 is compared with version (none)"),
    ]
    unnamed = opened(Stream(released, hours=12), watching(new_version="learn"))
    assert [incident.kind for incident in unnamed] == [Kind.RELEASE]


def one_tenant(event: Event, chance: object) -> Event:
    if event["segment"]["tenant"] == "b":
        event["features"]["x"] += 1.5
    return event


@pytest.mark.parametrize(("change", "level"), [(one_tenant, "environment"), (changes.shift_x, "data")])
def test_one_segment_alone_is_a_matter_of_the_environment(change: Change, level: str) -> None:
    how = watching(segments=["tenant"])
    found = opened(Stream(change, tenants=("a", "b", "c"), a_minute=24), how)
    assert {incident.level for incident in found} == {level}
    assert len({incident.id for incident in found}) == 1
    assert found[0].subject.segment == ("tenant=b" if level == "environment" else "")
    segments = {part.segment for part in found[-1].parts} - {""}
    assert segments == ({"tenant=b"} if level == "environment" else {"tenant=a", "tenant=b", "tenant=c"})


def tagged(event: Event, code: str | int) -> Event:
    event["tags"] = {"code_version": code, "run": 7}
    return event


@pytest.mark.parametrize("codes", [("git:1", "git:2"), (17, 18)])
@pytest.mark.parametrize(("deployed", "level"), [(8.0, "code"), (7.0, "data")])
def test_a_change_that_begins_with_a_new_code_version_is_a_matter_of_the_code(
    codes: tuple[str | int, str | int], deployed: float, level: str
) -> None:
    def change(event: Event, chance: object) -> Event:
        hour = (event["event_time"] - START) / HOUR
        event["features"]["x"] += 1.5 if hour >= 8 else 0.0
        return tagged(event, codes[hour >= deployed])

    (incident,) = opened(Stream(change, begin=0, hours=11))
    assert (incident.kind, incident.level) == (Kind.DATA_DRIFT, level)
    assert (f"code_version {codes[1]} appeared when the change began" in incident.summary) == (level == "code")


@pytest.mark.parametrize("begin", [0, 8], ids=["another", "the first"])
def test_a_code_version_by_itself_is_no_incident(begin: int) -> None:
    def change(event: Event, chance: object) -> Event:
        return tagged(event, "git:2" if event["event_time"] >= BEGAN else "git:1")

    how = watching(thresholds={"*": {"psi": 1.0}})
    assert opened(Stream(change, begin=begin, hours=11), how) == []


def test_a_rollback_is_a_change_of_the_code_and_a_canary_is_one_once() -> None:
    def change(event: Event, chance: Any) -> Event:
        hour = (event["event_time"] - START) / HOUR
        event["features"]["x"] += 1.5 if 8 <= hour < 10 or hour >= 13 else 0.0
        if hour < 7:
            return tagged(event, "git:1" if hour < 2 or chance.random() < 0.95 else "git:2")
        return tagged(event, "git:2" if hour < 13 else "git:1")

    incidents = [found for found in opened(Stream(change, begin=0, hours=15)) if found.kind is Kind.DATA_DRIFT]
    assert [(incident.level, incident.reason) for incident in incidents] == [
        ("data", "the inputs moved, but the version is the same"),
        ("code", "code_version git:1 appeared when the change began"),
    ]


def took(codes: CodeVersions, slices: Sequence[Sequence[str]]) -> CodeVersions:
    for start, values in enumerate(slices):
        codes.take(start, summarise({"tags.code_version": values}))
    return codes


def test_the_newest_code_versions_are_remembered() -> None:
    codes = took(CodeVersions(1), [[f"git:{number}", "git:0"] for number in range(MAX_CODES + 5)])
    assert len(codes.since) == len(codes.last) == MAX_CODES
    assert "git:0" in codes.since
    assert codes.came_in(MAX_CODES, MAX_CODES + 2) == f"git:{MAX_CODES + 1}"
    assert CodeVersions(1, {"a": 5}).came_in(0, 10) == "", "what was there from the first event on did not come"


def test_a_tag_that_differs_from_event_to_event_names_no_code() -> None:
    often = [f"run-{number}" for number in range(MAX_CODES + 1)]
    codes = took(CodeVersions(2), [["git:1"], often, ["git:1"]])
    assert codes.since == {"git:1": 0}


def test_a_code_version_comes_again_after_it_was_away_for_longer_than_a_window() -> None:
    codes = took(CodeVersions(2), [["a"], ["b"], ["a"], ["b"], ["b"], ["b"], ["a"]])
    assert codes.since == {"a": 6, "b": 1}
    earlier = took(CodeVersions(2, {"a": 0}), [[]] * 6 + [["a"]])
    assert earlier.since == {"a": 0}, "of a release that did not note when it was last seen"


def test_a_fault_of_one_segment_too_small_to_be_judged_is_named() -> None:
    """Twelve events of tenant c in a window of ten minutes: less than min_events."""

    def without(event: Event, chance: object) -> Event:
        if event["segment"]["tenant"] == "c":
            event["features"]["x"] = None
        return event

    tenants = ("a", "a", "a", "a", "b", "b", "b", "b", "b", "c")
    found = opened(
        Stream(without, begin=8, hours=10, a_minute=12, tenants=tenants),
        watching(segments=["tenant"], windows=["10m"]),
    )
    (whole,) = [incident for incident in found if not incident.subject.segment and incident.update is None]
    assert (whole.kind, whole.level, whole.subject.segment) == (Kind.DATA_QUALITY, "environment", "")
    assert "only tenant=c moved" in whole.summary
