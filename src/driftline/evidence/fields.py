"""Fields that a reference does not know: signals that stand in the events' content, and were never part of it."""

from collections.abc import Collection

import numpy as np

from driftline.columns.signals import LENGTH, is_beside
from driftline.sketches.cells import Cells
from driftline.sketches.group import ROLES, GroupSketch, Oddity, SignalRole
from driftline.sketches.keys import Bools


def new_fields(known: Collection[str], summary: GroupSketch) -> dict[str, int]:
    """Return the slots in a summary of the fields that a reference with these signals does not know, by name."""
    known = set(known)
    return {name: slot for slot, name in enumerate(summary.signals) if name not in known and _is_field(name, summary)}


def most_new(summary: GroupSketch, unknown: Bools) -> int:
    """Return how many events, at least, had one of the fields among the signals that are `unknown` (shape: signals)."""
    fields = np.array([_is_field(name, summary) for name in summary.signals])
    return _most_present(summary.cells, (unknown & fields)[summary.cells.ids // ROLES])


def is_length(name: str, summary: GroupSketch) -> bool:
    """Tell whether a signal says how long a list is."""
    field = name.removesuffix(LENGTH)
    if field == name or field not in summary.signals:
        return False
    return int(Oddity.LIST) in summary.counts(summary.signals.index(field), SignalRole.ODDITIES)


def _is_field(name: str, summary: GroupSketch) -> bool:
    """Tell whether a signal is a field of its own: it stands in the events' content, and is not the length of a list.

    That a field is a list, newly, is told of the field.
    """
    return not is_beside(name) and not is_length(name, summary)


def _most_present(cells: Cells, chosen: Bools) -> int:
    """Return how many events, at least, carried one of the signals whose cells are chosen."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return 0
    return int(np.bincount(cells.ids[at] // ROLES, weights=cells.totals()[at]).max())
