"""What else people use, for one signal: online detectors fed every event, and tests of each window.

Each has a setting that makes it more or less eager. `default` is the one that its makers chose; `calibrated` the one at
which d such signals raise one false alarm in `HORIZON` events on average, found by simulation.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy.special import ndtr
from scipy.stats import binom, ks_2samp, kstwo

from driftline.detection.abrupt import adwin
from driftline.detection.changes import Before, Change, Share, draw, draw_before
from driftline.sketches.keys import Floats, Ints

WINDOW: Final = 100
PERIOD: Final = 300
"""Windows in which all signals together may raise one false alarm."""
HORIZON: Final = PERIOD * WINDOW
MAX_EVENTS: Final = 20_000
"""Events after the change that a detector is given."""
SETTLED: Final = 1_000
"""Events before the change that an online detector is given."""
HINKLEY: Final = 50.0
"""river's threshold of Page-Hinkley."""
KS_LEVEL: Final = 0.05
DELTAS: Final = (0.002, 0.01, 0.05, 0.15, 0.4, 0.8)
Chance = np.random.Generator


@dataclass(frozen=True, slots=True)
class Effort:
    """How many streams are simulated."""

    runs: int
    null_streams: int
    """Streams of HORIZON events without a change, from which settings are calibrated."""


def beginnings(runs: int, chance: Chance) -> Ints:
    """Draw in which event of a window each run changes: who tests windows cannot choose where a change comes."""
    return chance.integers(WINDOW, size=runs)


# -- ADWIN --


def adwin_delays(change: Change, delta: float, effort: Effort, chance: Chance) -> Floats:
    """Return delays of ADWIN(delta), events; those without an alarm are MAX_EVENTS."""
    found = np.full(effort.runs, float(MAX_EVENTS))
    for run, begins in enumerate(beginnings(effort.runs, chance).tolist()):
        detector = adwin(delta)
        for value in draw(change, chance, (SETTLED + begins,), changed=False).tolist():
            detector.update(value)
        for at, value in enumerate(draw(change, chance, (MAX_EVENTS,), changed=True).tolist(), 1):
            detector.update(value)
            if detector.drift_detected:
                found[run] = at
                break
    return found


@cache
def adwin_rates(before: Before, streams: int) -> tuple[float, ...]:
    """Return false alarms per HORIZON events of one signal at each of DELTAS."""
    chance = np.random.default_rng(31)
    rates = []
    for delta in DELTAS:
        detector = adwin(delta)
        alarms = 0
        for value in draw_before(before, chance, (streams * HORIZON,)).tolist():
            detector.update(value)
            alarms += detector.drift_detected
        rates.append(alarms / streams)
    return tuple(rates)


def adwin_delta(before: Before, streams: int, signals: int) -> float:
    """Return the delta at which one of d signals raises 1/d alarms a HORIZON: on a line through log rates."""
    rates = np.array(adwin_rates(before, streams))
    seen = np.flatnonzero(rates > 0)
    deltas = np.log(np.array(DELTAS))
    if len(seen) < 2:
        return DELTAS[-1]
    slope, level = np.polyfit(deltas[seen], np.log(rates[seen]), 1)
    return float(np.clip(np.exp((np.log(1 / signals) - level) / slope), 1e-6, DELTAS[-1]))


# -- Page-Hinkley: river's rule, over many streams at once --


class PageHinkleys:
    """river's PageHinkley at its defaults (delta .005, alpha .9999), many streams at once, never reset."""

    def __init__(self, streams: int) -> None:
        self._n = 0
        self._mean = np.zeros(streams)
        self._up, self._down = np.zeros(streams), np.zeros(streams)
        self._least, self._greatest = np.full(streams, np.inf), np.full(streams, -1.0)

    def update(self, values: Floats) -> Floats:
        """Take a value of each stream; return the statistic that is compared with the threshold."""
        self._n += 1
        self._mean += (values - self._mean) / self._n
        away = values - self._mean
        self._up = 0.9999 * self._up + away - 0.005
        self._down = 0.9999 * self._down + away + 0.005
        np.minimum(self._least, self._up, out=self._least)
        np.maximum(self._greatest, self._down, out=self._greatest)
        if self._n < 30:
            return np.zeros_like(values)
        return np.asarray(np.maximum(self._up - self._least, self._greatest - self._down))


@cache
def page_hinkley_highest(before: Before, streams: int) -> tuple[float, ...]:
    """Return the highest statistic of each of so many streams of HORIZON events without a change."""
    chance = np.random.default_rng(32)
    detectors = PageHinkleys(streams)
    most = np.zeros(streams)
    for _ in range(HORIZON // 100):
        for values in draw_before(before, chance, (100, streams)):
            np.maximum(most, detectors.update(values), out=most)
    return tuple(most.tolist())


def threshold(highest: tuple[float, ...], signals: int) -> float:
    """Return what one of d signals passes in 1 - e^(-1/d) of the streams: together 1 in a HORIZON on average."""
    return float(np.quantile(highest, np.exp(-1 / signals)))


def share_above(highest: tuple[float, ...], limit: float) -> float:
    """Return the share of streams without a change whose highest statistic is above a detector's own threshold."""
    return float((np.array(highest) > limit + 1e-9).mean())


def page_hinkley_delays(change: Change, threshold: float, effort: Effort, chance: Chance) -> Floats:
    """Return delays of Page-Hinkley. It has seen 1,000 events before the change; what it passes there counts as 0."""
    detectors = PageHinkleys(effort.runs)
    for values in draw(change, chance, (SETTLED, effort.runs), changed=False):
        held = detectors.update(values)
    found = np.where(held > threshold, 0.0, float(MAX_EVENTS))
    for block in range(MAX_EVENTS // 100):
        for at, values in enumerate(draw(change, chance, (100, effort.runs), changed=True), 1):
            passed = (detectors.update(values) > threshold) & (found == MAX_EVENTS)
            found[passed] = block * 100 + at
        if (found < MAX_EVENTS).all():
            break
    return found


# -- KSWIN: its test at its sizes, over many streams at once --

STAT: Final = 30
SLIDING: Final = 100


def kswin_statistics(window: Floats, chance: Chance) -> Floats:
    """Return KSWIN's statistic: 30 drawn of the older 70 against the newest 30 (window: streams, 100)."""
    older = np.take_along_axis(
        window, np.argpartition(chance.random((len(window), SLIDING - STAT)), STAT, axis=1)[:, :STAT], axis=1
    )
    both = np.concatenate((older, window[:, SLIDING - STAT :]), axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    ordered = np.take_along_axis(both, order, axis=1)
    steps = np.cumsum(np.where(order < STAT, 1, -1), axis=1)
    last = np.concatenate((np.diff(ordered, axis=1) > 0, np.ones((len(window), 1), dtype=np.bool_)), axis=1)
    return np.asarray(np.abs(np.where(last, steps, 0)).max(axis=1) / STAT)


@cache
def kswin_p_value(k: int) -> float:
    """Return the p-value of KSWIN's statistic of k thirtieths."""
    low = np.arange(STAT)
    return float(ks_2samp(low + 0.5, np.concatenate((low[k:], 1000 + np.arange(k)))).pvalue)


@cache
def kswin_limit(alpha: float) -> float:
    """Return the least statistic that KSWIN takes for a change, by p <= alpha; 1, the greatest, at the least alphas."""
    return next((k for k in range(5, STAT) if kswin_p_value(k) <= alpha), STAT) / STAT  # less has a p-value far above


def kswin_default() -> float:
    """Return the limit of KSWIN's default, .005."""
    return kswin_limit(0.005)


@cache
def kswin_highest(before: Before, streams: int) -> tuple[float, ...]:
    """Return the highest statistic of each of so many streams of HORIZON events without a change.

    A thirtieth is added, as statistics are thirtieths: the rate at such a threshold is at most the wanted one.
    """
    chance = np.random.default_rng(33)
    window = draw_before(before, chance, (streams, SLIDING))
    most = np.zeros(streams)
    for _ in range(HORIZON // 100):
        ahead = draw_before(before, chance, (streams, 100))
        for at in range(100):
            window = np.concatenate((window[:, 1:], ahead[:, at : at + 1]), axis=1)
            np.maximum(most, kswin_statistics(window, chance), out=most)
    return tuple((most + 1 / STAT).tolist())


def kswin_delays(change: Change, threshold: float, effort: Effort, chance: Chance) -> Floats:
    """Return delays of KSWIN, which forgets a change after 100 events: those that did not find it are MAX_EVENTS."""
    window = draw(change, chance, (effort.runs, SLIDING), changed=False)
    found = np.full(effort.runs, float(MAX_EVENTS))
    for at in range(1, 3 * SLIDING + 1):
        window = np.concatenate((window[:, 1:], draw(change, chance, (effort.runs, 1), changed=True)), axis=1)
        passed = (kswin_statistics(window, chance) >= threshold - 1e-9) & (found == MAX_EVENTS)
        found[passed] = at
    return found


# -- tests of each window --


def ks_p_values(change: Change, begins: Ints, chance: Chance, windows: int) -> Floats:
    """Return p-values of windows against the reference's distribution (shape: runs, windows).

    Args:
        change: from `begins` of the first window on.
        begins: an event of the window (shape: runs).
        chance: of the values.
        windows: how many of each run.
    """
    values = draw(change, chance, (len(begins), windows, WINDOW), changed=True)
    earlier = draw(change, chance, (len(begins), WINDOW), changed=False)
    values[:, 0] = np.where(np.arange(WINDOW) < begins[:, None], earlier, values[:, 0])
    if isinstance(change, Share):
        successes = values.sum(axis=2)
        distance = np.abs(successes - WINDOW * change.before)
        low, high = WINDOW * change.before - distance, WINDOW * change.before + distance
        tails = binom.cdf(low + 1e-9, WINDOW, change.before) + binom.sf(high - 1 - 1e-9, WINDOW, change.before)
        return np.asarray(np.minimum(tails, 1.0))
    cumulated = ndtr(np.sort(values, axis=2))
    steps = np.arange(1, WINDOW + 1) / WINDOW
    distance = np.maximum((steps - cumulated).max(axis=2), (cumulated - steps + 1 / WINDOW).max(axis=2))
    return np.asarray(kstwo.sf(distance, WINDOW))


def ks_delays(p_values: Floats, begins: Ints, level: float) -> Floats:
    """Return the delays of rejecting each window at this level."""
    return _first(p_values <= level, begins)


def ks_bh_delays(p_values: Floats, begins: Ints, level: float, signals: int, chance: Chance) -> Floats:
    """Return the delays of rejecting any of d signals by Benjamini and Hochberg (1995), window by window."""
    runs, windows = p_values.shape
    found = np.zeros((runs, windows), dtype=np.bool_)
    ranks = level * np.arange(1, signals + 1) / signals
    for run in range(runs):
        others = chance.random((windows, signals - 1))
        everything = np.sort(np.concatenate((p_values[run, :, None], others), axis=1), axis=1)
        found[run] = (everything <= ranks).any(axis=1)
    return _first(found, begins)


def psi_values(counts: Ints, reference: Ints) -> Floats:
    """Return PSI of windows (shape: ..., K) against a reference's counts, with half a value added to each bin."""
    after, before = counts + 0.5, reference + 0.5
    after = after / after.sum(axis=-1, keepdims=True)
    before = before / before.sum(axis=-1, keepdims=True)
    return np.asarray(((after - before) * np.log(after / before)).sum(axis=-1))


def psi_delays(values: Floats, begins: Ints, threshold: float) -> Floats:
    """Return the delays of passing a threshold (values: runs, windows)."""
    return _first(values > threshold, begins)


def psi_threshold(null_values: Floats, signals: int) -> float:
    """Return the threshold that one of d signals passes once in d periods."""
    return float(np.quantile(null_values, 1 - 1 / (PERIOD * signals)))


def _first(rejected: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], begins: Ints) -> Floats:
    delays = (rejected.argmax(axis=1) + 1) * WINDOW - begins
    return np.where(rejected.any(axis=1), delays, MAX_EVENTS).astype(np.float64)
