"""What a reference knows of each signal before any window is compared: its family, its kind and how to watch it."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import numpy as np

from driftline.columns.signals import SEGMENT
from driftline.sketches.cells import Cells
from driftline.sketches.group import ROLES, GroupSketch, Oddity, SignalRole
from driftline.sketches.keys import KEY_BITS, Floats, Ints, key_numbers

MAX_VALUES = 40
"""A number with at most so many distinct values, each seen `REPEATS` times or more on average, gets a bin per value."""
REPEATS = 5

MIN_PANES = 8
"""Consecutive panes needed before a number is believed to grow for ever."""
GROWING_SHARE = 0.9
MIN_STRINGS = 50
"""Strings needed before they are believed never to repeat."""
NEWEST = 16
"""Panes in which dates are looked for."""
DATES = 0.9
"""Share of the values that must be dates."""
PRESENT = timedelta(days=2)
"""Dates go on with the clock if the latest is no older than this."""
_DATE = re.compile(r"(?:19|20)\d\d(?:-?[01]\d-?[0-3]\d(?:[T ].*)?|-[01]\d)", re.DOTALL)


class Family(StrEnum):
    """What a signal says something about. Each family has its own part of the false-alarm budget."""

    INPUTS = "inputs"
    OUTPUT = "output"
    SERVICE = "service"
    ARRIVAL = "arrival"
    """How the events came. What is not as it was is data of worse quality, not other data."""
    MIX = "mix"
    """Whose the events are: the values of a segment tag, one of each event."""
    TAGS = "tags"
    """What the sender says of itself, such as its code's version. It explains a change, and alarms by none."""


class Nature(StrEnum):
    """How a signal's values are compared with the reference."""

    NUMBERS = "numbers"  # by quantile bins
    VALUES = "values"  # numbers of few distinct values: a bin each
    CATEGORIES = "categories"  # strings or booleans
    IDENTIFIER = "identifier"  # they hardly repeat, only grow, or are dates of now: only kinds and missing are watched
    EMPTY = "empty"  # the reference held no value


def family_of(name: str) -> Family:
    """Return the family of a signal by its name.

    >>> family_of("features.age"), family_of("prediction.proba.yes"), family_of("latency_ms")
    (<Family.INPUTS: 'inputs'>, <Family.OUTPUT: 'output'>, <Family.SERVICE: 'service'>)
    """
    if name.startswith("features."):
        return Family.INPUTS
    if name.startswith("tags."):
        return Family.TAGS
    if name.startswith("arrival."):
        return Family.ARRIVAL
    if name.startswith(SEGMENT):
        return Family.MIX
    return Family.OUTPUT if name == "prediction" or name.startswith("prediction.") else Family.SERVICE


def expected_kinds(summary: GroupSketch) -> Ints:
    """Return for each signal the role of the cell that holds most of its values; -1 where there is none."""
    totals = np.zeros((len(summary.signals), ROLES), dtype=np.int64)
    totals.reshape(-1)[summary.cells.ids] = summary.cells.totals()
    totals[:, SignalRole.ODDITIES] = 0
    kinds = totals.argmax(axis=1)
    return np.where(totals.any(axis=1), kinds, -1).astype(np.int64)


def expected_oddities(summary: GroupSketch) -> Ints:
    """Return for each signal without values what most events held instead, a list or an object; -1 for all others."""
    found = np.full(len(summary.signals), -1, dtype=np.int64)
    for slot in np.flatnonzero(expected_kinds(summary) < 0).tolist():
        held = summary.counts(slot, SignalRole.ODDITIES)
        most = max((Oddity.LIST, Oddity.OBJECT), key=lambda oddity: held.get(int(oddity), 0))
        if held.get(int(most), 0):
            found[slot] = most
    return found


def natures_of(summary: GroupSketch, panes: Sequence[GroupSketch], end: int | None = None) -> tuple[Nature, ...]:
    """Return the nature of each signal of `summary`, which is the merge of these panes in time order.

    `end` is when the last pane ends, in epoch milliseconds, if that is known.
    """
    kinds = expected_kinds(summary)
    growing = _growing(summary, panes)
    natures = []
    now = None if end is None else datetime.fromtimestamp(end / 1_000, UTC) - PRESENT
    for slot, kind in enumerate(kinds.tolist()):
        if kind < 0:
            natures.append(Nature.EMPTY)
        elif family_of(summary.signals[slot]) is Family.ARRIVAL:
            natures.append(Nature.VALUES)
        elif now is not None and _are_dates_of(now, panes[-NEWEST:], summary.signals[slot], SignalRole(kind)):
            natures.append(Nature.IDENTIFIER)
        elif kind == SignalRole.NUMBERS:
            natures.append(Nature.IDENTIFIER if growing[slot] else _nature_of_numbers(summary, slot))
        else:
            natures.append(Nature.IDENTIFIER if _hardly_repeats(summary, slot, SignalRole(kind)) else Nature.CATEGORIES)
    return tuple(natures)


def cell_shift(summary: GroupSketch, slot: int, role: SignalRole) -> int:
    """Return the shift of one cell; 0 if nothing was counted in it."""
    at = np.flatnonzero(summary.cells.ids == slot * ROLES + role)
    return int(summary.cells.shifts[at[0]]) if len(at) else 0


def _nature_of_numbers(summary: GroupSketch, slot: int) -> Nature:
    counts = summary.cells.counts[summary.slice(slot, SignalRole.NUMBERS)]
    few = len(counts) <= MAX_VALUES and int(counts.sum()) >= REPEATS * len(counts)
    return Nature.VALUES if few and cell_shift(summary, slot, SignalRole.NUMBERS) == 0 else Nature.NUMBERS


def _hardly_repeats(summary: GroupSketch, slot: int, role: SignalRole) -> bool:
    """Tell whether a string shares its value, on average, with less than one other string of the reference.

    Two of n strings fall into one of M hash prefixes with probability s + (1 - s)/M, where s is the probability that
    they are equal: so s can be read off the bucket counts long after all prefixes are occupied. The estimate of the
    mean number of equals, (n - 1)s, has a standard deviation of about sqrt(2/M): .09 for 256 buckets. Half of the
    values distinct (n draws from .63 n equally likely ones) is (n - 1)s = 1.6; all distinct is 0.
    """
    counts = summary.cells.counts[summary.slice(slot, role)].astype(np.float64)
    n = float(counts.sum())
    if n < MIN_STRINGS:
        return False
    prefixes = 2.0 ** (KEY_BITS - cell_shift(summary, slot, role))
    together = float((counts * (counts - 1)).sum()) / (n * (n - 1))
    equal = (together - 1 / prefixes) / (1 - 1 / prefixes) if prefixes > 1 else 1.0
    return (n - 1) * equal < 1.0


def _are_dates_of(now: datetime, panes: Sequence[GroupSketch], name: str, role: SignalRole) -> bool:
    """Tell whether a signal's values are dates that come up to the present: tomorrow there will be others."""
    dates, all_values, latest = 0, 0, ""
    for pane in reversed(panes):
        for value, count in _written(pane, name, role):
            all_values += count
            if _DATE.fullmatch(value):
                dates, latest = dates + count, max(latest, value.replace("-", "")[:8])
        if dates < DATES * all_values:
            return False
    return dates > 0 and latest >= f"{now:%Y%m%d}"[: len(latest)]


def _written(pane: GroupSketch, name: str, role: SignalRole) -> Iterator[tuple[str, int]]:
    """Yield the values of a signal whose spelling is known, with their counts."""
    if name not in pane.signals:
        return
    slot = pane.signals.index(name)
    if role is SignalRole.NUMBERS and cell_shift(pane, slot, role):
        return
    counts = pane.counts(slot, role)
    if role is not SignalRole.NUMBERS:
        yield from ((pane.categories[key], count) for key, count in counts.items() if key in pane.categories)
        return
    numbers = key_numbers(np.array(list(counts), dtype=np.int64))
    if ((numbers >= 1e7) & (numbers < 1e8)).sum() < DATES * len(numbers):  # most are not, and are not written out
        numbers = numbers[:1]
    yield from zip((f"{number:.15g}" for number in numbers.tolist()), counts.values(), strict=False)


def _growing(summary: GroupSketch, panes: Sequence[GroupSketch]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark the signals whose numbers, pane by pane, lie above all numbers of the pane before."""
    signals = len(summary.signals)
    slots = {name: slot for slot, name in enumerate(summary.signals)}
    latest = np.full(signals, -1, dtype=np.int64)
    pairs = np.zeros(signals, dtype=np.int64)
    grown = np.zeros(signals, dtype=np.int64)
    for pane in panes:
        slot, lowest, highest = _ranges(pane.cells, np.array([slots[name] for name in pane.signals], dtype=np.int64))
        before = latest[slot]
        pairs[slot] += before >= 0
        grown[slot] += (before >= 0) & (lowest > before)
        latest[slot] = highest
    return (pairs >= MIN_PANES) & (grown >= GROWING_SHARE * pairs)


def _ranges(cells: Cells, slots: Ints) -> tuple[Ints, Ints, Ints]:
    """Return (slot, lowest key, highest key) of the number cells."""
    numbers = np.flatnonzero(cells.ids % ROLES == SignalRole.NUMBERS)
    bounds = cells.bounds
    return slots[cells.ids[numbers] // ROLES], cells.keys[bounds[numbers]], cells.keys[bounds[numbers + 1] - 1]


def weighted_moments(values: Floats, counts: Ints) -> tuple[float, float]:
    """Return mean and standard deviation of values that occur `counts` times. It scales first, so 1e308 is safe.

    >>> weighted_moments(np.array([1.0, 3.0]), np.array([3, 1]))
    (1.5, 0.8660254037844388)
    """
    scale = float(np.abs(values).max(initial=0.0))
    if scale == 0.0:
        return 0.0, 0.0
    scaled = values / scale
    n = counts.sum()
    mean = float((scaled * counts).sum() / n)
    deviation = float(np.sqrt(((scaled - mean) ** 2 * counts).sum() / n))
    return mean * scale, deviation * scale
