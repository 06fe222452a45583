"""The compiled loops behind `packing`: which class a cell is of, and its buckets to the arrays of a class and back."""

import numpy as np
from numpy.typing import NDArray

from driftline.compiled import compiled, signed
from driftline.sketches.buckets import Buckets
from driftline.sketches.keys import KEY_BITS, Ints

NARROW, MIDDLE, WIDE, PLAIN = range(4)
"""Keys and offsets of at most 16 bits, of at most 32, and others. PLAIN are wide cells of which keys say nearly all:
nothing was cleared, and most buckets hold one value."""
OUT_OF_ORDER, NOTHING_COUNTED, IMPOSSIBLE_OFFSET = 1, 2, 3
"""What may be wrong with a stored bucket."""


@compiled
def classify(shifts: Ints, sizes: Ints, held: Buckets, classes: Ints) -> None:
    """Write the class of each cell."""
    keys, counts, offsets = held
    at = 0
    for cell in range(len(sizes)):
        shift = shifts[cell]
        key, lost, repeated = signed(0), signed(0), signed(0)
        own = slice(at, at + sizes[cell])  # each a loop over an array of its own: many are looked at at a time
        for bucket in keys[own]:
            key |= bucket >> shift
        for offset in offsets[own]:
            lost |= offset
        for count in counts[own]:
            repeated += count > 1
        at += sizes[cell]
        widest = key | lost
        if widest < 1 << 32:
            classes[cell] = NARROW if widest < 1 << 16 else MIDDLE
        else:
            classes[cell] = WIDE if lost or 2 * repeated > sizes[cell] else PLAIN


@compiled
def take_keys(
    cells: Ints, starts: Ints, shifts: Ints, sizes: Ints, keys: Ints, low: NDArray[np.uint32], high: NDArray[np.uint8]
) -> None:
    """Write the keys of these cells, without the bits that were cleared: their low 32 bits, and the others."""
    at = 0
    for cell in cells:
        shift = shifts[cell]
        for bucket in range(starts[cell], starts[cell] + sizes[cell]):
            key = keys[bucket] >> shift
            low[at] = key
            high[at] = key >> 32
            at += 1


@compiled
def take_repeated(cells: Ints, starts: Ints, sizes: Ints, counts: Ints, places: Ints, repeats: Ints) -> int:
    """Write which buckets of these cells hold more than one value, and how many more. Returns how many buckets do."""
    at, found = 0, 0
    for cell in cells:
        for bucket in range(starts[cell], starts[cell] + sizes[cell]):
            if counts[bucket] > 1:
                places[found] = at
                repeats[found] = counts[bucket] - 1
                found += 1
            at += 1
    return found


@compiled
def place_buckets(shifts: Ints, sizes: Ints, starts: Ints, held: Buckets, out: Buckets) -> int:
    """Put stored buckets where they belong: one pass, for a recovery waits for it. Returns what is wrong, or 0.

    Args:
        shifts, sizes: of each cell.
        starts: where the cell's buckets begin in `out`.
        held: the buckets, cell by cell; keys are without the bits that were cleared.
        out: where they go.
    """
    bucket = 0
    for cell in range(len(sizes)):
        shift, at, before = shifts[cell], starts[cell], signed(-1)
        limit = signed(1) << (KEY_BITS - shift)
        most = np.float64((signed(1) << shift) - 1)
        for _ in range(sizes[cell]):
            key, count, offset = held[0][bucket], held[1][bucket], held[2][bucket]
            if key <= before or key >= limit:
                return OUT_OF_ORDER
            if count <= 0:
                return NOTHING_COUNTED
            if offset < 0 or offset > most * count:
                return IMPOSSIBLE_OFFSET
            out[0][at], out[1][at], out[2][at] = key << shift, count, offset
            before = key
            at += 1
            bucket += 1
    return 0
