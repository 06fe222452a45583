"""Rows that wait to be counted, of one partition.

A segment has few rows in a batch, and its sketches hold nearly every value apart: counting each batch, and merging what
was counted again and again, costs far more than keeping the rows and counting them once. So rows of a model with
segments wait until their pane ends, and a checkpoint stores those that came since the last one. Rows of other models
wait for more of their kind, and for a checkpoint at most.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from driftline.panes.rows import Layout, Rows, joined
from driftline.panes.stored_rows import pack_rows

CHUNKS: Final = 8
"""Chunks stored beside each other before the newest are written again as one. A chunk joins them only if it is less
than `TIER` times as large as they are together: much state that lasts is not written again for the little that comes.
"""
TIER: Final = 4
MAX_ROWS: Final = 300_000
"""Rows that wait, and rows of a stored chunk."""
MAX_VALUES: Final = 6_000_000
"""Values that wait, in 48 MB; stored, they take 30 MB at most."""
PIECE_ROWS: Final = 2_000
"""Rows of a piece, on average, below which pieces are joined when they are stored: so a slow stream, of which a few
come at a time, does not end in thousands. Joining large ones costs more than it saves: it takes fresh memory.
"""
ANY_PANE: Final = -1
"""Stands for the start of the pane where rows of several wait together."""

Kept = tuple[Layout, int]
"""Rows wait by layout and by the start of their pane."""


class Waiting:
    """See the module's head."""

    def __init__(self) -> None:
        self._held: dict[Kept, list[Rows]] = {}
        self._stored: set[str] = set()
        self.rows = self.values = 0
        """How many wait."""

    @property
    def kept(self) -> list[Kept]:
        """What there are rows of."""
        return list(self._held)

    @property
    def all(self) -> Iterator[Rows]:
        """All of them."""
        return (rows for alike in self._held.values() for rows in alike)

    @property
    def ends(self) -> Iterator[int]:
        """The ends of their panes, the first and the last among them."""
        return (end for rows in self.all for end in rows.ends)

    @property
    def stored(self) -> list[str]:
        """The names of the blobs that hold some of them."""
        return sorted(self._stored)

    def add(self, start: int, rows: Rows) -> int:
        """Keep rows of the pane that starts then, or of any. Returns how many there are of their kind."""
        alike = self._held.setdefault((rows.layout, start), [])
        alike.append(rows)
        self.rows += len(rows.times)
        self.values += rows.keys.size
        return sum(len(each.times) for each in alike)

    def restored(self, rows: Rows) -> None:
        """Keep rows that a checkpoint stored."""
        first, last = rows.ends
        self.add(first - rows.pane_ms if first == last else ANY_PANE, rows)
        self._stored.add(rows.stored)

    def due(self, watermark: int) -> list[Kept]:
        """Return of which rows some belong to a pane that ends at or before the watermark."""
        return [kept for kept, alike in self._held.items() if min(rows.ends[0] for rows in alike) <= watermark]

    def release(self, kept: Kept) -> list[Rows]:
        """Take out rows, in the pieces in which they came."""
        alike = self._held.pop(kept)
        self.rows -= sum(len(rows.times) for rows in alike)
        self.values -= sum(rows.keys.size for rows in alike)
        return alike

    def store(self, name: Callable[[], str], categories: Mapping[int, str]) -> dict[str, bytes | None]:
        """Return the blobs to write (None: delete) since the last call; `name` gives each a new name."""
        writes: dict[str, bytes | None] = {}
        for kept, alike in self._held.items():
            stored = Counter[str]()
            for rows in alike:
                stored[rows.stored] += len(rows.times)
            new = stored.pop("", 0)
            if new:
                joining = {"", *(to_join(stored, new, MAX_ROWS) if len(stored) >= CHUNKS else [])}
                whole = name()
                writing = [replace(rows, stored=whole) for rows in alike if rows.stored in joining]
                if sum(len(rows.times) for rows in writing) < PIECE_ROWS * len(writing):
                    writing = [replace(joined(writing), stored=whole)]
                self._held[kept] = [*(rows for rows in alike if rows.stored not in joining), *writing]
                writes[whole] = pack_rows(writing, categories)
        held = {rows.stored for rows in self.all}
        writes.update(dict.fromkeys(sorted(self._stored - held)))
        self._stored = held
        return writes


def to_join(stored: dict[str, int], new: int, most: int) -> list[str]:
    """Return which of the stored chunks (name -> size, the newest last) are to be written again with what is new.

    >>> to_join({"a": 900, "b": 30, "c": 20}, 10, 1_000)
    ['c', 'b']
    """
    joining: list[str] = []
    for name in reversed(stored):
        if stored[name] >= TIER * new or new + stored[name] > most:
            break
        joining.append(name)
        new += stored[name]
    return joining
