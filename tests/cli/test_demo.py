import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import polars as pl
import pytest

from driftline.cli.demo import DataName, build_profile
from driftline.cli.demo_performance import DemoPerformance, print_performance, right_or_wrong
from driftline.cli.demo_result import DemoCounts, DemoResult, print_result
from driftline.cli.demo_screen import Screen
from driftline.cli.demo_story import destinations
from driftline.config import Settings
from driftline.config.routing import RouterSettings
from driftline.demo.dataset import FIRST_MS, LAST_MS, ROWS, SHIFT_MS
from driftline.demo.scenarios import SCENARIOS, Tables, half_labelled, sizes
from driftline.incidents.alerts import Alert, AlertPart, AlertUpdate, alert_of
from driftline.incidents.incident import Incident, Kind, Status, Subject, Window
from driftline.offline.backtest import backtest
from driftline.tables import iter_events, iter_labels, open_table
from driftline.tasks.views import (
    Figure,
    IncidentView,
    JudgeView,
    MetricWindow,
    PaneCounters,
    PerformanceView,
    PerformanceWindow,
    SignalView,
    SubjectView,
    WindowView,
)
from tests.cli.conftest import Driftline

HOUR = 3_600_000
DAY = 24 * HOUR
PAGE = Path(__file__).parents[2] / "docs/performance-monitoring.md"


def alert(opened: int) -> Alert:
    subject, window = Subject("car-loan", "", ""), Window(opened - HOUR, opened, 9)
    incident = Incident(subject, Kind.DATA_DRIFT, Status.FIRING, opened, window, [], "", "it moved")
    return alert_of(incident, group="driftline")


def outcome(*opened: int, consumed: int = ROWS, accepted: int = ROWS) -> DemoResult:
    return DemoResult(ROWS, SHIFT_MS, DemoCounts(consumed, accepted), 10.0, [alert(time) for time in opened])


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
    found = result.document([])
    assert (found.events, found.events_per_second, found.first_incident_after_ms) == (ROWS, 5_000, 21 * HOUR)
    assert [each.opened for each in found.incidents] == ["2019-04-01T00:00:00Z", "2019-04-03T21:00:00Z"]


def window(
    start: int, estimated: float, realised: float | None, *, labels: int = 100, wrong: bool = False
) -> PerformanceWindow:
    """Return a window of a hundred predictions, of which AUROC lies from .96 to .98 while nothing changes."""

    def figure(value: float | None) -> Figure:
        return Figure(value, *((None, None) if value is None else (value - 0.002, value + 0.002)))

    left = [value is not None and not 0.96 <= value <= 0.98 for value in (estimated, realised)]
    metric = MetricWindow("auroc", 0.97, (0.96, 0.98), figure(estimated), figure(realised), left[0], left[1], wrong)
    other = MetricWindow("accuracy", 0.9, (0.8, 1.0), figure(0.9), figure(None), False, False, False)
    return PerformanceWindow(start, 100, labels, "alike", "", [metric, other])


def told(*windows: PerformanceWindow, half: int | None = SHIFT_MS + 40 * DAY) -> DemoPerformance:
    view = PerformanceView(
        model="car-loan",
        version="",
        segment="",
        numbers=False,
        classes=["0", "1"],
        reference="sha",
        given=True,
        learned_labels=0,
        window_ms=DAY,
        windows=list(windows),
    )
    return DemoPerformance.of(view, SHIFT_MS, lambda start, end, predictions: half)


START = SHIFT_MS - SHIFT_MS % DAY
BEFORE, AFTER = window(START - 2 * DAY, 0.971, 0.969), window(START + DAY, 0.95, 0.951)
NEWEST = window(START + 2 * DAY, 0.949, None, labels=0)


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (told(BEFORE), "none before or none after the shift"),
        (told(AFTER), "none before or none after the shift"),
        (told(window(START - 2 * DAY, 0.95, 0.97), AFTER), "left its band before the shift"),
        (told(BEFORE, window(START + DAY, 0.97, 0.95)), "stayed in its band after the shift"),
        (told(BEFORE, window(START + DAY, 0.95, 0.97)), "labels did not confirm"),
        (told(BEFORE, NEWEST), "labels did not confirm"),
    ],
)
def test_performance_that_came_out_otherwise_is_a_fault(found: DemoPerformance, fault: str) -> None:
    assert len(found.faults()) == 1
    assert fault in found.faults()[0]


def test_performance_tells_how_far_the_estimate_was_ahead_and_that_it_was_right() -> None:
    found = told(BEFORE, window(START, 0.965, 0.966), AFTER, NEWEST)

    assert (found.faults(), found.before, found.after, found.found) == ([], 0, 2, 2)
    assert found.sentences() == [
        "AUROC was estimated to fall from 0.970 to 0.950 on 2019-04-01; labels confirm it: 0.951.",
        "An estimate takes predictions alone, so this one was known on 2019-04-02, 38 days before half of these "
        "predictions had labels.",
        "The estimate was right in all 3 windows that have labels: they differ from it by no more than chance "
        "explains.",
        "The newest window has no labels yet: there, only the estimate tells how well the model works.",
    ]
    assert len(told(BEFORE, AFTER, half=None).sentences()) == 2


def test_performance_tells_where_the_estimate_was_wrong() -> None:
    found = told(BEFORE, window(START + DAY, 0.95, 0.91, wrong=True))

    assert right_or_wrong(found.metric, found.when) == (
        "The estimate was right in 1 of 2 windows that have labels, and wrong in 2019-04-01 (estimated 0.950, labels "
        "say 0.910): there a score no longer means what it meant in the reference."
    )
    assert "nobody knows" in right_or_wrong(told(NEWEST).metric, ["2019-04-02"])


def test_labels_that_met_no_prediction_are_a_fault() -> None:
    met = DemoResult(9, SHIFT_MS, DemoCounts(9, 9, 5, 4), 1.0, [alert(SHIFT_MS + HOUR)], labels=5)

    assert met.faults() == [
        "5 labels were published, 5 counted and 4 joined with their predictions",
        "labels were published, and workers say nothing of performance",
    ]


@pytest.mark.usefixtures("loans")
def test_the_page_shows_what_is_printed_of_the_census(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a backtest, which says of whole windows what workers say (`tests/offline/test_demo_equal.py`)."""
    census = SCENARIOS["census"]
    tables = census.prepare(tmp_path, lambda said: None)
    settings = Settings.model_validate({"models": {"*": census.watching}})
    *_, last = sizes(census, tables)
    cut = last - last % settings.model(census.model).performance_ms
    times = pl.col("at").str.to_datetime(time_zone="UTC").dt.epoch("ms")
    pl.read_parquet(tables.predictions).filter(times < cut).write_parquet(tables.predictions)
    profile = tmp_path / "census.profile"
    build_profile(census, tables, profile)
    models = {"*": {**census.watching, "reference": str(profile)}}
    settings = Settings.model_validate({"models": models, "label_clock": "label_time"})
    events, labels = iter_events(open_table(tables.predictions), census.mapping), iter_labels(census.known(tables))

    (found,) = backtest(settings, events, labels=labels).performances
    shown = DemoPerformance.of(found, tables.shift, partial(half_labelled, tables.labels))
    print_performance(shown)

    assert shown.faults() == []
    lines = [line.removeprefix("  ").rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0] == "How well the model works"
    assert "\n".join(lines[1:]) in PAGE.read_text()


def test_updates_that_tell_of_performance_are_printed_and_others_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    opened = alert(SHIFT_MS + HOUR)
    update = AlertUpdate(["features.age"], [], None)
    others = [
        msgspec.structs.replace(
            opened, id=said, data=msgspec.structs.replace(opened.data, update=each, summary=said, parts=parts)
        )
        for said, each, parts in (
            ("an input joins", update, []),
            ("it costs performance", msgspec.structs.replace(update, cost=True), []),
            ("performance joins", msgspec.structs.replace(update, parts=["p"]), [part("p", Kind.PERFORMANCE)]),
            ("a prediction joins", msgspec.structs.replace(update, parts=["q"]), [part("q", Kind.PREDICTION_DRIFT)]),
        )
    ]
    print_result(dataclasses.replace(outcome(), alerts=[opened, *others]), "cars become dearer", 2)
    shown = capsys.readouterr().out
    assert [said in shown for said in ("it moved", *(each.id for each in others))] == [True, False, True, True, False]


def part(incident: str, kind: Kind) -> AlertPart:
    return AlertPart(incident, None, None, kind, Status.FIRING, "warning", "", "", [], "")


@pytest.mark.usefixtures("loans")
def test_the_census_runs_through_workers(driftline: Driftline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third person: all of them take 12 s of CPU."""
    census = SCENARIOS["census"]

    def thinned(folder: Path, say: Callable[[str], None]) -> Tables:
        tables = census.prepare(folder, say)
        for file in (tables.predictions, tables.labels):
            pl.read_parquet(file).filter(pl.col("id") % 3 == 0).write_parquet(file)
        return tables

    monkeypatch.setitem(SCENARIOS, "census", dataclasses.replace(census, prepare=thinned))
    done = driftline("demo", "--data", "census")

    assert done.status == 0, done.out + done.err
    assert "69,630 events and 46,253 labels in" in done.out
    assert "before the shift" in done.out
    assert "AUROC was estimated to fall from 0.903 to" in done.out
    assert "newest windows have no labels yet" in done.out
    assert done.out.splitlines()[-1] == "Driftline found the shift"


def test_the_screen_draws_whatever_is_known_so_far() -> None:
    from rich.console import Console

    screen = Screen(ROWS, FIRST_MS, LAST_MS, "car-loan")
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
    screen.take(views)
    screen.owners = {1: 4, 2: 4}
    screen.advance(published=100, counted=50, mark=SHIFT_MS)
    with console.capture() as second:
        console.print(screen.show())

    assert "nothing fires" in first.get()
    assert all(text in second.get() for text in ("2019-03-31", "29,645", "0.8", "x moved", "worker 2 has 4 tasks"))


def test_each_data_set_can_be_named() -> None:
    assert {name.value for name in DataName} == SCENARIOS.keys()


def test_publishing_only_needs_a_kafka(driftline: Driftline, loans: object) -> None:
    done = driftline("demo", "--publish-only")

    assert (done.status, "kafka: no broker is configured" in done.err) == (2, True)


def test_a_pace_of_its_own_excludes_other_data(driftline: Driftline) -> None:
    done = driftline("demo", "--live", "--data", "census")

    assert (done.status, "leave out --seconds, --publish-only and --data" in done.err) == (2, True)


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
