"""Partitions of very different pace: an event in order counts in its window, however seldom its partition has one."""

import json

import pytest

from driftline.cli.status import collect
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog
from driftline.state.memory import MemoryStore
from tests.runtime.streams import PARTITIONS, START, Bench, Manual, settings

MODEL = {"windows": ["1m"], "pane": "10s", "reference": "learn 20m"}


@pytest.mark.parametrize("every_s", [90, 150], ids="one each {} s".format)
def test_a_partition_that_is_idle_between_its_events_loses_none_of_them(
    every_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is idle after 60 s, and Judge waits for it no more: then it brings an event, whose pane is sent 60 s later."""
    monkeypatch.setattr("driftline.runtime.worker.COLLECT_S", 1e9)  # garbage, by a clock that leaps
    manual = Manual(time=START / 1000)
    config = settings(idle_timeout="60s", checkpoint="1s", models={"*": MODEL})
    log = MemoryLog(clock=lambda: int(manual.time * 1000))
    bench = Bench(config, log, MemoryStore(clock_ms=lambda: int(manual.time * 1000)))
    worker, producer = bench.worker(bounded=False, clock=manual.clock()), log.producer()
    published = 0
    for second in range(600):
        manual.time = START / 1000 + second
        for partition in range(PARTITIONS):
            if second % (1 if partition else every_s) == 0:
                event = {"event_id": f"{partition}-{second}", "event_time": START + second * 1000, "model": "m"}
                value = json.dumps({**event, "features": {"x": second % 7}, "prediction": 0.5}).encode()
                producer.produce(Outgoing(config.topics.main, b"k", value, partition))
                published += 1
        for _ in range(3):
            worker.step()
    seen = collect(log, bench.store, config, now_ms=0)
    worker.close()
    assert sum(each.records.accepted for each in seen.partitions if each.records is not None) == published
    assert sum(each.panes.late for each in seen.partitions if each.panes is not None) == 0
