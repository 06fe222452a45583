"""Counts by bucket that add up, merge and subtract exactly.

A tally's rows are what was counted: in which group (a model, version and segment; a cohort), as what (a key, see
`outcomes`), how many, with what weight, and the first two moments of their places in the bucket. All are integers, and
what sums to nothing has no row. So a tally is a function of the multiset of what was added less what was taken away:
any order, any batching and any tree of merges give the same arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
import numpy as np

from driftline import codec
from driftline.sketches.keys import Bools, Floats, Ints

WEIGHT_UNIT: Final = 256
"""Weights are counted in 256ths."""
MIN_WEIGHT, MAX_WEIGHT = 1 / WEIGHT_UNIT, 256.0
KIND: Final = "tally"
VERSION: Final = 1
_LOW: Final = 26
"""Bits of a key that are stored by themselves: above these, keys are alike for many rows."""
_MIDDLE: Final = 1 << (_LOW - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Rows in the order of their groups and keys; each pair is there once. All arrays run parallel."""

    groups: Ints
    keys: Ints
    counts: Ints
    weights: Ints
    """In 256ths."""
    firsts: Ints
    """Sum of weight times place in the bucket."""
    seconds: Ints
    """Sum of weight times place squared. In fine buckets there is room for 2^29 rows of weight 1 in each."""

    def __len__(self) -> int:
        return len(self.keys)

    def __neg__(self) -> "Tally":
        return Tally(self.groups, self.keys, -self.counts, -self.weights, -self.firsts, -self.seconds)

    def __add__(self, other: "Tally") -> "Tally":
        return merged([self, other])

    def __sub__(self, other: "Tally") -> "Tally":
        return merged([self, -other])

    def take(self, rows: Bools | Ints) -> "Tally":
        """Return some rows, given in ascending order or by a mask."""
        return Tally(*(getattr(self, name)[rows] for name in Tally.__slots__))

    def regrouped(self, groups: Ints) -> "Tally":
        """Return the same rows with the group `groups[g]` for g; what gets the same group is merged."""
        return _together([Tally(groups[self.groups], *(getattr(self, name) for name in Tally.__slots__[1:]))])

    def rekeyed(self, keys: Ints) -> "Tally":
        """Return the same rows with other keys; what gets the same key is merged."""
        return _together([Tally(self.groups, keys, self.counts, self.weights, self.firsts, self.seconds)])

    def packed(self) -> bytes:
        """Return it as bytes: few, where weights are 1 and most buckets hold one outcome."""
        sums = np.concatenate([self.weights, self.firsts, self.seconds])
        unit = max(int(np.gcd.reduce(sums)) if len(sums) else 1, 1)  # 256 where all weights are 1
        weights, firsts, seconds = self.weights // unit, self.firsts // unit, self.seconds // unit
        extra = weights - self.counts
        seconds = seconds - _square_of_one(self.counts, extra, firsts)
        cells, cell = np.unique(self.keys >> _LOW, return_inverse=True)
        arrays = {
            "groups": self.groups,
            "cells": cells,
            "cell": cell.astype(np.int64),
            "low": (self.keys & ((1 << _LOW) - 1)) - _MIDDLE,
            "counts": self.counts,
            "extra": extra,
            "firsts": firsts,
            "seconds": seconds & 0xFFFF_FFFF,
            "seconds_high": seconds >> 32,
        }
        return codec.pack(KIND, VERSION, unit, arrays)


def empty() -> Tally:
    """Return the tally of nothing."""
    none = np.zeros(0, dtype=np.int64)
    return Tally(none, none, none, none, none, none)


def counted(groups: Ints, keys: Ints, offsets: Ints, weights: Ints, signs: Ints) -> Tally:
    """Return the tally of rows, in any order, repeated or not.

    Args:
        groups: the group of each, 0 or more.
        keys: as what it counts.
        offsets: its place in its bucket.
        weights: its weight, in 256ths.
        signs: 1 for what is added, -1 for what is taken away.
    """
    signed = signs * weights
    first = signed * offsets
    return _together([Tally(groups, keys, signs, signed, first, first * offsets)])


def merged(parts: Sequence[Tally]) -> Tally:
    """Return the tally of all that was counted in any of the parts.

    >>> one = np.ones(2, dtype=np.int64)
    >>> part = counted(0 * one, np.array([7, 9]), 0 * one, 256 * one, one)
    >>> len(merged([part, part])), merged([part, part]).counts, len(part - part)
    (2, array([2, 2]), 0)
    """
    held = [part for part in parts if len(part)]
    return held[0] if len(held) == 1 else _together(held)


def unpacked(data: bytes) -> Tally:
    """Return what `Tally.packed` wrote. Raises `StateCorrupt` for anything else."""
    read = codec.unpack(data, KIND, (VERSION,))
    with codec.corrupt_if_it_fails(KIND):
        unit = msgspec.convert(read.value, Annotated[int, msgspec.Meta(ge=1, le=2**62)])
        arrays = read.arrays
        names = ("groups", "cell", "low", "counts", "extra", "firsts", "seconds", "seconds_high")
        groups, cell, low, counts, extra, firsts, seconds, high = (arrays[name] for name in names)
        if any(arrays[name].dtype != np.int64 or len(arrays[name]) != len(cell) for name in names):
            raise ValueError("its columns are not integers of one length")
        if arrays["cells"].dtype != np.int64 or (cell < 0).any() or (groups < 0).any():
            raise ValueError("its rows are of no cell or group")
        keys = (arrays["cells"][cell] << _LOW) + low + _MIDDLE
        seconds = (high << 32) + seconds + _square_of_one(counts, extra, firsts)
        tally = Tally(groups, keys, counts, (extra + counts) * unit, firsts * unit, seconds * unit)
        steps, same = np.diff(keys), np.diff(groups) == 0
        if (np.diff(groups) < 0).any() or (steps[same] <= 0).any():
            raise ValueError("its rows are not in order")
    return tally


def _square_of_one(counts: Ints, extra: Ints, firsts: Ints) -> Ints:
    """Return what the sum of squares is where one outcome of weight 1 is all there is; else 0."""
    return np.where((counts == 1) & (extra == 0), firsts * firsts, 0)


def units(weights: Floats) -> Ints:
    """Return weights in 256ths. Raises `ValueError` for one that is not between 1/256 and 256."""
    if not ((weights >= MIN_WEIGHT) & (weights <= MAX_WEIGHT)).all():
        raise ValueError(f"a weight must be between 1/{WEIGHT_UNIT} and {MAX_WEIGHT:g}: scale all weights")
    return np.rint(weights * WEIGHT_UNIT).astype(np.int64)


def _together(parts: Sequence[Tally]) -> Tally:
    if not parts:
        return empty()
    groups, keys, *columns = (np.concatenate([getattr(part, name) for part in parts]) for name in Tally.__slots__)
    if not len(keys):
        return empty()
    order = np.lexsort((keys, groups))
    groups, keys = groups[order], keys[order]
    starts = np.flatnonzero(np.concatenate(([True], (np.diff(groups) != 0) | (np.diff(keys) != 0))))
    sums = [np.add.reduceat(column[order], starts) for column in columns]
    kept = np.logical_or.reduce([column != 0 for column in sums])
    return Tally(groups[starts][kept], keys[starts][kept], *(column[kept] for column in sums))
