"""Columns of events to the cells of panes: the rows of a group are put together, and counted column by column."""

from collections.abc import Iterator

import numpy as np

from driftline.formats.columns import ModelColumns
from driftline.sketches.buckets import number_keys_into
from driftline.sketches.cells import Cells, from_buckets, from_keys
from driftline.sketches.keys import Ints
from driftline.sketches.summary import ROLES, Oddity, Role


def count(columns: ModelColumns, rows: Ints | None, groups: Ints, starts: Ints, known: Cells) -> Iterator[Cells]:
    """Count the values of a model's rows. Yields the cells in parts that share none.

    Args:
        columns: the rows.
        rows: positions of the rows to count, None for all.
        groups: for each counted row the rank of its group, from 0.
        starts: the first cell id of each group; a cell's id is that plus `slot * ROLES + role`.
        known: sketches that the result will be merged with; their shifts spare most of the work.
    """
    yield _events(groups, starts)
    by_start = np.argsort(starts)
    if len(starts) == 1:
        order = np.arange(len(groups)) if rows is None else rows
        bounds = np.array([0, len(order)])
    else:
        rank = np.empty(len(starts), dtype=np.uint16)  # of so few bits, a stable sort is one by counting
        rank[by_start] = np.arange(len(starts))
        places = rank[groups]
        order = np.argsort(places, kind="stable")
        bounds = np.searchsorted(places[order], np.arange(len(starts) + 1))
        order = order if rows is None else rows[order]
    cells = np.concatenate([columns.number_slots * ROLES + Role.NUMBERS, columns.category_cells])
    found = np.empty((len(cells), len(order)), dtype=np.int64)
    number_keys_into(columns.numbers, columns.numbers.view(np.int64), order, found[: len(columns.numbers)])
    np.take(columns.categories, order, axis=1, out=found[len(columns.numbers) :])
    ascending = np.argsort(cells)
    ids = starts[by_start][:, None] + cells[ascending]
    yield from_keys(ids, _known_shifts(ids, known), found[ascending], bounds)
    if len(columns.oddity_rows):
        yield _oddities(columns, rows, groups, starts)


def _known_shifts(ids: Ints, known: Cells) -> Ints:
    shifts = np.zeros_like(ids)
    if len(known):
        at = np.minimum(np.searchsorted(known.ids, ids), len(known) - 1)
        hit = known.ids[at] == ids
        shifts[hit] = known.shifts[at[hit]]
    return shifts


def _events(groups: Ints, starts: Ints) -> Cells:
    """Count the rows of each group: one cell of one bucket."""
    order = np.argsort(starts)
    ids, ones, zeros = starts[order] + int(Role.ODDITIES), np.ones_like(starts), np.zeros_like(starts)
    counts = np.bincount(groups, minlength=len(starts))[order]
    return Cells(ids, zeros, ones, np.full_like(starts, int(Oddity.EVENT)), counts, zeros)


def _oddities(columns: ModelColumns, rows: Ints | None, groups: Ints, starts: Ints) -> Cells:
    at, slots, keys = columns.oddity_rows, columns.oddity_slots, columns.oddity_keys
    if rows is not None:
        position = np.full(len(columns.rows), -1, dtype=np.int64)
        position[rows] = np.arange(len(rows))
        kept = np.flatnonzero(position[at] >= 0)
        at, slots, keys = position[at[kept]], slots[kept], keys[kept]
    ids, cell = np.unique(starts[groups[at]] + slots * ROLES + int(Role.ODDITIES), return_inverse=True)
    return from_buckets(ids, np.zeros_like(ids), cell, keys, np.ones_like(keys), np.zeros_like(keys))
