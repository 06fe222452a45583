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

import re
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from driftline.evidence.signals import Family, Nature, cell_shift, family_of
from driftline.sketches.group import GroupSketch, SignalRole
from driftline.sketches.keys import KEY_BITS, Bools, Ints, key_numbers, number_keys

EVIDENCE_QUANTILES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
FINE_QUANTILES = (0.001, 0.005, 0.025, *(k / 40 for k in range(2, 39) if k % 4), 0.975, 0.995, 0.999)
"""Edges of fine bins, in addition to those of evidence bins."""
MAX_FINE_CATEGORIES = 30
MAX_EVIDENCE_CATEGORIES = 10
MIN_CATEGORY_SHARE = 0.001
"""Rarer categories have no evidence bin of their own: they would say nothing in windows of thousands."""
STANDS_OUT = 3
"""A bucket of a coarsened sketch holds a frequent category if it has this many times the average count."""
MAX_GROUPS = 8
"""Evidence bins of the other categories, grouped by hash. If one among thousands becomes frequent, it shows in its
group, even if all of them together are as frequent as before."""
MIN_GROUP_SHARE = 0.05
"""Approximate share of the reference's values in each group, if there is more than one."""
LATE_SHARE = 0.01
"""Share of the reference's events whose delays count as late."""
SAME_VALUE = 17
"""Keys by which a number may be off that was rounded to 32 bits: by 2^-24 of its size, where keys are 2^-28 apart."""
MIN_BIN_COUNT = 5
"""A quantile edge cuts off at least this many values of the reference, and a category needs as many for its own bin."""


_BUCKET = re.compile("#[0-9a-f]{10}")
REST, UNSEEN = "(rest)", "(unseen)"
"""Labels of fine bins that hold no single category."""


def is_named(label: str) -> bool:
    """Tell whether a fine bin holds one category whose name is known: of a coarsened sketch it holds a bucket.

    >>> is_named("Oslo"), is_named("(rest)"), is_named("#9b00000000")
    (True, False, False)
    """
    return label not in (REST, UNSEEN) and not _BUCKET.fullmatch(label)


class Quality(IntEnum):
    """The class of a signal's value in one event. Each event has exactly one of the six."""

    EXPECTED = 0
    NULL = 1
    MISSING = 2
    OTHER_KIND = 3
    OUT_OF_RANGE = 4
    UNSEEN = 5


QUALITIES = len(Quality)


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Bins of one signal with values. The first four arrays run parallel, one row an interval of keys.

    `starts` ascend from 0; an interval ends where the next begins. `evidence[j]` is the first fine bin of evidence
    bin j.
    """

    role: SignalRole
    starts: Ints
    fine: Ints
    quality: Ints
    alone: Bools
    """Intervals that only one part of the reference held: the other parts never saw them (see `novelty`)."""

    evidence: Ints
    labels: tuple[str, ...]
    """Readable labels of the fine bins: a lower edge, or a category."""
    unseen: int | None = None
    """The fine bin of values never seen, always the last; None if they share bins with others."""
    can_be_unseen: bool = False
    """Whether the reference can tell that a value was never seen."""

    @property
    def fine_bins(self) -> int:
        """The number of fine bins."""
        return len(self.labels)


def bins_of(summary: GroupSketch, slot: int, role: SignalRole, nature: Nature, alone: Bools) -> Bins:
    """Choose the bins of a signal whose values are expected in the cell `role`.

    `alone` marks the buckets of the summary that one part of the reference alone held.
    """
    part = summary.slice(slot, role)
    keys, counts, once = summary.cells.keys[part], summary.cells.counts[part], alone[part]
    width = 1 << cell_shift(summary, slot, role)
    if nature is Nature.NUMBERS:
        return _quantile_bins(keys, counts, width)
    if family_of(summary.signals[slot]) is Family.ARRIVAL:
        return _arrival_bins(keys, counts)
    if nature is Nature.VALUES:
        return _value_bins(keys, counts, once)
    return _category_bins(keys, counts, once, width, role, summary)


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
        role=SignalRole.NUMBERS,
        starts=starts,
        fine=fine.astype(np.int64),
        quality=np.where(outside, int(Quality.OUT_OF_RANGE), int(Quality.EXPECTED)),
        alone=np.zeros(len(starts), dtype=np.bool_),
        evidence=np.concatenate(([0], np.searchsorted(edges, evidence) + 1)).astype(np.int64),
        labels=("-inf", *(f"{number:.6g}" for number in numbers)),
    )


def _value_bins(keys: Ints, counts: Ints, alone: Bools) -> Bins:
    """One fine bin a value, from it up to the next; between two values lies what the reference has never seen."""
    lows, highs = _same_values(keys)
    starts = _starts(lows, highs)
    fine = np.maximum(np.searchsorted(lows, starts, side="right") - 1, 0)
    outside = (starts < lows[0]) | (starts >= highs[-1])
    seen = np.isin(starts, lows)
    quality = np.where(seen, int(Quality.EXPECTED), np.where(outside, int(Quality.OUT_OF_RANGE), int(Quality.UNSEEN)))
    evidence = _evidence_runs(counts)
    return Bins(
        role=SignalRole.NUMBERS,
        starts=starts,
        fine=fine.astype(np.int64),
        quality=quality,
        alone=np.isin(starts, lows[alone]),
        evidence=evidence,
        labels=tuple(f"{number:.6g}" for number in key_numbers(keys)),
        can_be_unseen=True,
    )


def _same_values(keys: Ints) -> tuple[Ints, Ints]:
    """Return between which keys numbers count as the same value: it may have been a float of 32 bits on its way.

    Whole numbers are whole in 32 bits, too, and may only have been computed with an error in the last bit.
    """
    numbers = key_numbers(keys)
    reach = np.where(numbers == np.rint(numbers), 1, SAME_VALUE)
    lows, highs = np.maximum(keys - reach, 0), keys + reach + 1
    middles = (keys[:-1] + keys[1:] + 1) // 2
    lows[1:], highs[:-1] = np.maximum(lows[1:], middles), np.minimum(highs[:-1], middles)
    return lows, highs


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
        _value_bins(keys, counts, np.zeros(len(keys), dtype=np.bool_)),
        starts=starts,
        fine=np.maximum(np.searchsorted(keys, starts, side="right") - 1, 0).astype(np.int64),
        quality=np.where(outside, int(Quality.OUT_OF_RANGE), int(Quality.EXPECTED)),
        alone=np.zeros(len(starts), dtype=np.bool_),
        can_be_unseen=False,
    )


def _category_bins(keys: Ints, counts: Ints, alone: Bools, width: int, role: SignalRole, summary: GroupSketch) -> Bins:
    """The most frequent categories, the rest by groups, and all that the reference has never seen.

    fine bins    own …, own │ frequent ones and the rest of group 0 │ … of group 1 │ … │ unseen
    """
    order = np.lexsort((keys, -counts))
    frequent = (counts >= MIN_CATEGORY_SHARE * counts.sum()) & (counts >= MIN_BIN_COUNT)
    if width > 1:
        frequent &= counts * len(counts) >= STANDS_OUT * counts.sum()
    own = order[: min(int(frequent.sum()), MAX_EVIDENCE_CATEGORIES)]
    named = order[len(own) : MAX_FINE_CATEGORIES]
    rest = np.sort(order[len(own) :])  # in the order of the keys
    group = np.full(len(keys), -1, dtype=np.int64)
    group[rest] = _groups(counts[rest], int(counts.sum()))
    fine = np.full(len(keys), -1, dtype=np.int64)
    fine[own] = np.arange(len(own))
    names = [summary.categories.get(key, f"#{key:010x}") for key in keys.tolist()]
    labels = [names[at] for at in own.tolist()]
    evidence = list(range(len(own)))
    for number in range(int(group.max(initial=-1)) + 1):
        evidence.append(len(labels))
        apart = named[group[named] == number]
        fine[apart] = len(labels) + np.arange(len(apart))
        labels += [names[at] for at in apart.tolist()]
        others = (group == number) & (fine < 0)
        if others.any():
            fine[others] = len(labels)
            labels.append(REST)
    unseen = len(labels)
    starts = _starts(keys, keys + width)
    at = np.minimum(np.searchsorted(keys, starts), len(keys) - 1)
    seen = keys[at] == starts
    return Bins(
        role=role,
        starts=starts,
        fine=np.where(seen, fine[at], unseen),
        quality=np.where(seen, int(Quality.EXPECTED), int(Quality.UNSEEN)),
        alone=seen & alone[at],
        evidence=np.array([*evidence, unseen], dtype=np.int64),
        labels=(*labels, UNSEEN),
        unseen=unseen,
        can_be_unseen=True,
    )


def _groups(counts: Ints, total: int) -> Ints:
    """Return the group of each of the other categories, given in the order of their hashes: neighbours, equally full.

    Groups are few: each holds about MIN_GROUP_SHARE of all values or more.
    """
    most = max(1, min(MAX_GROUPS, int(counts.sum() / (MIN_GROUP_SHARE * total))))
    middles = 2 * np.cumsum(counts) - counts
    found: Ints = np.unique(middles * most // max(2 * int(counts.sum()), 1), return_inverse=True)[1]
    return found


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
        if first < 0 or below[first] < MIN_BIN_COUNT or total - below[last] < MIN_BIN_COUNT:
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
