"""The parameters with which river's detectors are wrong once in a given number of scores, by simulation.

The detectors' own parameters bound a different probability: ADWIN with δ = .3 is wrong once in 2,000 independent normal
scores, while its theorem promises only that it is wrong at most once in 3.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

RUN_LENGTHS: Final[Mapping[str, Mapping[float, float]]] = {
    "adwin": {0.9: 449, 0.5: 987, 0.3: 1.9e03, 0.1: 8.62e03, 0.03: 4.83e04, 0.01: 2.13e05},
    "hddm_a": {0.9: 403, 0.5: 606, 0.3: 2.14e03, 0.2: 5.84e03, 0.1: 3.81e04},
    "hddm_w": {0.3: 177, 0.1: 1.04e03, 0.05: 4.76e03, 0.03: 1.48e04},
    "kswin": {0.00655: 374, 0.00253: 728, 0.0009: 1.67e03, 0.000293: 4.34e03, 8.74e-05: 1.27e04, 2.37e-05: 4.88e04},
}
"""Run lengths by detector and parameter: the lower 95 % limits of what
`python -m driftline.detection.simulated_limits` measures, which prints these lines."""


def parameter_for(name: str, run_length: float) -> float:
    """Return the parameter with which a detector is wrong once in `run_length` scores, or slightly less often.

    ln(parameter) is interpolated linearly in ln(run length). Beyond the last measurement it continues with the slope of
    the last two. The true slope flattens for longer runs, so this errs on the side of longer ones. Run lengths below
    the shortest measured one count as that one.

    >>> parameter_for("adwin", 2_000), parameter_for("kswin", 10_000)
    (0.289, 0.0001144)
    """
    measured = RUN_LENGTHS[name]
    lengths, parameters = np.log(list(measured.values())), np.log(list(measured))
    wanted = math.log(max(run_length, 1.0))
    if wanted <= lengths[-1]:
        found = float(np.interp(wanted, lengths, parameters))
    else:
        slope = (parameters[-1] - parameters[-2]) / (lengths[-1] - lengths[-2])
        found = float(parameters[-1] + slope * (wanted - lengths[-1]))
    return float(f"{math.exp(found):.4g}")
