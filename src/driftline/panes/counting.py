"""Columns of events to the cells of panes: one sort for all groups and panes of a model's rows.

rank of the cell in this batch  │ 40-bit key        one int64 per value
────────────────────────────────┼───────────
signal 0: group 0, group 1, …   │ sorted             runs of equal numbers are the buckets
signal 1: group 0, group 1, …   │
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from driftline.formats.columns import ModelColumns
from driftline.sketches.cells import MAX_CELLS, Cells, from_buckets, from_sorted, merge
from driftline.sketches.keys import KEY_BITS, Ints, number_keys
from driftline.sketches.summary import ROLES, Oddity, Role

Mask: TypeAlias = NDArray[np.bool_]
_LAST = np.iinfo(np.int64).max
"""Sorts behind every value that is counted."""


def count(columns: ModelColumns, rows: Ints | None, groups: Ints, starts: Ints, known: Cells) -> Cells:
    """Count the values of a model's rows.

    Args:
        columns: the rows.
        rows: positions of the rows to count, None for all.
        groups: for each counted row the rank of its group, from 0.
        starts: the first cell id of each group; a cell's id is that plus `slot * ROLES + role`.
        known: sketches that the result will be merged with; their shifts spare most of the work.
    """
    size = len(starts)
    columns_at_once = MAX_CELLS // max(size, 1)
    parts = [_events(groups, starts)]
    numbers = columns.numbers if rows is None else columns.numbers[:, rows]
    for at in range(0, len(numbers), columns_at_once):
        cells = columns.number_slots[at : at + columns_at_once] * ROLES + Role.NUMBERS
        values = numbers[at : at + columns_at_once]
        usable = np.isfinite(values)
        parts.append(_count_matrix(number_keys(values), usable, cells, groups, starts, known))
    categories = columns.categories if rows is None else columns.categories[:, rows]
    for at in range(0, len(categories), columns_at_once):
        cells = columns.category_cells[at : at + columns_at_once]
        keys = categories[at : at + columns_at_once]
        parts.append(_count_matrix(keys, keys >= 0, cells, groups, starts, known))
    if len(columns.oddity_rows):
        parts.append(_oddities(columns, rows, groups, starts))
    return merge(parts)


def _count_matrix(keys: Ints, usable: Mask, cells: Ints, groups: Ints, starts: Ints, known: Cells) -> Cells:
    """Count the usable keys of a matrix, shape (columns, rows)."""
    ranks = np.arange(len(cells), dtype=np.int64)[:, None] * len(starts) + groups
    combined = np.where(usable, keys | (ranks << KEY_BITS), _LAST)
    combined.sort(axis=1)
    values = combined.ravel() if usable.all() else combined[np.arange(keys.shape[1]) < usable.sum(axis=1)[:, None]]
    ids = (cells[:, None] + starts).ravel()
    return from_sorted(np.arange(len(ids), dtype=np.int64), _known_shifts(ids, known), values).renamed_from(ids)


def _known_shifts(ids: Ints, known: Cells) -> Ints:
    shifts = np.zeros(len(ids), dtype=np.int64)
    if len(known):
        at = np.minimum(np.searchsorted(known.ids, ids), len(known) - 1)
        hit = known.ids[at] == ids
        shifts[hit] = known.shifts[at[hit]]
    return shifts


def _events(groups: Ints, starts: Ints) -> Cells:
    counts = np.bincount(groups, minlength=len(starts)).astype(np.int64)
    return _plain(starts + int(Role.ODDITIES), np.full(len(starts), int(Oddity.EVENT), dtype=np.int64), counts)


def _oddities(columns: ModelColumns, rows: Ints | None, groups: Ints, starts: Ints) -> Cells:
    at, slots, keys = columns.oddity_rows, columns.oddity_slots, columns.oddity_keys
    if rows is not None:
        position = np.full(len(columns.rows), -1, dtype=np.int64)
        position[rows] = np.arange(len(rows))
        kept = np.flatnonzero(position[at] >= 0)
        at, slots, keys = position[at[kept]], slots[kept], keys[kept]
    ids = starts[groups[at]] + slots * ROLES + int(Role.ODDITIES)
    return _plain(ids, keys, np.ones(len(ids), dtype=np.int64))


def _plain(ids: Ints, keys: Ints, counts: Ints) -> Cells:
    held = np.flatnonzero(counts)
    unique, cell = np.unique(ids[held], return_inverse=True)
    zeros = np.zeros(len(unique), dtype=np.int64)
    return from_buckets(unique, zeros, cell, keys[held], counts[held], np.zeros(len(held), dtype=np.int64))
