"""What happens to every team: releases, tenants that come and go, more and fewer events. Who is told what.

Events are few and panes long, so that days pass in a second.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from driftline.config import Settings
from driftline.incidents.incident import Incident, Kind, Status
from driftline.offline.backtest import backtest
from driftline.pipeline.task_settings import judge_settings, with_references
from driftline.tables import EncodedEvents
from tests.tasks.changes import HOUR, START, Event, Stream, encoded, watching
from tests.tasks.test_reference_choice import of_stream

DAY = 24 * HOUR
CHANGE = START + 2 * DAY
WINDOW = HOUR
A_WINDOW = 100
Shares = Callable[[int], dict[str, float]]
"""By time, the shares of some names."""


def alone(time: int) -> dict[str, float]:
    return {"1": 1.0}


def hundred(time: int) -> float:
    return A_WINDOW


def events(
    days: float, number: Callable[[int], float] = hundred, versions: Shares = alone, tenants: Shares | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield events of a model: how many each hour, which version answers them, and whose they are."""
    chance = np.random.default_rng(3)
    for hour in range(int(days * 24)):
        start = START + hour * HOUR
        count = int(chance.poisson(number(start))) if number is not exactly else round(number(start))
        for time in np.sort(start + chance.integers(0, HOUR, count)).tolist():
            x, answer = chance.normal(), chance.random()
            event: Event = {"event_time": time, "model": "m", "features": {"x": x}, "prediction": answer}
            event["model_version"] = str(chance.choice(list(versions(time)), p=list(versions(time).values())))
            if tenants is not None:
                shares = tenants(time)
                event["segment"] = {"tenant": str(chance.choice(list(shares), p=list(shares.values())))}
            yield time, msgspec.json.encode({"event_id": f"{time}-{chance.integers(1 << 40)}", **event})


def exactly(time: int) -> float:
    return A_WINDOW if time < CHANGE else 102


HOW = {"windows": ["1h"], "pane": "15m", "reference": "learn 36h"}


def told(stream: Iterator[tuple[int, bytes]], **how: object) -> list[Incident]:
    """Return each incident once, as it stood at the end."""
    return backtest(watching(**{**HOW, **how}), encoded(stream)).latest


def changing(*steps: tuple[float, dict[str, float]]) -> Shares:
    """Return shares that change at these days after CHANGE; before the first of them version 1 is alone."""

    def at(time: int) -> dict[str, float]:
        passed = [shares for day, shares in steps if time >= CHANGE + day * DAY]
        return passed[-1] if passed else {"1": 1.0}

    return at


CANARY = changing((0.0, {"1": 0.99, "2": 0.01}), (0.3, {"1": 0.9, "2": 0.1}), (0.6, {"1": 0.5, "2": 0.5}))
GREEN = changing((0.0, {"2": 1.0}))
BACK = changing((0.0, {"1": 0.5, "2": 0.5}), (0.5, {"1": 1.0}))


@pytest.mark.parametrize("new_version", ["learn", "compare"])
@pytest.mark.parametrize(
    ("versions", "over"), [(CANARY, False), (GREEN, True), (BACK, True), (changing((0, {"1": 0.5, "2": 0.5})), False)]
)
def test_a_release_is_one_piece_of_information_and_no_alarm(versions: Shares, over: bool, new_version: str) -> None:
    """A canary that grows, blue and green, a rollback, half of the events: all answer alike, and nobody is paged."""
    (release,) = told(events(3.5, versions=versions), new_version=new_version)
    assert (release.kind, release.severity, release.level) == (Kind.RELEASE, "info", "model")
    assert release.signals[0].what == "version 2"
    assert CHANGE < release.opened <= CHANGE + (8 if versions is CANARY else 1) * WINDOW
    assert (release.status is Status.RESOLVED) == over


def test_a_release_says_the_shares() -> None:
    found = backtest(watching(**HOW), encoded(events(2.5, versions=changing((0, {"1": 0.5, "2": 0.5}))))).incidents
    (began,) = found
    assert began.summary.startswith("m: the versions that answer have changed since about ")
    assert "version 2: 0% → " in began.summary
    assert "version 1: 100% → " in began.summary


def limited(stream: Iterator[tuple[int, bytes]], limits: dict[str, object], **how: object) -> list[Incident]:
    """Return each incident once but those about the limits, as it stood at the end."""
    settings = {"models": {"*": {**HOW, **how}}, "max_out_of_orderness": "5s", "limits": limits}
    found = backtest(Settings.model_validate(settings), encoded(stream)).latest
    assert any(incident.kind is Kind.CAPACITY for incident in found)
    return [incident for incident in found if incident.kind is not Kind.CAPACITY]


@pytest.mark.parametrize("versions", [CANARY, GREEN, BACK])
def test_a_version_without_a_place_is_a_release_like_any_other_and_its_events_are_the_models(versions: Shares) -> None:
    """The limit bounds what is weighed apart: the model has not fewer events for it, and is not silent."""
    (release,) = limited(events(3.5, versions=versions), {"versions": 1})
    (as_without,) = told(events(3.5, versions=versions))
    assert (release.kind, release.opened, release.window) == (Kind.RELEASE, as_without.opened, as_without.window)
    assert (release.status, release.signals) == (as_without.status, as_without.signals)


def test_what_is_usual_for_a_model_outlives_the_version_that_loses_its_place() -> None:
    fewer = events(4, lambda time: A_WINDOW * (0.3 if time >= CHANGE + DAY else 1), versions=GREEN)
    found = limited(fewer, {"versions": 1, "keep": "6h"})
    assert {incident.kind for incident in found} == {Kind.RELEASE, Kind.VOLUME}
    volume = next(incident for incident in found if incident.kind is Kind.VOLUME)
    assert CHANGE + DAY < volume.opened <= CHANGE + DAY + WINDOW
    assert volume.status is Status.FIRING


@pytest.mark.parametrize("model", ["m", "n"])
def test_a_version_all_of_whose_events_are_too_late_is_no_release_and_takes_no_place(model: str) -> None:
    """Nor is the first that answers in time a release after it, or without a place, where the model begins so."""
    rows = []
    for at, (time, value) in enumerate(events(1, number=exactly)):
        rows.append((value, time, time))
        other = {**msgspec.json.decode(value), "model": model, "event_id": str(at)}
        other |= {"model_version": "2"} if time < START + DAY / 2 or model == "m" else {}
        late = 6 * HOUR if other["model_version"] == "2" else 0
        if at % 5 == 0 and time > START + late:  # few, or they would be taken for a majority that knows the time
            rows.append((msgspec.json.encode(other | {"event_time": time - late}), time - late, time))
    values, times, stamps = map(list, zip(*rows, strict=True))
    how = watching(**HOW)
    limited = how.model_copy(update={"limits": how.limits.model_copy(update={"versions": 1})})
    result = backtest(limited, [EncodedEvents([b""] * len(rows), values, times, stamps)])
    assert result.counters["late"] > 0, result.counters
    assert {incident.kind for incident in result.latest} == {Kind.DEAD_LETTERS}


def three(time: int) -> dict[str, float]:
    return {"acme": 0.5, "birch": 0.3, "cedar": 0.2}


def delta_comes(time: int) -> dict[str, float]:
    return three(time) if time < CHANGE else {"acme": 0.35, "birch": 0.21, "cedar": 0.14, "delta": 0.3}


def two_come(time: int) -> dict[str, float]:
    return three(time) if time < CHANGE else {"acme": 0.3, "birch": 0.2, "cedar": 0.1, "delta": 0.25, "elm": 0.15}


def acme_leaves(time: int) -> dict[str, float]:
    return three(time) if time < CHANGE else {"birch": 0.6, "cedar": 0.4}


def all_new(time: int) -> dict[str, float]:
    return three(time) if time < CHANGE else {"fir": 0.7, "gorse": 0.3}


@pytest.mark.parametrize(
    ("tenants", "names"),
    [(delta_comes, {"delta"}), (two_come, {"delta", "elm"}), (acme_leaves, {"acme"}), (all_new, {"fir", "gorse"})],
)
def test_who_sends_the_events_is_one_incident_that_names_them(tenants: Shares, names: set[str]) -> None:
    (mix,) = told(events(3, tenants=tenants), segments=["tenant"])
    assert (mix.kind, mix.level, mix.severity) == (Kind.MIX, "environment", "warning")
    assert (mix.subject.version, mix.subject.segment) == ("1", "")
    assert CHANGE < mix.opened <= CHANGE + 3 * WINDOW
    (signal,) = mix.signals
    assert signal.name == "segment.tenant"
    assert {signal.what, *signal.named} & names
    assert {*signal.named} <= names
    assert f"tenant {signal.what}: {signal.before} → {signal.after}" in mix.summary


def test_tenants_that_left_are_told_before_those_that_stayed() -> None:
    def gateway_fails(time: int) -> dict[str, float]:
        there = range(3 if time >= CHANGE else 0, 8)
        return {f"t{number}": 1 / len(there) for number in there}

    (mix,) = told(events(3, tenants=gateway_fails), segments=["tenant"])
    (signal,) = mix.signals
    assert {signal.what} < {"t0", "t1", "t2"} == set(signal.gone)
    assert signal.after == "0%"


def test_a_canary_that_answers_one_tenant_alone_is_no_other_mix() -> None:
    stream = []
    for time, value in events(3.5, tenants=three):
        event = msgspec.json.decode(value)
        event["model_version"] = "2" if time >= CHANGE and event["segment"]["tenant"] == "birch" else "1"
        stream.append((time, msgspec.json.encode(event)))
    assert {found.kind for found in told(iter(stream), segments=["tenant"])} == {Kind.RELEASE}


def test_the_mix_of_segments_is_told_though_most_events_are_of_a_version_without_a_place() -> None:
    stream = events(3, versions=lambda time: {"1": 0.3, "2": 0.7}, tenants=acme_leaves)
    (mix,) = limited(stream, {"versions": 1}, segments=["tenant"])
    assert (mix.kind, mix.subject.version, mix.signals[0].name) == (Kind.MIX, "1", "segment.tenant")


def test_tenants_who_send_as_ever_tell_nothing() -> None:
    assert told(events(6, tenants=three), segments=["tenant"]) == []


def at_night(time: int) -> float:
    return 0 if time % DAY < 6 * HOUR else A_WINDOW


def rhythm(time: int) -> float:
    return A_WINDOW * (0.15 + 0.85 * (1 + math.sin(time / DAY * 2 * math.pi)) / 2)


def weekly(time: int) -> float:
    return A_WINDOW if time // DAY % 7 < 5 else A_WINDOW / 4


def tenth_less(time: int) -> float:
    return A_WINDOW if time < CHANGE else 0.9 * A_WINDOW


@pytest.mark.parametrize(
    ("number", "days", "reference"),
    [
        (exactly, 6, "learn 36h"),
        (tenth_less, 6, "learn 36h"),
        (at_night, 6, "learn 48h"),
        (rhythm, 6, "learn 48h"),
        (weekly, 21, "learn 7d"),
    ],
)
def test_what_is_usual_or_little_tells_nothing(number: Callable[[int], float], days: float, reference: str) -> None:
    """A constant sender's 2 % more, a tenth less, nights without traffic, a rhythm, weekends after one week."""
    assert told(events(days, number), reference=reference) == []


def times(factor: float) -> Callable[[int], float]:
    return lambda time: A_WINDOW * (factor if time >= CHANGE else 1)


def burst(time: int) -> float:
    return A_WINDOW * (8 if CHANGE <= time < CHANGE + HOUR else 1)


def doubling(time: int) -> float:
    return float(A_WINDOW * 2 ** max((time - CHANGE) / (4 * DAY), 0))


@pytest.mark.parametrize("reference", ["learn 1d", "learn 2h", "previous 1d", "learn 100 events"])
def test_volume_is_learned_for_longer_where_a_reference_has_too_few_windows_to_judge_it(reference: str) -> None:
    (volume,) = told(events(2.5, times(0.2)), reference=reference)
    assert (volume.kind, volume.opened) == (Kind.VOLUME, CHANGE + HOUR)
    assert told(events(4), reference=reference) == []


@pytest.mark.parametrize(
    ("number", "within", "severity"),
    [
        (times(0.4), 1, "critical"),
        (times(4), 1, "critical"),
        (times(0.5), 12, "critical"),
        (times(0.65), 24, "warning"),
        (burst, 1, "critical"),
        (doubling, 72, "warning"),
    ],
)
def test_more_or_fewer_events_are_told_by_their_size(
    number: Callable[[int], float], within: int, severity: str
) -> None:
    """What is steep is told in its window, also a burst that is over with it."""
    found = told(events(6, number))
    (volume,) = found
    assert (volume.kind, volume.severity, volume.level) == (Kind.VOLUME, severity, "data")
    assert CHANGE < volume.opened <= CHANGE + within * WINDOW
    assert (volume.status is Status.RESOLVED) == (number is burst)


NIGHT = (START // DAY + 16) * DAY


def nightly(now: float) -> Callable[[int], float]:
    """Return 1,200 events or so in the first hour of each day, and from NIGHT on another number."""
    return lambda time: 0 if time % DAY else (now if time >= NIGHT else 1_200) * (0.95 + time // DAY % 3 / 20)


@pytest.mark.parametrize("now", [550, 1_000, 1_300, 2_500])
def test_a_batch_a_night_of_another_size_is_told_of_the_first_that_is(now: float) -> None:
    """Twelve nights are learned from, whose sizes vary by a twentieth."""
    found = told(events(20, nightly(now)), windows=["1d"], pane="6h", reference="learn 1d")
    assert [(each.kind, each.severity, each.opened) for each in found] == [
        (Kind.VOLUME, "critical", NIGHT + DAY) for changed in (550, 2_500) if now == changed
    ]


@pytest.mark.parametrize(
    ("number", "shares", "severity", "why"),
    [
        (2, {"1": 0.5, "2": 0.5}, "warning", "Model: version 2 is new and answers beside the others, which have as"),
        (3, {"1": 0.95, "2": 0.05}, "critical", "Data: the number of events changed across all versions"),
        (3, {"2": 1.0}, "critical", "Data: the number of events changed across all versions"),
        (0.5, {"1": 0.5, "2": 0.5}, "critical", "Data: the number of events changed across all versions"),
    ],
    ids=["a shadow", "a canary beside more traffic", "a new version with more traffic", "half is lost"],
)
def test_a_version_that_answers_what_others_answer_too_is_told_as_such(
    number: float, shares: dict[str, float], severity: str, why: str
) -> None:
    def many(time: int) -> float:
        return A_WINDOW * (number if time >= CHANGE else 1)

    (found,) = [each for each in told(events(3.5, many, changing((0, shares)))) if each.kind is Kind.VOLUME]
    assert found.severity == severity
    assert why in found.summary


@pytest.mark.parametrize("complete", [False, True])
def test_a_table_says_how_many_events_to_expect_only_where_it_holds_all(complete: bool) -> None:
    """One in twenty of a stream's events makes a good reference of all but their number."""
    how, stream = watching(), Stream(hours=12, a_minute=40, seed=4)
    sample = replace(of_stream(Stream(hours=7, a_minute=3)), complete=complete)
    found = backtest(how, encoded(stream.events()), judging=with_references(judge_settings(how), [sample])).latest
    assert [incident.kind for incident in found] == ([Kind.VOLUME] if complete else [])


COARSE = {**HOW, "pane": "1h"}
"""Panes as long as windows, as a table with few events gets them."""
ENDS = CHANGE + 5 * HOUR


def until(end: int, number: Callable[[int], float] = exactly) -> Iterator[tuple[int, bytes]]:
    return (event for event in events(3, number) if event[0] < end)


@pytest.mark.parametrize("minutes", [1, 10, 30, 47])
def test_a_window_that_the_end_of_a_table_cuts_off_says_nothing_of_volume(minutes: int) -> None:
    assert told(until(ENDS + minutes * HOUR // 60), **COARSE) == []


def few_at_the_end(time: int) -> float:
    return A_WINDOW if time < ENDS - HOUR else 10


@pytest.mark.parametrize("minutes", [0, 10, 30])
def test_few_events_before_the_end_of_a_table_are_told(minutes: int) -> None:
    """In the last window that it holds, and in the one before that which it ends in."""
    (volume,) = told(until(ENDS + minutes * HOUR // 60, few_at_the_end), **COARSE)
    assert (volume.kind, volume.opened, volume.window.count) == (Kind.VOLUME, ENDS, 10)


def test_a_table_goes_as_far_as_the_last_event_of_any_model() -> None:
    """So a model whose events end earlier is told."""
    other = [(time, value.replace(b'"model":"m"', b'"model":"other"')) for time, value in until(ENDS + HOUR)]
    both = sorted([*until(ENDS + 10 * HOUR // 60), *other], key=lambda event: event[0])
    (volume,) = told(iter(both), **COARSE)
    assert (volume.kind, volume.subject.model, volume.window.start) == (Kind.VOLUME, "m", ENDS)


def test_what_fires_about_a_version_that_was_rolled_back_is_closed_with_the_release() -> None:
    def shifted(stream: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        for time, value in stream:
            event = msgspec.json.decode(value)
            event["prediction"] += 2.0 if event["model_version"] == "2" else 0.0
            yield time, msgspec.json.encode(event)

    versions = changing((0.0, {"2": 1.0}), (0.5, {"1": 1.0}))
    drift, release, *_ = sorted(told(shifted(events(4, versions=versions)), new_version="compare"), key=_kind)
    assert (drift.subject.version, drift.status) == ("2", Status.RESOLVED)
    assert drift.summary == "m/2: closed, because another version answers now."
    assert (release.kind, drift.resolved) == (Kind.RELEASE, drift.window.end)


def _kind(incident: Incident) -> str:
    return incident.kind.value
