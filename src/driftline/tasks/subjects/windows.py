"""The windows of a version or a segment that are open: sums of what its slices brought, exact in any order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from driftline.codec import corrupt
from driftline.evidence.news import News
from driftline.panes.windows import window_starts
from driftline.sketches.keys import Ints

Key: TypeAlias = tuple[int, int, int]
"""When a window ends, which of the sizes it has, and when it starts: in the order in which windows are judged."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A window that has ended, and what was counted in it."""

    start: int
    size: int
    vector: Ints
    news: News


class OpenWindows:
    """See the module's head.

    Args:
        spans: (size, every) of each sort of window.
    """

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self._spans = spans
        self._vectors: dict[Key, Ints] = {}
        self._news: dict[Key, News] = {}

    def fill(self, start: int, end: int, vector: Ints, news: News, mark: int | None = None) -> bool:
        """Add a vector and its news to their windows, but for those that were judged. Returns False if one was."""
        whole = True
        for index, (size, every) in enumerate(self._spans):
            for window in window_starts(start, end, size, every):
                if mark is not None and window + size <= mark:
                    whole = False
                    continue
                key = (window + size, index, window)
                held = self._vectors.get(key)
                self._vectors[key] = vector if held is None else held + vector
                if news:
                    self._news[key] = self._news.get(key, News()).add(news)
        return whole

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return min(self._vectors)[0] if self._vectors else None

    def ended(self, time: int) -> list[Filled]:
        """Take out the windows that end now, in order."""
        return [
            Filled(key[2], self._spans[key[1]][0], self._vectors.pop(key), self._news.pop(key, News()))
            for key in sorted(key for key in self._vectors if key[0] <= time)
        ]

    def snapshot(self) -> tuple[list[tuple[Key, News | None]], dict[str, Ints]]:
        """Return (plain values, arrays)."""
        vectors = {f"window/{number}": vector for number, vector in enumerate(self._vectors.values())}
        return [(key, self._news.get(key)) for key in self._vectors], vectors

    def restore(self, stored: Sequence[tuple[Key, News | None]], arrays: Mapping[str, Any], width: int) -> None:
        """Take up a snapshot; windows that the rules of today do not make are let go. Raises `StateCorrupt`."""
        for number, (key, news) in enumerate(stored):
            vector: Ints = arrays[f"window/{number}"]
            if vector.dtype != np.int64 or len(vector) != width:
                raise corrupt("subject", "a window does not fit its reference")
            if self._is_asked_for(key):
                self._vectors[key] = vector
                if news is not None:
                    self._news[key] = news

    def _is_asked_for(self, window: Key) -> bool:
        end, index, start = window
        if index >= len(self._spans):
            return False
        size, every = self._spans[index]
        return end - start == size and start % every == 0
