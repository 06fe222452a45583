"""What the stream tells of itself, in panes of its own: what became of every record, and what was beyond the limits.

It is watched as a model without a name, which no event can have: every record is one of its events.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import numpy as np

from driftline.codec import Count, Mark
from driftline.columns.batch import ColumnBatch
from driftline.columns.categories import CategoryKeys
from driftline.columns.reasons import Reason
from driftline.panes.groups import Naming
from driftline.panes.open import OpenPanes
from driftline.panes.records import GROUP_STEP
from driftline.sketches.cells import from_buckets
from driftline.sketches.group import ROLES, Oddity, SignalRole
from driftline.sketches.keys import Ints

STREAM = ""
"""Its name as a model."""
FATE: Final = 1
"""Slot of the signal that says what became of a record: `accepted` or a reason."""
BEYOND: Final = 2
"""Slot of the signal that counts what was beyond the limits: `fields`, `segments`."""
NAMES: Final = 3
"""Slot of the signal that names some of those that were, `segments: churn[tenant=acme]`, and some of the models of
which records were rejected, by reason: `late: churn`."""
_SIGNALS = ("events", "fate", "beyond_limits", "beyond_names")
FEW = 3
"""Names of one limit, or of one reason, that a pane of the stream tells."""
MAX_FACTS = 1_000
"""Fates and names that are remembered."""

Slot: TypeAlias = Literal[1, 2, 3]
Fact: TypeAlias = tuple[Slot, str, Count]
"""A slot, a name, and how many."""
Named: TypeAlias = dict[Mark, dict[str, list[str]]]


class StreamPanes:
    """See the module's head.

    Args:
        panes: where they are open, among the panes of models.
        pane_ms: their length.
    """

    def __init__(self, panes: OpenPanes, pane_ms: int) -> None:
        self._panes = panes
        self._pane_ms = pane_ms
        self._keys = CategoryKeys()
        self._before: Counter[tuple[Slot, str]] = Counter()
        """Facts of the records that came before any time was known, by slot and name."""
        self._named: Named = {}
        """By open pane (-1: before any time) and by limit: whose names are told, the first FEW beyond it."""

    @property
    def naming(self) -> Naming:
        """What its codes and slots stand for."""
        return Naming(_SIGNALS, [""], [""], ())

    @property
    def names(self) -> Mapping[int, str]:
        """What its categories' keys stand for."""
        return self._keys.names

    def count(self, batch: ColumnBatch, moments: Ints) -> int:
        """Count every record: `moments` says when each was read, in event time. Returns how much was beyond limits.

        While nothing counts, that is the time of which Judge was told: event time stands still, and the clock does not.
        """
        panes = np.where(moments >= 0, moments // self._pane_ms, -1)
        known = panes[panes >= 0]
        if len(known):  # what came before any time was known belongs to the first pane
            panes[panes < 0] = known[0]
            self._take_before(int(known[0]))
        facts, counts = np.unique(panes * 64 + batch.reasons, return_counts=True)
        found: Counter[tuple[int, Slot, str]] = Counter()
        for fact, number in zip(facts.tolist(), counts.tolist(), strict=True):
            pane, reason = divmod(fact, 64)
            found[pane, FATE, Reason(reason).label] += number
        for row, ignored in batch.ignored.items():
            found[int(panes[row]), BEYOND, "fields"] += ignored
        events = batch.of_events(panes)
        for columns in batch.models:
            for other, codes in zip(columns.shape.other_codes, columns.segments, strict=True):
                beyond, counts = np.unique(events[columns.rows[codes == other]], return_counts=True)
                for pane, number in zip(beyond.tolist(), counts.tolist(), strict=True):
                    found[pane, BEYOND, "segments"] += number
        named = [(row, what, name, 1) for row, what, name in batch.beyond]
        for row, limit, name, number in sorted([*named, *_rejected(batch, panes)]):
            few = self._named.setdefault(int(panes[row]), {}).setdefault(limit, [])
            if name not in few and len(few) < FEW:
                few.append(name)
            if name in few:
                found[int(panes[row]), NAMES, f"{limit}: {name}"] += number
        if len(known):
            self._add(found)
        else:
            self._before.update({fact[1:]: number for fact, number in found.items()})
        return sum(number for (_, slot, _), number in found.items() if slot == BEYOND)

    def begin(self, time: int) -> None:
        """Count in the pane of this time, the first that is known, what came before any was."""
        self._take_before(time // self._pane_ms)

    def _take_before(self, pane: int) -> None:
        """Count in this pane, the first one, what came before any time was known."""
        self._add({(pane, *fact): number for fact, number in self._before.items()})
        self._before.clear()
        if -1 in self._named:
            self._named[pane] = self._named.pop(-1)

    def _add(self, found: Mapping[tuple[int, Slot, str], int]) -> None:
        """Count facts, given as (pane, slot, name) -> number; each fate is an event."""
        length = self._pane_ms
        buckets: list[tuple[int, int, int]] = []
        for (pane, slot, name), number in found.items():
            start = self._panes.open(STREAM, pane * length, length) * GROUP_STEP
            buckets.append((start + slot * ROLES + SignalRole.STRINGS, self._keys[name], number))
            if slot == FATE:
                buckets.append((start + SignalRole.ODDITIES, Oddity.EVENT, number))
        if buckets:
            cells, keys, counts = np.ascontiguousarray(np.array(buckets, dtype=np.int64).T)
            ids, cell = np.unique(cells, return_inverse=True)
            self._panes.take(from_buckets(ids, np.zeros_like(ids), cell, keys, counts, np.zeros_like(keys)))

    def close(self, until: int) -> None:
        """Forget the names of panes that ended, and categories that none of the open ones has."""
        first = until // self._pane_ms
        self._named = {pane: held for pane, held in self._named.items() if pane < 0 or pane >= first}
        if len(self._keys.names) > MAX_FACTS:
            self._keys.trim(self._panes.category_keys())

    def stored(self) -> tuple[list[Fact], Named]:
        """Return the facts of before any time was known, and the names that are told."""
        return [(*fact, number) for fact, number in self._before.items()], self._named

    def restore(self, before: list[Fact], named: Named) -> None:
        """Undo `stored`."""
        self._before = Counter({(slot, fact): number for slot, fact, number in before})
        self._named = named


def _rejected(batch: ColumnBatch, panes: Ints) -> list[tuple[int, str, str, int]]:
    """Return (first record, reason, model, how many) of what was rejected of each model, by pane of each record."""
    found: list[tuple[int, str, str, int]] = []
    for columns in batch.models if batch.reasons.any() else ():
        records = columns.rows if batch.records is None else batch.records[columns.rows]
        wrong = records[batch.reasons[records] > 0]
        facts, first, counts = np.unique(
            panes[wrong] * 64 + batch.reasons[wrong], return_index=True, return_counts=True
        )
        for fact, at, number in zip(facts.tolist(), wrong[first].tolist(), counts.tolist(), strict=True):
            found.append((at, Reason(fact % 64).label, columns.shape.model, number))
    return found
