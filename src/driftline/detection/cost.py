"""(e) What judging costs: one window of a model with many signals, by the object that judges it in a worker."""

import time
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from driftline.detection.report import ReportSection, Spread, table
from driftline.evidence.building import build_reference
from driftline.incidents.budget import AlarmBudget
from driftline.incidents.incident import Subject
from driftline.sketches.cells import from_buckets
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, SignalRole
from driftline.sketches.keys import Ints, number_keys
from driftline.tasks.model_rules import LearnRule, ModelRules
from driftline.tasks.subjects.adoption import Adoption, Origin
from driftline.tasks.subjects.prepared_reference import PreparedReference
from driftline.tasks.subjects.subject import SubjectJudge

PROMISED_MS: Final = {100: 1.0, 1_000: 10.0}
"""CPU of a window by number of signals."""
SIZES: Final = (100, 1_000, 10_000)
"""Events a window."""
WINDOW_MS: Final = 60_000
REFERENCE_WINDOWS: Final = 32
"""Enough for the volume to be judged, too."""
REFERENCE_EVENTS: Final = 500
"""A window, in the reference."""
WARM: Final = 5
WINDOWS: Final = 40
"""Windows of which the median is told, after WARM others."""


@dataclass(frozen=True, slots=True)
class CostJob:
    """A model of so many numeric features and a prediction, and windows of so many events."""

    signals: int
    events: int


@dataclass(frozen=True, slots=True)
class EvaluationCost:
    """CPU milliseconds, medians."""

    job: CostJob
    slice_ms: float
    """To count a slice into the open window and feed the detectors."""
    window_ms: float
    """To judge a window: inputs, output, data quality and volume."""


def measure_cost(job: CostJob) -> EvaluationCost:
    """Judge windows without a change."""
    chance = np.random.default_rng([job.signals, job.events])
    reference = build_reference(
        [(at * WINDOW_MS, _summary(chance, job.signals, REFERENCE_EVENTS)) for at in range(REFERENCE_WINDOWS)],
        model="m",
        version="1",
        segment="",
        pane_ms=WINDOW_MS,
        learned=False,
    )
    rules = ModelRules(
        windows=((WINDOW_MS, WINDOW_MS),),
        pane_ms=WINDOW_MS,
        budget=AlarmBudget(1.0, 30 * 86_400_000),
        learn=LearnRule(0, 1),
        min_effect=0.02,
        min_events=1,
        segmented=False,
    )
    judge = SubjectJudge(Subject("m", "1", ""), rules, None)
    judge.adopt(PreparedReference.of(reference), Adoption(0, Origin.FILE, reference.address, reference.events))
    slices, windows = [], []
    for start in range(0, (WARM + WINDOWS) * WINDOW_MS, WINDOW_MS):
        end, summary = start + WINDOW_MS, _summary(chance, job.signals, job.events)
        began = time.thread_time()
        judge.take(start, end, summary)
        taken = time.thread_time()
        judge.close(end)
        windows.append(time.thread_time() - taken)
        slices.append(taken - began)
    return EvaluationCost(job, median(slices[WARM:]) * 1e3, median(windows[WARM:]) * 1e3)


def _summary(chance: np.random.Generator, signals: int, events: int) -> GroupSketch:
    """Return what Summarise makes of so many events."""
    names = (EVENTS, *(f"features.f{number:04}" for number in range(signals)), "prediction")
    keys = number_keys(chance.standard_normal((signals + 1) * events))
    ids: Ints = np.concatenate(([0], np.arange(1, signals + 2) * ROLES + SignalRole.NUMBERS)).astype(np.int64)
    cells = from_buckets(
        ids,
        np.zeros(len(ids), dtype=np.int64),
        np.concatenate(([0], np.repeat(np.arange(1, signals + 2), events))),
        np.concatenate(([0], keys)),
        np.concatenate(([events], np.ones(len(keys), dtype=np.int64))),
        np.zeros(len(keys) + 1, dtype=np.int64),
    )
    return GroupSketch(names, cells, {})


def run(quick: bool, spread: Spread[CostJob, EvaluationCost]) -> ReportSection:
    """Measure models of 100 and 1,000 signals; a small run the former only. Nothing else runs meanwhile."""
    jobs = [CostJob(signals, events) for signals in PROMISED_MS for events in SIZES]
    found = [cost for job in (jobs[:1] if quick else jobs) for cost in spread(measure_cost, [job])]
    rows = [
        [
            f"{cost.job.signals:,}",
            f"{cost.job.events:,}",
            f"{cost.slice_ms:.2f}",
            f"{cost.window_ms:.2f}",
            f"{PROMISED_MS[cost.job.signals]:g}",
        ]
        for cost in found
    ]
    text = (
        f"CPU milliseconds on the machine of this run, medians of {WINDOWS} windows of one model without segments. A "
        "*slice* is what all partitions saw of the model in a pane: it is counted into bins and fed to ADWIN and "
        "Page-Hinkley of each signal, once a pane. Then a *window* is judged: all e-values of inputs, output, data "
        "quality and volume.\n\n"
    )
    text += table(["signals", "events a window", "a slice", "judging a window", "promised"], rows)
    met = all(cost.window_ms <= PROMISED_MS[cost.job.signals] for cost in found)
    return ReportSection(
        "(e) What judging costs", text, {} if quick else {"(e) a window is judged as fast as promised": met}
    )
