"""Rows that are to be counted: keys of values, side by side, and how they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from driftline.codec import Array, Span, Unpacked, corrupt, pack, unpack
from driftline.formats.columns import ModelColumns
from driftline.formats.learning import Shape
from driftline.panes.arrivals import NO_OWN_TIME, Arrivals
from driftline.sketches.buckets import ODDITY_KEYS, number_keys_into
from driftline.sketches.keys import KEY_BITS, NO_KEY, Floats, Ints
from driftline.sketches.summary import DELAY, ROLES, Oddity, Role

VERSION: Final = 2
"""1 stored numbers as float64 and each category's key in 8 bytes, and did not say how events came."""
_LOW_BITS: Final = 32


Layout = tuple[int, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a model, all of which are to be counted."""

    shape: Shape
    cells: Ints
    """For each column its cell, `slot * ROLES + role`."""
    keys: Ints
    """Shape (columns, rows); negative where there is no value."""
    versions: Ints
    """Codes in `shape.versions`."""
    segments: Sequence[Ints]
    """For each of `shape.tags` the codes in `shape.segments`."""
    oddity_slots: Ints
    oddity_keys: Ints
    oddity_rows: Ints
    """Three parallel arrays: what was neither number, string nor boolean, and in which row."""
    times: Ints
    """Event times."""
    ids: Ints
    """Event ids as numbers, negative where there is none."""
    pane_ms: int
    stored: str = ""
    """The name of the blob that holds them, once a checkpoint has stored them."""

    @property
    def layout(self) -> Layout:
        """What pieces must have in common to be joined: the model and the columns."""
        return id(self.shape), self.cells.tobytes()

    @property
    def ends(self) -> tuple[int, int]:
        """The ends of the first pane and of the last."""
        first, last = int(self.times.min()), int(self.times.max())
        return first - first % self.pane_ms + self.pane_ms, last - last % self.pane_ms + self.pane_ms


def rows_of(columns: ModelColumns, chosen: Ints | None, times: Ints, arrivals: Arrivals, pane_ms: int) -> Rows:
    """Return the rows at these positions (None for all); `times` and `arrivals` have one for each of them."""
    numbers = len(columns.numbers)
    keys: Ints = np.empty((numbers + len(columns.categories) + 1, len(times)), dtype=np.int64)
    at = np.arange(len(times)) if chosen is None else chosen
    number_keys_into(columns.numbers, columns.numbers.view(np.int64), at, keys[:numbers])
    np.maximum(columns.categories if chosen is None else columns.categories[:, chosen], -1, out=keys[numbers:-1])
    np.maximum(arrivals.delays, -1, out=keys[-1])
    delay = columns.shape.signals[DELAY]
    cells = np.concatenate(
        [columns.number_slots * ROLES + Role.NUMBERS, columns.category_cells, [delay * ROLES + Role.NUMBERS]]
    )
    versions, segments = columns.versions, columns.segments
    oddities = columns.oddity_slots, columns.oddity_keys, columns.oddity_rows
    if chosen is not None:
        versions, segments = versions[chosen], [codes[chosen] for codes in segments]
        oddities = _oddities_of(chosen, *oddities, len(columns.rows))
    untimed = np.flatnonzero(arrivals.delays == NO_OWN_TIME)
    if len(untimed):
        nulls = np.full(len(untimed), delay), np.full(len(untimed), int(Oddity.NULL)), untimed
        slots, kinds, rows = (np.concatenate(pair) for pair in zip(oddities, nulls, strict=True))
        oddities = slots, kinds, rows
    return Rows(columns.shape, cells, keys, versions, segments, *oddities, times, arrivals.ids, pane_ms)


def _oddities_of(chosen: Ints, slots: Ints, kinds: Ints, rows: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    """Return the oddities of the chosen among `size` rows."""
    position = np.full(size, -1, dtype=np.int64)
    position[chosen] = np.arange(len(chosen))
    kept = np.flatnonzero(position[rows] >= 0)
    return slots[kept], kinds[kept], position[rows[kept]]


def joined(alike: Sequence[Rows]) -> Rows:
    """Return pieces that have the same model and columns as one, not yet stored."""
    first = alike[0]
    if len(alike) == 1:
        return first
    starts = np.cumsum([0, *(len(rows.times) for rows in alike)])[:-1]
    return Rows(
        first.shape,
        first.cells,
        np.concatenate([rows.keys for rows in alike], axis=1),
        np.concatenate([rows.versions for rows in alike]),
        [np.concatenate(codes) for codes in zip(*(rows.segments for rows in alike), strict=True)],
        np.concatenate([rows.oddity_slots for rows in alike]),
        np.concatenate([rows.oddity_keys for rows in alike]),
        np.concatenate([rows.oddity_rows + start for rows, start in zip(alike, starts, strict=True)]),
        np.concatenate([rows.times for rows in alike]),
        np.concatenate([rows.ids for rows in alike]),
        first.pane_ms,
    )


def pack_rows(rows: Rows, categories: Mapping[int, str]) -> bytes:
    """Encode rows for the state, with the names of their categories."""
    named = np.unique(rows.keys[rows.cells % ROLES >= Role.STRINGS]).tolist()
    names = {key: categories[key] for key in named if key in categories}
    halves = np.ascontiguousarray(rows.keys).view("<u4")  # two of each key; of the upper one, the lowest byte counts
    arrays: dict[str, Array] = {
        "times": rows.times,
        "ids": rows.ids,
        "versions": rows.versions,
        **{f"segments/{tag}": codes for tag, codes in enumerate(rows.segments)},
        "cells": rows.cells,
        "low": halves[:, ::2].ravel(),
        "high": halves[:, 1::2].astype(np.uint8).ravel(),
        "oddity_slots": rows.oddity_slots,
        "oddity_keys": rows.oddity_keys,
        "oddity_rows": rows.oddity_rows,
    }
    return pack("rows", VERSION, [rows.shape.model, rows.pane_ms, names], arrays)


def unpack_rows(blob: bytes, name: str, shapes: Mapping[str, Shape]) -> tuple[Rows, dict[int, str]]:
    """Undo `pack_rows`. Returns the rows, and their categories' names. Raises `StateCorrupt`."""
    found = unpack(blob, "rows", (1, VERSION))
    model, pane_ms, names = msgspec.convert(found.value, tuple[str, Span, dict[int, str]])
    shape, arrays = shapes[model], found.arrays
    cells, keys, chosen = _keys_of_1(found) if found.version == 1 else _keys(found)
    segments = [arrays[f"segments/{tag}"] for tag in range(len(shape.tags))]
    oddities = arrays["oddity_slots"], arrays["oddity_keys"], arrays["oddity_rows"]
    size = keys.shape[1]
    ids = arrays["ids"] if found.version > 1 else np.full(len(arrays["times"]), -1)
    sound = (
        0 < len(arrays["times"]) == (size if chosen is None else len(chosen))
        and len(ids) == len(arrays["times"])
        and arrays["times"].dtype == ids.dtype == np.int64
        and all(len(codes) == size for codes in (arrays["versions"], *segments))
        and len({len(array) for array in oddities}) == 1
        and (chosen is None or _within(chosen, size))
        and bool((arrays["times"] >= 0).all())
        and _within(cells, len(shape.signals) * ROLES)
        and len(set(cells.tolist())) == len(cells)
        and bool((cells % ROLES != Role.ODDITIES).all())
        and _within(keys, 1 << KEY_BITS, least=-2)
        and _within(oddities[0], len(shape.signals), least=1)
        and _within(oddities[1], ODDITY_KEYS)
        and _within(oddities[2], size)
    )
    if not sound:
        raise corrupt(name, "its rows contradict each other")
    versions = arrays["versions"]
    if chosen is not None:
        oddities = _oddities_of(chosen, *oddities, size)
        keys, versions, segments = keys[:, chosen], versions[chosen], [codes[chosen] for codes in segments]
    if not _within(versions, len(shape.versions)) or not all(_within(codes, len(shape.segments)) for codes in segments):
        raise corrupt(name, "a row has a version or segment without name")
    return Rows(shape, cells, keys, versions, segments, *oddities, arrays["times"], ids, pane_ms, name), names


def _keys(found: Unpacked) -> tuple[Ints, Ints, None]:
    """Return the cells and keys of stored rows."""
    cells = found.arrays["cells"]
    keys: Ints = found.arrays["high"].astype(np.int64) << _LOW_BITS | found.arrays["low"].astype(np.int64)
    keys[keys == NO_KEY] = -1
    return cells, keys.reshape(len(cells), len(found.arrays["versions"])), None


def _keys_of_1(found: Unpacked) -> tuple[Ints, Ints, Ints]:
    """Return the cells and keys of rows of version 1, and which rows are to be counted."""
    arrays = found.arrays
    size = len(arrays["versions"])
    numbers: Floats = arrays["numbers"].reshape(len(arrays["number_slots"]), size)
    categories = arrays["categories"].reshape(len(arrays["category_cells"]), size)
    keys: Ints = np.empty((len(numbers), size), dtype=np.int64)
    number_keys_into(numbers, numbers.view(np.int64), np.arange(size), keys)
    cells = np.concatenate([arrays["number_slots"] * ROLES + Role.NUMBERS, arrays["category_cells"]])
    return cells, np.concatenate([keys, categories]), arrays["rows"]


def _within(numbers: Any, below: int, *, least: int = 0) -> bool:
    return numbers.dtype == np.int64 and bool(((numbers >= least) & (numbers < below)).all())
