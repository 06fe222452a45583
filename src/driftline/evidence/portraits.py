"""Portraits of a window beside its reference: how each signal's values are distributed, and how far apart the two are.

They are drawn from the window's vector, so they are as fine as the reference's bins. Between two edges, values count as
evenly spread, and the outer bars hold all values beyond.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.evidence.bins import Bins
from driftline.evidence.distances import effects
from driftline.evidence.projection import Projection
from driftline.evidence.signals import Nature
from driftline.sketches.group import SignalRole
from driftline.sketches.keys import Floats, Ints, key_numbers

BARS: Final = 16
MAX_CATEGORIES: Final = 10
TAIL: Final = 0.01
"""Approximate share of the reference's values in the outer bar on each side."""


@dataclass(frozen=True, slots=True)
class HistogramPair:
    """Shares of values in bars of equal width between two ends."""

    low: float
    high: float
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Portrait:
    """One signal of a window beside the reference."""

    name: str
    family: str
    nature: str
    effects: Mapping[str, float]
    """What is defined of `distances.Effects`, by name."""
    histogram: HistogramPair | None
    """Of numbers."""
    categories: Mapping[str, tuple[float, float]]
    """Of categories the most frequent ones: their shares before and after."""


def portraits(projection: Projection, vector: Ints, excess: Mapping[str, float]) -> list[Portrait]:
    """Return each signal of a window, the one that is farthest from the reference first; `excess`: see `news`."""
    measured = effects(projection, vector, excess)
    found = []
    for slot, name in enumerate(projection.signals):
        if slot == 0:
            continue
        bins = projection.bins.get(slot)
        before, after = (_fine(projection, held, slot) for held in (projection.reference, vector))
        numbers = bins is not None and bins.role is SignalRole.NUMBERS
        found.append(
            Portrait(
                name,
                str(projection.families[slot]),
                str(projection.natures[slot]),
                measured.of(slot),
                _histogram(bins, projection.natures[slot], before, after) if bins is not None and numbers else None,
                _categories(bins, before, after) if bins is not None and not numbers else {},
            )
        )
    return sorted(found, key=lambda each: (-_distance(each.effects), each.name))


def _distance(found: Mapping[str, float]) -> float:
    kinds = ("null", "missing", "other_kind", "out_of_range")
    rates = (found.get(f"{kind}_after", 0.0) - found.get(f"{kind}_before", 0.0) for kind in kinds)
    return found.get("psi", 0.0) + sum(map(abs, rates))


def _fine(projection: Projection, vector: Ints, slot: int) -> Ints:
    first, last = projection.fine_bounds[slot : slot + 2].tolist()
    return vector[first:last]


def _histogram(bins: Bins, nature: Nature, before: Ints, after: Ints) -> HistogramPair | None:
    below = np.cumsum(before) / max(int(before.sum()), 1)
    if nature is Nature.NUMBERS:
        edges = _edges(bins)
        if len(edges) < 2:
            return None
        first = min(_place(below, TAIL), len(edges) - 2)
        last = max(min(_place(below, 1 - TAIL), len(edges) - 1), first + 1)
        low, high = float(edges[first]), float(edges[last])
        bars = np.linspace(low, high, BARS + 1)[1:-1]
        return HistogramPair(low, high, *(_share(_between(bars, edges, held)) for held in (before, after)))
    values = _values(bins)
    low, high = (float(values[min(_place(below, share), len(values) - 1)]) for share in (TAIL, 1 - TAIL))
    if not high > low:
        low, high = float(values[0]), float(values[-1])
    place = np.zeros(len(values), dtype=np.int64)
    if high > low:
        place = np.clip((values - low) / (high - low) * BARS, 0, BARS - 1).astype(np.int64)
    return HistogramPair(
        low, high, *(_share(np.bincount(place, held, minlength=BARS).astype(np.float64)) for held in (before, after))
    )


def _place(below: Floats, share: float) -> int:
    return int(np.searchsorted(below, share))


def _between(bars: Floats, edges: Floats, counts: Ints) -> Floats:
    """Return how many values lie below the first of these, between each two, and above the last."""
    below = np.interp(bars, edges, np.cumsum(counts)[:-1])
    return np.diff(below, prepend=0, append=counts.sum())


def _edges(bins: Bins) -> Floats:
    """Return the lower edges of all fine bins but the first."""
    return key_numbers(bins.starts[np.searchsorted(bins.fine, np.arange(1, bins.fine_bins))])


def _values(bins: Bins) -> Floats:
    """Return the value of each fine bin of a signal with few values."""
    return np.array([float(label) for label in bins.labels])


def _share(counts: Ints | Floats) -> tuple[float, ...]:
    total = float(counts.sum())
    return tuple((counts / total).tolist()) if total else (0.0,) * len(counts)


def _categories(bins: Bins, before: Ints, after: Ints) -> dict[str, tuple[float, float]]:
    """Return the shares of labels, several bins of one label together."""
    shares: dict[str, tuple[float, float]] = {}
    for label, old, new in zip(bins.labels, _share(before), _share(after), strict=True):
        held = shares.get(label, (0.0, 0.0))
        shares[label] = held[0] + old, held[1] + new
    ranked = sorted(shares, key=lambda label: (-max(shares[label]), label))
    return {label: shares[label] for label in ranked[:MAX_CATEGORIES] if max(shares[label])}
