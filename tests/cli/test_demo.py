import pytest

from driftline.cli.demo import DemoResult
from driftline.cli.demo_screen import Screen
from driftline.cli.demo_story import destinations
from driftline.config.routing import RouterSettings
from driftline.demo.dataset import FIRST_MS, LAST_MS, ROWS, SHIFT_MS
from driftline.incidents.alerts import Alert, alert_of
from driftline.incidents.incident import Incident, Kind, Status, Subject, Window
from driftline.tasks.views import IncidentView, JudgeView, PaneCounters, SignalView, SubjectView, WindowView
from tests.cli.conftest import Driftline

HOUR = 3_600_000


def alert(opened: int) -> Alert:
    subject, window = Subject("car-loan", "", ""), Window(opened - HOUR, opened, 9)
    incident = Incident(subject, Kind.DATA_DRIFT, Status.FIRING, opened, window, [], "", "it moved")
    return alert_of(incident, group="driftline")


def outcome(*opened: int, consumed: int = ROWS, accepted: int = ROWS) -> DemoResult:
    return DemoResult(ROWS, SHIFT_MS, consumed, accepted, 10.0, [alert(time) for time in opened])


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (outcome(), "no incident opened after the shift"),
        (outcome(SHIFT_MS - HOUR), "no incident opened after the shift"),
        (outcome(SHIFT_MS - HOUR, SHIFT_MS + HOUR), "1 incidents opened before the shift"),
        (outcome(SHIFT_MS + HOUR, consumed=ROWS - 1), "49,999 counted"),
        (outcome(SHIFT_MS + HOUR, accepted=ROWS - 1), "49,999 accepted"),
    ],
)
def test_a_demo_that_came_out_otherwise_has_failed(result: DemoResult, fault: str) -> None:
    assert fault in " ".join(result.faults())


def test_a_demo_that_came_out_well_says_how_soon() -> None:
    result = outcome(SHIFT_MS + 21 * HOUR, SHIFT_MS + 90 * HOUR)

    assert result.faults() == []
    found = result.as_json([])
    assert (found["events"], found["events_per_second"], found["first_incident_after_ms"]) == (ROWS, 5_000, 21 * HOUR)
    assert [each["opened"] for each in found["incidents"]] == ["2019-04-01T00:00:00Z", "2019-04-03T21:00:00Z"]


def test_the_screen_draws_whatever_is_known_so_far() -> None:
    from rich.console import Console

    screen = Screen(ROWS, FIRST_MS, LAST_MS)
    console = Console(width=200, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as first:
        console.print(screen.show())
    subject = SubjectView(
        model="car-loan",
        version="",
        segment="",
        reference=None,
        learned_events=0,
        history=[],
        window=WindowView(SHIFT_MS - 27 * HOUR, SHIFT_MS - 3 * HOUR, 165),
        signals=[SignalView("features.x", 99.0, {"psi": 0.8, "mean_before": 29_645.2})],
        incidents=[IncidentView(id="1", kind="data_drift", opened=SHIFT_MS, signals=["x"], summary="x moved")],
    )
    views = [
        JudgeView(mark=SHIFT_MS, counters=PaneCounters(), sources={}, subjects=held, stream=[])
        for held in ([], [subject])
    ]
    screen.take(views, "car-loan")
    screen.owners = {1: 4, 2: 4}
    screen.advance(published=100, counted=50, mark=SHIFT_MS)
    with console.capture() as second:
        console.print(screen.show())

    assert "nothing fires" in first.get()
    assert all(text in second.get() for text in ("2019-03-31", "29,645", "0.8", "x moved", "worker 2 has 4 tasks"))


def test_publishing_only_needs_a_kafka(driftline: Driftline, loans: object) -> None:
    done = driftline("demo", "--publish-only")

    assert (done.status, "kafka: no broker is configured" in done.err) == (2, True)


def test_it_says_where_the_incident_would_have_gone_by_the_configured_routes_or_those_of_a_small_team() -> None:
    warning = alert(SHIFT_MS + HOUR)
    assert destinations(warning, RouterSettings()) == [
        "by the routes of a small team in docs/alerting.md, this warning goes",
        "- to chat, with other incidents of model car-loan, because no other route takes it: it goes out",
        "- not to pager",
    ]
    sinks = {"ops": {"type": "webhook", "url": "http://localhost/hook"}}
    own = RouterSettings.model_validate({"sinks": sinks, "route": {"sink": "ops", "group_by": ["kind"]}})
    assert destinations(warning, own)[1].startswith("- to ops, with other incidents of kind data_drift,")
