"""(f) Detectors: how many panes pass between two false detections, against what was asked, by shape of signal."""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from driftline.detection import reference_size
from driftline.detection.report import ReportSection, Spread, table
from driftline.detection.rivals import SLIDING, kswin_limit
from driftline.detection.runs import ASKED, HORIZON, SHIFTS, SIGNALS, SURE, AlarmRate, delay, detections, pane_scores
from driftline.detection.simulated_limits import kswin_detections
from driftline.detection.simulated_references import category_projection_of, projection_of
from driftline.detection.streams import STREAMS, Chance, Stream
from driftline.evidence.detector_limits import parameter_for
from driftline.evidence.detectors import DETECTORS
from driftline.evidence.projection import Projection
from driftline.evidence.scores import Scores
from driftline.sketches.keys import Floats

PANES: Final = (10, 50, 1_000)
"""Values of a signal in a pane."""
MIXED: Final = "lognormal"
"""The shape whose panes are also of any size from 10 to 1,000, each of another one: in what follows, size None."""
REFERENCE: Final = 10_000
"""Values of each signal in the reference."""
SCORES: Final = 80_000
DEAR: Final = {"hddm_a": 16_000, "hddm_w": 16_000}
"""Scores fed to those that cost 15 µs each."""
COSTED: Final = 2_000
"""Scores of which the cost is told."""
LONG: Final = 20_000.0
LONG_SCORES: Final = 1_000_000
LONG_DETECTORS: Final = ("adwin", "page_hinkley", "cusum", "ewma")
RUNS: Final = 21


_CATEGORIES: Final = next(stream for stream in STREAMS if stream.codes is not None)


def _numbers(stream: Stream, chance: Chance) -> Projection:
    return projection_of(stream.walk(chance, SIGNALS).draw(REFERENCE))


def _rare(chance: Chance) -> Projection:
    return projection_of((chance.random((SIGNALS, REFERENCE)) < 0.01).astype(np.float64))


def _categories(chance: Chance) -> Projection:
    assert _CATEGORIES.codes is not None
    drawn = _CATEGORIES.walk(chance, SIGNALS).draw(REFERENCE)
    return category_projection_of(drawn.astype(np.int64), len(_CATEGORIES.codes))


SHAPES: Final[Mapping[str, Callable[[Chance], Projection]]] = {
    **{stream.name: partial(_numbers, stream) for stream in STREAMS[:4]},
    "binary, .01": _rare,
    _CATEGORIES.name: _categories,
}
"""References of SIGNALS signals of one shape each."""


@dataclass(frozen=True, slots=True)
class LengthsJob:
    """A shape, or None for standard normal scores themselves."""

    shape: str | None
    quick: bool


@dataclass(frozen=True, slots=True)
class Traits:
    """What else there is to know of a detector, on standard normal scores."""

    long: AlarmRate | None
    """Its run length where it is made for LONG; not of dear ones."""
    delays: tuple[float, ...]
    """Median panes until each of SHIFTS is found; more than HORIZON is infinite."""
    cost_us: float
    """CPU of a pane."""


@dataclass(frozen=True, slots=True)
class LengthsMeasured:
    """What one job found, by size of panes and detector or by detector."""

    cells: Mapping[tuple[int | None, str], AlarmRate]
    traits: Mapping[str, Traits]


def measure_lengths(job: LengthsJob) -> LengthsMeasured:
    """Feed the scores of panes drawn from references to every detector, or standard normal ones."""
    chance = np.random.default_rng(zlib.crc32((job.shape or "scores").encode()))
    less = 10 if job.quick else 1
    if job.shape is None:
        scores = chance.standard_normal(LONG_SCORES // less)
        return LengthsMeasured(
            {}, {name: _traits(name, scores, RUNS // (5 if job.quick else 1), chance) for name in DETECTORS}
        )
    projection = SHAPES[job.shape](chance)
    found: dict[tuple[int | None, str], AlarmRate] = {}
    panes: list[int | None] = [*PANES[:1]] if job.quick else [*PANES, *([None] if job.shape == MIXED else [])]
    of = Scores(projection, np.ones(len(projection.signals)))
    for pane in panes:
        scores = pane_scores(of, projection, pane, SCORES // less // SIGNALS, chance)
        for name in DETECTORS:
            if name == "kswin":
                found[pane, name] = _kswin_counted(ASKED, scores, chance)
            else:
                found[pane, name] = _counted(name, ASKED, scores.T.ravel()[: DEAR.get(name)])
    return LengthsMeasured(found, {})


def _counted(name: str, asked: float, scores: Floats) -> AlarmRate:
    return AlarmRate(asked, len(scores), detections(name, asked, scores))


def _kswin_counted(asked: float, scores: Floats, chance: Chance) -> AlarmRate:
    limit = kswin_limit(parameter_for("kswin", asked))
    (count,) = kswin_detections(scores, np.array([limit]), chance).tolist()
    return AlarmRate(asked, (len(scores) - SLIDING + 1) * scores.shape[1], count)


def _traits(name: str, scores: Floats, runs: int, chance: Chance) -> Traits:
    long = _counted(name, LONG, scores) if name in LONG_DETECTORS else None
    delays = tuple(float(np.median([delay(name, shift, chance) for _ in range(runs)])) for shift in SHIFTS)
    began = time.thread_time()
    _counted(name, LONG, scores[:COSTED])
    return Traits(long, delays, (time.thread_time() - began) / COSTED * 1e6)


def run(quick: bool, spread: Spread[Any, Any]) -> ReportSection:
    """Measure every shape; a small run one of them, in small panes."""
    shapes = [*SHAPES][1:2] if quick else [*SHAPES]
    made = list(spread(measure_lengths, [*(LengthsJob(shape, quick) for shape in shapes), LengthsJob(None, quick)]))
    few = dict(reference_size.measured(quick, spread))
    traits = made[-1].traits
    rows = [
        [shape, "10 to 1,000" if pane is None else f"{pane:,}", *(found.cells[pane, name].shown for name in DETECTORS)]
        for shape, found in zip(shapes, made, strict=False)
        for pane in dict.fromkeys(pane for pane, _ in found.cells)
    ]
    smooth = [found.cells for shape, found in zip(shapes, made, strict=False) if not shape.startswith("binary")]
    pooled = [
        _pooled([cell for cells in smooth for (_, of), cell in cells.items() if of == name]) for name in DETECTORS
    ]
    rows.append(["**all that are not binary**", "", *(cell.shown for cell in pooled)])
    others = [
        [
            name,
            found.long.shown if found.long else "",
            *(f"{delay:.0f}" if delay < np.inf else "—" for delay in found.delays),
            f"{float(f'{found.cost_us:.2g}'):g}",
        ]
        for name, found in traits.items()
    ]
    cells = [cell for found in made for cell in found.cells.values()]
    cells += [*pooled, *(found.long for found in traits.values() if found.long)]
    cells += [cell for found in few.values() for cell in found.cells.values()]
    share = 1 - (1 - SURE) / len(cells)
    met = all(cell.longest(share) >= cell.asked for cell in cells)
    below = sum(cell.longest(SURE) < cell.asked for cell in cells)
    text = (
        f"Panes are drawn from a reference and scored; each detector is made for a run length of {ASKED:,.0f} panes. A "
        f"cell is the run length measured, with its exact 95 % interval: {SCORES:,} panes of {SIGNALS} signals, with "
        f"references of {REFERENCE:,} values each ({DEAR['hddm_a']:,} panes for HDDM, which takes longer). KSWIN is "
        "measured by its test over many signals at once. Where a pane holds few values of few kinds, scores vary by "
        "less than normal ones do, and runs are longer than asked.\n\n"
        + table(["signal", "values a pane", *DETECTORS], rows)
        + f"\n\nThe target is met if no interval lies below what was asked. {len(cells)} are looked at, so it takes "
        f"intervals that hold all together with a confidence of 95 %: {100 * share:.2f} % each. Of those shown, which "
        f"hold one by one, {below} lie below; were every run length just what was asked, chance alone would give "
        f"{len(cells) * (1 - SURE) / 2:.0f}.\n\n"
        f"On standard normal scores: the run length where {LONG:,.0f} were asked, the median number of panes until a "
        f"shift of the mean is found, in standard errors of a pane, where {ASKED:,.0f} were asked (of {RUNS} runs; —: "
        f"not within {HORIZON}), and CPU microseconds a pane.\n\n"
        + table(["detector", "run length", *(f"shift {shift:g}" for shift in SHIFTS), "cost"], others)
        + "\n\n"
        + reference_size.told(few)
    )
    return ReportSection("(f) Detectors: run lengths", text, {"(f) run lengths at least as long as asked": met})


def _pooled(cells: Sequence[AlarmRate]) -> AlarmRate:
    return AlarmRate(ASKED, sum(cell.scores for cell in cells), sum(cell.detections for cell in cells))
