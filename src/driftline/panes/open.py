"""Panes that are still open in one partition, and what was counted in them.

Sketches are mergeable, so nothing is updated in place: each batch adds its cells to a list, which is merged when that
makes it smaller, and a checkpoint stores only what came since the last one:

    batch, batch, …  ──►  fresh  ──checkpoint──►  chunk 7, chunk 8, …  ──now and then──►  one chunk

A pane's cells are gathered from all of these when the watermark passes its end.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from driftline.formats.columns import ModelColumns
from driftline.formats.learning import ALL
from driftline.panes.counting import count
from driftline.panes.records import GROUP_STEP, Group, PaneRecord, split
from driftline.sketches.cells import CAP, Cells, empty, merge
from driftline.sketches.keys import Ints
from driftline.sketches.packing import pack_cells, unpack_cells
from driftline.sketches.summary import EVENTS, ROLES, exact_categories
from driftline.state.codec import pack, unpack

VERSION = 1
CHUNKS = 8
"""Chunks stored beside each other before they are merged into one: a checkpoint then writes each bucket about twice."""
BUCKETS_HELD = 4_000_000
"""Unmerged buckets held in memory, some 100 MB, before they are merged in any case."""
BUCKETS_A_RECORD = 24_000
"""Buckets in one record of the panes topic: some 200 kB, below every default limit on a record's size."""

SEGMENT_BITS = 14
VERSION_BITS = 8


class OpenGroup(msgspec.Struct, frozen=True, array_like=True):
    """A (version, segment) of a model in one pane; its cells have ids from `handle * GROUP_STEP`."""

    handle: int
    model: str
    start: int
    length: int
    version: int
    segment: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Naming:
    """What a model's codes and slots stand for."""

    signals: Sequence[str]
    versions: Sequence[str]
    segments: Sequence[str]
    tags: Sequence[str]


class OpenPanes:
    """What was counted and not yet sent. See the module's head."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, int], OpenGroup] = {}
        self._next_handle = 0
        self._merged = empty()
        self._pending: list[Cells] = []
        self._pending_buckets = 0
        self._chunks: dict[str, Cells] = {}
        self._next_chunk = 0

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, columns: ModelColumns, rows: Ints | None, times: Ints, pane_ms: int) -> None:
        """Count rows of a model (positions, None for all) at these event times (one for each counted row)."""
        panes = times // pane_ms
        versions = columns.versions if rows is None else columns.versions[rows]
        tags: Sequence[Ints | None] = columns.segments or [None]
        for segment_codes in tags:
            place = (panes << (VERSION_BITS + SEGMENT_BITS)) | (versions << SEGMENT_BITS)
            if segment_codes is not None:
                place |= segment_codes if rows is None else segment_codes[rows]
            if place[0] == place[-1] and (place == place[0]).all():
                places, ranks = place[:1], np.zeros(len(place), dtype=np.int64)
            else:
                places, ranks = np.unique(place, return_inverse=True)
            handles = [self._handle(columns.shape.model, at, pane_ms) for at in places.tolist()]
            starts = np.array(handles, dtype=np.int64) * GROUP_STEP
            self.take(count(columns, rows, ranks, starts, self._merged))

    def open(self, model: str, start: int, length: int) -> int:
        """Return the handle of the group of all events of a model's pane."""
        return self._handle(model, (start // length) << (VERSION_BITS + SEGMENT_BITS), length)

    def _handle(self, model: str, place: int, pane_ms: int) -> int:
        group = self._groups.get((model, place))
        if group is None:
            start = (place >> (VERSION_BITS + SEGMENT_BITS)) * pane_ms
            version = (place >> SEGMENT_BITS) & ((1 << VERSION_BITS) - 1)
            segment = place & ((1 << SEGMENT_BITS) - 1)
            group = OpenGroup(self._next_handle, model, start, pane_ms, version, segment)
            self._next_handle += 1
            self._groups[model, place] = group
        return group.handle

    def take(self, cells: Cells) -> None:
        """Add counted cells."""
        self._pending.append(cells)
        self._pending_buckets += len(cells.keys)
        held = self._pending_buckets + len(self._merged.keys)
        # Merging pays once cells hold more buckets than they may keep; before, it would only move them.
        if held > 2 * CAP * max(len(cells), len(self._merged)) or self._pending_buckets > BUCKETS_HELD:
            self._settle()

    def _settle(self) -> None:
        if self._pending:
            self._merged = merge([self._merged, *self._pending])
            self._pending, self._pending_buckets = [], 0

    @property
    def ends(self) -> Iterable[int]:
        """The ends of all open panes."""
        return (group.end for group in self._groups.values())

    def close(
        self, watermark: int, naming: Callable[[str], Naming], categories: Mapping[int, str], source: int, sources: int
    ) -> list[PaneRecord]:
        """Take out the panes that end at or before the watermark, as records in order of (end, start, model)."""
        due: dict[tuple[int, int, str], list[OpenGroup]] = {}
        for group in self._groups.values():
            if group.end <= watermark:
                due.setdefault((group.end, group.start, group.model), []).append(group)
        if not due:
            return []
        self._groups = {key: group for key, group in self._groups.items() if group.end > watermark}
        self._settle()
        handles = np.array(sorted(group.handle for groups in due.values() for group in groups), dtype=np.int64)
        closed = [self._cut(cells, handles, inside=True) for cells in (self._merged, *self._chunks.values())]
        self._merged = self._cut(self._merged, handles, inside=False)
        self._chunks = {name: self._cut(cells, handles, inside=False) for name, cells in self._chunks.items()}
        cells = merge(closed)
        ranks = cells.ids // GROUP_STEP
        records = []
        for (_, start, model), groups in sorted(due.items()):
            wanted = np.array(sorted(group.handle for group in groups), dtype=np.int64)
            part = cells.take(np.flatnonzero(np.isin(ranks, wanted))) if len(due) > 1 else cells
            records.extend(_records(part, groups, naming(model), categories, source, sources, start))
        return records

    @staticmethod
    def _cut(cells: Cells, handles: Ints, *, inside: bool) -> Cells:
        return cells.take(np.flatnonzero(np.isin(cells.ids // GROUP_STEP, handles) == inside))

    def category_keys(self) -> set[int]:
        """Return the keys whose names are still needed."""
        self._settle()
        keys: set[int] = set()
        for cells in (self._merged, *self._chunks.values()):
            chosen = np.flatnonzero((cells.ids % ROLES >= 2) & (cells.shifts == 0))
            keys.update(cells.take(chosen).keys.tolist())
        return keys

    def checkpoint(self, categories: Mapping[int, str]) -> tuple[list[Any], dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        self._settle()
        writes: dict[str, bytes | None] = {}
        if len(self._chunks) >= CHUNKS:
            writes.update(dict.fromkeys(self._chunks))
            self._merged = merge([self._merged, *self._chunks.values()])
            self._chunks = {}
        for name in [name for name, cells in self._chunks.items() if not len(cells)]:
            del self._chunks[name]
            writes[name] = None
        if len(self._merged):
            name = f"cells/{self._next_chunk}"
            self._next_chunk += 1
            writes[name] = pack("cells", VERSION, exact_categories(self._merged, categories), pack_cells(self._merged))
            self._chunks[name] = self._merged
            self._merged = empty()
        groups = [group for group in self._groups.values()]
        return [self._next_handle, self._next_chunk, groups, list(self._chunks)], writes

    def restore(self, described: Any, blobs: Mapping[str, bytes]) -> dict[int, str]:
        """Take up a checkpoint. Returns the categories' names."""
        self._next_handle, self._next_chunk, groups, chunks = described
        names: dict[int, str] = {}
        for group in msgspec.convert(groups, list[OpenGroup]):
            place = (group.start // group.length) << (VERSION_BITS + SEGMENT_BITS)
            place |= group.version << SEGMENT_BITS | group.segment
            self._groups[group.model, place] = group
        handles: Ints = np.array(sorted(group.handle for group in self._groups.values()), dtype=np.int64)
        for name in chunks:
            found = unpack(blobs[name], "cells", (VERSION,))
            names.update(msgspec.convert(found.value, dict[int, str]))
            self._chunks[name] = self._cut(unpack_cells(found.arrays), handles, inside=True)
        return names


def _records(
    cells: Cells,
    groups: Sequence[OpenGroup],
    naming: Naming,
    categories: Mapping[int, str],
    source: int,
    sources: int,
    start: int,
) -> list[PaneRecord]:
    """Turn the cells of one model's pane into records, groups in order of their names, "all" first."""
    named = {group.handle: Group(naming.versions[group.version], naming.segments[group.segment]) for group in groups}
    if naming.tags:
        cells = merge([cells, _all_events(cells, groups, naming, named)])
    order = sorted(named, key=lambda handle: named[handle])
    slots = np.unique(cells.ids % GROUP_STEP // ROLES)
    signals = (EVENTS, *sorted(naming.signals[slot] for slot in slots.tolist() if slot))
    slot_of = {name: slot for slot, name in enumerate(signals)}
    moved = np.zeros(int(slots.max()) + 1, dtype=np.int64)
    for slot in slots.tolist():
        moved[slot] = slot_of[naming.signals[slot]]
    handles: Ints = np.array(sorted(named), dtype=np.int64)
    ranks = np.empty(len(handles), dtype=np.int64)
    ranks[np.searchsorted(handles, np.array(order, dtype=np.int64))] = np.arange(len(order))
    rank = ranks[np.searchsorted(handles, cells.ids // GROUP_STEP)]
    below = cells.ids % GROUP_STEP
    cells = cells.renamed(rank * GROUP_STEP + moved[below // ROLES] * ROLES + below % ROLES)
    rank = cells.ids // GROUP_STEP
    sizes = np.bincount(rank, weights=cells.sizes, minlength=len(order)).astype(np.int64)
    runs = split(sizes.tolist(), BUCKETS_A_RECORD)
    records = []
    for part, run in enumerate(runs):
        held = cells.take(np.flatnonzero((rank >= run.start) & (rank < run.stop)))
        shifted = held.ids - run.start * GROUP_STEP
        inside = Cells(shifted, held.shifts, held.sizes, held.keys, held.counts, held.offsets)
        records.append(
            PaneRecord(
                source, sources, groups[0].model, start, groups[0].length, part, len(runs),
                tuple(named[order[at]] for at in run), signals, inside, exact_categories(inside, categories),
            )  # fmt: skip
        )
    return records


def _all_events(
    cells: Cells, groups: Sequence[OpenGroup], naming: Naming, named: dict[int, Group]
) -> Cells:
    """Merge the segments of the first tag, which hold every event once, into all events of each version."""
    first = f"{naming.tags[0]}="
    version_handle: dict[int, int] = {}
    moved: dict[int, int] = {}
    for group in groups:
        if naming.segments[group.segment].startswith(first):
            handle = version_handle.setdefault(group.version, max(named) + 1)
            named.setdefault(handle, Group(naming.versions[group.version], naming.segments[ALL]))
            moved[group.handle] = handle
    sources: Ints = np.array(sorted(moved), dtype=np.int64)
    targets: Ints = np.array([moved[handle] for handle in sources.tolist()], dtype=np.int64)
    handles = cells.ids // GROUP_STEP
    part = cells.take(np.flatnonzero(np.isin(handles, sources)))
    target = targets[np.searchsorted(sources, part.ids // GROUP_STEP)]
    return part.renamed(target * GROUP_STEP + part.ids % GROUP_STEP)
