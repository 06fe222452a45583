"""A metric of many groups with its confidence interval, and the intervals themselves.

Shares have Wilson's (1927, JASA 22, p. 209), good also near 0 and 1 and for few outcomes. What is a smooth function of
means has the delta method's, by influence: how much one outcome more moves the metric (Hampel 1974, JASA 69, p. 383).
AUROC and average precision have intervals on the logit scale, that do not leave [0, 1].
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy

from driftline.sketches.keys import Bools, Floats

CONFIDENCE: Final = 0.95
HALVINGS: Final = 40


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One metric of many groups (all shapes: groups); NaN where it is not defined."""

    values: Floats
    low: Floats
    high: Floats
    """The confidence interval: what other outcomes of the same kind would have given."""
    error: Floats
    """At most so far the value is from that of the rows themselves, whose scores a bucket does not tell apart."""


def less(one: Measured, other: Measured) -> Measured:
    """Return one less the value of the other, with the interval of the one."""
    values, low, high = (each - other.values for each in (one.values, one.low, one.high))
    return Measured(values, low, high, one.error + other.error)


def normal_quantile(confidence: float) -> float:
    """Return how many standard errors a two-sided interval reaches to each side.

    >>> round(normal_quantile(0.95), 3)
    1.96
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence must be between 0 and 1, such as .95, not {confidence:g}")
    return float(scipy.special.ndtri((1 + confidence) / 2))


def share(hits: Floats, tries: Floats, worth: Floats, confidence: float = CONFIDENCE) -> Measured:
    """Return hits / tries with Wilson's interval (1927, J. American Statistical Association 22, p. 209).

    Args:
        hits, tries: weights (shape: groups).
        worth: how many independent tries a unit of weight is worth (shape: groups).
        confidence: of the interval.

    >>> found = share(np.array([8.0]), np.array([10.0]), np.ones(1))
    >>> found.values, found.low.round(3), found.high.round(3)
    (array([0.8]), array([0.49]), array([0.943]))
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        values = hits / tries
        z, n = normal_quantile(confidence), tries * worth
        middle = (values + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * np.sqrt(values * (1 - values) / n + z**2 / (4 * n**2))
    return Measured(values, np.maximum(middle - reach, 0), np.minimum(middle + reach, 1), np.zeros(len(values)))


def mean_like(
    values: Floats, variance: Floats, n: Floats, confidence: float = CONFIDENCE, *,
    least: float = -np.inf, most: float = np.inf, error: Floats | None = None,
) -> Measured:  # fmt: skip
    """Return values with the interval of the delta method (Hampel 1974, J. American Statistical Association 69, p.
    383).

    >>> found = mean_like(np.array([2.0]), np.array([4.0]), np.array([100.0]))
    >>> found.low.round(3).item(), found.high.round(3).item()
    (1.608, 2.392)

    Args:
        values: the metric.
        variance: the mean of its squared influences.
        n: how many independent outcomes it is the mean of.
        confidence: of the interval.
        least, most: what the metric can be.
        error: see `Measured`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = normal_quantile(confidence) * np.sqrt(variance / n)
    low, high = np.maximum(values - reach, least), np.minimum(values + reach, most)
    return Measured(values, low, high, np.zeros(len(values)) if error is None else error)


def on_logits(values: Floats, deviation: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Return the interval of a metric between 0 and 1 with this standard deviation, made on the logit scale.

    Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = normal_quantile(confidence) * deviation / (values * (1 - values))
        logit = scipy.special.logit(values)
        return scipy.special.expit(logit - reach), scipy.special.expit(logit + reach)


def hanley_mcneil(
    values: Floats, positives: Floats, negatives: Floats, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return an AUROC's interval that also holds where it is 0 or 1, and DeLong's variance is 0.

    Newcombe 2006, Statistics in Medicine 25, p. 559, method 5: the A from which the value is so many of A's own
    standard errors away, by Hanley and McNeil's variance (1982, Radiology 143, p. 29) with balanced numbers.

    >>> [bound.round(3) for bound in hanley_mcneil(np.ones(1), np.full(1, 10.0), np.full(1, 10.0))]
    [array([0.8]), array([1.])]
    """
    z, both = normal_quantile(confidence), (positives + negatives) / 2 - 1

    def inside(area: Floats) -> Bools:
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = area * (1 - area) * (1 + both * ((1 - area) / (2 - area) + area / (1 + area)))
            return np.asarray(np.abs(values - area) <= z * np.sqrt(np.maximum(spread / (positives * negatives), 0)))

    found = []
    for end in (0.0, 1.0):
        beyond, within = np.full(len(values), end), values
        for _ in range(HALVINGS):
            middle = (beyond + within) / 2
            beyond, within = np.where(inside(middle), beyond, middle), np.where(inside(middle), middle, within)
        found.append(within)
    return found[0], found[1]
