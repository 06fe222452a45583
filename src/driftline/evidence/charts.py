"""Control charts for standardised scores, with their exact average run lengths.

A chart of scores that are independent and standard normal while nothing changed alarms once in `arl` scores on average:
that number is the solution of an integral equation (Page 1954 for the CUSUM, Crowder 1987 for the EWMA), solved here at
Gauss-Legendre nodes to all digits that matter. So a chart's limit follows from how seldom it may be wrong.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

NODES: Final = 80
"""Nodes of the quadrature: 160 give the same seven digits."""
GRID: Final = 2**14
"""Limits are the first on this grid that are wide enough, so that processors whose last bits differ agree on them."""
LONGEST: Final = 1e9
"""The longest run length that can be solved for, 1,900 years of minutes. Beyond it the quadrature needs more nodes."""


def cusum_arl(limit: float, *, slack: float = 0.5, shift: float = 0.0, two_sided: bool = True) -> float:
    """Return the average run length of a CUSUM, S <- max(0, S + x - k), which alarms at S > h; two-sided: also at -x.

    Page 1954 (Biometrika 41, p. 100), section 3.

    Args:
        limit: h, in standard deviations.
        slack: k; half the shift that is to be found soonest.
        shift: the mean of the scores.
        two_sided: whether both directions are watched. 1/ARL is then the sum of both (Van Dobben de Bruyn 1968).

    >>> round(cusum_arl(4.0), 1), round(cusum_arl(4.0, shift=1.0), 2)
    (167.7, 8.38)
    """
    upper = _one_sided_cusum(limit, slack, shift)
    return 1 / (1 / upper + 1 / _one_sided_cusum(limit, slack, -shift)) if two_sided else upper


def _one_sided_cusum(limit: float, slack: float, shift: float) -> float:
    """Solve L(z) = 1 + L(0) Φ(k - z - μ) + ∫ L(y) φ(y + k - z - μ) dy over [0, h], and return L(0)."""
    nodes, weights = _quadrature(0.0, limit)
    starts = np.concatenate(([0.0], nodes))
    kernel = np.empty((len(starts), len(starts)))
    kernel[:, 0] = scipy.special.ndtr(slack - starts - shift)
    kernel[:, 1:] = weights * _density(nodes[None, :] + slack - starts[:, None] - shift)
    return float(np.linalg.solve(np.eye(len(starts)) - kernel, np.ones(len(starts)))[0])


def ewma_arl(limit: float, *, weight: float = 0.1, shift: float = 0.0) -> float:
    """Return the average run length of an EWMA, Z <- (1 - λ) Z + λ x, which alarms where |Z| > L sqrt(λ/(2 - λ)).

    Roberts 1959 (Technometrics 1, p. 239); the integral equation is that of Crowder 1987 (Technometrics 29, p. 401).

    Args:
        limit: L, in standard deviations of Z.
        weight: λ of the newest score.
        shift: the mean of the scores.

    >>> round(ewma_arl(2.814)), round(ewma_arl(2.814, shift=0.5), 1)
    (500, 31.3)
    """
    edge = limit * np.sqrt(weight / (2 - weight))
    nodes, weights = _quadrature(-edge, edge)
    starts = np.concatenate(([0.0], nodes))
    kernel = weights / weight * _density((nodes[None, :] - (1 - weight) * starts[:, None]) / weight - shift)
    inner = np.linalg.solve(np.eye(NODES) - kernel[1:], np.ones(NODES))
    return float(1 + kernel[0] @ inner)


def _density(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return φ(x). scipy's own is in scipy.stats, which takes half a second to import."""
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@cache
def limit_for(arl: float, run_length: Callable[[float], float]) -> float:
    """Return the limit at which a chart's average run length without a shift is `arl` (at least 2, at most 1e9).

    >>> round(limit_for(500, ewma_arl), 3)
    2.814
    """
    wanted = min(max(arl, 2.0), LONGEST)
    high = 1.0
    while run_length(high) < wanted:
        high *= 1.25
    steps = range(1, math.ceil(high * GRID))
    return steps[0] / GRID + bisect_left(steps, wanted, key=lambda step: run_length(step / GRID)) / GRID


class Cusum:
    """A two-sided CUSUM (Page 1954), in the form of a river detector.

    Args:
        limit: h.
        slack: k.
    """

    compares_with_reference: Final = True

    def __init__(self, limit: float, slack: float = 0.5) -> None:
        self.limit = limit
        self.slack = slack
        self._up = self._down = 0.0

    @property
    def drift_detected(self) -> bool:
        """Whether the latest score passed the limit."""
        return max(self._up, self._down) > self.limit

    def update(self, x: float) -> None:
        """Take one finite score."""
        self._up = max(0.0, self._up + x - self.slack)
        self._down = max(0.0, self._down - x - self.slack)


class Ewma:
    """An exponentially weighted moving average (Roberts 1959), in the form of a river detector.

    Args:
        limit: L, in standard deviations that the average has in the end.
        weight: λ of the newest score.
    """

    compares_with_reference: Final = True

    def __init__(self, limit: float, weight: float = 0.1) -> None:
        self.limit = limit
        self.weight = weight
        self._edge = limit * math.sqrt(weight / (2 - weight))
        self._level = 0.0

    @property
    def drift_detected(self) -> bool:
        """Whether the latest score took the average beyond the limit."""
        return abs(self._level) > self._edge

    def update(self, x: float) -> None:
        """Take one finite score."""
        self._level += self.weight * (x - self._level)


@cache
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(NODES)


def _quadrature(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    points, weights = _nodes()
    return (high - low) / 2 * points + (high + low) / 2, (high - low) / 2 * weights
