"""(a) The no-drift matrix: false alarms where nothing changes, against the budget."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.detection.monitor import Monitor
from driftline.detection.report import ReportSection, Spread, table
from driftline.detection.simulated_references import SimulatedReferences, category_rows, rows_of
from driftline.detection.streams import STREAMS, Chance, Stream, Walk
from driftline.evidence.dependence import DEPENDENT, ENOUGH_WINDOWS, lag_correlations
from driftline.evidence.dispersion import STEPS, Dispersion, measure
from driftline.evidence.rare import RareBins
from driftline.offline.calibration import poisson_interval
from driftline.sketches.keys import Floats, Ints

HORIZON: Final = 300
"""Windows a run; the budget is one false alarm in so many."""
PANE: Final = 50
WINDOWS: Final = (50, 100, 500, 5000)
SIZES: Final = (1_000, 50_000)
RUNS: Final = {
    1_000: {1: 100, 10: 20, 100: 8, 1000: 8},
    50_000: {1: 20, 10: 8, 100: 3, 1000: 3},
}
"""Runs by size of the reference and number of signals: the budget is so many false alarms in all. Fewer than three
could not show a rate within 1.5 times the budget, even without an alarm."""
MANY: Final = {1_000: ("normal", "binary, .3", "AR(0.5)"), 50_000: ("normal",)}
"""Streams that are run with 1,000 signals too, by size of the reference: 100 million values take a minute to sketch."""
MAX_VALUES: Final = 40_000_000
"""Values that one cell of dependent events may draw; a larger one is left out."""
CHUNK: Final = 6_000_000
"""Values of a reference that are sketched at once."""
SLACK: Final = 1.5


@dataclass(frozen=True, slots=True)
class MatrixJob:
    """A stream, as a model of so many signals watches it with references of so many events."""

    stream: int
    size: int
    signals: int
    runs: int


@dataclass(frozen=True, slots=True)
class MatrixMeasured:
    """What was measured for one window size."""

    job: MatrixJob
    window: int
    alarms: int
    guaranteed: bool

    @property
    def allowed(self) -> int:
        """The budget, over all runs."""
        return self.job.runs

    @property
    def within(self) -> bool:
        """Whether the measured rate is at most the budget, and its 95 % interval ends below 1.5 times that."""
        return self.alarms <= self.allowed and poisson_interval(self.alarms)[1] <= SLACK * self.allowed


def jobs(quick: bool) -> list[MatrixJob]:
    """Return the work, the longest first."""
    if quick:
        return [MatrixJob(stream, 1_000, 4, 3) for stream in (0, 6, 8)]
    found = [
        MatrixJob(number, size, signals, runs)
        for number, stream in enumerate(STREAMS)
        for size in SIZES
        for signals, runs in RUNS[size].items()
        if signals < 1000 or stream.name in MANY[size]
    ]
    return sorted(found, key=lambda job: -job.size * job.signals * job.runs)


def measure_cells(job: MatrixJob) -> list[MatrixMeasured]:
    """Run one job: every window size in turn, on fresh runs of the stream."""
    stream = STREAMS[job.stream]
    found = []
    chance = np.random.default_rng([zlib.crc32(stream.name.encode()), job.size, job.signals])
    count = job.runs * job.signals
    walk = None if stream.independent else stream.walk(chance, count)
    learned = learn(stream, chance, count, job.size, walk)
    for window in WINDOWS:
        if walk is None:
            found.append(_cell(job, window, learned, _independent(stream, chance, learned, window)))
        elif HORIZON * window * count <= MAX_VALUES:
            found.append(_cell(job, window, learned, _dependent(walk, learned, window)))
    return found


@dataclass(frozen=True, slots=True)
class LearnedReferences:
    """References of all signals: bins, shares, and how much the reference's own panes of 50 events vary and depend."""

    rows: SimulatedReferences
    spread: Dispersion
    lags: Ints
    """See `dependence.lag_correlations`."""
    present: Ints
    """Values that were not missing, of each signal."""
    size: int

    def independent(self, window: int) -> bool:
        """Whether an alert would carry the guarantee: there are enough windows, and none depends on the one before."""
        scale = (window // PANE).bit_length() - 1
        if self.size // PANE >> scale < ENOUGH_WINDOWS:
            return False
        return bool((self.lags[scale] <= DEPENDENT * STEPS).all())


def learn(stream: Stream, chance: Chance, count: int, size: int, walk: Walk | None = None) -> LearnedReferences:
    """Draw references and make what a model's own would be: by the same code, some signals at a time."""
    parts: list[SimulatedReferences] = []
    panes: list[Ints] = []
    present: list[Ints] = []
    step = count if walk is not None else max(1, CHUNK // size)
    for start in range(0, count, step):
        number = min(step, count - start)
        values = (walk or stream.walk(chance, number)).draw(size)
        if stream.codes is not None:
            rows = category_rows(values.astype(np.int64), len(stream.codes))
        else:
            rows = _in_parts(values)
        parts.append(rows)
        panes.append(_by_pane(rows, values))
        present.append((~np.isnan(values)).sum(axis=1))
    rows = joined(parts)
    width = rows.width
    held = np.concatenate([_padded(part, width) for part in panes], axis=1)
    indices = np.arange(len(held))
    spread, lags = measure(indices, held), lag_correlations(indices, held)
    return LearnedReferences(rows, spread, lags, np.concatenate(present), size)


def _in_parts(values: Floats) -> SimulatedReferences:
    step = max(1, CHUNK // values.shape[1])
    return joined([rows_of(values[start : start + step]) for start in range(0, len(values), step)])


def _by_pane(rows: SimulatedReferences, values: Floats) -> Ints:
    """Count a reference's values by pane: shape (panes, signals, K)."""
    return np.stack(
        [rows.counts(values[:, start : start + PANE]) for start in range(0, values.shape[1] - PANE + 1, PANE)]
    )


def joined(parts: Sequence[SimulatedReferences]) -> SimulatedReferences:
    """Put references side by side."""
    width = max(part.width for part in parts)
    edges = max(part.edges.shape[1] for part in parts)
    return SimulatedReferences(
        np.concatenate(
            [np.pad(p.edges, ((0, 0), (0, edges - p.edges.shape[1])), constant_values=np.inf) for p in parts]
        ),
        np.concatenate([np.pad(p.shares, ((0, 0), (0, width - p.width))) for p in parts]),
        np.concatenate([p.sizes for p in parts]),
        np.concatenate([p.beyond for p in parts]),
        parts[0].categories,
        RareBins(
            np.concatenate([np.pad(p.rare.rising, ((0, 0), (0, width - p.width))) for p in parts]),
            np.concatenate([np.pad(p.rare.falling, ((0, 0), (0, width - p.width))) for p in parts]),
        ),
    )


def _padded(counts: Ints, width: int) -> Ints:
    missing = width - counts.shape[-1]
    return counts if not missing else np.pad(counts, [(0, 0)] * (counts.ndim - 1) + [(0, missing)])


def _dependent(walk: Walk, learned: LearnedReferences, window: int) -> Callable[[], Ints]:
    """Return what counts the walk's next window."""
    return lambda: learned.rows.counts(walk.draw(window))


def _independent(stream: Stream, chance: Chance, learned: LearnedReferences, window: int) -> Callable[[], Ints]:
    """Return what draws a window's counts: of values, and of present and missing where values may be missing."""
    rows = learned.rows
    if stream.codes is not None:
        place = rows.edges.astype(np.int64)
        shares = np.zeros(rows.shares.shape)
        for code, share in enumerate(stream.codes.tolist()):
            shares[np.arange(len(shares)), place[:, code]] += share
    else:
        assert stream.below is not None
        below = np.where(np.isinf(rows.edges), 1.0, stream.below(np.where(np.isinf(rows.edges), 0.0, rows.edges)))
        padded = np.concatenate((np.zeros((len(below), 1)), below, np.ones((len(below), 1))), axis=1)
        shares = np.maximum(np.diff(padded, axis=1), 0.0)
    if not stream.missing:
        return lambda: chance.multinomial(window, shares)

    def with_missing() -> Ints:
        present = chance.binomial(window, 1 - stream.missing, size=len(shares))
        values = chance.multinomial(present, shares)
        quality = np.zeros_like(values)
        quality[:, 0], quality[:, 1] = present, window - present
        return np.stack((values, quality), axis=1).reshape(-1, values.shape[1])

    return with_missing


def _cell(job: MatrixJob, window: int, learned: LearnedReferences, draw: Callable[[], Ints]) -> MatrixMeasured:
    stream = STREAMS[job.stream]
    dispersion = learned.spread.at(window // PANE)
    shares, sizes, rare = learned.rows.shares, learned.rows.sizes, learned.rows.rare
    if stream.missing:
        there = np.zeros_like(shares)
        weights = np.stack((learned.present, learned.size - learned.present), axis=1) + 0.5
        there[:, :2] = weights / weights.sum(axis=1, keepdims=True)
        shares = np.stack((shares, there), axis=1).reshape(-1, shares.shape[1])
        sizes = np.stack((sizes, np.full_like(sizes, learned.size)), axis=1).reshape(-1)
        dispersion = np.stack((dispersion, np.ones_like(dispersion)), axis=1).reshape(-1)
        rare = RareBins.of(shares, may_rise=np.tile(np.array([[False], [True]]), (len(shares) // 2, 1)))
        rare = RareBins(rare.rising, rare.rising)
    monitor = Monitor(
        shares,
        sizes,
        runs=job.runs,
        log_c=float(np.log(HORIZON)),
        allowance=1.0,
        dispersion=dispersion,
        rare=rare,
    )
    alarms = sum(int(monitor.update(draw()).sum()) for _ in range(HORIZON))
    return MatrixMeasured(job, window, alarms, stream.independent or learned.independent(window))


def no_drift(cells: Iterable[MatrixMeasured], quick: bool) -> ReportSection:
    """Write the matrix."""
    found = {(cell.job, cell.window): cell for cell in cells}
    ordered = sorted({job for job, _ in found}, key=lambda job: (job.stream, job.size, job.signals))
    rows = []
    for job in ordered:
        cells_of = [found.get((job, window)) for window in WINDOWS]
        rows.append(
            [f"{STREAMS[job.stream].name}", f"{job.size:,}", f"{job.signals:,}", str(job.runs), *map(_shown, cells_of)]
        )
    guaranteed = [cell for cell in found.values() if cell.guaranteed]
    good = sum(cell.within for cell in guaranteed)
    text = (
        f"Nothing changes in any of these streams. The budget is one false alarm in {HORIZON} windows, a run. A cell "
        "is a stream, a number of signals and a size of reference and of windows. It carries the guarantee where "
        "events are independent, which is all that the proof asks for, and else by the rule that alerts go by: the "
        f"reference holds {ENOUGH_WINDOWS} such windows or more, and no signal's are surely correlated with the "
        f"window before by more than {DEPENDENT:g}. The target: a cell with the guarantee raises no more false alarms "
        f"than the budget allows, and the exact 95 % Poisson interval of its rate ends below {SLACK:g} times the "
        "budget. An alarm is an incident that opens; until it has resolved it swallows others.\n\n"
    )
    text += table(
        ["stream", "cells", "with the guarantee", "false alarms there", "allowed there", "worst interval ends at"],
        [
            _summary(stream.name, [cell for cell in found.values() if STREAMS[cell.job.stream] is stream])
            for stream in STREAMS
            if any(STREAMS[job.stream] is stream for job in ordered)
        ],
    )
    text += (
        f"\n\n{len(guaranteed)} of {len(found)} cells carry the guarantee, and {good} of these are within the target. "
        "Here are all, as false alarms a run and the interval. `†`: no guarantee. `—`: not run, for the time it takes."
        "\n\n"
    )
    text += table(["stream", "reference", "signals", "runs", *(f"windows of {w:,}" for w in WINDOWS)], rows)
    return ReportSection(
        "(a) False alarms where nothing changes",
        text,
        {} if quick else {"(a) every guaranteed cell within its budget": good == len(guaranteed)},
    )


def _summary(name: str, cells: Sequence[MatrixMeasured]) -> list[str]:
    promised = [cell for cell in cells if cell.guaranteed]
    worst = max((poisson_interval(cell.alarms)[1] / cell.allowed for cell in promised), default=None)
    alarms, allowed = sum(cell.alarms for cell in promised), sum(cell.allowed for cell in promised)
    end = "" if worst is None else f"{worst:.2f} of the budget"
    return [name, str(len(cells)), str(len(promised)), f"{alarms:,}", f"{allowed:,}", end]


def _shown(cell: MatrixMeasured | None) -> str:
    if cell is None:
        return "—"
    low, high = (limit / cell.job.runs for limit in poisson_interval(cell.alarms))
    mark = "" if cell.guaranteed else "†"
    fault = "" if cell.within or not cell.guaranteed else " **over**"
    return f"{cell.alarms / cell.job.runs:.2f} [{low:.2f}, {high:.2f}]{mark}{fault}"


def run(quick: bool, spread: Spread[MatrixJob, list[MatrixMeasured]]) -> ReportSection:
    """Run the matrix; `spread` maps over the jobs, on as many cores as there are."""
    return no_drift([cell for cells in spread(measure_cells, jobs(quick)) for cell in cells], quick)
