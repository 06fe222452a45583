"""The budgeted test over many independent runs at once: one `Evidence` holds all of them, and M is taken run by run."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from driftline.evidence.evalues import Evidence, log_mean_rows
from driftline.evidence.rare import RareBins
from driftline.evidence.recovery import Recovery
from driftline.sketches.keys import Floats, Ints
from driftline.tasks.subjects.weighing import NOTABLE

Bools: TypeAlias = NDArray[np.bool_]


class Monitor:
    """Runs that are judged alike, each of the same number of signals.

    An alarm opens its run's incident, which swallows others until it resolves by the rule of a model's incidents.

    Args:
        shares: reference shares (shape: runs x signals, K), the signals of a run side by side.
        sizes: reference sizes (shape: runs x signals).
        runs: how many runs.
        log_c: threshold of log M (may be set to one of each run).
        allowance: false alarms that the signals may raise a period; it enters the ball's radius.
        min_effect: as in the configuration.
        dispersion: φ (shape: runs x signals); 1 where it is not given.
        rare: the bins of one value each that are rare; none where it is not given.
    """

    def __init__(
        self,
        shares: Floats,
        sizes: Ints,
        *,
        runs: int,
        log_c: float,
        allowance: float,
        min_effect: float = 0.02,
        dispersion: Floats | None = None,
        rare: RareBins | None = None,
    ) -> None:
        self._runs = runs
        self.log_c: float | Floats = log_c
        self._open: dict[int, Recovery] = {}
        self._evidence = Evidence(
            shares,
            sizes,
            dispersion=np.ones(len(shares)) if dispersion is None else dispersion,
            allowance=allowance,
            min_effect=min_effect,
            signals=len(shares) // runs,
            rare=rare,
        )

    def update(self, counts: Ints) -> Bools:
        """Take a window of every run (shape: runs x signals, K). Returns which runs raise an alarm."""
        evidence = self._evidence
        totals = evidence.update(counts).total.reshape(self._runs, -1)
        each = np.arange(totals.size).reshape(totals.shape)
        alarms = log_mean_rows(totals.T) >= self.log_c
        for run, held in list(self._open.items()):
            alarms[run] = False
            found = totals[run, held.rows - run * totals.shape[1]]
            speaks = found > NOTABLE
            p = evidence.shares[held.rows]
            held.take(p, evidence.tempered(counts)[held.rows], evidence.lately(held.rows), speaks)
            evidence.reset(held.rows[speaks])
            if held.back(found).all():
                del self._open[run]
                evidence.reset(each[run])
        for run in np.flatnonzero(alarms).tolist():
            rows = np.flatnonzero(totals[run] > totals[run].max() - np.log(100)) + run * totals.shape[1]
            told = np.zeros((len(rows), evidence.shares.shape[1]), dtype=np.bool_)
            self._open[run] = Recovery(rows, evidence.lately(rows), told)
            evidence.reset(each[run])
        return np.asarray(alarms)


def first_alarms(monitor: Monitor, windows: Callable[[int], Ints], most: int, runs: int) -> Ints:
    """Return for each run the number of windows up to its first alarm; most + 1 where there was none."""
    found = np.full(runs, most + 1, dtype=np.int64)
    for number in range(most):
        alarms = monitor.update(windows(number))
        found[alarms & (found > most)] = number + 1
        if (found <= most).all():
            break
    return found
