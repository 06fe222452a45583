"""What a reference is learned from, once more in plain Python: slices of the stream, of which 256 are kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.oracle.reference import Reference
from tests.oracle.tally import Tally, together

MAX_SLICES = 256


@dataclass
class Learner:
    """Slices of one subject, by start."""

    pane: int
    sizes: Sequence[int]
    """Of the windows."""
    slices: dict[int, Tally] = field(default_factory=dict)
    length: int = 0

    def take(self, start: int, tally: Tally) -> None:
        """Take a slice. Where there are too many, longer ones are made of them."""
        self.length = self.length or self.pane
        self._add(start, tally)
        while len(self.slices) > MAX_SLICES:
            self.length = longer(self.length, self.sizes)
            finer, self.slices = self.slices, {}
            for begin, held in finer.items():
                self._add(begin, held)

    def is_enough(self, end: int, span: int, events: int) -> bool:
        """Tell whether so long a span and so many events have come by now."""
        return end - min(self.slices) >= span and sum(held.events for held in self.slices.values()) >= events

    def finish(self) -> Reference:
        """Return a reference of the slices, and forget them."""
        reference = Reference(self.slices, self.length)
        self.slices, self.length = {}, 0
        return reference

    def _add(self, start: int, tally: Tally) -> None:
        place = start - start % self.length
        self.slices[place] = together([self.slices[place], tally]) if place in self.slices else tally


def longer(length: int, sizes: Sequence[int]) -> int:
    """Return the least multiple of a length that divides all windows, or else the longest ones; at last the double."""
    for shortest in sorted(set(sizes)):
        kept = [size for size in sizes if size >= shortest]
        for multiple in range(2 * length, shortest + 1, length):
            if all(size % multiple == 0 for size in kept):
                return multiple
    return 2 * length
