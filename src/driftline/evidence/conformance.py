"""What every online detector must be like, ours and yours: call `check_detector` in a test of your package.

class Median:                                            # a river-style detector in a dozen lines
    compares_with_reference = True                       # scores with zero; leave it out if with the scores before
    def __init__(self, limit: float) -> None:
        self.limit, self.last = limit, [0.0] * 5
    @property
    def drift_detected(self) -> bool:
        return abs(sorted(self.last)[2]) > self.limit
    def update(self, x: float) -> None:
        self.last = [*self.last[1:], x]

def median(run_length: float) -> Median:                 # scores between two false detections
    return Median(0.54 * (2 * math.log(run_length)) ** 0.5)

# pyproject.toml:  [project.entry-points."driftline.detectors"]
#                  median = "my_package:median"
# driftline.yaml:  detectors: {"features.age": [median, cusum]}
"""

from typing import Final

import numpy as np

from driftline.evidence.detectors import Maker

RUN_LENGTH: Final = 2_000.0
SCORES: Final = 40_000
MAX_FALSE: Final = 2.0
"""Times as many false detections as its run length says."""
SHIFT: Final = 2.0
SOON: Final = 40
"""Scores within which a shift by two standard deviations is found."""


def check_detector(make: Maker, *, seed: int = 1) -> None:
    """Raise AssertionError, with what is wrong, unless what `make` makes can be trusted to watch a signal.

    It must keep its run length on independent normal scores, find a shift either way, and be a function of the scores
    it was fed: detectors are rebuilt from those after a restart.
    """
    chance = np.random.default_rng(seed)
    false = _detections(make, chance.standard_normal(SCORES).tolist())
    allowed = MAX_FALSE * SCORES / RUN_LENGTH
    assert len(false) <= allowed, f"{len(false)} false detections in {SCORES} scores: at most {allowed:g} are allowed"
    for sign in (1.0, -1.0):
        calm = (0.5 * chance.standard_normal(200)).tolist()
        found = _detections(make, [*calm, *(sign * SHIFT + chance.standard_normal(SOON)).tolist()])
        assert any(at >= 200 for at in found), f"a shift by {sign * SHIFT:+g} is not found within {SOON} scores"
    scores = (chance.standard_normal(500) + (np.arange(500) > 400)).tolist()
    assert _detections(make, scores) == _detections(make, scores), "the same scores give different detections"


def _detections(make: Maker, scores: list[float]) -> list[int]:
    """Return the positions of detections; after each the detector is made anew, as Driftline does."""
    detector, found = make(RUN_LENGTH), []
    for at, score in enumerate(scores):
        detector.update(score)
        told = detector.drift_detected
        assert isinstance(told, bool | np.bool_), f"drift_detected is {told!r}, not True or False"
        if told:
            found.append(at)
            detector = make(RUN_LENGTH)
    return found
