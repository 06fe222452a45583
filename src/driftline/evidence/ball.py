"""The ball of distributions that count as unchanged, and how well the best of them explains a window.

A distribution p' counts as unchanged while χ²(p' ‖ p) = Σ (p'_k - p_k)² / p_k <= η². The ball covers the reference's
own sampling error and changes too small to matter.
"""

import math
from typing import Final

import numpy as np
import scipy

from driftline.compiled import compiled, inlined
from driftline.sketches.keys import Floats, Ints

MAX_TAIL: Final = 0.05
MAX_STEPS: Final = 40
"""Three to five are usual; a window far from the reference takes up to fifteen."""
CLOSE: Final = 1e-3
"""The search stops after a step that gained less than this many nats; the next would gain at most about 1e-5."""
SHORT: Final = 0.5
"""A step of log a that is longer than this gains what it should only by chance."""
FURTHEST: Final = 12.0
"""The search covers multipliers between e^-12 and e^12 times their scale."""
RARE: Final = 3.0
"""A bin is rare if it may hold this many times its share within the ball."""
TINY: Final = 1e-300


def ball_radius(
    shares: Floats, sizes: Ints, dispersion: Floats, allowance: float, min_effect: float, signals: int | None = None
) -> Floats:
    """Return η², the χ² distance from p within which a distribution counts as unchanged (shape: rows).

    It is the larger of `min_effect` and the sampling error of p itself: the 1 - allowance/(10 signals) quantile of
    χ²(K-1), or twice its mean if that is larger, over the reference's effective size m / φ (Pearson 1900, Philosophical
    Magazine 50, p. 157: m χ²(p̂ ‖ p) is about χ²(K-1)).

    Args:
        shares: p (shape: rows, K), 0 for impossible bins.
        sizes: m (shape: rows).
        dispersion: φ (shape: rows).
        allowance: false alarms allowed in a period.
        min_effect: χ² of the largest change that is too small to matter.
        signals: how many signals share the allowance; None for all rows.

    >>> shares = np.array([[0.5, 0.3, 0.2]])
    >>> [ball_radius(shares, np.array([m]), np.ones(1), 1.0, 0.02, 30).round(4).tolist() for m in (500, 50_000)]
    [[0.0228], [0.02]]
    """
    freedom = np.maximum((shares > 0).sum(axis=1) - 1, 1).astype(np.float64)
    tail = min(allowance / (10 * max(signals or len(shares), 1)), MAX_TAIL)
    error = np.maximum(scipy.special.chdtri(freedom, tail), 2 * freedom)
    return np.asarray(np.maximum(error * dispersion / np.maximum(sizes, 1), min_effect))


def most_likely(counts: Floats, shares: Floats, radius: Floats) -> Floats:
    """Return an upper bound, tight to about 1e-5 nats, on the log likelihood of the counts within the ball.

    It maximises Σ n_k log(p_k y_k) over y >= 0 with Σ p y = 1 and Σ p y² <= 1 + η² = l. For multipliers n(1 - a) and
    n a/(2l) with a > 0, the Lagrangian is greatest at a y²/l + (1 - a) y = u with u = n_k/(n p_k), and its value there
    is never below the maximum, whatever a is (weak duality: Boyd and Vandenberghe 2004, Convex Optimization, section
    5.1.3). So a search that stops early costs evidence, not validity. The bound is convex in a; a bracketed Newton's
    method in log a finds the root of its derivative.

    Args:
        counts: n (shape: signals, K).
        shares: p (shape: signals, K).
        radius: η² (shape: signals).

    A window in the ball is explained best by its own shares; one outside it, by the nearest point of the ball.

    >>> shares, radius = np.array([[0.5, 0.3, 0.2]]), np.array([0.02])
    >>> [most_likely(np.array([counts]), shares, radius).round(2).item() for counts in ([50.0, 30, 20], [60.0, 30, 10])]
    [-102.97, -90.81]
    >>> float((np.array([60, 30, 10]) * np.log([0.6, 0.3, 0.1])).sum().round(2))
    -89.79
    """
    found = np.empty(len(counts))
    _bounds(np.ascontiguousarray(counts), np.ascontiguousarray(shares), radius, np.empty(shares.shape[1]), found)
    return found


@compiled
def _bounds(counts: Floats, shares: Floats, radius: Floats, ratio: Floats, found: Floats) -> None:
    """Fill in `found`; `ratio` holds u, a row at a time."""
    for row in range(len(counts)):
        n, free = 0.0, 0.0
        for k in range(len(ratio)):
            n += counts[row, k]
        n = max(n, TINY)
        second, rarest, fullest = 0.0, 1.0, 0.0
        for k in range(len(ratio)):
            p, ratio[k] = shares[row, k], 0.0
            if counts[row, k] > 0:
                free += counts[row, k] * math.log(counts[row, k] / n)
                ratio[k] = counts[row, k] / (n * p) if p > 0 else 0.0
                second += p * ratio[k] ** 2
            if ratio[k] > fullest:
                rarest, fullest = p, ratio[k]
        limit = 1.0 + radius[row]
        if second <= limit:
            found[row] = free
            continue
        start = _if_one_bin_stands_out(rarest, fullest, limit)
        if start <= 0:
            start = _near(second, limit)
        found[row] = _bound(counts, shares, row, ratio, n, limit, math.log(min(max(start, 1e-3), 1e3)))


@inlined
def _near(second: float, limit: float) -> float:
    """Return a, exact near the ball; it is seldom above l/η². For small deviations a/l = χ/η - 1."""
    radius = limit - 1
    distance = math.sqrt((second - 1) / max(radius, TINY))
    return 1 / (1 / max(limit * (distance - 1), TINY) + radius / limit)


@inlined
def _if_one_bin_stands_out(p: float, u: float, limit: float) -> float:
    """Return a for all but the fullest bin taken together, if that one is rare and fuller than the ball allows; else 0.

    p is the bin's share, u the ratio of what it holds to that.
    """
    edge = 1 + math.sqrt((limit - 1) * (1 - p) / max(p, TINY))  # of the ball in that bin's direction
    return (u - edge) / (edge * (edge / limit - 1)) if edge > max(RARE, limit) else 0.0


@inlined
def _bound(counts: Floats, shares: Floats, row: int, ratio: Floats, n: float, limit: float, log_a: float) -> float:
    """Return the least value of the Lagrangian that is found, looking from log a on."""
    low, high = -FURTHEST, FURTHEST
    for step in range(MAX_STEPS):
        a = math.exp(log_a)
        first, second, curvature = 0.0, 0.0, 0.0
        for k in range(len(ratio)):
            y, root = _stationary(ratio[k], a, limit)
            weighted = shares[row, k] * y
            first += weighted
            second += weighted * y
            curvature += weighted * (limit - y) ** 2 / root
        # The bound's derivative in a is negative before the optimum; both without the factor n/(2l).
        slope = limit - second - 2 * limit * (1 - first)
        newton = slope / (a * (2 / limit * curvature) + TINY)
        if slope < 0:
            low = log_a
        else:
            high = log_a
        wanted = log_a - newton
        # Far from the optimum Newton's steps may crawl.
        inside = low <= wanted <= high and (step % 3 != 2 or abs(newton) < 0.1)
        before, log_a = log_a, wanted if inside else (low + high) / 2
        # Empty bins are filled from a = 1 on: there the curvature jumps, and a step across may be much too long.
        foreseen = inside and abs(newton) < SHORT and (before > 0) == (log_a > 0)
        if foreseen and n * abs(slope * newton) * a <= CLOSE:
            break
    a = math.exp(log_a)
    bound, first, second = 0.0, 0.0, 0.0
    for k in range(len(ratio)):
        y, _ = _stationary(ratio[k], a, limit)
        weighted = shares[row, k] * y
        first += weighted
        second += weighted * y
        if ratio[k] > 0:
            bound += counts[row, k] * math.log(weighted)
    return bound + n * ((1 - a) * (1 - first) + a / (2 * limit) * (limit - second))


@inlined
def _stationary(u: float, a: float, limit: float) -> tuple[float, float]:
    """Solve a y²/l + (1 - a) y = u for y >= 0, without cancellation on either side of a = 1; and the root within."""
    root = math.sqrt((1 - a) ** 2 + 4 * a / limit * u) + TINY
    if a < 1:
        return 2 * u / (1 - a + root), root
    return (root + a - 1) * limit / (2 * a), root
