"""Panes that are still open in one partition, and what was counted in them.

Sketches are mergeable, so nothing is updated in place: each batch adds its cells to a list, which is merged when that
makes it smaller, and a checkpoint stores only what came since the last one:

    batch, batch, …  ──►  fresh  ──checkpoint──►  chunk 7, chunk 8, …  ──now and then──►  one chunk

A pane's cells are gathered from all of these when the watermark passes its end. Models with segments keep their rows
until then (`waiting`).
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
import numpy as np

from driftline.codec import Count, Span, Time, corrupt, pack, unpack
from driftline.formats.columns import Layout, ModelColumns
from driftline.formats.learning import ALL, SEGMENT_BITS, VERSION_BITS, Shape
from driftline.panes.counting import count
from driftline.panes.records import GROUP_STEP, Group, PaneRecord, split
from driftline.panes.waiting import Waiting, joined, pack_rows, unpack_rows
from driftline.sketches.cells import Cells, empty, merge
from driftline.sketches.keys import Ints
from driftline.sketches.packing import pack_cells, unpack_cells
from driftline.sketches.summary import EVENTS, ROLES, category_cells, exact_categories

VERSION = 1
CHUNKS = 8
"""Chunks stored beside each other before the newest are merged. A chunk joins them only if it is less than `TIER` times
as large as they are together: much state that lasts is not written again for the little that comes."""
TIER = 4
MOST_MERGED = 2_000_000
"""Buckets of a chunk, some 20 MB, beyond which it is left as it is: a commit has to stay below 64 MiB."""
ROWS_A_LAYOUT, ROWS_WAITING = 4_000, 40_000
"""Rows of one model, and of all, that wait to be counted. Counting costs a fixed 200 µs beside its tenth of a µs a row:
a model with a hundredth of a topic must not pay that for the few rows that it has in a batch."""
ROWS_A_SEGMENT, MOST_ROWS = 200, 200_000
"""Where there are segments, rows wait until a segment has so many: before that, sketches would take more room. At most
some 40 MB: see `waiting`."""
BUCKETS_HELD = 1 << 20
"""Unmerged buckets held in memory, or four times those merged so far, before they are merged: so each bucket is moved
once or twice, however many cells there are."""
BYTES_A_RECORD = 240_000
"""What a record of the panes topic may weigh by the estimates below. At worst, if all names are in a script of four
bytes a character, it takes some 900 kB: below the 1 MiB that Kafka allows by default."""
BUCKET_BYTES = 10
NAMED_BUCKET_BYTES = 100
CELL_BYTES = 20


MOST_HANDLES = 2**48
"""A group's handle and its cells share an int64."""


class OpenGroup(msgspec.Struct, frozen=True, array_like=True):
    """A (version, segment) of a model in one pane; its cells have ids from `handle * GROUP_STEP`."""

    handle: Annotated[int, msgspec.Meta(ge=0, lt=MOST_HANDLES)]
    model: str
    start: Time
    length: Span
    version: Count
    segment: Count

    @property
    def end(self) -> int:
        """The first millisecond after the pane."""
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
        self._waiting: dict[Layout, list[Waiting]] = {}
        self._rows_waiting = 0
        self._stored_rows: set[str] = set()
        self._merged = empty()
        self._pending: list[Cells] = []
        self._pending_buckets = 0
        self._chunks: dict[str, Cells] = {}
        self._next_chunk = 0

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, columns: ModelColumns, rows: Ints | None, times: Ints, pane_ms: int) -> None:
        """Count rows of a model (positions, None for all) at these event times (one for each counted row)."""
        alike = self._waiting.setdefault(columns.layout, [])
        alike.append(Waiting(columns, rows, times, pane_ms))
        self._rows_waiting += len(times)
        most = ROWS_WAITING
        if columns.segments:
            most = max(most, min(ROWS_A_SEGMENT * len(columns.shape.segments), MOST_ROWS))
        if self._rows_waiting >= most:
            self._count()
        elif not columns.segments and sum(len(waiting.times) for waiting in alike) >= ROWS_A_LAYOUT:
            self._count_alike(self._waiting.pop(columns.layout))

    def _count(self) -> None:
        """Count all rows that wait."""
        for alike in self._waiting.values():
            self._count_alike(alike)
        self._waiting.clear()

    def _count_alike(self, alike: Sequence[Waiting]) -> None:
        whole = alike[0] if len(alike) == 1 else joined(alike)
        columns, rows, pane_ms = whole.columns, whole.rows, whole.pane_ms
        self._rows_waiting -= len(whole.times)
        panes = whole.times // pane_ms
        versions = columns.versions if rows is None else columns.versions[rows]
        everything: Sequence[Ints | None] = (None, *columns.segments)
        for segment_codes in everything:
            place = (panes << (VERSION_BITS + SEGMENT_BITS)) | (versions << SEGMENT_BITS)
            if segment_codes is not None:
                place |= segment_codes if rows is None else segment_codes[rows]
            if place[0] == place[-1] and (place == place[0]).all():
                places, ranks = place[:1], np.zeros(len(place), dtype=np.int64)
            else:
                places, ranks = np.unique(place, return_inverse=True)
            handles = [self._handle(columns.shape.model, at, pane_ms) for at in places.tolist()]
            starts = np.array(handles, dtype=np.int64) * GROUP_STEP
            for cells in count(columns, rows, ranks, starts, self._newest):
                self.take(cells)

    @property
    def _newest(self) -> Cells:
        """Cells counted lately: the shifts that they needed are those that the next ones need."""
        return self._merged if len(self._merged) or not self._chunks else self._chunks[next(reversed(self._chunks))]

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
        return itertools.chain((group.end for group in self._groups.values()), self._ends_waiting())

    def _ends_waiting(self) -> Iterator[int]:
        return (end for alike in self._waiting.values() for waiting in alike for end in waiting.ends)

    def close(
        self, watermark: int, naming: Callable[[str], Naming], categories: Mapping[int, str], source: int, sources: int
    ) -> list[PaneRecord]:
        """Take out the panes that end at or before the watermark, as records in order of (end, start, model)."""
        if any(end <= watermark for end in self._ends_waiting()):
            self._count()
        due: dict[tuple[int, int, str], list[OpenGroup]] = {}
        for group in self._groups.values():
            if group.end <= watermark:
                due.setdefault((group.end, group.start, group.model), []).append(group)
        if not due:
            return []
        self._groups = {key: group for key, group in self._groups.items() if group.end > watermark}
        handles = np.array(sorted(group.handle for groups in due.values() for group in groups), dtype=np.int64)
        held = (self._merged, *self._pending, *self._chunks.values())
        closed = [self._cut(cells, handles, inside=True) for cells in held]
        self._merged = self._cut(self._merged, handles, inside=False)
        self._pending = [self._cut(cells, handles, inside=False) for cells in self._pending]
        self._pending_buckets = sum(len(cells.keys) for cells in self._pending)
        self._chunks = {name: self._cut(cells, handles, inside=False) for name, cells in self._chunks.items()}
        cells = merge(closed)
        places = {group.handle: place for place, key in enumerate(sorted(due)) for group in due[key]}
        place_of: Ints = np.array([places[handle] for handle in handles.tolist()], dtype=np.int64)
        place = place_of[np.searchsorted(handles, cells.ids // GROUP_STEP)]
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(len(due) + 1))
        records = []
        for key, first, last in zip(sorted(due), bounds[:-1], bounds[1:], strict=True):
            part = cells.take(order[first:last])
            records.extend(_records(part, due[key], naming(key[2]), categories, source, sources))
        return records

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
        writes = self._store_rows(categories)
        self._merge()
        if len(self._chunks) >= CHUNKS:
            joining = self._newest_chunks()
            writes.update(dict.fromkeys(joining))
            self._merged = merge([self._merged, *(self._chunks.pop(name) for name in joining)])
        for name in [name for name, cells in self._chunks.items() if not len(cells)]:
            del self._chunks[name]
            writes[name] = None
        if len(self._merged):
            name = f"cells/{self._next_chunk}"
            self._next_chunk += 1
            writes[name] = pack("cells", VERSION, exact_categories(self._merged, categories), pack_cells(self._merged))
            self._chunks[name] = self._merged
            self._merged = empty()
        described = [self._next_handle, self._next_chunk, list(self._groups.values()), list(self._chunks)]
        return [*described, sorted(self._stored_rows)], writes

    def _store_rows(self, categories: Mapping[int, str]) -> dict[str, bytes | None]:
        """Count the rows that wait for others of their model; store those that wait for the end of their pane."""
        if len(self._stored_rows) >= CHUNKS:
            self._count()
        writes: dict[str, bytes | None] = {}
        for layout, alike in list(self._waiting.items()):
            if not alike[0].columns.segments:
                self._count_alike(self._waiting.pop(layout))
                continue
            new = [waiting for waiting in alike if not waiting.stored]
            if new:
                name = f"rows/{self._next_chunk}"
                self._next_chunk += 1
                whole = replace(joined(new), stored=name)
                self._waiting[layout] = [*(waiting for waiting in alike if waiting.stored), whole]
                writes[name] = pack_rows(whole, categories)
        held = {waiting.stored for alike in self._waiting.values() for waiting in alike}
        writes.update(dict.fromkeys(sorted(self._stored_rows - held)))
        self._stored_rows = held
        return writes

    def _newest_chunks(self) -> list[str]:
        """Return the chunks that are to be merged with what came since: see `CHUNKS`."""
        joining: list[str] = []
        buckets = len(self._merged.keys)
        for name in reversed(self._chunks):
            more = len(self._chunks[name].keys)
            if more >= TIER * buckets or buckets + more > MOST_MERGED:
                break
            joining.append(name)
            buckets += more
        return joining

    def restore(
        self, described: Any, blobs: Mapping[str, bytes], shapes: Mapping[str, Shape], naming: Callable[[str], Naming]
    ) -> dict[int, str]:
        """Take up a checkpoint. Returns the categories' names. Raises `StateCorrupt`, or what a wrong value causes."""
        self._next_handle, self._next_chunk, groups, chunks = msgspec.convert(described[:4], _Stored)
        names: dict[int, str] = {}
        for group in groups:
            place = (group.start // group.length) << (VERSION_BITS + SEGMENT_BITS)
            place |= group.version << SEGMENT_BITS | group.segment
            known = naming(group.model)
            if group.version >= len(known.versions) or group.segment >= len(known.segments):
                raise corrupt(
                    "summarise", f"a group of model {group.model[:80]!r} has a version or segment without name"
                )
            if group.start < 0 or group.start % group.length or group.handle >= self._next_handle:
                raise corrupt("summarise", f"a group of model {group.model[:80]!r} has no place in time, or no number")
            self._groups[group.model, place] = group
        if len({group.handle for group in self._groups.values()}) != len(groups):
            raise corrupt("summarise", "two groups of open panes are one")
        order = sorted(groups, key=lambda group: group.handle)
        handles: Ints = np.array([group.handle for group in order], dtype=np.int64)
        signals: Ints = np.array([len(naming(group.model).signals) for group in order], dtype=np.int64)
        for name in chunks:
            found = unpack(blobs[name], "cells", (VERSION,))
            names.update(msgspec.convert(found.value, dict[int, str]))
            cells = self._cut(unpack_cells(found.arrays), handles, inside=True)
            held = signals[np.searchsorted(handles, cells.ids // GROUP_STEP)]
            if (cells.ids % GROUP_STEP // ROLES >= held).any():
                raise corrupt("cells", "a cell belongs to no signal")
            self._chunks[name] = cells
        counted = [cells.ids // GROUP_STEP for cells in self._chunks.values()]
        if not np.isin(handles, np.concatenate([*counted, handles[:0]])).all():
            raise corrupt("cells", "nothing was counted in an open group")
        if len(described) == 4:
            self._add_all_events(naming)
        for name in itertools.chain.from_iterable(msgspec.convert(described[4:], list[list[str]])):
            waiting, known_names = unpack_rows(blobs[name], name, shapes)
            names.update(known_names)
            self._waiting.setdefault(waiting.columns.layout, []).append(waiting)
            self._rows_waiting += len(waiting.times)
            self._stored_rows.add(name)
        return names

    def _add_all_events(self, naming: Callable[[str], Naming]) -> None:
        """Take up what release 0.1.0 stored: it did not count all events of a model that has segments.

        The segments of the first tag hold every event once.
        """
        moved: dict[int, int] = {}
        for group in list(self._groups.values()):
            known = naming(group.model)
            if known.tags and known.segments[group.segment].startswith(f"{known.tags[0]}="):
                place = (group.start // group.length) << (VERSION_BITS + SEGMENT_BITS)
                place |= group.version << SEGMENT_BITS | ALL
                moved[group.handle] = self._handle(group.model, place, group.length)
        sources: Ints = np.array(sorted(moved), dtype=np.int64)
        targets: Ints = np.array([moved[handle] for handle in sources.tolist()], dtype=np.int64)
        for cells in self._chunks.values():
            part = self._cut(cells, sources, inside=True)
            if len(part):
                target = targets[np.searchsorted(sources, part.ids // GROUP_STEP)]
                self.take(part.renamed(target * GROUP_STEP + part.ids % GROUP_STEP))


_Stored = tuple[Count, Count, list[OpenGroup], list[str]]


def _records(
    cells: Cells,
    groups: Sequence[OpenGroup],
    naming: Naming,
    categories: Mapping[int, str],
    source: int,
    sources: int,
) -> list[PaneRecord]:
    """Turn the cells of one model's pane into records: groups in order of their names, in them signals in order."""
    named = {group.handle: Group(naming.versions[group.version], naming.segments[group.segment]) for group in groups}
    order = sorted(named, key=lambda handle: (named[handle], handle))
    ranks = {handle: rank for rank, handle in enumerate(order)}
    handles, rank_at = np.unique(cells.ids // GROUP_STEP, return_inverse=True)
    rank = np.array([ranks[handle] for handle in handles.tolist()], dtype=np.int64)[rank_at]
    below = cells.ids % GROUP_STEP
    slots = np.unique(below // ROLES).tolist()
    signals = (EVENTS, *sorted(naming.signals[slot] for slot in slots if slot))
    slot_of = {name: slot for slot, name in enumerate(signals)}
    moved: Ints = np.zeros(slots[-1] + 1, dtype=np.int64)
    moved[slots] = [slot_of[naming.signals[slot]] for slot in slots]
    cells = cells.renamed(rank * GROUP_STEP + moved[below // ROLES] * ROLES + below % ROLES)
    runs = split(_weights(cells, signals), BYTES_A_RECORD)
    records = []
    for part, run in enumerate(runs):
        inside, first, last, used = _renumbered(cells.take(np.arange(run.start, run.stop)))
        records.append(
            PaneRecord(
                source=source,
                sources=sources,
                model=groups[0].model,
                start=groups[0].start,
                length=groups[0].length,
                part=part,
                parts=len(runs),
                groups=tuple(named[order[at]] for at in range(first, last + 1)),
                signals=tuple(signals[slot] for slot in used),
                cells=inside,
                categories=exact_categories(inside, categories),
            )
        )
    return records


def _weights(cells: Cells, signals: Sequence[str]) -> Ints:
    """Estimate how many bytes each cell takes in a record, with its names."""
    named = np.zeros(len(cells), dtype=np.bool_)
    named[category_cells(cells.ids)] = True
    named &= cells.shifts == 0
    lengths = np.array([len(name) for name in signals], dtype=np.int64)
    bucket = np.where(named, NAMED_BUCKET_BYTES, BUCKET_BYTES)
    weights: Ints = cells.sizes * bucket + lengths[cells.ids % GROUP_STEP // ROLES] + CELL_BYTES
    return weights


def _renumbered(cells: Cells) -> tuple[Cells, int, int, list[int]]:
    """Number groups and signals anew from 0. Returns (cells, first and last group, signals, EVENTS first)."""
    first, last = int(cells.ids[0]) // GROUP_STEP, int(cells.ids[-1]) // GROUP_STEP
    below = cells.ids % GROUP_STEP
    used = np.union1d([0], below // ROLES)
    slots = np.searchsorted(used, below // ROLES)
    ids = (cells.ids // GROUP_STEP - first) * GROUP_STEP + slots * ROLES + below % ROLES
    return replace(cells, ids=ids), first, last, used.tolist()
