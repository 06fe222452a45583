"""A reference learned from the first span of a stream, slice by slice.

Slices are held as they are stored, packed: that takes a quarter of the memory, and it is what there is most of.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from driftline.codec import corrupt, pack, unpack
from driftline.evidence.building import build_reference
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import MIN_SEASONS
from driftline.incidents.incident import Subject
from driftline.sketches.cells import Cells
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, combine
from driftline.sketches.packing import pack_cells, unpack_cells
from driftline.tasks.model_rules import ModelRules

LEARNING_SLICES = 256
"""Slices kept while learning. When there are more, neighbours are merged into longer ones."""
SEASONAL_SLICES = 672
"""For a seasonal reference, which must tell the hours of up to four weeks apart."""


MIN_SLICES = 8
"""Slices to which a learner is not asked to go below, however little room there is."""
SLICE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """What was seen in a slice, in the form in which it is stored."""

    events: int
    data: bytes

    @classmethod
    def of(cls, summary: GroupSketch) -> "Packed":
        """Pack a summary."""
        value = [summary.signals, summary.categories]
        return cls(summary.events, pack("slice", SLICE_VERSION, value, pack_cells(summary.cells)))

    @classmethod
    def read(cls, data: bytes) -> "Packed":
        """Take up what was stored. Raises `StateCorrupt`."""
        return cls(_unpacked(data).events, data)

    def summary(self) -> GroupSketch:
        """Undo `of`."""
        return _unpacked(self.data)


def _unpacked(data: bytes) -> GroupSketch:
    found = unpack(data, "slice", (SLICE_VERSION,))
    signals, categories = msgspec.convert(found.value, tuple[tuple[str, ...], dict[int, str]])
    cells: Cells = unpack_cells(found.arrays)
    if signals[:1] != (EVENTS,) or len(set(signals)) != len(signals):
        raise corrupt("slice", "its signals are repeated, or do not follow the events")
    if len(cells) and int(cells.ids[-1]) >= len(signals) * ROLES:
        raise corrupt("slice", "a cell belongs to no signal")
    return GroupSketch(signals, cells, categories)


class Learner:
    """Collects a subject's slices until the span and the number of events of its rule are reached."""

    def __init__(self, rules: ModelRules) -> None:
        self.slices: dict[int, Packed] = {}
        self.bytes = 0
        """What they take."""
        self.slice_ms = self._pane_ms = rules.pane_ms
        self.rule = rules.learn
        self.changed: set[int] = set()
        """Starts of slices that were added, grew, or are gone since the caller last cleared it."""
        self._season = rules.season
        self._sizes = [size for size, _ in rules.windows]

    @property
    def events(self) -> int:
        """Events collected so far."""
        return sum(held.events for held in self.slices.values())

    def take(self, start: int, end: int, summary: GroupSketch) -> bool:
        """Take in a slice. Returns whether there is enough to learn from."""
        self._add(start - start % self.slice_ms, summary)
        while len(self.slices) > (SEASONAL_SLICES if self._season.length else LEARNING_SLICES):
            self.join_slices()
        span = max(self.rule.span_ms, MIN_SEASONS * self._season.length)
        return end - min(self.slices) >= span and self.events >= self.rule.events

    def supplement(self, start: int, summary: GroupSketch) -> None:
        """Take in what came for a slice that was taken before, if it is one of those that are collected."""
        if start >= min(self.slices, default=start):
            self._add(start - start % self.slice_ms, summary)

    def join_slices(self) -> None:
        """Make longer slices of those that are held: fewer, and less of them."""
        self.slice_ms = longer_slice(self.slice_ms, self._sizes)
        finer, self.slices, self.bytes = self.slices, {}, 0
        self.changed.update(finer)
        longer: dict[int, list[Packed]] = {}
        for begin, held in sorted(finer.items()):
            longer.setdefault(begin - begin % self.slice_ms, []).append(held)
        for begin, parts in longer.items():
            self.put(begin, parts[0] if len(parts) == 1 else Packed.of(combine(part.summary() for part in parts)))

    def _add(self, start: int, summary: GroupSketch) -> None:
        held = self.slices.get(start)
        self.put(start, Packed.of(summary if held is None else combine([held.summary(), summary])))

    def put(self, start: int, held: Packed) -> None:
        """Hold a slice, in the place of one that starts then."""
        before = self.slices.get(start)
        self.bytes += len(held.data) - (len(before.data) if before is not None else 0)
        self.slices[start] = held
        self.changed.add(start)

    def finish(self, subject: Subject) -> Reference:
        """Return the reference, and let go of what it was learned from."""
        reference = build_reference(
            [(start, held.summary()) for start, held in sorted(self.slices.items())],
            model=subject.model,
            version=subject.version,
            segment=subject.segment,
            pane_ms=self.slice_ms,
            learned=True,
            season=self._season,
        )
        self.forget()
        return reference

    def forget(self) -> None:
        """Let go of the slices collected so far."""
        self.changed.update(self.slices)
        self.slices, self.slice_ms, self.bytes = {}, self._pane_ms, 0


def longer_slice(length: int, sizes: Sequence[int]) -> int:
    """Return the next longer slice that still divides every window, or else the longest windows; at last twice as long.

    >>> minute = 60
    >>> longer_slice(minute, [10 * minute, 60 * minute]), longer_slice(10 * minute, [10 * minute, 60 * minute])
    (120, 1200)
    """
    left = sorted(set(sizes))
    while left:
        common = math.gcd(*left)
        if common > length and common % length == 0:
            steps = common // length
            return length * next(step for step in range(2, steps + 1) if steps % step == 0)
        left.pop(0)
    return 2 * length
