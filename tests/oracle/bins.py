"""Which bins a reference has of each signal, once more in plain Python: where does a value with this key belong?

Only evidence bins are chosen here. That distances have finer ones beside them moves no edge of these.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.oracle.summarise import ODDITIES, ROLES, number_key, number_of
from tests.oracle.tally import Tally

EXPECTED, NULL, MISSING, OTHER_KIND = "expected", "null", "missing", "other kind"
OUT_OF_RANGE, UNSEEN = "out of range", "unseen"
QUALITIES = (EXPECTED, NULL, MISSING, OTHER_KIND, OUT_OF_RANGE, UNSEEN)

QUANTILES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
FEWEST = 5
"""Values that an edge cuts off."""
MAX_VALUES, OFTEN = 40, 5
"""A number has a bin for each value if it has at most 40, and each came five times on average."""
MAX_CATEGORIES = 10
FREQUENT = 0.001
STANDS_OUT = 3
MAX_GROUPS, GROUP_SHARE = 8, 0.05
MIN_PARTS = 16
LATE = 0.01
MIN_PANES, GROWING = 8, 0.9
MIN_STRINGS = 50
SAME = 17
"""Keys by which rounding to 32 bits may move a number."""
KEYS = 2**40
NUMBER = ROLES["number"]


@dataclass(frozen=True)
class Bins:
    """The bins of one signal's values of one role."""

    role: int
    shift: int
    landmarks: Sequence[int]
    """Keys of the reference; a window's coarser bucket moves to the first of these that it holds, if any."""
    place: Callable[[int], tuple[int, str]]
    """From a key to its bin, and to what it says about quality."""
    pseudo: Sequence[float]
    """Values added to each bin; also says how many there are."""
    pseudo_outside: float
    pseudo_unseen: float
    """Values added to those out of range, and to those never seen."""
    alone: frozenset[int] = frozenset()
    """Buckets that one part of the reference alone held."""
    unseen: int | None = None
    """The bin of what was never seen."""
    single: bool = True
    """Whether bins are of values and not of ranges."""

    def find(self, key: int, shift: int, by_others: bool = False) -> tuple[int, str]:
        """Return bin and quality of a bucket; `by_others`: for a reference without the part that it comes from."""
        if shift > self.shift:
            key = next((mark for mark in self.landmarks if mark >> shift == key >> shift), key)
        place, quality = self.place(key)
        if by_others and key >> self.shift << self.shift in self.alone:
            return place if self.unseen is None else self.unseen, UNSEEN
        return place, quality


@dataclass(frozen=True)
class Signal:
    """What a reference knows of a signal."""

    name: str
    family: str
    kind: int | None
    """The role of most of its values; None if it had none."""
    bins: Bins | None
    """None for identifiers, and where there was no value."""
    oddity: int | None = None
    """Key of the list or object that most events held where it had no value."""
    is_length: bool = False
    """Whether it is the length of a list."""

    @property
    def beside(self) -> bool:
        """Whether it stands beside the events' content."""
        return self.family in ("tags", "arrival", "segment")


def family_of(name: str) -> str:
    """Return what a signal says something about."""
    if name == "prediction" or name.startswith("prediction."):
        return "output"
    return next((part for part in ("features", "tags", "arrival", "segment") if name.startswith(f"{part}.")), "service")


def signals_of(whole: Tally, panes: Sequence[Tally], places: Sequence[int]) -> dict[str, Signal]:
    """Return what is known of each signal, in order of the names, events first; `whole` is all panes together.

    `places` are the panes' on the time line, in pane lengths.
    """
    found = {}
    for name in ("events", *sorted(whole.signals - {"events"})):
        totals = {role: sum(whole.of(name, role)[1].values()) for role in sorted(ROLES.values()) if role}
        most = max(totals.values())
        kind = next((role for role, total in totals.items() if total == most), None) if most else None
        family = family_of(name)
        bins = None if kind is None else _bins(name, family, kind, whole, panes, places)
        odd = whole.of(name, ROLES["oddity"])[1]
        oddity = max((ODDITIES["array"], ODDITIES["object"]), key=lambda key: odd[key])
        list_of = whole.of(name.removesuffix(".length"), ROLES["oddity"])[1]
        is_length = name.endswith(".length") and list_of[ODDITIES["array"]] > 0
        found[name] = Signal(name, family, kind, bins, oddity if kind is None and odd[oddity] else None, is_length)
    return found


def _bins(
    name: str, family: str, kind: int, whole: Tally, panes: Sequence[Tally], places: Sequence[int]
) -> Bins | None:
    shift, counts = whole.of(name, kind)
    if family == "arrival":
        return _arrivals(counts, shift)
    alone = _alone(counts, shift, [pane.of(name, kind)[1] for pane in panes], places)
    if kind != NUMBER:
        return None if _hardly_repeats(counts, shift) else _categories(kind, counts, shift, alone)
    if _grows(name, panes):
        return None
    few = len(counts) <= MAX_VALUES and sum(counts.values()) >= OFTEN * len(counts)
    return _values(counts, shift, alone) if few and shift == 0 else _quantiles(counts, shift)


def _alone(
    counts: Mapping[int, int], shift: int, panes: Sequence[Mapping[int, int]], places: Sequence[int]
) -> frozenset[int]:
    """Return the buckets that one part alone held: of sixteen or more of equal length, or else one event."""
    if len(set(places)) < MIN_PARTS:
        return frozenset(key for key, count in counts.items() if count == 1)
    length = max(2**k for k in range(40) if len({place // 2**k for place in places}) >= MIN_PARTS)
    parts: dict[int, set[int]] = {key: set() for key in counts}
    for held, place in zip(panes, places, strict=True):
        for key in held:
            parts[key >> shift << shift].add(place // length)
    return frozenset(key for key, found in parts.items() if len(found) == 1)


def _grows(name: str, panes: Sequence[Tally]) -> bool:
    """Tell whether nearly every pane's numbers are all above the last one's."""
    ranges = [sorted(pane.of(name, NUMBER)[1]) for pane in panes]
    ranges = [keys for keys in ranges if keys]
    grown = sum(after[0] > before[-1] for before, after in pairwise(ranges))
    return len(ranges) - 1 >= MIN_PANES and grown >= GROWING * (len(ranges) - 1)


def _hardly_repeats(counts: Mapping[int, int], shift: int) -> bool:
    """Tell whether a string has, on average, less than one equal among the others."""
    n = sum(counts.values())
    if n < MIN_STRINGS:
        return False
    alike = sum(count * (count - 1) for count in counts.values()) / (n * (n - 1))
    chance = 2.0**shift / KEYS  # two different strings fall into one bucket
    return chance < 1 and (n - 1) * (alike - chance) / (1 - chance) < 1


def _quantiles(counts: Mapping[int, int], shift: int) -> Bins:
    edges = quantile_edges(counts, 1 << shift)
    least, beyond = min(counts), max(counts) + (1 << shift)

    def place(key: int) -> tuple[int, str]:
        return sum(edge <= key for edge in edges), EXPECTED if least <= key < beyond else OUT_OF_RANGE

    return Bins(NUMBER, shift, [least], place, [0.5] * (len(edges) + 1), 2.0, 0.0, single=False)


def quantile_edges(counts: Mapping[int, int], width: int) -> list[int]:
    """Return the least key of each bin but the first.

    For each quantile: of all keys that cut off about that share (give or take a quarter of the way to the next
    quantile) the roundest; if no gap between buckets does, the gap that comes nearest.
    """
    keys, total = sorted(counts), sum(counts.values())
    below = [sum(counts[key] for key in keys[: gap + 1]) for gap in range(len(keys) - 1)]  # gap i is after bucket i
    edges: dict[int, int] = {}
    for before, wanted, after in zip((0.0, *QUANTILES), QUANTILES, (*QUANTILES[1:], 1.0), strict=False):
        near = min(wanted - before, after - wanted) / 4
        gaps = [gap for gap, n in enumerate(below) if (wanted - near) * total <= n <= (wanted + near) * total]
        if not gaps and below:
            gaps = [min(range(len(below)), key=lambda gap: abs(below[gap] - wanted * total))]
        if not gaps or below[gaps[0]] < FEWEST or total - below[gaps[-1]] < FEWEST:
            continue
        edge = roundest(keys[gaps[0]] + width, keys[gaps[-1] + 1])
        edges.setdefault(sum(key < edge for key in keys), edge)  # two edges in one gap would leave a bin empty
    return sorted(edges.values())


def roundest(low: int, high: int) -> int:
    """Return the number from low to high with the most zeros at its end."""
    return next(high >> bits << bits for bits in range(40, -1, -1) if high >> bits << bits >= low)


def _values(counts: Mapping[int, int], shift: int, alone: frozenset[int]) -> Bins:
    keys = sorted(counts)
    run_of = _runs(keys, counts)

    def same(key: int) -> int:
        """Return the value of the reference that a number may be, seen through 32 bits; else the number itself."""
        nearest = min(keys, key=lambda known: (abs(known - key), -known))
        whole = number_of(nearest) % 1 == 0
        return nearest if abs(nearest - key) <= (1 if whole else SAME) else key

    def place(key: int) -> tuple[int, str]:
        key = same(key)
        seen = EXPECTED if key in counts else UNSEEN
        return _run_at(key, keys, run_of), seen if keys[0] <= key <= keys[-1] else OUT_OF_RANGE

    return Bins(NUMBER, shift, _ranked(counts), place, [0.5] * (run_of[-1] + 1), 2.0, 0.5, alone)


def _arrivals(counts: Mapping[int, int], shift: int) -> Bins:
    """Like values, but only what comes later than all but 1 % did, or sooner than any and before its time, is bad."""
    keys, total = sorted(counts), sum(counts.values())
    run_of = _runs(keys, counts)
    late = next(key for key in keys if sum(counts[above] for above in keys if above > key) <= LATE * total)
    soonest = min(keys[0], number_key(0.0))

    def place(key: int) -> tuple[int, str]:
        return _run_at(key, keys, run_of), EXPECTED if soonest <= key <= late else OUT_OF_RANGE

    return Bins(NUMBER, shift, _ranked(counts), place, [0.5] * (run_of[-1] + 1), 2.0, 0.0)


def _runs(keys: Sequence[int], counts: Mapping[int, int]) -> list[int]:
    """Return the bin of each value: one each if they are few, else bins end where a quantile is reached."""
    if len(keys) <= len(QUANTILES) + 1:
        return list(range(len(keys)))
    total, below, found = sum(counts.values()), 0, [0]
    for key in keys[:-1]:
        reached = any(below / total < wanted <= (below + counts[key]) / total for wanted in QUANTILES)
        below += counts[key]
        found.append(found[-1] + reached)
    return found


def _run_at(key: int, keys: Sequence[int], run_of: Sequence[int]) -> int:
    """Return the bin of a key: that of the greatest value of the reference that is not above it."""
    return run_of[max(sum(known <= key for known in keys) - 1, 0)]


def _categories(role: int, counts: Counter[int], shift: int, alone: frozenset[int]) -> Bins:
    """The most frequent, the rest by groups if there is one, and all that was never seen."""
    ranked, total = _ranked(counts), sum(counts.values())
    least = max(FREQUENT * total, FEWEST, STANDS_OUT * total / len(counts) if shift else 0)
    frequent = sum(count >= least for count in counts.values())
    own = ranked[: min(frequent, MAX_CATEGORIES)]
    rest = sorted(set(ranked) - set(own))
    whole = sum(counts[key] for key in rest)
    most = max(1, min(MAX_GROUPS, int(whole / (GROUP_SHARE * total))))
    middles = [2 * sum(counts[before] for before in rest[:at]) + counts[key] for at, key in enumerate(rest)]
    numbers = [middle * most // (2 * whole) for middle in middles]
    bin_of = {key: at for at, key in enumerate(own)}
    bin_of |= {key: len(own) + sorted(set(numbers)).index(number) for key, number in zip(rest, numbers, strict=True)}
    unseen = len(own) + len(set(numbers))

    def place(key: int) -> tuple[int, str]:
        bucket = key >> shift << shift
        return (bin_of[bucket], EXPECTED) if bucket in counts else (unseen, UNSEEN)

    return Bins(role, shift, ranked, place, [0.5] * (unseen + 1), 0.0, 0.5, alone, unseen)


def _ranked(counts: Mapping[int, int]) -> list[int]:
    """Return the most frequent first."""
    return sorted(counts, key=lambda key: (-counts[key], key))
