"""The watchdog through the workers: it comes while all of the way works, and stays away where a part does not."""

import json
from collections import Counter

import pytest

from driftline.config import Settings
from driftline.events import rfc3339
from driftline.incidents.alerts import alert_id
from driftline.incidents.watchdog import WATCHDOG_TYPE
from driftline.log.api import Headers, Record, TopicPartition
from driftline.offline.backtest import backtest
from driftline.panes.records import Watermark
from driftline.pipeline.headers import sent_by
from driftline.pipeline.monitoring import stage_kinds
from driftline.pipeline.stage_names import SUMMARISE
from driftline.state.api import TaskId
from driftline.tables import EncodedEvents
from tests.alerts import alert_validator
from tests.runtime.streams import MINUTE, START, Bench, Manual, events, settings

HOURS = 4
STREAM = events(hours=HOURS, shift_after=2.5)
EVERY = 10 * MINUTE


def told(bench: Bench) -> list[tuple[int, str]]:
    """Return (partition, time) of the watchdog's events, as published."""
    found = []
    for record in bench.records(bench.settings.topics.alerts):
        event = json.loads(record.value or b"")
        if event["type"] == WATCHDOG_TYPE:
            alert_validator("watchdog").validate(event)
            assert (record.key or b"").decode() == event["partitionkey"]
            found.append((event["data"]["partition"], event["time"]))
    return found


def incidents(bench: Bench) -> list[str]:
    events = [json.loads(record.value or b"") for record in bench.records(bench.settings.topics.alerts)]
    return [event["id"] for event in events if event["type"] != WATCHDOG_TYPE]


def watched(**more: object) -> Settings:
    return settings(watchdog="10m", checkpoint="1ms", **more)


def live(bench: Bench, *, minutes: int = 10) -> None:
    """Publish and read some minutes of events at a time, as they come in life."""
    manual = Manual()
    worker = bench.worker(bounded=False, clock=manual.clock())
    for start in range(START, START + HOURS * 60 * MINUTE, minutes * MINUTE):
        bench.publish([event for event in STREAM if start <= event[2] < start + minutes * MINUTE])
        ends = {number: end for number, (_, end) in bench.log.bounds(bench.settings.topics.main).items()}
        for _ in range(200):
            worker.step()
            manual.time += 0.05
            offsets = {info.task: info.offsets for info in bench.store.tasks(bench.settings.group)}
            topic = bench.settings.topics.main
            read = {number: offsets.get(TaskId(bench.settings.group, SUMMARISE, number), {}) for number in ends}
            if all(read[number].get(topic, 0) >= end for number, end in ends.items()):
                break
    worker.stop()
    worker.run()
    bench.worker().run()


def test_every_partition_speaks_once_each_interval_and_changes_no_alert() -> None:
    bench = Bench(watched())
    live(bench)
    counts = Counter(partition for partition, _ in told(bench))
    assert set(counts) == {0, 1}
    assert all(HOURS * 6 - 3 <= count <= HOURS * 6 + 1 for count in counts.values())
    assert len(set(told(bench))) == len(told(bench))
    keys, values, times = map(list, zip(*STREAM, strict=True))
    alone = backtest(watched(), [EncodedEvents(keys, values, times)])
    assert incidents(bench) == [alert_id(incident) for incident in alone.incidents] != []


def test_a_backlog_is_told_by_its_last_multiples_not_by_each() -> None:
    bench = Bench(watched())
    bench.publish(STREAM)
    bench.worker().run()
    assert 2 <= len(told(bench)) < HOURS * 6


def test_it_says_nothing_unless_it_is_asked_to() -> None:
    bench = Bench(settings())
    bench.publish(STREAM)
    bench.worker().run()
    assert told(bench) == []


def test_a_partition_of_predictions_that_nobody_counts_silences_it() -> None:
    """It holds back alerts, too. One that is only idle does not."""
    config = watched()
    _, kind = stage_kinds(config, {config.topics.main: 2, config.topics.panes: 1})
    judge = kind.make(0)

    def said(*marks: Watermark) -> list[str]:
        source = TopicPartition(config.topics.panes, 0)
        records = [Record(None, mark.encode(), sent_by(config.group)) for mark in marks]
        judge.process(Taken(source, records))
        return [json.loads(record.value or b"")["time"] for record in judge.output().records]

    assert said(Watermark(0, 2, START, False, 1)) == []
    assert said(Watermark(1, 2, START, False, 1)) == [rfc3339(START)]
    assert said(Watermark(0, 2, START + 5 * EVERY, False, 2)) == []
    assert said(Watermark(1, 2, START + 2 * EVERY, False, 2)) == [rfc3339(START + 2 * EVERY)]
    assert said(Watermark(1, 2, START + 2 * EVERY, True, 3)) == [rfc3339(START + 5 * EVERY)]


class Taken:
    """Records as a stage gets them."""

    def __init__(self, source: TopicPartition, records: list[Record]) -> None:
        self.source = source
        self.values = [record.value for record in records]
        self.offsets = list(range(len(records)))
        self.timestamps = [0] * len(records)
        self.stamped_by_log = False
        self._records = records

    def headers(self) -> list[Headers]:
        return [record.headers for record in self._records]

    def record(self, index: int) -> Record:
        return self._records[index]


def test_alerts_that_are_counted_are_without_it() -> None:
    bench = Bench(watched())
    bench.publish(STREAM)
    worker = bench.worker()
    worker.run()
    assert worker.progress.alerts == len(incidents(bench)) > 0
    assert told(bench)


def test_it_can_be_written_as_a_duration_and_is_off_by_default() -> None:
    assert Settings().watchdog is None
    assert watched().watchdog == EVERY
    with pytest.raises(ValueError, match="watchdog"):
        settings(watchdog="0s")
