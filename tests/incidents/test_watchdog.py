"""The watchdog's events: CloudEvents, the same whenever they are made, by themselves in a compacted topic."""

from itertools import pairwise

import msgspec
import pytest
from cloudevents.v1.http import from_json
from hypothesis import given
from hypothesis import strategies as st

from driftline.incidents.watchdog import WATCHDOG_TYPE, Watchdog
from tests.alerts import alert_validator

DOG = Watchdog("driftline", 2, 4, 300_000)
TIME = 1_790_000_100_000
times = st.integers(-10_000, 10**7)


def test_it_is_a_cloudevent_of_its_own_type_as_its_schema_says() -> None:
    event = from_json(DOG.event(TIME).encode())
    assert (event["type"], event["source"], event["partitionkey"]) == (WATCHDOG_TYPE, "/driftline/driftline", DOG.key)
    assert not event["type"].startswith("io.driftline.incident.")
    assert (event["time"], event.data["next"]) == ("2026-09-21T14:15:00Z", "2026-09-21T14:20:00Z")
    alert_validator("watchdog").validate(msgspec.json.decode(DOG.event(TIME).encode()))


def test_its_key_stays_and_its_id_names_the_time() -> None:
    assert {DOG.event(time).partitionkey for time in range(0, 3_000_000, 300_000)} == {DOG.key}
    assert len({DOG.event(time).id for time in range(0, 3_000_000, 300_000)}) == 10
    others = [Watchdog("other", 2, 4, 300_000), Watchdog("driftline", 3, 4, 300_000)]
    assert len({DOG.key, *(other.key for other in others)}) == 3
    assert len({dog.event(TIME).id for dog in (DOG, *others)}) == 3


@given(st.lists(times, min_size=2).map(sorted), st.integers(1, 5_000))
def test_every_multiple_that_time_reaches_alone_is_told_once_and_of_several_the_last(
    marks: list[int], interval: int
) -> None:
    dog = Watchdog("g", 0, 1, interval)
    told = [(before, now, dog.due(before, now)) for before, now in pairwise(marks)]
    for before, now, time in told:
        passed = [
            multiple for multiple in range(-10_000 // interval * interval, now + 1, interval) if multiple > before
        ]
        assert time == (passed[-1] if passed else None)
    said = [time for _, _, time in told if time is not None]
    assert said == sorted(set(said))


@pytest.mark.parametrize("before", [-(2**62), TIME - 1])
def test_the_first_time_that_is_known_is_told(before: int) -> None:
    assert DOG.due(before, TIME) == TIME
