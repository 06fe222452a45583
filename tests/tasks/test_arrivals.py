"""How events come is watched, too: late, without a time, ahead of it. That is data of worse quality, not other data."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from driftline.config import Settings
from driftline.incidents.incident import Incident, Kind, Status
from driftline.offline.backtest import backtest
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tables import EncodedEvents
from driftline.tasks.judge import Judge
from driftline.tasks.summarise import Summarise
from tests.tasks.changes import HOUR, MINUTE, START, Event, Stream, encoded, watching
from tests.tasks.streams import Run

BEGAN = START + 8 * HOUR
Delay = Callable[[int, Any], float]
"""Milliseconds by which the event of this time is sent late."""


def arriving(stream: Stream, delay: Delay, seed: int = 1) -> list[EncodedEvents]:
    """Return the events in the order in which they were sent."""
    chance = np.random.default_rng(seed)
    sent = sorted((time + int(delay(time, chance)), time, value) for time, value in stream.events())
    batches = []
    for start in range(0, len(sent), 2_000):
        stamps, times, values = map(list, zip(*sent[start : start + 2_000], strict=True))
        batches.append(EncodedEvents([b""] * len(values), values, times, stamps))
    return batches


def incidents(batches: list[EncodedEvents], how: Settings | None = None) -> list[Incident]:
    patient = (how or watching()).model_copy(update={"max_out_of_orderness": HOUR})
    result = backtest(patient, batches)
    assert result.counters["accepted"] == result.events, "or a part of the events was never counted"
    return [incident for incident in result.latest if incident.status is Status.FIRING]


def usual(time: int, chance: Any) -> float:
    return float(chance.exponential(10_000))


def a_third_late(time: int, chance: Any) -> float:
    more = 10 * MINUTE if time >= BEGAN and chance.random() < 0.3 else 0
    return usual(time, chance) + more


def test_events_that_come_late_are_told_in_the_first_windows() -> None:
    (incident,) = incidents(arriving(Stream(hours=10), a_third_late))
    (signal,) = incident.signals
    assert (incident.kind, signal.name, signal.what) == (Kind.DATA_QUALITY, "arrival.delay_s", "late")
    assert float(signal.before.rstrip("%")) <= 1.0
    assert 20 <= float(signal.after.rstrip("%")) <= 40
    assert BEGAN < incident.opened <= BEGAN + 30 * MINUTE
    assert (incident.level, incident.reason) == (
        "environment",
        "only the arrival of events changed, not their content",
    )
    assert f"events {signal.before} → {signal.after} late (mean delay 1" in incident.summary
    assert incident.false_alarms is not None, "chance makes events late, so it is a matter of the budget"


@pytest.mark.parametrize("seed", range(3))
def test_the_usual_delays_are_no_incident(seed: int) -> None:
    def with_backlogs(time: int, chance: Any) -> float:
        """For five minutes of each hour events wait for up to a minute."""
        backlog = 60_000 if time % HOUR < 5 * MINUTE else 0
        return usual(time, chance) + backlog * float(chance.random())

    assert incidents(arriving(Stream(hours=16, seed=seed), with_backlogs, seed)) == []


@pytest.mark.parametrize(
    "delay",
    [
        lambda time, chance: 500 if time < BEGAN else 4_500,
        lambda time, chance: -2_000 if time < BEGAN else 6_000,
        lambda time, chance: usual(time, chance) + (120_000 if time < BEGAN else 0),
    ],
    ids=["networks take seconds", "clocks differ by seconds", "events come sooner"],
)
def test_what_is_no_matter_of_data_is_no_incident(delay: Delay) -> None:
    assert incidents(arriving(Stream(hours=11), delay)) == []


def test_events_from_the_future_are_told() -> None:
    (incident,) = incidents(arriving(Stream(hours=9), lambda time, chance: 0 if time < BEGAN else -90_000))
    assert (incident.kind, incident.signals[0].what) == (Kind.DATA_QUALITY, "dated in the future")
    assert "events 0% → 100% dated in the future (mean lead 64 s or more)" in incident.summary


def untimed(event: Event, chance: Any) -> Event:
    del event["event_time"]
    return event


def test_a_sender_that_leaves_out_the_time_is_no_chance_and_a_matter_of_the_code() -> None:
    how = watching(false_alarms=f"0.{'0' * 200}1 per 3650d")
    (incident,) = incidents(arriving(Stream(untimed, a_minute=5, hours=10), lambda time, chance: 0), how)
    assert incident.opened == BEGAN + 10 * MINUTE
    assert incident.signals[0].name == "arrival.delay_s"
    assert (incident.level, incident.reason) == ("code", "the schema changed: event_time is gone")
    assert "events 0% → 100% without an event time" in incident.summary
    assert incident.false_alarms is None


def test_a_tenant_whose_events_alone_are_late_is_named() -> None:
    stream = Stream(hours=10, a_minute=24, tenants=("a", "b", "c"))
    batches = arriving(stream, usual)
    late = [
        replace(
            batch,
            arrived=[
                stamp + (10 * MINUTE if time >= BEGAN and b'"tenant":"b"' in value else 0)
                for stamp, time, value in zip(batch.arrived or [], batch.times or [], batch.values, strict=True)
            ],
        )
        for batch in batches
    ]
    found = incidents(late, watching(segments=["tenant"]))
    assert {incident.subject.segment for incident in found} == {"tenant=b"}
    assert {part.segment for part in found[-1].parts} == {"", "tenant=b"}
    assert {(incident.level, incident.reason) for incident in found} == {
        ("environment", "of several segments, only tenant=b moved")
    }


def twentieth_too_late(time: int, chance: Any) -> float:
    return 20 * MINUTE if time >= BEGAN and chance.random() < 0.05 else 0


def test_events_that_come_too_late_to_be_counted_are_told_as_late_by_model() -> None:
    """Another model sends as ever: of all records together so few are refused that the stream is not worth a word."""
    other = Stream(hours=10, model="other", a_minute=100, seed=4)
    sent = [(time, time, value) for time, value in other.events()]
    for batch in arriving(Stream(hours=10), twentieth_too_late):
        sent += zip(batch.arrived or [], batch.times or [], batch.values, strict=True)
    stamps, times, values = map(list, zip(*sorted(sent), strict=True))
    result = backtest(watching(), [EncodedEvents([b""] * len(values), values, times, stamps)])
    assert result.counters["late"] > 50
    (incident,) = result.latest
    assert (incident.kind, incident.subject.model, incident.level) == (Kind.DATA_QUALITY, "m", "environment")
    (signal,) = incident.signals
    assert (signal.name, signal.what, signal.before) == ("arrival.delay_s", "late", "0%")
    assert 2 <= float(signal.after.rstrip("%")) <= 12
    assert BEGAN < incident.opened <= BEGAN + 90 * MINUTE


def test_a_table_that_does_not_tell_when_events_were_sent_tells_nothing_of_how_they_came() -> None:
    """So a reference from a training table makes no incident of what happens on the way to Kafka."""
    silent = [replace(batch, arrived=None) for batch in arriving(Stream(hours=7), usual)]
    twice = [replace(batch, arrived=None) for batch in sent_again(Stream(hours=9), 0.3)]
    assert {incident.kind for incident in incidents(twice)} <= {Kind.VOLUME}
    how = watching()
    run = Run(Summarise(summarise_settings(how), 0, 1))
    for batch in silent:
        run.feed(batch.values, [-1] * len(batch.values))
    for batch in arriving(Stream(hours=10), usual):
        kept = [at for at, time in enumerate(batch.times or []) if time >= START + 7 * HOUR]
        run.feed([batch.values[at] for at in kept], [(batch.arrived or [])[at] for at in kept])
    run.finish()
    judge = Judge(judge_settings(how))
    judge.process(run.sent)
    assert judge.view().counters.windows >= 20
    assert judge.emit() == []


def sent_again(stream: Stream, share: float, *, seed: int = 2, usually: float = 0.0) -> list[EncodedEvents]:
    """Return the events, some of which are sent twice: a share of those from BEGAN on, and usually of all."""
    chance = np.random.default_rng(seed)
    events = []
    for time, value in stream.events():
        events.append((time, value))
        if chance.random() < (share if time >= BEGAN else usually):
            events.append((time, value))
    return [replace(batch, arrived=batch.times) for batch in encoded(events)]


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_events_that_are_sent_twice_are_told(share: float) -> None:
    found = incidents(sent_again(Stream(hours=10), share))
    (incident,) = [each for each in found if each.kind is Kind.DATA_QUALITY]
    (signal,) = incident.signals
    assert (signal.name, signal.what, signal.before) == ("arrival.repeated", "repeated", "0%")
    assert float(signal.after.rstrip("%")) == pytest.approx(100 * share / (1 + share), rel=0.6)
    assert BEGAN < incident.opened <= BEGAN + 20 * MINUTE
    assert incident.level == "environment"
    assert f"events 0% → {signal.after} repeated." in incident.summary


@pytest.mark.parametrize("seed", range(3))
def test_a_share_of_repeats_that_is_usual_is_no_incident(seed: int) -> None:
    assert incidents(sent_again(Stream(hours=16, seed=seed), 0.1, seed=seed, usually=0.1)) == []


def test_ids_that_are_no_longer_sent_say_nothing_of_repeats() -> None:
    def anonymous(event: Event, chance: Any) -> Event:
        del event["event_id"]
        return event

    assert incidents(arriving(Stream(anonymous, hours=11), usual)) == []
