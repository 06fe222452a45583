"""(g) False alarms of categories: few values and thousands, of several shapes, and some that never come again.

Nothing changes, and events are independent: every cell carries the guarantee. References are made from panes by the
code that makes a model's. A window is drawn as counts: a value that never came before falls into any place of its
hash's range alike, so a bin is hit by the share of the range that it covers.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.detection.monitor import Monitor
from driftline.detection.report import ReportSection, Spread, table
from driftline.detection.streams import Chance
from driftline.evidence.bins import QUALITIES
from driftline.evidence.building import build_reference
from driftline.evidence.projection import Projection
from driftline.evidence.rare import RareBins
from driftline.evidence.reference import Reference
from driftline.offline.calibration import poisson_interval
from driftline.sketches.cells import from_buckets
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, SignalRole
from driftline.sketches.keys import KEY_BITS, Floats, Ints, category_key

HORIZON: Final = 300
"""Windows a run; the budget is one false alarm in so many, for values and for their quality each."""
PANE: Final = 50
WINDOWS: Final = (100, 1_000)
SIZES: Final = (2_000, 24_000)
RUNS: Final = 10
SIGNALS: Final = 2
VALUES: Final = (10, 50, 150, 250, 300, 400, 500, 1_000, 2_000, 5_000)
NEW: Final = (0.0, 0.001, 0.01, 0.05)
"""Shares of values that never come again."""
SHAPES: Final[dict[str, Callable[[int], Floats]]] = {
    "uniform": lambda values: np.ones(values),
    "Zipf": lambda values: 1 / np.arange(1, values + 1),
    "geometric": lambda values: 0.5 ** (10 * np.arange(values) / values),
}


@dataclass(frozen=True, slots=True)
class CategoriesJob:
    """Values of one shape, a share of new ones, and a size of reference."""

    values: int
    shape: str
    new: float
    size: int


@dataclass(frozen=True, slots=True)
class CategoriesMeasured:
    """What was measured: false alarms over all window sizes, by values and by quality."""

    job: CategoriesJob
    alarms: int
    allowed: int


def jobs(quick: bool) -> list[CategoriesJob]:
    """Return the work."""
    if quick:
        return [CategoriesJob(values, "uniform", 0.01, SIZES[-1]) for values in (50, 300)]
    return [
        CategoriesJob(values, shape, new, size)
        for size in SIZES
        for values in VALUES
        for shape in SHAPES
        for new in NEW
    ]


def measure(job: CategoriesJob) -> CategoriesMeasured:
    """Run one job: every window size in turn."""
    chance = np.random.default_rng([zlib.crc32(job.shape.encode()), job.values, round(job.new * 1_000), job.size])
    weights = SHAPES[job.shape](job.values)
    shares = weights / weights.sum() * (1 - job.new)
    keys: Ints = np.array([category_key(f"value {number}") for number in range(job.values)], dtype=np.int64)
    reference = draw_reference(job, keys, shares, chance)
    projection = Projection(reference)
    expected, quality = laws(projection, keys, shares, job.new)
    alarms = 0
    for window in WINDOWS:
        panes = max(1, window // PANE)
        none = RareBins.none(projection.quality_shares.shape)
        of_quality = (projection.quality_shares, projection.quality_sizes, none)
        for law, (known, sizes, rare), dispersion in (
            (expected, (projection.shares, projection.sizes, projection.rare), reference.value_dispersion(panes)),
            (quality, of_quality, reference.quality_dispersion(panes)),
        ):
            monitor = Monitor(
                known[1:],
                sizes[1:],
                runs=RUNS,
                log_c=float(np.log(HORIZON)),
                allowance=1.0,
                dispersion=dispersion[1:],
                rare=rare.take(np.arange(1, len(known))),
            )
            alarms += sum(int(monitor.update(chance.multinomial(window, law)).sum()) for _ in range(HORIZON))
    return CategoriesMeasured(job, alarms, 2 * RUNS * len(WINDOWS))


def draw_reference(job: CategoriesJob, keys: Ints, shares: Floats, chance: Chance) -> Reference:
    """Draw the values of all signals, and make a reference of them."""
    count = RUNS * SIGNALS
    names = (EVENTS, *(f"features.s{number:03}" for number in range(count)))
    ids = np.concatenate(([0], np.arange(1, count + 1) * ROLES + SignalRole.STRINGS)).astype(np.int64)
    panes = []
    for start in range(0, job.size, PANE):
        drawn = np.append(keys, -1)[chance.choice(len(keys) + 1, size=(count, PANE), p=np.append(shares, job.new))]
        drawn = np.where(drawn < 0, chance.integers(0, 1 << KEY_BITS, size=drawn.shape), drawn)
        ones = np.append(PANE, np.ones(drawn.size, dtype=np.int64))
        cell = np.concatenate(([0], 1 + np.repeat(np.arange(count), PANE)))
        cells = from_buckets(ids, np.zeros_like(ids), cell, np.append(0, drawn.reshape(-1)), ones, np.zeros_like(ones))
        panes.append((start * 1_000, GroupSketch(names, cells, {})))
    return build_reference(panes, model="m", version="", segment="", pane_ms=PANE * 1_000, learned=False)


def laws(projection: Projection, keys: Ints, shares: Floats, new: float) -> tuple[Floats, Floats]:
    """Return the probability of each evidence bin and of each quality (shapes: signals, ·)."""
    values = np.zeros((len(projection.signals) - 1, projection.shares_width))
    quality = np.zeros((len(values), QUALITIES))
    for row in range(len(values)):
        bins = projection.bins.get(row + 1)
        if bins is None:  # values that hardly repeat are not watched
            quality[row, 0] = 1.0
            continue
        covered = np.diff(np.append(bins.starts, 1 << KEY_BITS)) / 2.0**KEY_BITS * new
        np.add.at(covered, np.searchsorted(bins.starts, keys, side="right") - 1, shares)
        evidence = np.searchsorted(bins.evidence, bins.fine, side="right") - 1
        np.add.at(values[row], evidence, covered)
        np.add.at(quality[row], bins.quality, covered)
    watched = values.sum(axis=1, keepdims=True)
    return np.where(watched > 0, values / np.maximum(watched, 0.5), 0.0), quality / quality.sum(axis=1, keepdims=True)


def run(quick: bool, spread: Spread[CategoriesJob, CategoriesMeasured]) -> ReportSection:
    """Run the sweep."""
    cells = {cell.job: cell for cell in spread(measure, jobs(quick))}
    within = [
        cell.alarms <= cell.allowed and poisson_interval(cell.alarms)[1] <= 1.5 * cell.allowed
        for cell in cells.values()
    ]
    columns = list(dict.fromkeys((job.shape, job.new) for job in cells))
    rows = [
        [f"{size:,}", f"{values:,}", *(_shown(cells.get(CategoriesJob(values, *column, size))) for column in columns)]
        for size, values in dict.fromkeys((job.size, job.values) for job in cells)
    ]
    first = next(iter(cells.values()))
    text = (
        f"Nothing changes: values come from so many, and a share of them never again. False alarms of {RUNS} runs of "
        f"{SIGNALS} signals, over windows of {' and of '.join(f'{w:,}' for w in WINDOWS)} events, by values and by "
        f"what was never seen; the budget allows {first.allowed} in each cell, and all carry the guarantee. "
        f"In all: {sum(each.alarms for each in cells.values())} of {sum(each.allowed for each in cells.values()):,}."
        "\n\n"
    )
    text += table(["reference", "values", *(f"{shape}, {new * 100:g} % new" for shape, new in columns)], rows)
    return ReportSection(
        "(g) False alarms of categories", text, {} if quick else {"(g) every cell within its budget": all(within)}
    )


def _shown(cell: CategoriesMeasured | None) -> str:
    return "—" if cell is None else str(cell.alarms)
