"""News: what a window's vector leaves out. Names that the reference does not know, and sums of values far beyond it.

A slice has news beside its vector if the vector shows that there is something to report. A window's news are the sum of
its slices' news, in order of time. Memory is bounded: each signal keeps its most frequent names.
"""

import math
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
import numpy as np

from driftline.evidence.bins import Quality
from driftline.evidence.counting import add_up_sizes, bucket_means, mark_news, repeating
from driftline.evidence.fields import new_fields
from driftline.evidence.projection import Projection
from driftline.evidence.signals import Family, Nature
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, Oddity, SignalRole
from driftline.sketches.keys import KEY_BITS, Floats, Ints, key_numbers

MAX_NAMES: Final = 32
"""Maximum number of names per signal, and of new fields."""
MOSTLY: Final = 0.5
"""If this share of a slice's numbers is out of range, Driftline looks for a changed unit."""
FEW: Final = 0.005
"""Up to this share of a slice's events, values out of range are not news: some values always are."""
OFTEN: Final = 0.25
"""A single number is named if it makes up this share of a slice's numbers out of range; of few values, each is."""
CLIPPED: Final = 1e-3
"""Error of a vector's mean, in standard deviations, up to which its sums count as right."""
MIN_SAME: Final = 3
SAME_SHARE: Final = 0.1
"""Equal numbers are noted if a slice has at least this many, and if they are this share of its numbers."""
FEWEST: Final = 20
"""Numbers that are needed to recognise a factor."""
MIN_FACTOR: Final = math.log(2)
"""Log of the smallest factor to report, unless it is one of FACTORS."""
MAX_ERROR: Final = 0.15
"""Maximum error of such a factor's log: with few values, a shift looks like a factor."""
KINDS: Final = {SignalRole.NUMBERS: "number", SignalRole.STRINGS: "text", SignalRole.BOOLEANS: "boolean"}
ODD_KINDS: Final = {Oddity.LIST: "list", Oddity.OBJECT: "object", Oddity.NONFINITE: "no finite number"}
FACTORS: Final = tuple(
    each
    for whole in (*(10.0**power for power in range(1, 10)), 60.0, 3_600.0, 24.0, 86_400.0, 1_024.0, 1_048_576.0)
    for each in (whole, 1 / whole)
)
"""Factors between units that people confuse, powers of ten first. Any other factor is reported as measured."""


class Logs(msgspec.Struct, array_like=True, frozen=True):
    """Logarithms of the sizes of numbers, without zeros: how many numbers, how many are not 0, sum, and squares."""

    values: int
    n: int
    total: float
    squares: float

    def __add__(self, other: "Logs") -> "Logs":
        return Logs(
            self.values + other.values, self.n + other.n, self.total + other.total, self.squares + other.squares
        )

    @property
    def mean(self) -> float:
        """The mean logarithm."""
        return self.total / self.n

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithms."""
        return math.sqrt(max(self.squares / self.n - self.mean**2, 0.0))


NONE: Final = Logs(0, 0, 0.0, 0.0)


class RangeBreaches(msgspec.Struct, array_like=True, frozen=True):
    """Numbers out of range: those below it and those above it, the least one and the greatest."""

    below: Logs = NONE
    above: Logs = NONE
    least: float = math.inf
    most: float = -math.inf

    def __add__(self, other: "RangeBreaches") -> "RangeBreaches":
        least, most = min(self.least, other.least), max(self.most, other.most)
        return RangeBreaches(self.below + other.below, self.above + other.above, least, most)


Sums = TypeVar("Sums", Logs, RangeBreaches)


class News(msgspec.Struct, array_like=True):
    """See the module's head. Everything is by signal."""

    fields: dict[str, int] = {}
    """Fields that the reference does not know: the events that had them."""
    values: dict[str, dict[str, int]] = {}
    """Categories never seen, or that have no bin of their own; numbers out of range of which there are many."""
    kinds: dict[str, dict[str, int]] = {}
    """What came instead of values of the usual kind."""
    excess: dict[str, float] = {}
    """What is missing from the vector's sums, in which values count as at most so far from the mean."""
    logs: dict[str, Logs] = {}
    """Of slices whose numbers are elsewhere."""
    far: dict[str, Logs] = {}
    """Of numbers out of range."""
    same: dict[str, dict[str, int]] = {}
    """Numbers that many of a slice's values are, where the reference's hardly repeat."""
    beyond: dict[str, RangeBreaches] = {}
    """On which side of the range numbers are that are out of it, and how far."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)

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
            _sum_of(self.logs, other.logs, NONE),
            _sum_of(self.far, other.far, NONE),
            _each(self.same, other.same),
            _sum_of(self.beyond, other.beyond, RangeBreaches()),
        )


def news_of(projection: Projection, summary: GroupSketch, vector: Ints) -> News:
    """Return the news of a slice."""
    quality = projection.quality(vector)
    slots = {name: slot for slot, name in enumerate(summary.signals)}
    found = News({}, {}, {}, {}, {}, {}, {}, {})
    if quality[0, Quality.UNSEEN]:
        fields = {name: _events_with(summary, slot) for name, slot in new_fields(projection.signals, summary).items()}
        found.fields = _most({name: n for name, n in fields.items() if n})
    means, marks = projection.means(vector), np.empty((len(quality), 3), dtype=np.bool_)
    mark_news(quality.reshape(-1), means, projection.usual_means, projection.deviations, FEW, marks)
    other_kind, new, moved = marks.T
    for slot in np.flatnonzero(marks.any(axis=1) | projection.partly_named).tolist():
        name = projection.signals[slot]
        if name == EVENTS or name not in slots:
            continue
        if other_kind[slot]:
            found.kinds[name] = _kinds(projection, summary, slot, slots[name])
        bins = projection.bins.get(slot)
        if bins is None or projection.families[slot] is Family.ARRIVAL:
            continue
        if bins.role is not SignalRole.NUMBERS:
            values = _values(projection, summary, slot, slots[name])
            if values:
                found.values[name] = values
        elif new[slot] or moved[slot]:
            _numbers(found, projection, summary, slot, slots[name], float(means[slot]), moved=bool(moved[slot]))
    _repeated(found, projection, summary)
    return found


def _repeated(found: News, projection: Projection, summary: GroupSketch) -> None:
    """Note numbers that many of the values of a slice are, though the reference's are of many sizes."""
    cells = summary.cells
    places = np.empty(len(cells), dtype=np.int64)
    watched = np.array([name in projection.of_many_sizes for name in summary.signals])
    repeated = repeating(cells.ids, cells.sizes, cells.counts, watched, SAME_SHARE, MIN_SAME, places)
    for at in places[:repeated].tolist():
        name = summary.signals[int(cells.ids[at]) // ROLES]
        cell = cells.take(np.array([at], dtype=np.int64))
        top = int(cell.counts.argmax())
        if cell.offsets[top] % cell.counts[top] == 0:
            means = bucket_means(cell.keys, cell.counts, cell.offsets)
            found.same[name] = {_written(float(means[top])): int(cell.counts[top])}


def _values(projection: Projection, summary: GroupSketch, slot: int, own: int) -> dict[str, int]:
    """Return the named values of a slice that are in no bin of their own."""
    bins = projection.bins[slot]
    part = summary.slice(own, bins.role)
    keys, counts = summary.cells.keys[part], summary.cells.counts[part]
    at = np.searchsorted(bins.starts, keys, side="right") - 1
    chosen = np.flatnonzero((bins.quality[at] == Quality.UNSEEN) | projection.nameless[slot][bins.fine[at]])
    named = {
        summary.categories[key]: count
        for key, count in zip(keys[chosen].tolist(), counts[chosen].tolist(), strict=True)
        if key in summary.categories
    }
    return _most(named)


def usual_kind(projection: Projection, slot: int) -> str:
    """Return of which kind a signal's values are in the reference, in a word."""
    role, oddity = projection.role_of(slot), int(projection.oddities[slot])
    return KINDS[role] if role is not None else ODD_KINDS[Oddity(oddity)] if oddity >= 0 else "null"


def _kinds(projection: Projection, summary: GroupSketch, slot: int, own: int) -> dict[str, int]:
    usual, usual_oddity = projection.role_of(slot), projection.oddities[slot]
    found = {word: sum(summary.counts(own, role).values()) for role, word in KINDS.items() if role != usual}
    odd = summary.counts(own, SignalRole.ODDITIES)
    found |= {word: odd.get(int(oddity), 0) for oddity, word in ODD_KINDS.items() if oddity != usual_oddity}
    return {word: n for word, n in found.items() if n}


def _numbers(
    found: News, projection: Projection, summary: GroupSketch, slot: int, own: int, mean: float, *, moved: bool
) -> None:
    """Note what numbers add to the sums beyond the vector's, how large they are, and which out of range repeat.

    `mean` is the vector's, and `moved` says that it is elsewhere.
    """
    name, bins = projection.signals[slot], projection.bins[slot]
    part = summary.slice(own, SignalRole.NUMBERS)
    held = summary.cells.keys[part], summary.cells.counts[part], summary.cells.offsets[part]
    if not len(held[0]):
        return
    sums = np.zeros((4, 4))
    total, least, most = add_up_sizes(held, bins.starts, bins.quality, sums)
    whole, far, below, above = (Logs(int(values), int(n), *rest) for values, n, *rest in sums.tolist())
    excess = total - mean * whole.values
    if math.isfinite(excess) and abs(excess) > CLIPPED * whole.values * float(projection.deviations[slot]):
        found.excess[name] = excess
    if moved or far.values > MOSTLY * whole.values:
        found.logs[name] = whole
    if not far.values:
        return
    found.far[name] = far
    if below.values or above.values:
        found.beyond[name] = RangeBreaches(below, above, least, most)
    keys, counts, offsets = held
    place = np.searchsorted(bins.starts, keys, side="right") - 1
    new = np.isin(bins.quality[place], (Quality.OUT_OF_RANGE, Quality.UNSEEN))
    few = 0.0 if projection.natures[slot] is Nature.VALUES else OFTEN
    often = new & (offsets % counts == 0) & (counts >= few * far.values)
    if often.any():
        means = bucket_means(keys[often], counts[often], offsets[often])
        numbers = zip(means.tolist(), counts[often].tolist(), strict=True)
        found.values[name] = _most({_written(value): count for value, count in numbers})


def _written(value: float) -> str:
    """Return the shortest decimal that may have been this number: keys keep 28 bits of it.

    >>> _written(4.69999999), _written(-999.0), _written(9999999.0)
    ('4.7', '-999', '9999999')
    """
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    close = next((text for text in texts if abs(float(text) - value) <= 2.0**-28 * abs(value)), f"{value:.9g}")
    return f"{float(close):.9g}"


def usual_range(projection: Projection, slot: int) -> tuple[float, float]:
    """Return between which numbers a signal's are in the reference."""
    bins = projection.bins[slot]
    if projection.natures[slot] is Nature.VALUES:
        return float(bins.labels[0]), float(bins.labels[-1])
    inside = np.flatnonzero(bins.quality == Quality.EXPECTED)
    low, high = key_numbers(np.append(bins.starts, (1 << KEY_BITS) - 1)[[inside[0], inside[-1] + 1]]).tolist()
    return float(_written(low)), float(_written(high))


def factor_of(reference: GroupSketch, slot: int, news: News, name: str, values: int) -> tuple[float, float] | None:
    """Return the factor by which a window's numbers were multiplied, and their share; None if no factor explains them.

    A factor explains them if the logarithms of all values, of all values out of range, or of those on one side of it,
    spread as widely as the reference's, but around another centre. (On the other side there may be usual outliers.)

    Args:
        reference: holds the signal in `slot`.
        slot: see `reference`.
        news: the window's news.
        name: the signal's name.
        values: how many numbers the window has.
    """
    at = int(np.searchsorted(reference.cells.ids, slot * ROLES + SignalRole.NUMBERS))
    cell = reference.cells.take(np.array([at], dtype=np.int64))
    before = _logs(bucket_means(cell.keys, cell.counts, cell.offsets), cell.counts)
    beyond = news.beyond.get(name, RangeBreaches())
    whole = news.logs.get(name, NONE)
    for after in (whole if whole.values >= values else NONE, news.far.get(name, NONE), beyond.below, beyond.above):
        factor = _factor(before, after)
        if factor is not None:
            return factor, after.values / max(values, 1)
    return None


def _factor(before: Logs, after: Logs) -> float | None:
    if after.n < FEWEST or not before.n or after.n < 0.9 * after.values * before.n / before.values:
        return None
    error = 3 * before.spread * math.sqrt(1 / after.n + 1 / before.n) + 0.005
    away = after.mean - before.mean
    if abs(away) <= error or abs(after.spread - before.spread) > 0.1 * before.spread + error:
        return None
    factor = math.exp(away)
    known = next((known for known in FACTORS if abs(math.log(factor / known)) <= error), None)
    if known is not None:
        return known
    return factor if abs(away) >= MIN_FACTOR and error <= MAX_ERROR else None


def _logs(means: Floats, counts: Ints) -> Logs:
    some = means != 0
    logs, n = np.log(np.abs(means[some])), counts[some]
    return Logs(int(counts.sum()), int(n.sum()), float((logs * n).sum()), float((logs**2 * n).sum()))


def _events_with(summary: GroupSketch, slot: int) -> int:
    return sum(sum(summary.counts(slot, role).values()) for role in SignalRole)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _sum_of(one: Mapping[str, Sums], other: Mapping[str, Sums], none: Sums) -> dict[str, Sums]:
    return {name: one.get(name, none) + other.get(name, none) for name in {**one, **other}}


def _each(one: Mapping[str, dict[str, int]], other: Mapping[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {name: _most(_sum(one.get(name, {}), other.get(name, {}))) for name in {**one, **other}}


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent names, these first."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MAX_NAMES])
