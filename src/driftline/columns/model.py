"""Events of one model as typed columns.

A column belongs to a signal's *cell* (its slot and role, see `sketches.group`). Values that a cell does not hold are
marked in place: NaN for a null and +inf for a missing number, a negative key for a category that is not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.columns.shape import OTHER, TOO_MANY, Shape
from driftline.sketches.group import Oddity
from driftline.sketches.keys import Floats, Ints

UNNAMED = -9
"""Stands for the code of a version or segment that has none yet."""

Layout = tuple[int, bytes, bytes]
Beyond = tuple[int, str, str]
"""A row, the limit that it went beyond, and who did."""


@dataclass(slots=True, eq=False)
class ModelColumns:
    """Some rows of one model, as columns. `rows` are their positions in the batch, ascending.

    Arrays have shape (rows) where nothing else is said.
    """

    shape: Shape
    rows: Ints
    versions: Ints
    """Codes in `shape.versions`; negative where the version is rejected."""
    segments: list[Ints]
    """For each of `shape.tags` the codes in `shape.segments`; negative where the value is rejected."""
    number_slots: Ints
    numbers: Floats
    """Shape (number columns, rows)."""
    category_cells: Ints
    """For each category column its cell, `slot * ROLES + role`."""
    categories: Ints
    """Shape (category columns, rows)."""
    oddity_slots: Ints
    oddity_keys: Ints
    oddity_rows: Ints
    """Three parallel arrays: what was neither number, string nor boolean. Rows are positions in `rows`."""
    unnamed: list[tuple[int, int, Any]]
    """(position in `rows`, 0 for the version or the tag's number from 1, value) of values that had no code yet."""

    @property
    def layout(self) -> Layout:
        """What pieces must have in common to be joined: the model and the columns."""
        return id(self.shape), self.number_slots.tobytes(), self.category_cells.tobytes()


def settle(pieces: Iterable[ModelColumns]) -> list[Beyond]:
    """Give codes to versions and segments that had none, in the order of the batch: a limit may be met on the way.

    Writes them into the pieces. Returns those that got none of their own, as (row, limit, name).
    """
    waiting = [(int(piece.rows[at]), which, at, piece, value) for piece in pieces for at, which, value in piece.unnamed]
    beyond: list[Beyond] = []
    for row, which, at, piece, value in sorted(waiting, key=itemgetter(0, 1)):
        shape = piece.shape
        if which:
            code = piece.segments[which - 1][at] = shape.segment_codes[which - 1][value]
            name = shape.segment_codes[which - 1].name_of(value)
            if code == shape.other_codes[which - 1] and name != OTHER:
                beyond.append((row, "segments", f"{shape.model}[{shape.tags[which - 1]}={name}]"))
        else:
            code = piece.versions[at] = shape.version_codes[value]
            if code == TOO_MANY:
                beyond.append((row, "versions", f"{shape.model}/{shape.version_codes.name_of(value)}"))
    return beyond


def join(pieces: Sequence[ModelColumns]) -> list[ModelColumns]:
    """Join pieces of one model that have the same columns, so that what follows runs once a batch, not once a chunk."""
    alike: dict[Layout, list[ModelColumns]] = {}
    for piece in pieces:
        alike.setdefault(piece.layout, []).append(piece)
    return [same[0] if len(same) == 1 else _joined(same) for same in alike.values()]


def _joined(pieces: Sequence[ModelColumns]) -> ModelColumns:
    first = pieces[0]
    starts = np.cumsum([0, *(len(piece.rows) for piece in pieces)])[:-1]
    return ModelColumns(
        first.shape,
        np.concatenate([piece.rows for piece in pieces]),
        np.concatenate([piece.versions for piece in pieces]),
        [np.concatenate(codes) for codes in zip(*(piece.segments for piece in pieces), strict=True)],
        first.number_slots,
        np.concatenate([piece.numbers for piece in pieces], axis=1),
        first.category_cells,
        np.concatenate([piece.categories for piece in pieces], axis=1),
        np.concatenate([piece.oddity_slots for piece in pieces]),
        np.concatenate([piece.oddity_keys for piece in pieces]),
        np.concatenate([piece.oddity_rows + start for piece, start in zip(pieces, starts, strict=True)]),
        [],
    )


Oddities = tuple[Ints, Oddity, Ints]
"""Slots, an oddity, and the rows in which those slots held it."""


def nulls(slots: Ints, held: NDArray[np.bool_]) -> Oddities:
    """Return where nulls were, given as a mask of shape (slots, rows)."""
    column, row = np.nonzero(held)
    return slots[column], Oddity.NULL, row


def oddity_columns(found: Sequence[Oddities]) -> tuple[Ints, Ints, Ints]:
    """Return slots, keys and rows, one after the other."""
    kinds = np.repeat([int(oddity) for _, oddity, _ in found], [len(rows) for _, _, rows in found])
    return np.concatenate([slots for slots, _, _ in found]), kinds, np.concatenate([rows for _, _, rows in found])
