"""Scores and numbers as integers, fine enough to rank by, and the buckets that they fall into.

A number's *place* is its float's bits, rounded to 19 of the mantissa: places sort as the numbers do, and each stands
for what is within 2^-20 of it, relatively. A probability's place is that of its distance from the nearer of 0 and 1:
.999 and .9999 are as far from each other as .001 and .0001, and the place of 1 - s is the negative one of s. What is
within 2^-52 of 0 or 1 counts as 2^-52 away, as scikit-learn's log loss clips it. A number beyond 2^240 counts as that:
its square's square is still a number.

A *bucket* is a run of places that share their high bits: so many to each power of two. Within a bucket places are
linear in the value, so counts with the first two moments of places are counts with the first two moments of values.

    probability      0 .. 2^-52   ..   .125      .25          .5          .75      .875   ..   1
    place           -51 * 2^19    ..  -2*2^19   -1*2^19        0         1*2^19   2*2^19  ..   51 * 2^19
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.sketches.keys import Floats, Ints

PLACE_BITS: Final = 19
"""Mantissa bits that a place keeps."""
ROUNDING: Final = 2.0 ** -(PLACE_BITS + 1)
"""Most that a place differs from its number, relatively."""
CLOSEST: Final = 2.0**-52
"""A probability nearer to 0 or 1 counts as this near."""
LARGEST: Final = 2.0**240
_DROPPED: Final = 52 - PLACE_BITS


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of probabilities, or of any finite numbers.

    Args:
        bits: 2^bits buckets to a power of two.
        probabilities: whether values are in [0, 1].

    >>> grid = Grid(5, probabilities=True)
    >>> buckets, offsets = grid.buckets(np.array([0.0, 0.25, 0.5, 0.501, 1.0]))
    >>> buckets
    array([-1632,   -32,     0,     0,  1632])
    >>> middle, step = grid.values(buckets)
    >>> (middle + step * offsets).round(6)
    array([0.   , 0.25 , 0.5  , 0.501, 1.   ])
    """

    bits: int
    probabilities: bool = False

    @property
    def width(self) -> int:
        """The number of places in a bucket."""
        return 1 << (PLACE_BITS - self.bits)

    def buckets(self, values: Floats) -> tuple[Ints, Ints]:
        """Return the bucket of each value, and its place as counted from the bucket's middle (both shaped alike)."""
        places = _probability_places(values) if self.probabilities else _number_places(values)
        return places >> (PLACE_BITS - self.bits), (places & (self.width - 1)) - self.width // 2

    def values(self, buckets: Ints) -> tuple[Floats, Floats]:
        """Return the value in the middle of each bucket, and how far one place is."""
        low, high = self.edges(buckets)
        return (low + high) / 2, (high - low) / self.width

    def edges(self, buckets: Ints) -> tuple[Floats, Floats]:
        """Return the least value of each bucket, and that of the next."""
        low = buckets << (PLACE_BITS - self.bits)
        named = _probabilities if self.probabilities else _numbers
        return named(low), named(low + self.width)

    def complements(self, buckets: Ints) -> tuple[Floats, Floats]:
        """Return the same of 1 - probability, exact also where that is tiny."""
        least = -(buckets << (PLACE_BITS - self.bits))
        high, low = _probabilities(least), _probabilities(least - self.width)
        return (low + high) / 2, (low - high) / self.width

    def rounded(self, values: Floats) -> Floats:
        """Return the values that the places of these stand for."""
        buckets, offsets = self.buckets(values)
        middle, step = self.values(buckets)
        return middle + step * offsets


def _magnitudes(values: Floats) -> Ints:
    """Return bits of numbers of 0 or more, rounded; the carry into the exponent keeps them in order."""
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    return np.asarray((bits + (1 << (_DROPPED - 1))) >> _DROPPED)


def _probability_places(values: Floats) -> Ints:
    upper = values > 0.5
    near = _magnitudes(np.maximum(np.where(upper, 1 - values, values), CLOSEST)) - _HALF
    return np.where(upper, -near, near)


def _number_places(values: Floats) -> Ints:
    places = _magnitudes(np.minimum(np.abs(values), LARGEST))
    return np.where(values < 0, -places, places)


def _numbers(places: Ints) -> Floats:
    values: Floats = np.copysign((np.abs(places) << _DROPPED).view(np.float64), places)
    return values


def _probabilities(places: Ints) -> Floats:
    near: Floats = (np.maximum(_HALF - np.abs(places), 0) << _DROPPED).view(np.float64)
    return np.where(places > 0, 1 - near, near)


_HALF: Final = int(np.array([0.5]).view(np.int64)[0] >> _DROPPED)
