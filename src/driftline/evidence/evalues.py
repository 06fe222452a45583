"""Evidence that windows have left the reference, within a budget for false alarms.

Each signal and window has e-values L: how much better an alternative explains the window's counts n than the
reference's shares p do, or *any* distribution in the ball χ²(p' ‖ p) <= η² around them (see `ball`). If the signal's
distribution is in the ball, E[L | past] <= 1.

`alternatives` has the alternatives, all fixed before the window's events came. Those that learn within the window see a
large shift in the first window that has it. Their e-value

    L = DirichletMultinomial(n; a) / max { Π p'_k^n_k : p' in the ball }

is valid by universal inference (Wasserman, Ramdas and Balakrishnan 2020, PNAS 117, section 2): the numerator is the
probability of the events' sequence under a mixture, and the denominator is at least their true probability. But the
denominator fits the noise of each window too, which costs some evidence every time. Alternatives q from past windows,
and tilts of the reference, avoid that cost, so small shifts add up:

    L = Π (q_k/p_k)^n_k / (1 + η sd_p(q/p))^n

is valid because, by the Cauchy-Schwarz inequality, the mean of q/p under p' is at most 1 + sqrt(χ²(p' ‖ p)) sd_p(q/p).

A rare value that doubles is still a small part of all values, so rare bins have bounds and alternatives of their own
(see `rare`).

E-values add up as in the Shiryaev-Roberts procedure (Moustakides, Polunchenko and Tartakovsky 2011), for each signal
and alternative: R <- (R + 1) L. M is the mean of all R. An incident opens when M >= c, and then each R is reset. With N
incidents so far, c N + M grows by at most 1 a window in expectation. So the expected number of false incidents in H
windows is at most H / c, under any dependence between signals (Shin, Ramdas and Rinaldo 2023).

The proof needs independent events. φ says how much more the reference's windows vary than those of independent events
would, and Driftline tempers both sizes by it: a window of N events counts as N / φ, and the reference's m as m / φ.
(Dividing log L by φ instead would also divide the cost of learning within the window: an AR(.9) series then raised one
false alarm in 300 windows, where a tenth of that was allowed. This way it raises none.)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.compiled import compiled
from driftline.evidence.alternatives import (
    ALTERNATIVES,
    Dirichlets,
    Fixed,
    Past,
    dirichlets,
    tilts,
)
from driftline.evidence.ball import ball_radius, most_likely
from driftline.evidence.rare import Rare, RareBins
from driftline.sketches.keys import Floats, Ints

FADING: Final = 20.0
"""Each e-value is multiplied by e^(-1/20), which keeps it valid. Otherwise R would grow by 1 with each window that says
nothing at all (a field that is never null has L = 1), and would in time reach any threshold. So it stays below 20.
"""
GRID: Final = 2.0**20
"""Log e-values are rounded to multiples of 2^-20, so that processors whose logarithms differ in the last bit agree."""
SPOKEN: Final = 3.0
"""An alternative about a rare bin is taken to describe the change if its log R is at least this."""
MIN_LOG: Final = -1e300
"""Stands for the log of 0 where another is subtracted from it."""

Snapshot = dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class WindowEvidence:
    """What one window added, in natural logarithms per signal."""

    window: Floats
    """Log of the window's own e-value (mean over alternatives): above 0 it speaks against the reference."""
    total: Floats
    """Log of the signal's mean R after the window: what it contributes to M."""


class Evidence:
    """Accumulated evidence of some signals of one group, for windows of one size that do not overlap.

    Args:
        shares: reference shares p (shape: signals, K), 0 for impossible bins.
        sizes: reference sizes m (shape: signals).
        dispersion: φ >= 1 of each signal.
        allowance: false incidents allowed in a period, for these signals and windows. With
            c = windows per period / allowance, an incident opens when `log_m >= log(c)`.
        min_effect: χ² of the largest change that is too small to matter (PSI is about χ² for small changes).
        signals: how many signals share the allowance, if these rows belong to many groups (simulations).
        rare: bins whose own rise or fall counts as a change; None for none.

    Example: windows of 500 events, most of which move to the first of two bins.

    >>> evidence = Evidence(np.array([[0.5, 0.5]]), np.array([10_000]), dispersion=np.ones(1), allowance=1.0)
    >>> _ = evidence.update(np.array([[252, 248]]))
    >>> bool(evidence.log_m < 0)
    True
    >>> _ = evidence.update(np.array([[400, 100]]))
    >>> bool(evidence.log_m > np.log(4_320))  # 4,320 ten-minute windows in 30 days, one false alarm allowed
    True
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
        self.log_r = np.full((ALTERNATIVES, len(self.shares)), -np.inf)
        """Log R of each alternative and signal."""

    @property
    def log_m(self) -> float:
        """Log of M, the mean of R over signals and alternatives; -inf before the first window."""
        return log_mean(self.rare.joined(log_mean_rows(self.log_r), self.rare.log_r)) if self.log_r.size else -np.inf

    def update(self, counts: Ints) -> WindowEvidence:
        """Add one window's counts (shape: signals, K). For a signal without values, L is 1 before fading."""
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
        """Return counts divided by φ: how many independent events say as much."""
        return np.asarray(counts / self.dispersion[:, None])

    def lately(self, rows: Ints) -> Floats:
        """Return q/p for some signals, q being the shares of their newest windows (shape: rows, K); NaN if empty."""
        newest, shares = self._past.counts[0, rows], self.shares[rows]
        n = newest.sum(axis=1, keepdims=True)
        likeness = np.divide(newest, n * shares, out=np.ones_like(newest), where=(n > 0) & (shares > 0))
        return self.rare.likeness(rows, np.where(n > 0, likeness, np.nan), SPOKEN)

    def reset(self, rows: Ints | None = None) -> None:
        """Forget the evidence of some signals, or of all of them. The counts of past windows stay."""
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

    def restore(self, snapshot: Mapping[str, Floats]) -> None:
        """Load a snapshot of evidence with the same shares. Raises `ValueError` if its shape differs."""
        self.log_r = snapshot["log_r"].reshape(self.log_r.shape).copy()
        self._past.counts = snapshot["past"].reshape(self._past.counts.shape).copy()
        self.rare.log_r = snapshot["rare"].reshape(self.rare.log_r.shape).copy()


def _lessened(logs: Floats) -> Floats:
    """Return log e-values less 1/FADING, rounded to the GRID."""
    return np.asarray(np.rint((logs - 1 / FADING) * GRID) / GRID)


@compiled
def _accumulate(gained: Floats, log_r: Floats, window: Floats, total: Floats) -> None:
    """Do R <- (R + 1) L with log L = `gained` (shapes: alternatives, signals), and fill in the log of each mean."""
    for signal in range(log_r.shape[1]):
        best, most = MIN_LOG, MIN_LOG
        for alternative in range(len(log_r)):
            held, new = log_r[alternative, signal], gained[alternative, signal]
            log_r[alternative, signal] = max(held, 0.0) + math.log1p(math.exp(-abs(held))) + new
            best, most = max(best, new), max(most, log_r[alternative, signal])
        window[signal], total[signal] = 0.0, 0.0
        for alternative in range(len(log_r)):
            window[signal] += math.exp(gained[alternative, signal] - best)
            total[signal] += math.exp(log_r[alternative, signal] - most)
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
