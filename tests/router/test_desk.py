"""What the router's desk promises: each change is told once, in order, under one key, whatever fails or restarts."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from time import process_time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.errors import StateCorrupt
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.matching import Matcher
from driftline.incidents.responses import Acknowledgement, Silence
from driftline.router.desk import Desk, SinkRules
from driftline.router.grouping import MAX_WAITING
from driftline.router.notification import MAX_ALERTS, Notification
from driftline.router.routes import Hours, Inhibition, Route, Routing
from tests.router.changes import HOUR, MINUTE, NOW, change, over, route, routing

DAY = 24 * HOUR
PAGER = route("route.routes[0]", "pager", matchers=(Matcher.parse("severity=critical"),), goes_on=True)


def desk(rules: Mapping[str, SinkRules] | None = None, how: Routing | None = None) -> Desk:
    made = Desk(how or routing(), rules or {"ops": SinkRules()}, 7 * DAY)
    made.begin(NOW - DAY)
    return made


def due(at_desk: Desk, now: int) -> list[Notification]:
    return at_desk.due(now, lambda sink: True)


def deliver(at_desk: Desk, now: int) -> list[Notification]:
    found = due(at_desk, now)
    for notification in found:
        at_desk.told(notification, "thread-1", now)
    return found


def models(found: list[Notification]) -> list[list[str]]:
    return [[alert.data.model for alert in notification.alerts] for notification in found]


def test_incidents_of_a_model_that_come_together_are_told_together() -> None:
    at_desk = desk()
    at_desk.take(change(kind=Kind.VOLUME), NOW)
    at_desk.take(change(kind=Kind.DATA_DRIFT), NOW + 10_000)
    at_desk.take(change("fraud"), NOW + 10_000)
    assert due(at_desk, NOW + 29_999) == []

    (first,) = deliver(at_desk, NOW + 30_000)
    (second,) = deliver(at_desk, NOW + 40_000)

    assert [alert.data.kind for alert in first.alerts] == [Kind.VOLUME, Kind.DATA_DRIFT], "the most urgent first"
    assert models([second]) == [["fraud"]]
    assert deliver(at_desk, NOW + HOUR) == [], "nothing changed"


def test_what_changes_is_told_once_more_and_the_resolution_answers_the_first_message() -> None:
    at_desk, alert = desk(), change()
    at_desk.take(alert, NOW)
    (first,) = deliver(at_desk, NOW + 30_000)
    assert (first.thread, first.status) == ("", "firing")
    at_desk.take(over(alert, NOW + HOUR), NOW + HOUR)

    (last,) = deliver(at_desk, NOW + HOUR)

    assert (last.thread, last.status, last.group_key) == ("thread-1", "resolved", first.group_key)
    assert last.key != first.key
    assert deliver(at_desk, NOW + DAY) == []


def test_an_incident_that_came_and_went_while_nobody_listened_is_told_with_all_its_changes() -> None:
    at_desk, alert = desk(), change()
    at_desk.take(alert, NOW)
    at_desk.take(over(alert, NOW + HOUR), NOW + HOUR)

    (told,) = deliver(at_desk, NOW + 2 * HOUR)

    assert (told.status, [each.firing for each in (*told.earlier, *told.alerts)]) == ("resolved", [True, False])


def test_an_incident_whose_end_the_topic_no_longer_holds_is_over_once_the_next_of_its_kind_opens() -> None:
    """A compacted topic keeps the last change of a kind and subject: the router was away for the end of the first."""
    at_desk, first, other, blobs = desk(), change(), change("fraud"), dict[str, bytes]()
    second = change(at=NOW + 2 * HOUR)
    at_desk.take_all([(first, NOW), (other, NOW)])
    told = deliver(at_desk, NOW + 30_000)
    store(at_desk, blobs)
    at_desk = desk()
    at_desk.restore(blobs)

    at_desk.take_all(at_desk.wanted([(other, NOW), (second, NOW + 2 * HOUR)], NOW + 3 * HOUR))
    (answer,) = deliver(at_desk, NOW + 3 * HOUR)
    assert answer.group_key in {each.group_key for each in told}
    assert {(each.data.incident, each.firing) for each in answer.alerts} == {
        (first.data.incident, False),
        (second.data.incident, True),
    }
    assert "the next one opened at" in next(each.data.summary for each in answer.alerts if not each.firing)

    at_desk.take(over(first, NOW + HOUR), NOW + 3 * HOUR)
    at_desk.take(over(second, NOW + 4 * HOUR), NOW + 4 * HOUR)
    assert [each.status for each in deliver(at_desk, NOW + 4 * HOUR)] == ["resolved"]
    assert models(deliver(at_desk, NOW + DAY)) == [["fraud"]], "each is over once; the other model's fires still"


def test_a_notification_goes_out_unchanged_until_the_sink_has_it() -> None:
    at_desk = desk()
    at_desk.take(change(kind=Kind.VOLUME), NOW)
    (first,) = due(at_desk, NOW + 30_000)
    at_desk.take(change(kind=Kind.DATA_DRIFT), NOW + 31_000)

    assert due(at_desk, NOW + HOUR) == [first]
    at_desk.told(first, "", NOW + HOUR)
    (second,) = due(at_desk, NOW + HOUR + 5 * MINUTE)
    assert second.changed == {change(kind=Kind.DATA_DRIFT).data.incident}
    assert len(second.alerts) == 2, "the state of the whole group"


def test_what_fires_still_is_told_again_after_a_while() -> None:
    at_desk = desk()
    at_desk.take(change(), NOW)
    (first,) = deliver(at_desk, NOW + 30_000)

    assert deliver(at_desk, NOW + 4 * HOUR) == []
    (again,) = deliver(at_desk, NOW + 30_000 + 4 * HOUR)
    assert (again.reminder, again.changed, again.group_key) == (True, frozenset(), first.group_key)


def test_a_sink_that_forgets_is_told_as_often_as_it_needs() -> None:
    at_desk = desk({"ops": SinkRules(refresh=MINUTE)})
    at_desk.take(change(), NOW)
    deliver(at_desk, NOW + 30_000)
    assert len(deliver(at_desk, NOW + 30_000 + MINUTE)) == 1


def test_nothing_goes_out_in_muted_hours_and_all_of_it_afterwards() -> None:
    whole_day = Hours(frozenset({(NOW // DAY + 3) % 7}), 0, 24 * 60, "UTC")
    at_desk, alert = desk(how=routing(route(mute=(whole_day,)))), change()
    at_desk.take(alert, NOW)
    assert deliver(at_desk, NOW + HOUR) == []
    assert models(deliver(at_desk, NOW + DAY)) == [["churn"]]


def test_what_is_held_back_is_told_once_its_cause_is_over_unless_it_is_over_too() -> None:
    quality = Inhibition((Matcher.parse("kind=data_quality"),), (Matcher.parse("kind=data_drift"),), ("model",))
    how = replace(routing(), inhibitions=(quality,))
    at_desk, cause, drift = desk(how=how), change(kind=Kind.DATA_QUALITY), change(kind=Kind.DATA_DRIFT)
    other = change("fraud", Kind.DATA_DRIFT)
    for alert in (cause, drift, other):
        at_desk.take(alert, NOW)
    told = deliver(at_desk, NOW + MINUTE)
    assert sorted(models(told)) == [["churn"], ["fraud"]]
    at_desk.take(over(cause, NOW + HOUR), NOW + HOUR)

    (after,) = deliver(at_desk, NOW + HOUR)

    assert {alert.data.kind for alert in after.alerts} == {Kind.DATA_QUALITY, Kind.DATA_DRIFT}


def test_who_acknowledged_hears_of_changes_only() -> None:
    at_desk, alert = desk(), change()
    at_desk.take(alert, NOW)
    deliver(at_desk, NOW + MINUTE)
    at_desk.respond(Acknowledgement(alert.data.incident, "ada", "", NOW + MINUTE))

    assert deliver(at_desk, NOW + 2 * DAY) == []
    at_desk.take(over(alert, NOW + 2 * DAY), NOW + 2 * DAY)
    assert [each.status for each in deliver(at_desk, NOW + 3 * DAY)] == ["resolved"]


def test_a_sink_that_is_told_hears_at_once_who_looks_after_it_and_that_nobody_does_any_more() -> None:
    rules = {"ops": SinkRules(pages=True, acknowledges=True)}
    at_desk, blobs = desk(rules), dict[str, bytes]()
    first, second = change(), change(kind=Kind.DATA_DRIFT)
    incident, other = first.data.incident, second.data.incident

    def say(who: str, at: int, about: str = incident, *, withdrawn: bool = False) -> list[tuple[bool | None, str]]:
        at_desk.respond(Acknowledgement(about, who, "", NOW + at, withdrawn))
        return [(each.attended, each.word) for each in deliver(at_desk, NOW + at + 1)]

    at_desk.take(first, NOW)
    assert say("ada", 1) == [], "what it has not heard of it need not hear acknowledged"
    deliver(at_desk, NOW + MINUTE)
    assert say("ada", MINUTE) == [(True, "Acknowledged by ada.")]
    assert say("bob", 2 * MINUTE) == [], "it is known that somebody does"
    store(at_desk, blobs)
    at_desk = desk(rules)
    at_desk.restore(blobs)
    assert say("bob", 3 * MINUTE, withdrawn=True) == [(False, "No longer acknowledged by bob.")]
    assert say("ada", 4 * MINUTE) == [(True, "Acknowledged by ada.")]
    at_desk.take(second, NOW + 5 * MINUTE)
    assert [each.attended for each in deliver(at_desk, NOW + 20 * MINUTE)] == [None]
    assert say("ada", 21 * MINUTE, other) == [(True, "Acknowledged by ada.")], "now all of it is"
    assert deliver(at_desk, NOW + 2 * DAY) == []


def test_an_acknowledgement_that_is_withdrawn_holds_back_no_repeats() -> None:
    at_desk, alert = desk(), change()
    at_desk.take(alert, NOW)
    deliver(at_desk, NOW + MINUTE)
    at_desk.respond(Acknowledgement(alert.data.incident, "ada", "", NOW + MINUTE))
    at_desk.respond(Acknowledgement(alert.data.incident, "ada", "", NOW + 2 * MINUTE, withdrawn=True))
    at_desk.respond(Acknowledgement(alert.data.incident, "ada", "", NOW + MINUTE))

    assert [each.reminder for each in deliver(at_desk, NOW + DAY)] == [True]


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_fires() -> None:
    at_desk, blobs = desk(), dict[str, bytes]()
    at_desk.respond(Silence("s", ["model=churn"], "ada", "", NOW, NOW + HOUR))
    ended, lasting, other = change("churn"), change("churn", Kind.DATA_DRIFT), change("fraud")
    for alert in (ended, lasting, other):
        at_desk.take(alert, NOW)
    at_desk.take(over(ended, NOW + MINUTE), NOW + MINUTE)
    store(at_desk, blobs)
    at_desk = desk()
    at_desk.restore(blobs)

    assert models(deliver(at_desk, NOW + 30 * MINUTE)) == [["fraud"]]
    (after,) = deliver(at_desk, NOW + HOUR)
    assert [alert.data.kind for alert in after.alerts] == [Kind.DATA_DRIFT]


def test_a_silence_that_is_said_again_ends_when_it_says() -> None:
    at_desk = desk()
    at_desk.respond(Silence("s", ["model=churn"], "ada", "", NOW, NOW + DAY))
    at_desk.respond(Silence("s", ["model=churn"], "bob", "", NOW + 1, NOW + 1))
    at_desk.respond(Silence("s", ["model=churn"], "ada", "", NOW, NOW + DAY))
    at_desk.take(change("churn"), NOW)
    assert models(deliver(at_desk, NOW + MINUTE)) == [["churn"]]


def test_a_storm_is_told_in_few_messages_with_the_urgent_first() -> None:
    at_desk = desk()
    for number in range(2_000):
        kind = Kind.VOLUME if number % 10 == 0 else Kind.DATA_DRIFT
        at_desk.take(change(f"model-{number}", kind), NOW + number)

    told = deliver(at_desk, NOW + HOUR)

    assert len(told) == MAX_WAITING + 1
    largest = max(told, key=lambda each: each.more)
    assert (len(largest.alerts), largest.more) == (MAX_ALERTS, 2_000 - MAX_WAITING - MAX_ALERTS)
    assert {alert.severity for alert in largest.alerts} == {"critical"}
    assert [each.severity for each in told] == sorted(each.severity for each in told)
    assert deliver(at_desk, NOW + HOUR + 10 * MINUTE) == [], "all are told, also those that were summed up"


def test_ten_thousand_incidents_in_a_minute_cost_seconds_and_megabytes() -> None:
    """With what is kept back by default: looking at each pair of alerts would take hours."""
    quality = Inhibition((Matcher.parse("kind=data_quality"),), (Matcher.parse("kind=~.*drift"),), ("model", "segment"))
    at_desk, began = desk(how=replace(routing(), inhibitions=(quality,))), process_time()
    for number in range(10_000):
        kind = (Kind.DATA_QUALITY, Kind.DATA_DRIFT, Kind.PREDICTION_DRIFT)[number % 3]
        at_desk.take(change(f"model-{number // 3}", kind), NOW + number)
    stored = sum(len(blob) for blob in at_desk.writes().values() if blob)
    told = deliver(at_desk, NOW + HOUR)

    assert process_time() - began < 10
    assert stored < 20_000_000
    assert {alert.data.kind for notification in told for alert in notification.alerts} == {Kind.DATA_QUALITY}


def test_what_was_over_before_the_router_was_first_started_is_no_news() -> None:
    at_desk, past, present = Desk(routing(), {"ops": SinkRules()}, 7 * DAY), change("past"), change("present")
    at_desk.begin(NOW + HOUR)
    at_desk.take_all(
        at_desk.wanted([(past, NOW), (present, NOW), (over(past, NOW + MINUTE), NOW + MINUTE)], NOW + HOUR)
    )

    assert models(deliver(at_desk, NOW + 2 * HOUR)) == [["present"]]


def test_of_a_year_of_history_it_keeps_what_is_open_and_pages_nobody_for_the_rest() -> None:
    at_desk = Desk(routing(), {"ops": SinkRules()}, 7 * DAY)
    at_desk.begin(NOW)
    year = [change(f"m{number}", at=NOW - 400 * DAY + number * HOUR) for number in range(2_000)]
    topic = [(each, at) for alert in year for each, at in ((alert, alert.changed), (over(alert, 0), alert.changed + 1))]
    lasting = change("lasting", at=NOW - 300 * DAY)
    topic += [(msgspec.structs.replace(lasting, id=str(day)), NOW - day * DAY) for day in range(300, 2, -1)]

    kept = at_desk.wanted(iter(topic), NOW)

    assert {alert.data.model for alert, _ in kept} == {"lasting"}
    assert len(kept) <= 9, "the changes of a week, and the one before"
    at_desk.take_all(at_desk.wanted(topic, NOW))
    assert models(deliver(at_desk, NOW + HOUR)) == [["lasting"]]


def test_what_comes_from_long_ago_one_by_one_is_left_to_the_look_at_the_topic() -> None:
    at_desk, old, late = desk(), change("old", at=NOW - 8 * DAY), change("late", at=NOW - 6 * DAY)
    assert [at_desk.hear(each, each.changed, NOW) for each in (old, late, late)] == [False, True, False]
    assert models(deliver(at_desk, NOW + HOUR)) == [["late"]]
    at_desk.take_all(at_desk.wanted([(old, old.changed)], NOW))
    assert models(deliver(at_desk, NOW + HOUR)) == [["old"]]


def test_reading_the_topic_again_changes_nothing_also_long_after() -> None:
    at_desk, alert = desk(), change()
    topic = [(alert, NOW), (over(alert, NOW + HOUR), NOW + HOUR)]
    at_desk.take_all(at_desk.wanted(topic, NOW + HOUR))
    deliver(at_desk, NOW + HOUR)
    deliver(at_desk, NOW + 2 * HOUR)

    for now in (NOW + 2 * HOUR, NOW + 6 * DAY, NOW + 8 * DAY, NOW + 30 * DAY):
        at_desk.forget(now)
        assert at_desk.take_all(at_desk.wanted(topic, now)) == 0
        assert deliver(at_desk, now) == []


def test_a_dead_letter_is_kept_and_holds_nothing_up() -> None:
    at_desk, alert = desk(), change()
    at_desk.take(alert, NOW)
    (first,) = due(at_desk, NOW + MINUTE)
    at_desk.refuse(first, "firing: churn", "HTTP 400: no", NOW + MINUTE)
    at_desk.take(over(alert, NOW + HOUR), NOW + HOUR)

    assert [(each.key, each.reason) for each in at_desk.refused] == [(first.key, "HTTP 400: no")]
    assert [each.status for each in deliver(at_desk, NOW + 2 * HOUR)] == ["resolved"]


@pytest.mark.parametrize("blob", [b"", b"{", b"[]", b'{"sink": 1}'])
def test_state_that_cannot_be_read_is_told(blob: bytes) -> None:
    with pytest.raises(StateCorrupt):
        desk().restore({"group/x": blob})


def test_a_sink_that_knows_of_something_and_that_no_route_names_any_more_is_named() -> None:
    blobs: dict[str, bytes] = {}
    before, told = Desk(routing(), {"ops": SinkRules()}, 7 * DAY), list[Notification]()
    for alert in (ended := change("ended"), change("open"), change("new", at=NOW + 2 * HOUR)):
        before.take(alert, alert.changed)
        told += deliver(before, NOW + HOUR)
    before.take(over(ended, NOW + HOUR), NOW + HOUR)
    store(before, blobs)
    after = Desk(routing(route(sink="renamed")), {"renamed": SinkRules()}, 7 * DAY)
    after.restore(blobs)

    assert after.lost == {"ops": [each.group_key for each in told if each.models == ["open"]]}
    assert models(deliver(after, NOW + DAY)) == [["open"], ["new"]]


@pytest.mark.parametrize(("name", "rules"), [("renamed", SinkRules(was="ops")), ("ops", SinkRules())])
def test_a_sink_of_another_name_or_that_is_named_again_hears_the_end_of_what_it_knows_under_the_same_key(
    name: str, rules: SinkRules
) -> None:
    blobs: dict[str, bytes] = {}
    before, alert = desk(), change()
    before.take(alert, NOW)
    (told,) = deliver(before, NOW + MINUTE)
    before.take(change(opened=NOW, at=NOW + HOUR), NOW + HOUR)
    due(before, NOW + HOUR)  # on its way as it stops
    store(before, blobs)
    between = Desk(routing(route(sink="other")), {"other": SinkRules()}, 7 * DAY)
    between.restore(blobs)
    between.take(over(alert, NOW + 2 * HOUR), NOW + 2 * HOUR)
    deliver(between, NOW + 2 * HOUR)
    store(between, blobs)
    after = Desk(routing(route(sink=name)), {name: rules}, 7 * DAY)
    after.restore(blobs)

    (ended,) = deliver(after, NOW + 3 * HOUR)
    assert (ended.sink, ended.group_key, ended.status) == (name, told.group_key, "resolved")
    assert not after.lost


def test_groups_of_a_route_that_is_gone_are_let_go_and_what_fires_finds_its_new_one() -> None:
    before, blobs = desk(), dict[str, bytes]()
    before.take(change(), NOW)
    deliver(before, NOW + MINUTE)
    store(before, blobs)
    after = Desk(routing(route(sink="chat")), {"chat": SinkRules()}, 7 * DAY)
    after.restore(blobs)

    assert [each.sink for each in deliver(after, NOW + HOUR)] == ["chat"]


def reloaded(how: Routing, *alerts: Alert, by: Routing) -> tuple[Desk, list[Notification]]:
    """Return a desk with new routes, and what its predecessor had told of alerts by the old ones."""
    blobs: dict[str, bytes] = {}
    rules = {"ops": SinkRules(), "pager": SinkRules()}
    before = desk(rules, how)
    for alert in alerts:
        before.take(alert, NOW)
    told = deliver(before, NOW + MINUTE)
    store(before, blobs)
    after = desk(rules, by)
    after.restore(blobs)
    return after, told


@pytest.mark.parametrize(
    "by",
    [
        route(children=(route("route.routes[0]", matchers=(Matcher.parse("model=other"),)), replace(PAGER, path="x"))),
        route(children=(replace(PAGER, path="route.routes[7]", group_by=("kind",)),)),
        route(children=(replace(PAGER, matchers=(Matcher.parse("model=other"),)),)),
    ],
    ids=["another route before it", "another place and other groups", "a route that takes it no more"],
)
def test_where_routes_change_a_sink_hears_of_what_it_knows_under_the_same_key_to_its_end(by: Route) -> None:
    alert = change()
    after, told = reloaded(routing(route(children=(PAGER,))), alert, by=routing(by))
    (paged,) = (each for each in told if each.sink == "pager")
    assert [each for each in deliver(after, NOW + 2 * MINUTE) if each.sink == "pager"] == [], "it was told"

    after.take(over(alert, NOW + HOUR), NOW + HOUR)

    (ended,) = (each for each in deliver(after, NOW + HOUR) if each.sink == "pager")
    assert (ended.group_key, ended.status) == (paged.group_key, "resolved")


def test_groups_follow_their_route_and_new_incidents_join_them() -> None:
    by = routing(route(children=(replace(PAGER, path="route.routes[7]"),)))
    after, told = reloaded(routing(route(children=(PAGER,))), change(), by=by)
    after.take(change(kind=Kind.SILENCE), NOW + HOUR)
    (joined,) = (each for each in deliver(after, NOW + 2 * HOUR) if each.sink == "pager")
    assert joined.group_key in {each.group_key for each in told}
    assert (joined.route, len(joined.alerts)) == ("route.routes[7]", 2)


def test_a_clock_that_was_ahead_delays_nothing() -> None:
    """That of a worker, which stamps alerts, and that of the router, which was set back since."""
    at_desk, alert = desk(), change()
    at_desk.take_all(at_desk.wanted([(alert, NOW + HOUR)], NOW))
    assert len(deliver(at_desk, NOW + 30_000)) == 1
    at_desk.take(over(alert, NOW + DAY), NOW)
    for now in (NOW - DAY, NOW - DAY + 5 * MINUTE - 1):
        assert deliver(at_desk, now) == []
    assert [each.status for each in deliver(at_desk, NOW - DAY + 5 * MINUTE)] == ["resolved"]


def store(at_desk: Desk, blobs: dict[str, bytes]) -> None:
    for name, blob in at_desk.writes().items():
        blobs.pop(name, None)
        if blob is not None:
            blobs[name] = blob


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 5)),
        st.tuples(st.just("deliver"), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([10_000, 10 * MINUTE, 5 * HOUR])),
        st.tuples(st.sampled_from(["restart", "reread"]), st.none()),
    ),
    max_size=40,
)
TWO_SINKS = replace(routing(route(children=(PAGER, route("route.routes[1]", escalate_after=HOUR)))), across=())
"""Incidents of all models move the same signal, so those that were found at the same time are told together."""


@settings(max_examples=150)
@given(STEPS)
def test_every_change_reaches_every_sink_in_order_under_one_key(steps: list[tuple[str, object]]) -> None:
    """A sink hears of a change again only under the same key, of none after the resolution, and of each in the end."""
    rules = {"ops": SinkRules(), "pager": SinkRules()}
    at_desk, blobs, now = desk(rules, TWO_SINKS), dict[str, bytes](), NOW
    topic: list[tuple[Alert, int]] = []
    open_now: dict[int, Alert] = {}
    heard: defaultdict[tuple[str, str], list[Alert]] = defaultdict(list)
    keys: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def send(*, answered: bool) -> None:
        for notification in due(at_desk, now):
            store(at_desk, blobs)
            for alert in (*notification.earlier, *notification.alerts):
                if alert.data.incident not in notification.changed:
                    continue
                line = heard[notification.sink, alert.data.incident]
                if alert not in line:
                    assert not line or (line[-1].firing and line[-1].changed <= alert.changed)
                    line.append(alert)
                keys[notification.sink, alert.id].add(notification.key)
            if answered:
                at_desk.told(notification, "", now)

    for what, how in steps:
        now += 1_000
        if what == "change":
            assert isinstance(how, int)
            held = open_now.pop(how, None)
            alert = change(f"m{how % 3}", Kind.VOLUME if how % 2 else Kind.DATA_DRIFT, at=now) if held is None else None
            if alert is not None:
                open_now[how] = alert
            topic.append((alert or over(held, now), now))  # type: ignore[arg-type]
            at_desk.take(*topic[-1])
            store(at_desk, blobs)
        elif what == "deliver":
            send(answered=bool(how))
        elif what == "wait":
            assert isinstance(how, int)
            now += how
        elif what == "restart":
            at_desk = desk(rules, TWO_SINKS)
            at_desk.restore(blobs)
        else:
            at_desk.take_all(at_desk.wanted(topic, now))
    for _ in range(4):
        now += 10 * MINUTE
        send(answered=True)

    for alert, _ in topic:
        for sink in ("ops", "pager") if alert.severity == "critical" else ("ops",):
            assert alert.id in [each.id for each in heard[sink, alert.data.incident]], "also where its severity rose"
    still_open = {alert.data.incident for alert in open_now.values()}
    for (sink, incident), line in heard.items():
        assert line[-1].firing == (incident in still_open), (sink, [(each.id, each.firing) for each in line])
    assert all(len(each) == 1 for each in keys.values())
