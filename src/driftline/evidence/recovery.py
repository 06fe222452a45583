"""When is a signal back to normal? Evidence that a change is gone, in the same currency as the change itself.

While an incident fires, each of its signals keeps the shares q that its windows had when they last spoke against the
reference p. Each later window is compared with both:

    B <- max(1, B Π (2 p_k / (p_k + q_k))^n_k)

The product is an e-value against "half of the change, or more, is still there": for events from p + t (q - p) the mean
of 2p/(p+q) is linear in t, 1 at t = 1/2, and Σ 2pq/(p+q) <= 1 at t = 1. So while half of the change is there, B reaches
b at most once in b windows on average (Lorden 1971, Annals of Mathematical Statistics 42, p. 1897). A signal speaks
when its R (see `evalues`), which restarts whenever it spoke, reaches 20. It is back when B is 100 and R is within its
bound for the ball, so that no other change has taken the place of the first. A few large windows are enough, small
windows must be many, and one quiet window says little.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from driftline.evidence.evalues import GRID
from driftline.sketches.keys import Bools, Floats, Ints

ENOUGH: Final = float(np.log(100.0))
"""Log of B at which the change counts as gone."""
QUIET_WINDOWS: Final = 3
"""Windows in a row that must not speak against the reference before a signal is back, whatever their evidence."""


class Recovery:
    """How far the signals of an incident have come back.

    Args:
        rows: the signals, by their rows of the evidence, in the order in which they joined.
        likeness: q/p of these signals in the incident's windows (shape: signals, K); NaN where nothing is known. It is
            kept relative to p, which may be another from window to window: that of the hour, say.
        told: marks the bins that were told to hold too many of their values (same shape).
    """

    def __init__(self, rows: Ints, likeness: Floats, told: Bools) -> None:
        self.rows = rows
        self.told = told
        self._likeness = np.array(likeness)
        self._log_b = np.zeros(len(rows))
        self._quiet = np.zeros(len(rows), dtype=np.int64)
        """Windows since each signal spoke."""

    def join(self, rows: Ints, likeness: Floats, told: Bools) -> None:
        """Add signals."""
        self.rows = np.concatenate((self.rows, rows))
        self.told = np.concatenate((self.told, told))
        self._likeness = np.concatenate((self._likeness, likeness))
        self._log_b = np.append(self._log_b, np.zeros(len(rows)))
        self._quiet = np.append(self._quiet, np.zeros(len(rows), dtype=np.int64))

    def release(self, chosen: Bools) -> None:
        """Let go of signals that are back."""
        kept = ~chosen
        self.rows, self.told, self._likeness = self.rows[kept], self.told[kept], self._likeness[kept]
        self._log_b, self._quiet = self._log_b[kept], self._quiet[kept]

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
        self._quiet = np.where(speaks, 0, self._quiet + 1)

    @property
    def gone(self) -> Bools:
        """The signals whose change is gone; one of which no change is known counts as such."""
        return np.asarray((self._log_b >= ENOUGH) | np.isnan(self._likeness).any(axis=1))

    def back(self, log_r: Floats) -> Bools:
        """Return which signals are back, given log R: within the ball E[R] is at most the windows since it began."""
        calm = (self._quiet >= QUIET_WINDOWS) & (log_r <= np.log(np.maximum(self._quiet, 1)))
        return np.asarray(self.gone & calm)

    def snapshot(self) -> dict[str, Any]:
        """Return its state as flat arrays."""
        return {
            "rows": self.rows.copy(),
            "told": self.told.astype(np.int64).reshape(-1),
            "quiet": self._quiet.copy(),
            "likeness": self._likeness.reshape(-1).copy(),
            "log_b": self._log_b.copy(),
        }

    @classmethod
    def restored(cls, snapshot: Mapping[str, Any], bins: int) -> "Recovery":
        """Take up a snapshot of evidence with so many bins. Raises `ValueError` if its parts do not fit together."""
        rows = snapshot["rows"]
        shape = (len(rows), bins)
        found = cls(rows, snapshot["likeness"].reshape(shape), snapshot["told"].reshape(shape) != 0)
        found._log_b = snapshot["log_b"].reshape(len(rows)).copy()
        found._quiet = snapshot["quiet"].reshape(len(rows)).copy()
        return found
