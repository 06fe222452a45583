"""Rare values: a share that rises by half, or falls by a third, is a change, however small a part of all values it is.

χ² measures how much of all values has moved. Fraud that goes from 0.2% to 0.6% has a χ² of .008, which is below any
useful `min_effect`. So a rare bin has bounds of its own, u above and l below its share p, and "no change" means within
the ball *and* within these bounds:

    u = max(r p, the upper confidence bound of p, min_effect / 100)    r = 1 + sqrt(12.5 min_effect), 1.5 by default
    l = min(p / r, the lower confidence bound of p)

An alternative about one bin is a share q beyond its bound. With n of N events in the bin,

    L = (q/u)^n ((1 - q)/(1 - u))^(N - n)

is an e-value. For one event from p' its mean p' q/u + (1 - p') (1 - q)/(1 - u) is linear in p', is 1 at p' = u, and
grows with p' if q > u. So it is at most 1 for every p' <= u, whatever the other bins do. The same holds for p' >= l if
q < l.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.sketches.keys import Bools, Floats, Ints

RARE: Final = 0.1
"""Bins with a share up to this have bounds. More frequent ones leave the ball before they change by a half."""
RISES: Final = (1.5, 3.0)
FALLS: Final = (1 / 3,)
"""Alternatives for a bin's share, as multiples of its bound."""
WEIGHT: Final = 0.2
"""Weight of all alternatives about rare bins in a signal's evidence, if it has any."""
MIN_PART: Final = 0.01
"""A share that stays below this times `min_effect` is too small to matter."""
MAX_TAIL: Final = 0.05
MIN_BOUND: Final = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class RareBins:
    """Bins whose own rise, or fall, counts as a change (shapes: signals, K)."""

    rising: Bools
    falling: Bools

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> "RareBins":
        """Return no rare bins, for shares of this shape."""
        return cls(np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_))

    @classmethod
    def of(cls, shares: Floats, *, may_rise: Bools | None = None, may_fall: Bools | None = None) -> "RareBins":
        """Return the rare bins among shares (shape: signals, K), limited to those that may rise or fall."""
        rare = (shares > 0) & (shares <= RARE)
        return cls(rare if may_rise is None else rare & may_rise, rare if may_fall is None else rare & may_fall)

    def take(self, rows: Ints) -> "RareBins":
        """Return the rare bins of some signals."""
        return RareBins(self.rising[rows], self.falling[rows])


def relative_change(min_effect: float) -> float:
    """Return r: by what factor a rare share may grow, or shrink, and still count as unchanged.

    >>> relative_change(0.02)
    1.5
    """
    return 1 + math.sqrt(12.5 * min_effect)


class Rare:
    """Alternatives about rare bins, each about one bin, and the R of each.

    Confidence bounds are those of Clopper and Pearson (1934, Biometrika 26, p. 404).

    Args:
        bins: the rare bins.
        shares, sizes: p and m (shapes: signals, K and signals).
        dispersion: φ of each signal.
        tail: the probability that any of a signal's confidence bounds is wrong.
        min_effect: as in the configuration.
    """

    def __init__(
        self, bins: RareBins, shares: Floats, sizes: Ints, dispersion: Floats, tail: float, min_effect: float
    ) -> None:
        from scipy.special import betaincinv

        up, down = np.nonzero(bins.rising), np.nonzero(bins.falling)
        bounds = np.bincount(np.concatenate((up[0], down[0])), minlength=len(shares))
        each = np.minimum(tail / np.maximum(bounds, 1), MAX_TAIL)
        m = np.maximum(sizes / dispersion, 1e-9)
        ratio = relative_change(min_effect)
        p, known = shares[up], m[up[0]]
        confident = betaincinv(p * known + 1, np.maximum(known * (1 - p), 1e-9), 1 - each[up[0]])
        upper = np.minimum(np.maximum(np.maximum(ratio * p, confident), MIN_PART * min_effect), 1 - 1e-9)
        p, known = shares[down], m[down[0]]
        confident = betaincinv(np.maximum(p * known - 0.5, 1e-9), known * (1 - p) + 1, each[down[0]])
        lower = np.minimum(p / ratio, confident)
        self.bounds = upper, lower
        """u and l of the rare bins, signal by signal."""
        self._signal = np.concatenate([*(up[0] for _ in RISES), *(down[0] for _ in FALLS)])
        self._bin = np.concatenate([*(up[1] for _ in RISES), *(down[1] for _ in FALLS)])
        bound = np.concatenate([*(upper for _ in RISES), *(lower for _ in FALLS)])
        alternative = np.concatenate([*(np.minimum(times * upper, (1 + upper) / 2) for times in RISES),
                                *(times * lower for times in FALLS)])  # fmt: skip
        times = np.repeat((*RISES, *FALLS), [len(upper)] * len(RISES) + [len(lower)] * len(FALLS))
        self._hit = np.log(
            np.minimum(times, alternative / np.maximum(bound, MIN_BOUND)), where=times > 1, out=np.log(times)
        )
        self._missed = np.log1p(-alternative) - np.log1p(-bound)
        self._likeness = alternative / np.maximum(shares[self._signal, self._bin], 1e-300)
        self._alternatives = np.bincount(self._signal, minlength=len(shares))
        some = self._alternatives > 0
        self._own = np.where(some, math.log(WEIGHT), -np.inf)
        self._others = np.where(some, math.log(1 - WEIGHT), 0.0)
        self.log_r = np.full(len(self._signal), -np.inf)
        """Log R of each alternative; signal by signal within an alternative of all."""

    def gains(self, counts: Floats) -> Floats:
        """Return log L of each alternative for a window's counts (shape: signals, K)."""
        n = counts[self._signal, self._bin]
        return np.asarray(n * self._hit + (counts.sum(axis=1)[self._signal] - n) * self._missed)

    def joined(self, of_others: Floats, logs: Floats) -> Floats:
        """Return the log of each signal's weighted mean: of the other alternatives' mean, and of these alternatives."""
        if not len(logs):
            return of_others
        best = np.full(len(of_others), -1e300)
        np.maximum.at(best, self._signal, logs)
        sums = np.bincount(self._signal, weights=np.exp(logs - best[self._signal]), minlength=len(best))
        with np.errstate(divide="ignore"):
            mean = best + np.log(sums / np.maximum(self._alternatives, 1))
        return np.asarray(np.logaddexp(of_others + self._others, mean + self._own))

    def add(self, gained: Floats) -> None:
        """Do R <- (R + 1) L."""
        self.log_r = np.logaddexp(self.log_r, 0.0) + gained

    def forget(self, rows: Ints) -> None:
        """Begin some signals anew."""
        self.log_r[np.isin(self._signal, rows)] = -np.inf

    def likeness(self, rows: Ints, likeness: Floats, notable: float) -> Floats:
        """Return q/p of some signals (shape: rows, K). The best alternative with enough evidence sets its bin.

        A few windows may hold no rare value, or two: what they say of its share is next to nothing.
        """
        found = likeness.copy()
        believed = np.flatnonzero((self.log_r > notable) & np.isin(self._signal, rows))
        for alternative in believed[np.argsort(self.log_r[believed], kind="stable")].tolist():  # the best is the last
            row = int(np.flatnonzero(rows == self._signal[alternative])[0])
            found[row, self._bin[alternative]] = self._likeness[alternative]
        return found

    def of(self, signal: int) -> Floats:
        """Return log R of a signal's alternatives."""
        return np.asarray(self.log_r[self._signal == signal])
