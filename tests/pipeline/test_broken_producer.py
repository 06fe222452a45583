"""A producer from which nothing counts any more is told of, and holds nobody back: only its event time stands still."""

import json
from dataclasses import dataclass, field

import pytest

from driftline.cli.status import collect
from driftline.log.memory import MemoryLog
from driftline.runtime.worker import Worker
from driftline.state.memory import MemoryStore
from tests.runtime.streams import MINUTE, PARTITIONS, START, Bench, Manual, events, settings

HOURS = 2
GOOD = events(hours=HOURS, shift_after=99, a_minute=12)
LATER = [
    (key, value.replace(b'"e', b'"later-'), time)
    for key, value, time in events(hours=HOURS + 3, shift_after=99, a_minute=12)
    if time >= START + (HOURS + 1) * 60 * MINUTE
]


@pytest.fixture(autouse=True)
def _seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline.runtime.worker.COLLECT_S", 1e9)  # garbage, by a clock that leaps


@dataclass
class Pace:
    """A worker and a clock that goes on with what is published."""

    predictions: object = "predictions"
    manual: Manual = field(default_factory=lambda: Manual(time=START / 1000))

    def __post_init__(self) -> None:
        config = settings(idle_timeout="30s", checkpoint="1s", topics={"predictions": self.predictions})
        log = MemoryLog(clock=lambda: int(self.manual.time * 1000))
        self.bench = Bench(config, log, MemoryStore(clock_ms=lambda: int(self.manual.time * 1000)))
        self.bench.log.create_topics(dict.fromkeys(config.topics.inputs[1:], 1), {})
        self.worker: Worker = self.bench.worker(bounded=False, clock=self.manual.clock())

    def minute(self, at: int, records: list[tuple[bytes, bytes, int]], topic: str | None = None) -> None:
        """Publish the records of a minute of the clock, and let the worker read them."""
        self.manual.time = (START + at * MINUTE) / 1000 + 30
        self.bench.publish(records, topic)
        for _ in range(4):
            self.worker.step()

    def told(self) -> list[tuple[str, str]]:
        records = self.bench.records(self.bench.settings.topics.alerts)
        found = [json.loads(record.value or b"")["data"] for record in records]
        return [(each["kind"], each["status"]) for each in found if each["kind"] in ("dead_letters", "silence")]


def broken(at: int) -> list[tuple[bytes, bytes, int]]:
    return [(b"%d" % number, b"{", START + at * MINUTE + number) for number in range(4 * PARTITIONS)]


def of_minute(stream: list[tuple[bytes, bytes, int]], at: int) -> list[tuple[bytes, bytes, int]]:
    return [each for each in stream if each[2] // MINUTE == START // MINUTE + at]


def test_from_one_minute_to_the_next_nothing_counts_any_more_and_then_all_does_again() -> None:
    pace, end = Pace(), HOURS * 60
    for at in range(end):
        pace.minute(at, of_minute(GOOD, at))
    assert pace.told() == []
    for at in range(end, end + 60):
        pace.minute(at, broken(at))
    assert sorted(pace.told()) == [("dead_letters", "firing"), ("silence", "firing")]
    for at in range(end + 60, end + 110):
        pace.minute(at, of_minute(LATER, at))
    assert sorted(pace.told()[2:]) == [("dead_letters", "resolved"), ("silence", "resolved")]


@pytest.mark.parametrize("begins", range(86, 96))
def test_a_burst_after_a_pause_and_then_nothing_is_told_by_the_clock(begins: int) -> None:
    """Wherever it lies in a window: partitions note it at the time that they told last, which is behind the clock."""
    pace = Pace()
    for at in range(60):
        pace.minute(at, of_minute(GOOD, at))
    for at in range(60, begins + 25):
        pace.minute(at, broken(at) * 3 if at == begins else [])
    assert ("dead_letters", "firing") in pace.told()


@pytest.mark.parametrize("begins", range(10))
def test_one_burst_of_which_nothing_counts_is_told_though_nothing_came_before_nor_comes_after(begins: int) -> None:
    """The log of a first try in which the unit of times is wrong: no time goes on that would end its window."""
    pace = Pace()
    for at in range(begins, begins + 3):
        pace.minute(at, broken(at) * 3 if at == begins else [])
    assert pace.told() == [("dead_letters", "firing")]
    for at in range(begins + 3, begins + 30):
        pace.minute(at, broken(at) if at % 2 else [])
    assert pace.told() == [("dead_letters", "firing")], "it is told once"


@pytest.mark.parametrize("since", [0, 300 * 24 * 60], ids=["live", "of the past"])
def test_a_group_in_which_nothing_ever_counted_is_told_and_loses_no_event_afterwards(since: int) -> None:
    pace = Pace()
    for at in range(since, since + 30):
        pace.minute(at, broken(at) if at < since + 15 else broken(at)[:1])
    assert pace.told() == [("dead_letters", "firing")], "that few come, all of them wrong, does not end it"
    for at in range(30):
        pace.minute(since + 30 + at, of_minute(GOOD, at + (30 if since == 0 else 0)))
    pace.manual.time += 3 * MINUTE / 1000
    pace.minute(since + 70, [])
    assert pace.told() == [("dead_letters", "firing"), ("dead_letters", "resolved")][: 1 if since else 2]
    seen = collect(pace.bench.log, pace.bench.store, pace.bench.settings, now_ms=0)
    assert sum(each.records.accepted for each in seen.partitions if each.records is not None) == 30 * 12
    panes = [each.panes for each in seen.partitions if each.panes is not None]
    assert sum(each.late for each in panes) == 0
    assert sum(each.supplements for each in panes) == 0, "none came behind the time of its window"


def test_a_topic_of_which_nothing_ever_counted_is_told_by_the_time_of_the_others() -> None:
    pace = Pace(["predictions", {"topic": "wrong", "format": "ndjson"}])
    for at in range(40):
        pace.bench.publish([(b"k", b"?", START + at * MINUTE)] * 4, "wrong")
        pace.minute(at, of_minute(GOOD, at))
    assert pace.told() == [("dead_letters", "firing")]


def test_a_topic_of_which_nothing_ever_counted_holds_no_other_back() -> None:
    pace = Pace(["predictions", {"topic": "wrong", "format": "ndjson"}])
    drifting = events(hours=2.5, shift_after=1.7, a_minute=12)
    for at in range(150):
        pace.bench.publish([(b"k", b"?", START + at * MINUTE)], "wrong")
        pace.minute(at, of_minute(drifting, at))
    assert pace.bench.alert_ids(), "the drift of the other topic is told"
