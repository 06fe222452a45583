"""Metrics of outcomes with labels and their 95% intervals, once more in plain Python, one outcome at a time.

Wilson's for shares, DeLong's on the logit scale for AUROC, and the normal one for means: see `performance.intervals`.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

from tests.oracle.estimates import of_class
from tests.tasks.outcomes import Row

Z = NormalDist().inv_cdf(0.975)
Interval = tuple[float, float, float]
"""A metric, and the ends of its interval."""


def measured(rows: Sequence[Row], sort: str) -> dict[str, Interval]:
    """Return the metrics of rows with labels."""
    if sort == "numbers":
        errors = [row.predicted - row.truth for row in rows]
        return {"mae": mean([abs(error) for error in errors], least=0.0), "rmse": root([e * e for e in errors])}
    right = share(sum(row.truth == row.predicted for row in rows), len(rows))
    if sort == "binary":
        return {"accuracy": right, "auroc": area(rows)}
    areas = [area(of_class(rows, code)) for code in range(len(rows[0].scores))]
    low, middle, high = (fmean(each[at] for each in areas) for at in (1, 0, 2))
    return {"accuracy": right, "auroc_macro": (middle, low, high)}


def share(hits: int, n: int) -> Interval:
    """Return a share with Wilson's interval."""
    rate = hits / n
    middle = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z / (1 + Z**2 / n) * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return rate, middle - reach, middle + reach


def area(rows: Sequence[Row]) -> Interval:
    """Return the AUROC with DeLong's interval: by how many of the others each one is above, or below."""
    positives, negatives = ([row.score for row in rows if row.truth == truth] for truth in (1, 0))
    above = [fmean(_won(score, other) for other in negatives) for score in positives]
    below = [fmean(_won(other, score) for other in positives) for score in negatives]
    value = fmean(above)
    variance = sum(sum((each - value) ** 2 for each in held) / len(held) / (len(held) - 1) for held in (above, below))
    reach = Z * math.sqrt(variance) / (value * (1 - value))
    logit = math.log(value / (1 - value))
    return value, 1 / (1 + math.exp(reach - logit)), 1 / (1 + math.exp(-reach - logit))


def _won(score: float, other: float) -> float:
    return 1.0 if score > other else 0.5 if score == other else 0.0


def mean(values: Sequence[float], least: float = -math.inf) -> Interval:
    """Return a mean with the normal interval."""
    middle = fmean(values)
    reach = Z * math.sqrt((fmean(value**2 for value in values) - middle**2) / len(values))
    return middle, max(middle - reach, least), middle + reach


def root(squares: Sequence[float]) -> Interval:
    """Return the root of a mean, with its interval by the delta method."""
    square = fmean(squares)
    reach = Z * math.sqrt((fmean(each**2 for each in squares) - square**2) / (4 * square) / len(squares))
    return math.sqrt(square), max(math.sqrt(square) - reach, 0.0), math.sqrt(square) + reach
