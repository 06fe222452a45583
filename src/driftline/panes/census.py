"""Which models a source counted over a slice of time, told to every task of Judge.

A model's panes go to one task of Judge, so none of these sees how many models there are. A census is a pane like all
others, of a name that no model can have, and goes to all of them: its groups are the models, with the number of their
events. It comes out of the merger just before the panes that it is about, and in the same order everywhere: so all
tasks of Judge decide alike which models are watched (`tasks.admission`).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from driftline.panes.records import GROUP_STEP, Group, PaneRecord, split
from driftline.sketches.cells import Cells
from driftline.sketches.group import EVENTS, Oddity
from driftline.sketches.keys import Ints

_CENSUS = "\x01"
"""What its name begins with, before the length of its panes. No model has a control character in its name."""
BYTES_A_RECORD = 240_000
BYTES_A_CHARACTER, BYTES_A_MODEL = 4, 24


def is_census(model: str) -> bool:
    """Tell whether panes under this name are a census."""
    return model.startswith(_CENSUS)


def with_census(panes: Sequence[PaneRecord]) -> Iterator[PaneRecord]:
    """Yield panes of a source, which are in order of their time, and before those of each slice the census of it."""
    for _, same in groupby(panes, key=lambda pane: (pane.end, pane.start)):
        slice_ = list(same)
        events: dict[str, int] = {}
        for pane in slice_:
            if pane.model and (counted := _events(pane)):  # a pane may hold no event, only how late some came
                events[pane.model] = events.get(pane.model, 0) + counted
        if events:
            yield from _census(slice_[0], events)
        yield from slice_


def _events(pane: PaneRecord) -> int:
    """Return how many events a record counts, of all segments."""
    cells = pane.cells
    at = np.flatnonzero(cells.ids % GROUP_STEP == 0)  # the one bucket of EVENTS, in slot 0
    whole = np.array([not group.segment for group in pane.groups])
    return int(cells.counts[cells.bounds[at]][whole[cells.ids[at] // GROUP_STEP]].sum())


def _census(pane: PaneRecord, events: dict[str, int]) -> Iterator[PaneRecord]:
    models = sorted(events)
    weights: Ints = np.array([BYTES_A_CHARACTER * len(model) + BYTES_A_MODEL for model in models], dtype=np.int64)
    runs = split(weights, BYTES_A_RECORD)
    for part, run in enumerate(runs):
        named = models[run.start : run.stop]
        ids = np.arange(len(named), dtype=np.int64) * GROUP_STEP
        none, ones = np.zeros_like(ids), np.ones_like(ids)
        counts: Ints = np.array([events[model] for model in named], dtype=np.int64)
        yield PaneRecord(
            source=pane.source,
            sources=pane.sources,
            model=f"{_CENSUS}{pane.length}",
            start=pane.start,
            length=pane.length,
            part=part,
            parts=len(runs),
            groups=tuple(Group(model, "") for model in named),
            signals=(EVENTS,),
            cells=Cells(ids, none, ones, none + int(Oddity.EVENT), counts, none),
            categories={},
            flushes=pane.flushes,
        )
