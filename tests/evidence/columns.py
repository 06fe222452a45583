"""Summaries of plain columns, for tests: a column is a list of what each event held; ... is missing."""

from collections.abc import Mapping, Sequence
from types import EllipsisType

import numpy as np

from driftline.evidence.building import build_reference
from driftline.evidence.reference import Reference
from driftline.sketches.cells import CAP, from_buckets
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, Oddity, SignalRole, exact_categories
from driftline.sketches.keys import category_key, number_keys

Value = float | str | bool | None | EllipsisType
Column = Sequence[Value] | np.ndarray[tuple[int], np.dtype[np.float64]]
PANE_MS = 60_000


def summarise(columns: Mapping[str, Column], events: int | None = None, cap: int = CAP) -> GroupSketch:
    """Return the summary of events given by columns of equal length."""
    names = sorted(columns)
    events = max((len(column) for column in columns.values()), default=0) if events is None else events
    places, keys = [np.zeros(events, dtype=np.int64)], [np.zeros(events, dtype=np.int64)]
    categories: dict[int, str] = {}
    for slot, name in enumerate(names, 1):
        column = columns[name]
        if isinstance(column, np.ndarray):
            places.append(np.full(len(column), slot * ROLES + SignalRole.NUMBERS))
            keys.append(number_keys(column.astype(np.float64)))
            continue
        told = [(slot * ROLES + role, key) for value in column for role, key in _cell(value, categories)]
        places.append(np.array([place for place, _ in told], dtype=np.int64))
        keys.append(np.array([key for _, key in told], dtype=np.int64))
    place, key = np.concatenate(places), np.concatenate(keys)
    ids, cell = np.unique(place, return_inverse=True)
    ones, none = np.ones(len(key), dtype=np.int64), np.zeros(len(key), dtype=np.int64)
    cells = from_buckets(ids, np.zeros(len(ids), dtype=np.int64), cell, key, ones, none, cap)
    return GroupSketch((EVENTS, *names), cells, exact_categories(cells, categories))


def _cell(value: Value, categories: dict[int, str]) -> list[tuple[int, int]]:
    if value is ...:
        return []
    if value is None:
        return [(int(SignalRole.ODDITIES), int(Oddity.NULL))]
    if isinstance(value, float | int) and not isinstance(value, bool):
        if not np.isfinite(value):
            return [(int(SignalRole.ODDITIES), int(Oddity.NONFINITE))]
        return [(int(SignalRole.NUMBERS), int(number_keys(np.array([float(value)]))[0]))]
    text = str(value).lower() if isinstance(value, bool) else value
    categories[category_key(text)] = text
    return [(int(SignalRole.BOOLEANS if isinstance(value, bool) else SignalRole.STRINGS), category_key(text))]


def reference_of(*panes: Mapping[str, Column], pane_ms: int = PANE_MS) -> Reference:
    """Return the reference of consecutive panes from time 0."""
    return build_reference(
        [(number * pane_ms, summarise(columns)) for number, columns in enumerate(panes)],
        model="m",
        version="1",
        segment="",
        pane_ms=pane_ms,
        learned=False,
    )
