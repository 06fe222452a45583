"""When did a change begin? At the start of the run of windows that best explains the evidence.

If a change began with window k, the evidence of the windows since then is Σ log L. The k with the greatest sum is the
most likely start. It can be found window by window (Page 1954, Biometrika 41, section 2): keep

    S <- max(S + log L, 0)

and remember the window at which S last left 0. That takes one number and one time per signal, and no past windows.
"""

from collections.abc import Mapping

import numpy as np

from driftline.sketches.keys import Floats, Ints


class Onset:
    """The most likely start of a change, for each signal.

    >>> onset = Onset(1)
    >>> for hour, log in enumerate([-0.1, -0.2, 0.8, 1.5]):
    ...     onset.add(np.array([log]), hour * 3_600_000)
    >>> onset.of(0) == 2 * 3_600_000
    True
    """

    def __init__(self, signals: int) -> None:
        self._sum = np.zeros(signals)
        self._began: Ints = np.zeros(signals, dtype=np.int64)

    def add(self, logs: Floats, start: int) -> None:
        """Take the log e-values of the window that starts at `start` (shape: signals; epoch milliseconds)."""
        self._began = np.where(self._sum > 0, self._began, start)
        self._sum = np.maximum(self._sum + logs, 0.0)

    def of(self, signal: int) -> int | None:
        """Return the start of the window with which the signal's change began; None if there is no evidence of one."""
        return int(self._began[signal]) if self._sum[signal] > 0 else None

    def forget(self, signals: Ints) -> None:
        """Begin afresh for some signals: the change is over, and the next one did not begin with it."""
        self._sum[signals] = 0.0

    def snapshot(self) -> dict[str, Floats | Ints]:
        """Return its state as flat arrays."""
        return {"sum": self._sum.copy(), "began": self._began.copy()}

    def restore(self, snapshot: Mapping[str, Floats | Ints]) -> None:
        """Take over a snapshot. Raises `ValueError` if it is of other signals."""
        if not len(snapshot["sum"]) == len(snapshot["began"]) == len(self._sum):
            raise ValueError("sums and beginnings are not of these signals")
        self._sum = snapshot["sum"].astype(np.float64)
        self._began = snapshot["began"].astype(np.int64)
