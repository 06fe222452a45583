"""An upstream fault that reaches several models is told once, in words, and each incident keeps its key."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.config.routing import RouterSettings
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind, Signal
from driftline.router.across import WHAT, shared
from driftline.router.building import routing_of
from driftline.router.desk import Desk, SinkRules
from driftline.router.notification import Notification
from driftline.router.planning import planned
from driftline.router.routes import Routing
from driftline.router.sinks.pagerduty import MAX_SUMMARY
from driftline.router.texts import Texts
from driftline.tasks.kinds import kinds
from tests.router.changes import HOUR, MINUTE, NOW, change, over, route, routing
from tests.router.test_desk import deliver, desk, models, store

DRIFT, QUALITY = Kind.DATA_DRIFT, Kind.DATA_QUALITY
TEAMS = {"churn": {"team": "growth"}, "leads": {"team": "growth"}, "fraud": {"team": "risk"}}
TOGETHER = replace(routing(), across=("team",), labels=TEAMS)


def moved(model: str, *fields: str, kind: Kind = DRIFT, at: int = NOW, **given: str) -> Alert:
    """Return the alert of an incident in which these fields moved; its windows have ten minutes."""
    alert = change(model, kind, at=at, **given)  # type: ignore[arg-type]
    signals = [Signal(f"features.{field}", 9.0, {}) for field in fields]
    return msgspec.structs.replace(alert, data=msgspec.structs.replace(alert.data, signals=signals))


def told(*alerts: Alert, how: Routing = TOGETHER) -> list[list[str]]:
    """Return the models of each notification about alerts that came one after the other."""
    at_desk = desk(how=how)
    for number, alert in enumerate(alerts):
        at_desk.take(alert, NOW + number)
    return sorted(sorted(each) for each in models(deliver(at_desk, NOW + HOUR)))


def test_models_of_a_team_in_which_the_same_field_moved_are_told_together_and_others_apart() -> None:
    assert told(moved("churn", "amount"), moved("leads", "age", "amount")) == [["churn", "leads"]]
    assert told(moved("churn", "amount"), moved("fraud", "amount")) == [["churn"], ["fraud"]], "another team"
    assert told(moved("churn", "amount"), moved("leads", "age")) == [["churn"], ["leads"]], "another field"
    assert told(moved("churn", "amount"), moved("leads", "amount", kind=QUALITY)) == [["churn"], ["leads"]]
    assert told(moved("one", "amount"), moved("two", "amount")) == [["one", "two"]], "without teams: the installation"


def test_what_a_model_itself_may_cause_is_not_upstream() -> None:
    for kind in (Kind.PREDICTION_DRIFT, Kind.PERFORMANCE, Kind.RELEASE, Kind.THRESHOLD, Kind.CAPACITY):
        assert told(moved("one", "amount", kind=kind), moved("two", "amount", kind=kind)) == [["one"], ["two"]], kind
    for kind in (Kind.VOLUME, Kind.SILENCE, Kind.MIX, Kind.LABELS):
        assert told(moved("one", "events", kind=kind), moved("two", "events", kind=kind)) == [["one", "two"]], kind


@pytest.mark.parametrize(
    ("minutes", "together"), [(0, True), (10, True), (11, False), (60, False)], ids=lambda value: str(value)
)
def test_they_were_found_in_windows_that_overlap_or_touch(minutes: int, together: bool) -> None:
    found = told(moved("one", "amount"), moved("two", "amount", at=NOW + minutes * MINUTE))
    assert found == ([["one", "two"]] if together else [["one"], ["two"]])


def test_a_change_that_was_found_late_began_with_the_others() -> None:
    late = moved("two", "amount", at=NOW + 6 * HOUR)
    assert told(moved("one", "amount"), late) == [["one"], ["two"]]
    dated = msgspec.structs.replace(late.data, began=moved("one", "amount").data.window.start)
    assert told(moved("one", "amount"), msgspec.structs.replace(late, data=dated)) == [["one", "two"]]


def test_a_story_does_not_grow_with_each_that_follows() -> None:
    """Each overlaps with the one before. What does not overlap with the first one begins a story of its own."""
    following = [moved(f"m{number}", "amount", at=NOW + number * 10 * MINUTE) for number in range(6)]
    assert told(*following) == [["m0", "m1"], ["m2", "m3"], ["m4", "m5"]]


@settings(max_examples=200)
@given(st.permutations(range(8)), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=8, max_size=8))
def test_who_is_told_with_whom_does_not_depend_on_who_comes_first(
    arrivals: list[int], when: list[tuple[int, int]]
) -> None:
    fields = (["amount"], ["age"], ["amount", "age"], ["city"])
    alerts = [
        moved(f"m{number % 5}", *fields[of], at=NOW + minute * MINUTE, segment=f"n={number}")
        for number, (minute, of) in enumerate(when)
    ]

    def stories(order: Iterable[int]) -> list[set[str]]:
        at_desk = desk(how=replace(TOGETHER, labels={}))
        for number in order:
            at_desk.take(alerts[number], NOW + HOUR)
        found = deliver(at_desk, NOW + 2 * HOUR)
        return sorted(({alert.data.incident for alert in each.alerts} for each in found), key=sorted)

    together = stories(range(8))
    assert stories(arrivals) == together
    assert len(set().union(*together)) == sum(map(len, together)) == len({each.data.incident for each in alerts})


def test_one_that_began_earlier_takes_those_with_it_that_nobody_was_told_of() -> None:
    early, late, other = (
        moved(model, "amount", at=NOW + at * MINUTE) for model, at in (("one", 0), ("two", 8), ("leads", 16))
    )
    how = replace(TOGETHER, labels={})
    assert told(late, other, how=how) == [["leads", "two"]]
    assert told(late, other, early, how=how) == [["leads"], ["one", "two"]]
    at_desk = desk(how=how)
    at_desk.take(late, NOW)
    deliver(at_desk, NOW + MINUTE)
    at_desk.take(early, NOW + MINUTE)
    assert [each.labels for each in deliver(at_desk, NOW + HOUR)] == [{}], "it was told with the one that was"


def test_it_joins_what_was_told_and_both_keep_their_ids_and_one_thread() -> None:
    at_desk, first, second = desk(how=TOGETHER), moved("churn", "amount"), moved("leads", "amount", at=NOW + MINUTE)
    at_desk.take(first, NOW)
    (alone,) = deliver(at_desk, NOW + MINUTE)
    assert (alone.labels, alone.shared) == ({"model": "churn"}, [])
    at_desk.take(second, NOW + 2 * MINUTE)

    (both,) = deliver(at_desk, NOW + HOUR)

    assert (both.group_key, both.thread) == (alone.group_key, "thread-1")
    assert both.changed == {second.data.incident}
    assert {each.data.incident for each in both.alerts} == {first.data.incident, second.data.incident}
    assert both.labels == {}, "nothing that holds for one of them only"
    at_desk.take(over(first, NOW + 2 * HOUR), NOW + 2 * HOUR)
    (one_over,) = deliver(at_desk, NOW + 2 * HOUR)
    assert (one_over.status, one_over.shared) == ("firing", [])
    at_desk.take(over(second, NOW + 3 * HOUR), NOW + 3 * HOUR)
    (last,) = deliver(at_desk, NOW + 3 * HOUR)
    assert (last.status, last.group_key) == ("resolved", alone.group_key)


def test_what_else_its_models_report_is_told_by_model() -> None:
    silent = change("leads", Kind.SILENCE)
    assert told(moved("churn", "amount"), moved("leads", "amount"), silent) == [["churn", "leads"], ["leads"]]


def test_a_restart_changes_nothing() -> None:
    blobs: dict[str, bytes] = {}
    at_desk = desk(how=TOGETHER)
    for model in ("churn", "leads"):
        at_desk.take(moved(model, "amount"), NOW)
    deliver(at_desk, NOW + MINUTE)
    store(at_desk, blobs)
    at_desk = Desk(TOGETHER, {"ops": SinkRules()}, 24 * HOUR)
    at_desk.restore(blobs)
    assert deliver(at_desk, NOW + HOUR) == []
    third = replace(TOGETHER, labels={**TEAMS, "ads": {"team": "growth"}})
    at_desk = Desk(third, {"ops": SinkRules()}, 24 * HOUR)
    at_desk.restore(blobs)
    at_desk.take(moved("ads", "amount"), NOW + MINUTE)
    assert models(deliver(at_desk, NOW + HOUR)) == [["churn", "leads", "ads"]]


def test_who_wants_each_incident_by_itself_or_each_model_gets_that() -> None:
    alerts = [moved("one", "amount"), moved("two", "amount")]
    assert told(*alerts, how=replace(TOGETHER, across=None)) == [["one"], ["two"]]
    assert told(*alerts, how=replace(TOGETHER, root=route(group_by=("incident",)))) == [["one"], ["two"]]
    common = {"sinks": {"ops": {"type": "webhook", "url": "http://localhost"}}, "route": {"sink": "ops"}}
    for more, across in (({}, ("team",)), ({"across_models": {"equal": []}}, ()), ({"across_models": None}, None)):
        assert routing_of(RouterSettings.model_validate({**common, **more})).across == across


def notified(*alerts: Alert) -> Notification:
    at_desk = desk(how=TOGETHER)
    for alert in alerts:
        at_desk.take(alert, NOW)
    (found,) = deliver(at_desk, NOW + HOUR)
    return found


def test_the_words_say_that_they_report_the_same_since_when_and_where_to_look() -> None:
    found = notified(*(moved(model, "amount", at=NOW + number) for number, model in enumerate("dcba")))

    words = Texts().of(found)

    assert words.title == "Warning: data drift of amount in 4 models (4 incidents)"
    assert words.text.startswith(
        "4 models report the same, since about 2026-09-21T14:03:20Z: data drift of amount (a, b, c and 1 more). "
        "Look upstream first, at what all of them depend on.\n🟡 "
    )
    assert words.text.endswith("More: driftline alerts")
    assert found.lead == found.shared[0].sentence


def test_two_causes_are_two_sentences_and_the_more_models_the_earlier() -> None:
    alerts = [moved(model, "amount", "fee") for model in "abc"] + [moved(model, "age", kind=QUALITY) for model in "ab"]
    assert [each.what for each in shared(alerts)] == [
        "data drift of amount and fee in 3 models",
        "changed data quality of age in 2 models",
    ]
    assert shared([moved("a", "amount"), moved("a", "amount", segment="tenant=acme")]) == [], "one model is no crowd"


def test_ten_thousand_models_are_one_story() -> None:
    """Each carries what the sinks can show of it; the rest is a number."""
    at_desk = desk(how=TOGETHER)
    for number in range(10_000):
        at_desk.take(moved(f"m{number}", "amount"), NOW)
    (found,) = deliver(at_desk, NOW + HOUR)
    assert (len(found.alerts), found.more) == (100, 9_900)
    assert found.lead.startswith("100 or more models report the same")
    assert len(Texts().of(found).text) < MAX_SUMMARY * 4


def test_plan_says_with_which_it_goes_and_why() -> None:
    alerts = [moved("leads", "amount", at=NOW + 1), moved("churn", "amount"), moved("fraud", "amount")]
    leads, churn, fraud = planned(TOGETHER, alerts, NOW)
    assert (leads.group, churn.group, fraud.group) == ({"model": "churn"}, {"model": "churn"}, {"model": "fraud"})
    assert leads.as_row()[4] == "model=churn, because of data drift of amount in 2 models"
    assert "with other incidents of model churn, as both report the same (data drift of amount" in leads.in_words()
    assert (leads.shares, churn.shares) == (shared(alerts[:2])[0], None)


def test_of_each_kind_it_is_known_whether_its_cause_may_be_upstream_of_models() -> None:
    of_the_model = {Kind.PREDICTION_DRIFT, Kind.PERFORMANCE, Kind.RELEASE, Kind.THRESHOLD}
    of_driftline = {Kind.DEAD_LETTERS, Kind.CAPACITY, Kind.SKIPPED}
    assert {each.kind for each in kinds()} == WHAT.keys() | of_the_model | of_driftline
