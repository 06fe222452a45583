"""What a drift costs by the estimate: how urgent it is then, when that is told, whichever log is read first."""

import random
from collections.abc import Callable, Sequence
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.config import Settings
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.severity import CRITICAL, INFO, WARNING
from driftline.panes.outcomes import is_of_outcomes
from driftline.pipeline.task_settings import summarise_settings
from driftline.tasks.causes import Causes
from driftline.tasks.outcomes.costs import Cost, cost_of
from driftline.tasks.summarise import Summarise
from driftline.tasks.telling import Told
from driftline.tasks.views import Figure, MetricWindow, PerformanceWindow
from tests.oracle import costs
from tests.tasks.changes import MINUTE, START, watching
from tests.tasks.test_causes import finding
from tests.tasks.test_labelling import labelled, predicted
from tests.tasks.test_reference_choice import judging, run

SIZE = 10 * MINUTE
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
"""Returns a feature and the score of so many events after the change."""


def window(
    number: int, after: float, *, reach: float = 0.01, predictions: int = 500, name: str = "auroc"
) -> PerformanceWindow:
    """A window of predictions with one metric, that was 0.9 in the reference, give or take 0.03."""
    figure = Figure(after, after - reach, after + reach)
    none = Figure(None, None, None)
    left = not 0.87 <= after <= 0.93
    metric = MetricWindow(name, 0.9, (0.87, 0.93), figure, none, left, False, False)
    return PerformanceWindow(number * SIZE, predictions, 0, "none", "", [metric])


def cost(*windows: PerformanceWindow, began: int = 0, opened: int = 1) -> str | None:
    found = cost_of(windows, SIZE, began=began * SIZE, opened=opened * SIZE, min_events=30)
    return None if found is None else found.severity


shares_ = st.integers(1, 99).map(lambda percent: percent / 100)
estimates_ = st.builds(
    lambda name, before, reach, value, low, high: costs.Estimate(
        name, before, (before - reach, before + reach), value, value - low, value + high
    ),
    st.sampled_from(["auroc", "accuracy", "brier"]), shares_, shares_, shares_, shares_, shares_,
)  # fmt: skip
predictions_ = st.builds(
    costs.Predictions,
    st.integers(0, 9).map(lambda number: number * SIZE),
    st.sampled_from([5, 29, 30, 500]),
    st.lists(estimates_, max_size=2, unique_by=lambda each: each.name).map(tuple),
)


@given(st.lists(predictions_, max_size=5, unique_by=lambda each: each.start), st.integers(0, 9), st.integers(0, 9))
def test_what_a_drift_costs_is_what_the_oracle_says(held: list[costs.Predictions], began: int, later: int) -> None:
    ordered = sorted(held, key=lambda each: each.start)
    windows = []
    for each in ordered:
        metrics = [
            MetricWindow(
                of.name, of.before, of.band, Figure(of.value, of.low, of.high), Figure(None, None, None),
                not of.band[0] <= of.value <= of.band[1], False, False,
            )
            for of in each.estimates
        ]  # fmt: skip
        windows.append(PerformanceWindow(each.start, each.many, 0, "none", "", metrics))
    opened = (began + later) * SIZE
    found = cost_of(windows, SIZE, began=began * SIZE, opened=opened, min_events=30)
    expected = costs.cost(ordered, SIZE, began * SIZE, opened, 30)
    assert (None if found is None else (found.severity, found.start)) == expected


@pytest.mark.parametrize(
    ("after", "reach", "expected"),
    [
        (0.9, 0.01, INFO),
        (0.88, 0.01, INFO),
        (0.95, 0.01, INFO),
        (0.86, 0.01, WARNING),
        (0.89, 0.09, None),
        (0.8, 0.05, CRITICAL),
        (0.8, 0.11, WARNING),
    ],
)
def test_a_drift_is_as_urgent_as_what_it_is_estimated_to_cost(after: float, reach: float, expected: str | None) -> None:
    assert cost(window(0, after, reach=reach)) == expected


def test_of_a_metric_of_which_less_is_better_more_is_a_loss() -> None:
    assert [cost(window(0, after, name="log_loss")) for after in (0.85, 0.95, 1.1)] == [INFO, WARNING, CRITICAL]


def test_windows_that_ended_before_it_was_found_or_hold_little_say_nothing() -> None:
    assert cost(window(0, 0.5), opened=2) is None
    assert cost(window(3, 0.5, predictions=20)) is None
    assert cost(window(3, 0.9, reach=0.1), window(4, 0.9)) == INFO


def test_a_window_that_began_before_the_drift_says_only_what_got_worse() -> None:
    assert cost(window(0, 0.9), began=1) is None
    assert cost(window(0, 0.8), began=1) == CRITICAL
    assert cost(window(0, 0.9), window(1, 0.9), began=1) == INFO


def test_the_window_that_lost_most_counts() -> None:
    found = cost_of([window(1, 0.9), window(2, 0.8), window(3, 0.7)], SIZE, began=SIZE, opened=2 * SIZE, min_events=30)
    assert found is not None
    assert (found.severity, found.start, found.end) == (CRITICAL, 2 * SIZE, 3 * SIZE)
    assert (found.metrics[0].name, found.metrics[0].before, found.metrics[0].after) == (
        "auroc.estimated",
        "0.900",
        "0.800",
    )


def priced(severity: str) -> Cost:
    effects = {"before": 0.9, "after": 0.8, "low": 0.78, "high": 0.82, "loss": 0.11, "sure": 0.09}
    signal = Signal("auroc.estimated", 0.0, effects, what="estimated", before="0.900", after="0.800")
    return Cost(severity, SIZE, 2 * SIZE, [signal])


def causes(known: list[Cost]) -> Causes:
    return Causes(lambda model: SIZE, lambda subject: [], lambda subject, began, opened: known[-1] if known else None)


def over(one: Incident, at: int) -> Incident:
    return msgspec.structs.replace(one, status=Status.RESOLVED, window=Window(at - MINUTE, at, 9), resolved=at)


def test_the_cost_is_told_once_it_is_known_and_again_if_it_rises() -> None:
    known: list[Cost] = []
    held = causes(known)
    (opened,) = held.take([finding()], SIZE)
    assert (opened.severity, opened.cost, held.appraise()) == (WARNING, [], [])
    known.append(priced(INFO))
    (told,) = held.appraise()
    assert (told.id, told.severity, told.status, told.parts) == (opened.id, INFO, Status.FIRING, [])
    assert told.changed == 2 * SIZE
    assert told.summary.endswith(
        "It is estimated to cost nothing: AUROC 0.900 → 0.800 for predictions since 1970-01-01T00:10:00Z "
        "(99.7% interval 0.78 to 0.82)."
    )
    assert held.appraise() == []
    known.append(priced(CRITICAL))
    (told,) = held.appraise()
    assert (told.severity, told.changed) == (CRITICAL, 2 * SIZE + 1)
    known.append(priced(INFO))
    assert held.appraise() == []
    (end,) = held.take([over(finding(), 2 * SIZE)], 2 * SIZE)
    assert (end.severity, end.status, end.changed, end.cost) == (CRITICAL, Status.RESOLVED, 2 * SIZE + 2, told.cost)


def test_what_is_wrong_with_the_data_is_as_urgent_as_ever() -> None:
    broken = msgspec.structs.replace(finding(Kind.DATA_QUALITY), severity=CRITICAL)
    held = causes([priced(INFO)])
    (told,) = held.take([broken, finding(segment="t=a")], SIZE)
    assert [part.severity for part in told.parts] == [CRITICAL, INFO]
    assert (told.severity, told.kind, [each.name for each in told.cost]) == (
        CRITICAL,
        Kind.DATA_QUALITY,
        ["auroc.estimated"],
    )
    assert causes([priced(INFO)]).take([broken], SIZE)[0].cost == []


def test_performance_that_is_part_of_it_is_told_once() -> None:
    lost = finding(Kind.PERFORMANCE, "auroc.estimated", before=0.9, after=0.8, low=0.78, high=0.82)
    (told,) = causes([priced(WARNING)]).take([finding(), lost], SIZE)
    assert told.cost
    assert "estimated to cost" not in told.summary


def as_before(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return chance.normal(0, 1, rows), chance.beta(0.6, 0.9, rows)


def other_inputs(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return chance.normal(1.5, 1, rows), chance.beta(0.6, 0.9, rows)


def harder_inputs(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return chance.normal(1.5, 1, rows), chance.beta(4, 6, rows)


def worse_ranked(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """As many right answers, and scores that mean what they meant, but none that is surer than others."""
    sure = 0.788 + chance.uniform(-0.02, 0.02, rows)  # as sure as `as_before` is on the mean
    return chance.normal(0, 1, rows), np.where(chance.beta(0.6, 0.9, rows) > 0.5, sure, 1 - sure)


SETTINGS = watching(
    awaits_labels="2h", performance={"window": "10m"}, segments=[], reference="learn 4h", false_alarms="1 per 30d"
)


@cache
def panes(draw: Draw, how: Settings = SETTINGS, hours: int = 8, a_minute: int = 30) -> list[bytes]:
    """Return what one partition of both logs sends: after six hours the events are drawn in another way."""
    chance, task = np.random.default_rng(3), Summarise(summarise_settings(how), 0, 1)
    sent: list[bytes] = []
    late: list[tuple[bytes, bytes | None, int]] = []
    for step in range(hours * 12):
        begin, rows = START + step * 5 * MINUTE, 5 * a_minute
        feature, score = (drawn.tolist() for drawn in (draw if step >= 72 else as_before)(chance, rows))
        truth = chance.random(rows) < score
        now, due = [], late
        late = []
        for at in range(rows):
            name, time = f"p-{step}-{at}", begin + at * 5 * MINUTE // rows
            said = {"label": "yes" if score[at] >= 0.5 else "no", "proba": {"yes": score[at], "no": 1 - score[at]}}
            event = {"event_id": name, "event_time": time, "model": "m", "prediction": said}
            now.append((name.encode(), msgspec.json.encode({**event, "features": {"x": feature[at]}}), time))
            label = {"event_id": name, "model": "m", "label": "yes" if truth[at] else "no"}
            late.append((name.encode(), msgspec.json.encode(label), time + 5 * MINUTE))
        predicted(task, now)
        labelled(task, due)
        sent += [record.encode() for record in task.emit()]
    return sent


def told_of(draw: Draw, values: Sequence[bytes] | None = None) -> list[Told]:
    values = panes(draw) if values is None else values
    _, alerts, _ = run(judging(SETTINGS), values, range(0, len(values), 200))
    return alerts


def drifts(alerts: Sequence[Told]) -> list[Incident]:
    return [each.incident for each in alerts if each.incident.kind in (Kind.DATA_DRIFT, Kind.PREDICTION_DRIFT)]


def test_inputs_that_move_and_cost_nothing_are_information() -> None:
    first, *later = drifts(told_of(other_inputs))
    assert (first.kind, first.severity, first.cost) == (Kind.DATA_DRIFT, WARNING, [])
    assert {each.severity for each in later} == {INFO}
    assert {each.name for each in later[0].cost} == {"auroc.estimated", "accuracy.estimated"}
    assert "It is estimated to cost nothing: " in later[0].summary
    assert later[0].changed - first.opened <= 2 * SIZE


def test_inputs_that_move_and_cost_much_page_before_labels_say_so() -> None:
    last = drifts(told_of(harder_inputs))[-1]
    assert last.severity == CRITICAL
    assert last.cost[0].effects["loss"] > 0.1
    assert {part.severity for part in last.parts if part.kind is not Kind.PERFORMANCE} == {CRITICAL}


def test_a_loss_of_ranking_alone_is_told_with_the_drift_of_scores_that_it_takes() -> None:
    found = drifts(told_of(worse_ranked))
    assert {each.kind for each in found} == {Kind.PREDICTION_DRIFT}
    ranking, answers = found[-1].cost
    assert (ranking.name, answers.name, found[-1].severity) == ("auroc.estimated", "accuracy.estimated", CRITICAL)
    assert abs(answers.effects["loss"]) < 0.02 < 0.08 < ranking.effects["loss"]


def test_without_a_reference_of_performance_a_drift_is_as_urgent_as_ever() -> None:
    values = [value for value in panes(other_inputs) if not is_of_outcomes(value)]
    assert {(each.severity, len(each.cost)) for each in drifts(told_of(other_inputs, values))} == {(WARNING, 0)}


@pytest.mark.parametrize("draw", [other_inputs, harder_inputs])
@pytest.mark.parametrize("seed", range(2))
def test_what_it_costs_does_not_depend_on_how_far_labels_are_behind(draw: Draw, seed: int) -> None:
    def end(values: Sequence[bytes]) -> set[tuple[object, ...]]:
        latest = {each.id: each for each in drifts(told_of(draw, values))}
        return {
            (
                each.id,
                each.severity,
                msgspec.json.encode(each.cost),
                *sorted((part.id, part.severity) for part in each.parts),
            )
            for each in latest.values()
            if each.status is Status.FIRING
        }

    values, chance, late = panes(draw), random.Random(seed), []
    mixed: list[bytes] = []
    for value in values:
        if is_of_outcomes(value):
            late.append(value)
        else:
            mixed.append(value)
        while late and chance.random() < 0.3:
            mixed.append(late.pop(0))
    expected = end(values)
    assert expected
    assert end([*mixed, *late]) == expected
    assert end([*(each for each in values if not is_of_outcomes(each)), *filter(is_of_outcomes, values)]) == expected


def test_it_is_the_subject_of_the_incident_whose_predictions_are_looked_at() -> None:
    asked: list[tuple[Subject, int, int]] = []

    def ask(subject: Subject, began: int, opened: int) -> None:
        asked.append((subject, began, opened))

    held = Causes(lambda model: SIZE, lambda subject: [], ask)
    held.take([finding(Kind.MIX, "segment.t"), finding(version="3", began=1)], SIZE)
    assert asked[0] == (Subject("m", "3", ""), MINUTE, 10 * MINUTE)
