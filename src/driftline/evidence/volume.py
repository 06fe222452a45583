"""How many events a window holds, against what the reference's own windows held: one observation a window."""

from typing import Final

import numpy as np

from driftline.evidence.dependence import DEPENDENT, ENOUGH_WINDOWS, surely_correlated
from driftline.evidence.dispersion import STEPS, measure
from driftline.evidence.reference import Reference
from driftline.sketches.keys import Floats, Ints

LEAST_WINDOWS: Final = 30
"""Reference windows of the size in question that a judgement needs; with fewer, volume is only shown."""
MOST_WINDOWS: Final = 20_000
"""Windows of a reference that are looked at, the newest: one event that is dated 1970 makes it fifty years long."""
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
        self._window_ms = window_ms
        self._season = _windows_a_season(reference, window_ms)
        self._levels = _levels(indices, totals, self._season)
        if self._season:
            totals = _without_season(indices, totals, self._season)
        self._edges = _edges(totals)
        places = np.searchsorted(self._edges, totals, side="right")
        bins = len(self._edges) + 1
        seen = np.bincount(places, minlength=bins).astype(np.float64)
        weights = seen + np.where(seen > 0, 0.5, 1.0)  # the next window is a new extreme with probability 1/(W + 1)
        self.shares = (weights / weights.sum())[None, :]
        self.sizes: Ints = np.array([self.windows], dtype=np.int64)
        self.dispersion = measure(indices, np.eye(bins, dtype=np.int64)[places][:, None, :]).at(1)
        self.independent = _independent(indices, totals)
        """Whether the reference's totals are as independent from one window to the next as the budget needs them."""
        self._usual = float(np.median(totals)) if self.windows else float("nan")

    def usual(self, start: int) -> float:
        """Return what the reference's window at this phase held, the median where there is no season; for people."""
        return float(self._levels[self._phase(start)]) if self._season else self._usual

    def counts(self, events: int, start: int) -> Ints:
        """Return the single observation of the window that starts at `start` (shape: 1, bins)."""
        if self._season and events:
            level = self._levels[self._phase(start)]
            events = max(1, round(events * self._levels.mean() / level)) if level > 0 else events
        out = np.zeros_like(self.shares, dtype=np.int64)
        out[0, np.searchsorted(self._edges, events, side="right")] = 1
        return out

    def _phase(self, start: int) -> int:
        return start // self._window_ms % self._season


def _windows_a_season(reference: Reference, window_ms: int) -> int:
    """Return how many windows a season holds; 0 where there is none, or it is no multiple of the window."""
    return reference.season_ms // window_ms if reference.season_ms and reference.season_ms % window_ms == 0 else 0


def _levels(indices: Ints, totals: Ints, season: int) -> Floats:
    """Return the mean total of each phase of the season (shape: season, or 0); the overall mean where it has none."""
    sums = np.bincount(indices % max(season, 1), weights=totals, minlength=season)[:season]
    seen = np.bincount(indices % max(season, 1), minlength=season)[:season]
    overall = float(totals.mean()) if len(totals) else 0.0
    return np.asarray(np.divide(sums, seen, out=np.full(season, overall), where=seen > 0))


def _without_season(indices: Ints, totals: Ints, season: int) -> Ints:
    """Return each total in proportion to those of the same phase in the other seasons, times the overall mean.

    It is left out of what it is compared with: a window to come has no part in it either.
    """
    phase = indices % season
    sums = np.bincount(phase, weights=totals, minlength=season)[phase]
    seen = np.bincount(phase, minlength=season)[phase]
    others = np.divide(sums - totals, seen - 1, out=np.zeros(len(totals)), where=seen > 1)
    scaled = np.divide(totals * totals.mean(), others, out=totals.astype(np.float64), where=others > 0)
    return np.where(totals > 0, np.maximum(np.rint(scaled), 1), 0).astype(np.int64)


def _independent(indices: Ints, totals: Ints) -> bool:
    if len(totals) < ENOUGH_WINDOWS:
        return False
    sure = surely_correlated((totals - totals.mean())[:, None], indices, 1)
    return bool(sure[0] <= DEPENDENT * STEPS)


def window_totals(reference: Reference, window_ms: int) -> tuple[Ints, Ints]:
    """Return (index, events) of the windows that lie wholly within the reference's kept panes, quiet ones included.

    Of more than MOST_WINDOWS these are the newest.

    A window's index is its start / window_ms; windows start at multiples of their length.
    """
    starts, counts = reference.pane_starts, reference.pane_counts
    first = -(-int(starts[0]) // window_ms)
    end = (int(starts[-1]) + reference.pane_ms) // window_ms
    first = max(first, end - MOST_WINDOWS)
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
