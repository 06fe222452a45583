"""Sketches of many cells at once, in flat arrays.

A *cell* is one series being counted: one signal of one (model, version, segment, pane). Its sketch is a set of buckets,
each a key with its low `shift` bits cleared, and a count. The shift is the smallest at which at most CAP buckets are
occupied. Because the number of occupied buckets only falls as the shift grows, the sketch depends on the *set* of
values alone: any order, any batching and any tree of merges give the same arrays, to the last bit.

    values 3.0 3.0 3.1 7.9  ──keys──►  k1 k1 k2 k3  ──shift──►  bucket A: 3, bucket B: 1

So precision adapts by itself: small integers, 0/1 and repeated values stay exact, 290 ± 5 K is resolved as well as a
standard normal, and one stray 1e9 costs one bucket. `offsets` holds, per bucket, the sum of the bits that were cleared:
with it a bucket's mean is exact (to the keys' 2^-28) wherever the bucket lies within one power of two.

Nothing here loops over cells or values in Python; the loops of `buckets` are compiled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline.sketches.buckets import (
    FEW,
    ODDITY_KEYS,
    SORTED,
    TINY,
    Buckets,
    copy_buckets,
    merge_buckets,
    room,
    scratch,
    sketch_rows,
)
from driftline.sketches.keys import Floats, Ints, key_numbers

CAP = 256
"""Most buckets in one cell's sketch. Doubling it doubles the state and adds one bit of resolution."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Sketches of cells. Parallel arrays: one row per cell in the first group, one per bucket in the second.

    `ids` ascend; buckets are ordered by cell and key; `sizes[i]` buckets belong to cell `ids[i]`.
    """

    ids: Ints
    shifts: Ints
    sizes: Ints

    keys: Ints
    counts: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bounds(self) -> Ints:
        """Where each cell's buckets begin, and where the last one's end: `len(self) + 1` positions."""
        bounds = np.zeros(len(self.sizes) + 1, dtype=np.int64)
        np.cumsum(self.sizes, out=bounds[1:])
        return bounds

    def totals(self) -> Ints:
        """Return the number of values counted in each cell."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        totals: Ints = np.add.reduceat(self.counts, self.bounds[:-1])
        return totals

    def means(self) -> Floats:
        """Return the mean of the values in each bucket of number keys (shape: buckets)."""
        return key_numbers(self.keys, self.offsets / self.counts)

    def take(self, chosen: Ints) -> "Cells":
        """Return the cells at these positions, in their order."""
        if len(chosen) and (np.diff(chosen) == 1).all():  # neighbours, often all
            return self.between(int(chosen[0]), int(chosen[-1]) + 1)
        sizes = self.sizes[chosen]
        out = room(int(sizes.sum()))
        copy_buckets(chosen, self.bounds, self.sizes, (self.keys, self.counts, self.offsets), out)
        return Cells(self.ids[chosen], self.shifts[chosen], sizes, *out)

    def between(self, start: int, end: int) -> "Cells":
        """Return the cells from a position on, as views: nothing is copied."""
        first = int(self.sizes[:start].sum())
        cells, held = slice(start, end), slice(first, first + int(self.sizes[start:end].sum()))
        ids, shifts, sizes = self.ids[cells], self.shifts[cells], self.sizes[cells]
        return Cells(ids, shifts, sizes, self.keys[held], self.counts[held], self.offsets[held])

    def renamed(self, ids: Ints) -> "Cells":
        """Return the same sketches under other ids, given by position; cells that get the same id are merged."""
        if (np.diff(ids) > 0).all():
            return Cells(ids, self.shifts, self.sizes, self.keys, self.counts, self.offsets)
        order = np.argsort(ids, kind="stable")
        moved = self.take(order)
        named = Cells(ids[order], moved.shifts, moved.sizes, moved.keys, moved.counts, moved.offsets)
        return named if (np.diff(named.ids) > 0).all() else merge([named])


def empty() -> Cells:
    """Return the sketches of no cell: what `merge` starts from."""
    none = np.zeros(0, dtype=np.int64)
    return Cells(none, none, none, none, none, none)


def from_buckets(ids: Ints, shifts: Ints, cell: Ints, keys: Ints, counts: Ints, offsets: Ints, cap: int = CAP) -> Cells:
    """Return the sketches of these buckets, in any order, repeated or not.

    Args:
        ids: ascending ids of the cells.
        shifts: the least shift of each cell, known from buckets counted before.
        cell: for each bucket the position of its cell in `ids`.
        keys: for each bucket its key, in [0, 2^40).
        counts: for each bucket the number of values, at least 1.
        offsets: for each bucket the sum of what was cleared from its values' keys.
        cap: most buckets a cell may keep, CAP or less.
    """
    _check(cap)
    if not len(keys):
        return empty()
    low = keys & ((np.int64(1) << shifts) - 1)[cell]
    held = (keys ^ low, counts, offsets + counts * low)
    return _together(ids, np.argsort(cell, kind="stable"), cell, shifts[cell], np.arange(len(keys) + 1), held, cap)


def from_rows(
    ids: Ints, shifts: Ints, places: Ints, keys: Ints, begins: Ints, ends: Ints, oddities: tuple[Ints, Ints, Ints],
    cap: int = CAP,
) -> Cells:  # fmt: skip
    """Return the sketches of rows of keys.

    Args:
        ids: shape (groups, cells): the id of each cell, ascending.
        shifts: shape (groups, cells): the least shift of each cell, known from what was counted before.
        places: what each cell of a group counts: a column of `keys`, or -1 - n for the n-th kind of oddity; -1 counts
            the rows themselves.
        keys: shape (columns, rows); negative keys are not counted. Of a group of fewer than SORTED rows they are put
            in order, in place.
        begins, ends: where the rows of each group are.
        oddities: where each row's oddities begin, and the end of the last; the n and the key of each.
        cap: most buckets a cell may keep, CAP or less.
    """
    _check(cap)
    rows = ends - begins
    for group in np.flatnonzero((rows > TINY) & (rows < SORTED)).tolist():
        keys[:, begins[group] : ends[group]].sort(axis=1)
    shifts, sizes = shifts.copy(), np.empty_like(shifts)
    starts, lines, _ = oddities
    lined = int((starts[ends] - starts[begins]).sum())
    out = room(int(np.minimum(rows, FEW).sum()) * len(keys) + lined + len(ids))
    tally = np.zeros((int(lines.max(initial=0)) + 1, ODDITY_KEYS), dtype=np.int64)
    end = sketch_rows(keys, begins, ends, places, oddities, tally, shifts, sizes, cap, *scratch(), out)
    return _held(ids.ravel(), shifts.ravel(), sizes.ravel(), out, end)


def merge(parts: Sequence[Cells], cap: int = CAP) -> Cells:
    """Return the sketches of all values counted in any of the parts, whose ids ascend but may repeat."""
    _check(cap)
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty()
    if len(parts) == 1 and (np.diff(parts[0].ids) > 0).all():
        return parts[0]
    whole = concatenated(parts)
    ids, position = np.unique(whole.ids, return_inverse=True)
    held = (whole.keys, whole.counts, whole.offsets)
    return _together(ids, np.argsort(position, kind="stable"), position, whole.shifts, whole.bounds, held, cap)


def _check(cap: int) -> None:
    """Raise `ValueError` for a cap that the compiled loops have no room for."""
    if not 0 < cap <= CAP:
        raise ValueError(f"a sketch has between 1 and {CAP} buckets, not {cap}")


def _together(ids: Ints, order: Ints, position: Ints, shifts: Ints, starts: Ints, held: Buckets, cap: int) -> Cells:
    """Merge cells (given by shift, start and position in `ids`) that have the same position; see `merge_buckets`."""
    firsts = np.searchsorted(position[order], np.arange(len(ids) + 1))
    reached, sizes = np.empty(len(ids), dtype=np.int64), np.empty(len(ids), dtype=np.int64)
    rooms = room(3 * cap), room(3 * cap)
    out = room(len(held[0]))
    end = merge_buckets(order, firsts, shifts, starts, held, cap, *scratch(), rooms, reached, sizes, out)
    return _held(ids, reached, sizes, out, end)


def _held(ids: Ints, shifts: Ints, sizes: Ints, out: Buckets, end: int) -> Cells:
    """Return cells without those that hold nothing; arrays that are much too long are let go."""
    if not sizes.all():
        chosen = np.flatnonzero(sizes)
        ids, shifts, sizes = ids[chosen], shifts[chosen], sizes[chosen]
    keys, counts, offsets = (part[:end].copy() if end < len(part) // 2 else part[:end] for part in out)
    return Cells(ids, shifts, sizes, keys, counts, offsets)


def concatenated(parts: Sequence[Cells]) -> Cells:
    """Return the cells of one part after those of the other: their ids have to ascend so, or to be merged then."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    return Cells(*(np.concatenate([getattr(part, name) for part in parts]) for name in Cells.__slots__))
