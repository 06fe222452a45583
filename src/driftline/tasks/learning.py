"""A reference learned from the first span of a stream, slice by slice."""

import math
from collections.abc import Sequence

from driftline.evidence.reference import Reference, build_reference
from driftline.evidence.seasons import LEAST_SEASONS
from driftline.incidents.incident import Subject
from driftline.sketches.summary import Summary, combine
from driftline.tasks.rules import ModelRules

LEARNING_SLICES = 256
"""Slices kept while learning. When there are more, neighbours are merged into longer ones."""
SEASONAL_SLICES = 672
"""For a seasonal reference, which must tell the hours of up to four weeks apart."""


class Learner:
    """Collects a subject's slices until the span and the number of events of its rule are reached."""

    def __init__(self, rules: ModelRules) -> None:
        self.slices: dict[int, Summary] = {}
        self.slice_ms = self._pane_ms = rules.pane_ms
        self.rule = rules.learn
        self.changed: set[int] = set()
        """Starts of slices that were added, grew, or are gone since the caller last cleared it."""
        self._season_ms = rules.season_ms
        self._sizes = [size for size, _ in rules.windows]

    @property
    def events(self) -> int:
        """Events collected so far."""
        return sum(held.events for held in self.slices.values())

    def take(self, start: int, end: int, summary: Summary) -> bool:
        """Take in a slice. Returns whether there is enough to learn from."""
        self._add(start - start % self.slice_ms, summary)
        while len(self.slices) > (SEASONAL_SLICES if self._season_ms else LEARNING_SLICES):
            self.slice_ms = longer_slice(self.slice_ms, self._sizes)
            finer, self.slices = self.slices, {}
            self.changed.update(finer)
            for begin, held in finer.items():
                self._add(begin - begin % self.slice_ms, held)
        span = max(self.rule.span_ms, LEAST_SEASONS * self._season_ms)
        return end - min(self.slices) >= span and self.events >= self.rule.events

    def supplement(self, start: int, summary: Summary) -> None:
        """Take in what came for a slice that was taken before, if it is one of those that are collected."""
        if start >= min(self.slices, default=start):
            self._add(start - start % self.slice_ms, summary)

    def _add(self, start: int, summary: Summary) -> None:
        held = self.slices.get(start)
        self.slices[start] = summary if held is None else combine([held, summary])
        self.changed.add(start)

    def finish(self, subject: Subject) -> Reference:
        """Return the reference, and let go of what it was learned from."""
        reference = build_reference(
            sorted(self.slices.items()),
            model=subject.model,
            version=subject.version,
            segment=subject.segment,
            pane_ms=self.slice_ms,
            learned=True,
            season_ms=self._season_ms,
        )
        self.forget()
        return reference

    def forget(self) -> None:
        """Let go of the slices collected so far."""
        self.changed.update(self.slices)
        self.slices, self.slice_ms = {}, self._pane_ms


def longer_slice(length: int, sizes: Sequence[int]) -> int:
    """Return the next longer slice that still divides every window, or else the longest windows; at last twice as long.

    >>> minute = 60
    >>> longer_slice(minute, [10 * minute, 60 * minute]), longer_slice(10 * minute, [10 * minute, 60 * minute])
    (120, 1200)
    """
    left = sorted(set(sizes))
    while left:
        common = math.gcd(*left)
        if common > length and common % length == 0:
            steps = common // length
            return length * next(step for step in range(2, steps + 1) if steps % step == 0)
        left.pop(0)
    return 2 * length
