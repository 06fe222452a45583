"""What was counted of a subject over some time, put together from panes: a sketch for each signal and role."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.oracle.summarise import MAX_BUCKETS, ROLES, Cell, Content

ODDITY = ROLES["oddity"]
EVENTS = "events"
Sketch = tuple[int, Counter[int]]
"""How many low bits of the keys were cleared, and how many values each bucket holds."""


@dataclass(frozen=True)
class Tally:
    """By signal and role what was counted. Signals of which nothing was counted may be named, too."""

    signals: set[str] = field(default_factory=set)
    cells: dict[Cell, Sketch] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many events there were."""
        return self.cells[EVENTS, ODDITY][1][0] if (EVENTS, ODDITY) in self.cells else 0

    def of(self, signal: str, role: int) -> Sketch:
        """Return one sketch; an empty one if nothing was counted."""
        return self.cells.get((signal, role), (0, Counter()))


def tally_of(record: Content, rank: int) -> Tally:
    """Return what a record says of one of its groups."""
    cells = {
        (record.signals[slot], role): (shift, Counter({key: count for key, count, _ in buckets}))
        for group, slot, role, shift, buckets in record.cells
        if group == rank
    }
    return Tally(set(record.signals), cells)


def together(tallies: Iterable[Tally]) -> Tally:
    """Return all that any of them counted: at the greatest of their shifts, or one at which 256 buckets are enough."""
    parts = list(tallies)
    found = Tally({signal for part in parts for signal in part.signals})
    for cell in {cell for part in parts for cell in part.cells}:
        sketches = [part.cells[cell] for part in parts if cell in part.cells]
        shift = max(shift for shift, _ in sketches)
        while len({key >> shift for _, counts in sketches for key in counts}) > MAX_BUCKETS:
            shift += 1
        total: Counter[int] = Counter()
        for _, counts in sketches:
            for key, count in counts.items():
                total[key >> shift << shift] += count
        found.cells[cell] = shift, total
    return found
