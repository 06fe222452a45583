"""The score of a pane: a signal's mean in it as a standard normal number, whatever the signal's values look like.

A pane's mean of n values x of a skewed or rare signal is far from normal. The mean of ten lognormal values exceeds four
standard errors forty times as often as a normal number exceeds four deviations, and a detector made for normal numbers
would be wrong that much more often. So the mean goes through its own distribution function. With K the cumulant
generating function of one value of the reference, mean x̄ = K'(t), and

    w = sign(t) sqrt(2n (t x̄ - K(t))),   u = t sqrt(n K''(t)),   r* = w + ln(u/w) / w,

r* is standard normal up to a relative error of order n^(-3/2), in the far tails too (Lugannani and Rice 1980,
Barndorff-Nielsen 1986). Since w and u grow with sqrt(n), r* = sqrt(n) a(x̄) + b(x̄) / sqrt(n), with two functions a and
b that depend only on the signal. They are tabulated when a reference is adopted, and serve panes of every size.

Sums of discrete values have atoms. The formula then gives the middle of each atom's jump (Pierce and Peters 1992), so
scores vary less than normal ones, never more. Only for the outermost atoms, where all values of a pane are the smallest
or the largest possible, the exact probability p^n is used, and the middle of that jump.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy

from driftline.evidence.projection import Projection
from driftline.sketches.group import SignalRole
from driftline.sketches.keys import Floats, Ints

MIN_EVENTS: Final = 10
"""A pane with fewer values of a signal has no score, because its mean says too little."""
CLIP: Final = 4.0
"""Standard deviations: one outlier must not look like a change of the mean."""
SCORE_GRID: Final = 2.0**20
"""Weights, tables and scores are rounded to this grid, so that processors whose last bits differ agree on them."""
STEEPEST: Final = 120.0
"""The table goes to tilts under which the value furthest from the mean weighs e^120 times as much, or as little."""
FINEST: Final = 0.4
"""It is evenly spaced where that is less than e^.4, and by equal ratios beyond."""
POINTS: Final = 65
"""With twice as many points, no tail probability up to four deviations changes by more than 3%."""
MIN_VARIANCE: Final = 1e-9
"""The table ends at a tilt that leaves less of the variance than this."""
_LN_2: Final = float(np.log(2.0))


class Scores:
    """Standard normal scores of panes, while the reference holds.

    A number stands for the standardised mean of its bin, clipped to ±4; a category for its surprise -ln p_b,
    standardised likewise. Dispersion φ is the factor by which a pane's mean varies more than one of independent values.

    Args:
        projection: the reference's.
        dispersion: φ (shape: signals).
    """

    def __init__(self, projection: Projection, dispersion: Floats) -> None:
        self.reference_totals: list[int] = projection.totals(projection.reference).tolist()
        """How many values of each signal they are compared with."""
        self._projection = projection
        counts = projection.fine(projection.reference)
        self._weights = np.zeros(len(counts))
        self._slots = np.array(list(projection.bins), dtype=np.int64)
        curves: dict[int, _Curve] = {}
        for slot, bins in projection.bins.items():
            part = slice(int(projection.fine_bounds[slot]), int(projection.fine_bounds[slot + 1]))
            raw = projection.representatives[part]
            if bins.role is not SignalRole.NUMBERS:
                raw = -np.log((counts[part] + 0.5) / (counts[part] + 0.5).sum())
            weights = _standardised(np.clip(_standardised(raw, counts[part]), -CLIP, CLIP), counts[part])
            self._weights[part] = _rounded(weights)
            if weights.any():
                curves[slot] = _curve(self._weights[part], counts[part])
        self._varied = np.array([slot in curves for slot in self._slots.tolist()], dtype=np.bool_)
        self._scale = np.sqrt(dispersion[self._slots[self._varied]])
        self._curves = _Curves(list(curves.values()))

    def of(self, vector: Ints) -> Floats:
        """Return the score of each signal in a pane's vector (shape: signals); NaN where it had too few values.

        One whose values never vary in the reference has the score 0.
        """
        scores = np.full(len(self._projection.signals), np.nan)
        totals = self._projection.totals(vector)[self._slots]
        if totals.max(initial=0) >= MIN_EVENTS:
            weighted = self._projection.fine(vector) * self._weights
            sums = np.add.reduceat(weighted, self._projection.fine_bounds[self._slots])
            found = np.zeros(len(sums))
            n = np.maximum(totals[self._varied], MIN_EVENTS)
            found[self._varied] = _rounded(self._curves.normal(sums[self._varied] / n, n) / self._scale)
            enough = totals >= MIN_EVENTS
            scores[self._slots[enough]] = found[enough]
        return scores


class _Curve(NamedTuple):
    """The way from the mean of n values of one signal to r*."""

    means: Floats
    """Ascending, from the least value to the greatest."""
    slope: Floats
    """a(x̄) / x̄ at these."""
    bend: Floats
    """b(x̄) at these."""
    margins: Floats
    """How close to the least and the greatest value b holds, times n: closer to them it goes to infinity."""
    log_ends: Floats
    """Logarithm of the shares of the least and of the greatest value."""


def _curve(weights: Floats, counts: Ints) -> _Curve:
    """Lay down a and b of values `weights`, of mean 0 and variance 1, that occur `counts` times."""
    shares, values = counts[counts > 0] / counts.sum(), weights[counts > 0]
    middle = POINTS // 2
    tilts = FINEST * np.sinh(np.arange(-middle, middle + 1) / middle * np.arcsinh(STEEPEST / FINEST))
    tilts /= np.abs(values).max()
    powers = tilts[:, None] * values
    highest = powers.max(axis=1)
    tilted = np.exp(powers - highest[:, None]) * shares
    total = tilted.sum(axis=1)
    means = tilted @ values / total
    variances = (tilted * (values - means[:, None]) ** 2).sum(axis=1) / total
    known = variances > MIN_VARIANCE
    a = np.sign(tilts) * np.sqrt(np.maximum(2 * (tilts * means - np.log(total) - highest), 0.0))
    ratios = tilts * np.sqrt(np.maximum(variances, MIN_VARIANCE))
    slope, bend = np.ones(POINTS), np.full(POINTS, values**3 @ shares / 6)  # as they are in the middle
    off = tilts != 0
    slope[off], bend[off] = a[off] / means[off], np.log(ratios[off] / a[off]) / a[off]
    ends = np.array([values.min(), values.max()])
    rising = _rising(np.sqrt(MIN_EVENTS) * a + bend / np.sqrt(MIN_EVENTS), middle)
    log_ends = np.log([shares[values == end].sum() for end in ends])
    end_slopes = np.sqrt(-2 * log_ends) / np.abs(ends)
    return _Curve(
        np.concatenate((ends[:1], means[known], ends[1:])),
        _rounded(np.concatenate((end_slopes[:1], slope[known], end_slopes[1:]))),
        _rounded(np.pad(bend[known], 1, mode="edge")),
        _rounded(np.abs(means[rising] - ends) * MIN_EVENTS),
        _rounded(log_ends),
    )


def _rising(scores: Floats, middle: int) -> list[int]:
    """Return from where to where these rise, on either side of the middle."""
    stops = np.flatnonzero(np.diff(_rounded(scores)) <= 0)
    return [
        int(stops[stops < middle].max(initial=-1)) + 1,
        int(stops[stops >= middle].min(initial=len(scores) - 1)),
    ]


class _Curves:
    """The curves of all signals, looked up at once: they lie one after another on one axis, three units apart."""

    def __init__(self, curves: list[_Curve]) -> None:
        self._ends = np.array([curve.means[[0, -1]] for curve in curves]).reshape(-1, 2).T
        self._margins = np.array([curve.margins for curve in curves]).reshape(-1, 2).T
        self._log_ends = np.array([curve.log_ends for curve in curves]).reshape(-1, 2).T
        self._reach = np.abs(self._ends).max(axis=0, initial=0.0)
        self._starts = 3.0 * np.arange(len(curves))
        none = np.zeros(0)
        places = [s + curve.means / r for s, r, curve in zip(self._starts, self._reach, curves, strict=True)]
        self._places = _rounded(np.concatenate([none, *places]))
        self._slopes = np.concatenate([none, *(curve.slope for curve in curves)])
        self._bends = np.concatenate([none, *(curve.bend for curve in curves)])

    def normal(self, means: Floats, n: Ints) -> Floats:
        """Return r* of the mean of n values of each signal; it rises with the mean."""
        if not len(means):
            return means
        (least, greatest), (above, below) = self._ends, self._margins / n
        root = np.sqrt(n)
        scores = root * means * np.interp(self._place(means), self._places, self._slopes)
        held = np.clip(means, least + above, greatest - below)
        scores += np.interp(self._place(held), self._places, self._bends) / root
        low, high = scipy.special.ndtri_exp(n * self._log_ends - _LN_2) * [[1.0], [-1.0]]
        inside = np.clip(scores, low, high)
        scores = np.where(
            means < least, np.minimum(scores, low), np.where(means > greatest, np.maximum(scores, high), inside)
        )
        return np.asarray(np.where(means == least, low, np.where(means == greatest, high, scores)))

    def _place(self, means: Floats) -> Floats:
        return np.asarray(self._starts + np.clip(means / self._reach, -1.0, 1.0))


def _standardised(values: Floats, counts: Ints) -> Floats:
    """Return the values with mean 0 and variance 1 over the reference's counts; zeros if they do not vary."""
    total = max(int(counts.sum()), 1)
    mean = (values * counts).sum() / total
    deviation = np.sqrt((((values - mean) ** 2) * counts).sum() / total)
    return np.asarray((values - mean) / deviation if deviation > 0 else np.zeros_like(values))


def _rounded(values: Floats) -> Floats:
    return np.asarray(np.rint(values * SCORE_GRID) / SCORE_GRID)
