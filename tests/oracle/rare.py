"""Alternatives about the rare bins of one signal, once more in plain Python: docs/statistics.md, "Rare values"."""

import math
from collections.abc import Sequence

RARE = 0.1
RISES, FALL = (1.5, 3.0), 1 / 3
WEIGHT = 0.2
MAX_TAIL = 0.05
BISECTIONS = 80


def alternatives(
    shares: Sequence[float], m: float, rising: Sequence[int], falling: Sequence[int], tail: float, min_effect: float
) -> list[tuple[int, float, float]]:
    """Return (bin, bound, alternative): first for bins that may rise, by multiple of the bound, then that may fall."""
    up, down = [k for k in rising if shares[k] <= RARE], [k for k in falling if shares[k] <= RARE]
    if not up and not down:
        return []
    ratio, each = 1 + math.sqrt(12.5 * min_effect), min(tail / (len(up) + len(down)), MAX_TAIL)
    found = []
    for times in RISES:
        for k in up:
            confident = beta_quantile(1 - each, shares[k] * m + 1, m * (1 - shares[k]))
            bound = min(max(ratio * shares[k], confident, min_effect / 100), 1 - 1e-9)
            found.append((k, bound, min(times * bound, (1 + bound) / 2)))
    for k in down:
        confident = beta_quantile(each, max(shares[k] * m - 0.5, 1e-9), m * (1 - shares[k]) + 1)
        bound = min(shares[k] / ratio, confident)
        found.append((k, bound, FALL * bound))
    return found


def gain(counts: Sequence[float], alternative: tuple[int, float, float]) -> float:
    """Return log L of one alternative."""
    k, bound, share = alternative
    n, others = counts[k], sum(counts) - counts[k]
    times = math.log(share / bound) if share > bound else math.log(FALL)  # the lower bound may be next to 0
    return n * times + others * (math.log1p(-share) - math.log1p(-bound))


def beta_quantile(wanted: float, a: float, b: float) -> float:
    """Return the x of which a Beta(a, b) is below with this probability."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_below(middle, a, b) < wanted else (low, middle)
    return (low + high) / 2


def beta_below(x: float, a: float, b: float) -> float:
    """Return the probability that a Beta(a, b) is below x (Abramowitz and Stegun 26.5.8, from where it converges)."""
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_below(1 - x, b, a)
    if x <= 0:
        return 0.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    value = 0.0
    for step in range(400, 0, -1):
        half = step // 2
        if step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        value = term / (1 + value)
    return front / (1 + value)
