"""Outcomes of one version or segment, in windows of event time: those that arrived in one, and those predicted in one.

    slices ──labels──► arrived[window] ──its end──► weighed once, and let go
       └─────all─────► books[window of the predictions] ──while labels may come──► estimated, then realised

A book goes on after its window: its labels may come for weeks. It is let go once none is awaited, or when there are too
many. Outcomes that come later for a window that was weighed count in the books alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from driftline.codec import Mark, Time
from driftline.performance.names import MAX_WINDOWS
from driftline.performance.outcomes import arrived, labelled, waiting
from driftline.performance.tally import Tally, empty, merged, unpacked

PARTS: Final = 8
"""Slices that are kept apart before they are added up."""
STEP: Final = 500
"""Labels that arrived which are weighed by themselves, where they are of predictions of other windows than the rest."""
MAIN_SHARE: Final = 0.05
"""A book of which so small a part of a step's labels are is not what the step is about."""


@dataclass(frozen=True, slots=True)
class Step:
    """Outcomes that arrived in a window, of predictions of some windows that follow one another."""

    rows: Tally
    labels: int
    main: tuple[int, ...]
    """The windows of the predictions that most of them are of."""
    latest: int
    """That of which most are."""


def steps_of(rows: Tally, about: Mapping[int, int]) -> list[Step]:
    """Part what arrived in a window by when it was predicted, oldest first: 500 labels in each step, or all in one.

    Args:
        rows: what arrived; its groups are the windows of predictions, from the oldest on.
        about: by these windows in order, how many labels are of each.
    """
    parted: list[list[int]] = [[]]
    books, counts = list(about), list(about.values())
    held = 0
    for at, many in enumerate(counts):
        if held >= STEP and sum(counts[at:]) >= STEP:
            parted.append([])
            held = 0
        parted[-1].append(at)
        held += many
    found = []
    for places in parted:
        labels = sum(counts[at] for at in places)
        if labels > 0:
            part = rows.take(np.isin(rows.groups, places)).regrouped(np.zeros(len(books), dtype=np.int64))
            main = tuple(books[at] for at in places if counts[at] >= MAIN_SHARE * labels)
            found.append(Step(part, labels, main, books[max(places, key=lambda at: (counts[at], at))]))
    return found


class Pile:
    """Tallies of one group that are added up now and then."""

    def __init__(self, parts: Iterable[Tally] = ()) -> None:
        self._parts = list(parts)

    def add(self, part: Tally) -> None:
        """Put one on the pile."""
        self._parts.append(part)
        if len(self._parts) > PARTS:
            self._parts = [merged(self._parts)]

    @property
    def tally(self) -> Tally:
        """All of it."""
        if len(self._parts) != 1:
            self._parts = [merged(self._parts) if self._parts else empty()]
        return self._parts[0]

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return sum(map(len, self._parts))


class Books:
    """See the module's head. All tallies that are given and returned are of one group, 0.

    Args:
        size: length of a window, in milliseconds.
        awaited: how long after a prediction its label counts.
    """

    def __init__(self, size: int, awaited: int) -> None:
        self._size, self._awaited = size, awaited
        self.books: dict[int, Pile] = {}
        """By start of the window of the predictions."""
        self.changed: set[int] = set()
        """Books that changed, or were let go, since the last checkpoint."""
        self._arrived: dict[int, Pile] = {}
        """Outcomes by the window in which they arrived; a window is there if anything came in it."""
        self._about: dict[int, dict[int, int]] = {}
        """How many of these labels are of which book."""
        self._weighed = -(2**62)
        """All windows that begin before were weighed."""

    def take(self, start: int, cohort: int, rows: Tally) -> bool:
        """Take in what came in the slice that begins then, of the predictions of one cohort.

        Returns whether it counts in the window of the slice, too.
        """
        book = cohort - cohort % self._size
        self.books.setdefault(book, Pile()).add(rows)
        self.changed.add(book)
        window = start - start % self._size
        if window < self._weighed:
            return False
        pile = self._arrived.setdefault(window, Pile())
        came = arrived(rows)
        if len(came):
            pile.add(came.regrouped(np.array([book // self._size])))
            about = self._about.setdefault(window, {})
            about[book] = about.get(book, 0) + int(labelled(came, 1)[0])
        return True

    @property
    def deadline(self) -> int | None:
        """When the next window ends in which anything came."""
        first = min(self._arrived, default=None)
        return None if first is None else first + self._size

    def due(self, time: int) -> list[int]:
        """Return the windows that end at or before this time, in order."""
        return sorted(window for window in self._arrived if window + self._size <= time)

    def close(self, window: int) -> tuple[Tally, Mapping[int, int]]:
        """Return the outcomes that arrived in a window, and how many labels are of which books; let go of them.

        Books are in order, and each is a group of the outcomes.
        """
        self._weighed = window + self._size
        rows, about = self._arrived.pop(window).tally, self._about.pop(window, {})
        places = np.unique(rows.groups)
        books = [int(place) * self._size for place in places.tolist()]
        placed = Tally(np.searchsorted(places, rows.groups), *(getattr(rows, name) for name in Tally.__slots__[1:]))
        return placed, {book: about.get(book, 0) for book in books}

    def let_go(self, time: int) -> None:
        """Let go of books for which no label is awaited any more, and of the oldest where there are too many."""
        kept = sorted(book for book in self.books if book + self._size + self._awaited > time)[-MAX_WINDOWS:]
        gone = self.books.keys() - set(kept)
        for book in gone:
            del self.books[book]
        self.changed |= gone

    def drop_oldest(self) -> None:
        """Let go of the oldest book: there is too little memory."""
        book = min(self.books)
        del self.books[book]
        self.changed.add(book)

    @property
    def rows(self) -> int:
        """How many rows all tallies hold."""
        return sum(pile.rows for piles in (self.books, self._arrived) for pile in piles.values())

    def counts(self, book: int) -> tuple[int, int]:
        """Return how many predictions a book holds, and how many of them have labels."""
        tally = self.books[book].tally if book in self.books else empty()
        came = int(labelled(tally, 1)[0])
        return came + int(waiting(tally, 1)[0]), came

    def snapshot(self) -> "StoredBooks":
        """Return what is stored beside the books, each of which is a blob of its own."""
        windows = [
            (window, pile.tally.packed(), self._about.get(window, {})) for window, pile in sorted(self._arrived.items())
        ]
        return StoredBooks(sorted(self.books), windows, self._weighed)

    def restore(self, stored: "StoredBooks", books: Mapping[int, bytes]) -> None:
        """Take up a snapshot. Raises `StateCorrupt`, or what a wrong value causes."""
        self.books = {start: Pile([unpacked(books[start])]) for start in stored.books}
        self._arrived = {window: Pile([unpacked(held)]) for window, held, _ in stored.windows}
        self._about = {window: about for window, _, about in stored.windows if about}
        self._weighed = stored.weighed
        self.changed.clear()


class StoredBooks(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What `Books.snapshot` returns."""

    books: list[Time]
    windows: list[tuple[Time, bytes, dict[Time, int]]]
    weighed: Mark
