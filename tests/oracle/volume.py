"""How many events a window holds, against the reference's own windows, once more in plain Python."""

import math
from collections.abc import Mapping, Sequence

from tests.oracle import spread
from tests.oracle.evidence import Known

LEAST_WINDOWS = 30
WINDOWS_A_BIN = 8
MOST_BINS = 10
MOST_WINDOWS = 20_000


class Volume:
    """The bins of the number of events in windows of one size; one observation a window."""

    def __init__(self, panes: Mapping[int, int], pane_ms: int, size: int) -> None:
        """`panes` are the events in each pane of the reference that had any, by start."""
        end = max(panes) + pane_ms
        begin = max(min(panes) // size * size, (end // size - MOST_WINDOWS) * size)
        starts = [start for start in range(begin, end, size) if _inside(start, size, panes, end)]
        totals = [sum(n for pane, n in panes.items() if start <= pane < start + size) for start in starts]
        self.enough = len(totals) >= LEAST_WINDOWS and size % pane_ms == 0
        if self.enough:
            self.edges = _edges(totals)
            rows = [self.counts(total) for total in totals]
            seen = [sum(column) for column in zip(*rows, strict=True)]
            weights = [count + (0.5 if count else 1.0) for count in seen]
            scales = spread.scales_of([start // size for start in starts], rows)
            shares = [weight / sum(weights) for weight in weights]
            self.known = Known(shares, len(totals), spread.at(scales, 1))

    def counts(self, events: int) -> list[int]:
        """Return the observation of a window with so many events."""
        place = sum(edge <= events for edge in self.edges)
        return [int(k == place) for k in range(len(self.edges) + 1)]


def _inside(start: int, size: int, panes: Mapping[int, int], end: int) -> bool:
    return min(panes) <= start and start + size <= end


def _edges(totals: Sequence[int]) -> list[int]:
    """Return the least number of each bin but the first: none at all, below the least, the quantiles, above all."""
    bins = min(max(math.floor(len(totals) / WINDOWS_A_BIN), 1), MOST_BINS)
    quantiles = [sorted(totals)[len(totals) * k // bins] for k in range(1, bins)]
    return sorted({edge for edge in (1, min(totals), max(totals) + 1, *quantiles) if edge > 0})
