"""How often a model's answers are right, window by window, once more in plain Python, one outcome at a time.

From docs/statistics.md, "Performance": outcomes by the window in which their labels arrived, Wilson's box around the
reference's rates, the nineteen alternatives, and R <- (R + 1) L. Books are counted anew from all that came before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from tests.oracle.evidence import FADING, GRID, log_mean, log_sum
from tests.tasks.outcomes import Row

SHIFTS = (-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0)
TURNS = (-1.0, 0.0, 0.5, 1.5, 2.0)
HALF_LIVES = (1.0, 4.0, 16.0)
STRENGTHS = (2.0, 20.0, 200.0)
PRIOR = 4.0
MIN_EFFECT = 0.01
SHARE, PARTS = 0.2, 3
"""Performance's share of the budget, and how many parts have it."""
MIN_STRETCHES = 5


@dataclass
class Told:
    """What a window of arrivals says."""

    window: int
    log_m: float
    fires: bool


@dataclass
class Bin:
    """One answer: how often it was right in the reference, and what past windows had."""

    hits: int
    size: int
    past: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0, 0.0] for _ in HALF_LIVES])


def books(rows: Sequence[Row], size: int, until: int) -> dict[int, tuple[int, int]]:
    """Return predictions and labels by window of the predictions, of what came before a time."""
    found: dict[int, tuple[int, int]] = {}
    for row in rows:
        if row.time < until:
            predictions, labels = found.get(row.time // size * size, (0, 0))
            came = row.labelled is not None and row.labelled < until
            found[row.time // size * size] = predictions + 1, labels + came
    return found


def measured(rows: Sequence[Row], *, size: int, span: int, labels: int, period: int, count: float) -> list[Told]:
    """Return what windows say from the first one after the reference on, until one of them fires."""
    arrivals: dict[int, list[Row]] = {}
    for row in rows:
        if row.labelled is not None:
            arrivals.setdefault(row.labelled // size * size, []).append(row)
    order = sorted(arrivals)
    learned: list[int] = []
    for window in order:
        learned.append(window)
        if window + size - learned[0] >= span and sum(len(arrivals[each]) for each in learned) >= labels:
            break
    every = [row for window in learned for row in arrivals[window]]
    bins = [Bin(*_counts(every, answer)) for answer in (0, 1)]
    spread = _dispersion([arrivals[window] for window in learned], bins)
    allowance = count * SHARE / PARTS
    log_c = math.log(period / size / allowance)
    evidence = [-math.inf] * (len(STRENGTHS) + len(SHIFTS) + len(TURNS) + len(HALF_LIVES))
    told = []
    for window in order[len(learned) :]:
        seen = [_counts(arrivals[window], answer) for answer in (0, 1)]
        gains = _gains(bins, [(hits / spread, n / spread) for hits, n in seen], spread, allowance)
        for at, gain in enumerate(gains):
            evidence[at] = log_sum(evidence[at], 0.0) + round((gain - FADING) * GRID) / GRID
        log_m = log_mean(evidence)
        told.append(Told(window, log_m, log_m >= log_c))
        if told[-1].fires:
            break
    return told


def _counts(rows: Sequence[Row], answer: int) -> tuple[int, int]:
    chosen = [row for row in rows if row.predicted == answer]
    return sum(row.truth == row.predicted for row in chosen), len(chosen)


def _dispersion(stretches: Sequence[Sequence[Row]], bins: Sequence[Bin]) -> float:
    scores = []
    for rows in stretches:
        above = spread = 0.0
        for answer, held in enumerate(bins):
            hits, n = _counts(rows, answer)
            rate = held.hits / held.size
            above, spread = above + hits - n * rate, spread + n * rate * (1 - rate)
        scores.append(above**2 / spread)
    return max(sum(scores) / (len(scores) - 1), 1.0) if len(scores) >= MIN_STRETCHES else 1.0


def _gains(bins: Sequence[Bin], seen: Sequence[tuple[float, float]], spread: float, allowance: float) -> list[float]:
    """Return log L of each alternative, and take the window into the past."""
    rates = [(each.hits + 0.5) / (each.size + 1) for each in bins]
    worths = [max(each.size / spread, 1.0) for each in bins]
    boxes = [_box(rate, worth, allowance / (10 * len(bins))) for rate, worth in zip(rates, worths, strict=True)]
    middle = _logit(sum(r * w for r, w in zip(rates, worths, strict=True)) / sum(worths))
    guesses = [[_expit(_logit(rate) + shift) for rate in rates] for shift in SHIFTS]
    guesses += [[_expit(middle + turn * (_logit(rate) - middle)) for rate in rates] for turn in TURNS]
    guesses += [[_as_before(each.past[at], rate) for each, rate in zip(bins, rates, strict=True)] for at in range(3)]
    found = []
    for strength in STRENGTHS:
        total = 0.0
        for (hits, n), rate, (low, high) in zip(seen, rates, boxes, strict=True):
            best = min(max(hits / n if n else rate, low), high)
            a, b = strength * rate, strength * (1 - rate)
            total += _log_beta(a + hits, b + n - hits) - _log_beta(a, b)
            total -= hits * math.log(best) + (n - hits) * math.log(1 - best)
        found.append(total)
    for guess in guesses:
        total = 0.0
        for (hits, n), q, (low, high) in zip(seen, guess, boxes, strict=True):
            nearest = min(max(q, low), high)
            total += hits * math.log(q / nearest) + (n - hits) * (math.log(1 - q) - math.log(1 - nearest))
        found.append(total)
    for held, (hits, n), rate in zip(bins, seen, rates, strict=True):
        for at, half_life in enumerate(HALF_LIVES):
            kept = 0.5 ** (1 / half_life)
            held.past[at] = [kept * was + now for was, now in zip(held.past[at], (hits, n, n * rate), strict=True)]
    return found


def _as_before(past: Sequence[float], rate: float) -> float:
    hits, n, due = past
    was, expected = (hits + PRIOR * rate) / (n + PRIOR), (due + PRIOR * rate) / (n + PRIOR)
    return _expit(_logit(rate) + _logit(was) - _logit(expected))


def _box(rate: float, worth: float, tail: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(1 - tail / 2)
    middle = (rate + z**2 / (2 * worth)) / (1 + z**2 / worth)
    reach = z / (1 + z**2 / worth) * math.sqrt(rate * (1 - rate) / worth + z**2 / (4 * worth**2))
    effect = math.sqrt(MIN_EFFECT * rate * (1 - rate))
    return min(middle - reach, rate - effect), max(middle + reach, rate + effect)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
