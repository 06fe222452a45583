"""Evidence that windows have left the reference, with a budget for false alarms.

For each signal and window, e-values: how much better the window's counts n are explained by a distribution guessed
before they came than by the reference's shares p, or by *any* distribution in the ball χ²(p' ‖ p) <= η² around them
(see `ball`). E[L | past] <= 1 for all of it.

What is guessed is in `guesses`. Guesses that learn within the window see a large shift in the first one that has it:

    L = DirichletMultinomial(n; a) / max { Π p'_k^n_k : p' in the ball }

is valid by universal inference (Wasserman, Ramdas and Balakrishnan 2020, PNAS 117, section 2): the numerator is the
probability of the events' sequence under a mixture, the denominator at least their true probability. But within the
ball it fits the window's noise too, a cost every window. Guesses q from past windows, and tilts of the reference, do
not pay it, and add up small shifts:

    L = Π (q_k/p_k)^n_k / (1 + η sd_p(q/p))^n

is valid because by Cauchy and Schwarz the mean of q/p under p' is at most 1 + sqrt(χ²(p' ‖ p)) sd_p(q/p).

What doubles from rare is little of all values: bins that are rare have bounds and guesses of their own (see `rare`).

A run of e-values is added up as Shiryaev and Roberts did (Moustakides, Polunchenko and Tartakovsky 2011), for each
signal and guess: R <- (R + 1) L, and M is a mean of all R. With N incidents so far, c N + M grows by at most 1 a
window in expectation if M is reset to 0 at each incident, which opens when M >= c: so the expected number of false
incidents in H windows is at most H / c, under any dependence between signals (Shin, Ramdas and Rinaldo 2023).

Events that depend on one another break that. φ, how much more the reference's windows vary than independent events
would, tempers both parts: a window of N events counts as N / φ, and the reference's m as m / φ. (To divide log L by φ
would divide, too, what the guesses that learn within the window pay for learning: an AR(.9) series then raised one
false alarm in 300 windows where the budget was a tenth, and raises none this way.)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.compiled import compiled
from driftline.evidence.ball import ball_radius, most_likely
from driftline.evidence.guesses import (
    GUESSES,
    TILTS,
    Dirichlets,
    Fixed,
    Past,
    dirichlets,
    tilts,
)
from driftline.evidence.rare import Rare, RareBins
from driftline.sketches.keys import Floats, Ints

FADING: Final = 20.0
"""Each e-value is lessened by e^(-1/20), which keeps it valid. Else R would grow by 1 a window where the windows say
nothing at all (a field that is never null: L = 1), and reach any threshold by patience alone; so it stays below 20.
"""
GRID: Final = 2.0**20
"""Log e-values are rounded to 2^-20, so that processors whose logarithms differ in the last bit agree."""
SPOKEN: Final = 3.0
"""Log R from which on a guess about a rare bin is believed to say what the change is like."""
EARLIER_TILTS: Final = (0, 12)
"""How many tilts earlier releases had."""
MIN_LOG: Final = -1e300
"""Stands for the log of 0 where another is subtracted from it."""

Snapshot = dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class WindowEvidence:
    """What one window added, in natural logarithms per signal."""

    window: Floats
    """Log of the window's own e-value (mean over guesses): above 0 it speaks against the reference."""
    total: Floats
    """Log of the signal's mean R after the window: what it contributes to M."""


class Evidence:
    """Accumulated evidence of some signals of one group, for windows of one size that do not overlap.

    Args:
        shares: reference shares p (shape: signals, K), 0 where a bin cannot be.
        sizes: reference sizes m (shape: signals).
        dispersion: φ >= 1 of each signal.
        allowance: false incidents allowed a period, for these signals and windows; with windows-per-period / allowance
            as c, an incident opens when `log_m >= log(c)`.
        min_effect: χ² of a change that nobody minds (PSI is about χ² for small changes).
        signals: how many signals share the allowance, if these rows belong to many groups (simulations).
        rare: the bins of which a share that rises or falls by itself is a change; None for none.
    """

    def __init__(
        self,
        shares: Floats,
        sizes: Ints,
        *,
        dispersion: Floats,
        allowance: float,
        min_effect: float = 0.02,
        signals: int | None = None,
        rare: RareBins | None = None,
    ) -> None:
        self.shares = np.ascontiguousarray(shares, dtype=np.float64)
        self.dispersion = np.maximum(dispersion, 1.0)
        self.radius = ball_radius(self.shares, sizes, self.dispersion, allowance, min_effect, signals)
        self._learning = Dirichlets(dirichlets(self.shares))
        self._tilts = Fixed(tilts(self.shares, self.radius), self.shares, self.radius)
        self._past = Past(self.shares, self.radius)
        bins = RareBins.none(self.shares.shape) if rare is None else rare
        tail = allowance / (10 * max(signals or len(self.shares), 1))
        self.rare = Rare(bins, self.shares, sizes, self.dispersion, tail, min_effect)
        self.log_r = np.full((GUESSES, len(self.shares)), -np.inf)
        """Log R of each guess and signal."""

    @property
    def log_m(self) -> float:
        """Log of M, the mean of R over signals and guesses; -inf before the first window."""
        return log_mean(self.rare.joined(log_mean_rows(self.log_r), self.rare.log_r)) if self.log_r.size else -np.inf

    def update(self, counts: Ints) -> WindowEvidence:
        """Add one window's counts (shape: signals, K). A signal without values changes nothing but R <- R + 1."""
        floats = self.tempered(counts)
        learning = self._learning.log_likelihood(floats) - most_likely(floats, self.shares, self.radius)
        learned, tilted = self._past.log_ratio(floats), self._tilts.log_ratio(floats)
        gained = _lessened(np.concatenate((learning, learned, tilted)))
        of_rare = _lessened(self.rare.gains(floats))
        self._past.add(floats)
        self.rare.add(of_rare)
        window, total = np.empty(len(floats)), np.empty(len(floats))
        _accumulate(gained, self.log_r, window, total)
        return WindowEvidence(self.rare.joined(window, of_rare) + 1 / FADING, self.rare.joined(total, self.rare.log_r))

    def tempered(self, counts: Ints) -> Floats:
        """Return counts as so many independent events would be worth."""
        return np.asarray(counts / self.dispersion[:, None])

    def lately(self, rows: Ints) -> Floats:
        """Return q/p of some signals, q being the shares of their newest windows (shape: rows, K); NaN: no values."""
        newest, shares = self._past.counts[0, rows], self.shares[rows]
        n = newest.sum(axis=1, keepdims=True)
        likeness = np.divide(newest, n * shares, out=np.ones_like(newest), where=(n > 0) & (shares > 0))
        return self.rare.likeness(rows, np.where(n > 0, likeness, np.nan), SPOKEN)

    def reset(self, rows: Ints | None = None) -> None:
        """Forget the evidence of some signals, or of all; not what the past windows looked like."""
        chosen = np.arange(len(self.shares)) if rows is None else rows
        self.log_r[:, chosen] = -np.inf
        self.rare.forget(chosen)

    def snapshot(self) -> Snapshot:
        """Return its state as flat arrays."""
        return {
            "log_r": self.log_r.reshape(-1).copy(),
            "past": self._past.counts.reshape(-1).copy(),
            "rare": self.rare.log_r.copy(),
        }

    def fits(self, snapshot: Mapping[str, Floats]) -> bool:
        """Tell whether a snapshot is of evidence with as many signals and bins."""
        return "past" in snapshot and snapshot["past"].size == self._past.counts.size

    def restore(self, snapshot: Mapping[str, Floats]) -> None:
        """Take over a snapshot of evidence with the same shares. Raises `ValueError` if its shape is another.

        A snapshot of before there were tilts, or guesses about rare bins, or of when there were others, has no R of
        these: they begin anew.
        """
        self.reset()
        kept, untilted = snapshot["log_r"], GUESSES - TILTS
        if kept.size in [(untilted + tilts) * len(self.shares) for tilts in EARLIER_TILTS]:
            self.log_r[:untilted] = kept.reshape(-1, len(self.shares))[:untilted]
        else:
            self.log_r = kept.reshape(self.log_r.shape).copy()
        self._past.counts = snapshot["past"].reshape(self._past.counts.shape).copy()
        if "rare" in snapshot:
            self.rare.log_r = snapshot["rare"].reshape(self.rare.log_r.shape).copy()


def _lessened(logs: Floats) -> Floats:
    """Return log e-values lessened by FADING, on the GRID."""
    return np.asarray(np.rint((logs - 1 / FADING) * GRID) / GRID)


@compiled
def _accumulate(gained: Floats, log_r: Floats, window: Floats, total: Floats) -> None:
    """Do R <- (R + 1) L with log L = `gained` (shapes: guesses, signals), and fill in the logs of the means of both."""
    for signal in range(log_r.shape[1]):
        best, most = MIN_LOG, MIN_LOG
        for guess in range(len(log_r)):
            held, new = log_r[guess, signal], gained[guess, signal]
            log_r[guess, signal] = max(held, 0.0) + math.log1p(math.exp(-abs(held))) + new
            best, most = max(best, new), max(most, log_r[guess, signal])
        window[signal], total[signal] = 0.0, 0.0
        for guess in range(len(log_r)):
            window[signal] += math.exp(gained[guess, signal] - best)
            total[signal] += math.exp(log_r[guess, signal] - most)
        window[signal] = best + math.log(window[signal] / len(log_r))
        total[signal] = most + math.log(total[signal] / len(log_r))


def log_mean(logs: Floats) -> float:
    """Return the log of the mean of exp(logs)."""
    return float(log_mean_rows(logs[:, None])[0])


def log_mean_rows(logs: Floats) -> Floats:
    """Return the log of the mean of exp(logs) over the first axis."""
    top = np.maximum(logs.max(axis=0), MIN_LOG)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(np.add.reduce(np.exp(logs - top), axis=0) / len(logs)))
