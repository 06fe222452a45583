"""The baseline of a control chart: the mean of the reference and of the panes since.

A score says how far a pane's mean is from the reference's. The reference's mean is itself off by chance: if the
reference has as many values as r panes, by 1/sqrt(r) of a pane's standard error, in every score alike. A chart that
trusted it would detect that difference. So charts are self-starting (Hawkins 1987, The Statistician 36, p. 315;
Quesenberry 1991, J. Quality Technology 23, p. 213). With N values in the reference, earlier panes of sizes n_i and
scores x_i, S = Σ sqrt(n_i) x_i and M = N + Σ n_i,

    T = (x - sqrt(n) S/M) / sqrt(1 + n/M)

is the difference between the pane's mean and that of all M values before, over the standard deviation of this
difference. While nothing changes, these recursive residuals (Brown, Durbin and Evans 1975, J. Royal Statistical Society
B 37, p. 149) are independent and standard normal, whatever the error of the reference's mean. The formula also
holds for scores that are all reduced by the same dispersion.

Which panes enter S and M?

- Every pane, while nothing is detected; otherwise T would not be independent. But no pane moves the mean by more than
  `CLIP` standard deviations of T, so that one wild pane does not affect those after it.
- No pane up to a detection: the latest ones belong to the change, and nobody knows which. So the restarted chart
  compares with the reference alone, detects a lasting change again (`detectors.EPISODE` reports it once), and is right
  at once when the change is over. Incidents that open or resolve change nothing.
- Each phase of a season has its own S and M, because its reference has its own error.
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

CLIP: Final = 4.0
MAX_TOTAL: Final = 2**53
"""State with more values than this is corrupt: up to here all sums of sizes are exact."""


class Sizes(NamedTuple):
    """What a pane's score was made from."""

    pane: int = 1
    """Values in the pane."""
    reference: float = math.inf
    """Values of the reference; infinite for the truth."""
    phase: tuple[int, int] = (0, 0)
    """The phase of the season that the reference is of: (first slot, number of slots)."""


class Learned(NamedTuple):
    """What the panes of one phase add to the reference."""

    phase: tuple[int, int]
    total: float
    """S."""
    values: int
    """M - N."""


class Baseline:
    """The mean so far of one signal.

    Args:
        learned: what panes added to it before.

    >>> baseline = Baseline()
    >>> [round(baseline.compare(score, Sizes(50, 100)), 3) for score in (2.0, 2.0, 2.0)]
    [1.633, 1.155, 0.894]
    """

    def __init__(self, learned: Iterable[Learned] = ()) -> None:
        self._learned = {held.phase: held for held in learned}
        if not all(abs(held.total) < MAX_TOTAL and 0 < held.values < MAX_TOTAL for held in self._learned.values()):
            raise ValueError("no panes can have added this to a mean")

    def compare(self, score: float, sizes: Sizes) -> float:
        """Return T of a pane with this finite score, and take the pane in."""
        n, phase = sizes.pane, sizes.phase
        root = math.sqrt(n)
        _, total, values = self._learned.get(phase, (phase, 0.0, 0))
        before = max(sizes.reference, 1) + values
        expected, deviation = root * total / before, math.sqrt(1 + n / before)
        found = (score - expected) / deviation
        entering = score if abs(found) <= CLIP else expected + math.copysign(CLIP, found) * deviation
        self._learned[phase] = Learned(phase, total + root * entering, values + n)
        return found

    def snapshot(self) -> tuple[Learned, ...]:
        """Return all of its state."""
        return tuple(self._learned.values())
