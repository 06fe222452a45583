"""How often would it alarm though nothing changed? A table of good times, cut into blocks, shuffled and judged.

    table    │ block 1 │ block 2 │ block 3 │ block 4 │ …          a block holds many windows
    a pass   │    3    │    8    │ …   half of the blocks, shuffled: a reference is built of them
             │    6    │    1    │ …   the other half, shuffled: judged against it

Within a block everything depends on everything as it did; between blocks nothing does, and nothing can have changed
for good. So whatever opens an incident is a false alarm, and the two stages that count them are those of `driftline
run`. Passes draw other halves, but all from one table: it holds no more evidence than its own length of time, and the
interval says so.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import gcd, lcm

import numpy as np
import scipy

from driftline.config import Settings
from driftline.config.durations import format_duration
from driftline.config.models import SEASONS, ModelSettings
from driftline.errors import InputError
from driftline.evidence.building import build_reference
from driftline.evidence.dependence import DEPENDENT, returning
from driftline.evidence.dispersion import STEPS
from driftline.evidence.projection import Projection
from driftline.evidence.reference import Calibration, Reference
from driftline.evidence.seasons import Season
from driftline.incidents.incident import Incident, Kind, Status
from driftline.offline.backtest import slices_of, table_panes
from driftline.panes.records import PaneRecord, Watermark
from driftline.pipeline.task_settings import judge_settings, with_references
from driftline.sketches.group import GroupSketch
from driftline.sketches.keys import Ints
from driftline.tables import ColumnMapping, Table
from driftline.tasks.checks import listed
from driftline.tasks.judge import Judge
from driftline.tasks.model_rules import JudgeSettings

BLOCKS = 20
"""A table is cut into about so many blocks, if they hold BLOCK_WINDOWS of the longest windows each."""
BLOCK_WINDOWS = 10
MIN_BLOCKS = 4
PASSES = 20
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Dependence:
    """A signal whose windows of one size depend on the window before, and what helps."""

    signal: str
    size: int
    independent_at: int | None
    """The shortest windows measured that do not; None where the table shows none."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was measured."""

    calibration: Calibration
    passes: int
    replayed_ms: int
    """Event time judged, over all passes."""
    table_ms: int
    alarms: Counter[str] = field(default_factory=Counter)
    """False alarms over all passes, by the signal that led each."""
    dependent: tuple[Dependence, ...] = ()
    seasons: tuple[str, ...] = ()
    """Of those that a model can be given, the seasons at which dependent signals come back to what they were."""
    untold: tuple[int, ...] = ()
    """Window sizes of which the table holds too few to tell."""

    @property
    def guaranteed(self) -> bool:
        """Whether the budget can be promised for windows like these."""
        return not self.dependent and not self.untold and not self.calibration.refutes


def calibrate(
    settings: Settings,
    table: Table,
    mapping: ColumnMapping,
    references: Sequence[Reference],
    *,
    passes: int = PASSES,
    seed: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Calibrated:
    """Replay a table. `references` are those built of it; `progress` is told the passes done.

    Raises `InputError` where the table is too short.
    """
    model = references[0].model
    own = settings.model(model)
    sizes = sorted({window.size for window in own.windows})
    pane_ms = gcd(*sizes, *(window.hop for window in own.windows))
    panes = _by_wall_clock(
        table_panes(settings, table, mapping, lambda name: pane_ms, lambda events: None), own.timezone, pane_ms
    )
    unit = lcm(*sizes, own.season_ms or 1)
    blocks = _blocks(panes, unit, _block_ms(panes, unit, max(sizes)))
    judging = judge_settings(_without_zones(settings))
    chance = np.random.default_rng(seed)
    alarms: Counter[str] = Counter()
    replayed = 0
    for done in range(passes):
        order = chance.permutation(len(blocks.panes)).tolist()
        half = len(order) // 2
        good = blocks.of(order[:half])
        reference = _references(good, model, pane_ms, own.season_ms, complete=references[0].complete)
        incidents = _judge(with_references(judging, reference), blocks.of(order[half:]))
        alarms.update(incident.signals[0].name for incident in incidents)
        replayed += (len(order) - half) * blocks.length
        progress(done + 1)
    table_ms = len(blocks.panes) * blocks.length
    period = own.false_alarms.period_ms
    rate = alarms.total() / (replayed / period)
    low, high = poisson_interval(rate * table_ms / period)
    calibration = Calibration(
        windows=tuple((window.size, window.hop) for window in own.windows),
        budget=own.false_alarms.count,
        period_ms=period,
        rate=float(f"{rate:.3g}"),
        low=float(f"{low * period / table_ms:.3g}"),
        high=float(f"{high * period / table_ms:.3g}"),
    )
    dependent = tuple(dependence(references[0], own))
    seasons = tuple(_seasons(references[0], panes, pane_ms, {each.signal for each in dependent}))
    untold = tuple(size for size in sizes if references[0].dependent(_panes(references[0], size)) is None)
    return Calibrated(calibration, passes, replayed, table_ms, alarms, dependent, seasons, untold)


def dependence(reference: Reference, own: ModelSettings) -> list[Dependence]:
    """Return the signals whose windows depend on the window before by more than tempering covers."""
    found = []
    for size in sorted({window.size for window in own.windows}):
        panes = _panes(reference, size)
        marked = reference.dependent(panes)
        if marked is None:
            continue
        scales = range(panes.bit_length() - 1, len(reference.lags))
        longer = [(1 << scale, reference.dependent(1 << scale)) for scale in scales]
        for slot in np.flatnonzero(marked).tolist():
            enough = (length for length, held in longer if held is not None and not held[slot])
            length = next(enough, None)
            found.append(
                Dependence(
                    reference.summary.signals[slot], size, None if length is None else length * reference.pane_ms
                )
            )
    return found


def _panes(reference: Reference, size: int) -> int:
    return max(1, round(size / reference.pane_ms))


def _seasons(
    reference: Reference, panes: Sequence[PaneRecord], pane_ms: int, signals: Collection[str]
) -> Iterator[str]:
    """Yield the seasons after which one of these signals is sure to be alike."""
    if not signals:
        return
    projection = Projection(reference)
    vectors: dict[int, Ints] = {}
    for pane in panes:
        for group, summary in pane.summaries():
            if not group.segment:
                vectors[pane.start // pane_ms] = vectors.get(pane.start // pane_ms, 0) + projection.project(summary)
    indices = np.array(list(vectors), dtype=np.int64)
    counts = projection.evidence(np.array(list(vectors.values())))
    slots = [projection.signals.index(name) for name in signals]
    for name, length in SEASONS.items():
        if returning(indices, counts, length // pane_ms)[slots].max() > DEPENDENT * STEPS:
            yield name


def poisson_interval(count: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a Poisson mean, given a count (Garwood 1936); a mean of counts will do, too.

    >>> [round(end, 2) for end in poisson_interval(0)], [round(end, 2) for end in poisson_interval(5)]
    ([0.0, 3.69], [1.62, 11.67])
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(scipy.special.gammaincinv(count, tail)) if count > 0 else 0.0
    return low, float(scipy.special.gammaincinv(count + 1, 1 - tail))


@dataclass(frozen=True, slots=True)
class _Blocks:
    length: int
    panes: list[list[PaneRecord]]
    """By block; starts are counted from the block's own."""

    def of(self, numbers: Sequence[int]) -> list[PaneRecord]:
        """Return the panes of these blocks, set one behind the other from time 0."""
        return [
            replace(pane, start=at * self.length + pane.start)
            for at, number in enumerate(numbers)
            for pane in self.panes[number]
        ]


def _block_ms(panes: Sequence[PaneRecord], unit: int, longest: int) -> int:
    """Return how long a block is: whole windows of every size, and whole seasons. Raises `InputError`."""
    span = panes[-1].end - panes[0].start
    least = -(-BLOCK_WINDOWS * longest // unit) * unit
    if span < (MIN_BLOCKS + 1) * least:
        raise InputError(
            f"the table spans {format_duration(span)}; to calibrate windows of {format_duration(longest)} it needs "
            f"{format_duration((MIN_BLOCKS + 1) * least)}: name a longer table, or configure shorter windows"
        )
    return max(span // BLOCKS // unit * unit, least)


def _by_wall_clock(panes: Sequence[PaneRecord], zone: str, pane_ms: int) -> list[PaneRecord]:
    """Move panes to the times that clocks of a zone show, so that blocks of them can change places.

    Of an hour that clocks show twice the first is kept.
    """
    starts = Season(0, zone).local(np.array([pane.start for pane in panes], dtype=np.int64), pane_ms).tolist()
    kept: dict[tuple[str, int, int], PaneRecord] = {}
    for pane, start in zip(panes, starts, strict=True):
        kept.setdefault((pane.model, start, pane.part), replace(pane, start=start))
    return sorted(kept.values(), key=lambda pane: (pane.end, pane.start, pane.model, pane.part))


def _without_zones(settings: Settings) -> Settings:
    models = {name: own.model_copy(update={"timezone": ""}) for name, own in settings.models.items()}
    return settings.model_copy(update={"models": models})


def _blocks(panes: Sequence[PaneRecord], unit: int, length: int) -> _Blocks:
    """Cut panes into whole blocks from the first multiple of `unit` on; what is left at either end is left out."""
    first = -(-panes[0].start // unit) * unit
    count = (panes[-1].end - first) // length
    blocks: list[list[PaneRecord]] = [[] for _ in range(count)]
    for pane in panes:
        number, start = divmod(pane.start - first, length)
        if 0 <= number < count:
            blocks[number].append(replace(pane, start=start))
    return _Blocks(length, blocks)


def _references(
    panes: Sequence[PaneRecord], model: str, pane_ms: int, season_ms: int, *, complete: bool
) -> list[Reference]:
    """Build a reference of each group. Versions are told apart as the pipeline does."""
    slices: dict[tuple[str, str], list[tuple[int, GroupSketch]]] = {}
    for (_, start), groups in slices_of(panes).items():
        for group, summary in groups.items():
            slices.setdefault((group.version, group.segment), []).append((start, summary))
    return [
        build_reference(
            held,
            model=model,
            version=version,
            segment=segment,
            pane_ms=pane_ms,
            learned=False,
            season=Season(season_ms),
            complete=complete,
        )
        for (version, segment), held in sorted(slices.items())
    ]


def _judge(settings: JudgeSettings, panes: Sequence[PaneRecord]) -> list[Incident]:
    """Return the incidents that open, all of which are false alarms."""
    judge = Judge(settings)
    for pane, later in pairwise([*panes, None]):
        assert pane is not None
        judge.process([pane.encode()])
        if later is None or later.start > pane.start:
            judge.process([Watermark(0, 1, pane.end, False, 0).encode()])
    found = [alert.incident for alert in judge.emit()]
    spending = {Kind.VOLUME, *(check.kind for check in listed.CHECKS)}
    return [incident for incident in found if incident.status is Status.FIRING and incident.kind in spending]
