"""Windows of a segment that has no reference of performance of its own: estimated by what scores mean to its version.

What a metric was is the estimate of the predictions before a drift, and what it is that of those since. Labels of the
segment are not needed: so what a drift costs is known of small segments, too. That their scores mean what the version's
do is taken for granted, before and after alike.
"""

from collections.abc import Mapping

import numpy as np

from driftline.performance.estimated import BAND
from driftline.performance.intervals import normal_quantile
from driftline.performance.outcomes import labelled, waiting
from driftline.performance.study import Yardstick
from driftline.performance.tally import Tally, merged
from driftline.tasks.outcomes.stored_windows import windows_of
from driftline.tasks.views import PerformanceWindow


def likely_windows(
    books: Mapping[int, Tally], known: Yardstick, size: int, *, began: int, min_events: int
) -> list[PerformanceWindow]:
    """Return windows of predictions, oldest first; none where too little came before the drift.

    Args:
        books: predictions by start of their window.
        known: what the version's reference says.
        size: length of a window, in milliseconds.
        began: when the drift did.
        min_events: predictions that it takes.
    """
    before = [tally for start, tally in books.items() if start + size <= began]
    if known.learned is None or not before:
        return []
    whole = merged(before)
    many = int((labelled(whole, 1) + waiting(whole, 1))[0])
    found = known.learned.estimated(whole, 1)
    names = [name for name in known.values if name in found and np.isfinite(found[name].values[0])]
    if many < min_events or not names:
        return []
    wide = 2 * normal_quantile(BAND)
    own = Yardstick(
        known.kind,
        many,
        known.learned,
        {name: float(found[name].values[0]) for name in names},
        {name: float(found[name].high[0] - found[name].low[0]) / wide for name in names},
    )
    starts = sorted(books)
    parts = [books[start].regrouped(np.array([at])) for at, start in enumerate(starts)]
    return windows_of(own.study(merged(parts), len(starts)), starts, [(0, 0.0)] * len(starts))
