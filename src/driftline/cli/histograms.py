"""What a reference knows of each signal, in plain values, and drawn on a line of text."""

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from driftline.cli.profile_document import Histogram, Histograms, SignalShown

if TYPE_CHECKING:
    from driftline.evidence.projection import Projection
    from driftline.evidence.reference import Reference

BARS = " ▁▂▃▄▅▆▇█"
BAR_COUNT = 16
MAX_CATEGORIES = 10
"""Categories listed by name in JSON."""


def describe(reference: "Reference", projection: "Projection") -> list[SignalShown]:
    """Return what is known of each signal."""
    from driftline.evidence.bins import Quality
    from driftline.sketches.group import SignalRole

    quality = projection.quality(projection.reference)
    means = projection.means(projection.reference)
    found = []
    for slot, name in enumerate(projection.signals):
        if slot == 0:
            continue
        counts = quality[slot]
        held = int(counts[Quality.EXPECTED] + counts[Quality.OUT_OF_RANGE] + counts[Quality.UNSEEN])
        row = SignalShown(
            name=name,
            family=str(projection.families[slot]),
            nature=str(reference.natures[slot]),
            values=held,
            missing=float(counts[Quality.MISSING]) / reference.events,
            null=float(counts[Quality.NULL]) / reference.events,
            other_kinds=float(counts[Quality.OTHER_KIND]) / reference.events,
        )
        bins = projection.bins.get(slot)
        if bins is not None and bins.role is SignalRole.NUMBERS:
            mean, sd = float(means[slot]), float(projection.deviations[slot])
            row = replace(row, mean=mean, sd=sd, histogram=histogram(reference, slot))
        elif bins is not None:
            start = int(projection.fine_bounds[slot])
            fine = projection.reference[start : start + bins.fine_bins].tolist()
            shares = [(label, count / held) for label, count in zip(bins.labels, fine, strict=True) if count]
            row = replace(row, categories=dict(shares[:MAX_CATEGORIES]))
        found.append(row)
    return found


def histogram(reference: "Reference", slot: int, ends: tuple[float, float] | None = None) -> Histogram | None:
    """Return counts in bars of equal width between two ends, or the 1 % and 99 % quantiles; None without numbers.

    The outer bars hold what lies beyond.
    """
    import numpy as np

    from driftline.evidence.counting import bucket_means
    from driftline.sketches.group import ROLES, SignalRole

    at = np.flatnonzero(reference.summary.cells.ids == slot * ROLES + SignalRole.NUMBERS)
    if not len(at):
        return None
    cell = reference.summary.cells.take(at)
    values, counts = bucket_means(cell.keys, cell.counts, cell.offsets), cell.counts
    below = np.cumsum(counts) / counts.sum()
    low, high = ends or (values[np.searchsorted(below, 0.01)], values[np.searchsorted(below, 0.99)])
    if not high > low:
        return Histogram(float(low), float(high), [int(counts.sum())])
    place = np.clip((values / 2 - low / 2) / (high / 2 - low / 2) * BAR_COUNT, 0, BAR_COUNT - 1).astype(np.int64)
    found = np.zeros(BAR_COUNT, dtype=np.int64)
    np.add.at(found, place, counts)
    return Histogram(float(low), float(high), found.tolist())


def drawn(signal: SignalShown) -> str:
    """Draw a signal that `describe` described: bars of its numbers, or its most frequent categories."""
    if held := signal.histogram:
        return f"{held.low:.3g} {bars(held.counts)} {held.high:.3g}"
    return ", ".join(f"{name} {share:.0%}" for name, share in list((signal.categories or {}).items())[:3])


def bars(counts: list[int]) -> str:
    """Draw one bar a count.

    >>> bars([0, 1, 4, 8])
    ' ▁▄█'
    """
    top = max(counts, default=0) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in counts)


def drawn_pair(pair: Histograms | UnsetType) -> str:
    """Draw two histograms with the same ends, one behind the other; an empty text where one is missing."""
    if pair is UNSET or pair.after is None:
        return ""
    before = pair.before
    return f"{before.low:.3g} {bars(before.counts)} {before.high:.3g} → {bars(pair.after.counts)}"
