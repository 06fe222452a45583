"""One cause, one incident: what a change moves in all events, in segments and in predictions is told as one."""

import heapq
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.tasks.causes import Causes
from tests.tasks.changes import HOUR, MINUTE, START, Event, Stream, panes_of, watching
from tests.tasks.test_reference_choice import judging, run

Fault = Callable[[Event, np.random.Generator], None]
TENANTS = ("acme", "acme", "acme", "blue", "blue", "core")


def shift(event: Event, chance: np.random.Generator) -> None:
    event["features"]["age"] += 16


def shift_a_little(event: Event, chance: np.random.Generator) -> None:
    event["features"]["age"] += 8


def swap(event: Event, chance: np.random.Generator) -> None:
    held = event["features"]
    held["age"], held["income"] = held["income"], held["age"]


def swap_of_like_ones(event: Event, chance: np.random.Generator) -> None:
    """One of them is out of range then, the other is not."""
    held = event["features"]
    held["age"], held["tenure"] = held["tenure"], held["age"]


def another_unit(event: Event, chance: np.random.Generator) -> None:
    event["features"]["income"] *= 1_000


def some_null(event: Event, chance: np.random.Generator) -> None:
    if chance.random() < 0.4:
        event["features"]["tenure"] = None


def only_blue(event: Event, chance: np.random.Generator) -> None:
    if event["segment"]["tenant"] == "blue":
        shift(event, chance)


def a_new_tenant(event: Event, chance: np.random.Generator) -> None:
    if chance.random() < 0.3:
        event["segment"]["tenant"] = "delta"


def an_old_new_tenant(event: Event, chance: np.random.Generator) -> None:
    a_new_tenant(event, chance)
    if event["segment"]["tenant"] == "delta":
        shift(event, chance)


def no_answer(event: Event, chance: np.random.Generator) -> None:
    event["features"] = {}


def no_answer_to_acme(event: Event, chance: np.random.Generator) -> None:
    if event["segment"]["tenant"] == "acme":
        event["features"] = {}


def answered(event: Event, chance: np.random.Generator) -> float:
    """A model's answer: it depends on all features."""
    held = {name: value if value is not None else 0.0 for name, value in event["features"].items()}
    score = 0.05 * (held["age"] - 41) + 0.03 * (held["tenure"] - 24) + 3e-5 * (held["income"] - 33_000)
    return float(1 / (1 + np.exp(-np.clip(score + chance.normal(0, 0.3), -30, 30))))


class BesideAClock(Stream):
    """A stream beside that of a model that always answers, so that time goes on where this one stops."""

    def events(self) -> Iterator[tuple[int, bytes]]:
        """Yield the events of both."""
        beats = range(START, START + int(self.hours * HOUR), MINUTE)
        beat = {"model": "clock", "features": {"x": 1.0}}
        clock = ((at, msgspec.json.encode({"event_id": f"c{at}", "event_time": at, **beat})) for at in beats)
        return heapq.merge(super().events(), clock)


def told(*faults: tuple[float, Fault], hours: float = 10, a_minute: int = 20, seed: int = 1) -> list[Incident]:
    """Return all that is told of a stream that is struck by faults from these hours on. The task restarts often."""

    def change(event: Event, chance: np.random.Generator) -> Event | None:
        event["features"] = {
            "age": float(np.round(np.clip(chance.normal(41, 13), 18, 95))),
            "income": round(float(chance.lognormal(10.3, 0.5)), 2),
            "tenure": float(int(chance.exponential(24))),
        }
        for begin, fault in faults:
            if event["event_time"] >= START + begin * HOUR:
                fault(event, chance)
        if not event["features"]:
            return None
        event["prediction"] = answered(event, chance)
        return event

    how = watching(segments=["tenant"])
    stream = BesideAClock(change, 0, hours=hours, a_minute=a_minute, seed=seed, tenants=TENANTS)
    (sent,) = panes_of(stream, 1, how)
    _, alerts, _ = run(judging(how), sent, range(0, len(sent), 100))
    return [alert.incident for alert in alerts]


def incidents(found: list[Incident]) -> list[Incident]:
    """Return each incident once, in order of opening, as it was told last."""
    return list({incident.id: incident for incident in found}.values())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (shift, Kind.DATA_DRIFT),
        (shift_a_little, Kind.DATA_DRIFT),
        (swap, Kind.DATA_QUALITY),
        (swap_of_like_ones, Kind.DATA_QUALITY),
        (another_unit, Kind.DATA_QUALITY),
        (some_null, Kind.DATA_QUALITY),
        (a_new_tenant, Kind.MIX),
        (an_old_new_tenant, Kind.MIX),
        (no_answer, Kind.SILENCE),
        (no_answer_to_acme, Kind.MIX),
    ],
    ids=lambda what: getattr(what, "__name__", what),
)
def test_one_cause_is_one_incident(fault: Fault, kind: Kind) -> None:
    (incident,) = incidents(told((8, fault)))
    assert (incident.kind, incident.subject) == (kind, Subject("m", "", ""))
    if fault in (shift, swap, another_unit):
        assert {part.segment for part in incident.parts} == {"", "tenant=acme", "tenant=blue", "tenant=core"}
        assert {part.kind for part in incident.parts} == {kind, Kind.PREDICTION_DRIFT}


def test_its_sentences_say_what_moved_with_it_and_where() -> None:
    found = told((8, another_unit))
    assert "income 0% → 100% above " in found[0].summary
    texts = " ".join(incident.summary for incident in found)
    assert "Predictions have drifted too: prediction" in texts
    assert "Seen so far in 3 of 3 segments by tenant: acme, blue and core." in texts


def test_where_one_tenant_alone_moves_the_incident_is_about_it() -> None:
    (incident,) = incidents(told((8, only_blue)))
    assert incident.subject == Subject("m", "", "tenant=blue")
    assert "only tenant=blue moved" in told((8, only_blue))[0].summary


def test_a_new_tenant_is_named_and_what_it_brings_is_part_of_it() -> None:
    found = told((8, an_old_new_tenant))
    assert "tenant delta: 0% → " in found[0].summary
    parts = {(part.kind, part.segment) for part in found[-1].parts}
    assert {(Kind.MIX, ""), (Kind.DATA_DRIFT, "tenant=delta")} <= parts


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        ((8, a_new_tenant), (8, another_unit), {Kind.MIX, Kind.DATA_QUALITY}),
        ((8, shift), (8, some_null), {Kind.DATA_DRIFT, Kind.DATA_QUALITY}),
        ((8, shift), (9, some_null), {Kind.DATA_DRIFT, Kind.DATA_QUALITY}),
    ],
    ids=["a new tenant and a unit", "a shift and nulls", "one after the other"],
)
def test_two_causes_are_two_incidents(one: Any, other: Any, kinds: set[Kind]) -> None:
    found = incidents(told(one, other, hours=11))
    assert (len(found), {incident.kind for incident in found}) == (2, kinds)


# the rules, one by one


def finding(
    kind: Kind = Kind.DATA_DRIFT,
    *names: str,
    segment: str = "",
    version: str = "",
    began: int = 0,
    opened: int = 10,
    status: Status = Status.FIRING,
    **effects: float,
) -> Incident:
    """Return a finding; times are in minutes."""
    window = Window((opened - 10) * MINUTE, opened * MINUTE, 100)
    signals = [Signal(name, 9.0, effects) for name in names or ("features.x",)]
    return Incident(
        *(Subject("m", version, segment), kind, status, opened * MINUTE, window, signals, "", f"{kind}."),
        began=began * MINUTE,
        resolved=window.end if status is Status.RESOLVED else None,
    )


def put_together(*steps: list[Incident]) -> list[list[Incident]]:
    causes = Causes(lambda model: 10 * MINUTE, lambda subject: ["t=a", "t=b"])
    return [causes.take(step, max(each.window.end for each in step)) for step in steps]


OUTPUT = finding(Kind.PREDICTION_DRIFT, "prediction.value")


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (finding(), finding(segment="t=a"), True),
        (finding(), finding(segment="t=a", began=300, opened=310), True),
        (finding(), finding(Kind.DATA_QUALITY, "features.y"), False),
        (finding(version="1"), finding(version="2"), False),
        (finding(version="1"), finding(Kind.VOLUME, "events"), False),
        (finding(), OUTPUT, True),
        (OUTPUT, finding(), True),
        (finding(), finding(Kind.PREDICTION_DRIFT, "prediction.value", began=120, opened=130), True),
        (finding(), finding(Kind.PREDICTION_DRIFT, "prediction.value", began=130, opened=140), False),
        (finding(Kind.MIX, "segment.t"), finding(Kind.VOLUME, "events", began=20, opened=30), False),
        (finding(Kind.MIX, "segment.t"), finding(Kind.VOLUME, "events", began=20, opened=40), True),
        (finding(segment="t=a"), finding(Kind.PREDICTION_DRIFT, "prediction.value", segment="t=b"), False),
        (finding(Kind.DATA_DRIFT, "latency_ms"), OUTPUT, False),
        (finding(), finding(Kind.PERFORMANCE, "auroc.estimated"), True),
        (OUTPUT, finding(Kind.PERFORMANCE, "auroc.estimated"), True),
        (
            finding(Kind.PERFORMANCE, "auroc.estimated"),
            finding(Kind.PERFORMANCE, "auroc.estimated", segment="t=a"),
            True,
        ),
        (finding(Kind.MIX, "segment.t"), finding(Kind.VOLUME, "events"), True),
        (finding(Kind.MIX, "segment.t"), finding(), True),
        (finding(Kind.MIX, "segment.t"), finding(segment="t=a"), False),
        (finding(), finding(Kind.THRESHOLD), False),
        (finding(Kind.THRESHOLD), finding(Kind.THRESHOLD, segment="t=a"), True),
        (
            finding(mean_before=1, mean_after=9),
            finding(Kind.DATA_QUALITY, "features.y", mean_before=9, mean_after=1),
            True,
        ),
        (
            finding(mean_before=1, mean_after=9),
            finding(Kind.DATA_QUALITY, "features.y", mean_before=9, mean_after=5),
            False,
        ),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_cause_explains_joins_it(first: Incident, second: Incident, together: bool, at_once: bool) -> None:
    steps = [[first, second]] if at_once else [[first], [second]]
    found = [incident for step in put_together(*steps) for incident in step]
    assert len({incident.id for incident in found}) == (1 if together else 2)
    if together:
        assert {part.id for part in found[-1].parts} == {first.id, second.id}
    else:
        assert all(not incident.parts for incident in found)


@pytest.mark.parametrize(
    ("segment", "after", "together"),
    [("", 145.0, True), ("", 120.0, False), ("", 70.0, False), ("t=a", 68.0, True), ("t=a", 140.0, False)],
)
def test_a_number_of_events_that_is_found_days_later_is_the_new_tenants_if_it_adds_up(
    segment: str, after: float, together: bool
) -> None:
    mix, volume = finding(Kind.MIX, "segment.t"), finding(Kind.VOLUME, "events", segment=segment, began=2_000)
    (signal,) = mix.signals
    mix = msgspec.structs.replace(mix, signals=[msgspec.structs.replace(signal, named={"new": 0.3})])
    counted = Signal("events", 9.0, {"events_before": 100.0, "events_after": after})
    volume = msgspec.structs.replace(
        volume, opened=2_010 * MINUTE, window=Window(2_000 * MINUTE, 2_010 * MINUTE, 9), signals=[counted]
    )
    found = [incident for step in put_together([mix], [volume]) for incident in step]
    assert len({incident.id for incident in found}) == (1 if together else 2)


def test_what_is_alone_is_told_as_it_is() -> None:
    one = finding()
    over = msgspec.structs.replace(one, status=Status.RESOLVED, resolved=one.window.end)
    assert put_together([one], [over]) == [[one], [over]]


def test_of_what_is_found_at_once_the_furthest_upstream_leads_and_of_equals_all_events() -> None:
    some = [OUTPUT, finding(segment="t=b"), finding(), finding(Kind.DATA_QUALITY, segment="t=a")]
    random.Random(1).shuffle(some)
    ((incident,),) = put_together(some)
    assert (incident.kind, incident.subject.segment) == (Kind.DATA_QUALITY, "t=a")
    ((incident,),) = put_together([each for each in some if each.kind is not Kind.DATA_QUALITY])
    assert (incident.kind, incident.subject.segment) == (Kind.DATA_DRIFT, "")


def test_of_segments_the_one_that_moved_alone_leads() -> None:
    of_all, of_one = (msgspec.structs.replace(finding(segment=each), alone="t=b") for each in ("", "t=b"))
    ((incident,),) = put_together([of_all, of_one])
    assert incident.subject.segment == "t=b"


def test_it_is_told_again_when_it_spreads_or_shrinks_and_over_when_all_parts_are() -> None:
    first, of_a, of_b = finding(), finding(segment="t=a", opened=20), finding(segment="t=b", opened=20)
    output_of_a = finding(Kind.PREDICTION_DRIFT, "prediction.value", segment="t=a", opened=40)
    same_again = finding(Kind.PREDICTION_DRIFT, "prediction.value", segment="t=b", opened=50)

    def over(one: Incident, at: int) -> Incident:
        return msgspec.structs.replace(
            one, status=Status.RESOLVED, window=Window(0, at * MINUTE, 9), resolved=at * MINUTE
        )

    steps = put_together(
        [first], [of_a, of_b], [output_of_a], [same_again], [over(first, 60), over(of_b, 60)], [over(same_again, 70)],
        [over(of_a, 80), over(output_of_a, 80)],
    )  # fmt: skip
    told = [step[0] if step else None for step in steps]
    assert [incident and incident.id for incident in told] == [
        first.id,
        first.id,
        first.id,
        None,
        None,
        first.id,
        first.id,
    ]
    *_, back, end = told
    assert back is not None
    assert back.update is not None
    assert "Back to normal: t=b." in back.summary
    assert set(back.update.over) == {first.id, of_b.id, same_again.id}
    assert end is not None
    assert (end.status, end.resolved, end.opened) == (Status.RESOLVED, 80 * MINUTE, first.opened)


def test_each_change_has_a_time_and_so_an_id_of_its_own() -> None:
    """Two steps may be at one time: a command closes what is open where the last window ended."""
    causes = Causes(lambda model: 10 * MINUTE, lambda subject: [])
    some = [finding(), finding(segment="t=a"), finding(segment="t=b")]
    times = [causes.take([each], 10 * MINUTE)[0].changed for each in some]
    assert times == [10 * MINUTE, 10 * MINUTE + 1, 10 * MINUTE + 2]


def test_it_is_as_urgent_as_its_most_urgent_part() -> None:
    lost = msgspec.structs.replace(finding(Kind.DATA_QUALITY, segment="t=a", opened=20), severity="critical")
    _, (incident,) = put_together([finding()], [lost])
    assert (incident.kind, incident.severity) == (Kind.DATA_DRIFT, "critical")


def test_what_began_downstream_takes_its_level_from_what_is_found_upstream() -> None:
    output = msgspec.structs.replace(OUTPUT, level="model", reason="the output moved and the inputs did not")
    inputs = msgspec.structs.replace(finding(opened=20), level="data", reason="the inputs moved")
    _, (incident,) = put_together([output], [inputs])
    assert (incident.id, incident.level, incident.reason) == (output.id, "data", "the inputs moved")


def test_what_comes_back_while_others_go_on_is_a_part_again() -> None:
    first, other = finding(), OUTPUT
    over = msgspec.structs.replace(
        first, status=Status.RESOLVED, resolved=30 * MINUTE, window=Window(0, 30 * MINUTE, 9)
    )
    again = finding(began=600, opened=610)
    _, (back,), (incident,) = put_together([first, other], [over], [again])
    assert back.summary.endswith("Still: prediction.value has a different mix of values.")
    assert (incident.id, incident.opened, incident.status) == (first.id, first.opened, Status.FIRING)
    assert {part.id for part in incident.parts} == {again.id, other.id}
