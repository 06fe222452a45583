"""Of which sort is a fault? The bins of a signal that hold more than any distribution near the reference explains.

While an incident is open its signals' evidence says no more than that they are not back. A fault of another sort shows
in bins that were not told to hold too much. Given that an event is in none of those, it is distributed as the
reference says, if nothing else changed: so what is left of the counts is compared with what is left of p. By Chernoff's
bound a share s of n events, where a bin has at most u of all, is as likely as

    P <= exp(-n KL(s ‖ u)),   u = p + η sqrt(p (1 - p)),

u being the largest share in the ball χ²(p' ‖ p) <= η² (see `ball`).
"""

import numpy as np

from driftline.sketches.keys import Bools, Floats


def risen(shares: Floats, radius: Floats, counts: Floats, told: Bools, level: float) -> Bools:
    """Mark the bins that hold too much: where nothing else changed, with probability e^-level a signal, at most.

    Args:
        shares: p (shape: signals, K).
        radius: η² (shape: signals).
        counts: tempered counts of a window (shape: signals, K).
        told: bins that are known to hold too much, and are left out.
        level: nats.
    """
    left, n = np.where(told, 0.0, shares), np.where(told, 0.0, counts).sum(axis=1, keepdims=True)
    total = np.maximum(left.sum(axis=1, keepdims=True), 1e-12)
    left = left / total
    share = np.divide(np.where(told, 0.0, counts), n, out=np.zeros_like(left), where=n > 0)
    most = np.clip(left + np.sqrt(radius[:, None] / total * left * (1 - left)), 1e-12, 1 - 1e-12)
    return np.asarray((n * above(share, most) >= level + np.log(shares.shape[1])) & ~told)


def above(share: Floats, most: Floats | float) -> Floats:
    """Return KL(share ‖ most) where a share is greater, else 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - most)), 0.0)
        return np.asarray(np.where(share > most, share * np.log(share / most) + rest, 0.0))
