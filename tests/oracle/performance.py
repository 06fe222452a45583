"""What labels and scores say of a model, window by window, once more in plain Python, one outcome at a time.

From docs/statistics.md, "Performance": the three parts (what a score means, what metrics are by the labels that
arrived, what they are likely to be), metrics as shares, Wilson's box around the reference's rates, the nineteen
alternatives, and R <- (R + 1/k) L for each of k steps. Books are counted anew from all that came before. What is
counted of each sort of model is in `shares`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from tests.oracle import shares
from tests.oracle.evidence import FADING, GRID, log_mean, log_sum
from tests.oracle.shares import Seen
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
STEP = 500
"""Labels that are weighed by themselves."""


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
    rows: Sequence[Row], *, size: int, span: int, labels: int, period: int, count: float, sort: str = shares.BINARY
) -> Mapping[str, list[Told]]:
    """Return what windows say by part, from the first one after the reference on, until one of them fires."""
    arrivals, made = _windows(rows, size)
    learned = reference(rows, size=size, span=span, labels=labels)
    known = list(learned.values())
    counts = shares.counts([row for each in known for row in each], sort)
    later = sorted(window for window in arrivals.keys() | made.keys() if window > max(learned))
    of_part = {
        "meaning": {window: arrivals[window] for window in later if window in arrivals},
        "measured": {window: arrivals[window] for window in later if window in arrivals},
        "estimated": {window: made[window] for window in later if len(made.get(window, [])) >= MIN_EVENTS},
    }
    allowance = count * SHARE / PARTS
    log_c = math.log(period / size / allowance)
    return {
        part: _evidence(
            {window: [held] if part == "estimated" else steps(held, size) for window, held in windows.items()},
            known, counts[part], allowance, log_c,
        )
        for part, windows in of_part.items()
    }  # fmt: skip


def steps(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Part what arrived in a window by when it was predicted: each step has enough labels, the last one, too."""
    cohorts: dict[int, list[Row]] = {}
    for row in rows:
        cohorts.setdefault(row.time // size, []).append(row)
    found: list[list[Row]] = [[]]
    left = len(rows)
    for cohort in sorted(cohorts):
        if len(found[-1]) >= STEP and left >= STEP:
            found.append([])
        found[-1] += cohorts[cohort]
        left -= len(cohorts[cohort])
    return found


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


def _evidence(
    windows: Mapping[int, Sequence[Sequence[Row]]],
    known: Sequence[Sequence[Row]],
    count: shares.Count,
    allowance: float,
    log_c: float,
) -> list[Told]:
    signals = [[Bin(n) for _, n, _, _ in signal] for signal in count([row for each in known for row in each])]
    spreads = [_dispersion(stretches) for stretches in zip(*(count(rows) for rows in known), strict=True)]
    tail = allowance / (10 * sum(each.size > 0 for bins in signals for each in bins))
    evidence = [[-math.inf] * (len(STRENGTHS) + len(SHIFTS) + len(TURNS) + len(HALF_LIVES)) for _ in signals]
    told = list[Told]()
    for window, parted in windows.items():
        for rows in parted:
            for held, bins, found, spread in zip(evidence, signals, count(rows), spreads, strict=True):
                seen = [
                    (hits / spread, n / spread, rate, None if moved is None else [each / spread for each in moved])
                    for hits, n, rate, moved in found
                ]
                for at, gain in enumerate(_gains(bins, seen, spread, tail)):
                    added = round((gain - FADING / len(parted)) * GRID) / GRID
                    held[at] = log_sum(held[at], -math.log(len(parted))) + added
            log_m = log_mean([each for held in evidence for each in held])
            if log_m >= log_c:
                return [*told, Told(window, log_m, fires=True)]
        told.append(Told(window, log_m, fires=False))
    return told


def _dispersion(stretches: Sequence[Sequence[Seen]]) -> float:
    """Return the variance of stretches in those that chance has: of outcomes, or of chances as they are."""
    scores = []
    for seen in stretches:
        above = sum(hits - n * rate for hits, n, rate, _ in seen)
        spread = sum(
            n * r * (1 - r) if moved is None else (1 - r) ** 2 * moved[0] + r**2 * moved[1] - 2 * r * (1 - r) * moved[2]
            for _, n, r, moved in seen
        )
        if spread > 0:
            scores.append(above**2 / spread)
    return max(sum(scores) / (len(scores) - 1), 1.0) if len(scores) >= MIN_STRETCHES else 1.0


def _gains(bins: Sequence[Bin], found: Sequence[Seen], spread: float, tail: float) -> list[float]:
    """Return log L of each alternative, and take the window into the past."""
    seen = [(hits, n) for hits, n, _, _ in found]
    rates = [(rate * each.size + 0.5) / (each.size + 1) for each, (_, _, rate, _) in zip(bins, found, strict=True)]
    worths = [max(each.size / spread, 1.0) for each in bins]
    boxes = [_box(rate, worth, tail) for rate, worth in zip(rates, worths, strict=True)]
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
        bounded = zip(found, map(_clipped, guess), boxes, strict=True)
        gained.append(sum(_gain(each, q, min(max(q, low), high)) for each, q, (low, high) in bounded))
    for held, (hits, n), rate in zip(bins, seen, rates, strict=True):
        for at, half_life in enumerate(HALF_LIVES):
            kept = 0.5 ** (1 / half_life)
            held.past[at] = [kept * was + now for was, now in zip(held.past[at], (hits, n, n * rate), strict=True)]
    return gained


def _gain(seen: Seen, q: float, nearest: float) -> float:
    """Return log L of one alternative in one bin: the higher of two bounds, where hits are chances."""
    hits, n, _, moved = seen
    up, down = q / nearest, (1 - q) / (1 - nearest)
    found = hits * math.log(up) + (n - hits) * math.log(down)
    if moved is None:
        return found
    least = max(1 - min(up, down), 1e-3)
    psi = (-math.log(1 - least) - least) / least**2
    squares = (up - 1) ** 2 * moved[0] + (down - 1) ** 2 * moved[1] + 2 * (up - 1) * (down - 1) * moved[2]
    return max(found, (up - 1) * hits + (down - 1) * (n - hits) - psi * squares)


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
