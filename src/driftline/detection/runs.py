"""Runs of detectors: how many panes pass between two false detections, and until a shift is found."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.detection.simulated_limits import run_length_interval
from driftline.detection.streams import Chance
from driftline.evidence.baseline import Sizes
from driftline.evidence.detectors import DETECTORS, KNOWN, Replayed
from driftline.evidence.projection import Projection
from driftline.evidence.scores import Scores
from driftline.sketches.keys import Floats

ASKED: Final = 2_000.0
SURE: Final = 0.95
SIGNALS: Final = 50
SHIFTS: Final = (0.5, 1.0, 2.0)
CALM, HORIZON = 100, 200
"""Panes before a shift, and panes within which it is found."""


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """How often one detector was wrong."""

    asked: float
    scores: int
    detections: int

    def longest(self, share: float) -> float:
        """Return the upper end of the run length's interval at this confidence."""
        return run_length_interval(self.scores, self.detections, share)[1]

    @property
    def shown(self) -> str:
        """The run length measured, and its interval."""
        low, high = run_length_interval(self.scores, self.detections, SURE)
        measured = shown(self.scores / self.detections) if self.detections else "—"
        return f"{measured} ({shown(low)} to {shown(high)})"


def shown(run_length: float) -> str:
    """Return a run length in three digits."""
    return f"{float(f'{run_length:.3g}'):,.0f}" if run_length < np.inf else "∞"


def detections(name: str, asked: float, scores: Floats, sizes: Sizes = KNOWN) -> int:
    """Return how often a detector detects, made for a run length and fed the scores of one signal's panes."""
    detector = Replayed(name, "x", lambda: DETECTORS[name](asked))
    for at, score in enumerate(scores.tolist()):
        detector.update(score, at, sizes)
    return detector.detections


def pane_scores(scores: Scores, truth: Projection, pane: int | None, panes: int, chance: Chance) -> Floats:
    """Return the scores of panes that are drawn from the truth (shape: panes, signals); size None: 10 to 1,000."""
    sizes = np.full(panes, pane) if pane else np.rint(10 * 100 ** chance.random(panes)).astype(np.int64)
    vectors = np.zeros((panes, truth.width), dtype=np.int64)
    fine = truth.fine(truth.reference)
    for start, end in zip(truth.fine_bounds[1:], truth.fine_bounds[2:], strict=False):
        part = fine[start:end]
        vectors[:, start:end] = chance.multinomial(sizes, part / part.sum())
    return np.array([scores.of(vector)[1:] for vector in vectors])


def delay(name: str, shift: float, chance: Chance, *, calm: int = CALM, reference: float = np.inf) -> float:
    """Return how many panes after a shift it is found, counting none of what was detected before.

    Args:
        name: the detector's.
        shift: in standard errors of a pane.
        chance: what draws.
        calm: panes before the shift.
        reference: how many panes' worth of values the reference holds.
    """
    detector = Replayed(name, "x", lambda: DETECTORS[name](ASKED))
    off = chance.standard_normal() / np.sqrt(reference)
    scores = chance.standard_normal(calm + HORIZON) + shift * (np.arange(calm + HORIZON) >= calm) - off
    for at, score in enumerate(scores.tolist(), 1 - calm):
        if detector.update(score, at, Sizes(1, reference)) is not None and at > 0:
            return at
    return np.inf
