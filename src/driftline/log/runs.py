"""Runs of equal values: a batch ends where somebody else writes the timestamps."""

from collections.abc import Iterator, Sequence
from itertools import groupby


def runs(values: Sequence[int]) -> Iterator[slice]:
    """Yield the places of each run of equal values, in order.

    >>> list(runs([2, 2, 1, 2]))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    if values and values.count(values[0]) == len(values):  # as a rule; some nanoseconds a value
        yield slice(0, len(values))
        return
    begin = 0
    for _, equal in groupby(values):
        end = begin + len(list(equal))
        yield slice(begin, end)
        begin = end
