"""Table A: a binary stream that changes once, of MOA's generator, as 'OPTWIN' published it (arXiv 2305.11942).

x = 1 with probability .2 up to event 999 and .8 from event 1,000 to 1,999, from java.util.Random with seeds 1 to 30.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from river import drift

from driftline.detection.monitor import Monitor
from driftline.detection.report import ReportSection, table
from driftline.sketches.keys import Ints

EVENTS: Final = 1999
CHANGE: Final = 1000
SEEDS: Final = 30
REFERENCE: Final = 500
WINDOW: Final = 1
LOG_C: Final = float(np.log(1e5))

PUBLISHED: Final = {
    "ADWIN δ .002": (46.33, 1.867),
    "DDM": (64.5, 0.20),
    "EDDM": (26.8, 6.57),
    "STEPD": (13.0, 0.40),
    "OPTWIN rho .1": (75.1, 0.20),
    "OPTWIN rho .5": (28.2, 0.10),
    "OPTWIN rho 1": (18.3, 0.67),
    "ECDD": (5.47, 2.67),
}
"""Mean delay, and false alarms a run."""
EXPECTED: Final = {
    "ADWIN δ .002, not reset": (45.33, 1.867),
    "ADWIN δ .002": (45.33, 0.0),
    "Page-Hinkley": (75.8, 0.0),
    "HDDM_A": (22.3, 0.033),
    "HDDM_W": (12.0, 0.033),
    "KSWIN": (21.7, 0.0),
}
"""What river 0.26 gave when this table was first made: delay and false alarms a run."""


class Unreset(drift.ADWIN):
    """MOA's ADWIN: after a detection it keeps the newer part of its window, where river starts empty."""

    def _reset(self) -> None:
        if not hasattr(self, "_helper"):
            super()._reset()  # type: ignore[no-untyped-call]


def adwin(delta: float = 0.002) -> Any:
    """Return river's ADWIN, which knows no types."""
    return drift.ADWIN(delta=delta)  # type: ignore[no-untyped-call]


def _unreset() -> Any:
    return Unreset(delta=0.002)  # type: ignore[no-untyped-call]


RIVALS: Final[dict[str, Callable[[], Any]]] = {
    "ADWIN δ .002, not reset": _unreset,
    "ADWIN δ .002": adwin,
    "Page-Hinkley": drift.PageHinkley,
    "HDDM_A": drift.binary.HDDMA,
    "HDDM_W": drift.binary.HDDMW,
    "KSWIN": lambda: drift.KSWIN(seed=1),
}


def java_doubles(seed: int, count: int) -> list[float]:
    """Return what `new java.util.Random(seed)` gives for so many calls of nextDouble.

    >>> java_doubles(1, 1)
    [0.7308781907032909]
    """
    state = (seed ^ 0x5DEECE66D) & (2**48 - 1)
    found = []
    for _ in range(count):
        state = (state * 0x5DEECE66D + 0xB) & (2**48 - 1)
        high = state >> 22
        state = (state * 0x5DEECE66D + 0xB) & (2**48 - 1)
        found.append(((high << 27) + (state >> 21)) * 2.0**-53)
    return found


def stream(seed: int) -> list[int]:
    """Return events 1 to 1,999."""
    chances = java_doubles(seed, EVENTS)
    return [int(u <= (0.2 if at < CHANGE else 0.8)) for at, u in enumerate(chances, 1)]


def episodes(detections: list[int]) -> tuple[float, int]:
    """Return the delay of the first detection from the change on (NaN: none), and how many others there were."""
    after = [at for at in detections if at >= CHANGE]
    return (after[0] - CHANGE if after else float("nan")), len(detections) - bool(after)


def by_river(make: Callable[[], Any], seed: int) -> list[int]:
    """Return the events, counted from 1, at which a river detector detects."""
    detector = make()
    found = []
    for at, x in enumerate(stream(seed), 1):
        detector.update(x)
        if detector.drift_detected:
            found.append(at)
    return found


def by_budget(seeds: int) -> list[list[int]]:
    """Return for each seed where the budgeted test alarms: reference the first 500 events, windows of one, c = 10^5."""
    events = np.array([stream(seed) for seed in range(1, seeds + 1)], dtype=np.int64)
    ones = events[:, :REFERENCE].sum(axis=1)
    weights = np.stack((REFERENCE - ones, ones), axis=1) + 0.5
    shares = weights / weights.sum(axis=1, keepdims=True)
    monitor = Monitor(shares, np.full(seeds, REFERENCE), runs=seeds, log_c=LOG_C, allowance=0.1)
    found: list[list[int]] = [[] for _ in range(seeds)]
    for start in range(REFERENCE, EVENTS - WINDOW + 1, WINDOW):
        ones = events[:, start : start + WINDOW].sum(axis=1)
        counts: Ints = np.stack((WINDOW - ones, ones), axis=1)
        for run in np.flatnonzero(monitor.update(counts)).tolist():
            found[run].append(start + WINDOW)
    return found


def abrupt_stream(seeds: int = SEEDS) -> ReportSection:
    """Measure every detector on every seed."""
    found = {name: [episodes(by_river(make, seed)) for seed in range(1, seeds + 1)] for name, make in RIVALS.items()}
    ours = [episodes(each) for each in by_budget(seeds)]
    rows = [
        [f"{name} (MOA, published)", f"{delay:g}", f"{false:g}", "", ""] for name, (delay, false) in PUBLISHED.items()
    ]
    agree = True
    for name, runs in found.items():
        delay, false = float(np.nanmean([d for d, _ in runs])), float(np.mean([f for _, f in runs]))
        before = EXPECTED[name]
        agree &= abs(delay - before[0]) <= 0.06 and abs(false - before[1]) <= 0.001
        rows.append([f"{name} (river)", f"{before[0]:g}", f"{before[1]:g}", f"{delay:.2f}", f"{false:.3f}"])
    delay, false = float(np.nanmean([d for d, _ in ours])), float(np.mean([f for _, f in ours]))
    rows.append(["**Driftline's evidence**, windows of 1", "", "", f"**{delay:.2f}**", f"**{false:.3f}**"])
    text = (
        "Mean delay in events, and false alarms a run, over "
        f"{seeds} seeds: first as known before, then as measured here. river counts events from 0 where MOA counts "
        "from 1. The evidence compares every event with the stream's first 500, its threshold c is 100,000; the others "
        "see every event and no reference.\n\n"
    )
    text += table(["detector", "delay, known", "false, known", "delay, here", "false, here"], rows)
    full = {"table A: river's figures again": agree} if seeds == SEEDS else {}
    return ReportSection("A. An abrupt change of a binary stream", text, full)
