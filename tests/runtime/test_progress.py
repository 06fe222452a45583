"""What a worker's metrics say, in the units and with the meanings of the table."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from driftline.config import Settings
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog
from driftline.observe.metrics import PANE_RECORDS, WATERMARK, WATERMARK_LAG, Metric, Sample
from driftline.panes.records import PaneRecord, decode_record
from driftline.pipeline.headers import sent_by
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.worker import Worker
from driftline.state import MemoryStore
from tests.runtime.streams import Manual
from tests.runtime.test_finish import BEGIN, SETTINGS, publish


class Watched:
    """A log with a partition of each topic, and what the last worker on it said at its end."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.log, self.store = MemoryLog(), MemoryStore()
        self.log.create_topics({topic: 1 for _, topic in SETTINGS.topics.named()}, {})
        self.manual = Manual(BEGIN / 1000 + 7_200)
        self.samples: Sequence[Sample] = ()

    def work(self) -> None:
        clock = self.manual.clock()
        worker = Worker(
            self.settings,
            self.log,
            self.store,
            monitoring(self.settings),
            owner="a",
            clock=clock,
            poll_s=0.0,
            observe=self.observe,
        )
        for _ in range(20):
            worker.step()
            self.manual.time += 0.1
        worker.stop()
        worker.run()

    def observe(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def fates(self) -> dict[str, float]:
        fates = ("merged", "repeated", "late", "unreadable")
        return {fate: self.value(PANE_RECORDS, "0", fate) for fate in fates}

    def value(self, metric: Metric, *labels: str) -> float:
        (found,) = [sample.value for sample in self.samples if (sample.metric, sample.labels) == (metric, labels)]
        return found


def test_a_watermark_is_in_seconds_and_as_far_behind_the_clock_as_its_lag_says() -> None:
    watched = Watched()
    publish(watched.log, range(1_000))
    watched.work()
    newest = BEGIN / 1000 + 99.9
    assert newest - 60 <= watched.value(WATERMARK, "0") <= newest
    behind = watched.manual.time - watched.value(WATERMARK, "0")
    assert watched.value(WATERMARK_LAG, "0") == pytest.approx(behind)


def test_panes_are_merged_or_they_came_again_or_too_late_or_cannot_be_read() -> None:
    short = {"windows": ["1m"], "pane": "1m", "reference": "learn 3m"}
    watched = Watched(Settings.model_validate({"checkpoint": "50ms", "models": {"*": short}}))
    publish(watched.log, range(6_000))
    watched.work()
    panes = SETTINGS.topics.panes
    sent = [record.value or b"" for *_, record in watched.log.read(panes).poll(0)]
    assert watched.fates() == {"merged": len(sent), "repeated": 0, "late": 0, "unreadable": 0}
    decoded = [each for each in map(decode_record, sent) if isinstance(each, PaneRecord)]
    fifth = next(each for each in decoded if each.model == "m" and each.start == BEGIN + 5 * 60_000)
    late = replace(fifth, flushes=1).encode()  # its window was judged long ago
    of_stream = replace(next(each for each in decoded if not each.model), flushes=1).encode()  # it counts now
    producer = watched.log.producer()
    for value in (*sent, late, of_stream, b"no pane", None):
        producer.produce(Outgoing(panes, b"m", value, partition=0, headers=sent_by(SETTINGS.group)))
    watched.work()
    assert watched.fates() == {"merged": len(sent) + 1, "repeated": len(sent), "late": 1, "unreadable": 2}
