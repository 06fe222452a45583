"""The panes of all sources, put together slice by slice.

Sources send at their own pace. A slice of event time is complete when the watermark of every source has passed its end;
slices then come out in the order of their ends, each once, with all that any source counted in it. What comes out is a
function of the panes log alone: how its records were batched, and how sources interleave, cannot show.

    source 0  ─────pane────pane──w──────►
    source 1  ──pane──w─────────────────►      complete up to min(w), idle sources left aside
    source 2  (idle)

A source that falls idle sends what it has and is waited for no more. What it sends afterwards for slices that have come
out are supplements, and come out by themselves: see `overdue`.

While no source has had an event that counts, there is no event time. All that waits then is how records were rejected,
by the clock: it comes out at once, and moves nothing on. The first event may be of any time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from driftline.codec import Count, Mark, Time, corrupt
from driftline.columns.times import BAD_TIME
from driftline.panes.records import Group, PaneRecord, Piece, Watermark, decode_record
from driftline.panes.sources import FIRST_TOPIC, source_number, topic_and_partition
from driftline.sketches.group import GroupSketch, combine

NEVER = BAD_TIME


class Source(msgspec.Struct, array_like=True):
    """How far one source has come."""

    time: Mark = NEVER
    idle: bool = False
    position: Count = 0
    sent: dict[str, tuple[Count, Mark, Count]] = msgspec.field(default_factory=dict)
    """For each model the place of the pane that came last: what comes again is known by it."""
    rested: bool = False
    """Whether the last watermark said that it is idle."""
    forgotten: tuple[Count, Mark, Count] = (0, NEVER, 0)
    """The last place among those of models that were forgotten: what is not beyond it comes again."""
    heard: Mark = NEVER
    """How far its events had come by the last watermark."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """All that was seen of a model over [start, end)."""

    model: str
    start: int
    end: int
    groups: Mapping[Group, GroupSketch]


@dataclass(slots=True)
class MergeCounters:
    """Part of the checkpoint."""

    records: int = 0
    repeated: int = 0
    supplements: int = 0


P = TypeVar("P", bound=Piece)
S = TypeVar("S")


@dataclass(slots=True)
class _Waiting(Generic[P]):
    record: P
    blob: str


@dataclass(slots=True)
class Merger(Generic[P, S]):
    """See the module's head.

    Args:
        decode: how what was stored is read.
        combine: what is made of all pieces of a slice, given its model, start and end.
        blobs: what the names of stored pieces begin with.
    """

    decode: Callable[[bytes], P | Watermark]
    combine: Callable[[str, int, int, Sequence[P]], S]
    blobs: str
    topics: tuple[int, ...] = (FIRST_TOPIC,)
    """The numbers of the topics that are read. Sources of another one, which was read once, are waited for no more."""
    sources: dict[int, Source] = field(default_factory=dict)
    expected: dict[int, int] = field(default_factory=dict)
    """How many sources each topic has, as far as they have said."""
    mark: int = NEVER
    """All slices that end at or before this have come out."""
    counters: MergeCounters = field(default_factory=MergeCounters)
    _waiting: dict[tuple[int, int, str], list[_Waiting[P]]] = field(default_factory=dict)
    _order: list[tuple[int, int, str]] = field(default_factory=list)
    """The keys of `_waiting` as a heap."""
    _overdue: list[P] = field(default_factory=list)
    _writes: dict[str, bytes | P | None] = field(default_factory=dict)
    _next_blob: int = 0

    def take(self, value: bytes | P | Watermark) -> bool:
        """Take in a record of the panes topic, or one that never was there: then it is encoded where it is stored.

        Returns whether time may have moved on: then call `advance`. Raises `StateCorrupt` for what is no such record.
        """
        record = self.decode(value) if isinstance(value, bytes) else value
        self.counters.records += 1
        topic, _ = topic_and_partition(record.source)
        self.expected[topic] = max(self.expected.get(topic, 0), record.sources)
        source = self.sources.setdefault(record.source, Source())
        if isinstance(record, Watermark):
            place = record.time, record.position, record.idle
            if place <= (source.time, source.position, source.rested):
                self.counters.repeated += 1
                return False
            source.time, source.position, source.idle = place
            source.rested, source.heard = record.idle, record.heard
            return True
        if record.place <= source.sent.get(record.model, source.forgotten):
            self.counters.repeated += 1
            return False
        source.sent[record.model] = record.place
        source.idle = False
        if record.end <= self.mark:  # its source had been idle, and the others' windows did not wait
            self.counters.supplements += 1
            self._overdue.append(record)
            return False
        blob = f"{self.blobs}/{self._next_blob}"
        self._next_blob += 1
        self._writes[blob] = value if isinstance(value, bytes) else record
        key = (record.end, record.start, record.model)
        if key not in self._waiting:
            self._waiting[key] = []
            heappush(self._order, key)
        self._waiting[key].append(_Waiting(record, blob))
        return False

    def forget(self, before: int) -> None:
        """Forget what came last of models that were silent since this event time (epoch milliseconds)."""
        for source in self.sources.values():
            gone = {model: place for model, place in source.sent.items() if place[1] < before}
            source.forgotten = max([source.forgotten, *gone.values()])
            source.sent = {model: place for model, place in source.sent.items() if model not in gone}

    def complete_to(self) -> int:
        """Return the time up to which every source that is not idle has sent all."""
        if not self._are_all_known():
            return NEVER
        read = self._read()
        busy = [source.time for source in read if not source.idle]
        return min(busy) if busy else max(source.time for source in read)

    def _are_all_known(self) -> bool:
        counts = [self.expected.get(topic, 0) for topic in self.topics]
        numbers = [
            source_number(topic, at) for topic, count in zip(self.topics, counts, strict=True) for at in range(count)
        ]
        return all(counts) and all(number in self.sources for number in numbers)

    def _has_no_time(self) -> bool:
        """Tell whether every source was read to its end, and none has had an event that counts."""
        return self._are_all_known() and all(source.idle and source.time == NEVER for source in self._read())

    def _read(self) -> list[Source]:
        """Return the sources of the topics that are read."""
        return [source for number, source in self.sources.items() if topic_and_partition(number)[0] in self.topics]

    def is_idle(self, time: int) -> bool:
        """Tell whether no source brings anything, and none had brought anything as late as this time.

        Sources that were read one after the other may all be idle by the time that is judged now, though each of them
        had gone on at that time.
        """
        return all(source.idle and source.heard < time for source in self._read())

    def advance(self, next_deadline: Callable[[], int | None]) -> Iterator[tuple[int, list[S]]]:
        """Yield (time, slices that end then), ascending, up to `complete_to`.

        `next_deadline` gives the next time at which the caller has something to do (a window ends), or None.
        """
        limit = last = self.complete_to()
        if self._order and self._has_no_time():
            last = max(end for end, _, _ in self._order)
        while True:
            end = self._order[0][0] if self._order else None
            deadline = next_deadline()
            time = min((moment for moment in (end, deadline) if moment is not None), default=None)
            if time is None or time > last:
                break
            due = []
            while self._order and self._order[0][0] == time:
                due.append(heappop(self._order))
            self.mark = max(self.mark, min(time, limit))
            yield time, [self._slice(key) for key in due]
        self.mark = max(self.mark, limit)

    def overdue(self) -> list[S]:
        """Take out what came for slices that had come out, in the order in which it came."""
        records, self._overdue = self._overdue, []
        return [self.combine(each.model, each.start, each.end, [each]) for each in records]

    def _slice(self, key: tuple[int, int, str]) -> S:
        end, start, model = key
        held = self._waiting.pop(key)
        for waiting in held:
            if self._writes.get(waiting.blob) is not None:
                del self._writes[waiting.blob]  # came and went between two checkpoints
            else:
                self._writes[waiting.blob] = None
        return self.combine(model, start, end, [waiting.record for waiting in held])

    def checkpoint(self) -> tuple[Any, dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        writes = {
            name: held if held is None or isinstance(held, bytes) else held.encode()
            for name, held in self._writes.items()
        }
        self._writes = {}
        blobs = [[key, [waiting.blob for waiting in held]] for key, held in self._waiting.items()]
        counters = [self.counters.records, self.counters.repeated, self.counters.supplements]
        return [self.sources, self.expected, self.mark, counters, blobs, self._next_blob], writes

    def restore(self, described: Any, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        state = msgspec.convert(described, _Stored)
        self.sources, self.expected, self.mark, counters, waiting, self._next_blob = state
        self.counters = MergeCounters(*counters)
        for key, names in waiting:
            held = []
            for name in names:
                record = self.decode(blobs[name])
                if isinstance(record, Watermark) or (record.end, record.start, record.model) != key:
                    raise corrupt("judge", f"{name[:80]!r} is not the pane of model {key[2][:80]!r} that it should be")
                held.append(_Waiting(record, name))
            self._waiting[key] = held
        self._order = list(self._waiting)
        heapify(self._order)


class PaneMerger(Merger[PaneRecord, Slice]):
    """Puts the panes of all sources together."""

    def __init__(self, topics: tuple[int, ...] = (FIRST_TOPIC,)) -> None:
        super().__init__(decode_record, _combined, "pane", topics)


def _combined(model: str, start: int, end: int, records: Sequence[PaneRecord]) -> Slice:
    groups: dict[Group, list[GroupSketch]] = {}
    for record in records:
        for group, summary in record.summaries():
            groups.setdefault(group, []).append(summary)
    return Slice(model, start, end, {group: combine(groups[group]) for group in sorted(groups)})


_SOME = msgspec.Meta(min_length=1)
_Key = tuple[Time, Time, str]
_Stored = tuple[
    dict[Count, Source],
    dict[Count, Count],
    Mark,
    tuple[Count, Count, Count],
    list[tuple[_Key, Annotated[list[str], _SOME]]],
    Count,
]
