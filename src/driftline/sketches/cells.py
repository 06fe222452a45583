"""Sketches of many cells at once, in flat arrays.

A *cell* is one series being counted: one signal of one (model, version, segment, pane). Its sketch is a set of buckets,
each a key with its low `shift` bits cleared, and a count. The shift is the smallest at which at most CAP buckets are
occupied. Because the number of occupied buckets only falls as the shift grows, the sketch depends on the *set* of
values alone: any order, any batching and any tree of merges give the same arrays, to the last bit.

    values 3.0 3.0 3.1 7.9  ──keys──►  k1 k1 k2 k3  ──shift──►  bucket A: 3, bucket B: 1

So precision adapts by itself: small integers, 0/1 and repeated values stay exact, 290 ± 5 K is resolved as well as a
standard normal, and one stray 1e9 costs one bucket. `offsets` holds, per bucket, the sum of the bits that were cleared:
with it a bucket's mean is exact (to the keys' 2^-28) wherever the bucket lies within one power of two.

Nothing here loops over cells or values in Python: a thousand segments cost the same few numpy calls as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline.sketches.keys import KEY_BITS, KEY_MASK, Floats, Ints, key_numbers

CAP = 256
"""Most buckets in one cell's sketch. Doubling it doubles the state and adds one bit of resolution."""
BLOCK = 131_072
"""Buckets that are merged at a time: their arrays stay in the cache, and in memory that was just used."""
MAX_CELLS = 1 << (62 - KEY_BITS)
"""Cells that one sort can hold: a cell's rank and its key share an int64."""


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
        if len(chosen) and (np.diff(chosen) == 1).all():  # neighbours, often all: views, nothing is copied
            cells, bounds = slice(int(chosen[0]), int(chosen[-1]) + 1), self.bounds
            held = slice(int(bounds[cells.start]), int(bounds[cells.stop]))
            ids, shifts, sizes = self.ids[cells], self.shifts[cells], self.sizes[cells]
            return Cells(ids, shifts, sizes, self.keys[held], self.counts[held], self.offsets[held])
        sizes = self.sizes[chosen]
        at = spans(self.bounds[chosen], sizes)
        return Cells(self.ids[chosen], self.shifts[chosen], sizes, self.keys[at], self.counts[at], self.offsets[at])

    def renamed_from(self, names: Ints) -> "Cells":
        """Return the same sketches with the id `names[i]` in place of i; names must not repeat."""
        order = np.argsort(names[self.ids], kind="stable")
        moved = self.take(order)
        return Cells(names[moved.ids], moved.shifts, moved.sizes, moved.keys, moved.counts, moved.offsets)

    def renamed(self, ids: Ints) -> "Cells":
        """Return the same sketches under other ids, given by position; cells that get the same id are merged."""
        if (np.diff(ids) > 0).all():
            return Cells(ids, self.shifts, self.sizes, self.keys, self.counts, self.offsets)
        order = np.argsort(ids, kind="stable")
        moved = self.take(order)
        named = Cells(ids[order], moved.shifts, moved.sizes, moved.keys, moved.counts, moved.offsets)
        return named if (np.diff(named.ids) > 0).all() else merge([named])


def spans(starts: Ints, sizes: Ints) -> Ints:
    """Return the concatenation of the ranges [start, start + size)."""
    total = int(sizes.sum())
    if not total:
        return np.zeros(0, dtype=np.int64)
    ends = np.cumsum(sizes)
    positions: Ints = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - sizes), sizes)
    return positions


def empty() -> Cells:
    """Return the sketches of no cell: what `merge` starts from."""
    none = np.zeros(0, dtype=np.int64)
    return Cells(none, none, none, none, none, none)


def from_buckets(ids: Ints, shifts: Ints, cell: Ints, keys: Ints, counts: Ints, offsets: Ints, cap: int = CAP) -> Cells:
    """Return the sketches of these buckets, in any order, repeated or not.

    Args:
        ids: ascending ids of the cells.
        shifts: the least shift of each cell, known from buckets counted before.
        cell: for each bucket the position of its cell in `ids` (fewer than MAX_CELLS cells).
        keys: for each bucket its key, in [0, 2^40).
        counts: for each bucket the number of values, at least 1.
        offsets: for each bucket the sum of what was cleared from its values' keys.
        cap: most buckets a cell may keep.
    """
    if not len(keys):
        return empty()
    if shifts.any():  # sketches of few values are exact, and these make up the large merges
        low = keys & ((np.int64(1) << shifts) - 1)[cell]
        keys, offsets = keys ^ low, offsets + counts * low
    combined = cell << KEY_BITS
    combined |= keys
    order = np.argsort(combined, kind="stable")  # parts come sorted: runs, which a stable sort only merges
    return _coarsen(ids, shifts, combined[order], counts[order], offsets[order], cap)


def merge(parts: Sequence[Cells], cap: int = CAP) -> Cells:
    """Return the sketches of all values counted in any of the parts, whose ids ascend but may repeat."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty()
    if len(parts) == 1 and (np.diff(parts[0].ids) > 0).all():
        return parts[0]
    ids, position = np.unique(np.concatenate([part.ids for part in parts]), return_inverse=True)
    sizes = np.concatenate([part.sizes for part in parts])
    if len(ids) == len(sizes) and sizes.max() <= cap:
        return _side_by_side(parts, position)
    before = np.cumsum(np.bincount(position, weights=sizes)).astype(np.int64) // BLOCK
    blocks = before + np.arange(len(ids)) // MAX_CELLS
    firsts = ids[np.flatnonzero(np.diff(blocks, prepend=-1))]
    if len(firsts) == 1:
        return _merge_block(parts, cap)
    cuts = [np.searchsorted(part.ids, np.append(firsts, ids[-1] + 1)) for part in parts]
    merged = []
    for block in range(len(firsts)):
        inside = [part.take(np.arange(cut[block], cut[block + 1])) for part, cut in zip(parts, cuts, strict=True)]
        merged.append(_merge_block([part for part in inside if len(part)], cap))
    return _concatenated(merged)


def _merge_block(parts: Sequence[Cells], cap: int) -> Cells:
    ids, position = np.unique(np.concatenate([part.ids for part in parts]), return_inverse=True)
    shifts = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(shifts, position, np.concatenate([part.shifts for part in parts]))
    cell = np.repeat(position, np.concatenate([part.sizes for part in parts]))
    keys = np.concatenate([part.keys for part in parts])
    counts = np.concatenate([part.counts for part in parts])
    offsets = np.concatenate([part.offsets for part in parts])
    return from_buckets(ids, shifts, cell, keys, counts, offsets, cap)


def _side_by_side(parts: Sequence[Cells], position: Ints) -> Cells:
    """Put parts that share no cell into one; `position` says where each of their cells goes."""
    order = np.empty_like(position)
    order[position] = np.arange(len(position))
    return _concatenated(parts).take(order)


def _concatenated(parts: Sequence[Cells]) -> Cells:
    return Cells(*(np.concatenate([getattr(part, name) for part in parts]) for name in Cells.__slots__))


def from_sorted(ids: Ints, shifts: Ints, combined: Ints, cap: int = CAP) -> Cells:
    """Return the sketches of single values, given as sorted `(position in ids) << 40 | key`.

    `shifts` are lower bounds already known for the cells: with them nearly all values collapse at the first pass.
    """
    if not len(combined):
        return empty()
    cell = combined >> KEY_BITS
    low = combined & ((np.int64(1) << shifts) - 1)[cell]
    masked = combined ^ low
    starts = np.flatnonzero(_heads(masked))
    counts = np.diff(starts, append=len(masked))
    return _coarsen(ids, shifts, masked[starts], counts, np.add.reduceat(low, starts), cap)


def _heads(combined: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark the first of each run of equal values."""
    heads = np.empty(len(combined), dtype=np.bool_)
    heads[0] = True
    np.not_equal(combined[1:], combined[:-1], out=heads[1:])
    return heads


def _coarsen(ids: Ints, shifts: Ints, combined: Ints, counts: Ints, offsets: Ints, cap: int) -> Cells:
    """Merge equal buckets (sorted), then raise each cell's shift until it has at most `cap` buckets."""
    starts = np.flatnonzero(_heads(combined))
    if len(starts) < len(combined):
        combined = combined[starts]
        counts = np.add.reduceat(counts, starts)
        offsets = np.add.reduceat(offsets, starts)
    sizes = np.bincount(combined >> KEY_BITS, minlength=len(ids))
    over = np.flatnonzero(sizes > cap)
    if len(over):
        wanted = shifts.copy()
        wanted[over] = _least_shifts(combined, sizes, over, cap)
        low = combined & ((np.int64(1) << wanted) - 1)[combined >> KEY_BITS]
        return _coarsen(ids, wanted, combined ^ low, counts, offsets + counts * low, cap)
    held = np.flatnonzero(sizes)
    return Cells(ids[held], shifts[held], sizes[held], combined & KEY_MASK, counts, offsets)


def _least_shifts(combined: Ints, sizes: Ints, over: Ints, cap: int) -> Ints:
    """Return, for the cells at positions `over`, the smallest shift that leaves at most `cap` buckets.

    Two neighbouring keys stay apart at shift s exactly while the highest bit in which they differ is at s or above. So
    one histogram of those bits per cell answers for every s at once.
    """
    ends = np.cumsum(sizes)
    at = spans((ends - sizes)[over] + 1, sizes[over] - 1)  # every key but its cell's first, beside the one before
    differ = combined[at] ^ combined[at - 1]
    bits = np.frexp(differ.astype(np.float64))[1]  # bit length; differ < 2^40, so float64 is exact
    rank = np.repeat(np.arange(len(over), dtype=np.int64), sizes[over] - 1)
    width = KEY_BITS + 1
    histogram = np.bincount(rank * width + bits, minlength=len(over) * width).reshape(len(over), width)
    apart = np.cumsum(histogram[:, ::-1], axis=1)[:, ::-1]  # apart[s] = pairs whose bit length is >= s
    occupied_above = np.zeros((len(over), width), dtype=np.int64)
    occupied_above[:, :-1] = apart[:, 1:]  # pairs still apart at shift s: bit length > s
    least: Ints = np.argmax(occupied_above + 1 <= cap, axis=1).astype(np.int64)
    return least
