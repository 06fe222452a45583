"""The whole path to panes, as `driftline run` goes it: one worker, real topics, checkpoints in Redis.

Timers stand at its seams: processing batches, taking out panes, and the checkpoint. Judge is measured by itself.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from resource import getpagesize
from statistics import median
from threading import Event, Thread
from typing import Final

from driftline.bench.job import ContenderCost, Job, Meter
from driftline.bench.workload import PARTITIONS
from driftline.columns.shape import Shape
from driftline.config import Settings
from driftline.errors import DriftlineError
from driftline.log.api import Batch
from driftline.log.kafka import KafkaLog
from driftline.observe.metrics import Sample
from driftline.pipeline.monitoring import monitoring, stage_kinds
from driftline.pipeline.stage_names import SUMMARISE
from driftline.pipeline.summarise_stage import SummariseStage
from driftline.pipeline.views import read_view
from driftline.runtime.stage import Output, Stage
from driftline.runtime.task import Owned
from driftline.runtime.worker import Worker
from driftline.state.api import Claim, Commit, Committed, TaskId
from driftline.state.redis import RedisStore
from driftline.tasks.views import SummariseView

PANE: Final = "1m"
WINDOW: Final = "10m"
"""Driftline's defaults: 600,000 events of the standard workload make a pane."""
SAMPLE_S: Final = 0.25
MIB: Final = 1 << 20


def settings_for(job: Job, *, pane: str = PANE, window: str = WINDOW) -> Settings:
    """Return the settings of a worker that reads the job's topic. References are learned from the first ten seconds."""
    star = {"windows": [window], "pane": pane, "reference": "learn 10s", "segments": job.tags}
    return Settings.model_validate(
        {
            "kafka": {"bootstrap.servers": job.bootstrap, **job.kafka},
            "redis": {"url": job.redis_url, "prefix": job.name},
            "group": job.name,
            "topics": {
                "predictions": job.topic,
                **{name: job.own_topic(name) for name in ("panes", "alerts", "dead_letters")},
            },
            "max_out_of_orderness": "5s",
            "checkpoint": f"{job.checkpoint_ms}ms",
            "models": {"*": star},
        }
    )


class Timers:
    """CPU seconds of the loop's thread by what they were spent on."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Count the time of a `with` block under a name."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.spent[name] += time.thread_time() - start


class TimedStage:
    """A stage whose work is timed."""

    def __init__(self, stage: Stage, partition: int, timers: Timers) -> None:
        self.name, self.inputs, self.at_once, self.partition = stage.name, stage.inputs, stage.at_once, partition
        self.first = self.last = 0.0
        """When the first batch came and when the last was done, on the clock of `time.perf_counter`."""
        self.batches = 0
        self.flushed = False
        """Whether the last panes were closed; the next checkpoint is the last."""
        self._stage = stage
        self._timers = timers

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        self._stage.restore(blobs)

    def process(self, batch: Batch) -> bool:
        """Take in a batch."""
        self.first = self.first or time.perf_counter()
        self.batches += 1
        with self._timers.span("processing"):
            counts = self._stage.process(batch)
        self.last = time.perf_counter()
        return counts

    def hear_idle(self, idle: Set[str]) -> None:
        """See `Stage.hear_idle`."""
        self._stage.hear_idle(idle)

    @property
    def ahead(self) -> str | None:
        """See `Stage.ahead`."""
        return self._stage.ahead

    def skip(self, offset: int, to: int) -> None:
        """See `Stage.skip`."""
        self._stage.skip(offset, to)

    def rest(self, position: int, now: int, idle_ms: int) -> bool:
        """See `Stage.rest`."""
        return self._stage.rest(position, now, idle_ms)

    def end(self, position: int, now: int) -> bool:
        """See `Stage.end`."""
        moved = self._stage.end(position, now)
        self.flushed |= moved
        return moved

    def output(self) -> Output:
        """Take out records."""
        with self._timers.span("panes"):
            return self._stage.output()

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed."""
        return self._stage.checkpoint()

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        """Return the metrics of its task."""
        return self._stage.samples(partition, now_ms)


class TimedStore(RedisStore):
    """Redis, with the CPU that talking to it takes, and the sizes of what it holds of each task."""

    def __init__(self, job: Job, timers: Timers) -> None:
        super().__init__(job.redis_url, prefix=job.name)
        self._timers = timers
        self._sizes: defaultdict[TaskId, dict[str, int]] = defaultdict(dict)
        self.open_groups: Callable[[int], int] = lambda partition: 0
        """Returns the number of (model, version, segment, pane) that are open in a partition."""
        self.written = 0
        self.most_cells = (0, 0)
        """The most bytes of open panes that one task had stored at a time, and the number of its open groups then."""

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        """Move the task forward."""
        held = self._sizes[claim.task]
        for name, blob in commit.writes.items():
            held.pop(name, None)
            if blob is not None:
                held[name] = len(blob)
                self.written += len(blob)
        cells = sum(size for name, size in held.items() if name.startswith(("cells/", "rows/")))
        self.most_cells = max(self.most_cells, (cells, self.open_groups(claim.task.partition)))
        with self._timers.span("redis"):
            return super().commit(claim, commit)


class TimedWorker(Worker):
    """A worker that runs Summarise alone, timed, and stops when all events were read, flushed and published."""

    def __init__(self, job: Job, timers: Timers, store: TimedStore) -> None:
        settings = settings_for(job)
        log = KafkaLog(settings.kafka)
        summarising, _ = stage_kinds(settings, log.partition_counts([job.topic, settings.topics.panes]))
        self.stages: list[TimedStage] = []
        self._timers = timers
        self._events = job.events

        shapes: dict[int, Mapping[str, Shape]] = {}
        store.open_groups = lambda partition: 1 + sum(len(shape.segments) for shape in shapes[partition].values())

        def make(partition: int) -> Stage:
            inner = summarising.make(partition)
            assert isinstance(inner, SummariseStage)
            shapes[partition] = inner.task._format.shapes
            self.stages.append(TimedStage(inner, partition, timers))
            return self.stages[-1]

        kinds = [replace(summarising, make=make)]
        pipeline = replace(monitoring(settings), kinds=lambda counts: kinds)
        super().__init__(settings, log, store, pipeline, owner="bench")

    def step(self) -> None:
        """Poll once; after the last event, finish. Stopping takes the last checkpoint, however long the interval is."""
        super().step()
        if self.progress.records >= self._events:
            self.finish()
        if sum(stage.flushed for stage in self.stages) == PARTITIONS:
            self.stop()

    def _checkpoint(self, tasks: Sequence[Owned]) -> None:
        with self._timers.span("moving forward"):
            super()._checkpoint(tasks)


def growth(samples: Sequence[float]) -> float:
    """Return how much the median of the last quarter is above that of the second, when start-up is over.

    >>> growth([50, 90, 100, 100, 100, 100, 101, 101])
    1.0
    """
    quarter = len(samples) // 4
    return float(median(samples[-quarter:]) - median(samples[quarter : 2 * quarter])) if quarter else 0.0


class MemorySampler:
    """Resident memory of this process, now and then."""

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._done = Event()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_S):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append(pages * getpagesize() / MIB)

    def stop(self) -> list[float]:
        """Return the samples in MiB."""
        self._done.set()
        self._thread.join()
        return self.samples


def whole_path(job: Job) -> ContenderCost:
    """Run a worker until it has read the topic. Wall time is that from the first batch to the end of the last."""
    timers = Timers()
    store = TimedStore(job, timers)
    worker = TimedWorker(job, timers, store)
    memory = MemorySampler()
    meter = Meter()
    worker.run()
    cost = meter.measured(job.events)
    samples = memory.stop()
    views = [_progress(store, TaskId(job.name, SUMMARISE, stage.partition)) for stage in worker.stages]
    accepted = sum(view.accepted for view in views)
    if accepted != job.events:
        raise DriftlineError(f"{accepted} of {job.events} events were counted: {views}")
    spent = timers.spent
    details = {
        "processing_s": spent["processing"],
        "panes_s": spent["panes"],
        "checkpointing_s": spent["moving forward"] - spent["panes"],
        "redis_s": spent["redis"],
        "records_a_batch": job.events / sum(stage.batches for stage in worker.stages),
        "written_mib": store.written / MIB,
        "panes": sum(view.panes for view in views),
        "cells_bytes": store.most_cells[0],
        "groups": max(store.most_cells[1], 1),
        "memory_mib": max(samples, default=0.0),
        "memory_growth_mib": growth(samples),
    }
    wall = max(stage.last for stage in worker.stages) - min(stage.first for stage in worker.stages)
    return ContenderCost(events=job.events, cpu_s=cost.cpu_s, wall_s=wall, details=details)


def _progress(store: RedisStore, task: TaskId) -> SummariseView:
    view = read_view(store, task, SummariseView)
    assert view is not None
    return view
