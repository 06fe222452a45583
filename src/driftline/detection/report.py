"""The page's parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from scipy.special import chdtri

Given = TypeVar("Given")
Made = TypeVar("Made")
Spread = Callable[[Callable[[Given], Made], list[Given]], Iterator[Made]]
"""Maps over pieces of work, on as many cores as there are; in order."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: what was measured, and which targets it met."""

    title: str
    text: str
    targets: Mapping[str, bool] = field(default_factory=dict)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a Poisson mean (Garwood 1936).

    >>> low, high = poisson_interval(0)
    >>> low, round(high, 3)
    (0.0, 3.689)
    """
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(chdtri(2 * count, 1 - tail)) / 2
    return low, float(chdtri(2 * count + 2, tail)) / 2


def poisson_limit(count: int, level: float = 0.95) -> float:
    """Return the upper limit of a Poisson mean.

    >>> round(poisson_limit(0), 3)
    2.996
    """
    return float(chdtri(2 * count + 2, 1 - level)) / 2
