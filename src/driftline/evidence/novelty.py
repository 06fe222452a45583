"""How often does a value come that the reference has never seen? As often as the reference's own parts see such values.

After m independent events, the expected share of values never seen is the share of values seen once (Good 1953,
Biometrika 40, p. 237). The argument is that any event is equally likely to be the last one. It holds for any buckets,
including those of a coarsened sketch, which are prefixes of hashes. It also holds for *parts* of the events, if parts
are independent of one another: then the share is that of values which only one part held. Parts are long, so that
values which come in a burst and never again (a session, a batch, an order) do not count as values that stay.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from driftline.evidence.signals import Family, Nature, family_of
from driftline.sketches.group import ROLES, GroupSketch, SignalRole
from driftline.sketches.keys import KEY_BITS, Bools, Ints

MIN_PARTS: Final = 16
"""Minimum number of parts of a reference, if they are longer than one event. There are fewer than twice as many."""


def seen_once(whole: GroupSketch) -> Bools:
    """Mark the buckets with one value, which only one event held."""
    return np.asarray(whole.cells.counts == 1)


def seen_by_one_part(whole: GroupSketch, natures: Sequence[Nature], panes: Sequence[tuple[int, GroupSketch]]) -> Bools:
    """Mark the buckets that only one part held: those with one value, and those of categories and discrete numbers.

    Args:
        whole: all panes merged.
        natures: of its signals.
        panes: the panes, with their ascending positions on the time line, in pane lengths.
    """
    parts = _parts(np.array([place for place, _ in panes], dtype=np.int64))
    if parts is None:
        return seen_once(whole)
    slots = {name: slot for slot, name in enumerate(whole.signals)}
    known = _combined(whole.cells.ids, whole.cells.sizes, whole.cells.keys)
    first, last = np.full(len(known), -1, dtype=np.int64), np.full(len(known), -1, dtype=np.int64)
    shifts = np.zeros(len(slots) * ROLES, dtype=np.int64)
    shifts[whole.cells.ids] = whole.cells.shifts
    for part, (_, pane) in zip(parts.tolist(), panes, strict=True):
        chosen = np.flatnonzero(pane.cells.ids % ROLES != SignalRole.ODDITIES)
        cells = pane.cells.take(chosen)
        of_pane = np.array([slots[name] for name in pane.signals], dtype=np.int64)
        ids = of_pane[cells.ids // ROLES] * ROLES + cells.ids % ROLES
        shift = np.repeat(shifts[ids], cells.sizes)
        at = np.searchsorted(known, _combined(ids, cells.sizes, cells.keys >> shift << shift))
        first[at] = np.where(first[at] < 0, part, first[at])
        last[at] = part
    watched = np.array([nature in (Nature.CATEGORIES, Nature.VALUES) for nature in natures])
    watched &= np.array([family_of(name) is not Family.ARRIVAL for name in whole.signals])
    chosen = np.repeat(watched[whole.cells.ids // ROLES], whole.cells.sizes)
    return np.asarray(seen_once(whole) | (chosen & (first == last) & (first >= 0)))


def _parts(places: Ints) -> Ints | None:
    """Return the part of each pane: the longest of 1, 2, 4, … panes of which there are MIN_PARTS; None for fewer."""
    scale = 0
    if len(np.unique(places)) < MIN_PARTS:
        return None
    while len(np.unique(places >> scale + 1)) >= MIN_PARTS:
        scale += 1
    return places >> scale


def _combined(ids: Ints, sizes: Ints, keys: Ints) -> Ints:
    return (np.repeat(ids, sizes) << KEY_BITS) | keys
