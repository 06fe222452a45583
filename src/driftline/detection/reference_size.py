"""(f), charts that compare with the reference: what its size does to their run lengths, and to how soon they find."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from driftline.detection.report import Spread, table
from driftline.detection.runs import (
    ASKED,
    CALM,
    HORIZON,
    SHIFTS,
    SIGNALS,
    AlarmRate,
    delay,
    detections,
    pane_scores,
    shown,
)
from driftline.detection.simulated_references import projection_of
from driftline.detection.streams import STREAMS, Chance
from driftline.evidence.baseline import Sizes
from driftline.evidence.charts import cusum_arl, ewma_arl, limit_for
from driftline.evidence.detectors import EPISODE
from driftline.evidence.projection import Projection
from driftline.evidence.scores import Scores

CHARTS: Final[Mapping[str, Callable[..., float]]] = {"cusum": cusum_arl, "ewma": ewma_arl}
REFERENCES: Final = (10, 100, 1_000, 10_000)
"""Sizes of references, in panes."""
PANE: Final = 100
"""Values of a signal in a pane."""
TRUTH: Final = 10_000
"""Values of a signal that stand for all there are: panes and references are drawn from them."""
SHAPES: Final = STREAMS[:2]
PANES: Final = 4_000
"""Panes that are scored of each of SIGNALS signals, which have a reference each."""
MONTHS: Final = 1e6
"""About what 20 detectors of one-minute panes are made for, at one false alarm a month."""
RUNS_OF_MONTHS: Final = 2
"""Of such runs, as many in scores, over SIGNALS references."""
DELAYS: Final = 200
"""Runs of which the median delay is told."""


@dataclass(frozen=True, slots=True)
class SizeJob:
    """One size of the reference, in panes."""

    panes: int
    quick: bool


@dataclass(frozen=True, slots=True)
class SizeMeasured:
    """What came of one size."""

    cells: Mapping[tuple[str, float, str], AlarmRate]
    """By chart, run length asked and what was scored."""
    delays: Mapping[tuple[str, float, int], tuple[float, float]]
    """(median, share found) by chart, shift and panes before it."""


def measure_references(job: SizeJob) -> SizeMeasured:
    """Draw references of a size, and feed the scores of panes compared with them to the charts."""
    chance = np.random.default_rng(zlib.crc32(f"references of {job.panes}".encode()))
    less = 10 if job.quick else 1
    cells: dict[tuple[str, float, str], AlarmRate] = {}
    for stream in SHAPES:
        truth = projection_of(stream.walk(chance, SIGNALS).draw(TRUTH))
        scores = pane_scores(_referred(truth, job.panes * PANE, chance), truth, PANE, PANES // less, chance)
        for name in CHARTS:
            found = [detections(name, ASKED, each, Sizes(PANE, job.panes * PANE)) for each in scores.T]
            cells[name, ASKED, stream.name] = AlarmRate(ASKED, scores.size, sum(found))
    for name in CHARTS:
        each, count = int(RUNS_OF_MONTHS * MONTHS) // SIGNALS // less, 0
        for off in (chance.standard_normal(SIGNALS) / np.sqrt(job.panes)).tolist():
            count += detections(name, MONTHS, chance.standard_normal(each) - off, Sizes(1, job.panes))
        cells[name, MONTHS, "normal scores"] = AlarmRate(MONTHS, each * SIGNALS, count)
    delays = {
        (name, shift, calm): _delays(partial(delay, name, shift, chance, calm=calm, reference=job.panes), less)
        for name in CHARTS
        for shift in SHIFTS
        for calm in (0, CALM)
    }
    return SizeMeasured(cells, delays)


def _referred(truth: Projection, size: int, chance: Chance) -> Scores:
    """Return what scores panes by a reference of so many values of each signal, drawn from the truth."""
    vector = np.zeros(truth.width, dtype=np.int64)
    fine = truth.fine(truth.reference)
    for start, end in zip(truth.fine_bounds[1:], truth.fine_bounds[2:], strict=False):
        vector[start:end] = chance.multinomial(size, fine[start:end] / fine[start:end].sum())
    return Scores(truth.compared_with(vector), np.ones(len(truth.signals)))


def _delays(one: Callable[[], float], less: int) -> tuple[float, float]:
    found = np.array([one() for _ in range(DELAYS // less)])
    return float(np.median(found)), float(np.isfinite(found).mean())


def measured(quick: bool, spread: Spread[SizeJob, SizeMeasured]) -> Iterator[tuple[int, SizeMeasured]]:
    """Measure every size; a small run the least."""
    sizes = REFERENCES[:1] if quick else REFERENCES
    return zip(sizes, spread(measure_references, [SizeJob(panes, quick) for panes in sizes]), strict=True)


def told(found: Mapping[int, SizeMeasured]) -> str:
    """Return what the page says of them, by size."""
    columns = [f"{panes:,} panes" for panes in found]
    first = next(iter(found.values()))
    runs = [
        [name, f"{asked:,.0f}", of, *(each.cells[name, asked, of].shown for each in found.values())]
        for name, asked, of in first.cells
    ]
    for name, run_length in CHARTS.items():
        for asked in (ASKED, MONTHS):
            of_limit = partial(run_length, limit_for(asked, run_length))
            lengths = (shown(_mean_run(of_limit, panes)) for panes in found)
            runs.append([name, f"{asked:,.0f}", "*the reference taken for the truth*", *lengths])
    delays = [
        [name, f"{shift:g}", f"{calm}", *(_delay_shown(*each.delays[name, shift, calm]) for each in found.values())]
        for name, shift, calm in first.delays
    ]
    return (
        "CUSUM and EWMA compare with the reference, the others with the panes before. Above, the reference is the "
        "truth. In life its mean is off by chance, in units of a pane's standard error by 1/√r where it holds r panes. "
        "So they compare with the mean of the reference and the panes since (`evidence/baseline.py`). Here each of "
        f"{SIGNALS} signals has a reference of its own, with {PANE} values a pane: {SIGNALS * PANES:,} panes a cell "
        f"where {ASKED:,.0f} are asked, and {RUNS_OF_MONTHS * MONTHS:,.0f} scores where {MONTHS:,.0f} are. The last "
        "rows, which are exact, say what would be if the reference were taken for the truth.\n\n"
        + table(["", "asked", "of", *columns], runs)
        + "\n\nWhat that costs: a change that lasts gets into the mean, the sooner the less came before it. The "
        f"median number of panes until a shift is found, where {ASKED:,.0f} are asked, and of {DELAYS} runs the share "
        f"in which it is found within {HORIZON} panes (—: in less than half). It comes at once, or {CALM} panes after "
        f"the reference; then, in {100 * EPISODE / ASKED:.0f} %, it is not told for a false detection in the {EPISODE} "
        "panes before.\n\n" + table(["", "shift", "panes before it", *columns], delays)
    )


def _delay_shown(median: float, share: float) -> str:
    return f"{f'{median:.0f}' if np.isfinite(median) else '—'} ({100 * share:.0f} %)"


def _mean_run(run_length: Callable[..., float], panes: int) -> float:
    """Return the run length where the reference's mean is off by a normal number of variance 1/panes."""
    shifts, weights = np.polynomial.hermite_e.hermegauss(31)
    rates = [1 / run_length(shift=shift / np.sqrt(panes)) for shift in shifts.tolist()]
    return float(weights.sum() / (weights * rates).sum())
