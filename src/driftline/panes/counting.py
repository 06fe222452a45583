"""Rows to the cells of groups: the rows of a group are put side by side, and counted cell by cell."""

from collections.abc import Mapping, Sequence

import numpy as np

from driftline.compiled import compiled
from driftline.panes.rows import Rows
from driftline.sketches.buckets import SORTED
from driftline.sketches.cells import Cells, empty, from_rows
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import Ints

_EVENTS = int(SignalRole.ODDITIES)
"""The cell that counts the rows themselves, under `Oddity.EVENT`, the first key."""


class Counting:
    """Counts rows, some groups at a time.

    Args:
        rows: the rows; their own keys are not looked at.
        pieces: the rows' keys, in pieces.
        ranks: shape (·, rows), the groups to which each row belongs, as numbers; below 0: to none.
        count: how many groups there are.
        unions: groups that have the rows of others, given as the first and the last of them.
        slots: gives each slot another number, by position; None leaves them.
    """

    def __init__(
        self,
        rows: Rows,
        pieces: Sequence[Ints],
        ranks: Ints,
        count: int,
        *,
        unions: Mapping[int, tuple[int, int]] = {},
        slots: Ints | None = None,
    ) -> None:
        flat = ranks.ravel()
        self._ends: Ints = np.cumsum(np.bincount(flat[flat >= 0], minlength=count))
        self._begins: Ints = np.concatenate([[0], self._ends[:-1]])
        places = np.empty_like(ranks)
        _place(flat, self._begins.copy(), places.ravel())
        total = int(self._ends[-1])
        sorted_in_place = bool(((self.sizes > 0) & (self.sizes < SORTED)).any())
        for union, (first, last) in unions.items():
            self._begins[union], self._ends[union] = self._begins[first], self._ends[last]
        in_order = len(pieces) == len(places) == 1 and bool((np.diff(places[0]) == 1).all())
        self._keys = pieces[0] if in_order and not sorted_in_place else _arranged(pieces, places, total)
        odd, line = np.unique(rows.oddity_slots, return_inverse=True)
        cells = np.concatenate([[_EVENTS], odd * ROLES + SignalRole.ODDITIES, rows.cells])
        columns = np.concatenate([-1 - np.arange(1 + len(odd)), np.arange(len(rows.cells))])
        if slots is not None:
            cells = slots[cells // ROLES] * ROLES + cells % ROLES
        ascending = np.argsort(cells)
        self._cells, self._columns = cells[ascending], columns[ascending]
        odd_places = places[:, rows.oddity_rows]
        times, at = np.nonzero(odd_places >= 0)
        odd_places = odd_places[times, at]
        by_place = np.argsort(odd_places, kind="stable")
        starts = np.searchsorted(odd_places[by_place], np.arange(total + 1))
        self._oddities = starts, (1 + line)[at[by_place]], rows.oddity_keys[at[by_place]]

    @property
    def sizes(self) -> Ints:
        """The number of rows of each group."""
        return self._ends - self._begins

    @property
    def columns(self) -> int:
        """How many values a row has."""
        return len(self._keys)

    def count(self, groups: slice, starts: Ints, known: Cells | None = None) -> Cells:
        """Return the cells of groups; each may be counted once.

        Args:
            groups: which.
            starts: the first cell id of each group, ascending; a cell's id is that plus `slot * ROLES + role`.
            known: sketches that the result will be merged with; their shifts spare most of the work.
        """
        ids = starts[:, None] + self._cells
        shifts = _shifts(ids, known or empty())
        begins, ends = self._begins[groups], self._ends[groups]
        return from_rows(ids, shifts, self._columns, self._keys, begins, ends, self._oddities)


def _arranged(pieces: Sequence[Ints], places: Ints, total: int) -> Ints:
    """Return the keys with each row at its places (·, rows), as many as `total`.

    A column at a time, which stays in the cache: group by group, each value would come from main memory.
    """
    keys: Ints = np.empty((len(pieces[0]), total), dtype=np.int64)
    start = 0
    for piece in pieces:
        stop = start + piece.shape[1]
        for wanted in places:
            _scatter(piece, wanted[start:stop], keys)
        start = stop
    return keys


@compiled
def _place(ranks: Ints, free: Ints, places: Ints) -> None:
    """Write at which place each row stands if those of a rank stand together; `free` is the first place of each."""
    for row in range(len(ranks)):
        rank = ranks[row]
        if rank < 0:
            places[row] = -1
        else:
            places[row] = free[rank]
            free[rank] += 1


@compiled
def _scatter(keys: Ints, places: Ints, out: Ints) -> None:
    """Copy each row's keys to its place; one below 0 is none."""
    for column in range(len(keys)):
        for row in range(len(places)):
            if places[row] >= 0:
                out[column, places[row]] = keys[column, row]


def _shifts(ids: Ints, known: Cells) -> Ints:
    shifts = np.zeros_like(ids)
    if len(known):
        at = np.minimum(np.searchsorted(known.ids, ids), len(known) - 1)
        hit = known.ids[at] == ids
        shifts[hit] = known.shifts[at[hit]]
    return shifts
