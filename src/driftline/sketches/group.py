"""What was seen of one (model, version, segment) over some span of event time: the sketches of all its signals.

A signal has up to four cells. Values are counted by kind, so a type change shows as counts moving from one cell to
another; what is neither there nor a value is derived: missing = events - numbers - strings - booleans - oddities.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from driftline.sketches.buckets import take_exact
from driftline.sketches.cells import Cells, empty, merge
from driftline.sketches.keys import Ints

EVENTS = "events"
"""The name of slot 0: its oddities cell counts the events themselves, under key 0."""


class SignalRole(IntEnum):
    """The four cells of a signal. A cell's id is `slot * ROLES + role`."""

    ODDITIES = 0
    NUMBERS = 1
    STRINGS = 2
    BOOLEANS = 3


ROLES = len(SignalRole)


class Oddity(IntEnum):
    """Keys of the oddities cell: what a field held that is neither number, string nor boolean."""

    EVENT = 0
    NULL = 1
    LIST = 2
    OBJECT = 3
    NONFINITE = 4


@dataclass(frozen=True, slots=True, eq=False)
class GroupSketch:
    """Sketches by signal. `signals[slot]` names the cells `slot * ROLES + role`; slot 0 is EVENTS.

    `categories` names the keys of string and boolean cells whose shift is 0; a coarsened cell has no names.
    """

    signals: tuple[str, ...]
    cells: Cells
    categories: Mapping[int, str]

    @property
    def events(self) -> int:
        """How many events were counted."""
        cells = self.cells
        counted = len(cells) and cells.ids[0] == SignalRole.ODDITIES and cells.keys[0] == Oddity.EVENT
        return int(cells.counts[0]) if counted else 0

    def without(self, signals: Container[str]) -> "GroupSketch":
        """Return what was seen of the other signals."""
        kept = [slot for slot, name in enumerate(self.signals) if name not in signals]
        slots: Ints = np.full(len(self.signals), -1, dtype=np.int64)
        slots[kept] = np.arange(len(kept))
        ids = slots[self.cells.ids // ROLES] * ROLES + self.cells.ids % ROLES
        chosen = np.flatnonzero(ids >= 0)
        cells = self.cells.take(chosen).renamed(ids[chosen])
        return GroupSketch(tuple(self.signals[slot] for slot in kept), cells, exact_categories(cells, self.categories))

    def slice(self, slot: int, role: SignalRole) -> slice:
        """Return where the buckets of one cell stand in `cells.keys` and `cells.counts`; empty if there are none."""
        wanted = slot * ROLES + role
        at = int(np.searchsorted(self.cells.ids, wanted))
        if at == len(self.cells) or self.cells.ids[at] != wanted:
            return slice(0, 0)
        start = int(self.cells.sizes[:at].sum())
        return slice(start, start + int(self.cells.sizes[at]))

    def counts(self, slot: int, role: SignalRole) -> dict[int, int]:
        """Return bucket key -> count of one cell."""
        part = self.slice(slot, role)
        return dict(zip(self.cells.keys[part].tolist(), self.cells.counts[part].tolist(), strict=True))


def combine(summaries: Iterable[GroupSketch]) -> GroupSketch:
    """Merge summaries whose signals may differ; signals come out sorted by name after EVENTS."""
    parts = list(summaries)
    names = sorted({name for part in parts for name in part.signals if name != EVENTS})
    signals = (EVENTS, *names)
    if len(parts) == 1 and parts[0].signals == signals:
        return parts[0]
    slots = {name: slot for slot, name in enumerate(signals)}
    if len(parts) == 1:
        return GroupSketch(signals, _moved(parts[0], slots), parts[0].categories)
    cells = merge([_moved(part, slots) for part in parts]) if parts else empty()
    categories = {key: name for part in parts for key, name in part.categories.items()}
    return GroupSketch(signals, cells, exact_categories(cells, categories))


def _moved(part: GroupSketch, slots: Mapping[str, int]) -> Cells:
    target = np.array([slots[name] for name in part.signals], dtype=np.int64)
    return part.cells.renamed(target[part.cells.ids // ROLES] * ROLES + part.cells.ids % ROLES)


def category_cells(ids: Ints) -> Ints:
    """Return the positions of the string and boolean cells among these ids."""
    return np.flatnonzero(ids % ROLES >= SignalRole.STRINGS)


def exact_categories(cells: Cells, categories: Mapping[int, str]) -> dict[int, str]:
    """Keep the names of those category keys that some exact cell still holds, in key order."""
    keys = np.empty(len(cells.keys), dtype=np.int64)
    found = take_exact(cells.ids % ROLES >= SignalRole.STRINGS, cells.shifts, cells.sizes, cells.keys, keys)
    return {key: categories[key] for key in sorted(set(keys[:found].tolist())) if key in categories}
