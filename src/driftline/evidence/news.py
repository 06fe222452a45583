"""What a window's vector cannot say: names of what the reference does not know, and sums of what lies far beyond it.

Taken from each slice beside its vector, where that says that there is something to tell; a window's news are the sum of
its slices', in order of time. What is kept is bounded: of each signal the most frequent names.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from driftline.columns.signals import is_beside
from driftline.evidence.bins import REST, Quality
from driftline.evidence.projection import Projection, bucket_means
from driftline.evidence.signals import Nature
from driftline.sketches.keys import Floats, Ints
from driftline.sketches.summary import EVENTS, ROLES, Oddity, Role, Summary

MOST_NAMES: Final = 32
"""Names kept of a signal, and new fields."""
MOSTLY: Final = 0.5
"""Share of a slice's numbers that are out of range where it is asked whether their unit is another."""
KINDS: Final = {Role.NUMBERS: "number", Role.STRINGS: "text", Role.BOOLEANS: "boolean"}
ODD_KINDS: Final = {Oddity.LIST: "list", Oddity.OBJECT: "object", Oddity.NONFINITE: "no finite number"}
FACTORS: Final = tuple(
    each
    for whole in (*(10.0**power for power in range(1, 10)), 60.0, 3_600.0, 24.0, 86_400.0, 1_024.0, 1_048_576.0)
    for each in (whole, 1 / whole)
)
"""Between units that people mix up, powers of ten first. Any other factor is told as it was measured."""


class News(msgspec.Struct, array_like=True):
    """See the module's head. Everything is by signal."""

    fields: dict[str, int] = {}
    """Fields that the reference does not know: the events that had them."""
    values: dict[str, dict[str, int]] = {}
    """Categories never seen, or that have no bin of their own."""
    kinds: dict[str, dict[str, int]] = {}
    """What came instead of values of the usual kind."""
    excess: dict[str, float] = {}
    """What is missing from the vector's sums, in which values count as at most so far from the mean."""
    logs: dict[str, tuple[int, float, float]] = {}
    """Of slices mostly out of range: number of values, sum of their logarithms, and of these squared."""

    def __bool__(self) -> bool:
        return any((self.fields, self.values, self.kinds, self.excess, self.logs))

    def add(self, other: "News") -> "News":
        """Return the news of both; of too many names the most frequent."""
        return News(
            _most(_sum(self.fields, other.fields)),
            _each(self.values, other.values),
            _each(self.kinds, other.kinds),
            {
                name: self.excess.get(name, 0.0) + other.excess.get(name, 0.0)
                for name in {**self.excess, **other.excess}
            },
            {name: _sum_of(self.logs.get(name), other.logs.get(name)) for name in {**self.logs, **other.logs}},
        )


def news_of(projection: Projection, summary: Summary, vector: Ints) -> News:
    """Return what there is to tell of a slice beside its vector."""
    quality = projection.quality(vector)
    slots = {name: slot for slot, name in enumerate(summary.signals)}
    found = News({}, {}, {}, {}, {})
    if quality[0, Quality.UNSEEN]:
        known = set(projection.signals)
        fields = {name: _events_with(summary, slot) for name, slot in slots.items() if name not in known}
        found.fields = _most({name: n for name, n in fields.items() if n and not is_beside(name)})
    told = quality[:, Quality.UNSEEN] + quality[:, Quality.OTHER_KIND] + quality[:, Quality.OUT_OF_RANGE] > 0
    told[[slot for slot, bins in projection.bins.items() if REST in bins.labels]] = True
    for slot in np.flatnonzero(told).tolist():
        name = projection.signals[slot]
        if name == EVENTS or name not in slots:
            continue
        if quality[slot, Quality.OTHER_KIND]:
            found.kinds[name] = _kinds(projection, summary, slot, slots[name])
        bins = projection.bins.get(slot)
        if bins is None:
            continue
        if bins.role is not Role.NUMBERS:
            values = _values(projection, summary, slot, slots[name])
            if values:
                found.values[name] = values
        elif quality[slot, Quality.OUT_OF_RANGE] and projection.natures[slot] in (Nature.NUMBERS, Nature.VALUES):
            _far(found, projection, summary, vector, slot, slots[name])
    return found


def _values(projection: Projection, summary: Summary, slot: int, own: int) -> dict[str, int]:
    """Return the named values of a slice that are in no bin of their own."""
    bins = projection.bins[slot]
    part = summary.slice(own, bins.role)
    keys, counts = summary.cells.keys[part], summary.cells.counts[part]
    at = np.searchsorted(bins.starts, keys, side="right") - 1
    new = bins.quality[at] == Quality.UNSEEN
    rest = np.array([label == REST for label in bins.labels])[bins.fine[at]]
    chosen = np.flatnonzero(new | rest)
    named = {
        summary.categories[key]: count
        for key, count in zip(keys[chosen].tolist(), counts[chosen].tolist(), strict=True)
        if key in summary.categories
    }
    return _most(named)


def _kinds(projection: Projection, summary: Summary, slot: int, own: int) -> dict[str, int]:
    usual = projection.role_of(slot)
    found = {word: sum(summary.counts(own, role).values()) for role, word in KINDS.items() if role != usual}
    odd = summary.counts(own, Role.ODDITIES)
    found |= {word: odd.get(int(oddity), 0) for oddity, word in ODD_KINDS.items()}
    return {word: n for word, n in found.items() if n}


def _far(found: News, projection: Projection, summary: Summary, vector: Ints, slot: int, own: int) -> None:
    name = projection.signals[slot]
    at = int(np.searchsorted(summary.cells.ids, own * ROLES + Role.NUMBERS))
    cell = summary.cells.take(np.array([at], dtype=np.int64))
    means, n = bucket_means(cell), int(cell.counts.sum())
    with np.errstate(over="ignore"):
        excess = float((means * cell.counts).sum()) - float(projection.means(vector)[slot]) * n
    if math.isfinite(excess):
        found.excess[name] = excess
    out = projection.quality(vector)[slot, Quality.OUT_OF_RANGE]
    if out > MOSTLY * n and (means > 0).all():
        found.logs[name] = _logs(means, cell.counts)


def factor_of(reference: Summary, slot: int, logs: tuple[int, float, float], values: int) -> float | None:
    """Return by what all of a window's values were multiplied; None where that does not explain them.

    It does where the logarithms of all values are as widely spread as the reference's, and lie elsewhere.

    Args:
        reference: of the signal, in `slot`.
        logs: as in `News.logs`.
        values: how many numbers the window held.
    """
    n, total, squares = logs
    at = int(np.searchsorted(reference.cells.ids, slot * ROLES + Role.NUMBERS))
    cell = reference.cells.take(np.array([at], dtype=np.int64))
    means = bucket_means(cell)
    if n < values or not (means > 0).all():
        return None
    m, total_before, squares_before = _logs(means, cell.counts)
    before, after = total_before / m, total / n
    spread_before = math.sqrt(max(squares_before / m - before**2, 0.0))
    spread = math.sqrt(max(squares / n - after**2, 0.0))
    error = 3 * spread_before * math.sqrt(1 / n + 1 / m) + 0.005
    if abs(after - before) <= max(spread_before, error) or abs(spread - spread_before) > 0.2 * spread_before + error:
        return None
    factor = math.exp(after - before)
    return next((known for known in FACTORS if abs(math.log(factor / known)) <= error), factor)


def _logs(means: Floats, counts: Ints) -> tuple[int, float, float]:
    logs = np.log(means)
    return int(counts.sum()), float((logs * counts).sum()), float((logs**2 * counts).sum())


def _events_with(summary: Summary, slot: int) -> int:
    return sum(sum(summary.counts(slot, role).values()) for role in Role)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _sum_of(one: tuple[int, float, float] | None, other: tuple[int, float, float] | None) -> tuple[int, float, float]:
    if one is None or other is None:
        return one or other or (0, 0.0, 0.0)
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _each(one: Mapping[str, dict[str, int]], other: Mapping[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {name: _most(_sum(one.get(name, {}), other.get(name, {}))) for name in {**one, **other}}


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent names, these first."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_NAMES])
