"""Evidence that windows have left the reference, with a budget for false alarms.

For each signal and window, e-values: how much better the window's counts n are explained by a distribution guessed
before they came than by the reference's shares p, or by *any* distribution in the ball χ²(p' ‖ p) <= η² around them.
The ball covers the reference's own sampling error and changes too small to matter. E[L | past] <= 1 for all of it.

Guesses around the reference learn within the window. They see a large shift in the first window that has it:

    L = DirichletMultinomial(n; a) / max { Π p'_k^n_k : p' in the ball }

is valid by universal inference (Wasserman, Ramdas and Balakrishnan 2020, PNAS 117, section 2): the numerator is the
probability of the events' sequence under a mixture, the denominator at least their true probability. But within the
ball it fits the window's noise too, a cost every window. Guesses q from past windows do not, and add up small shifts:

    L = Π (q_k/p_k)^n_k / (1 + η sd_p(q/p))^n

is valid because by Cauchy and Schwarz the mean of q/p under p' is at most 1 + sqrt(χ²(p' ‖ p)) sd_p(q/p).

A run of e-values is added up as Shiryaev and Roberts did (Moustakides, Polunchenko and Tartakovsky 2011), for each
signal and guess: R <- (R + 1) L, and M is the mean of all R. With N incidents so far, c N + M grows by at most 1 a
window in expectation if M is reset to 0 at each incident, which opens when M >= c: so the expected number of false
incidents in H windows is at most H / c, under any dependence between signals (Shin, Ramdas and Rinaldo 2023).

Events that depend on one another break that. φ, how much more the reference's windows vary than independent events
would, tempers both parts: a window of N events counts as N / φ, and the reference's m as m / φ. (To divide log L by φ
would divide, too, what the guesses that learn within the window pay for learning: an AR(.9) series then raised one
false alarm in 300 windows where the budget was a tenth, and raises none this way.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import chdtri, gammaln, xlogy

from driftline.sketches.keys import Floats, Ints

STRENGTHS: Final = (1.0, 10.0, 100.0)
"""Guesses around the reference: Dirichlet(strength x K x p); and one with heavy tails, Dirichlet(1/2) over all bins."""
HALF_LIVES: Final = (1.0, 4.0, 16.0)
"""Guesses from the past: shares of counts that lose half their weight in so many windows, drawn towards p."""
GUESSES: Final = len(STRENGTHS) + 1 + len(HALF_LIVES)
FADING: Final = 20.0
"""Each e-value is lessened by e^(-1/20), which keeps it valid. Else R would grow by 1 a window where the windows say
nothing at all (a field that is never null: L = 1), and reach any threshold by patience alone; so it stays below 20.
"""
GRID: Final = 2.0**20
"""Log e-values are rounded to 2^-20, so that processors whose logarithms differ in the last bit agree."""
MOST_TAIL: Final = 0.05
BISECTIONS: Final = 16

Snapshot = dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
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
    """

    def __init__(
        self, shares: Floats, sizes: Ints, *, dispersion: Floats, allowance: float, min_effect: float = 0.02
    ) -> None:
        self.shares = np.ascontiguousarray(shares, dtype=np.float64)
        self.dispersion = np.maximum(dispersion, 1.0)
        self.radius = ball_radius(self.shares, sizes, self.dispersion, allowance, min_effect)
        bins = (self.shares > 0).sum(axis=1, keepdims=True)
        around = [strength * bins * self.shares for strength in STRENGTHS]
        self._fixed = np.stack([*around, np.where(self.shares > 0, 0.5, 0.0)])
        self._decay = np.exp2(-1.0 / np.array(HALF_LIVES))[:, None, None]
        self._past = np.zeros((len(HALF_LIVES), *self.shares.shape))
        self._log_r = np.full((GUESSES, len(self.shares)), -np.inf)

    @property
    def log_m(self) -> float:
        """Log of M, the mean of R over signals and guesses; -inf before the first window."""
        return log_mean(self._log_r.reshape(-1)) if self._log_r.size else -np.inf

    def update(self, counts: Ints) -> Found:
        """Add one window's counts (shape: signals, K). A signal without values changes nothing but R <- R + 1."""
        floats = counts / self.dispersion[:, None]
        best = most_likely(floats, self.shares, self.radius)
        learning = dirichlet_log_likelihood(floats, self._fixed) - best
        learned = log_ratio(floats, guess_from_past(self._past, self.shares, self.radius), self.shares, self.radius)
        gained = np.rint((np.concatenate((learning, learned)) - 1 / FADING) * GRID) / GRID
        self._log_r = np.logaddexp(self._log_r, 0.0) + gained
        self._past = self._past * self._decay + floats
        return Found(log_mean_rows(gained) + 1 / FADING, log_mean_rows(self._log_r))

    def reset(self) -> None:
        """Forget the evidence, not what the past windows looked like."""
        self._log_r = np.full_like(self._log_r, -np.inf)

    def snapshot(self) -> Snapshot:
        """Return its state as flat arrays."""
        return {"log_r": self._log_r.reshape(-1).copy(), "past": self._past.reshape(-1).copy()}

    def restore(self, snapshot: Mapping[str, Floats]) -> None:
        """Take over a snapshot of evidence with the same shares. Raises `ValueError` if its shape is another."""
        self._log_r = snapshot["log_r"].reshape(self._log_r.shape).copy()
        self._past = snapshot["past"].reshape(self._past.shape).copy()


def ball_radius(shares: Floats, sizes: Ints, dispersion: Floats, allowance: float, min_effect: float) -> Floats:
    """Return η², the χ² distance from p within which a distribution is no change (shape: signals).

    The larger of `min_effect` and the sampling error of p itself: the 1 - allowance/(10 signals) quantile of χ²(K-1),
    or twice its mean, over the reference's effective size m / φ.
    """
    freedom = np.maximum((shares > 0).sum(axis=1) - 1, 1).astype(np.float64)
    tail = min(allowance / (10 * max(len(shares), 1)), MOST_TAIL)
    error = np.maximum(chdtri(freedom, tail), 2 * freedom)
    return np.asarray(np.maximum(error * dispersion / np.maximum(sizes, 1), min_effect))


def guess_from_past(past: Floats, shares: Floats, radius: Floats) -> Floats:
    """Return q/p - 1 for guesses from decayed counts `past` (shape: guesses, signals, K), the same shape.

    With d = χ(past shares ‖ p), the guess goes the part 1 - η/d - (K-1)/(N d²) of the way from p to the past shares:
    what makes the expected log L greatest when d² holds (K-1)/N of noise. It is always less than 1, so q > 0.
    """
    n = past.sum(axis=-1, keepdims=True)
    known = (n > 0) & (shares > 0)
    away = np.divide(past, n * shares, out=np.ones_like(past), where=known) - 1
    distance = (shares * away**2).sum(axis=-1)
    noise = np.maximum((shares > 0).sum(axis=1) - 1, 1) / np.where(n[..., 0] > 0, n[..., 0], 1.0)
    useful = distance - np.sqrt(radius * distance) - noise
    part = np.divide(np.maximum(useful, 0.0), distance, out=np.zeros_like(distance), where=distance > 0)
    return np.asarray(away * part[..., None])


def log_ratio(counts: Floats, away: Floats, shares: Floats, radius: Floats) -> Floats:
    """Return Σ n log(q/p) - n log(1 + η sd_p(q/p)) for guesses with q/p - 1 = away (shape: guesses, signals)."""
    deviation = np.sqrt((shares * away**2).sum(axis=-1))
    each = (counts * np.log1p(away)).sum(axis=-1)
    return np.asarray(each - counts.sum(axis=-1) * np.log1p(np.sqrt(radius) * deviation))


def dirichlet_log_likelihood(counts: Floats, alphas: Floats) -> Floats:
    """Return the log probability of a sequence with these counts under Dirichlet mixtures of multinomials.

    Args:
        counts: shape (signals, K).
        alphas: shape (guesses, signals, K); 0 where a bin cannot be.

    Returns shape (guesses, signals): lnΓ(A) - lnΓ(A + n) + Σ lnΓ(a_k + n_k) - lnΓ(a_k), with A = Σ a_k.
    """
    held = np.where(alphas > 0, alphas, 1.0)
    each = np.where(alphas > 0, gammaln(held + counts) - gammaln(held), 0.0).sum(axis=-1)
    total = np.where(alphas > 0, alphas, 0.0).sum(axis=-1)
    total = np.where(total > 0, total, 1.0)
    return np.asarray(gammaln(total) - gammaln(total + counts.sum(axis=-1)) + each)


def most_likely(counts: Floats, shares: Floats, radius: Floats) -> Floats:
    """Return an upper bound, tight to about 1e-6, on the log likelihood of the counts within the ball.

    Maximise Σ n_k log(p_k y_k) over y >= 0 with Σ p y = 1 and Σ p y² <= 1 + η². For multipliers μ and λ >= 0 the
    Lagrangian's greatest value is at 2λ y² + μ y = n/p, and is never below the maximum, however well λ was found: so a
    search cut short costs evidence, not validity. At the optimum μ = n - 2λ(1 + η²); λ is found by bisection.
    """
    n = counts.sum(axis=1)
    ratio = np.divide(counts, shares, out=np.zeros_like(counts), where=shares > 0)
    limit = 1.0 + radius
    inside = (shares * ratio**2).sum(axis=1) <= limit * n**2
    low = np.full(len(n), -12.0)  # λ = n exp(t) / (2 + 2η²)
    high = np.full(len(n), 12.0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        y = _stationary(ratio, *_multipliers(n, limit, middle))
        weighted = shares * y
        # Derivative of the bound in λ: positive beyond the optimum.
        slope = limit - (weighted * y).sum(axis=1) - 2 * limit * (1 - weighted.sum(axis=1))
        low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
    mu, slack = _multipliers(n, limit, (low + high) / 2)
    y = _stationary(ratio, mu, slack)
    weighted = shares * y
    bound = xlogy(counts, np.where(counts > 0, weighted, 1.0)).sum(axis=1)
    bound += mu * (1 - weighted.sum(axis=1)) + slack * (limit - (weighted * y).sum(axis=1))
    free = xlogy(counts, counts / np.where(n > 0, n, 1.0)[:, None]).sum(axis=1)
    return np.asarray(np.where(inside, free, bound))


def _multipliers(n: Floats, limit: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Return (μ, λ) for λ = n exp(t) / (2 + 2η²)."""
    scaled = np.where(n > 0, n, 1.0) * np.exp(t)
    return n - scaled, scaled / (2 * limit)


def _stationary(ratio: Floats, mu: Floats, slack: Floats) -> Floats:
    """Solve 2λ y² + μ y = n/p for y >= 0, without cancellation for either sign of μ."""
    mu, slack = mu[:, None], slack[:, None]
    root = np.sqrt(mu**2 + 8 * slack * ratio)
    above = np.where(mu > 0, 2 * ratio, root - mu)
    below = np.where(mu > 0, mu + root, 4 * slack)
    return above / below


def log_mean(logs: Floats) -> float:
    """Return the log of the mean of exp(logs)."""
    return float(log_mean_rows(logs[:, None])[0])


def log_mean_rows(logs: Floats) -> Floats:
    """Return the log of the mean of exp(logs) over the first axis."""
    top = logs.max(axis=0)
    base = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(base + np.log(np.exp(logs - base).mean(axis=0)))
