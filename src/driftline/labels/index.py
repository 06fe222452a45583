"""Where rows with an id are: one open hash table, of ids that are evenly spread already.

Rows with equal ids follow each other in the order in which they were put in. Nothing is taken out: rows that were
dropped are passed over, and are gone when the table is made anew. So each row is moved about twice, and a look-up is
one place in memory most often.
"""

import numpy as np
from numpy.typing import NDArray

from driftline.compiled import compiled, inlined
from driftline.sketches.keys import Ints

FIRST_PLACES = 512
EMPTY = -1

Table = NDArray[np.int64]
"""Shape (places, 2): ids and rows, EMPTY where there is none; the number of places is a power of two."""


class Index:
    """The rows of a ledger by their ids."""

    def __init__(self) -> None:
        self.table: Table = np.full((FIRST_PLACES, 2), EMPTY, dtype=np.int64)
        self.used = 0
        """Places that are taken."""

    def reserve(self, size: int, ids: Ints, first: int) -> None:
        """Make room for so many rows; `ids` are those of the rows that are kept, from row `first` on."""
        if 2 * (self.used + size) <= len(self.table):
            return
        places = FIRST_PLACES
        while places < 3 * (len(ids) + size):
            places *= 2
        self.table = np.full((places, 2), EMPTY, dtype=np.int64)
        fill(self.table, ids, first)
        self.used = len(ids)

    def put(self, ids: Ints, first: int) -> None:
        """Put in rows that follow each other from `first` on. Call `reserve` before."""
        fill(self.table, ids, first)
        self.used += len(ids)


@inlined
def put(table: Table, identity: int, row: int) -> None:
    """Put in one row."""
    mask = len(table) - 1
    place = identity & mask
    while table[place, 1] != EMPTY:
        place = (place + 1) & mask
    table[place, 0] = identity
    table[place, 1] = row


@compiled
def fill(table: Table, ids: Ints, first: int) -> None:
    """Put in rows that follow each other."""
    for at in range(len(ids)):
        put(table, ids[at], first + at)
