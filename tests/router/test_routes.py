from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from driftline.config.routing import RouterSettings
from driftline.errors import ConfigError
from driftline.incidents.incident import Kind
from driftline.incidents.matching import labels_of
from driftline.router.building import routing_of
from driftline.router.planning import planned
from driftline.router.routes import Hours
from tests.router.changes import MINUTE, NOW, change

WEBHOOK = {"type": "webhook", "url": "http://localhost/hook"}
TREE = RouterSettings.model_validate(
    {
        "sinks": {"ops": WEBHOOK, "pager": WEBHOOK, "growth": WEBHOOK, "log": WEBHOOK},
        "route": {
            "sink": "ops",
            "routes": [
                {"match": ['kind=~".*"'], "sink": "log", "continue": True},
                {
                    "match": ["severity=critical"],
                    "sink": "pager",
                    "group_wait": "0s",
                    "group_by": ["model", "kind"],
                    "routes": [{"match": ["team=growth"], "sink": "growth"}],
                },
            ],
        },
        "labels": {"churn": {"team": "growth"}},
    }
)


def sinks_of(model: str, kind: Kind) -> list[str]:
    routing = routing_of(TREE)
    return [route.sink for route in routing.taken_by(labels_of(change(model, kind), routing.owned(model)))]


def test_an_alert_goes_down_the_tree_as_far_as_routes_take_it() -> None:
    assert sinks_of("churn", Kind.VOLUME) == ["log", "growth"]
    assert sinks_of("fraud", Kind.VOLUME) == ["log", "pager"]
    assert sinks_of("fraud", Kind.DATA_DRIFT) == ["log"], "one child took it, so the root's own sink does not"


def test_what_a_route_leaves_out_it_takes_from_its_parent() -> None:
    routes = {route.path: route for route in routing_of(TREE).root.walk()}
    pager, growth = routes["route.routes[1]"], routes["route.routes[1].routes[0]"]
    assert (growth.group_wait, growth.group_by) == (pager.group_wait, pager.group_by) == (0, ("model", "kind"))
    assert growth.repeat_interval == routes["route"].repeat_interval == 4 * 3_600_000


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "router.sinks: has no sink; add one"),
        ({"sinks": {"ops": WEBHOOK}}, "router.route.sink: is missing; name one of ops"),
        ({"sinks": {"ops": WEBHOOK}, "route": {"sink": "opps"}}, 'no sink is named "opps"; did you mean ops'),
        (
            {"sinks": {"ops": WEBHOOK}, "route": {"sink": "ops", "routes": [{"match": ["?"]}]}},
            r'router.route.routes\[0\].match: "\?" is not a matcher',
        ),
        ({"sinks": {"ops": WEBHOOK}, "route": {"sink": "ops", "match": ["a=b"]}}, "the root route takes every alert"),
        ({"sinks": {"ops": WEBHOOK}, "route": {"sink": "ops", "mute": ["nights"]}}, 'no hours are named "nights"'),
        (
            {"sinks": {"ops": WEBHOOK}, "route": {"sink": "ops"}, "inhibit": [{"source": ["x"], "target": []}]},
            r"router.inhibit\[0\].source",
        ),
    ],
)
def test_a_tree_that_cannot_be_is_refused_by_its_key(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        routing_of(RouterSettings.model_validate(settings))


def test_muted_hours_follow_the_wall_clock() -> None:
    """In Oslo 22:30 is 21:30 UTC in winter and 20:30 UTC in summer."""
    nights = Hours(frozenset({4}), 22 * 60, 6 * 60, "Europe/Oslo")

    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("UTC")).timestamp() * 1000)

    assert nights.holds(at("2026-01-09T21:30")), "a Friday"
    assert nights.holds(at("2026-07-10T20:30"))
    assert not nights.holds(at("2026-01-09T20:30"))
    assert nights.holds(at("2026-01-10T04:59")), "the night of Friday ends on Saturday"
    assert not nights.holds(at("2026-01-10T05:00"))
    assert not nights.holds(at("2026-01-09T04:00")), "that is the night of Thursday"
    for end in ("2026-03-28T05:00", "2026-10-24T04:00"):
        assert nights.holds(at(end) - 1), "a night before the one in which clocks change"
        assert not nights.holds(at(end))
    saturdays = Hours(frozenset({5}), 22 * 60, 6 * 60, "Europe/Oslo")
    for begin, end in (("2026-03-28T21:00", "2026-03-29T04:00"), ("2026-10-24T20:00", "2026-10-25T05:00")):
        night = range(at(begin), at(end), 60_000)
        assert all(map(saturdays.holds, night)), "seven hours in spring, nine in autumn"
        assert not saturdays.holds(night[0] - 1)
        assert not saturdays.holds(at(end))


def test_broken_data_holds_back_the_drift_that_it_causes() -> None:
    routing = routing_of(TREE)
    alerts = [
        labels_of(change("churn", kind, segment=segment), {})
        for kind, segment in [(Kind.DATA_QUALITY, ""), (Kind.DATA_DRIFT, ""), (Kind.DATA_DRIFT, "tenant=acme")]
    ]
    found = {(each.labels["kind"], each.labels.get("tenant")): each.held_back for each in planned(routing, alerts, NOW)}
    assert found == {("data_quality", None): False, ("data_drift", None): True, ("data_drift", "acme"): False}


def test_a_route_takes_from_its_parent_how_long_it_waits() -> None:
    parent = {"sink": "ops", "pending": "5m", "escalate_after": "30m", "routes": [{}, {"pending": "0s"}]}
    first, second = routing_of(
        RouterSettings.model_validate({"sinks": {"ops": WEBHOOK}, "route": parent})
    ).root.children
    assert (first.pending, first.escalate_after) == (5 * MINUTE, 30 * MINUTE)
    assert (second.pending, second.escalate_after) == (0, 30 * MINUTE)


@pytest.mark.parametrize(
    ("sinks", "fault"),
    [
        ({"a": "b", "b": None}, r"sinks.a.was: a sink is called b now"),
        ({"a": "x", "b": "x"}, r"sinks.a.was: several sinks were called x"),
    ],
)
def test_a_sink_goes_on_for_one_that_is_gone(sinks: dict[str, str | None], fault: str) -> None:
    def settings(named: dict[str, str | None]) -> RouterSettings:
        held = {name: {"type": "webhook", "url": "http://x", "was": was} for name, was in named.items()}
        return RouterSettings.model_validate({"sinks": held})

    assert settings({"a": "x", "b": None}).sinks["a"].was == "x"
    with pytest.raises(ValueError, match=fault):
        settings(sinks)


def test_what_returns_is_remembered_for_as_long_as_it_counts() -> None:
    with pytest.raises(ValueError, match=r"returns.within \(8d\) is longer than remember \(1w\)"):
        RouterSettings.model_validate({"returns": {"within": "8d"}})
