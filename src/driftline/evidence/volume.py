"""How many events a window holds, against what the reference's own windows held: one observation a window."""

from typing import Final

import numpy as np

from driftline.evidence.dispersion import measure
from driftline.evidence.reference import Reference
from driftline.sketches.keys import Ints

LEAST_WINDOWS: Final = 30
"""Reference windows of the size in question that a judgement needs; with fewer, volume is only shown."""
WINDOWS_PER_BIN: Final = 8
MOST_QUANTILE_BINS: Final = 10


class VolumeBins:
    """Bins of window totals: none at all, below the reference's least, its quantiles, above its greatest.

    `shares`, `sizes` and `dispersion` are what `Evidence` takes, for one signal; a window is the counts of `counts`.
    A quiet window counts too: the caller asks for `counts(0)` where a window of the model's time line had no event.
    """

    def __init__(self, reference: Reference, window_ms: int) -> None:
        indices, totals = window_totals(reference, window_ms)
        self.windows = len(totals)
        """Whole windows of this size in the reference."""
        self.enough = self.windows >= LEAST_WINDOWS
        self._edges = _edges(totals)
        places = np.searchsorted(self._edges, totals, side="right")
        bins = len(self._edges) + 1
        seen = np.bincount(places, minlength=bins).astype(np.float64)
        weights = seen + np.where(seen > 0, 0.5, 1.0)  # the next window is a new extreme with probability 1/(W + 1)
        self.shares = (weights / weights.sum())[None, :]
        self.sizes: Ints = np.array([self.windows], dtype=np.int64)
        self.dispersion = measure(indices, np.eye(bins, dtype=np.int64)[places][:, None, :]).at(1)
        self.usual = float(np.median(totals)) if self.windows else float("nan")
        """The median of the reference's totals, for people."""

    def counts(self, events: int) -> Ints:
        """Return a window's single observation (shape: 1, bins)."""
        out = np.zeros_like(self.shares, dtype=np.int64)
        out[0, np.searchsorted(self._edges, events, side="right")] = 1
        return out


def window_totals(reference: Reference, window_ms: int) -> tuple[Ints, Ints]:
    """Return (index, events) of the windows that lie wholly within the reference's kept panes, quiet ones included.

    A window's index is its start / window_ms; windows start at multiples of their length.
    """
    starts, counts = reference.pane_starts, reference.pane_counts
    first = -(-int(starts[0]) // window_ms)
    end = (int(starts[-1]) + reference.pane_ms) // window_ms
    indices = np.arange(first, max(end, first), dtype=np.int64)
    totals = np.zeros(len(indices), dtype=np.int64)
    at = starts // window_ms - first
    inside = (at >= 0) & (at < len(indices))
    np.add.at(totals, at[inside], counts[inside])
    return indices, totals


def _edges(totals: Ints) -> Ints:
    """Return the least total of each bin but the first, which is for windows without events."""
    if not len(totals):
        return np.ones(1, dtype=np.int64)
    bins = int(np.clip(len(totals) // WINDOWS_PER_BIN, 1, MOST_QUANTILE_BINS))
    inner = np.sort(totals)[len(totals) * np.arange(1, bins) // bins]
    edges = np.concatenate(([1, totals.min(), totals.max() + 1], inner)).astype(np.int64)
    return np.unique(edges[edges > 0])
