"""How rows that wait are stored.

A column of few distinct keys, as small integers and most categories have, is stored as a dictionary and a byte a row;
of other keys each takes five bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.codec import Array, Span, corrupt, pack, unpack
from driftline.columns.shape import Shape
from driftline.compiled import compiled, signed
from driftline.panes.rows import Rows, joined
from driftline.sketches.buckets import ODDITY_KEYS
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import KEY_BITS, NO_KEY, Ints

VERSION: Final = 1
FEW: Final = 256
"""Keys of a dictionary."""
_LOW_BITS: Final = 32
_SLOTS: Final = 1_024
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TOP = np.uint64(54)  # 64 - log2(_SLOTS)


@compiled
def _look_up(column: Ints, found: Ints, table: Ints, codes: NDArray[np.uint8]) -> int:
    """Write the distinct keys of a column, in order of appearance, and which of them each row has.

    `found` has room for FEW keys, `table` has _SLOTS numbers below 0. Returns how many there are, -1 if more than FEW.
    """
    known = 0
    for row in range(len(column)):
        key = column[row]
        slot = signed((np.uint64(key) * _MIX) >> _TOP)
        while table[slot] >= 0 and found[table[slot]] != key:
            slot = (slot + 1) & (_SLOTS - 1)
        if table[slot] < 0:
            if known == FEW:
                return -1
            found[known] = key
            table[slot] = known
            known += 1
        codes[row] = table[slot]
    return known


def pack_rows(pieces: Sequence[Rows], categories: Mapping[int, str]) -> bytes:
    """Encode rows, alike in layout, for the state, with the names of their categories."""
    rows = joined(pieces, keys=False)
    named = rows.cells % ROLES >= SignalRole.STRINGS
    found: Ints = np.empty(FEW, dtype=np.int64)
    codes = np.empty((len(rows.cells), len(rows.times)), dtype=np.uint8)
    narrow: list[int] = []
    dictionaries: list[Ints] = []
    low, high = [], []
    names: set[int] = set()
    for column in range(len(rows.cells)):
        keys = np.concatenate([piece.keys[column] for piece in pieces])
        known = _look_up(keys, found, np.full(_SLOTS, -1, dtype=np.int64), codes[len(narrow)])
        if known < 0:
            halves = keys.view("<u4")  # two of each key; of the upper one, the lowest byte counts
            low.append(halves[::2])
            high.append(halves[1::2].astype(np.uint8))
        else:
            narrow.append(column)
            dictionaries.append(found[:known].copy())
        if named[column]:
            names.update((np.unique(keys) if known < 0 else found[:known]).tolist())
    arrays: dict[str, Array] = {
        "times": rows.times,
        "ids": rows.ids,
        "versions": rows.versions,
        **{f"segments/{tag}": codes_of for tag, codes_of in enumerate(rows.segments)},
        "cells": rows.cells,
        "low": np.concatenate([*low, np.zeros(0, dtype=np.uint32)]),
        "high": np.concatenate([*high, np.zeros(0, dtype=np.uint8)]),
        "narrow": np.array(narrow, dtype=np.int64),
        "known": np.array([len(keys) for keys in dictionaries], dtype=np.int64),
        "dictionaries": np.concatenate([*dictionaries, found[:0]]),
        "codes": codes[: len(narrow)].ravel(),
        "oddity_slots": rows.oddity_slots,
        "oddity_keys": rows.oddity_keys,
        "oddity_rows": rows.oddity_rows,
    }
    value = [rows.shape.model, rows.pane_ms, {key: categories[key] for key in sorted(names) if key in categories}]
    return pack("rows", VERSION, value, arrays)


def unpack_rows(blob: bytes, name: str, shapes: Mapping[str, Shape]) -> tuple[Rows, dict[int, str]]:
    """Undo `pack_rows`. Returns the rows, and their categories' names. Raises `StateCorrupt`."""
    found = unpack(blob, "rows", (VERSION,))
    model, pane_ms, names = msgspec.convert(found.value, tuple[str, Span, dict[int, str]])
    shape, arrays = shapes[model], found.arrays
    # Two columns may have one cell: `"prediction": 1` beside `"prediction": {"value": 1}`.
    cells, keys = arrays["cells"], _keys(arrays)
    segments = [arrays[f"segments/{tag}"] for tag in range(len(shape.tags))]
    oddities = arrays["oddity_slots"], arrays["oddity_keys"], arrays["oddity_rows"]
    ids, size = arrays["ids"], keys.shape[1]
    sound = (
        0 < len(arrays["times"]) == len(ids) == size
        and arrays["times"].dtype == ids.dtype == np.int64
        and all(len(codes) == size for codes in (arrays["versions"], *segments))
        and len({len(array) for array in oddities}) == 1
        and bool((arrays["times"] >= 0).all())
        and _within(cells, len(shape.signals) * ROLES)
        and bool((cells % ROLES != SignalRole.ODDITIES).all())
        and _within(keys, 1 << KEY_BITS, least=-2)
        and _within(oddities[0], len(shape.signals), least=1)
        and _within(oddities[1], ODDITY_KEYS)
        and _within(oddities[2], size)
    )
    if not sound:
        raise corrupt(name, "its rows contradict each other")
    versions = arrays["versions"]
    if not _within(versions, len(shape.versions)) or not all(_within(codes, len(shape.segments)) for codes in segments):
        raise corrupt(name, "a row has a version or segment without name")
    return Rows(shape, cells, keys, versions, segments, *oddities, arrays["times"], ids, pane_ms, name), names


def _keys(arrays: Mapping[str, Array]) -> Ints:
    """Return the keys of stored rows. Raises `ValueError` or `IndexError` where lengths contradict each other."""
    size, columns = len(arrays["versions"]), len(arrays["cells"])
    keys: Ints = np.empty((columns, size), dtype=np.int64)
    narrow: Ints = arrays["narrow"]
    wide = np.setdiff1d(np.arange(columns), narrow)
    whole = arrays["high"].astype(np.int64) << _LOW_BITS | arrays["low"].astype(np.int64)
    whole[whole == NO_KEY] = -1
    keys[wide] = whole.reshape(len(wide), size)
    if len(narrow):
        dictionaries = np.split(arrays["dictionaries"], np.cumsum(arrays["known"])[:-1])
        codes = arrays["codes"].reshape(len(narrow), size)
        for column, dictionary, row_codes in zip(narrow.tolist(), dictionaries, codes, strict=True):
            keys[column] = dictionary[row_codes]
    return keys


def _within(numbers: Any, below: int, *, least: int = 0) -> bool:
    return numbers.dtype == np.int64 and bool(((numbers >= least) & (numbers < below)).all())
