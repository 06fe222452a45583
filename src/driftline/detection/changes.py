"""The changes whose finding is measured: of a signal's numbers, or of the share of a category or of missing values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import expon, norm, t

from driftline.sketches.keys import Floats

Chance = np.random.Generator
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChangingNumbers:
    """Standard normal numbers that turn into others.

    Args:
        name: for people.
        draw: what they turn into.
        below: its distribution function.
    """

    name: str
    draw: Callable[[Chance, Shape], Floats]
    below: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Share:
    """An event that occurs with one probability and then with another."""

    name: str
    before: float
    after: float


Change = ChangingNumbers | Share


def _shift(size: float) -> ChangingNumbers:
    return ChangingNumbers(
        f"mean + {size:g} sd", lambda chance, shape: chance.standard_normal(shape) + size, lambda x: norm.cdf(x - size)
    )


def _scale(size: float) -> ChangingNumbers:
    return ChangingNumbers(
        f"scale by {size:g}", lambda chance, shape: chance.standard_normal(shape) * size, lambda x: norm.cdf(x / size)
    )


_ROOT: Final = float(np.sqrt(3.0))

CHANGES: Final[tuple[Change, ...]] = (
    _shift(0.25),
    _shift(0.5),
    _shift(1.0),
    _scale(1.3),
    _scale(1.6),
    _scale(0.7),
    ChangingNumbers(
        "heavy tails (t3), same sd",
        lambda chance, shape: chance.standard_t(3, shape) / _ROOT,
        lambda x: t.cdf(x * _ROOT, 3),
    ),
    ChangingNumbers(
        "skewed (exponential), same sd",
        lambda chance, shape: chance.exponential(1.0, shape) - 1,
        lambda x: expon.cdf(x + 1),
    ),
    Share("category 30 % → 38 %", 0.3, 0.38),
    Share("category 30 % → 45 %", 0.3, 0.45),
    Share("missing 1 % → 3 %", 0.01, 0.03),
    Share("missing 1 % → 10 %", 0.01, 0.1),
)


Before = float | None
"""What a change starts from: a share, or standard normal numbers (None)."""


def before_of(change: Change) -> Before:
    """Return what a change starts from."""
    return change.before if isinstance(change, Share) else None


def draw_before(before: Before, chance: Chance, shape: Shape) -> Floats:
    """Draw values of before the change; the event of a share is 1."""
    return chance.standard_normal(shape) if before is None else (chance.random(shape) < before).astype(np.float64)


def draw(change: Change, chance: Chance, shape: Shape, *, changed: bool) -> Floats:
    """Draw values of before or after the change; the event of a share is 1."""
    if not changed:
        return draw_before(before_of(change), chance, shape)
    if isinstance(change, Share):
        return (chance.random(shape) < change.after).astype(np.float64)
    return change.draw(chance, shape)
