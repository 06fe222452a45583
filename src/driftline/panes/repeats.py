"""How many events of an open pane came before: a sample of its event ids, of which every occurrence is counted.

A pane may hold millions of ids. Kept are the SAMPLE with the least hashes, each with its count (a bottom-k sketch:
Cohen and Kaplan 2007). They are a sample of the distinct ids that depends on nothing but their set, whatever the order
and the batches; and every occurrence of a kept id was counted, for an id that is among the least of all is so from its
first occurrence on. Of the sampled events, those beyond the first of each id are repeats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.codec import corrupt
from driftline.sketches.cells import Cells, from_buckets
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import Ints, number_keys
from driftline.sketches.packing import MAX_VALUES

SAMPLE = 256
"""Ids kept of a pane, some 4 kB. A window of ten panes then shows a share of 1 % as 26 repeats."""
PENDING = 1 << 14
"""Ids held before they are merged, or as many as were merged so far: sorting a few costs a fixed 100 µs."""
_HIGHEST = 2**63 - 1
_NAMES = ("id_handles", "ids", "id_counts")


@dataclass(frozen=True, slots=True, eq=False)
class IdSample:
    """Ids of groups, by handle and id, with how often each occurred: parallel arrays."""

    handles: Ints
    ids: Ints
    counts: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, handles: Ints, *, inside: bool = True) -> "IdSample":
        """Return the part of these groups, or of all others."""
        chosen = np.isin(self.handles, handles) == inside
        return self if chosen.all() else IdSample(self.handles[chosen], self.ids[chosen], self.counts[chosen])

    @property
    def full(self) -> tuple[Ints, Ints]:
        """Return the groups that have SAMPLE ids, and the greatest of each."""
        ends = np.flatnonzero(np.diff(self.handles, append=-1))
        chosen = ends[np.diff(ends, prepend=-1) == SAMPLE]
        return self.handles[chosen], self.ids[chosen]


def sampled(parts: Iterable[IdSample]) -> IdSample:
    """Return of each group the SAMPLE least ids that are in any of the parts, with all their occurrences."""
    held = [(part.handles, part.ids, part.counts) for part in parts]
    handles, ids, counts = (np.concatenate(arrays) for arrays in zip(*held, strict=True))
    if not len(ids):
        return IdSample(handles, ids, counts)
    order = np.lexsort((ids, handles))
    handles, ids = handles[order], ids[order]
    begins_group = np.diff(handles, prepend=-1) != 0
    firsts = np.flatnonzero(begins_group | (np.diff(ids, prepend=-1) != 0))
    sums = np.add.reduceat(counts[order], firsts)
    number = np.arange(len(firsts))
    group = np.maximum.accumulate(np.where(begins_group[firsts], number, 0))
    kept = number - group < SAMPLE
    return IdSample(handles[firsts[kept]], ids[firsts[kept]], sums[kept])


class Repeats:
    """The samples of all open panes: what is fresh, and what checkpoints stored, by the names of their chunks."""

    def __init__(self) -> None:
        self._fresh = _nothing()
        self._pending: list[IdSample] = []
        self._pending_ids = 0
        self._chunks: dict[str, IdSample] = {}
        self._limits: dict[int, int] = {}
        """Of groups whose sample is full an id that no kept one is above. It only spares work."""

    def add(self, handles: Ints, ranks: Ints, ids: Ints) -> None:
        """Count ids (negative ones are none) of rows, given by the ranks of their groups in `handles`."""
        known = [self._limits.get(handle, _HIGHEST) for handle in handles.tolist()]
        limits: Any = known[0] if len(known) == 1 else np.array(known)[ranks]
        rows = np.flatnonzero((ids >= 0) & (ids <= limits))
        if not len(rows):
            return
        found, which = ids[rows], handles[ranks[rows]]
        if len(known) == 1 and len(found) > 4 * SAMPLE:
            few = found[found <= np.partition(found, 2 * SAMPLE)[2 * SAMPLE]]
            if len(np.unique(few)) >= SAMPLE:
                found, which, self._limits[int(handles[0])] = few, which[: len(few)], int(few.max())
        self._pending.append(IdSample(which, found, np.ones_like(found)))
        self._pending_ids += len(found)
        if self._pending_ids > max(PENDING, len(self._fresh)):
            self._merge()

    def _merge(self) -> None:
        if not self._pending:
            return
        self._fresh = sampled([self._fresh, *self._pending])
        self._pending, self._pending_ids = [], 0
        handles, greatest = self._fresh.full
        for handle, limit in zip(handles.tolist(), greatest.tolist(), strict=True):
            self._limits[handle] = min(limit, self._limits.get(handle, _HIGHEST))

    def store(self, name: str, joining: Iterable[str]) -> dict[str, Ints]:
        """Put what is fresh into a chunk, together with others that it takes the place of. Returns its arrays."""
        self._merge()
        chunk = sampled([self._fresh, *(self.drop(other) for other in joining)])
        self._fresh = _nothing()
        if not len(chunk):
            return {}
        self._chunks[name] = chunk
        return dict(zip(_NAMES, (chunk.handles, chunk.ids, chunk.counts), strict=True))

    def drop(self, name: str) -> IdSample:
        """Take out a chunk."""
        return self._chunks.pop(name, _nothing())

    def restore(self, name: str, arrays: Mapping[str, NDArray[Any]], handles: Ints) -> None:
        """Take up a chunk, of these groups. Raises `StateCorrupt`."""
        if not any(found in arrays for found in _NAMES):
            return
        held = [arrays.get(found, np.zeros(0)) for found in _NAMES]
        sound = len({len(array) for array in held}) == 1 and all(array.dtype == np.int64 for array in held)
        sound = sound and all((array >= least).all() for array, least in zip(held, (0, 0, 1), strict=True))
        if not sound or held[2].astype(np.float64).sum() > MAX_VALUES:
            raise corrupt("cells", "the sample of event ids contradicts itself")
        self._chunks[name] = sampled([IdSample(*held).of(handles)])

    def close(self, slots: Mapping[int, int], step: int) -> Cells:
        """Take out groups, given with their signal's slot. Returns their cells: 0 is an id's first event, 1 another.

        The cells of a group have ids from its handle times `step`.
        """
        handles: Ints = np.array(sorted(slots), dtype=np.int64)
        self._merge()
        whole = sampled([part.of(handles) for part in (self._fresh, *self._chunks.values())])
        self._fresh = self._fresh.of(handles, inside=False)
        self._chunks = {name: chunk.of(handles, inside=False) for name, chunk in self._chunks.items()}
        for handle in slots:
            self._limits.pop(handle, None)
        held, starts, distinct = np.unique(whole.handles, return_index=True, return_counts=True)
        repeated = np.add.reduceat(whole.counts, starts) - distinct if len(held) else distinct
        slot: Ints = np.array([slots[handle] for handle in held.tolist()], dtype=np.int64)
        ids = held * step + slot * ROLES + int(SignalRole.NUMBERS)
        twice = np.flatnonzero(repeated)
        cell = np.concatenate([np.arange(len(held)), twice])
        keys = np.repeat(number_keys(np.array([0.0, 1.0])), [len(held), len(twice)])
        counts = np.concatenate([distinct, repeated[twice]])
        return from_buckets(ids, np.zeros_like(ids), cell, keys, counts, np.zeros_like(keys))


def _nothing() -> IdSample:
    none = np.zeros(0, dtype=np.int64)
    return IdSample(none, none, none)
