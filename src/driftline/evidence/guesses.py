"""Guesses of what a window may look like if its signal has changed, made before its events came.

Three kinds. Each is good where the others are not:

- *tilts*: the reference with its bins reweighted along a line, towards higher or lower values, or towards the tails or
  the middle. Nothing is learned, so nothing is paid for learning: they find the usual small shifts.
- *from the past*: the shares of past windows. They find small changes of any form that stay.
- *learning*: Dirichlet mixtures, which learn within the window. They find any large change at once.
"""

import math
from typing import Final

import numpy as np
import scipy

from driftline.compiled import compiled
from driftline.sketches.keys import Floats

STRENGTHS: Final = (1.0, 10.0, 100.0)
"""Guesses around the reference: Dirichlet(strength x K x p); and one with heavy tails, Dirichlet(1/2) over all bins."""
HALF_LIVES: Final = (1.0, 4.0, 16.0)
"""Guesses from the past: shares of counts that lose half their weight in so many windows, drawn towards p."""
TILT_STEPS: Final = 4
FARTHEST_TILT: Final = 1.2
"""How far tilts go: from the ball's radius η to 1.2 in so many equal ratios. A tilt by t looks for a shift by t + η
standard deviations, and finds one by half or twice that about as soon. Larger changes show in one window anyhow.
"""
MAX_TILT: Final = 3.0
"""The greatest change of a bin's log odds."""
LEARNING: Final = len(STRENGTHS) + 1
TILTS: Final = 4 * TILT_STEPS
GUESSES: Final = LEARNING + len(HALF_LIVES) + TILTS


def dirichlets(shares: Floats) -> Floats:
    """Return the parameters of the learning guesses (shape: guesses, signals, K); 0 where a bin cannot be."""
    bins = (shares > 0).sum(axis=1, keepdims=True)
    around = [strength * bins * shares for strength in STRENGTHS]
    return np.stack([*around, np.where(shares > 0, 0.5, 0.0)])


class Dirichlets:
    """Log probabilities of counts under Dirichlet mixtures of multinomials.

    Args:
        alphas: shape (guesses, signals, K); 0 where a bin cannot be.
    """

    def __init__(self, alphas: Floats) -> None:
        self._alphas = alphas
        self._alone = scipy.special.gammaln(np.where(alphas > 0, alphas, 1.0))
        total = alphas.sum(axis=-1)
        self._total = np.where(total > 0, total, 1.0)
        self._total_alone = scipy.special.gammaln(self._total)

    def log_likelihood(self, counts: Floats) -> Floats:
        """Return the log probability of a sequence of events with these counts (shape: guesses, signals).

        lnΓ(A) - lnΓ(A + n) + Σ lnΓ(a_k + n_k) - lnΓ(a_k), with A = Σ a_k.
        """
        found = np.zeros(self._total.shape)
        _mixtures(self._alphas, self._alone, self._total, self._total_alone, np.ascontiguousarray(counts), found)
        return found


@compiled
def _mixtures(alphas: Floats, alone: Floats, total: Floats, total_alone: Floats, counts: Floats, found: Floats) -> None:
    """Fill in `found`. Most bins of data quality are empty: they cost nothing."""
    for signal in range(len(counts)):
        n = 0.0
        for k in range(counts.shape[1]):
            n += counts[signal, k]
        for guess in range(len(alphas)):
            logs = total_alone[guess, signal] - math.lgamma(total[guess, signal] + n)
            for k in range(counts.shape[1]):
                if counts[signal, k] > 0 and alphas[guess, signal, k] > 0:
                    logs += math.lgamma(alphas[guess, signal, k] + counts[signal, k]) - alone[guess, signal, k]
            found[guess, signal] = logs


def tilts(shares: Floats, radius: Floats) -> Floats:
    """Return q/p - 1 of the tilts (shape: guesses, signals, K): q is proportional to p exp(±t v) for each distance t.

    v is of unit variance under p: the normal score of a bin's middle rank (van der Waerden 1952), which is the most
    powerful direction for a shift of a normal, and its square freed of it, for a change of scale. Bins are in the order
    of their values; for categories in that of their frequency, so there the tilts are towards frequent or rare ones.
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
    """E-values of guesses from the past windows, and what these held.

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
        """Return Σ n log(q/p) - N log(1 + η sd_p(q/p)) (shape: guesses, signals).

        With d = χ(past shares ‖ p), the guess q goes the part 1 - η/d - (K-1)/(M d²) of the way from p to the shares
        of M past events: what makes the expected log L greatest when d² holds (K-1)/M of noise. It is always less than
        1, so q > 0.
        """
        found = np.zeros(self.counts.shape[:2])
        _ratios(self.counts, self._inverse, self._freedom, self._radius, np.ascontiguousarray(counts), found)
        return found

    def add(self, counts: Floats) -> None:
        """Take in a window."""
        self.counts *= self._decay
        self.counts += counts


@compiled
def _ratios(past: Floats, inverse: Floats, freedom: Floats, radius: Floats, counts: Floats, found: Floats) -> None:
    """Fill in `found`, zeros, where past windows were far enough from p (inverse: 1/p, 0 where a bin cannot be)."""
    for signal in range(len(counts)):
        events = 0.0
        for k in range(counts.shape[1]):
            events += counts[signal, k]
        eta = math.sqrt(radius[signal])
        for guess in range(len(past)):
            n, second = 0.0, 0.0
            for k in range(counts.shape[1]):
                n += past[guess, signal, k]
                second += past[guess, signal, k] ** 2 * inverse[signal, k]
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
                    away = past[guess, signal, k] * inverse[signal, k] / n - 1
                    logs += counts[signal, k] * math.log1p(part * away)
            found[guess, signal] = logs - events * math.log1p(eta * part * math.sqrt(distance))


class Fixed:
    """E-values of guesses that never change: their logarithms are taken once.

    Args:
        away: q/p - 1 (shape: guesses, signals, K).
        shares: p (shape: signals, K).
        radius: η² (shape: signals).
    """

    def __init__(self, away: Floats, shares: Floats, radius: Floats) -> None:
        deviation = np.sqrt((shares * away**2).sum(axis=-1))
        self._each = np.log1p(away) - np.log1p(np.sqrt(radius) * deviation)[..., None]

    def log_ratio(self, counts: Floats) -> Floats:
        """Return Σ n log(q/p) - N log(1 + η sd_p(q/p)) (shape: guesses, signals)."""
        return np.asarray(np.einsum("gsk,sk->gs", self._each, counts))
