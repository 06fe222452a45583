"""Bins of one signal, chosen from its reference sketch.

Every bin is a set of *intervals of keys*, for numbers and for categories alike: a number's bin is one interval, a
category's is the interval of its hash (one key, or the keys that share its prefix once the reference was coarsened).
So a window is counted into all bins of all signals by one search (see `projection`).

    keys      0 ....... |min     e1      e2      max| ............ 2^40
    fine bin  0         0       1       2           2
    quality   out of range   expected               out of range

*Fine* bins (about 40) serve distances; *evidence* bins (about 12), each a run of fine bins, serve e-values: ten of
about equal mass and a thin one in each tail, because a shift shows there first.

Edges are *round*: of all keys that would cut off about the wanted share, the one with the most trailing zero bits. A
window's sketch may be coarser than the reference's; round edges are still edges of its buckets.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from driftline.evidence.signals import Family, Nature, cell_shift, family_of
from driftline.sketches.keys import KEY_BITS, Ints, key_numbers, number_keys
from driftline.sketches.summary import Role, Summary

EVIDENCE_QUANTILES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
FINE_QUANTILES = (0.001, 0.005, 0.025, *(k / 40 for k in range(2, 39) if k % 4), 0.975, 0.995, 0.999)
"""Cut in addition to the evidence bins' own edges."""
MOST_FINE_CATEGORIES = 30
MOST_EVIDENCE_CATEGORIES = 10
LEAST_CATEGORY_SHARE = 0.005
"""Rarer categories share one evidence bin: alone they would say nothing in a window of hundreds."""
LATE_SHARE = 0.01
"""Share of the reference's events that may have come later than what is not yet late."""
LEAST_BIN_COUNT = 5
"""A quantile edge cuts off at least so many values of the reference."""


class Quality(IntEnum):
    """What a signal was in one event. The six partition the events."""

    EXPECTED = 0
    NULL = 1
    MISSING = 2
    OTHER_KIND = 3
    OUT_OF_RANGE = 4
    UNSEEN = 5


QUALITIES = len(Quality)


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Bins of one signal with values. The first three arrays run parallel, one row an interval of keys.

    `starts` ascend from 0; an interval ends where the next begins. `evidence[j]` is the first fine bin of evidence
    bin j. `pseudo[j]` values are added to evidence bin j when shares are estimated.
    """

    role: Role
    starts: Ints
    fine: Ints
    quality: Ints

    evidence: Ints
    labels: tuple[str, ...]
    """What each fine bin holds, for people: a lower edge, a category."""
    pseudo: tuple[float, ...]
    unseen: float
    """Values of the reference that were seen once (Good 1953): what is to be expected of values never seen."""

    @property
    def fine_bins(self) -> int:
        """The number of fine bins."""
        return len(self.labels)


def bins_of(summary: Summary, slot: int, role: Role, nature: Nature) -> Bins:
    """Choose the bins of a signal whose values are expected in the cell `role`."""
    part = summary.slice(slot, role)
    keys, counts = summary.cells.keys[part], summary.cells.counts[part]
    width = 1 << cell_shift(summary, slot, role)
    if nature is Nature.NUMBERS:
        return _quantile_bins(keys, counts, width)
    if family_of(summary.signals[slot]) is Family.ARRIVAL:
        return _arrival_bins(keys, counts)
    if nature is Nature.VALUES:
        return _value_bins(keys, counts)
    return _category_bins(keys, counts, width, role, summary)


def _quantile_bins(keys: Ints, counts: Ints, width: int) -> Bins:
    below = np.cumsum(counts)[:-1]
    evidence = _round_edges(keys, below, int(counts.sum()), width, EVIDENCE_QUANTILES, np.zeros(0, dtype=np.int64))
    edges = _round_edges(keys, below, int(counts.sum()), width, FINE_QUANTILES, evidence)
    first, beyond = int(keys[0]), int(keys[-1]) + width
    starts = _starts(edges, np.array([first, beyond]))
    fine = np.searchsorted(edges, starts, side="right")
    outside = (starts < first) | (starts >= beyond)
    numbers = key_numbers(edges)
    return Bins(
        role=Role.NUMBERS,
        starts=starts,
        fine=fine.astype(np.int64),
        quality=np.where(outside, int(Quality.OUT_OF_RANGE), int(Quality.EXPECTED)),
        evidence=np.concatenate(([0], np.searchsorted(edges, evidence) + 1)).astype(np.int64),
        labels=("-inf", *(f"{number:.6g}" for number in numbers)),
        pseudo=(0.5,) * (len(evidence) + 1),
        unseen=0.0,
    )


def _value_bins(keys: Ints, counts: Ints) -> Bins:
    """One fine bin a value, from it up to the next; between two values lies what the reference has never seen."""
    starts = _starts(keys, keys + 1)
    fine = np.maximum(np.searchsorted(keys, starts, side="right") - 1, 0)
    outside = (starts < keys[0]) | (starts > keys[-1])
    seen = np.isin(starts, keys)
    quality = np.where(seen, int(Quality.EXPECTED), np.where(outside, int(Quality.OUT_OF_RANGE), int(Quality.UNSEEN)))
    evidence = _evidence_runs(counts)
    return Bins(
        role=Role.NUMBERS,
        starts=starts,
        fine=fine.astype(np.int64),
        quality=quality,
        evidence=evidence,
        labels=tuple(f"{number:.6g}" for number in key_numbers(keys)),
        pseudo=(0.5,) * len(evidence),
        unseen=max(float((counts == 1).sum()), 0.5),
    )


def _arrival_bins(keys: Ints, counts: Ints) -> Bins:
    """A bin a value, of which those are out of range that tell of trouble.

    That is what lies above all but LATE_SHARE of the reference's, and what is negative and below its least: an event
    from the future. Sooner than ever is fine.
    """
    above = counts.sum() - np.cumsum(counts)
    late = int(keys[np.argmax(above <= LATE_SHARE * counts.sum())])
    least = min(int(keys[0]), int(number_keys(np.zeros(1))[0]))
    starts = _starts(keys, keys + 1, np.array([least], dtype=np.int64))
    outside = (starts < least) | (starts > late)
    return replace(
        _value_bins(keys, counts),
        starts=starts,
        fine=np.maximum(np.searchsorted(keys, starts, side="right") - 1, 0).astype(np.int64),
        quality=np.where(outside, int(Quality.OUT_OF_RANGE), int(Quality.EXPECTED)),
        unseen=0.0,
    )


def _category_bins(keys: Ints, counts: Ints, width: int, role: Role, summary: Summary) -> Bins:
    """The most frequent categories, the rest together, and all that the reference has never seen."""
    order = np.lexsort((keys, -counts))
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys))
    top = min(len(keys), MOST_FINE_CATEGORIES)
    unseen = top + (len(keys) > top)
    starts = _starts(keys, keys + width)
    at = np.minimum(np.searchsorted(keys, starts), len(keys) - 1)
    seen = keys[at] == starts
    frequent = int((counts >= LEAST_CATEGORY_SHARE * counts.sum()).sum())
    own = min(frequent, MOST_EVIDENCE_CATEGORIES, unseen)
    exact = summary.categories if width == 1 else {}
    names = [exact.get(key, f"#{key:010x}") for key in keys.tolist()]
    once = float((counts == 1).sum()) if width == 1 else 0.0
    return Bins(
        role=role,
        starts=starts,
        fine=np.where(seen, np.minimum(rank[at], top), unseen),
        quality=np.where(seen, int(Quality.EXPECTED), int(Quality.UNSEEN)),
        evidence=np.array([*range(own), *([own] if own < unseen else []), unseen], dtype=np.int64),
        labels=(*(names[i] for i in order[:top].tolist()), *(["(rest)"] if unseen > top else []), "(unseen)"),
        pseudo=(*(0.5,) * (own + (own < unseen)), max(once, 0.5)),
        unseen=max(once, 0.5),
    )


def _starts(*breakpoints: Ints) -> Ints:
    """Return where the intervals between these keys begin, the first at 0."""
    starts = np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *breakpoints]))
    return starts[starts < 1 << KEY_BITS]


def _evidence_runs(counts: Ints) -> Ints:
    """Return the first value of each evidence bin: a bin per value if they are few, else cut near the quantiles."""
    if len(counts) <= len(EVIDENCE_QUANTILES) + 1:
        return np.arange(len(counts), dtype=np.int64)
    shares = np.cumsum(counts) / counts.sum()
    wanted = np.searchsorted(shares, EVIDENCE_QUANTILES) + 1
    return np.unique(np.concatenate(([0], wanted[wanted < len(counts)]))).astype(np.int64)


def _round_edges(keys: Ints, below: Ints, total: int, width: int, quantiles: tuple[float, ...], fixed: Ints) -> Ints:
    """Add to the `fixed` edges one for each wanted quantile, where the sketch has one near it.

    `below[i]` values lie under keys[i + 1]: cutting anywhere between bucket i's end and keys[i + 1] gives that share.
    """
    cuts = {int(np.searchsorted(keys, edge)): int(edge) for edge in fixed.tolist()}
    levels = (0.0, *quantiles, 1.0)
    for before, wanted, after in zip(levels, quantiles, levels[2:], strict=False):
        tolerance = min(wanted - before, after - wanted) / 4
        first = int(np.searchsorted(below, (wanted - tolerance) * total))
        last = int(np.searchsorted(below, (wanted + tolerance) * total, side="right")) - 1
        if last < first:
            first = last = _nearest(below, wanted * total)
        if first < 0 or below[first] < LEAST_BIN_COUNT or total - below[last] < LEAST_BIN_COUNT:
            continue
        edge = _roundest(int(keys[first]) + width, int(keys[last + 1]))
        cuts.setdefault(int(np.searchsorted(keys, edge)), edge)
    return np.array(sorted(cuts.values()), dtype=np.int64)


def _nearest(below: Ints, wanted: float) -> int:
    return int(np.argmin(np.abs(below - wanted))) if len(below) else -1


def _roundest(low: int, high: int) -> int:
    """Return the number in [low, high] with the most trailing zero bits (0 < low <= high).

    >>> _roundest(0b1011, 0b1110), _roundest(13, 13)
    (12, 13)
    """
    bit = ((low - 1) ^ high).bit_length() - 1
    return high >> bit << bit
