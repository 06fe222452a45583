"""What labels and scores say of a classifier, window by window, once more in plain Python, one outcome at a time.

From docs/statistics.md, "Performance": the three parts (what a score means, what is right by the labels that arrived,
what is likely to be right), Wilson's box around the reference's rates, the nineteen alternatives, and R <- (R + 1) L.
Books are counted anew from all that came before.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from tests.oracle import estimates
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
MIN_RATE = 1e-6
MIN_STRETCHES = 5
MIN_EVENTS = 30
"""Predictions of a window that is estimated."""
BINS = 10
Count = Callable[[Sequence[Row]], list[tuple[float, float, float]]]
"""Returns of a window hits, counts, and the rate that the reference foresees, by bin."""


@dataclass
class Told:
    """What a window of arrivals says."""

    window: int
    log_m: float
    fires: bool


@dataclass
class Bin:
    """Of how many outcomes of the reference its rate is, and what past windows had."""

    size: float
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


def parts(
    rows: Sequence[Row], *, size: int, span: int, labels: int, period: int, count: float
) -> Mapping[str, list[Told]]:
    """Return what windows say by part, from the first one after the reference on, until one of them fires."""
    arrivals, made = _windows(rows, size)
    learned = reference(rows, size=size, span=span, labels=labels)
    known = list(learned.values())
    counts = _counts([row for each in known for row in each])
    later = sorted(window for window in arrivals.keys() | made.keys() if window > max(learned))
    of_part = {
        "meaning": {window: arrivals[window] for window in later if window in arrivals},
        "measured": {window: arrivals[window] for window in later if window in arrivals},
        "estimated": {window: made[window] for window in later if len(made.get(window, [])) >= MIN_EVENTS},
    }
    allowance = count * SHARE / PARTS
    log_c = math.log(period / size / allowance)
    return {part: _evidence(windows, known, counts[part], allowance, log_c) for part, windows in of_part.items()}


def reference(rows: Sequence[Row], *, size: int, span: int, labels: int) -> Mapping[int, list[Row]]:
    """Return the outcomes that a reference is learned from, by the window in which their labels came."""
    arrivals, _ = _windows(rows, size)
    learned: dict[int, list[Row]] = {}
    for window in sorted(arrivals):
        learned[window] = arrivals[window]
        if window + size - min(learned) >= span and sum(map(len, learned.values())) >= labels:
            break
    return learned


def _windows(rows: Sequence[Row], size: int) -> tuple[dict[int, list[Row]], dict[int, list[Row]]]:
    """Return outcomes by the window in which their label came, and predictions by their own."""
    arrivals: dict[int, list[Row]] = {}
    made: dict[int, list[Row]] = {}
    for row in rows:
        made.setdefault(row.time // size * size, []).append(row)
        if row.labelled is not None:
            arrivals.setdefault(row.labelled // size * size, []).append(row)
    return arrivals, made


def _counts(every: Sequence[Row]) -> Mapping[str, Count]:
    """Return how to count windows for each part, by all that a reference holds."""
    likely = estimates.calibrated(every)
    return {
        "meaning": _by_score(every, likely),
        "measured": lambda rows: [_right(rows, answer, every) for answer in (0, 1)],
        "estimated": lambda rows: [
            (
                sum(estimates.right(row, likely) for row in rows),
                float(len(rows)),
                estimates.accuracy(every, likely),
            )
        ],
    }


def _right(rows: Sequence[Row], answer: int, every: Sequence[Row]) -> tuple[float, float, float]:
    chosen, before = ([row for row in each if row.predicted == answer] for each in (rows, every))
    rate = sum(row.truth == row.predicted for row in before) / len(before)
    return sum(row.truth == row.predicted for row in chosen), len(chosen), rate


def _by_score(every: Sequence[Row], likely: estimates.Likely) -> Count:
    """Count positives in ten bins of about equal mass; rates go along the calibration where scores move in a bin."""
    starts: list[float] = []
    before, wanted = 0, -1
    for score, _, n in estimates.by_score(every):
        at = min(int(before / len(every) * BINS), BINS - 1)
        if at != wanted:
            starts.append(score)
            wanted = at
        before += n

    def in_bins(rows: Sequence[Row]) -> list[list[Row]]:
        found: list[list[Row]] = [[] for _ in starts]
        for row in rows:
            found[max(sum(start <= row.score for start in starts) - 1, 0)].append(row)
        return found

    known = in_bins(every)
    rates = [sum(row.truth for row in each) / len(each) for each in known]
    means = [sum(likely(row.score) for row in each) / len(each) for each in known]

    def count(rows: Sequence[Row]) -> list[tuple[float, float, float]]:
        found = []
        for each, rate, mean in zip(in_bins(rows), rates, means, strict=True):
            moved = sum(likely(row.score) for row in each) / len(each) - mean if each else 0.0
            found.append((sum(row.truth for row in each), float(len(each)), min(max(rate + moved, 0.0), 1.0)))
        return found

    return count


def _evidence(
    windows: Mapping[int, Sequence[Row]],
    known: Sequence[Sequence[Row]],
    count: Count,
    allowance: float,
    log_c: float,
) -> list[Told]:
    bins = [Bin(n) for _, n, _ in count([row for each in known for row in each])]
    spread = _dispersion([count(rows) for rows in known])
    evidence = [-math.inf] * (len(STRENGTHS) + len(SHIFTS) + len(TURNS) + len(HALF_LIVES))
    told = []
    for window, rows in windows.items():
        seen = [(hits / spread, n / spread, rate) for hits, n, rate in count(rows)]
        for at, gain in enumerate(_gains(bins, seen, spread, allowance)):
            evidence[at] = log_sum(evidence[at], 0.0) + round((gain - FADING) * GRID) / GRID
        log_m = log_mean(evidence)
        told.append(Told(window, log_m, log_m >= log_c))
        if told[-1].fires:
            break
    return told


def _dispersion(stretches: Sequence[Sequence[tuple[float, float, float]]]) -> float:
    scores = []
    for seen in stretches:
        above = sum(hits - n * rate for hits, n, rate in seen)
        scores.append(above**2 / sum(n * rate * (1 - rate) for _, n, rate in seen))
    return max(sum(scores) / (len(scores) - 1), 1.0) if len(scores) >= MIN_STRETCHES else 1.0


def _gains(
    bins: Sequence[Bin], found: Sequence[tuple[float, float, float]], spread: float, allowance: float
) -> list[float]:
    """Return log L of each alternative, and take the window into the past."""
    seen = [(hits, n) for hits, n, _ in found]
    rates = [(rate * each.size + 0.5) / (each.size + 1) for each, (_, _, rate) in zip(bins, found, strict=True)]
    worths = [max(each.size / spread, 1.0) for each in bins]
    boxes = [_box(rate, worth, allowance / (10 * len(bins))) for rate, worth in zip(rates, worths, strict=True)]
    middle = _logit(sum(r * w for r, w in zip(rates, worths, strict=True)) / sum(worths))
    guesses = [[_expit(_logit(rate) + shift) for rate in rates] for shift in SHIFTS]
    guesses += [[_expit(middle + turn * (_logit(rate) - middle)) for rate in rates] for turn in TURNS]
    guesses += [[_as_before(each.past[at], rate) for each, rate in zip(bins, rates, strict=True)] for at in range(3)]
    gained = []
    for strength in STRENGTHS:
        total = 0.0
        for (hits, n), rate, (low, high) in zip(seen, rates, boxes, strict=True):
            best = min(max(hits / n if n else rate, low), high)
            a, b = strength * rate, strength * (1 - rate)
            total += _log_beta(a + hits, b + n - hits) - _log_beta(a, b)
            total -= hits * math.log(best) + (n - hits) * math.log(1 - best)
        gained.append(total)
    for guess in guesses:
        total = 0.0
        for (hits, n), q, (low, high) in zip(seen, map(_clipped, guess), boxes, strict=True):
            nearest = min(max(q, low), high)
            total += hits * math.log(q / nearest) + (n - hits) * (math.log(1 - q) - math.log(1 - nearest))
        gained.append(total)
    for held, (hits, n), rate in zip(bins, seen, rates, strict=True):
        for at, half_life in enumerate(HALF_LIVES):
            kept = 0.5 ** (1 / half_life)
            held.past[at] = [kept * was + now for was, now in zip(held.past[at], (hits, n, n * rate), strict=True)]
    return gained


def _as_before(past: Sequence[float], rate: float) -> float:
    hits, n, due = past
    was, expected = (hits + PRIOR * rate) / (n + PRIOR), (due + PRIOR * rate) / (n + PRIOR)
    return _expit(_logit(rate) + _logit(was) - _logit(expected))


def _box(rate: float, worth: float, tail: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(1 - tail / 2)
    middle = (rate + z**2 / (2 * worth)) / (1 + z**2 / worth)
    reach = z / (1 + z**2 / worth) * math.sqrt(rate * (1 - rate) / worth + z**2 / (4 * worth**2))
    effect = math.sqrt(MIN_EFFECT * rate * (1 - rate))
    low, high = min(middle - reach, rate - effect), max(middle + reach, rate + effect)
    return _clipped(low), _clipped(high)


def _clipped(rate: float) -> float:
    return min(max(rate, MIN_RATE), 1 - MIN_RATE)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
