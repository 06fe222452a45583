"""Which faults does a signal have? The bins that hold more than any distribution near the reference explains.

While an incident is open, the evidence of its signals says only that they are not back to normal. A second kind of
fault shows in bins that were not reported to hold too much. If nothing else changed, events outside the reported bins
are distributed as the reference says. So the rest of the counts is compared with the rest of p. By Chernoff's bound
(1952, Annals of Mathematical Statistics 23, p. 493), a share s of n events, where a bin has at most u, has probability

    P <= exp(-n KL(s ‖ u)),   u = p + η sqrt(p (1 - p)),

u being the largest share in the ball χ²(p' ‖ p) <= η² (see `ball`).
"""

import numpy as np

from driftline.sketches.keys import Bools, Floats


def risen(shares: Floats, radius: Floats, counts: Floats, told: Bools, level: float) -> Bools:
    """Mark the bins that hold too much. If nothing else changed, this marks any with probability e^-level per signal.

    Args:
        shares: p (shape: signals, K).
        radius: η² (shape: signals).
        counts: tempered counts of a window (shape: signals, K).
        told: bins already reported to hold too much, which are left out.
        level: nats.
    """
    left, n = np.where(told, 0.0, shares), np.where(told, 0.0, counts).sum(axis=1, keepdims=True)
    total = np.maximum(left.sum(axis=1, keepdims=True), 1e-12)
    left = left / total
    share = np.divide(np.where(told, 0.0, counts), n, out=np.zeros_like(left), where=n > 0)
    most = np.clip(left + np.sqrt(radius[:, None] / total * left * (1 - left)), 1e-12, 1 - 1e-12)
    return np.asarray((n * above(share, most) >= level + np.log(shares.shape[1])) & ~told)


def above(share: Floats, most: Floats | float) -> Floats:
    """Return the Kullback-Leibler divergence KL(share ‖ most) in nats where a share is greater than most, else 0.

    >>> above(np.array([0.3, 0.1]), 0.2).round(4).tolist()
    [0.0282, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - most)), 0.0)
        return np.asarray(np.where(share > most, share * np.log(share / most) + rest, 0.0))
