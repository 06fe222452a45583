"""Rows that are to be counted: keys of values, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline.columns.model import ModelColumns
from driftline.columns.shape import Shape
from driftline.columns.signals import DELAY
from driftline.panes.arrivals import NO_OWN_TIME, Arrivals
from driftline.sketches.buckets import number_keys_into
from driftline.sketches.group import ROLES, Oddity, SignalRole
from driftline.sketches.keys import Ints

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
        [
            columns.number_slots * ROLES + SignalRole.NUMBERS,
            columns.category_cells,
            [delay * ROLES + SignalRole.NUMBERS],
        ]
    )
    # Copies: rows may wait for a minute, and a view would keep all that was decoded with them.
    versions, segments = columns.versions[at], [codes[at] for codes in columns.segments]
    oddities = columns.oddity_slots.copy(), columns.oddity_keys.copy(), columns.oddity_rows.copy()
    if chosen is not None:
        oddities = oddities_of(chosen, *oddities, len(columns.rows))
    untimed = np.flatnonzero(arrivals.delays == NO_OWN_TIME)
    if len(untimed):
        nulls = np.full(len(untimed), delay), np.full(len(untimed), int(Oddity.NULL)), untimed
        slots, kinds, rows = (np.concatenate(pair) for pair in zip(oddities, nulls, strict=True))
        oddities = slots, kinds, rows
    return Rows(columns.shape, cells, keys, versions, segments, *oddities, times, arrivals.ids, pane_ms)


def oddities_of(chosen: Ints, slots: Ints, kinds: Ints, rows: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    """Return the oddities of the chosen among `size` rows."""
    position = np.full(size, -1, dtype=np.int64)
    position[chosen] = np.arange(len(chosen))
    kept = np.flatnonzero(position[rows] >= 0)
    return slots[kept], kinds[kept], position[rows[kept]]


def joined(alike: Sequence[Rows], *, keys: bool = True) -> Rows:
    """Return pieces that have the same model and columns as one, not yet stored; without `keys`, with none of these."""
    first = alike[0]
    if len(alike) == 1:
        return first
    starts = np.cumsum([0, *(len(rows.times) for rows in alike)])[:-1]
    return Rows(
        first.shape,
        first.cells,
        np.concatenate([rows.keys for rows in alike], axis=1) if keys else first.keys[:, :0],
        np.concatenate([rows.versions for rows in alike]),
        [np.concatenate(codes) for codes in zip(*(rows.segments for rows in alike), strict=True)],
        np.concatenate([rows.oddity_slots for rows in alike]),
        np.concatenate([rows.oddity_keys for rows in alike]),
        np.concatenate([rows.oddity_rows + start for rows, start in zip(alike, starts, strict=True)]),
        np.concatenate([rows.times for rows in alike]),
        np.concatenate([rows.ids for rows in alike]),
        first.pane_ms,
    )
