"""Alternatives: distributions that a window may have if its signal has changed, fixed before its events came.

There are three kinds, and each finds what the others miss:

- *Tilts* are the reference with its bins reweighted along one direction: towards higher or lower values, or towards the
  tails or the middle. They learn nothing, so they pay nothing for learning, and they find the usual small shifts.
- Alternatives *from the past* are the shares of past windows. They find small changes of any form that last.
- Alternatives that *learn* within the window are Dirichlet mixtures. They find any large change at once.
"""

import math
from typing import Final

import numpy as np
import scipy

from driftline.compiled import compiled
from driftline.sketches.keys import Floats

STRENGTHS: Final = (1.0, 10.0, 100.0)
"""Learning alternatives near the reference: Dirichlet(strength x K x p). One more is spread wide: Dirichlet(1/2)."""
HALF_LIVES: Final = (1.0, 4.0, 16.0)
"""Alternatives from the past: shares of counts with these half-lives in windows, shrunk towards p."""
TILT_STEPS: Final = 4
FARTHEST_TILT: Final = 1.2
"""Tilts go from the ball's radius η to 1.2 in TILT_STEPS steps of equal ratio. A tilt by t looks for a shift by t + η
standard deviations, and finds half or twice that about as soon. Larger changes show within one window anyway.
"""
MAX_TILT: Final = 3.0
"""The largest change of the logarithm of a bin's share."""
LEARNING: Final = len(STRENGTHS) + 1
TILTS: Final = 4 * TILT_STEPS
ALTERNATIVES: Final = LEARNING + len(HALF_LIVES) + TILTS


def dirichlets(shares: Floats) -> Floats:
    """Return the parameters of the learning alternatives (shape: alternatives, signals, K); 0 for impossible bins.

    >>> dirichlets(np.array([[0.5, 0.5]]))[:, 0].tolist()
    [[1.0, 1.0], [10.0, 10.0], [100.0, 100.0], [0.5, 0.5]]
    """
    bins = (shares > 0).sum(axis=1, keepdims=True)
    around = [strength * bins * shares for strength in STRENGTHS]
    return np.stack([*around, np.where(shares > 0, 0.5, 0.0)])


class Dirichlets:
    """Log probabilities of counts under Dirichlet mixtures of multinomials.

    Args:
        alphas: shape (alternatives, signals, K); 0 for impossible bins.
    """

    def __init__(self, alphas: Floats) -> None:
        self._alphas = alphas
        self._alone = scipy.special.gammaln(np.where(alphas > 0, alphas, 1.0))
        total = alphas.sum(axis=-1)
        self._total = np.where(total > 0, total, 1.0)
        self._total_alone = scipy.special.gammaln(self._total)

    def log_likelihood(self, counts: Floats) -> Floats:
        """Return the log probability of a sequence of events with these counts (shape: alternatives, signals).

        lnΓ(A) - lnΓ(A + n) + Σ lnΓ(a_k + n_k) - lnΓ(a_k), with A = Σ a_k (Mosimann 1962, Biometrika 49, p. 65, without
        the multinomial coefficient: the probability is that of one sequence).
        """
        found = np.zeros(self._total.shape)
        _mixtures(self._alphas, self._alone, self._total, self._total_alone, np.ascontiguousarray(counts), found)
        return found


@compiled
def _mixtures(alphas: Floats, alone: Floats, total: Floats, total_alone: Floats, counts: Floats, found: Floats) -> None:
    """Fill in `found`. Most bins of data quality are empty, and are skipped."""
    for signal in range(len(counts)):
        n = 0.0
        for k in range(counts.shape[1]):
            n += counts[signal, k]
        for alternative in range(len(alphas)):
            logs = total_alone[alternative, signal] - math.lgamma(total[alternative, signal] + n)
            for k in range(counts.shape[1]):
                if counts[signal, k] > 0 and alphas[alternative, signal, k] > 0:
                    logs += (
                        math.lgamma(alphas[alternative, signal, k] + counts[signal, k]) - alone[alternative, signal, k]
                    )
            found[alternative, signal] = logs


def tilts(shares: Floats, radius: Floats) -> Floats:
    """Return q/p - 1 of the tilts (shape: alternatives, signals, K), where q is proportional to p exp(±t v).

    v has unit variance under p. One v is the normal score of a bin's middle rank (van der Waerden 1952), the most
    powerful direction for a shift of a normal distribution. The other is its square, made orthogonal to the first, for
    a change of scale. Bins are in the order of their values. Categories are in the order of their frequency, so their
    tilts lean towards frequent or rare ones.

    The seventh tilt of four equal bins, the longest towards high values; each q sums to 1, so q/p - 1 has mean 0.

    >>> found = tilts(np.full((1, 4), 0.25), np.array([0.02]))
    >>> found[6, 0].round(3).tolist(), bool(np.allclose(found.mean(axis=2), 0))
    ([-0.897, -0.663, -0.165, 1.724], True)
    """
    middle = np.clip(np.cumsum(shares, axis=1) - shares / 2, 1e-9, 1 - 1e-9)
    score = np.where(shares > 0, scipy.special.ndtri(middle), 0.0)
    shift = _standardised(score, shares)
    square = score**2 - (shares * score**2 * shift).sum(axis=1, keepdims=True) * shift
    nearest = np.sqrt(radius)[:, None]
    ratio = np.maximum(FARTHEST_TILT / nearest, 1.0) ** (1 / (TILT_STEPS - 1))
    found = []
    for direction in (shift, _standardised(square, shares)):
        for step in range(TILT_STEPS):
            far = nearest * ratio**step * direction
            for sign in (1.0, -1.0):
                weights = np.exp(np.clip(sign * far, -MAX_TILT, MAX_TILT))
                total = (shares * weights).sum(axis=1, keepdims=True)
                found.append(np.where(shares > 0, weights / np.where(total > 0, total, 1.0) - 1, 0.0))
    return np.stack(found)


def _standardised(values: Floats, shares: Floats) -> Floats:
    """Return the values with mean 0 and variance 1 under the shares; zeros where they do not vary."""
    away = np.where(shares > 0, values - (shares * values).sum(axis=1, keepdims=True), 0.0)
    deviation = np.sqrt((shares * away**2).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(away, deviation, out=np.zeros_like(away), where=deviation > 1e-9))


class Past:
    """E-values of the alternatives from past windows, and the counts of those windows.

    Args:
        shares: p (shape: signals, K).
        radius: η² (shape: signals).
    """

    def __init__(self, shares: Floats, radius: Floats) -> None:
        self.counts = np.zeros((len(HALF_LIVES), *shares.shape))
        """Decayed counts, by half-life."""
        possible = shares > 0
        self._inverse = np.where(possible, 1 / np.where(possible, shares, 1.0), 0.0)
        self._freedom = np.maximum(possible.sum(axis=1) - 1, 1).astype(np.float64)
        self._radius = radius
        self._decay = np.exp2(-1.0 / np.array(HALF_LIVES))[:, None, None]

    def log_ratio(self, counts: Floats) -> Floats:
        """Return Σ n log(q/p) - N log(1 + η sd_p(q/p)) (shape: alternatives, signals).

        With d = χ(past shares ‖ p), q lies the fraction 1 - η/d - (K-1)/(M d²) of the way from p to the shares of M
        past events. That maximises the expected log L if (K-1)/M of d² is noise. It is always below 1, so q > 0.
        """
        found = np.zeros(self.counts.shape[:2])
        _ratios(self.counts, self._inverse, self._freedom, self._radius, np.ascontiguousarray(counts), found)
        return found

    def add(self, counts: Floats) -> None:
        """Add a window's counts."""
        self.counts *= self._decay
        self.counts += counts


@compiled
def _ratios(past: Floats, inverse: Floats, freedom: Floats, radius: Floats, counts: Floats, found: Floats) -> None:
    """Fill in `found`, which is all zeros, where past windows were far enough from p (inverse: 1/p, or 0)."""
    for signal in range(len(counts)):
        events = 0.0
        for k in range(counts.shape[1]):
            events += counts[signal, k]
        eta = math.sqrt(radius[signal])
        for alternative in range(len(past)):
            n, second = 0.0, 0.0
            for k in range(counts.shape[1]):
                n += past[alternative, signal, k]
                second += past[alternative, signal, k] ** 2 * inverse[signal, k]
            if n <= 0:
                continue
            distance = max(second / n**2 - 1, 0.0)
            useful = distance - eta * math.sqrt(distance) - freedom[signal] / n
            if useful <= 0:
                continue
            part = useful / distance
            logs = 0.0
            for k in range(counts.shape[1]):
                if inverse[signal, k] > 0:
                    away = past[alternative, signal, k] * inverse[signal, k] / n - 1
                    logs += counts[signal, k] * math.log1p(part * away)
            found[alternative, signal] = logs - events * math.log1p(eta * part * math.sqrt(distance))


class Fixed:
    """E-values of alternatives that never change. Their logarithms are computed once.

    Args:
        away: q/p - 1 (shape: alternatives, signals, K).
        shares: p (shape: signals, K).
        radius: η² (shape: signals).
    """

    def __init__(self, away: Floats, shares: Floats, radius: Floats) -> None:
        deviation = np.sqrt((shares * away**2).sum(axis=-1))
        self._each = np.log1p(away) - np.log1p(np.sqrt(radius) * deviation)[..., None]

    def log_ratio(self, counts: Floats) -> Floats:
        """Return Σ n log(q/p) - N log(1 + η sd_p(q/p)) (shape: alternatives, signals)."""
        return np.asarray(np.einsum("gsk,sk->gs", self._each, counts))
