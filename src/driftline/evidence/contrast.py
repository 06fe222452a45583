"""The contrast of a signal: the one comparison, before and after, that a person should see first."""

from dataclasses import dataclass

import numpy as np

from driftline.evidence.bins import MAX_EVIDENCE_CATEGORIES, Bins, is_named
from driftline.evidence.projection import Projection
from driftline.evidence.signals import Nature
from driftline.sketches.group import SignalRole
from driftline.sketches.keys import Ints

MEAN_TELLS = 0.25
"""If the mean moved by this many standard deviations, it is the contrast; otherwise the part of the range that moved
is.
"""


EXPECTED = 10
MAX_GONE = 10


@dataclass(frozen=True, slots=True)
class Contrast:
    """`what` went from `before` to `after`; `share` says that these are shares of the values."""

    what: str
    before: float
    after: float
    share: bool
    is_named: bool = True
    """Whether `what` has a name that a person knows: a bucket of a coarsened sketch has none."""


def contrast(projection: Projection, vector: Ints, slot: int, excess: float = 0.0) -> Contrast | None:
    """Return what moved most of a signal's values; None if the window or the reference had none.

    None, too, if of many categories no single one moved farther than by chance: together they did, or windows before.

    The mean, for numbers whose mean moved by a quarter of a standard deviation or more; else the category, value or
    range that adds most to χ²: so a rare one that trebles comes before a frequent one that makes room for it.
    """
    bins = projection.bins.get(slot)
    if bins is None:
        return None
    part = slice(int(projection.fine_bounds[slot]), int(projection.fine_bounds[slot + 1]))
    counts = [projection.fine(side)[part] for side in (projection.reference, vector)]
    if not all(side.sum() for side in counts):
        return None
    numeric = bins.role is SignalRole.NUMBERS
    if numeric:
        before, after = (float(projection.means(side)[slot]) for side in (projection.reference, vector))
        after += excess / int(counts[1].sum())
        deviation = float(projection.deviations[slot])
        if abs(after - before) >= MEAN_TELLS * deviation:
            return Contrast("mean", before, after, share=False)
    ranges = numeric and projection.natures[slot] is Nature.NUMBERS
    first = bins.evidence if ranges else np.arange(bins.fine_bins, dtype=np.int64)
    sums = [np.add.reduceat(side, first) for side in counts]
    shares = [side / side.sum() for side in sums]
    smoothed = (sums[0] + 0.5) / (sums[0] + 0.5).sum()
    moved = (shares[1] - shares[0]) ** 2 / smoothed
    most = int(np.argmax(moved))
    what = _range(bins, most) if ranges else bins.labels[most]
    many = not numeric and len(first) > MAX_EVIDENCE_CATEGORIES + 1
    if many and sums[1].sum() * moved[most] < 2 * np.log(len(first)):  # the greatest of K squared normal deviates
        return None
    named = numeric or is_named(what)
    return Contrast(what, float(shares[0][most]), float(shares[1][most]), share=True, is_named=named)


def vanished(projection: Projection, vector: Ints, slot: int) -> dict[str, float]:
    """Return the categories that a window did not hold though it should have, with their shares in the reference.

    The most frequent come first. A category of which EXPECTED are awaited is missing by chance once in e^10 times.
    """
    bins = projection.bins.get(slot)
    if bins is None or bins.role is SignalRole.NUMBERS:
        return {}
    part = slice(int(projection.fine_bounds[slot]), int(projection.fine_bounds[slot + 1]))
    before, after = (projection.fine(side)[part] for side in (projection.reference, vector))
    shares = before / max(int(before.sum()), 1)
    found = np.flatnonzero((after == 0) & (shares * after.sum() >= EXPECTED))
    chosen = found[np.lexsort((found, -shares[found]))][:MAX_GONE].tolist()
    return {bins.labels[at]: float(shares[at]) for at in chosen if is_named(bins.labels[at])}


def _range(bins: Bins, at: int) -> str:
    if at == 0:
        return f"below {bins.labels[int(bins.evidence[1])]}" if len(bins.evidence) > 1 else "all"
    low = bins.labels[int(bins.evidence[at])]
    return f"from {low} to {bins.labels[int(bins.evidence[at + 1])]}" if at + 1 < len(bins.evidence) else f"from {low}"
