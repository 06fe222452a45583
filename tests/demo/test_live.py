"""A pause longer than `idle_timeout`, in the middle of a pane, costs no event: at the demo's own pace, in no time."""

import msgspec

from driftline.demo.live import IDLE_MS, MODEL, PANE_MS, PAUSE_MS, SETTINGS, Event, LiveFeed, Plan
from driftline.log.memory import MemoryLog
from driftline.panes.records import PaneRecord, decode_record
from driftline.pipeline.views import views
from driftline.state.memory import MemoryStore
from driftline.tasks.views import JudgeView, SummariseView
from tests.runtime.streams import Bench, Manual, settings

RATE = 20.0
NOON = 1_790_000_010.0
"""Seconds: ten after a pane began."""


def events(mean: float) -> "list[Event]":
    return [
        (b"e%d" % n, msgspec.json.encode({"model": "m", "features": {"x": mean + n % 7}, "prediction": n % 5 / 5}))
        for n in range(500)
    ]


def test_no_event_is_lost_by_a_pause_and_the_shift_after_it_is_found() -> None:
    manual = Manual(NOON)
    wall_ms = manual.clock().wall_ms
    learned = {**MODEL, "reference": "learn 100 events"}
    own = settings(models={"*": learned}, checkpoint="500ms", **SETTINGS)
    bench = Bench(own, MemoryLog(clock=wall_ms), MemoryStore(wall_ms))
    worker = bench.worker(bounded=False, clock=manual.clock())
    pausing = 0

    def sleep(seconds: float) -> None:
        nonlocal pausing
        pausing += feed.pausing
        for _ in range(4):
            worker.step()
        manual.time += seconds

    producer = bench.log.producer()
    feed = LiveFeed(producer, own.topics.main, stopped=lambda: False, rate=RATE, wall_ms=wall_ms, sleep=sleep)
    feed.run(iter(events(0.0)), iter(events(20.0)))
    worker.finish()
    for _ in range(3_000):
        if worker.stopping:
            break
        worker.step()
        manual.time += 0.05
    worker.wind_up()

    counted = list(views(bench.store, bench.settings.group, SummariseView))
    assert pausing * 100 > IDLE_MS
    assert feed.in_the_same_pane > 100
    assert sum(view.consumed for view in counted) == feed.published > 1_500
    assert sum(view.accepted for view in counted) == feed.published, "not one is refused"
    records = [decode_record(record.value or b"") for record in bench.records(own.topics.panes)]
    mine = [each for each in records if isinstance(each, PaneRecord) and each.model == "m" and each.start == pane(feed)]
    assert len({each.flushes for each in mine}) > 1, "it left before its end, and a supplement followed"
    assert {view.counters.late for view in views(bench.store, bench.settings.group, JudgeView)} == {0}
    assert bench.alert_ids(), "the shift is found"


def pane(feed: LiveFeed) -> int:
    return feed.plan.pause // PANE_MS * PANE_MS


def test_the_pause_is_longer_than_the_idle_timeout_and_within_a_pane() -> None:
    for start in range(1_790_000_000_000, 1_790_000_000_000 + PANE_MS, 977):
        plan = Plan.of(start)
        assert plan.pause // PANE_MS == plan.resume // PANE_MS
        assert plan.resume - plan.pause == PAUSE_MS > IDLE_MS
        assert start < plan.pause < plan.resume < plan.shift < plan.end < start + 140_000
        assert plan.shift % PANE_MS == 0
        assert plan.active(plan.pause) == plan.active(plan.resume)
