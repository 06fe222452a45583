"""Judge by itself: what a pane record and a judged window cost. Panes are made beforehand, outside the clock."""

import time
from collections.abc import Iterator
from typing import Final

import msgspec

from driftline.bench.job import Job, Measured, Meter
from driftline.bench.path import settings_for
from driftline.bench.workload import PARTITIONS, Workload, slices
from driftline.panes.records import PaneRecord
from driftline.runtime.rules import judge_settings, summarise_settings
from driftline.tasks.judge import Judge
from driftline.tasks.summarise import Summarise

MODELS: Final = 10
PANE: Final = "1s"
WINDOW: Final = "5s"


def judge(job: Job) -> Measured:
    """Judge panes of ten models: the records of a second of event time, then the windows that they close.

    A reference that is learned takes as long as many windows, once: it is counted apart from those judged.
    """
    settings = settings_for(job, pane=PANE, window=WINDOW)
    encoded = list(_panes(job))
    task = Judge(judge_settings(settings))
    taking = deciding = learning = 0.0
    known = 0
    meter = Meter()
    for value, is_pane in encoded:
        start = time.thread_time()
        task.process([value])
        spent = time.thread_time() - start
        if is_pane:
            taking += spent
            continue
        before, known = known, _references(task)
        if known > before:
            learning += spent
        else:
            deciding += spent
    panes = sum(is_pane for _, is_pane in encoded)
    windows = task.view()["counters"]["windows"]
    cost = meter.measured(job.events)
    start = time.thread_time()
    state = sum(len(blob) for blob in task.checkpoint().values() if blob)
    checkpoint_s = time.thread_time() - start
    details = {
        "panes": panes,
        "windows": windows,
        "us_a_pane": taking / panes * 1e6,
        "us_a_window": deciding / max(windows, 1) * 1e6,
        "us_a_reference": learning / max(known, 1) * 1e6,
        "checkpoint_s": checkpoint_s,
        "state_bytes": state,
        "subjects": len(task.view()["subjects"]),
    }
    return msgspec.structs.replace(cost, details=details)


def _references(task: Judge) -> int:
    """Count the subjects that have a reference."""
    return sum(subject["reference"] is not None for subject in task.view()["subjects"])


def _panes(job: Job) -> Iterator[tuple[bytes, bool]]:
    """Yield encoded records of the panes topic, and whether each is a pane (else a watermark)."""
    settings = summarise_settings(settings_for(job, pane=PANE, window=WINDOW))
    tasks = [Summarise(settings, number, PARTITIONS) for number in range(PARTITIONS)]
    position = 0
    for piece in slices(Workload(job.events, models=MODELS)):
        position += len(piece.values)
        for number, task in enumerate(tasks):
            chosen = [at for at, partition in enumerate(piece.partitions) if partition == number]
            task.process([piece.values[at] for at in chosen], [piece.times[at] for at in chosen], position)
            yield from _encoded(task)
    for task in tasks:
        task.quiet()
        yield from _encoded(task)


def _encoded(task: Summarise) -> Iterator[tuple[bytes, bool]]:
    for record in task.emit():
        yield record.encode(), isinstance(record, PaneRecord)
