"""The ball of distributions around a reference that are no change, and how well the best of them explains a window.

A distribution p' is no change while χ²(p' ‖ p) = Σ (p'_k - p_k)² / p_k <= η². The ball covers the reference's own
sampling error and changes too small to matter.
"""

from typing import Final

import numpy as np
from scipy.special import chdtri, xlogy

from driftline.sketches.keys import Floats, Ints

MOST_TAIL: Final = 0.05
MOST_STEPS: Final = 40
"""Three to five are usual; a window far from the reference takes up to fifteen."""
CLOSE: Final = 1e-3
"""A search ends with a step that gained less than this many nats: the next would gain less than 1e-5."""
FURTHEST: Final = 12.0
"""The multiplier is looked for between e^-12 and e^12 times its scale."""
RARE: Final = 3.0
"""Times its share that a bin may hold within the ball: from here on it is rare."""
TINY: Final = 1e-300


def ball_radius(
    shares: Floats, sizes: Ints, dispersion: Floats, allowance: float, min_effect: float, signals: int | None = None
) -> Floats:
    """Return η², the χ² distance from p within which a distribution is no change (shape: rows).

    The larger of `min_effect` and the sampling error of p itself: the 1 - allowance/(10 signals) quantile of χ²(K-1),
    or twice its mean, over the reference's effective size m / φ. `signals` share the allowance; else all rows do.
    """
    freedom = np.maximum((shares > 0).sum(axis=1) - 1, 1).astype(np.float64)
    tail = min(allowance / (10 * max(signals or len(shares), 1)), MOST_TAIL)
    error = np.maximum(chdtri(freedom, tail), 2 * freedom)
    return np.asarray(np.maximum(error * dispersion / np.maximum(sizes, 1), min_effect))


def most_likely(counts: Floats, shares: Floats, radius: Floats) -> Floats:
    """Return an upper bound, tight to about 1e-6, on the log likelihood of the counts within the ball.

    Maximise Σ n_k log(p_k y_k) over y >= 0 with Σ p y = 1 and Σ p y² <= 1 + η² = l. For multipliers n(1 - a) and
    n a/(2l) with a > 0 the Lagrangian is greatest at a y²/l + (1 - a) y = u with u = n_k/(n p_k), and its value there
    is never below the maximum, whatever a is: so a search cut short costs evidence, not validity. The bound is convex
    in a; its derivative's root is found by Newton's method in log a, kept within a bracket.
    """
    n = np.maximum(counts.sum(axis=1), TINY)
    ratio = np.divide(counts, n[:, None] * shares, out=np.zeros_like(counts), where=shares > 0)
    limit = 1.0 + radius
    second = (shares * ratio**2).sum(axis=1)
    free = xlogy(counts, counts / n[:, None]).sum(axis=1)
    outside = np.flatnonzero(second > limit)
    if not len(outside):
        return np.asarray(free)
    n, ratio, limit, shares = n[outside], ratio[outside], limit[outside], shares[outside]
    distance = np.sqrt((second[outside] - 1) / np.maximum(radius[outside], TINY))
    near = 1 / (1 / (limit * (distance - 1)) + radius[outside] / limit)  # exact near the ball; seldom above l/η²
    rare = _if_one_bin_stands_out(ratio, limit, shares, radius[outside])
    log_a = _best_multiplier(n, ratio, limit, shares, np.where(rare > 0, rare, near))
    a, l_ = np.exp(log_a), limit
    y, _ = _stationary(ratio, a[:, None], l_[:, None])
    weighted = shares * y
    bound = xlogy(counts[outside], np.where(ratio > 0, weighted, 1.0)).sum(axis=1)
    bound += n * ((1 - a) * (1 - weighted.sum(axis=1)) + a / (2 * l_) * (l_ - (weighted * y).sum(axis=1)))
    free[outside] = bound
    return np.asarray(free)


def _if_one_bin_stands_out(ratio: Floats, limit: Floats, shares: Floats, radius: Floats) -> Floats:
    """Return a for all but one bin taken together, if that one is rare and much fuller than the ball allows; else 0."""
    rows, fullest = np.arange(len(ratio)), ratio.argmax(axis=1)
    p, u = shares[rows, fullest], ratio[rows, fullest]
    y = 1 + np.sqrt(radius * (1 - p) / np.maximum(p, TINY))  # the edge of the ball in that bin's direction
    a = np.divide(u - y, y * (y / limit - 1), out=np.zeros_like(y), where=y > RARE)
    return np.asarray(np.maximum(a, 0.0))


def _best_multiplier(n: Floats, ratio: Floats, limit: Floats, shares: Floats, start: Floats) -> Floats:
    """Return log a, looked for from `start` on. For small deviations a/l = χ/η - 1."""
    log_a = np.log(np.clip(start, 1e-3, 1e3))
    low, high = np.full(len(n), -FURTHEST), np.full(len(n), FURTHEST)
    left = np.arange(len(n))
    for step in range(MOST_STEPS):
        at, a, l_, p = log_a[left], np.exp(log_a[left]), limit[left], shares[left]
        y, root = _stationary(ratio[left], a[:, None], l_[:, None])
        weighted = p * y
        # The bound's derivative in a is negative before the optimum; both without the factor n/(2l).
        slope = l_ - (weighted * y).sum(axis=1) - 2 * l_ * (1 - weighted.sum(axis=1))
        curvature = 2 / l_ * (weighted * (l_[:, None] - y) ** 2 / root).sum(axis=1)
        low[left] = np.where(slope < 0, at, low[left])
        high[left] = np.where(slope < 0, high[left], at)
        newton = slope / (a * curvature + TINY)
        wanted = at - newton
        inside = (wanted >= low[left]) & (wanted <= high[left])
        if step % 3 == 2:  # far from the optimum Newton's steps may crawl
            inside &= np.abs(newton) < 0.1
        log_a[left] = np.where(inside, wanted, (low[left] + high[left]) / 2)
        left = left[n[left] * np.abs(slope * newton) * a > CLOSE]
        if not len(left):
            break
    return log_a


def _stationary(ratio: Floats, a: Floats, limit: Floats) -> tuple[Floats, Floats]:
    """Solve a y²/l + (1 - a) y = u for y >= 0, without cancellation on either side of a = 1; and the root within."""
    root = np.sqrt((1 - a) ** 2 + 4 * a / limit * ratio) + TINY
    above = np.where(a < 1, 2 * ratio, (root + a - 1) * limit)
    return above / np.where(a < 1, 1 - a + root, 2 * a), root
