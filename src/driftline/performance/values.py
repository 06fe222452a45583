"""What labels say that outcomes are worth: how many say so, and how much that is in all.

Beside all metrics: a label's `value` is what came of it, and not what a cost matrix says. Sums are exact but for the
rounding of each value to 2^-20 of it (see `grid`). A correction takes the old value away.
"""

import numpy as np

from driftline.performance.outcomes import GRIDS, NOT, Series, key, moments, series_of
from driftline.performance.tally import WEIGHT_UNIT, Tally, counted
from driftline.sketches.keys import Floats, Ints


def valued(groups: Ints, values: Floats, signs: Ints) -> Tally:
    """Count values; NaN where a label says none.

    >>> zero, ones = np.zeros(3, dtype=np.int64), np.ones(3, dtype=np.int64)
    >>> tally = valued(zero, np.array([-100.0, np.nan, 20.5]), ones)
    >>> total_value(tally), total_value(without_values(tally))
    ((2, -79.5), (0, 0.0))
    """
    at = np.flatnonzero(np.isfinite(values))
    none = np.zeros(len(at), dtype=np.int64)
    buckets, offsets = GRIDS[Series.VALUES].buckets(values[at])
    keys = key(Series.VALUES, none, none, NOT, buckets)
    return counted(groups[at], keys, offsets, np.full(len(at), WEIGHT_UNIT), signs[at])


def total_value(tally: Tally) -> tuple[int, float]:
    """Return how many values there are, and their sum."""
    rows = values_of(tally)
    weight, mean, _ = moments(rows, GRIDS[Series.VALUES])
    return int(rows.counts.sum()), float((weight * np.where(weight != 0, mean, 0.0)).sum())


def values_of(tally: Tally) -> Tally:
    """Return the rows of values alone."""
    return tally.take(series_of(tally.keys) == Series.VALUES)


def without_values(tally: Tally) -> Tally:
    """Return all other rows."""
    return tally.take(series_of(tally.keys) != Series.VALUES)
