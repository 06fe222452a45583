"""Panes of outcomes that are still open in one partition: tallies by model, slice, version, segment and cohort.

As with panes of predictions, a checkpoint stores what came since the last one as a chunk, and chunks are written again
as one when there are eight of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from driftline.codec import Count, Mark, Span, Time
from driftline.columns.times import BAD_TIME
from driftline.panes.outcomes import OutcomeGroup, OutcomeRecord, outcome_records
from driftline.panes.records import Pane
from driftline.panes.waiting import CHUNKS, to_join
from driftline.performance.tally import Tally, merged, unpacked
from driftline.sketches.keys import Ints

PARTS: Final = 32
"""Tallies that are kept apart before they are added up."""
MAX_ROWS: Final = 250_000
"""Rows of a chunk, some 4 MB, beyond which it is left as it is."""


class Slot(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A pane of a model."""

    model: str
    start: Time
    length: Span

    @property
    def end(self) -> int:
        """The first millisecond after it."""
        return self.start + self.length


class OpenState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a checkpoint says of open panes, beside the chunks."""

    handles: dict[Count, tuple[Slot, OutcomeGroup]]
    next: Count
    fates: list[tuple[Slot, dict[str, Count]]]
    chunks: dict[str, Count]
    named: Count
    flushes: Count
    told: Mark


class OpenOutcomes:
    """See the module's head."""

    def __init__(self, name: str, told: int) -> None:
        self._name = name
        self._handles: dict[tuple[Slot, OutcomeGroup], int] = {}
        self._next = 0
        self._fates: dict[Slot, Counter[str]] = {}
        self._fresh: list[Tally] = []
        self._chunks: dict[str, Tally] = {}
        self._sizes: dict[str, int] = {}
        """Rows that each chunk has in the store."""
        self._named = 0
        self._gone: list[str] = []
        self.flushes = 0
        """How often panes left before their end."""
        self.told = told
        """How far Judge knows that both logs have come."""

    def handle(self, slot: Slot, group: OutcomeGroup) -> int:
        """Return the number of a group in an open pane."""
        found = self._handles.get((slot, group))
        if found is None:
            found = self._handles[slot, group] = self._next
            self._next += 1
        return found

    def add(self, tally: Tally) -> None:
        """Count a tally, whose groups are handles."""
        if len(tally):
            self._fresh.append(tally)
        if len(self._fresh) > PARTS:
            self._fresh = [merged(self._fresh)]

    def count_fates(self, slot: Slot, fates: Mapping[str, int]) -> None:
        """Count what became of labels."""
        self._fates.setdefault(slot, Counter()).update(fates)

    @property
    def _slots(self) -> set[Slot]:
        """The panes that are open."""
        return {*self._fates, *(slot for slot, _ in self._handles)}

    @property
    def end(self) -> int:
        """When the last open pane ends; before any time, if there is none."""
        return max((slot.end for slot in self._slots), default=BAD_TIME)

    def close(
        self, until: int, source: int, sources: int, names: Mapping[str, Sequence[str]]
    ) -> Iterator[OutcomeRecord]:
        """Take out the panes that end until then, in order of (end, start, model).

        `names` are those of classes by code, by model.
        """
        due = {slot for slot in self._slots if slot.end <= until}
        slots = sorted(due, key=lambda each: (each.end, each.start, each.model))
        groups: dict[Slot, list[OutcomeGroup]] = {slot: [] for slot in slots}
        leaving = sorted((handle, *key) for key, handle in self._handles.items() if key[0] in due)
        place = np.zeros(len(leaving), dtype=np.int64)
        for at, (_, slot, group) in enumerate(leaving):
            place[at] = len(groups[slot])
            groups[slot].append(group)
            del self._handles[slot, group]
        number = {slot: at for at, slot in enumerate(slots)}
        rows = self._take(np.array([handle for handle, _, _ in leaving], dtype=np.int64))
        slot_of = np.array([number[slot] for _, slot, _ in leaving], dtype=np.int64)
        apart = np.argsort(slot_of[rows.groups], kind="stable")
        cuts = np.searchsorted(slot_of[rows.groups[apart]], np.arange(len(slots) + 1))
        for at, slot in enumerate(slots):
            mine = rows.take(apart[cuts[at] : cuts[at + 1]])
            pane = Pane(source, sources, self.flushes, slot.model, slot.start, slot.length)
            fates = dict(self._fates.pop(slot, {}))
            yield from outcome_records(pane, groups[slot], mine.regrouped(place), names.get(slot.model, ()), fates)

    def _take(self, handles: Ints) -> Tally:
        """Take out the rows of these handles, ascending; their groups are the positions among these."""
        parts = []
        for name, chunk in list(self._chunks.items()):
            leaving = np.isin(chunk.groups, handles)
            if leaving.any():
                parts.append(chunk.take(leaving))
                self._chunks[name] = chunk.take(~leaving)
            if not len(self._chunks[name]):
                del self._chunks[name], self._sizes[name]
                self._gone.append(name)
        fresh = merged(self._fresh)
        leaving = np.isin(fresh.groups, handles)
        self._fresh = [fresh.take(~leaving)]
        rows = merged([*parts, fresh.take(leaving)])
        return replace(rows, groups=np.searchsorted(handles, rows.groups))

    def checkpoint(self) -> tuple[OpenState, dict[str, bytes | None]]:
        """Return (plain description, blobs to write; None deletes) of what changed since the last checkpoint."""
        fresh, self._fresh = merged(self._fresh), []
        if len(fresh):
            joining = to_join(self._sizes, len(fresh), MAX_ROWS) if len(self._sizes) >= CHUNKS else []
            whole = merged([fresh, *(self._chunks.pop(name) for name in joining)])
            for name in joining:
                del self._sizes[name]
            self._gone += joining
            name = f"{self._name}/{self._named}"
            self._named += 1
            self._chunks[name], self._sizes[name] = whole, len(whole)
        writes: dict[str, bytes | None] = dict.fromkeys(self._gone)
        if len(fresh):
            writes[name] = whole.packed()
        self._gone = []
        handles = {handle: key for key, handle in self._handles.items()}
        fates = [(slot, dict(found)) for slot, found in sorted(self._fates.items())]
        state = OpenState(handles, self._next, fates, dict(self._sizes), self._named, self.flushes, self.told)
        return state, writes

    def restore(self, state: OpenState, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        self._handles = {(slot, group): handle for handle, (slot, group) in state.handles.items()}
        self._next, self._named, self.flushes, self.told = state.next, state.named, state.flushes, state.told
        self._fates = {slot: Counter(found) for slot, found in state.fates}
        for name, size in state.chunks.items():
            chunk = unpacked(blobs[name])
            self._chunks[name] = chunk.take(np.isin(chunk.groups, sorted(state.handles)))
            self._sizes[name] = size
