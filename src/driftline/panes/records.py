"""What Summarise tells Judge: the records of the panes topic.

A *source* is one partition of a topic of predictions (see `panes.sources`). It sends each model's panes in time order,
cut into parts where one record would be too large, also within a group. When it falls idle, it sends what it has of
panes that have not ended (a *flush*); what comes for them later follows as a supplement. So (flushes, start, part) is a
sequence number, and a repeated record is known by it. A watermark says that all panes ending at or before it were sent;
it goes to every partition of the panes topic. A person's command, about references, incidents or records to skip, is
a record there too: so what Judge does is a function of this log.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np

from driftline.codec import LAST, Count, Mark, Span, Time, corrupt, pack, unpack
from driftline.columns.times import BAD_TIME
from driftline.panes.sources import topic_and_partition
from driftline.sketches.cells import Cells
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, exact_categories
from driftline.sketches.keys import Ints
from driftline.sketches.packing import pack_cells, unpack_cells

VERSION = 1
PANE_VERSION = 1
PANE = "pane"
WATERMARK = "watermark"
REBASE = "rebase"
SKIP = "skip"
RESOLVE = "resolve"
KIND_AT = 15
"""Where `pack` writes the kind: after its prefix (9 bytes), the header's length (4) and two bytes of MessagePack."""
GROUP_STEP = 1 << 14
"""In a record, the cells of group i have ids from i * GROUP_STEP; enough for 4,096 signals."""


class Group(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A (version, segment) of a model; segment "" is all events."""

    version: str
    segment: str


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """What a source counted of a model over [start, start + length), in epoch milliseconds."""

    source: int
    sources: int
    flushes: int
    """How often the source had sent panes before their end when it counted this."""
    model: str
    start: int
    length: int

    @property
    def end(self) -> int:
        """The first millisecond after it."""
        return self.start + self.length


@dataclass(frozen=True, slots=True, eq=False)
class Piece(Pane, ABC):
    """Part of a pane, as a record of the panes topic."""

    part: int
    parts: int

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it comes among all that its source sends of the model."""
        return self.flushes, self.start, self.part

    @abstractmethod
    def encode(self) -> bytes:
        """Return the record's value."""


@dataclass(frozen=True, slots=True, eq=False)
class PaneRecord(Piece):
    """Some groups of a model's pane."""

    groups: tuple[Group, ...]
    signals: tuple[str, ...]
    """Those of this part: EVENTS first, then in order of their names, those beside the events' content last."""
    cells: Cells
    categories: dict[int, str]

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_record`."""
        value = [
            self.source, self.sources, self.model, self.start, self.length, self.part, self.parts,
            self.groups, self.signals, self.categories, self.flushes,
        ]  # fmt: skip
        return pack(PANE, PANE_VERSION, value, pack_cells(self.cells))

    def summaries(self) -> list[tuple[Group, GroupSketch]]:
        """Return each group with what was seen of it."""
        if len(self.groups) == 1:
            return [(self.groups[0], GroupSketch(self.signals, self.cells, self.categories))]
        found = []
        rank = self.cells.ids // GROUP_STEP
        for index, group in enumerate(self.groups):
            chosen = (rank == index).nonzero()[0]
            part = self.cells.take(chosen)
            cells = Cells(part.ids % GROUP_STEP, part.shifts, part.sizes, part.keys, part.counts, part.offsets)
            found.append((group, GroupSketch(self.signals, cells, exact_categories(cells, self.categories))))
        return found


class Watermark(msgspec.Struct, frozen=True, array_like=True):
    """How far a source has come in event time, in epoch milliseconds.

    `idle` says that it was read to its end and nothing comes: it holds no window back until its next pane or watermark,
    and its time is as far as the clock allows.
    `position` is the next offset it will read of its first input.
    `heard` is how far its events have come, whatever the clock says.

    >>> mark = Watermark(source=2, sources=4, time=60_000, idle=False, position=1_200)
    >>> decode_record(mark.encode()) == mark
    True
    """

    source: Count
    sources: Count
    time: Mark
    idle: bool
    position: Count
    heard: Mark = BAD_TIME

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_record`."""
        return pack(WATERMARK, VERSION, self, {})


class StoredPiece(msgspec.Struct, frozen=True, array_like=True):
    """What a record begins with."""

    source: Count
    sources: Count
    model: str
    start: Time
    length: Span
    part: Count
    parts: Count

    def check(self, kind: str) -> None:
        """Raise `StateCorrupt` for a source or a time that cannot be."""
        _, partition = topic_and_partition(self.source)
        if partition >= self.sources or self.start < 0 or self.start + self.length > LAST:
            raise corrupt(kind, "its source or its time is impossible")


class _Pane(StoredPiece, frozen=True, array_like=True):
    groups: tuple[Group, ...]
    signals: tuple[str, ...]
    categories: dict[int, str]
    flushes: Count


class Rebase(msgspec.Struct, frozen=True, array_like=True):
    """A person's command: from here on, compare a model's windows with another reference.

    `version` and `segment` are None for all of them. `reference` is an encoded reference; empty, one is learned anew,
    by the rule `learn` (milliseconds, events) or else by the configured one. `issued` (epoch milliseconds, by the
    clock of whoever asked) and `note` are for the audit trail alone: nothing is decided by them.
    """

    model: str
    version: str | None
    segment: str | None
    reference: bytes
    learn: tuple[int, int] | None
    issued: int
    note: str

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_command`."""
        return pack(REBASE, VERSION, self, {})


class Skip(msgspec.Struct, frozen=True, array_like=True):
    """A person's decision that was carried out: a task goes on behind records that nobody will count.

    `offset` is where the task was in `topic`, `to` where it goes on, `records` how many were left out as far as is
    known. `anew`: the offset was one of a topic that was deleted, and created again under its name. `issued` (epoch
    milliseconds, by the clock of whoever asked) tells one decision from another.
    """

    stage: str
    topic: str
    partition: Count
    offset: Count
    to: Count
    records: Count
    anew: bool
    issued: Time

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_command`."""
        return pack(SKIP, VERSION, self, {})


class Resolve(msgspec.Struct, frozen=True, array_like=True):
    """A person's word that an incident is over, whatever the evidence says.

    What goes on after `cooldown` (milliseconds of event time) is a new incident. `issued` (epoch milliseconds, by the
    clock of whoever said it) is for people alone.
    """

    incident: str
    by: str
    why: str
    cooldown: Span
    issued: Time

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_command`."""
        return pack(RESOLVE, VERSION, self, {})


Command: TypeAlias = Rebase | Skip | Resolve


def decode_command(data: bytes) -> Command | None:
    """Return the command in a record of the panes topic; None where it is another record. Raises `StateCorrupt`."""
    if data.startswith(REBASE.encode(), KIND_AT):
        return converted(unpack(data, REBASE, (VERSION,)).value, Rebase)
    if data.startswith(SKIP.encode(), KIND_AT):
        return converted(unpack(data, SKIP, (VERSION,)).value, Skip)
    if data.startswith(RESOLVE.encode(), KIND_AT):
        return converted(unpack(data, RESOLVE, (VERSION,)).value, Resolve)
    return None


def decode_record(data: bytes) -> PaneRecord | Watermark:
    """Decode a pane or a watermark. Raises `StateCorrupt` for anything else."""
    if data.startswith(WATERMARK.encode(), KIND_AT):
        found = unpack(data, WATERMARK, (VERSION,))
        return converted(found.value, Watermark)
    found = unpack(data, PANE, (PANE_VERSION,))
    pane = converted(found.value, _Pane)
    cells, signals = unpack_cells(found.arrays), pane.signals
    if len(cells) and int(cells.ids[-1]) >= len(pane.groups) * GROUP_STEP:
        raise corrupt(PANE, "a cell belongs to no group")
    if len(cells) and int((cells.ids % GROUP_STEP // ROLES).max()) >= len(signals):
        raise corrupt(PANE, "a cell belongs to no signal")
    pane.check(PANE)
    if not pane.groups or signals[:1] != (EVENTS,) or len(set(signals)) != len(signals):
        raise corrupt(PANE, "it has no group, or its signals are repeated or do not follow the events")
    return PaneRecord(
        pane.source, pane.sources, pane.flushes, pane.model, pane.start, pane.length, pane.part, pane.parts,
        pane.groups, signals, cells, pane.categories,
    )  # fmt: skip


_T = TypeVar("_T")


def converted(value: Any, kind: type[_T]) -> _T:
    """Return what was unpacked as a value of this type. Raises `StateCorrupt`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise corrupt(kind.__name__.strip("_").lower(), str(error)) from None


def split(weights: Ints, most: int) -> list[range]:
    """Cut consecutive things into runs that weigh at most `most`, each run at least one thing.

    >>> split(np.array([3, 3, 9, 1]), 6)
    [range(0, 2), range(2, 3), range(3, 4)]
    """
    runs: list[range] = []
    ends = np.cumsum(weights)
    start = before = 0
    while start < len(ends):
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        runs.append(range(start, stop))
        start, before = stop, int(ends[stop - 1])
    return runs
