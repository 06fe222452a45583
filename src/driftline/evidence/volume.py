"""Volume: how many events a window has, compared with the reference's windows. It is one observation per window.

A window counts if it lies beyond what windows usually hold, even *after* taking back a change too small to matter:
with d = `min_volume_change`, n / (1 + d) must be above an upper limit, or n (1 + d) below a lower one. Limits are the
reference's median, quartile, decile and extreme on each side. For each limit there are alternatives q of how often
windows lie beyond it, above u, the upper confidence bound of how often they do by the reference:

    L = q/u for a window beyond the limit, (1 - q)/(1 - u) for one that is not

is an e-value: its mean grows with the true probability, and is 1 at u, which is Clopper and Pearson's bound (1934,
Biometrika 26, p. 404). If all totals grow or shrink by d or less, then after taking that back they are beyond a limit
no more often than the reference's. E-values add up as usual: R <- (R + 1) L (see `evalues`).

Totals that stay for hours (a night, a weekend) come in runs. So an alternative's L is taken to the power 1/φ, which
keeps it an e-value (Jensen's inequality). φ is such that the reference's own worst run reaches at most NOTABLE.

A single total is enough to report a *steep* change: see `Volume.is_steep`.
"""

from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np

from driftline.evidence.dependence import DEPENDENT, ENOUGH_WINDOWS, surely_correlated
from driftline.evidence.dispersion import STEPS
from driftline.evidence.evalues import FADING, log_mean
from driftline.evidence.seasons import NO_SEASON, Season
from driftline.sketches.keys import Bools, Floats, Ints

MIN_WINDOWS: Final = 30
"""Reference windows of the size in question that a judgement needs; with fewer, volume is not judged."""
MIN_DAYS: Final = 10
"""The same for windows of a day or longer: these know a weekend."""
DAY_MS: Final = 86_400_000
MAX_WINDOWS: Final = 20_000
"""Windows of a reference that are looked at, the newest: one event that is dated 1970 makes it fifty years long."""
LIMITS: Final = (0.5, 0.75, 0.9, 1.0)
"""Parts of the reference's totals that an upper limit is above, and a lower one below."""
OFTEN: Final = 0.95
"""An alternative q: nearly all windows are beyond the limit. The other one is u^(1/2), for windows that often are."""
NOTABLE: Final = 3.0
"""Log e-value that the reference's own worst run of windows may reach."""
STEEP: Final = 3
"""A steep total is at least this many times as far from the median as the reference's farthest one, in logarithms."""
RARE: Final = 250
"""At most one in so many windows may be steep by chance, where totals have tails as heavy as Pareto's."""
MIN_STEEP: Final = 0.4
"""Log of the smallest factor that is steep, 1.5, on top of the change that is too small to matter. So where windows
hold nearly the same, half as many is steep, or twice as many."""


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """The numbers of events in the reference's panes that had any."""

    pane_ms: int
    starts: Ints
    """Ascending, multiples of the pane's length."""
    counts: Ints
    season: Season = NO_SEASON

    @property
    def events(self) -> int:
        """How many in all."""
        return int(self.counts.sum())


class Volume:
    """What windows of one size hold in good times.

    Args:
        totals: of the reference.
        window_ms: the windows' size; they start at multiples of it.
        min_change: d, of the module's head.
        allowance: false incidents allowed a period: all confidence bounds together fail with a tenth of it.
    """

    def __init__(self, totals: Totals, window_ms: int, min_change: float, allowance: float) -> None:
        indices, sums = _surely_whole(*window_totals(totals, window_ms))
        self.windows = len(sums)
        """Whole windows of this size in the reference."""
        self.enough = self.windows >= fewest(window_ms) and window_ms % totals.pane_ms == 0
        self._window_ms, self._season = window_ms, totals.season
        self._slots = _windows_a_season(totals.season, window_ms)
        phases = self._phases(indices)
        self._levels = _levels(phases, sums, self._slots)
        if self._slots:
            sums = _without_season(phases, sums)
        self.independent = _independent(indices, sums)
        """Whether the reference's totals are as independent from one window to the next as the budget needs them."""
        self.median = float(np.median(sums)) if self.windows else 0.0
        self._least, self._most = (float(each) for each in (sums.min(initial=2**62), sums.max(initial=0)))
        self._shrink = 1 + min_change
        self._steepness = steepness(self.windows)
        if self.enough:
            self._prepare(sums, allowance)

    def _prepare(self, sums: Ints, allowance: float) -> None:
        from scipy.special import betaincinv

        ordered = np.sort(sums)
        places = [min(int(part * len(ordered)), len(ordered) - 1) for part in LIMITS]
        self._limits = np.array([[ordered[at] for at in places], [ordered[-1 - at] for at in places]], dtype=np.float64)
        beyond = np.stack([ordered[:, None] > self._limits[0], ordered[:, None] < self._limits[1]]).sum(axis=1)
        tail = min(allowance / (10 * beyond.size), 0.05)
        bound = np.minimum(betaincinv(beyond + 1.0, np.maximum(len(ordered) - beyond, 1e-9), 1 - tail), 1 - 1e-6)
        alternatives = np.stack([np.sqrt(bound), np.maximum(OFTEN, (1 + bound) / 2)])
        self._hit = np.log(alternatives / bound).reshape(len(alternatives), -1)
        self._missed = (np.log1p(-alternatives) - np.log1p(-bound)).reshape(len(alternatives), -1)
        gained = np.concatenate([[np.zeros(self._hit.size)], self._raw(np.tile(sums, 2).astype(np.float64))])
        run = np.cumsum(gained, axis=0)
        worst = (run - np.minimum.accumulate(run, axis=0)).max(axis=0)
        self._powers = 1 / np.maximum(worst / NOTABLE, 1.0)

    def usual(self, start: int) -> float:
        """Return what the reference's window at this phase held, the median where there is no season."""
        return float(self._levels[self._phase(start)]) if self._slots else self.median

    def scaled(self, events: int, start: int) -> float:
        """Return a window's total as it would be without the season."""
        level = float(self._levels[self._phase(start)]) if self._slots else 0.0
        return events * float(self._levels.mean()) / level if level > 0 else float(events)

    def gains(self, events: int, start: int) -> Floats:
        """Return log L of each alternative for the window that starts at `start`."""
        return np.asarray(self._raw(np.array([self.scaled(events, start)]))[0] * self._powers - 1 / FADING)

    def _raw(self, totals: Floats) -> Floats:
        far = self._beyond(totals)
        return np.asarray(np.where(far[:, None, :], self._hit, self._missed).reshape(len(totals), -1))

    def _beyond(self, totals: Floats) -> Bools:
        """Tell for each total which limits it is beyond (shape: totals, limits above and then below)."""
        above = totals[:, None] / self._shrink > self._limits[0]
        return np.concatenate([above, totals[:, None] * self._shrink < self._limits[1]], axis=1)

    def is_usual(self, events: int, start: int) -> bool:
        """Tell whether a total is among those of the reference, give or take a change too small to matter."""
        total = self.scaled(events, start)
        return self._least / self._shrink <= total <= self._most * self._shrink

    def is_steep(self, events: int, start: int) -> bool:
        """Tell whether one window alone is a change: its total is some times as far from the median as the farthest.

        In logarithms, see `steepness`, and at least by a factor of 1.5 (1 + d).
        """
        moved, farthest = _far(self.scaled(events, start), self.median), _far(self._most, self.median)
        if moved < 0:
            farthest = -_far(self._least, self.median)
        return abs(moved) >= max(self._steepness * farthest, MIN_STEEP + float(np.log(self._shrink)))

    def _phase(self, start: int) -> int:
        return int(self._phases(np.array([start // self._window_ms], dtype=np.int64))[0])

    def _phases(self, indices: Ints) -> Ints:
        if not self._slots:
            return np.zeros(len(indices), dtype=np.int64)
        return self._season.local(indices * self._window_ms, self._window_ms) // self._window_ms % self._slots


class VolumeEvidence:
    """Accumulated evidence that windows hold more or fewer events than the reference's, for windows of one size."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.log_r = np.full(4 * len(LIMITS), -np.inf)
        """Log R of each alternative."""

    @property
    def log_m(self) -> float:
        """Log of the mean of R over alternatives."""
        return log_mean(self.log_r)

    def update(self, events: int, start: int) -> float:
        """Take a window. Returns its own log e-value, the mean over alternatives."""
        gained = self.volume.gains(events, start)
        self.log_r = np.logaddexp(self.log_r, 0.0) + gained
        return log_mean(gained) + 1 / FADING

    def reset(self) -> None:
        """Begin anew."""
        self.log_r[:] = -np.inf

    def restore(self, log_r: Floats) -> None:
        """Take up what was stored of it. Raises `ValueError` if it is of other alternatives."""
        self.log_r = log_r.astype(np.float64).reshape(self.log_r.shape)


def fewest(window_ms: int) -> int:
    """Return how many windows of this size a reference needs.

    >>> fewest(3_600_000), fewest(DAY_MS)
    (30, 10)
    """
    return MIN_DAYS if window_ms >= DAY_MS else MIN_WINDOWS


def steepness(windows: int) -> int:
    """Return how many times as far as the farthest of so many windows a total must be to be steep.

    Half of them, m, are on its side of the median. Where the probability of a distance falls as e^-x, or faster, a new
    one is k times as far as the farthest of m with probability 1/C(m + k, k) at most (the mean of e^-kx over the
    farthest of m). So of few windows, the farthest says less, and k is larger.

    >>> [steepness(windows) for windows in (10, 20, 28, 30, 1_000)]
    [5, 3, 3, 3, 3]
    """
    side, times = max(windows // 2, 1), STEEP
    while comb(side + times, times) < RARE:
        times += 1
    return times


def _far(total: float, median: float) -> float:
    """Return the logarithm of a total over the median; half an event more of both, for there may be none."""
    return float(np.log((total + 0.5) / (median + 0.5)))


def _windows_a_season(season: Season, window_ms: int) -> int:
    """Return how many windows a season holds; 0 where there is none, or it is no multiple of the window."""
    return season.length // window_ms if season.length and season.length % window_ms == 0 else 0


def _levels(phases: Ints, totals: Ints, slots: int) -> Floats:
    """Return the mean total of each phase of the season (shape: slots, or 0); the overall mean where it has none."""
    sums = np.bincount(phases, weights=totals, minlength=slots)[:slots]
    seen = np.bincount(phases, minlength=slots)[:slots]
    overall = float(totals.mean()) if len(totals) else 0.0
    return np.asarray(np.divide(sums, seen, out=np.full(slots, overall), where=seen > 0))


def _without_season(phases: Ints, totals: Ints) -> Ints:
    """Return each total in proportion to those of the same phase in the other seasons, times the overall mean.

    It is left out of what it is compared with: a window to come has no part in it either.
    """
    sums = np.bincount(phases, weights=totals)[phases]
    seen = np.bincount(phases)[phases]
    others = np.divide(sums - totals, seen - 1, out=np.zeros(len(totals)), where=seen > 1)
    scaled = np.divide(totals * totals.mean(), others, out=totals.astype(np.float64), where=others > 0)
    return np.where(totals > 0, np.maximum(np.rint(scaled), 1), 0).astype(np.int64)


def _independent(indices: Ints, totals: Ints) -> bool:
    if len(totals) < ENOUGH_WINDOWS:
        return False
    sure = surely_correlated((totals - totals.mean())[:, None], indices, 1)
    return bool(sure[0] <= DEPENDENT * STEPS)


def _surely_whole(indices: Ints, totals: Ints) -> tuple[Ints, Ints]:
    """Leave out the first and the last window if they hold less than all others: their panes may be cut off."""
    if len(totals) > 1 and totals[0] < totals[1:].min():
        indices, totals = indices[1:], totals[1:]
    if len(totals) > 1 and totals[-1] < totals[:-1].min():
        indices, totals = indices[:-1], totals[:-1]
    return indices, totals


def window_totals(totals: Totals, window_ms: int) -> tuple[Ints, Ints]:
    """Return (index, events) of the windows that lie wholly within the reference's kept panes, quiet ones included.

    Of more than MAX_WINDOWS these are the newest.

    A window's index is its start / window_ms; windows start at multiples of their length.
    """
    starts, counts = totals.starts, totals.counts
    first = -(-int(starts[0]) // window_ms)
    end = (int(starts[-1]) + totals.pane_ms) // window_ms
    first = max(first, end - MAX_WINDOWS)
    indices = np.arange(first, max(end, first), dtype=np.int64)
    sums = np.zeros(len(indices), dtype=np.int64)
    at = starts // window_ms - first
    inside = (at >= 0) & (at < len(indices))
    np.add.at(sums, at[inside], counts[inside])
    return indices, sums
