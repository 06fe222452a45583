"""How probable a class is at a score, learned from outcomes: isotonic regression of the outcomes on the score.

A score is used as it is where it is a probability already: where the expected calibration error is no more than what a
perfectly calibrated model would show by chance (`reliability.chance_error`). NannyML asks whether calibration lowers
the error over stratified splits of the rows; a tally has no rows to split.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from driftline.performance.by_score import Curve
from driftline.performance.outcomes import IS
from driftline.performance.reliability import binned, calibration_error, chance_error
from driftline.sketches.keys import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCalibration:
    """How probable one class is at each score. The arrays run parallel, one row a bucket of the reference."""

    scores: Floats
    """Mean scores, ascending."""
    rates: Floats
    """How probable the class is there, never falling."""
    blocks: Ints
    """Neighbours of one rate are one block: their outcomes were put together."""
    sizes: Floats
    """How many independent outcomes each block is worth (shape: blocks)."""
    as_it_is: bool
    """Whether the score itself is the probability."""

    def __call__(self, scores: Floats) -> Floats:
        """Return how probable the class is at each score: between those known, on a straight line."""
        return scores if self.as_it_is else np.interp(scores, self.scores, self.rates)

    def size_at(self, scores: Floats, weights: Floats, group: Ints, groups: int) -> Floats:
        """Return as how many outcomes the reference counts that the scores of each group are judged by.

        The mean over scores of a rate that is known from n outcomes is known as if from 1 / Σ share² / n, summed over
        blocks. A score that lies between two blocks, or beyond all, counts to the nearest.
        """
        if self.as_it_is:
            return np.full(groups, np.inf)
        middle = (self.scores[1:] + self.scores[:-1]) / 2
        block = self.blocks[np.searchsorted(middle, scores)]
        of = np.bincount(group * len(self.sizes) + block, weights, groups * len(self.sizes)).reshape(groups, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(of.sum(axis=1) ** 2 / (of**2 / self.sizes).sum(axis=1))


def calibrated(curve: Curve, *, always: bool = False) -> ScoreCalibration:
    """Learn how probable a class is at its score from one group's outcomes.

    Args:
        curve: of one group; all its outcomes have labels.
        always: calibrate also where the score is a probability already.

    >>> from driftline.performance.by_score import curve
    >>> from driftline.performance.outcomes import classified
    >>> truth = np.array([0, 0, 1, 0, 1])
    >>> rows = classified(0 * truth, truth, truth, np.array([0.1, 0.1, 0.1, 0.6, 0.7]))
    >>> calibrated(curve(rows, 1), always=True)(np.array([0.0, 0.1, 0.7, 0.9])).round(3)
    array([0.25, 0.25, 1.  , 1.  ])
    """
    if curve.groups != 1:
        raise ValueError(f"a calibration needs the outcomes of one group, not of {curve.groups}")
    mass = curve.weights.sum(axis=0)
    held = mass > 0
    if not held.any():
        raise ValueError("a calibration needs outcomes, but there are none: wait for labels")
    mass, hits = mass[held], curve.weights[IS][held]
    means = (curve.weights * curve.means).sum(axis=0)[held] / mass
    fitted = scipy.optimize.isotonic_regression(hits / mass, weights=mass)
    starts = fitted.blocks[:-1]
    blocks = np.repeat(np.arange(len(starts)), np.diff(fitted.blocks))
    sizes = np.add.reduceat(mass, starts) * curve.worth[0]
    probabilities = bool(((means >= 0) & (means <= 1)).all())
    bins = binned(curve)
    fits = probabilities and not always and bool(calibration_error(bins).values[0] <= chance_error(bins)[0])
    return ScoreCalibration(means, np.asarray(fitted.x), blocks, sizes, fits)
