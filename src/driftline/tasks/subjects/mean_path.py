"""Where the means of a subject's numbers were in its last windows: for pictures, and nothing is decided by them."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from driftline.codec import corrupt
from driftline.sketches.keys import Floats

MAX_WINDOWS: Final = 60


class MeanPath:
    """The last windows of one length, oldest first: their ends, and the mean of each signal; NaN where it has none."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque(maxlen=MAX_WINDOWS)
        self._means: deque[Floats] = deque(maxlen=MAX_WINDOWS)

    def add(self, end: int, means: Floats) -> None:
        """Note a window."""
        self._ends.append(end)
        self._means.append(means)

    def of(self, signals: tuple[str, ...]) -> dict[str, list[tuple[int, float]]]:
        """Return (end of the window in epoch milliseconds, mean) of the signals that have means, by name."""
        columns = zip(*(means.tolist() for means in self._means), strict=True)
        found = {
            name: [(end, mean) for end, mean in zip(self._ends, column, strict=True) if mean == mean]
            for name, column in zip(signals, columns, strict=False)
        }
        return {name: held for name, held in found.items() if held}

    def snapshot(self) -> dict[str, Any]:
        """Return the arrays of its state: some 10 kB for 20 signals."""
        if not self._ends:
            return {}
        return {"path/ends": np.array(self._ends, dtype=np.int64), "path/means": np.concatenate(self._means)}

    @classmethod
    def restored(cls, arrays: Mapping[str, Any], signals: int) -> "MeanPath":
        """Return what `snapshot` stored. Raises `StateCorrupt` where it does not fit so many signals."""
        path = cls()
        if "path/ends" not in arrays:
            return path
        ends, means = arrays["path/ends"], arrays["path/means"]
        if (ends.dtype, means.dtype) != (np.int64, np.float64) or len(means) != len(ends) * signals:
            raise corrupt("subject", "its path does not fit its reference")
        for end, row in zip(ends.tolist(), means.reshape(-1, signals), strict=True):
            path.add(end, row)
        return path
