"""The loops behind `projection`, compiled: the buckets of a summary, counted into the bins of a reference one by one.

A slice of a few events has a few dozen buckets: there a call of numpy costs more than all that it does.
"""

import math
from typing import Final, TypeAlias

import numpy as np

from driftline.compiled import compiled, inlined, number_of, signed
from driftline.evidence.bins import QUALITIES, Quality
from driftline.sketches.buckets import Buckets
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import KEY_BITS, Bools, Floats, Ints

SUM_LIMIT: Final = 2.0**31
"""A value further from the reference's mean than 2^31 units (2,048 deviations) counts as that far, so 2^31 fit."""
_DROPPED: Final = 64 - KEY_BITS
_SCALE: Final = 2.0**_DROPPED
_BELOW: Final = (1 << _DROPPED) - 1
_POSITIVE: Final = KEY_BITS - 1
_SIGN: Final = -(2**63)
_MAGNITUDE: Final = 2**63 - 1
_EXPECTED, _MISSING = int(Quality.EXPECTED), int(Quality.MISSING)
_OTHER_KIND, _OUT_OF_RANGE, _UNSEEN = int(Quality.OTHER_KIND), int(Quality.OUT_OF_RANGE), int(Quality.UNSEEN)
_NUMBERS = int(SignalRole.NUMBERS)

Intervals: TypeAlias = tuple[Ints, Ints, Ints]
"""Where the intervals of all cells begin, as cell and key in one number; where those of each cell begin among these;
and the two places of a vector to which each interval adds."""
Seen: TypeAlias = tuple[Ints, Ints, Ints]
"""By cell, how coarse the reference is; where its keys begin; and the keys that it held, of which the first that shares
a coarser prefix stands for it."""
Units: TypeAlias = tuple[Floats, Floats]
"""By cell, in what unit its values are summed, 0 for not at all; and from what centre."""


def bucket_means(keys: Ints, counts: Ints, offsets: Ints) -> Floats:
    """Return the mean of the numbers in each bucket (shape: buckets)."""
    means = np.empty(len(keys))
    _fill_means((keys, counts, offsets), means)
    return means


@compiled
def _fill_means(held: Buckets, means: Floats) -> None:
    keys, counts, offsets = held
    for at in range(len(keys)):
        means[at] = mean_of(keys[at], counts[at], offsets[at])


@inlined
def mean_of(key: int, count: int, offset: int) -> float:
    """Return the mean of the numbers in a bucket.

    A float64's ordered bits grow linearly with its value within one power of two, so the mean offset, added to the bits
    below the key, gives the mean in one pass.
    """
    below = 0 if key >> _POSITIVE else _BELOW  # what was cut off a negative number
    bits = ((key << _DROPPED) + below + signed(offset / count * _SCALE)) ^ _SIGN
    return number_of(bits ^ ((bits >> 63) & _MAGNITUDE))


@inlined
def _aligned(key: int, shift: int, seen: Ints, start: int, end: int) -> int:
    """Return the key of a reference's bucket with the same prefix, or the key itself where there is none."""
    for at in range(start, end):
        if seen[at] >> shift == key >> shift:
            return signed(seen[at])
    return key


@compiled
def count_cells(
    cells: tuple[Ints, Ints, Ints], held: Buckets, slots: Ints, intervals: Intervals, seen: Seen, units: Units,
    sums_at: int, vector: Ints,
) -> None:  # fmt: skip
    """Add to a vector what cells (ids, shifts, sizes) hold, whose signals are in these slots, or in none (-1).

    A bucket that is coarser than the reference's is moved into the bin it belongs to. One of categories goes to the
    most frequent category of the reference that shares its prefix. One of numbers goes to the bin of its lower key, but
    one that holds the reference's least value does not count as out of range.
    """
    ids, shifts, sizes = cells
    keys, counts, offsets = held
    edges, bounds, targets = intervals
    known, firsts, of_reference = seen
    unit, centre = units
    end = 0
    for cell in range(len(ids)):
        start, end = end, end + sizes[cell]
        slot = slots[ids[cell] // ROLES]
        if slot < 0:
            continue
        at = slot * ROLES + ids[cell] % ROLES
        total = 0
        for bucket in range(start, end):
            key, count = keys[bucket], counts[bucket]
            if unit[at] > 0:
                far = (mean_of(key, count, offsets[bucket]) - centre[at]) / unit[at]
                total += signed(np.rint(min(max(far, -SUM_LIMIT), SUM_LIMIT))) * count
            if shifts[cell] > known[at]:
                key = _aligned(key, shifts[cell], of_reference, firsts[at], firsts[at + 1])
            placed = (at << KEY_BITS) | key
            low, high = bounds[at], bounds[at + 1]
            while high - low > 1:
                middle = (low + high) // 2
                if edges[middle] <= placed:
                    low = middle
                else:
                    high = middle
            vector[targets[low]] += count
            vector[targets[low + len(targets) // 2]] += count
        if unit[at] > 0:
            vector[sums_at + slot] += total


@compiled
def count_missing(quality: Ints, beside: Bools) -> int:
    """Count as missing what a signal's qualities (one signal after the other) lack to the events, which it returns.

    But for the signals `beside`: not every event has these.
    """
    events = int(quality[_EXPECTED])
    for slot in range(1, len(beside)):
        counted = 0
        for column in range(slot * QUALITIES, (slot + 1) * QUALITIES):
            counted += quality[column]
        quality[slot * QUALITIES + _MISSING] = 0 if beside[slot] else max(events - counted, 0)
    return events


@compiled
def add_up(vectors: Ints, bounds: Ints, sums: Ints) -> None:
    """Add up each vector (shape: vectors, width) from bound to bound (shape: vectors, bounds - 1)."""
    for row in range(len(vectors)):
        for part in range(len(bounds) - 1):
            total = 0
            for at in range(bounds[part], bounds[part + 1]):
                total += vectors[row, at]
            sums[row, part] = total


@compiled
def repeating(ids: Ints, sizes: Ints, counts: Ints, watched: Bools, share: float, least: int, found: Ints) -> int:
    """Fill in the positions of cells of numbers of which a share or more, and at least so many, are in one bucket.

    `watched` marks the slots to look at. Returns how many cells there are.
    """
    end = number = 0
    for cell in range(len(ids)):
        start, end = end, end + sizes[cell]
        if ids[cell] % ROLES != _NUMBERS or not watched[ids[cell] // ROLES]:
            continue
        total = most = 0
        for bucket in range(start, end):
            total += counts[bucket]
            most = max(most, counts[bucket])
        if most >= share * total and most >= least:
            found[number] = cell
            number += 1
    return number


@compiled
def add_up_sizes(held: Buckets, starts: Ints, quality: Ints, sums: Floats) -> tuple[float, float, float]:
    """Add up how large the numbers of a cell are: all, those that are new to the bins, those below and those above.

    Fills in, for each of the four, how many numbers, how many are not 0, the sum of their logarithms, and of their
    squares. Returns the sum of all numbers, and the least and the greatest of those below or above.
    """
    keys, counts, offsets = held
    first, last = len(quality), -1
    for interval in range(len(quality)):
        if quality[interval] == _EXPECTED:
            first, last = min(first, interval), interval
    total, least, most, place = 0.0, math.inf, -math.inf, 0
    for bucket in range(len(keys)):
        number = mean_of(keys[bucket], counts[bucket], offsets[bucket])
        total += number * counts[bucket]
        # Not numpy's search: to load machine code that calls it, numba imports scipy.linalg.
        while place + 1 < len(starts) and starts[place + 1] <= keys[bucket]:
            place += 1
        _add_size(sums[0], number, counts[bucket])
        if quality[place] == _OUT_OF_RANGE or quality[place] == _UNSEEN:
            _add_size(sums[1], number, counts[bucket])
        if place < first or place > last:
            _add_size(sums[2 if place < first else 3], number, counts[bucket])
            least, most = min(least, number), max(most, number)
    return total, least, most


@inlined
def _add_size(sums: Floats, number: float, count: int) -> None:
    sums[0] += count
    if number != 0:
        size = math.log(abs(number))
        sums[1] += count
        sums[2] += size * count
        sums[3] += size**2 * count


@compiled
def mark_news(quality: Ints, means: Floats, usual: Floats, deviations: Floats, few: float, marks: Bools) -> None:
    """Mark the signals (shape: signals, 3) that have values of another kind; more than a share that are new to the
    bins; a mean that is a standard deviation or more from the usual one. Qualities are those of `count_missing`.
    """
    for slot in range(len(marks)):
        events = 0
        for column in range(slot * QUALITIES, (slot + 1) * QUALITIES):
            events += quality[column]
        at = slot * QUALITIES
        marks[slot, 0] = quality[at + _OTHER_KIND] > 0
        marks[slot, 1] = quality[at + _UNSEEN] + quality[at + _OUT_OF_RANGE] > few * events
        marks[slot, 2] = abs(means[slot] - usual[slot]) >= deviations[slot]


@compiled
def add_up_means(
    vectors: Ints, bounds: Ints, sums_at: int, units: Floats, centres: Floats, means: Floats
) -> None:  # fmt: skip
    """Fill in the mean of each signal's numbers (shape: vectors, signals); NaN where there are none."""
    for row in range(len(vectors)):
        for slot in range(len(bounds) - 1):
            total = 0
            for at in range(bounds[slot], bounds[slot + 1]):
                total += vectors[row, at]
            known = total > 0 and units[slot] > 0
            mean = vectors[row, sums_at + slot] / total if known else math.nan
            means[row, slot] = mean * units[slot] + centres[slot]
