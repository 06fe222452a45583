"""When has a signal come back? Evidence that a change is gone, weighed like the change itself.

While an incident fires, each of its signals has the shares q that its windows had when they last spoke against the
reference p. Each window since is compared with both:

    B <- max(1, B Π (2 p_k / (p_k + q_k))^n_k)

The product is an e-value against "half of the change, or more, is still there": for events from p + t (q - p) the
mean of 2p/(p+q) is linear in t, 1 at t = 1/2, and Σ 2pq/(p+q) <= 1 at t = 1. So while half of it is there B reaches b
at most once in b windows on average (Lorden 1971). A signal speaks when its R (see `evalues`), begun anew whenever one
spoke, reaches 20; it is back when B is 100 and R is not above its own bound within the ball, so that no other change
took the first one's place. A few large windows are enough, small ones must be many, and one that happens to be quiet
says little.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from driftline.evidence.evalues import GRID, Snapshot
from driftline.sketches.keys import Bools, Floats

ENOUGH: Final = float(np.log(100.0))
"""Log of B at which the change is believed to be gone."""


class Recovery:
    """How far some signals of an incident have come back.

    Args:
        likeness: q/p of these signals in the incident's windows (shape: signals, K); NaN where nothing is known. It is
            kept relative to p, which may be another from window to window: that of the hour, say.
    """

    def __init__(self, likeness: Floats) -> None:
        self._likeness = np.array(likeness)
        self._log_b = np.zeros(len(likeness))

    def join(self, likeness: Floats) -> None:
        """Add a signal (shape: K)."""
        self._likeness = np.concatenate((self._likeness, likeness[None, :]))
        self._log_b = np.append(self._log_b, 0.0)

    def take(self, shares: Floats, counts: Floats, likeness: Floats, speaks: Bools) -> None:
        """Take a window.

        Args:
            shares: p, with which it is compared (shape: signals, K).
            counts: tempered counts, of the same shape.
            likeness: q/p as it is now, of the same shape.
            speaks: the signals that, with this window, speak against the reference.
        """
        total = (shares * self._likeness).sum(axis=1, keepdims=True)
        q = np.divide(self._likeness, total, out=np.ones_like(shares), where=total > 0)  # 1 where it is not known
        gained = (counts * (np.log(2.0) - np.log1p(q))).sum(axis=1)
        calm = np.maximum(self._log_b + np.rint(gained * GRID) / GRID, 0.0)
        self._log_b = np.where(speaks, 0.0, calm)
        self._likeness = np.where(speaks[:, None], likeness, self._likeness)

    @property
    def back(self) -> Bools:
        """The signals whose change is gone; one of which no change is known counts as such."""
        return np.asarray((self._log_b >= ENOUGH) | np.isnan(self._likeness).any(axis=1))

    def snapshot(self) -> Snapshot:
        """Return its state as flat arrays."""
        return {"likeness": self._likeness.reshape(-1).copy(), "log_b": self._log_b.copy()}

    def restore(self, snapshot: Mapping[str, Floats]) -> None:
        """Take over a snapshot for the same signals. Raises `ValueError` if its shape is another."""
        self._likeness = snapshot["likeness"].reshape(self._likeness.shape).copy()
        self._log_b = snapshot["log_b"].reshape(self._log_b.shape).copy()
