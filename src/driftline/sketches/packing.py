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
from driftline.sketches.keys import KEY_BITS, Ints

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
    parts = [_class_of(arrays, index) for index in range(len(_CLASSES)) if f"ids{index}" in arrays]
    if not parts:
        return empty()
    joined = parts[0] if len(parts) == 1 else [np.concatenate(each) for each in zip(*parts, strict=True)]
    cells = _checked(*joined)
    if len(parts) > 1:
        cells = cells.take(np.argsort(cells.ids, kind="stable"))
    if (cells.ids[1:] <= cells.ids[:-1]).any():
        raise corrupt("sketches", "a cell is there twice")
    return cells


def _class_of(arrays: Mapping[str, NDArray[Any]], index: int) -> list[Ints]:
    try:
        found = [arrays[f"{name}{index}"] for name in Cells.__slots__]
    except KeyError as error:
        raise corrupt("sketches", f"array {error} is missing") from None
    if any(array.dtype != np.int64 for array in found):
        raise corrupt("sketches", "an array is not of int64")
    return found


def _checked(ids: Ints, shifts: Ints, sizes: Ints, keys: Ints, counts: Ints, offsets: Ints) -> Cells:
    """Return the cells, whose keys are without the bits that were cleared. Few passes: a recovery waits for them."""
    sound = (
        len(ids) == len(shifts) == len(sizes) > 0
        and sizes.min() > 0
        and len(keys) == len(counts) == len(offsets) == sizes.sum(dtype=np.float64)
        and shifts.min() >= 0
        and shifts.max() <= KEY_BITS
        and counts.min() > 0
        and offsets.min() >= 0
        and ids.min() >= 0
    )
    if not sound:
        raise corrupt("sketches", "the arrays' lengths or values contradict each other")
    lasts = np.cumsum(sizes) - 1
    ascending = keys[1:] > keys[:-1]
    ascending[lasts[:-1]] = True  # from one cell to the next keys begin anew
    if not ascending.all() or counts.sum(dtype=np.float64) > MOST_VALUES:
        raise corrupt("sketches", "keys of a cell do not ascend, or there are more values than can be counted")
    if keys[lasts - sizes + 1].min() < 0 or (keys[lasts] >= 2.0 ** (KEY_BITS - shifts)).any():
        raise corrupt("sketches", "a key is out of range")
    spread = np.repeat(shifts, sizes)
    if (offsets > counts * (2.0**spread - 1)).any():
        raise corrupt("sketches", "an offset is larger than what its bucket can have lost")
    return Cells(ids, shifts, sizes, keys << spread, counts, offsets)
