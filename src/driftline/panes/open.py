"""Panes that are still open in one partition, and what was counted in them.

Sketches are mergeable, so nothing is updated in place: each batch adds its cells to a list, which is merged when that
makes it smaller, and a checkpoint stores only what came since the last one:

    batch, batch, …  ──►  fresh  ──checkpoint──►  chunk 7, chunk 8, …  ──now and then──►  one chunk

A pane's cells are gathered from all of these when the watermark passes its end. Models with segments keep their rows
until then (`waiting`).
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

import msgspec
import numpy as np

from driftline.codec import Count, corrupt, pack, unpack
from driftline.columns.model import ModelColumns
from driftline.columns.shape import ALL, FREE, SEGMENT_BITS, VERSION_BITS, Shape
from driftline.columns.signals import DELAY, REPEATED
from driftline.panes.arrivals import Arrivals
from driftline.panes.closing import pane_records
from driftline.panes.counting import Counting
from driftline.panes.groups import MAX_HANDLES, PANE_SHIFT, Naming, OpenGroup
from driftline.panes.records import GROUP_STEP, Pane, PaneRecord
from driftline.panes.repeats import Repeats
from driftline.panes.rows import Rows, joined, rows_of
from driftline.panes.stored_rows import unpack_rows
from driftline.panes.waiting import ANY_PANE, CHUNKS, MAX_ROWS, MAX_VALUES, Kept, Waiting, to_join
from driftline.sketches.cells import Cells, empty, from_buckets, merge
from driftline.sketches.group import ROLES, SignalRole, exact_categories
from driftline.sketches.keys import Ints
from driftline.sketches.packing import pack_cells, unpack_cells

VERSION = 1
MAX_MERGED = 2_000_000
"""Buckets of a chunk, some 20 MB, beyond which it is left as it is: a commit has to stay below 64 MiB."""
ROWS_A_LAYOUT, ROWS_WAITING = 4_000, 40_000
"""Rows of one model, and of all, that wait to be counted. Counting costs a fixed 200 µs beside its tenth of a µs a row:
a model with a hundredth of a topic must not pay that for the few rows that it has in a batch."""
ROWS_A_SEGMENT = 300
"""Where there are segments, rows wait until a segment has so many: before that, sketches would take more room, a bucket
being three times as large as a key."""
PANES_APART = 4
"""Panes of a batch of which the rows wait apart. Where there are more, of a sparse past, they are counted at once."""
BUCKETS_HELD = 1 << 20
"""Unmerged buckets held in memory, or four times those merged so far, before they are merged: so each bucket is moved
once or twice, however many cells there are."""


Heard = dict[str, tuple[set[int], set[int]]]
"""By model: codes of the versions and of the segments of which something was counted."""


@dataclass(slots=True)
class _Due:
    """What is held of a pane that is to be closed."""

    groups: list[OpenGroup] = field(default_factory=list)
    rows: list[tuple[Rows, list[Ints]]] = field(default_factory=list)
    """Of each layout: the rows, and their keys in pieces."""


class OpenPanes:
    """What was counted and not yet sent. See the module's head. Times are event times in epoch milliseconds."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, int], OpenGroup] = {}
        self._next_handle = 0
        self._waiting = Waiting()
        self._merged = empty()
        self._pending: list[Cells] = []
        self._pending_buckets = 0
        self._chunks: dict[str, Cells] = {}
        self._next_chunk = 0
        self._repeats = Repeats()
        self._heard: Heard = {}

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, columns: ModelColumns, chosen: Ints | None, times: Ints, arrivals: Arrivals, pane_ms: int) -> None:
        """Count rows of a model.

        Args:
            columns: of the model.
            chosen: positions of the rows to count, ascending; None for all.
            times: of the counted rows, shape (counted).
            arrivals: how they came, likewise.
            pane_ms: the length of the model's panes.
        """
        panes = times // pane_ms
        apart = np.unique(panes).tolist() if columns.segments else []
        if len(apart) == 1:
            self._waiting.add(apart[0] * pane_ms, rows_of(columns, chosen, times, arrivals, pane_ms))
        elif 1 < len(apart) <= PANES_APART:
            for pane in apart:
                inside = np.flatnonzero(panes == pane)
                part = inside if chosen is None else chosen[inside]
                self._waiting.add(pane * pane_ms, rows_of(columns, part, times[inside], arrivals.at(inside), pane_ms))
        else:
            rows = rows_of(columns, chosen, times, arrivals, pane_ms)
            waiting = self._waiting.add(ANY_PANE, rows)
            if columns.segments or waiting >= ROWS_A_LAYOUT:
                self._count_alike((rows.layout, ANY_PANE))
        most = max(ROWS_WAITING, min(ROWS_A_SEGMENT * len(columns.shape.segments), MAX_ROWS))
        if self._waiting.rows >= most or self._waiting.values >= MAX_VALUES:
            self._count()

    def _count(self) -> None:
        """Count all rows that wait."""
        for kept in self._waiting.kept:
            self._count_alike(kept)

    def _count_alike(self, kept: Kept) -> None:
        rows = joined(self._waiting.release(kept))
        for segments in (None, *rows.segments):
            handles, ranks = self._groups_of(rows, segments)
            counting = Counting(rows, [rows.keys], ranks[None], len(handles))
            self.take(counting.count(slice(0, len(handles)), handles * GROUP_STEP, self._newest))
            if segments is None:
                self._repeats.add(handles, ranks, rows.ids)

    def _groups_of(self, rows: Rows, segments: Ints | None) -> tuple[Ints, Ints]:
        """Return the handles, ascending, of the groups to which rows belong, and the rank of each row's among them.

        `segments` are codes of one tag, None for all events.
        """
        place = (rows.times // rows.pane_ms) << PANE_SHIFT | rows.versions << SEGMENT_BITS
        place = place if segments is None else place | segments
        if place[0] == place[-1] and (place == place[0]).all():
            places, ranks = place[:1], np.zeros(len(place), dtype=np.int64)
        else:
            places, ranks = np.unique(place, return_inverse=True)
        handles: Ints = np.array([self._handle(rows.shape.model, at, rows.pane_ms) for at in places.tolist()])
        ascending = np.argsort(handles)
        if len(handles) > 1:
            rank_of = np.empty_like(ascending)
            rank_of[ascending] = np.arange(len(ascending))
            ranks = rank_of[ranks]
        return handles[ascending], ranks

    @property
    def _newest(self) -> Cells:
        """Cells counted lately: the shifts that they needed are those that the next ones need."""
        return self._merged if len(self._merged) or not self._chunks else self._chunks[next(reversed(self._chunks))]

    def open(self, model: str, start: int, length: int) -> int:
        """Return the handle of the group of all events of a model's pane."""
        return self._handle(model, (start // length) << PANE_SHIFT, length)

    def count_delays(self, shape: Shape, panes: Ints, versions: Ints, delays: Ints, pane_ms: int) -> None:
        """Count how late events came that are not counted themselves.

        Args:
            shape: of their model.
            panes: numbers of their panes, `start // pane_ms`.
            versions: codes of their versions.
            delays: keys of their delays (see `arrivals`); all three of shape (events).
            pane_ms: the length of the model's panes.
        """
        places, group = np.unique(panes << PANE_SHIFT | versions << SEGMENT_BITS, return_inverse=True)
        handles = np.array([self._handle(shape.model, place, pane_ms) for place in places.tolist()], dtype=np.int64)
        ids, cell = np.unique(handles, return_inverse=True)
        cells = ids * GROUP_STEP + shape.signals[DELAY] * ROLES + SignalRole.NUMBERS
        none = np.zeros(len(delays), dtype=np.int64)
        self.take(from_buckets(cells, np.zeros_like(cells), cell[group], delays, none + 1, none))

    def _handle(self, model: str, place: int, pane_ms: int) -> int:
        group = self._groups.get((model, place))
        if group is None:
            start = (place >> PANE_SHIFT) * pane_ms
            version = (place >> SEGMENT_BITS) & ((1 << VERSION_BITS) - 1)
            segment = place & ((1 << SEGMENT_BITS) - 1)
            group = OpenGroup(self._next_handle, model, start, pane_ms, version, segment)
            self._next_handle += 1
            self._groups[model, place] = group
        return group.handle

    def take(self, cells: Cells) -> None:
        """Add counted cells."""
        if len(cells.keys) > BUCKETS_HELD and not len(self._merged):
            self._merged = cells
            return
        self._pending.append(cells)
        self._pending_buckets += len(cells.keys)
        if self._pending_buckets > max(BUCKETS_HELD, 4 * len(self._merged.keys)):
            self._merge()

    def _merge(self) -> None:
        if self._pending:
            self._merged = merge([self._merged, *self._pending])
            self._pending, self._pending_buckets = [], 0

    @property
    def ends(self) -> Iterable[int]:
        """The ends of open panes, the first and the last among them."""
        return itertools.chain((group.end for group in self._groups.values()), self._waiting.ends)

    def take_heard(self, watermark: int) -> Heard:
        """Return what panes held that were closed since the last call, and what those hold that end later.

        Call `close` first: then all rows that wait belong to panes that end later, and none has to be counted for it.
        """
        heard, self._heard = self._heard, {}
        for rows in self._waiting.all:
            _hear_rows(heard, rows)
        for group in self._groups.values():
            if group.end > watermark:
                _hear(heard, group.model, [group.version], [group.segment])
        return heard

    def close(
        self, until: int, naming: Callable[[str], Naming], categories: Mapping[int, str], place: tuple[int, int, int]
    ) -> list[PaneRecord]:
        """Take out the panes that end at or before a time, as records in order of (end, start, model).

        `place` is the source's number, how many sources there are, and how often panes left before their end.
        """
        due: dict[tuple[int, int, str], _Due] = {}
        for kept in self._waiting.due(until):
            if kept[1] == ANY_PANE:
                self._count_alike(kept)
            else:
                pieces = self._waiting.release(kept)
                rows = joined(pieces, keys=False)
                self._repeats.add(*self._groups_of(rows, None), rows.ids)
                _hear_rows(self._heard, rows)
                ended = due.setdefault((kept[1] + rows.pane_ms, kept[1], rows.shape.model), _Due())
                ended.rows.append((rows, [piece.keys for piece in pieces]))
        for group in self._groups.values():
            if group.end <= until:
                due.setdefault((group.end, group.start, group.model), _Due()).groups.append(group)
                _hear(self._heard, group.model, [group.version], [group.segment])
        if not due:
            return []
        self._groups = {key: group for key, group in self._groups.items() if group.end > until}
        cells = self._take_out([group for each in due.values() for group in each.groups], naming)
        records = []
        for key in sorted(due):
            end, start, model = key
            groups = due[key].groups
            held = cells.take(_ranges(cells.ids, sorted(group.handle for group in groups)))
            pane = Pane(*place, model, start, end - start)
            records.extend(pane_records(pane, naming(model), groups, held, due[key].rows, categories))
        return records

    def _take_out(self, groups: Sequence[OpenGroup], naming: Callable[[str], Naming]) -> Cells:
        """Return what was counted of these groups, and keep the rest."""
        wanted: Ints = np.array(sorted(group.handle for group in groups), dtype=np.int64)
        models = {group.model for group in groups if group.model}
        slots = {model: naming(model).signals.index(REPEATED) for model in sorted(models)}
        sampled = {group.handle: slots[group.model] for group in groups if group.segment == ALL and group.model}
        held = (self._merged, *self._pending, *self._chunks.values())
        parts = [self._cut(each, wanted, inside=True) for each in held]
        cells = merge([*parts, self._repeats.close(sampled, GROUP_STEP)])
        self._merged = self._cut(self._merged, wanted, inside=False)
        self._pending = [self._cut(each, wanted, inside=False) for each in self._pending]
        self._pending_buckets = sum(len(each.keys) for each in self._pending)
        self._chunks = {name: self._cut(each, wanted, inside=False) for name, each in self._chunks.items()}
        return cells

    @staticmethod
    def _cut(cells: Cells, handles: Ints, *, inside: bool) -> Cells:
        chosen = np.isin(cells.ids // GROUP_STEP, handles) == inside
        if chosen.all():
            return cells
        return cells.take(np.flatnonzero(chosen)) if chosen.any() else empty()

    def category_keys(self) -> set[int]:
        """Return the keys whose names are still needed."""
        self._count()
        self._merge()
        keys: set[int] = set()
        for cells in (self._merged, *self._chunks.values()):
            chosen = np.flatnonzero((cells.ids % ROLES >= 2) & (cells.shifts == 0))
            keys.update(cells.take(chosen).keys.tolist())
        return keys

    def checkpoint(self, categories: Mapping[int, str]) -> tuple[list[Any], dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        for kept in self._waiting.kept:
            if kept[1] == ANY_PANE:
                self._count_alike(kept)
        writes = self._waiting.store(lambda: self._new_chunk("rows"), categories)
        self._merge()
        for name in [name for name, cells in self._chunks.items() if not len(cells)]:
            del self._chunks[name]
            self._repeats.drop(name)
            writes[name] = None
        joining: list[str] = []
        if len(self._chunks) >= CHUNKS:
            sizes = {name: len(cells.keys) for name, cells in self._chunks.items()}
            joining = to_join(sizes, len(self._merged.keys), MAX_MERGED)
            writes.update(dict.fromkeys(joining))
            self._merged = merge([self._merged, *(self._chunks.pop(name) for name in joining)])
        if len(self._merged):
            name = self._new_chunk("cells")
            arrays = {**pack_cells(self._merged), **self._repeats.store(name, joining)}
            writes[name] = pack("cells", VERSION, exact_categories(self._merged, categories), arrays)
            self._chunks[name] = self._merged
            self._merged = empty()
        described = [self._next_handle, self._next_chunk, list(self._groups.values()), list(self._chunks)]
        heard = {model: [sorted(codes) for codes in held] for model, held in self._heard.items()}
        return [*described, self._waiting.stored, heard], writes

    def _new_chunk(self, kind: str) -> str:
        self._next_chunk += 1
        return f"{kind}/{self._next_chunk - 1}"

    def restore(
        self, described: Any, blobs: Mapping[str, bytes], shapes: Mapping[str, Shape], naming: Callable[[str], Naming]
    ) -> dict[int, str]:
        """Take up a checkpoint. Returns the categories' names. Raises `StateCorrupt`, or what a wrong value causes."""
        self._next_handle, self._next_chunk, groups, chunks, stored, heard = msgspec.convert(described, _Stored)
        names: dict[int, str] = {}
        naming = cache(naming)
        for group in groups:
            known = naming(group.model)
            places = (known.versions, group.version), (known.segments, group.segment)
            if any(code >= len(held) or held[code] == FREE for held, code in places):
                raise corrupt(
                    "summarise", f"a group of model {group.model[:80]!r} has a version or segment without name"
                )
            if group.start < 0 or group.start % group.length or group.handle >= self._next_handle:
                raise corrupt("summarise", f"a group of model {group.model[:80]!r} has no place in time, or no number")
            self._groups[group.model, group.place] = group
        if len({group.handle for group in self._groups.values()}) != len(groups):
            raise corrupt("summarise", "two groups of open panes are one")
        order = sorted(groups, key=lambda group: group.handle)
        handles: Ints = np.array([group.handle for group in order], dtype=np.int64)
        signals: Ints = np.array([len(naming(group.model).signals) for group in order], dtype=np.int64)
        for name in chunks:
            found = unpack(blobs[name], "cells", (VERSION,))
            self._repeats.restore(name, found.arrays, handles)
            names.update(msgspec.convert(found.value, dict[int, str]))
            cells = self._cut(unpack_cells(found.arrays), handles, inside=True)
            held = signals[np.searchsorted(handles, cells.ids // GROUP_STEP)]
            if (cells.ids % GROUP_STEP // ROLES >= held).any():
                raise corrupt("cells", "a cell belongs to no signal")
            self._chunks[name] = cells
        counted = [cells.ids // GROUP_STEP for cells in self._chunks.values()]
        if not np.isin(handles, np.concatenate([*counted, handles[:0]])).all():
            raise corrupt("cells", "nothing was counted in an open group")
        for model, codes in heard.items():
            _hear(self._heard, model, *codes)
        if len(set(stored)) != len(stored):
            raise corrupt("summarise", "rows that wait are listed twice")
        for name in stored:
            rows, known_names = unpack_rows(blobs[name], name, shapes)
            names.update(known_names)
            self._waiting.restored(rows)
        return names


def _ranges(ids: Ints, handles: Sequence[int]) -> Ints:
    """Return the positions of the cells of groups; both ascend, so nothing is looked at but where each group begins."""
    firsts = np.array(handles, dtype=np.int64) * GROUP_STEP
    begins, ends = np.searchsorted(ids, firsts), np.searchsorted(ids, firsts + GROUP_STEP)
    sizes = ends - begins
    before = np.cumsum(sizes) - sizes
    positions: Ints = np.arange(sizes.sum()) + np.repeat(begins - before, sizes)
    return positions


def _hear(heard: Heard, model: str, versions: Iterable[int], segments: Iterable[int]) -> None:
    known = heard.setdefault(model, (set(), set()))
    known[0].update(versions)
    known[1].update(segments)


def _hear_rows(heard: Heard, rows: Rows) -> None:
    segments = [segment for codes in rows.segments for segment in _present(codes)]
    _hear(heard, rows.shape.model, _present(rows.versions), segments)


def _present(codes: Ints) -> list[int]:
    return np.flatnonzero(np.bincount(codes)).tolist()


_StoredHeard = dict[str, tuple[list[Count], list[Count]]]
_NextHandle = Annotated[int, msgspec.Meta(ge=0, le=MAX_HANDLES // 2)]  # as many are left as were ever given
_Stored = tuple[_NextHandle, Count, list[OpenGroup], list[str], list[str], _StoredHeard]
