"""Judge by itself: what pane records, slices and windows cost. Panes are made beforehand, outside the clock."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import msgspec

from driftline.bench.job import ContenderCost, Job, Meter
from driftline.bench.path import settings_for
from driftline.bench.workload import PARTITIONS, Workload, slices
from driftline.panes.records import PaneRecord
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tasks.judge import Judge
from driftline.tasks.summarise import Summarise

MODELS: Final = 10
PANE: Final = "1s"
PANE_MS: Final = 1_000
WINDOW: Final = "2s"
AT_ONCE: Final = 5_000
"""Events summarised at once, half a second of event time: so no watermark completes more than one slice a model."""


@dataclass(slots=True)
class Spent:
    """CPU seconds by record, and by what the record made Judge do."""

    panes: list[float] = field(default_factory=list)
    """Pane records: decoded and kept until all partitions have sent theirs."""
    slices: list[float] = field(default_factory=list)
    """Watermarks that complete a slice of each model: merged, counted into bins, fed to detectors."""
    windows: list[float] = field(default_factory=list)
    """Watermarks that complete a slice of each model and end a window of each, which is judged."""
    references: float = 0.0
    """Watermarks that, besides, complete a reference."""


def judge(job: Job) -> ContenderCost:
    """Judge panes of ten models, record by record. What a window costs is by how much a watermark that ends one is
    dearer than one that only completes slices.
    """
    settings = settings_for(job, pane=PANE, window=WINDOW)
    encoded = list(_panes(job))
    task = Judge(judge_settings(settings))
    spent = Spent()
    known = 0
    meter = Meter()
    for value, is_pane in encoded:
        panes, windows = task.mark // PANE_MS, task.counters.windows
        start = time.thread_time()
        task.process([value])
        took = time.thread_time() - start
        before, known = known, _references(task)
        if is_pane:
            spent.panes.append(took)
        elif known > before:
            spent.references += took
        elif known == MODELS and task.mark // PANE_MS == panes + 1:
            (spent.windows if task.counters.windows > windows else spent.slices).append(took)
    cost = meter.measured(job.events)
    start = time.thread_time()
    state = sum(len(blob) for blob in task.checkpoint().values() if blob)
    checkpoint_s = time.thread_time() - start
    details = {
        "panes": len(spent.panes),
        "windows": task.counters.windows,
        "us_a_pane": _middle(spent.panes) * 1e6,
        "us_a_slice": _middle(spent.slices) / MODELS * 1e6,
        "us_a_window": (_middle(spent.windows) - _middle(spent.slices)) / MODELS * 1e6,
        "us_a_reference": spent.references / max(known, 1) * 1e6,
        "checkpoint_s": checkpoint_s,
        "state_bytes": state,
        "subjects": len(task.view().subjects),
    }
    return msgspec.structs.replace(cost, details=details)


def _middle(values: Sequence[float]) -> float:
    return median(values) if values else 0.0


def _references(task: Judge) -> int:
    """Count the subjects that have a reference."""
    return sum(subject.reference is not None for subject in task.view().subjects)


def _panes(job: Job) -> Iterator[tuple[bytes, bool]]:
    """Yield encoded records of the panes topic, and whether each is a pane (else a watermark)."""
    settings = summarise_settings(settings_for(job, pane=PANE, window=WINDOW))
    tasks = [Summarise(settings, number, PARTITIONS) for number in range(PARTITIONS)]
    position = 0
    for piece in slices(Workload(job.events, models=MODELS)):
        for start in range(0, len(piece.values), AT_ONCE):
            some = range(start, min(start + AT_ONCE, len(piece.values)))
            position += len(some)
            for number, task in enumerate(tasks):
                chosen = [at for at in some if piece.partitions[at] == number]
                task.process([piece.values[at] for at in chosen], [piece.times[at] for at in chosen], position)
                yield from _encoded(task)
    for task in tasks:
        task.end()
        yield from _encoded(task)


def _encoded(task: Summarise) -> Iterator[tuple[bytes, bool]]:
    for record in task.emit():
        yield record.encode(), isinstance(record, PaneRecord)
