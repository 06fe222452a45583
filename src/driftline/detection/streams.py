"""Streams in which nothing changes: what their values are, and how they depend on one another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from scipy.signal import lfilter
from scipy.stats import lognorm, norm, t

from driftline.sketches.keys import Floats

Chance = np.random.Generator


class Walk(Protocol):
    """The values of some signals, on and on."""

    def draw(self, n: int) -> Floats:
        """Return the next n values of each signal (shape: signals, n); NaN is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """A kind of stream.

    Args:
        name: for people.
        walk: begins one, for so many signals.
        below: where events are independent, the probability of a number below each edge: windows are then drawn as
            counts, whatever their size.
        codes: for categories, the probability of each code; the values are codes.
        missing: the share of missing values.
    """

    name: str
    walk: Callable[[Chance, int], Walk]
    below: Callable[[Floats], Floats] | None = None
    codes: Floats | None = None
    missing: float = 0.0

    @property
    def independent(self) -> bool:
        """Whether its events are independent."""
        return self.below is not None or self.codes is not None


class _Drawn:
    def __init__(self, chance: Chance, signals: int, of: Callable[[Chance, tuple[int, int]], Floats]) -> None:
        self._chance, self._signals, self._of = chance, signals, of

    def draw(self, n: int) -> Floats:
        return self._of(self._chance, (self._signals, n))


class _Autoregressive:
    """x <- a x + sqrt(1 - a²) e: of unit variance, events k apart are correlated by a^k."""

    def __init__(self, chance: Chance, signals: int, a: float) -> None:
        self._chance, self._a = chance, a
        self._held = chance.standard_normal((signals, 1)) * a

    def draw(self, n: int) -> Floats:
        noise = self._chance.standard_normal((len(self._held), n)) * np.sqrt(1 - self._a**2)
        found, self._held = lfilter([1.0], [1.0, -self._a], noise, axis=1, zi=self._held)
        return np.asarray(found)


class _Season:
    """A sine of amplitude 1 beside noise of variance 1, from a random phase on."""

    def __init__(self, chance: Chance, signals: int, period: float) -> None:
        self._chance, self._period, self._at = chance, period, 0
        self._phase = chance.random((signals, 1)) * 2 * np.pi

    def draw(self, n: int) -> Floats:
        times = (self._at + np.arange(n)) * 2 * np.pi / self._period
        self._at += n
        return np.asarray(np.sin(times + self._phase) + self._chance.standard_normal((len(self._phase), n)))


def _independent(
    name: str,
    draw: Callable[[Chance, tuple[int, int]], Floats],
    below: Callable[[Floats], Floats],
    missing: float = 0.0,
) -> Stream:
    return Stream(name, lambda chance, signals: _Drawn(chance, signals, draw), below, missing=missing)


def _mixture(chance: Chance, shape: tuple[int, int]) -> Floats:
    low = chance.random(shape) < 0.5
    values = np.where(low, chance.standard_normal(shape), 4 + 0.5 * chance.standard_normal(shape))
    values[chance.random(shape) < 0.05] = np.nan
    return values


def _categorical(names: int) -> Stream:
    weights = 1 / np.arange(1, names + 1)
    codes = weights / weights.sum()
    steps = np.cumsum(codes)[:-1]

    def draw(chance: Chance, shape: tuple[int, int]) -> Floats:
        return np.searchsorted(steps, chance.random(shape), side="right").astype(np.float64)

    return Stream(f"{names} categories (Zipf)", lambda chance, signals: _Drawn(chance, signals, draw), codes=codes)


def _autoregressive(a: float) -> Stream:
    return Stream(f"AR({a:g})", lambda chance, signals: _Autoregressive(chance, signals, a))


def _season(period: int) -> Stream:
    return Stream(f"season of {period:,} events", lambda chance, signals: _Season(chance, signals, period))


STREAMS: Final = (
    _independent("normal", lambda chance, shape: chance.standard_normal(shape), norm.cdf),
    _independent("lognormal", lambda chance, shape: np.exp(chance.standard_normal(shape)), lambda x: lognorm.cdf(x, 1)),
    _independent("Student's t, 3 degrees", lambda chance, shape: chance.standard_t(3, shape), lambda x: t.cdf(x, 3)),
    _independent(
        "binary, .3",
        lambda chance, shape: (chance.random(shape) < 0.3).astype(np.float64),
        lambda x: np.where(x <= 0, 0.0, np.where(x <= 1, 0.7, 1.0)),
    ),
    _independent(
        "binary, .002",
        lambda chance, shape: (chance.random(shape) < 0.002).astype(np.float64),
        lambda x: np.where(x <= 0, 0.0, np.where(x <= 1, 0.998, 1.0)),
    ),
    _categorical(20),
    _independent(
        "two humps, 5 % missing", _mixture, lambda x: (norm.cdf(x) + norm.cdf(x, loc=4, scale=0.5)) / 2, missing=0.05
    ),
    _autoregressive(0.5),
    _autoregressive(0.9),
    _autoregressive(0.99),
    _season(100),
    _season(1_000),
    _season(10_000),
)
