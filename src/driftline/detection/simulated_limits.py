"""`python -m driftline.detection.simulated_limits`: measure and print the run lengths of `evidence/detector_limits.py`.

No theorem says how often ADWIN, HDDM and KSWIN are wrong: only how often at most, which is many times as much. So they
are fed independent standard normal scores, as Driftline feeds them, until they have been wrong often enough.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from scipy.special import gammaincinv

from driftline.detection.rivals import SLIDING, STAT, kswin_p_value, kswin_statistics
from driftline.detection.streams import Chance
from driftline.evidence.detectors import OnlineDetector, Replayed, adwin, hddm_a, hddm_w
from driftline.sketches.keys import Floats, Ints

ENOUGH: Final = 1_000
"""False detections after which one parameter is measured."""
MEASURED: Final[Mapping[str, tuple[Callable[[float], OnlineDetector], tuple[float, ...], int]]] = {
    "adwin": (adwin, (0.9, 0.5, 0.3, 0.1, 0.03, 0.01), 40_000_000),
    "hddm_a": (hddm_a, (0.9, 0.5, 0.3, 0.2, 0.1), 6_000_000),
    "hddm_w": (hddm_w, (0.3, 0.1, 0.05, 0.03), 3_000_000),
}
"""By detector: what makes it, its parameters, and the most scores for each, some minutes."""
STATISTICS: Final = range(13, 19)
"""KSWIN's, in thirtieths."""
STREAMS, STEPS = 2_000, 2_500


def main() -> int:
    """Print the run lengths, or those of the detectors named: the lower 95 % limits, to three digits."""
    for name in sys.argv[1:] or [*MEASURED, "kswin"]:
        found = _kswin() if name == "kswin" else _others(name)
        print(f'    "{name}": {{{", ".join(f"{parameter:.3g}: {low:.3g}" for parameter, low in found.items())}}},')
    return 0


def _others(name: str) -> dict[float, float]:
    make, parameters, most = MEASURED[name]
    found = {}
    for parameter in parameters:
        chance, fed = np.random.default_rng(41), 0
        detector = Replayed(name, "x", lambda parameter=parameter: make(parameter))  # type: ignore[misc]
        while detector.detections < ENOUGH and fed < most:
            for score in chance.standard_normal(10_000).tolist():
                detector.update(score, fed)
            fed += 10_000
        found[parameter] = run_length_interval(fed, detector.detections)[0]
    return found


def _kswin() -> dict[float, float]:
    chance = np.random.default_rng(42)
    detections = kswin_detections(chance.standard_normal((STEPS, STREAMS)), np.array(STATISTICS) / STAT, chance)
    scores = (STEPS - SLIDING + 1) * STREAMS
    return {
        kswin_p_value(k): run_length_interval(scores, count)[0]
        for k, count in zip(STATISTICS, detections.tolist(), strict=True)
    }


def run_length_interval(scores: int, detections: int, share: float = 0.95) -> tuple[float, float]:
    """Return the run length's exact interval at a confidence: detections are of a Poisson number (Garwood 1936)."""
    tail = (1 - share) / 2
    high = float(gammaincinv(detections + 1, 1 - tail))
    low = float(gammaincinv(detections, tail)) if detections else 0.0
    return scores / high, scores / low if low else np.inf


def kswin_detections(scores: Floats, limits: Floats, chance: Chance) -> Ints:
    """Count what KSWIN would detect in all streams (shape: steps, streams) by its test alone, for each statistic.

    river's own takes 0.2 ms a score. As that does, it begins anew after a detection.
    """
    ready_at = np.full((len(limits), scores.shape[1]), SLIDING - 1)
    detections = np.zeros(len(limits), dtype=np.int64)
    for at in range(SLIDING - 1, len(scores)):
        statistics = kswin_statistics(scores[at - SLIDING + 1 : at + 1].T, chance)
        found = (statistics >= limits[:, None] - 1e-9) & (ready_at <= at)
        detections += found.sum(axis=1)
        ready_at[found] = at + SLIDING
    return detections


if __name__ == "__main__":
    sys.exit(main())
