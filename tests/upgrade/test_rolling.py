"""Two releases in one consumer group, on a real Redis: a canary that is taken back, then an upgrade worker by worker.

The next release is today's with a version more: it writes every blob in that version, and reads it and today's. (What
an earlier release really wrote is in the golden files; `make upgrade FROM=<commit>` runs a real one beside this one.)
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

import pytest

from driftline.config import Settings
from driftline.evidence import detectors
from driftline.formats import event_shape
from driftline.incidents.alerts import alert_id
from driftline.log.api import Batch, Headers, Record
from driftline.observe.metrics import Sample
from driftline.offline.backtest import backtest
from driftline.panes import open as open_panes
from driftline.panes import records, stored_rows
from driftline.pipeline.judge_stage import JudgeStage
from driftline.pipeline.monitoring import monitoring, stage_kinds
from driftline.pipeline.stage_names import JUDGE
from driftline.runtime.owning import ASIDE_S
from driftline.runtime.stage import Output, Stage, StageKind
from driftline.runtime.worker import Worker
from driftline.state.redis import RedisStore
from driftline.tables import EncodedEvents
from driftline.tasks import judge as judge_module
from driftline.tasks import summarise as summarise_module
from driftline.tasks.subjects import reference_learning, stored
from tests.fuzz.states import header_of, sealed
from tests.runtime.streams import PARTITIONS, Bench, Manual, events, settings, truths

STREAM = events(hours=4, shift_after=3.5)
PART = len(STREAM) // 4


WRITTEN = {
    "subject": stored.SUBJECT_VERSION,
    "summarise": summarise_module.TASK_VERSION,
    "cells": open_panes.VERSION,
    "rows": stored_rows.VERSION,
    "slice": reference_learning.SLICE_VERSION,
    "judge": judge_module.VERSION,
    "shapes": event_shape.VERSION,
    "pane": records.PANE_VERSION,
}
"""Versions that today's release writes; 1 for what is not here."""


def raised(blob: bytes, by: int) -> bytes:
    """Return a blob of the codec in a later version than today's, or one of that version in today's.

    What others know by its hash is left as it is.
    """
    if not blob.startswith(b"DRFT"):
        return blob
    header, arrays = header_of(blob)
    if header[0] == "reference":
        return blob
    today = WRITTEN.get(header[0], 1)
    assert header[1] in (today, today + 1)
    return sealed([header[0], today + by, *header[2:]], arrays)


class NextRelease:
    """A stage of a release that has another version of state."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.name, self.inputs, self.at_once = stage.name, stage.inputs, stage.at_once

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        self._stage.restore({name: raised(blob, 0) for name, blob in blobs.items()})

    def process(self, batch: Batch) -> bool:
        return self._stage.process(batch)

    def hear_idle(self, idle: Set[str]) -> None:
        self._stage.hear_idle(idle)

    @property
    def ahead(self) -> str | None:
        return self._stage.ahead

    def skip(self, offset: int, to: int) -> None:
        self._stage.skip(offset, to)

    def rest(self, position: int, now: int, idle_ms: int) -> bool:
        return self._stage.rest(position, now, idle_ms)

    def end(self, position: int, now: int) -> bool:
        return self._stage.end(position, now)

    def output(self) -> Output:
        return self._stage.output()

    def checkpoint(self) -> dict[str, bytes | None]:
        writes = self._stage.checkpoint()
        return {name: blob and raised(blob, 1) for name, blob in writes.items()}

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        return self._stage.samples(partition, now_ms)


class LaterPanes(NextRelease):
    """A stage of a release that has another version of the panes topic's records, and today's state."""

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        self._stage.restore(blobs)

    def process(self, batch: Batch) -> bool:
        return self._stage.process(Lowered(batch) if self.name == JUDGE else batch)

    def output(self) -> Output:
        found = self._stage.output()
        if self.name == JUDGE:
            return found
        return Output(
            found.dead_letters, [replace(record, value=raised(record.value or b"", 1)) for record in found.records]
        )

    def checkpoint(self) -> dict[str, bytes | None]:
        return self._stage.checkpoint()

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        return self._stage.samples(partition, now_ms)


class Lowered:
    """A batch whose values are in today's version."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.source, self.offsets, self.timestamps = batch.source, batch.offsets, batch.timestamps
        self.stamped_by_log = batch.stamped_by_log
        self.values = [raised(value or b"", 0) for value in batch.values]

    def headers(self) -> Sequence[Headers]:
        return self._batch.headers()

    def record(self, index: int) -> Record:
        return self._batch.record(index)


def stages_of(config: Settings, release: type[NextRelease]) -> list[StageKind]:
    kinds = stage_kinds(config, {config.topics.main: PARTITIONS, config.topics.panes: 2})
    return [replace(kind, make=_made_by(kind, release)) for kind in kinds]


def _made_by(kind: StageKind, release: type[NextRelease]) -> Callable[[int], Stage]:
    return lambda partition: release(kind.make(partition))


class Group:
    """Workers of one group, stepped in turn."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.manual = Manual()
        self.workers: dict[str, Worker] = {}

    def join(self, name: str, stages: list[StageKind] | None = None) -> Worker:
        pipeline = monitoring(self.bench.settings)
        if stages is not None:
            pipeline = replace(pipeline, kinds=lambda counts: stages)
        worker = Worker(
            self.bench.settings,
            self.bench.log,
            self.bench.store,
            pipeline,
            owner=name,
            clock=self.manual.clock(),
            poll_s=0.0,
        )
        self.workers[name] = worker
        return worker

    def leave(self, name: str) -> None:
        worker = self.workers.pop(name)
        worker.stop()
        worker.run()

    def until(self, done: Callable[[], bool], what: str) -> None:
        for _ in range(3_000):
            for worker in self.workers.values():
                worker.step()
            self.manual.time += 0.2
            if done():
                return
        raise AssertionError(f"never: {what}")

    @property
    def tasks(self) -> set[str]:
        return {task for worker in self.workers.values() for task in worker.progress.tasks}

    def upgraded(self) -> set[str]:
        """Return the tasks that are stored as the next release stores them."""
        infos = self.bench.store.tasks("driftline")
        stored = {
            f"{info.task.stage} {info.task.partition}": self.bench.store.read(info.task, "task") for info in infos
        }
        headers = {task: header_of(blobs["task"])[0] for task, blobs in stored.items() if blobs}
        return {task for task, header in headers.items() if header[1] > WRITTEN.get(header[0], 1)}

    def read(self) -> int:
        return sum(sum(info.offsets.values()) for info in self.bench.store.tasks("driftline") if _summarises(info.task))


def _summarises(task: object) -> bool:
    return getattr(task, "stage", "") == "summarise"


@pytest.fixture
def group(redis_url: str) -> Iterator[Group]:
    store = RedisStore(redis_url)
    yield Group(Bench(settings(idle_timeout="1000d", checkpoint="1s"), store=store))
    store.close()


def expected_alerts() -> set[str]:
    keys, values, times = map(list, zip(*STREAM, strict=True))
    return {alert_id(incident) for incident in backtest(settings(), [EncodedEvents(keys, values, times)]).incidents}


ALL = {*(f"summarise {number}" for number in range(PARTITIONS)), "judge 0", "judge 1"}


def test_a_rolling_upgrade_and_a_canary_that_is_taken_back(group: Group, caplog: pytest.LogCaptureFixture) -> None:
    bench, later = group.bench, stages_of(group.bench.settings, NextRelease)
    expected = expected_alerts()
    assert expected
    for name in ("old-1", "old-2"):
        group.join(name)
    bench.publish(STREAM[:PART])
    group.until(lambda: group.tasks == ALL and group.read() == PART, "the old release reads the first part")

    canary = group.join("canary", later)
    group.until(lambda: bool(canary.progress.tasks) and group.tasks == ALL, "the canary has tasks")
    bench.publish(STREAM[PART : 2 * PART])
    group.until(lambda: group.read() == 2 * PART, "both releases read the second part")
    upgraded = group.upgraded()
    assert upgraded
    assert upgraded < ALL

    caplog.set_level(logging.ERROR)
    group.leave("canary")
    group.until(lambda: group.tasks == ALL - upgraded, "the old workers have what they can read")
    aside = [fault for worker in group.workers.values() for fault in worker.progress.set_aside.values()]
    assert len(aside) == len(upgraded)
    assert all("has version" in fault and "run the release that wrote it" in fault for fault in aside)
    assert len([line for line in caplog.messages if "is set aside" in line]) == len(upgraded)
    assert group.upgraded() == upgraded

    for name, gone in (("new-1", "old-1"), ("new-2", "old-2")):
        group.join(name, later)
        group.leave(gone)
        group.manual.time += ASIDE_S
    bench.publish(STREAM[2 * PART :])
    group.until(lambda: group.tasks == ALL and group.read() == len(STREAM), "the new release reads all")
    for worker in group.workers.values():
        worker.finish()
    group.until(lambda: all(worker._stopping for worker in group.workers.values()), "it is done")
    for name in list(group.workers):
        group.leave(name)
    assert group.upgraded() == ALL
    assert set(bench.alert_ids()) == expected
    assert len(bench.alert_ids()) == len(expected)


def test_a_rolling_upgrade_of_a_group_that_awaits_labels(group: Group) -> None:
    """Waiting predictions and stored outcomes are taken up by the next release, and each label counts once."""
    model = {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "awaits_labels": "1h"}
    config = settings(idle_timeout="1000d", checkpoint="1s", models={"*": model})
    stream = events(hours=4, shift_after=9, a_minute=20)
    labels, whole = truths(stream, until=3), Bench(config)
    group.bench.settings = config
    for bench in (group.bench, whole):
        bench.log.create_topics({config.topics.labels: PARTITIONS}, {})
    whole.publish(stream)
    whole.publish(labels, config.topics.labels)
    whole.worker().run()
    later, part = stages_of(config, NextRelease), len(stream) // 4
    published = 0

    def publish(quarter: int) -> None:
        nonlocal published
        group.bench.publish(stream[quarter * part : (quarter + 1) * part])
        before = 0 if quarter == 0 else quarter * part - 100
        until = len(labels) if quarter == 3 else (quarter + 1) * part - 100
        group.bench.publish(labels[before:until], config.topics.labels)
        published = (quarter + 1) * part + until

    for name in ("old-1", "old-2"):
        group.join(name)
    for quarter, (new, gone) in enumerate([("", ""), ("new-1", ""), ("new-2", "old-1"), ("", "old-2")]):
        if new:
            group.join(new, later)
        if gone:
            group.leave(gone)
        publish(quarter)
        group.until(lambda: group.tasks == ALL and group.read() == published, f"quarter {quarter} is read")
    assert group.upgraded() == ALL
    for worker in group.workers.values():
        worker.finish()
    group.until(lambda: all(worker._stopping for worker in group.workers.values()), "it is done")
    for name in list(group.workers):
        group.leave(name)
    assert labels_of(group.bench) == labels_of(whole) == {"joined": len(labels)}
    assert set(group.bench.alert_ids()) == set(whole.alert_ids())
    assert len(group.bench.alert_ids()) == len(whole.alert_ids())
    kinds = {json.loads(each.value or b"{}")["data"]["kind"] for each in group.bench.records(config.topics.alerts)}
    assert "performance" in kinds


def labels_of(bench: Bench) -> Counter[str]:
    """Return what became of labels, all partitions together; none waits."""
    found: Counter[str] = Counter()
    for info in bench.store.tasks(bench.settings.group):
        if _summarises(info.task):
            view = json.loads(bench.store.read(info.task, "view/progress")["view/progress"])["labels"]
            found.update({**view["fates"], **view["rejected"], "waiting": view["waiting"]})
    return +found


def test_a_worker_that_meets_panes_of_a_later_release_leaves_them_to_that_one(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    bench, later = group.bench, stages_of(group.bench.settings, LaterPanes)
    caplog.set_level(logging.ERROR)
    group.join("old")
    bench.publish(STREAM[:PART])
    group.until(lambda: group.read() == PART, "the old release reads the first part")

    group.join("new", later)
    group.until(lambda: group.tasks == ALL and len(group.workers["new"].progress.tasks) > 1, "both have tasks")
    bench.publish(STREAM[PART:])
    old = group.workers["old"].progress
    group.until(lambda: bool(old.set_aside), "the old worker meets a pane that it cannot read")
    assert all(
        f"has version {records.PANE_VERSION + 1}" in fault and "run the release that wrote it" in fault
        for fault in old.set_aside.values()
    )
    assert all("judge" in line for line in caplog.messages if "is set aside" in line)

    group.leave("old")
    group.until(lambda: group.tasks == ALL and group.read() == len(STREAM), "the new release reads all")
    group.workers["new"].finish()
    group.until(lambda: group.workers["new"]._stopping, "it is done")
    group.leave("new")
    assert set(bench.alert_ids()) == expected_alerts()
    assert len(bench.alert_ids()) == len(expected_alerts())
    assert _unreadable(bench) == 0


def _unreadable(bench: Bench) -> int:
    infos = [info for info in bench.store.tasks("driftline") if info.task.stage == JUDGE]
    views = [json.loads(bench.store.read(info.task, "view/")["view/incidents"]) for info in infos]
    return sum(view["counters"]["unreadable"] for view in views)


def test_another_release_of_river_is_noticed_and_its_detectors_are_rebuilt_from_what_they_were_fed(
    group: Group, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = group.bench
    bench.publish(STREAM)
    monkeypatch.setattr(judge_module, "RIVER", "0.25.0")
    group.join("before")
    group.until(lambda: group.read() == len(STREAM), "it reads all")
    group.until(lambda: bool(bench.alert_ids()), "it tells of the shift")
    group.leave("before")
    fed = _fed(bench)
    assert sum(map(len, fed.values())) > 100
    monkeypatch.setattr(judge_module, "RIVER", detectors.RIVER)
    caplog.set_level(logging.WARNING)
    group.join("after")
    group.until(lambda: group.tasks == ALL, "the next worker has all")
    lines = [line for line in caplog.messages if "river" in line]
    number = len(fed)
    assert lines == [
        f"judge {number_of_judge(bench)}: river is {detectors.RIVER} now and was 0.25.0: rebuilt {number} detectors "
        "from their stored scores"
    ]
    group.leave("after")
    assert _fed(bench) == fed


def number_of_judge(bench: Bench) -> int:
    """Return the partition of the panes topic that the model's panes are in."""
    (number,) = {judge for judge, _, _ in _fed(bench)}
    return number


def _fed(bench: Bench) -> dict[tuple[int, str, str], tuple[float, ...]]:
    """Return the scores of every detector that is stored."""
    found = {}
    for info in bench.store.tasks("driftline"):
        if info.task.stage == "judge":
            kind = stage_kinds(bench.settings, {"predictions": PARTITIONS, bench.settings.topics.panes: 2})[1]
            stage = kind.make(info.task.partition)
            assert isinstance(stage, JudgeStage)
            stage.restore(bench.store.read(info.task, ""))
            for judge in stage.task._roster.subjects.values():
                for detector in judge._detectors:
                    found[info.task.partition, detector.name, detector.signal] = detector.snapshot().scores
    return found
