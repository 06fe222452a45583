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
from driftline.sketches.cells import Cells, empty, spans
from driftline.sketches.keys import KEY_BITS, Floats, Ints

MOST_VALUES = 2.0**52
"""Values in stored sketches: far more than come, and few enough for sums over many sketches."""
_CLASSES = (16, 32, 63)
"""Bits that the keys and offsets of a cell may need."""


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
    parts = [_unpack_class(arrays, index) for index in range(len(_CLASSES)) if f"ids{index}" in arrays]
    if not parts:
        return empty()
    joined = Cells(*(np.concatenate([getattr(part, name) for part in parts]) for name in Cells.__slots__))
    order = np.argsort(joined.ids, kind="stable")
    cells = joined.take(order)
    if (np.diff(cells.ids) <= 0).any():
        raise corrupt("sketches", "a cell is there twice")
    return cells


def _unpack_class(arrays: Mapping[str, NDArray[Any]], index: int) -> Cells:
    try:
        found = [arrays[f"{name}{index}"] for name in ("ids", "shifts", "sizes", "keys", "counts", "offsets")]
    except KeyError as error:
        raise corrupt("sketches", f"array {error} is missing") from None
    if any(array.dtype != np.int64 for array in found):
        raise corrupt("sketches", "an array is not of int64")
    ids, shifts, sizes, keys, counts, offsets = found
    sound = (
        len(ids) == len(shifts) == len(sizes)
        and len(keys) == len(counts) == len(offsets)
        and bool((sizes > 0).all())
        and int(sizes.astype(np.float64).sum()) == len(keys)
        and bool(((shifts >= 0) & (shifts <= KEY_BITS)).all())
        and bool((counts > 0).all())
        and bool((offsets >= 0).all())
        and bool((ids >= 0).all())
    )
    if not sound:
        raise corrupt("sketches", "the arrays' lengths or values contradict each other")
    limits: Floats = np.repeat(2.0 ** (KEY_BITS - shifts), sizes)
    if ((keys < 0) | (keys >= limits)).any():
        raise corrupt("sketches", "a key is out of range")
    ascending = np.diff(keys) > 0
    ascending[np.cumsum(sizes)[:-1] - 1] = True  # from one cell to the next keys begin anew
    if not ascending.all() or counts.astype(np.float64).sum() > MOST_VALUES:
        raise corrupt("sketches", "keys of a cell do not ascend, or there are more values than can be counted")
    if (offsets > counts * (2.0 ** np.repeat(shifts, sizes) - 1)).any():
        raise corrupt("sketches", "an offset is larger than what its bucket can have lost")
    return Cells(ids, shifts, sizes, keys << np.repeat(shifts, sizes), counts, offsets)
