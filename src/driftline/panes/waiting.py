"""Rows of a model with segments, kept as they are until their pane ends.

A segment has few rows in a batch, and its sketches hold nearly every value apart: counting each batch, and merging what
was counted again and again, costs far more than keeping the rows and counting them once. So a checkpoint stores the
rows that came since the last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from driftline.codec import pack, unpack
from driftline.errors import StateCorrupt
from driftline.formats.columns import ModelColumns, join
from driftline.formats.learning import Shape
from driftline.sketches.keys import KEY_BITS, Ints
from driftline.sketches.summary import ROLES

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Rows of a model that are to be counted."""

    columns: ModelColumns
    rows: Ints | None
    """Positions in the columns, None for all."""
    times: Ints
    """Event times, one for each of the rows to be counted."""
    pane_ms: int
    stored: str = ""
    """The name of the blob that holds them, once a checkpoint has stored them."""

    @property
    def ends(self) -> tuple[int, int]:
        """The ends of the first pane and of the last."""
        first, last = int(self.times.min()), int(self.times.max())
        return first - first % self.pane_ms + self.pane_ms, last - last % self.pane_ms + self.pane_ms


def joined(alike: Sequence[Waiting]) -> Waiting:
    """Return pieces that have one layout as one, not yet stored."""
    first = alike[0]
    (columns,) = join([waiting.columns for waiting in alike])
    times = np.concatenate([waiting.times for waiting in alike])
    if len(times) == len(columns.rows):
        return Waiting(columns, None, times, first.pane_ms)
    rows: list[Ints] = []
    start = 0
    for waiting in alike:
        size = len(waiting.columns.rows)
        rows.append(start + (np.arange(size) if waiting.rows is None else waiting.rows))
        start += size
    return Waiting(columns, np.concatenate(rows), times, first.pane_ms)


def pack_rows(waiting: Waiting, categories: Mapping[int, str]) -> bytes:
    """Encode rows for the state, with the names of their categories."""
    columns = waiting.columns
    keys = np.unique(columns.categories).tolist()
    names = {key: categories[key] for key in keys if key in categories}
    arrays = {
        "times": waiting.times,
        "rows": np.arange(len(columns.rows)) if waiting.rows is None else waiting.rows,
        "versions": columns.versions,
        **{f"segments/{tag}": codes for tag, codes in enumerate(columns.segments)},
        "number_slots": columns.number_slots,
        "numbers": columns.numbers.ravel(),
        "category_cells": columns.category_cells,
        "categories": columns.categories.ravel(),
        "oddity_slots": columns.oddity_slots,
        "oddity_keys": columns.oddity_keys,
        "oddity_rows": columns.oddity_rows,
    }
    return pack("rows", VERSION, [columns.shape.model, waiting.pane_ms, names], arrays)


def unpack_rows(blob: bytes, name: str, shapes: Mapping[str, Shape]) -> tuple[Waiting, dict[int, str]]:
    """Undo `pack_rows`. Returns the rows, and their categories' names. Raises `StateCorrupt`."""
    found = unpack(blob, "rows", (VERSION,))
    model, pane_ms, names = msgspec.convert(found.value, tuple[str, int, dict[int, str]])
    shape, arrays = shapes[model], found.arrays
    size = len(arrays["versions"])
    columns = ModelColumns(
        shape,
        np.arange(size),
        arrays["versions"],
        [arrays[f"segments/{tag}"] for tag in range(len(shape.tags))],
        arrays["number_slots"],
        arrays["numbers"].reshape(len(arrays["number_slots"]), size),
        arrays["category_cells"],
        arrays["categories"].reshape(len(arrays["category_cells"]), size),
        arrays["oddity_slots"],
        arrays["oddity_keys"],
        arrays["oddity_rows"],
        [],
    )
    rows, times = arrays["rows"], arrays["times"]
    sound = (
        0 < len(times) == len(rows)
        and pane_ms > 0
        and all(len(codes) == size for codes in columns.segments)
        and len(columns.oddity_slots) == len(columns.oddity_keys) == len(columns.oddity_rows)
        and _within(rows, size)
        and bool((times >= 0).all())
        and _within(columns.versions, len(shape.versions), least=-2)
        and all(_within(codes, len(shape.segments), least=-2) for codes in columns.segments)
        and _within(columns.number_slots, len(shape.signals))
        and _within(columns.category_cells, len(shape.signals) * ROLES)
        and _within(columns.categories, 1 << KEY_BITS, least=-2)
        and _within(columns.oddity_slots, len(shape.signals))
        and _within(columns.oddity_keys, 1 << KEY_BITS)
        and _within(columns.oddity_rows, size)
        and bool((columns.versions[rows] >= 0).all())
        and all(bool((codes[rows] >= 0).all()) for codes in columns.segments)
    )
    if not sound:
        raise StateCorrupt(f"{name}: the rows contradict each other")
    whole = None if len(rows) == size and bool((rows == np.arange(size)).all()) else rows
    return Waiting(columns, whole, times, pane_ms, name), names


def _within(numbers: Any, below: int, *, least: int = 0) -> bool:
    return numbers.dtype == np.int64 and bool(((numbers >= least) & (numbers < below)).all())
