"""Rows to the cells of groups: the rows of a group are put together, and counted cell by cell."""

import numpy as np

from driftline.panes.rows import Rows
from driftline.sketches.buckets import FEW
from driftline.sketches.cells import Cells, empty, from_rows
from driftline.sketches.keys import Ints
from driftline.sketches.summary import ROLES, Role

_EVENTS = int(Role.ODDITIES)
"""The cell that counts the rows themselves, under `Oddity.EVENT`, the first key."""


class Counting:
    """Counts these rows, some groups at a time.

    Args:
        rows: the rows.
        order: positions of rows, those of a group together; a row may belong to several groups.
        bounds: where in `order` each group begins, and the end of the last.
        slots: gives each slot another number, by position; None leaves them.
    """

    def __init__(self, rows: Rows, order: Ints, bounds: Ints, slots: Ints | None = None) -> None:
        self._keys, self._order, self._bounds = rows.keys, order, bounds
        odd, line = np.unique(rows.oddity_slots, return_inverse=True)
        cells = np.concatenate([[_EVENTS], odd * ROLES + Role.ODDITIES, rows.cells])
        places = np.concatenate([-1 - np.arange(1 + len(odd)), np.arange(len(rows.cells))])
        if slots is not None:
            cells = slots[cells // ROLES] * ROLES + cells % ROLES
        ascending = np.argsort(cells)
        self._cells, self._places = cells[ascending], places[ascending]
        by_row = np.argsort(rows.oddity_rows, kind="stable")
        starts = np.searchsorted(rows.oddity_rows[by_row], np.arange(len(rows.times) + 1))
        self._oddities = starts, (1 + line)[by_row], rows.oddity_keys[by_row]
        sizes = np.diff(bounds)
        few = order[np.repeat(sizes <= FEW, sizes)]
        # All at once, for a column stays in the cache while its values are put in order: a group alone would touch all.
        self._few = np.empty((len(rows.keys), len(few)), dtype=np.int64)
        rows.keys.take(few, axis=1, out=self._few, mode="clip")  # of which no check, and no copy, is made
        self._few_ends = np.cumsum(np.where(sizes <= FEW, sizes, 0))

    def count(self, groups: slice, starts: Ints, known: Cells | None = None) -> Cells:
        """Return the cells of groups.

        Args:
            groups: which.
            starts: the first cell id of each group, ascending; a cell's id is that plus `slot * ROLES + role`.
            known: sketches that the result will be merged with; their shifts spare most of the work.
        """
        ids = starts[:, None] + self._cells
        bounds = self._bounds[groups.start : groups.stop + 1]
        return from_rows(
            ids,
            _shifts(ids, known or empty()),
            self._places,
            self._keys,
            self._few,
            self._few_ends[groups],
            self._order[bounds[0] : bounds[-1]],
            bounds - bounds[0],
            self._oddities,
        )


def together(groups: Ints, count: int) -> tuple[Ints, Ints]:
    """Return the positions that put equal groups (numbers below `count`) together, and where each group begins."""
    narrow = groups.astype(np.uint16) if count <= 1 << 16 else groups  # of so few bits, a stable sort is by counting
    bounds: Ints = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(groups, minlength=count), out=bounds[1:])
    return np.argsort(narrow, kind="stable"), bounds


def _shifts(ids: Ints, known: Cells) -> Ints:
    shifts = np.zeros_like(ids)
    if len(known):
        at = np.minimum(np.searchsorted(known.ids, ids), len(known) - 1)
        hit = known.ids[at] == ids
        shifts[hit] = known.shifts[at[hit]]
    return shifts
