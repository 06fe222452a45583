"""Distances between a window and its reference once more, from the values themselves, in plain Python.

A value is looked for in the reference's bins one after the other; counts are whole numbers, and shares fractions for as
long as no logarithm is taken of them. Which bins a reference has is taken as it is.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

HALF = Fraction(1, 2)


def counts_in(keys: Sequence[int], starts: Sequence[int], bin_of: Sequence[int], bins: int) -> list[int]:
    """Count keys into bins: interval i is [starts[i], starts[i + 1]), and belongs to bin `bin_of[i]`."""
    found = [0] * bins
    for key in keys:
        interval = 0
        while interval + 1 < len(starts) and starts[interval + 1] <= key:
            interval += 1
        found[bin_of[interval]] += 1
    return found


def joined(fine: Sequence[int], firsts: Sequence[int]) -> list[int]:
    """Add up runs of fine bins; `firsts` says where each begins."""
    ends = [*firsts[1:], len(fine)]
    return [sum(fine[first:end]) for first, end in zip(firsts, ends, strict=True)]


def psi(after: Sequence[int], before: Sequence[int]) -> float:
    """Population stability index: Σ (q - p) ln(q/p), with half a value added to each bin."""
    q = [(count + HALF) / (sum(after) + HALF * len(after)) for count in after]
    p = [(count + HALF) / (sum(before) + HALF * len(before)) for count in before]
    return math.fsum(float(b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))


def jensen_shannon(after: Sequence[int], before: Sequence[int]) -> float:
    """Square root of the Jensen-Shannon divergence to base 2."""
    q = [Fraction(count, sum(after)) for count in after]
    p = [Fraction(count, sum(before)) for count in before]
    terms = []
    for a, b in zip(p, q, strict=True):
        middle = (a + b) / 2
        terms += [float(share / 2) * math.log2(share / middle) for share in (a, b) if share]
    return math.sqrt(max(math.fsum(terms), 0.0))


def kolmogorov_smirnov(after: Sequence[int], before: Sequence[int]) -> float:
    """Greatest difference of the distribution functions at the ends of bins."""
    return float(max(_gaps(after, before)))


def wasserstein(after: Sequence[int], before: Sequence[int], places: Sequence[float]) -> float:
    """Area between the distribution functions of values that stand where their bins do."""
    steps = [right - left for left, right in pairwise(places)]
    return math.fsum(float(gap) * step for gap, step in zip(_gaps(after, before), steps, strict=False))


def _gaps(after: Sequence[int], before: Sequence[int]) -> list[Fraction]:
    return [
        abs(Fraction(sum(after[:end]), sum(after)) - Fraction(sum(before[:end]), sum(before)))
        for end in range(1, len(after) + 1)
    ]


def chi_square(after: Sequence[int], before: Sequence[int]) -> tuple[float, float] | None:
    """Return Pearson's statistic of the two rows, and its p-value; None where only one bin is occupied."""
    columns = [(a, b) for a, b in zip(after, before, strict=True) if a + b]
    if len(columns) < 2:
        return None
    total = sum(after) + sum(before)
    statistic = Fraction(0)
    for a, b in columns:
        for seen, row in ((a, sum(after)), (b, sum(before))):
            expected = Fraction((a + b) * row, total)
            if expected:
                statistic += (seen - expected) ** 2 / expected
    return float(statistic), chi_square_tail(float(statistic), len(columns) - 1)


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return P(X > statistic), by the finite sums of Abramowitz and Stegun 26.4.4 and 26.4.5."""
    half = statistic / 2
    if freedom % 2 == 0:
        return math.fsum(_term(half, power) for power in range(freedom // 2))
    return math.erfc(math.sqrt(half)) + math.fsum(_term(half, power + 0.5) for power in range(freedom // 2))


def _term(half: float, power: float) -> float:
    """Return exp(-h) h^power / Γ(power + 1)."""
    if half == 0:
        return 1.0 if power == 0 else 0.0
    return math.exp(-half + power * math.log(half) - math.lgamma(power + 1))
