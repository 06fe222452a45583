"""From what is held of a model's pane to its records.

Groups come in order of their names, and in them signals in order of theirs: codes, slots and handles depend on what
came when, names do not. Rows that wait are counted some groups at a time, so that what is made on the way stays in the
cache: for a thousand segments it would be a hundred times as much, each time in memory that was never used before.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from driftline.columns.shape import ALL
from driftline.columns.signals import is_beside
from driftline.panes.counting import Counting
from driftline.panes.groups import Naming, OpenGroup
from driftline.panes.records import GROUP_STEP, Group, Pane, PaneRecord, split
from driftline.panes.rows import Rows
from driftline.sketches.buckets import SORTED
from driftline.sketches.cells import CAP, Cells, concatenated, empty, merge
from driftline.sketches.group import EVENTS, ROLES, category_cells, exact_categories
from driftline.sketches.keys import Ints

BYTES_A_RECORD = 240_000
"""What a record of the panes topic may weigh by the estimates below. At worst, if all names are in a script of four
bytes a character, it takes some 900 kB: below the 1 MiB that Kafka allows by default."""
MANY = 100
"""Models of which the order of the signals is remembered."""
EXACT_BUCKET_BYTES = 5
BUCKET_BYTES = 16
NAMED_BUCKET_BYTES = 100
CELL_BYTES = 20
VALUES_AT_ONCE = 96_000
"""Values counted before they are turned into records: some 1.2 MB of buckets, of which a record is made."""


def pane_records(
    pane: Pane,
    naming: Naming,
    groups: Sequence[OpenGroup],
    held: Cells,
    rows: Sequence[tuple[Rows, Sequence[Ints]]],
    categories: Mapping[int, str],
) -> list[PaneRecord]:
    """Return the records of a pane.

    Args:
        pane: which one.
        naming: what codes and slots stand for.
        groups: those of which something was counted before.
        held: what was counted of them; ids by their handles.
        rows: those that waited for the end of the pane, by layout, and their keys in pieces.
        categories: names of keys.
    """
    belonging = [_belonging(each, naming) for each, _ in rows]
    ranks, named = _ranked(naming, [_code(group.version, group.segment, naming) for group in groups], belonging)
    slots, signals = _signals(naming)
    if len(held):
        held = _renamed(
            held, {group.handle: int(ranks[_code(group.version, group.segment, naming)]) for group in groups}, slots
        )
    found: list[tuple[Cells, int, int, list[int]]] = []
    rest = empty()
    counting = [
        _counting(each, keys, ranks[codes], named, slots) for (each, keys), codes in zip(rows, belonging, strict=True)
    ]
    for cells in _counted(held, counting, len(named)):
        rest = concatenated([rest, cells])
        *full, last = _runs(rest, signals)
        found.extend(_renumbered(rest.between(run.start, run.stop)) for run in full)
        rest = rest.between(last.start, last.stop)
    found.append(_renumbered(rest))
    return [
        PaneRecord(
            source=pane.source,
            sources=pane.sources,
            flushes=pane.flushes,
            model=pane.model,
            start=pane.start,
            length=pane.length,
            part=part,
            parts=len(found),
            groups=tuple(named[first : last + 1]),
            signals=tuple(signals[slot] for slot in used),
            cells=cells,
            categories=exact_categories(cells, categories),
        )
        for part, (cells, first, last, used) in enumerate(found)
    ]


def _code(version: int, segment: int, naming: Naming) -> int:
    """Return the number of a (version, segment) among all that the model may have."""
    return version * len(naming.segments) + segment


def _belonging(rows: Rows, naming: Naming) -> Ints:
    """Return the codes of the groups to which each row belongs, shape (1 + tags, rows): all events come first."""
    everything = np.full(len(rows.times), ALL)
    codes: Ints = rows.versions * len(naming.segments) + np.stack([everything, *rows.segments])
    return codes


def _ranked(naming: Naming, held: Sequence[int], belonging: Sequence[Ints]) -> tuple[Ints, list[Group]]:
    """Return the rank of each code by its names, and the groups that there are in that order."""
    present = np.zeros(len(naming.versions) * len(naming.segments), dtype=np.bool_)
    for codes in (np.array(held, dtype=np.int64), *belonging):
        present[codes] = True
    named = {
        code: Group(naming.versions[code // len(naming.segments)], naming.segments[code % len(naming.segments)])
        for code in np.flatnonzero(present).tolist()
    }
    order = sorted(named, key=lambda code: (named[code], code))
    ranks: Ints = np.zeros(len(present), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks, [named[code] for code in order]


def _signals(naming: Naming) -> tuple[Ints, Sequence[str]]:
    """Return the rank of each slot by its signal's name, and the names in that order.

    EVENTS are first, and what stands beside their content is last.
    """
    return _in_order(tuple(naming.signals))


@lru_cache(maxsize=MANY)
def _in_order(names: tuple[str, ...]) -> tuple[Ints, Sequence[str]]:
    order = [0, *sorted(range(1, len(names)), key=lambda slot: (is_beside(names[slot]), names[slot]))]
    slots: Ints = np.empty(len(order), dtype=np.int64)
    slots[order] = np.arange(len(order))
    return slots, (EVENTS, *(names[slot] for slot in order[1:]))


def _renamed(held: Cells, ranks: Mapping[int, int], slots: Ints) -> Cells:
    """Return cells under ids by ranks, not by handles and slots."""
    handles = np.array(sorted(ranks), dtype=np.int64)
    rank_of: Ints = np.array([ranks[handle] for handle in handles.tolist()], dtype=np.int64)
    rank = rank_of[np.searchsorted(handles, held.ids // GROUP_STEP)]
    below = held.ids % GROUP_STEP
    return held.renamed(rank * GROUP_STEP + slots[below // ROLES] * ROLES + below % ROLES)


def _counting(rows: Rows, keys: Sequence[Ints], ranks: Ints, named: Sequence[Group], slots: Ints) -> Counting:
    """Return what counts these rows; `ranks` (1 + tags, rows) say to which of the named groups they belong."""
    whole, *by_tag = ranks
    unions = _unions(whole, by_tag[0], rows.shape.tags[0], named) if by_tag else {}
    if unions:
        whole = np.where(np.isin(whole, list(unions)), -1, whole)
    return Counting(rows, keys, np.stack([whole, *by_tag]), len(named), unions=unions, slots=slots)


def _unions(whole: Ints, first: Ints, tag: str, named: Sequence[Group]) -> dict[int, tuple[int, int]]:
    """Return of all events of a version which groups have its rows, and no others: those of its first tag.

    They are beside each other, so that nothing is put in order twice. Not so where a version has few rows, for the
    values of a small group will be sorted.
    """
    sizes, of_first = np.bincount(whole, minlength=len(named)), np.bincount(first, minlength=len(named))
    unions: dict[int, tuple[int, int]] = {}
    for rank in np.flatnonzero(sizes >= SORTED).tolist():
        version = named[rank].version
        block = bisect_left(named, Group(version, f"{tag}=")), bisect_left(named, Group(version, f"{tag}>"))
        if of_first[block[0] : block[1]].sum() == sizes[rank]:
            unions[rank] = block[0], block[1] - 1
    return unions


def _counted(held: Cells, counting: Sequence[Counting], groups: int) -> Iterator[Cells]:
    """Yield the cells of all groups, of some at a time."""
    if not counting:
        yield held
        return
    sizes: Ints = sum(
        (np.minimum(each.sizes, CAP) * each.columns for each in counting), np.zeros(groups, dtype=np.int64)
    )
    for run in split(sizes, VALUES_AT_ONCE):
        starts = np.arange(run.start, run.stop, dtype=np.int64) * GROUP_STEP
        first, last = np.searchsorted(held.ids, [run.start * GROUP_STEP, run.stop * GROUP_STEP])
        parts = [held.between(first, last)]
        parts.extend(each.count(slice(run.start, run.stop), starts) for each in counting)
        yield merge(parts)


def _runs(cells: Cells, signals: Sequence[str]) -> list[range]:
    """Cut cells into those of a record each."""
    most = len(cells.keys) * NAMED_BUCKET_BYTES + len(cells) * (CELL_BYTES + max(map(len, signals)))
    return [range(len(cells))] if most <= BYTES_A_RECORD else split(_weights(cells, signals), BYTES_A_RECORD)


def _weights(cells: Cells, signals: Sequence[str]) -> Ints:
    """Estimate how many bytes each cell takes in a record, with its names."""
    named = np.zeros(len(cells), dtype=np.bool_)
    named[category_cells(cells.ids)] = True
    named &= cells.shifts == 0
    lengths = np.array([len(name) for name in signals], dtype=np.int64)
    bucket = np.where(named, NAMED_BUCKET_BYTES, np.where(cells.shifts == 0, EXACT_BUCKET_BYTES, BUCKET_BYTES))
    weights: Ints = cells.sizes * bucket + lengths[cells.ids % GROUP_STEP // ROLES] + CELL_BYTES
    return weights


def _renumbered(cells: Cells) -> tuple[Cells, int, int, list[int]]:
    """Number groups and signals anew from 0. Returns (cells, first and last group, signals, EVENTS first)."""
    first, last = int(cells.ids[0]) // GROUP_STEP, int(cells.ids[-1]) // GROUP_STEP
    below = cells.ids % GROUP_STEP
    there = np.zeros(int(below.max()) // ROLES + 1, dtype=np.bool_)
    there[0] = there[below // ROLES] = True
    used = np.flatnonzero(there)
    slots = np.searchsorted(used, below // ROLES)
    ids = (cells.ids // GROUP_STEP - first) * GROUP_STEP + slots * ROLES + below % ROLES
    return replace(cells, ids=ids), first, last, used.tolist()
