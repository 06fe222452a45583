"""Sketches as narrow arrays, for state and for the panes topic.

A coarse sketch has short keys once the cleared bits are cut off; an exact one, or one of category hashes, does not. So
cells are sorted into classes by the width that their keys and offsets need, and each class is stored apart: the codec
below then finds the narrowest type for each array. In small groups most buckets hold one value and keys say nearly all:
such cells are a class of their own, without offsets, and with counts only where they are not 1. A numeric cell of 200
buckets takes about 1.5 kB.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.codec import Array, corrupt
from driftline.sketches.buckets import room
from driftline.sketches.cell_classes import (
    IMPOSSIBLE_OFFSET,
    MIDDLE,
    NARROW,
    NOTHING_COUNTED,
    OUT_OF_ORDER,
    PLAIN,
    WIDE,
    classify,
    place_buckets,
    take_keys,
    take_repeated,
)
from driftline.sketches.cells import Cells, empty
from driftline.sketches.keys import KEY_BITS, Ints

MAX_VALUES = 2.0**52
"""Values in stored sketches: far more than come, and few enough for sums over many sketches."""
CLASSES = (NARROW, MIDDLE, WIDE, PLAIN)
_LOW_BITS = 32
_FAULTS = {
    OUT_OF_ORDER: "keys of a cell do not ascend, or are out of range",
    NOTHING_COUNTED: "a bucket counts nothing",
    IMPOSSIBLE_OFFSET: "an offset is larger than what its bucket can have lost",
}


def pack_cells(cells: Cells) -> dict[str, Array]:
    """Return arrays that hold the cells, small numbers together. Undone by `unpack_cells`."""
    classes = np.empty(len(cells), dtype=np.int64)
    classify(cells.shifts, cells.sizes, (cells.keys, cells.counts, cells.offsets), classes)
    bounds = cells.bounds
    arrays: dict[str, Array] = {}
    for index in CLASSES:
        chosen = np.flatnonzero(classes == index)
        if not len(chosen):
            continue
        sizes = cells.sizes[chosen]
        total = int(sizes.sum())
        low, high = np.empty(total, dtype=np.uint32), np.empty(total, dtype=np.uint8)
        take_keys(chosen, bounds, cells.shifts, cells.sizes, cells.keys, low, high)
        arrays[f"ids{index}"] = cells.ids[chosen]
        arrays[f"shifts{index}"] = cells.shifts[chosen]
        arrays[f"sizes{index}"] = sizes
        arrays[f"keys{index}"] = low
        if index >= WIDE:
            arrays[f"high{index}"] = high
        if index != PLAIN:
            held = cells.take(chosen)
            arrays[f"counts{index}"], arrays[f"offsets{index}"] = held.counts, held.offsets
        else:
            places, repeats = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
            found = take_repeated(chosen, bounds, cells.sizes, cells.counts, places, repeats)
            arrays[f"places{index}"], arrays[f"repeats{index}"] = places[:found], repeats[:found]
    return arrays


def unpack_cells(arrays: Mapping[str, NDArray[Any]]) -> Cells:
    """Undo `pack_cells`. Raises `StateCorrupt` for what cannot be sketches."""
    classes = [_class_of(arrays, index) for index in CLASSES if f"ids{index}" in arrays]
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
    if out[1].sum(dtype=np.float64) > MAX_VALUES:
        raise corrupt("sketches", "there are more values than can be counted")
    return Cells(ids, shifts, sizes, *out)


def _class_of(arrays: Mapping[str, NDArray[Any]], index: int) -> list[Ints]:
    """Return the arrays of a class, so far sound that its buckets can be gone through."""
    try:
        ids, shifts, sizes, keys = (arrays[f"{name}{index}"] for name in ("ids", "shifts", "sizes", "keys"))
        high = arrays[f"high{index}"] if index >= WIDE else np.zeros(0, dtype=np.uint8)
        if index != PLAIN:
            counts, offsets = arrays[f"counts{index}"], arrays[f"offsets{index}"]
        else:
            counts, offsets = (
                _counts(len(keys), arrays[f"places{index}"], arrays[f"repeats{index}"]),
                np.zeros(len(keys), dtype=np.int64),
            )
    except KeyError as error:
        raise corrupt("sketches", f"array {error} is missing") from None
    if any(array.dtype != np.int64 for array in (ids, shifts, sizes, counts, offsets)):
        raise corrupt("sketches", "an array is not of int64")
    if keys.dtype != np.uint32 or high.dtype != np.uint8:
        raise corrupt("sketches", "keys are not of uint32 and uint8")
    sound = (
        len(ids) == len(shifts) == len(sizes) > 0
        and sizes.min() > 0
        and len(keys) == len(counts) == len(offsets) == sizes.sum(dtype=np.float64)
        and len(high) == (len(keys) if index >= WIDE else 0)
        and shifts.min() >= 0
        and shifts.max() <= KEY_BITS
        and ids.min() >= 0
    )
    if not sound:
        raise corrupt("sketches", "the arrays' lengths or values contradict each other")
    whole: Ints = keys.astype(np.int64)
    if len(high):
        whole += high.astype(np.int64) << _LOW_BITS
    return [ids, shifts, sizes, whole, counts, offsets]


def _counts(size: int, places: NDArray[Any], repeats: NDArray[Any]) -> Ints:
    """Return the counts of so many buckets: 1, but for some."""
    sound = (
        places.dtype == repeats.dtype == np.int64
        and len(places) == len(repeats)
        and bool((np.diff(places, prepend=-1) > 0).all())
        and (not len(places) or int(places[-1]) < size)
        and bool((repeats > 0).all())
    )
    if not sound:
        raise corrupt("sketches", "what buckets hold more than once makes no sense")
    counts = np.ones(size, dtype=np.int64)
    counts[places] += repeats
    return counts
