"""Incidents that are over soon, that nobody acknowledges, and that keep coming back."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from driftline.events import rfc3339
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.matching import Matcher
from driftline.incidents.responses import Acknowledgement, Silence
from driftline.router.desk import Desk, SinkRules
from driftline.router.patience import Limit
from tests.router.changes import HOUR, MINUTE, NOW, change, over, route, routing
from tests.router.test_desk import deliver, desk, models, store

DRIFT = Kind.DATA_DRIFT
"""A kind that is a warning."""
RULES = SinkRules()
PAGER = route("route.routes[0]", "pager", matchers=(Matcher.parse("severity=critical"),), goes_on=True)


def told(at_desk: Desk, now: int) -> list[tuple[str, str, str]]:
    return [(each.sink, each.severity, alert.data.summary) for each in deliver(at_desk, now) for alert in each.alerts]


def restarted(at_desk: Desk, how: Desk) -> Desk:
    blobs: dict[str, bytes] = {}
    store(at_desk, blobs)
    how.restore(blobs)
    return how


def escalating(group_wait: int = 30_000) -> Desk:
    rest = route("route.routes[1]", escalate_after=HOUR, group_wait=group_wait)
    return desk({"ops": RULES, "pager": RULES}, routing(route(children=(PAGER, rest))))


def test_what_is_over_before_it_is_due_is_not_told_and_what_lasts_is() -> None:
    at_desk = desk(how=routing(route(pending=10 * MINUTE)))
    short, lasting = change("short"), change("lasting")
    for alert in (short, lasting):
        at_desk.take(alert, NOW)
    at_desk.take(over(short, NOW + 9 * MINUTE), NOW + 9 * MINUTE)

    assert deliver(at_desk, NOW + 10 * MINUTE - 1) == []
    assert models(deliver(at_desk, NOW + 10 * MINUTE)) == [["lasting"]]
    at_desk.take(over(lasting, NOW + 11 * MINUTE), NOW + 11 * MINUTE)
    assert [each.status for each in deliver(at_desk, NOW + HOUR)] == ["resolved"], "what was told is told to its end"


def test_what_lasted_long_enough_is_told_though_it_was_over_before_anybody_looked() -> None:
    at_desk, alert = desk(how=routing(route(pending=10 * MINUTE))), change()
    at_desk.take(alert, NOW)
    at_desk.take(over(alert, NOW + 10 * MINUTE), NOW + 10 * MINUTE)
    assert [each.status for each in deliver(at_desk, NOW + HOUR)] == ["resolved"]


def test_what_nobody_acknowledges_becomes_critical_once_and_goes_where_that_goes() -> None:
    at_desk, alert = escalating(), change(kind=DRIFT)
    at_desk.take(alert, NOW)
    assert [each[:2] for each in told(at_desk, NOW + MINUTE)] == [("ops", "warning")]
    assert told(at_desk, NOW + MINUTE + HOUR - 1) == []
    at_desk = restarted(at_desk, escalating())

    raised = told(at_desk, NOW + MINUTE + HOUR) + told(at_desk, NOW + 2 * HOUR)

    assert [each[:2] for each in raised] == [("ops", "critical"), ("pager", "critical")]
    assert all("Nobody acknowledged it for 1h." in summary for *_, summary in raised)
    assert told(at_desk, NOW + 3 * HOUR) == [], "it is told once"
    at_desk = restarted(at_desk, escalating())
    at_desk.take_all(at_desk.wanted([(alert, NOW)], NOW + 3 * HOUR))
    at_desk.take(over(alert, NOW + 3 * HOUR), NOW + 3 * HOUR)
    assert [each.status for each in deliver(at_desk, NOW + 4 * HOUR)] == ["resolved", "resolved"]


def test_what_is_critical_already_is_sent_once_more() -> None:
    at_desk = desk(how=routing(route(escalate_after=HOUR)))
    at_desk.take(change(kind=Kind.VOLUME), NOW)
    assert [each[1] for each in told(at_desk, NOW + MINUTE)] == ["critical"]
    ((_, severity, summary),) = told(at_desk, NOW + 2 * HOUR)
    assert (severity, "Nobody acknowledged it for 1h." in summary) == ("critical", True)
    assert told(at_desk, NOW + 4 * HOUR) == []


def test_who_acknowledged_or_silenced_it_or_was_told_nothing_is_not_bothered() -> None:
    for word in (
        Acknowledgement(change(kind=DRIFT).data.incident, "ada", "", NOW + 2 * MINUTE),
        Silence("s", ["model=churn"], "ada", "", NOW + 2 * MINUTE, NOW + 3 * HOUR),
    ):
        at_desk = escalating()
        at_desk.take(change(kind=DRIFT), NOW)
        assert len(told(at_desk, NOW + MINUTE)) == 1
        at_desk.respond(word)
        assert told(at_desk, NOW + 2 * HOUR) == []
    at_desk = escalating(group_wait=3 * HOUR)
    at_desk.take(change(kind=DRIFT), NOW)
    assert told(at_desk, NOW + 2 * HOUR) == []
    assert [each[1] for each in told(at_desk, NOW + 3 * HOUR)] == ["warning"], "nobody could have acknowledged it"


def come_and_go(at_desk: Desk, times: Sequence[int]) -> list[list[str]]:
    """Let an incident open at these times and end five minutes later; return what was told of each, by status."""
    found = []
    for at in times:
        alert = change(at=at)
        at_desk.take(alert, at)
        statuses = [each.status for each in deliver(at_desk, at + 2 * MINUTE)]
        at_desk.take(over(alert, at + 5 * MINUTE), at + 5 * MINUTE)
        found.append(statuses + [each.status for each in deliver(at_desk, at + 8 * MINUTE)])
    return found


def test_what_keeps_coming_back_is_told_with_the_count_and_then_only_if_it_lasts() -> None:
    how = replace(routing(route(group_interval=MINUTE)), returns=Limit(3, 6 * HOUR))
    at_desk, both = desk(how=how), ["firing", "resolved"]
    assert come_and_go(at_desk, [NOW, NOW + 10 * MINUTE]) == [both, both]
    third = change(at=NOW + 20 * MINUTE)
    at_desk.take(third, third.changed)
    (said,) = told(at_desk, NOW + 25 * MINUTE)
    assert f"It keeps coming back: 3 times since {rfc3339(NOW)}. From now on it counts as one that goes on" in said[2]
    at_desk.take(over(third, NOW + 26 * MINUTE), NOW + 26 * MINUTE)
    assert deliver(at_desk, NOW + 29 * MINUTE) == [], "it may come back"
    at_desk = restarted(at_desk, desk(how=how))

    assert come_and_go(at_desk, [NOW + each * 10 * MINUTE for each in range(3, 9)]) == [[]] * 6
    other = change("fraud", at=NOW + 90 * MINUTE)
    at_desk.take(other, other.changed)
    assert models(deliver(at_desk, NOW + 92 * MINUTE)) == [["fraud"]], "another one is another story"
    at_desk.take(over(other, NOW + 93 * MINUTE), NOW + 93 * MINUTE)
    deliver(at_desk, NOW + 95 * MINUTE)

    seventh = NOW + 60 * MINUTE
    assert told(at_desk, seventh + 6 * HOUR - 1) == []
    (said,) = told(at_desk, seventh + 6 * HOUR)
    assert said[2].endswith(f"It came 9 times since {rfc3339(NOW)}.")
    assert told(at_desk, NOW + 3 * 24 * HOUR) == []


def test_what_keeps_coming_back_and_then_lasts_is_told_once_it_lasted() -> None:
    at_desk = desk(how=replace(routing(route(group_interval=MINUTE)), returns=Limit(3, 6 * HOUR)))
    come_and_go(at_desk, [NOW + each * 10 * MINUTE for each in range(9)])
    last = change(at=NOW + 100 * MINUTE)
    at_desk.take(last, last.changed)
    assert told(at_desk, NOW + 7 * HOUR - 1) == []
    (said,) = told(at_desk, NOW + 7 * HOUR)
    assert f"It keeps coming back: 10 times since {rfc3339(NOW)}." in said[2]
    at_desk.take(over(last, NOW + 9 * HOUR), NOW + 9 * HOUR)
    ended = [alert.data.incident for each in deliver(at_desk, NOW + 10 * HOUR) for alert in each.resolved]
    assert len(ended) == 2, "the third, and the last"


def test_what_a_person_ended_is_over_though_it_came_back_often_and_a_list_that_forgets_hears_at_once() -> None:
    for rules, by_hand in ((RULES, True), (SinkRules(refresh=MINUTE), False)):
        at_desk = desk({"ops": rules}, replace(routing(route(group_interval=MINUTE)), returns=Limit(3, 6 * HOUR)))
        come_and_go(at_desk, [NOW, NOW + 10 * MINUTE])
        third = change(at=NOW + 20 * MINUTE)
        at_desk.take(third, third.changed)
        deliver(at_desk, third.changed + MINUTE)
        ended = over(third, NOW + 26 * MINUTE)
        if by_hand:
            data = msgspec.structs.replace(ended.data, summary="churn: resolved by ada: new prices.")
            ended = msgspec.structs.replace(ended, data=data)
        at_desk.take(ended, NOW + 26 * MINUTE)
        assert [each.status for each in deliver(at_desk, NOW + 30 * MINUTE)] == ["resolved"]


def test_a_limit_of_one_is_a_cooldown() -> None:
    at_desk, both = desk(how=replace(routing(), returns=Limit(1, HOUR))), ["firing", "resolved"]
    times = [NOW, NOW + 20 * MINUTE, NOW + 90 * MINUTE]
    assert come_and_go(at_desk, times) == [both, [], both]
    assert not any("keeps coming back" in held.data.summary for held in at_desk.open)


def opened_and_ended(at: int) -> list[Alert]:
    alert = change(at=at)
    return [alert, over(alert, at + MINUTE)]


def test_reading_the_topic_again_counts_nothing_twice() -> None:
    at_desk = desk(how=replace(routing(), returns=Limit(3, 6 * HOUR)))
    topic = [(alert, alert.changed) for at in (NOW, NOW + HOUR) for alert in opened_and_ended(at)]
    for _ in range(3):
        at_desk.take_all(at_desk.wanted(topic, NOW + 2 * HOUR))
    assert "coming back" not in str(told(at_desk, NOW + 2 * HOUR))
