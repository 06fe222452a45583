"""Rare values: a share that rises by half, or falls by a third, is a change, however little it is of all values.

χ² measures what is moved of all values: that fraud goes from .2 % to .6 % is .008 of it, less than anybody minds. So a
rare bin has bounds of its own, u above and l below its share p. What "no change" means is the ball *and* these bounds:

    u = max(r p, the upper confidence bound of p, min_effect / 100)    r = 1 + sqrt(12.5 min_effect), 1.5 by default
    l = min(p / r, the lower confidence bound of p)

A guess about one bin is a share q for it, beyond its bound. With n of N events in the bin

    L = (q/u)^n ((1 - q)/(1 - u))^(N - n)

is an e-value: for an event from p' its mean p' q/u + (1 - p') (1 - q)/(1 - u) is linear in p', it is 1 at p' = u, and
for q > u it grows. So it is at most 1 for every p' <= u, whatever the other bins do; likewise below l for q < l.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.sketches.keys import Bools, Floats, Ints

RARE: Final = 0.1
"""Share up to which a bin has bounds. More frequent ones leave the ball by less than a half."""
RISES: Final = (1.5, 3.0)
FALLS: Final = (1 / 3,)
"""What is guessed of a bin's share: so many times its bound."""
WEIGHT: Final = 0.2
"""Of a signal's evidence, what all guesses about its rare bins weigh together, if there are any."""
MIN_PART: Final = 0.01
"""Times `min_effect`: nobody minds a share that rises to no more."""
MAX_TAIL: Final = 0.05
MIN_BOUND: Final = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class RareBins:
    """Bins of which it is a change to rise, and to fall, as one share (shapes: signals, K)."""

    rising: Bools
    falling: Bools

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> "RareBins":
        """Return that there are none."""
        return cls(np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_))

    @classmethod
    def of(cls, shares: Floats, *, may_rise: Bools | None = None, may_fall: Bools | None = None) -> "RareBins":
        """Return those of some shares (shape: signals, K) that are rare; the others are not asked for."""
        rare = (shares > 0) & (shares <= RARE)
        return cls(rare if may_rise is None else rare & may_rise, rare if may_fall is None else rare & may_fall)

    def take(self, rows: Ints) -> "RareBins":
        """Return those of some signals."""
        return RareBins(self.rising[rows], self.falling[rows])


def relative_change(min_effect: float) -> float:
    """Return r: times its share that a rare value may be without anybody minding."""
    return 1 + math.sqrt(12.5 * min_effect)


class Rare:
    """Guesses about rare bins, one bin each, and R of each.

    Args:
        bins: which.
        shares, sizes: p and m (shapes: signals, K and signals).
        dispersion: φ of each signal.
        tail: how often a confidence bound may be wrong, for all bounds of a signal together.
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
        guess = np.concatenate([*(np.minimum(times * upper, (1 + upper) / 2) for times in RISES),
                                *(times * lower for times in FALLS)])  # fmt: skip
        times = np.repeat((*RISES, *FALLS), [len(upper)] * len(RISES) + [len(lower)] * len(FALLS))
        self._hit = np.log(np.minimum(times, guess / np.maximum(bound, MIN_BOUND)), where=times > 1, out=np.log(times))
        self._missed = np.log1p(-guess) - np.log1p(-bound)
        self._likeness = guess / np.maximum(shares[self._signal, self._bin], 1e-300)
        self._guesses = np.bincount(self._signal, minlength=len(shares))
        some = self._guesses > 0
        self._own = np.where(some, math.log(WEIGHT), -np.inf)
        self._others = np.where(some, math.log(1 - WEIGHT), 0.0)
        self.log_r = np.full(len(self._signal), -np.inf)
        """Log R of each guess; signal by signal within a guess of all."""

    def gains(self, counts: Floats) -> Floats:
        """Return log L of each guess for a window's counts (shape: signals, K)."""
        n = counts[self._signal, self._bin]
        return np.asarray(n * self._hit + (counts.sum(axis=1)[self._signal] - n) * self._missed)

    def joined(self, of_others: Floats, logs: Floats) -> Floats:
        """Return the log of each signal's weighted mean: of the other guesses' mean, and of these guesses."""
        if not len(logs):
            return of_others
        best = np.full(len(of_others), -1e300)
        np.maximum.at(best, self._signal, logs)
        sums = np.bincount(self._signal, weights=np.exp(logs - best[self._signal]), minlength=len(best))
        with np.errstate(divide="ignore"):
            mean = best + np.log(sums / np.maximum(self._guesses, 1))
        return np.asarray(np.logaddexp(of_others + self._others, mean + self._own))

    def add(self, gained: Floats) -> None:
        """Do R <- (R + 1) L."""
        self.log_r = np.logaddexp(self.log_r, 0.0) + gained

    def forget(self, rows: Ints) -> None:
        """Begin some signals anew."""
        self.log_r[np.isin(self._signal, rows)] = -np.inf

    def likeness(self, rows: Ints, likeness: Floats, notable: float) -> Floats:
        """Return q/p of some signals (shape: rows, K), in each bin of which a guess is believed by the best such guess.

        A few windows may hold no rare value, or two: what they say of its share is next to nothing.
        """
        found = likeness.copy()
        believed = np.flatnonzero((self.log_r > notable) & np.isin(self._signal, rows))
        for guess in believed[np.argsort(self.log_r[believed], kind="stable")].tolist():  # the best is the last
            row = int(np.flatnonzero(rows == self._signal[guess])[0])
            found[row, self._bin[guess]] = self._likeness[guess]
        return found

    def of(self, signal: int) -> Floats:
        """Return log R of a signal's guesses."""
        return np.asarray(self.log_r[self._signal == signal])
