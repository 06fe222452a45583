"""What a model's number of events is learned from: totals of slices, few enough to keep whatever the span."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from driftline.codec import corrupt
from driftline.evidence.seasons import MIN_SEASONS, Season
from driftline.evidence.volume import Totals
from driftline.sketches.keys import Ints
from driftline.tasks.model_rules import LearnRule
from driftline.tasks.subjects.reference_learning import longer_slice

MAX_SLICES = 4_096
"""Slices kept while learning. When there are more, neighbours are merged into longer ones."""


class VolumeLearner:
    """See the module's head.

    Args:
        slice_ms: length of the slices.
        sizes: of the windows, which slices divide.
    """

    def __init__(self, slice_ms: int, sizes: Sequence[int]) -> None:
        self.slice_ms = slice_ms
        self._sizes = sizes
        self._events: dict[int, int] = {}

    def note(self, start: int, events: int) -> None:
        """Count a slice of good times."""
        place = start - start % self.slice_ms
        self._events[place] = self._events.get(place, 0) + events
        while len(self._events) > MAX_SLICES:
            self.slice_ms = longer_slice(self.slice_ms, self._sizes)
            finer, self._events = self._events, {}
            for begin, held in finer.items():
                place = begin - begin % self.slice_ms
                self._events[place] = self._events.get(place, 0) + held

    def supplement(self, start: int, events: int) -> None:
        """Count what came later, unless it is of before the learning began."""
        if start >= min(self._events, default=start):
            self.note(start, events)

    def has_enough(self, rule: LearnRule, season: Season, end: int, least_ms: int) -> bool:
        """Tell whether a rule is fulfilled by the end of a slice, and at least so much time has gone by."""
        span = max(rule.span_ms, MIN_SEASONS * season.length, least_ms)
        return end - min(self._events) >= span and sum(self._events.values()) >= rule.events

    def totals(self, season: Season) -> Totals:
        """Return what was learned."""
        arrays = self.snapshot()
        return Totals(self.slice_ms, arrays["starts"], arrays["counts"], season)

    def snapshot(self) -> dict[str, Ints]:
        """Return arrays."""
        starts = sorted(self._events)
        counts = [self._events[start] for start in starts]
        return {"starts": np.array(starts, dtype=np.int64), "counts": np.array(counts, dtype=np.int64)}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Take up a snapshot. Raises `StateCorrupt`, or what a wrong value causes."""
        check_series(arrays)
        self._events = dict(zip(arrays["starts"].tolist(), arrays["counts"].tolist(), strict=True))


def check_series(arrays: Mapping[str, Any]) -> None:
    """Raise `StateCorrupt` for totals that no slices give."""
    starts, counts = arrays["starts"], arrays["counts"]
    if len(starts) != len(counts) or (np.diff(starts) <= 0).any() or (counts < 0).any():
        raise corrupt("volume", "its panes are repeated or out of order")
