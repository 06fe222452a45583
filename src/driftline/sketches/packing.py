"""Sketches as narrow arrays, for state and for the panes topic.

A coarse sketch has short keys once the cleared bits are cut off; an exact one, or one of category hashes, does not. So
cells are sorted into three classes by the width that their keys and offsets need, and each class is stored apart: the
codec below then finds the narrowest type for each array. A numeric cell of 200 buckets takes about 1.5 kB.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.codec import corrupt
from driftline.sketches.buckets import IMPOSSIBLE_OFFSET, NOTHING_COUNTED, OUT_OF_ORDER, place_buckets, room
from driftline.sketches.cells import Cells, empty, spans
from driftline.sketches.keys import KEY_BITS, Ints

MOST_VALUES = 2.0**52
"""Values in stored sketches: far more than come, and few enough for sums over many sketches."""
_CLASSES = (16, 32, 63)
"""Bits that the keys and offsets of a cell may need."""
_FAULTS = {
    OUT_OF_ORDER: "keys of a cell do not ascend, or are out of range",
    NOTHING_COUNTED: "a bucket counts nothing",
    IMPOSSIBLE_OFFSET: "an offset is larger than what its bucket can have lost",
}


def pack_cells(cells: Cells) -> dict[str, Ints]:
    """Return arrays that hold the cells, small numbers together. Undone by `unpack_cells`."""
    if not len(cells):
        return {}
    bounds = cells.bounds
    keys = cells.keys >> np.repeat(cells.shifts, cells.sizes)
    widest = np.maximum.reduceat(np.maximum(keys, cells.offsets), bounds[:-1])
    width = np.searchsorted(np.array([1 << bits for bits in _CLASSES[:-1]]), widest, side="right")
    arrays: dict[str, Ints] = {}
    for index in range(len(_CLASSES)):
        chosen = np.flatnonzero(width == index)
        if not len(chosen):
            continue
        sizes = cells.sizes[chosen]
        at = spans(bounds[chosen], sizes)
        arrays[f"ids{index}"] = cells.ids[chosen]
        arrays[f"shifts{index}"] = cells.shifts[chosen]
        arrays[f"sizes{index}"] = sizes
        arrays[f"keys{index}"] = keys[at]
        arrays[f"counts{index}"] = cells.counts[at]
        arrays[f"offsets{index}"] = cells.offsets[at]
    return arrays


def unpack_cells(arrays: Mapping[str, NDArray[Any]]) -> Cells:
    """Undo `pack_cells`. Raises `StateCorrupt` where the arrays cannot be sketches."""
    classes = [_class_of(arrays, index) for index in range(len(_CLASSES)) if f"ids{index}" in arrays]
    if not classes:
        return empty()
    ids, shifts, sizes = (np.concatenate([held[part] for held in classes]) for part in range(3))
    order = np.argsort(ids, kind="stable")
    ids, shifts, sizes = ids[order], shifts[order], sizes[order]
    if (ids[1:] <= ids[:-1]).any():
        raise corrupt("sketches", "a cell is there twice")
    starts = np.empty_like(sizes)
    starts[order] = np.cumsum(sizes) - sizes
    out = room(int(sizes.sum()))
    for held in classes:
        cells = len(held[0])
        fault = place_buckets(held[1], held[2], starts[:cells], (held[3], held[4], held[5]), out)
        if fault:
            raise corrupt("sketches", _FAULTS[fault])
        starts = starts[cells:]
    if out[1].sum(dtype=np.float64) > MOST_VALUES:
        raise corrupt("sketches", "there are more values than can be counted")
    return Cells(ids, shifts, sizes, *out)


def _class_of(arrays: Mapping[str, NDArray[Any]], index: int) -> list[Ints]:
    """Return the arrays of a class, so far sound that its buckets can be gone through."""
    try:
        found = [arrays[f"{name}{index}"] for name in Cells.__slots__]
    except KeyError as error:
        raise corrupt("sketches", f"array {error} is missing") from None
    if any(array.dtype != np.int64 for array in found):
        raise corrupt("sketches", "an array is not of int64")
    ids, shifts, sizes, keys, counts, offsets = found
    sound = (
        len(ids) == len(shifts) == len(sizes) > 0
        and sizes.min() > 0
        and len(keys) == len(counts) == len(offsets) == sizes.sum(dtype=np.float64)
        and shifts.min() >= 0
        and shifts.max() <= KEY_BITS
        and ids.min() >= 0
    )
    if not sound:
        raise corrupt("sketches", "the arrays' lengths or values contradict each other")
    return found
