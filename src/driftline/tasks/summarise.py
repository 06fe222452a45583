"""Summarise: the events of one input partition, in offset order, to panes.

A pure function of (state, records): no clock, no configuration beyond pane lengths, segment tags and limits, and no
batch boundary shows in what comes out. Lateness is decided record by record, against the event time before it (see
`event_time`); panes leave in the order of their ends.

    time ──►   10:00        10:01        10:02
               │  pane sent  │  pane open │
    watermark ─────────────────▲ = event time - max_out_of_orderness
                 late ◄── an event here  │  counted ──►

When a partition falls idle, what is open leaves before its end, and the watermark stays: an event that comes later is
counted as ever, and a supplement follows. Judge is told how far the clock has come, and waits for this source no more
until it hears, with the next checkpoint, that records count again: their pane may be long in coming.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np

from driftline.codec import LAST, Count, Mark, corrupt_if_it_fails, pack, unpack
from driftline.columns.batch import NO_ID, ColumnBatch, ReadHeaders, no_headers
from driftline.columns.labels import LabelBatch
from driftline.columns.model import ModelColumns
from driftline.columns.reasons import EXPLANATIONS, Reason
from driftline.columns.shape import Limits
from driftline.columns.times import LATEST, NO_TIME, in_seconds, stamps_of
from driftline.formats.api import Format, MakeFormat
from driftline.formats.native import NativeDecoder
from driftline.panes.arrivals import NO_DELAY, NO_OWN_TIME, Arrivals, delays_of
from driftline.panes.census import with_census
from driftline.panes.groups import Naming
from driftline.panes.open import OpenPanes
from driftline.panes.outcomes import OutcomeRecord
from driftline.panes.records import PaneRecord, Watermark
from driftline.sketches.keys import Bools, Ints
from driftline.tasks.event_time import NEVER, EventTime
from driftline.tasks.labelling import LABELS, PREDICTIONS, STEP, Labelling, LabelSettings, is_of_labels
from driftline.tasks.stream_panes import STREAM, Fact, Named, StreamPanes

TASK_VERSION = 1
FAR = 2
"""Panes of the stream by which one event is ahead of all others that may have a wrong date."""
LOOK = 20_000
"""Records after each of which it is seen whether places are to be given back: so that batches do not show."""


@dataclass(frozen=True, slots=True)
class SummariseSettings:
    """All that the hot path knows of the configuration. Durations in milliseconds."""

    max_out_of_orderness: int
    max_ahead: int
    max_age: int | None
    limits: Limits
    pane_ms: Callable[[str], int]
    """Pane length of a model."""
    tags: Callable[[str], tuple[str, ...]]
    """Segment tags of a model."""
    stream_pane_ms: int = 60_000
    format: MakeFormat = NativeDecoder
    """How the records' bytes are read."""
    labels: LabelSettings | None = None
    """How labels are joined; None where no model awaits any."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that is not counted: its position in the batch, and why."""

    at: int
    reason: Reason
    detail: str


@dataclass(slots=True)
class Counters:
    """consumed = accepted + rejected, always: records. `events` are those in accepted ones. Part of the checkpoint."""

    consumed: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    without_time: int = 0
    beyond_limits: int = 0
    panes: int = 0
    events: int = 0


class Summarise:
    """The task of one input partition. See the module's head.

    Args:
        settings: what it knows of the configuration.
        source: number of the partition.
        sources: number of partitions of the input.
    """

    def __init__(self, settings: SummariseSettings, source: int, sources: int) -> None:
        self._settings = settings
        self._source = source
        self._sources = sources
        self._format: Format = settings.format(settings.limits, settings.tags)
        self._panes = OpenPanes()
        self._stream = StreamPanes(self._panes, settings.stream_pane_ms)
        self._event_time = EventTime()
        self._told = NEVER
        """How far Judge knows that this source has come."""
        self._idle = False
        self._woke = False
        """Whether records count again, though Judge was told that this source is idle."""
        self._outcomes_to: int | None = None
        """Where nothing comes in as labels, either: how far the clock has come."""
        self._resting_since = -1
        """By the clock, if nothing that counts has come since the partition was found idle; else -1."""
        self._flushes = 0
        """How often panes left before their end."""
        self._ended: list[PaneRecord] = []
        """Panes that were closed and not yet taken out."""
        self._gave_back = NEVER
        """The watermark when places were given back last."""
        self.labelling = (
            None
            if settings.labels is None
            else Labelling(settings.labels, settings.max_out_of_orderness, settings.limits)
        )
        self._unread: list[str] = []
        """Blobs of labels that an earlier configuration awaited."""
        self.idle: frozenset[str] = frozenset()
        """Which of PREDICTIONS and LABELS were read to their end and have brought nothing for long."""
        self.position = 0
        self.counters = Counters()

    def process(
        self,
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        position: int,
        headers: ReadHeaders = no_headers,
        *,
        stamped_by_log: bool = False,
    ) -> list[Rejection]:
        """Take in records in offset order. Returns those not counted, each with its reason.

        Args:
            values: of the records; None is a tombstone.
            timestamps: of the records, in epoch milliseconds; negative where there is none.
            position: the offset after the last one.
            headers: returns the records' headers, for a format that goes by them.
            stamped_by_log: whether the log wrote the timestamps when it appended the records; else producers did.
        """
        room = LOOK - self.counters.consumed % LOOK
        if len(values) > room:  # where places are given back must not depend on how records were batched
            take = partial(self.process, stamped_by_log=stamped_by_log)
            rejections = take(values[:room], timestamps[:room], position, lambda: headers()[:room])
            rest = take(values[room:], timestamps[room:], position, lambda: headers()[room:])
            return rejections + [replace(rejection, at=rejection.at + room) for rejection in rest]
        batch = self._format.decode(values, timestamps, headers)
        stamps = batch.of_events(stamps_of(timestamps))
        arrivals = self._time(batch, stamps)
        bounded = EventTime.bounded(batch.times, stamps) if stamped_by_log else batch.times
        moments, late = self._reject_late(batch, bounded)
        fine = batch.fine
        for columns in batch.models:
            self._count(columns, batch.times, fine, arrivals)
            self._count_late(columns, late, arrivals)
        if self.labelling is not None:
            self.labelling.predictions(batch.models, fine, batch.ids, batch.times, self._format.keys.names)
            self.labelling.settle(self.watermark, self.idle)
        read = np.where(moments == NEVER, NEVER, np.maximum(moments, self._told))
        self.counters.beyond_limits += self._stream.count(batch, read)
        self._idle, self._outcomes_to = False, None
        if not batch.reasons.all():
            self._woke |= self._resting_since >= 0
            self._resting_since = -1
        self.position = position
        if self._format.crowded:
            self._format.trim(self._panes.category_keys())
        rejections = self._tally(batch)
        if self.counters.consumed % LOOK == 0:
            self._give_back()
        return rejections

    def _give_back(self) -> None:
        """Let go of what did not come since the last time, `limits.keep_ms` of event time ago or more."""
        if self.watermark == NEVER or self.watermark < self._gave_back + self._settings.limits.keep_ms:
            return
        self._ended += self._close(self.watermark)
        heard = self._panes.take_heard(self.watermark)
        if self._gave_back > NEVER:
            self._format.let_go(heard)
        self._gave_back = self.watermark

    def label(
        self,
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        key_of: Callable[[int], bytes | None],
        *,
        stamped_by_log: bool = False,
    ) -> list[Rejection]:
        """Take in records of the labels' log in offset order. Returns those that are no labels.

        `key_of` returns the key of a record, by its position: it is asked for tombstones alone.
        """
        assert self.labelling is not None
        self._outcomes_to = None
        batch = self.labelling.labels(values, timestamps, key_of, stamped_by_log=stamped_by_log)
        self.labelling.settle(self.watermark, self.idle)
        return _rejections(batch)

    @property
    def ahead(self) -> str:
        """Which of PREDICTIONS and LABELS has come so much further in time that it had better wait; "" for none."""
        newest = self._event_time.newest
        if self.labelling is None or self.labelling.newest == newest:
            return ""
        ahead = self.labelling.newest - newest
        return LABELS if ahead > STEP else PREDICTIONS if ahead < -STEP else ""

    def _time(self, batch: ColumnBatch, stamps: Ints) -> Arrivals:
        """Give events without a time that of their record, and reject those too far from it. Returns how they came."""
        missing = np.flatnonzero(batch.times == NO_TIME)
        if len(missing):
            accepted = batch.fine[missing]
            self.counters.without_time += int(accepted.sum())
            batch.times[missing] = stamps[missing]
            batch.reject(missing[(stamps[missing] < 0) & accepted], Reason.BAD_EVENT_TIME)
        fine = batch.fine & (stamps >= 0)
        seconds = fine & in_seconds(batch.times, stamps)
        batch.reject(seconds, Reason.EVENT_TIME_UNIT)
        found = np.flatnonzero(seconds)
        records = (found if batch.records is None else batch.records[found]).tolist()
        batch.details.update(
            {
                at: f"event_time is {time}: seconds"
                for at, time in zip(records, batch.times[found].tolist(), strict=True)
            }
        )
        fine &= ~seconds
        batch.reject(fine & (batch.times > stamps + self._settings.max_ahead), Reason.EVENT_TIME_AHEAD)
        if self._settings.max_age is not None:
            batch.reject(fine & (batch.times < stamps - self._settings.max_age), Reason.EVENT_TIME_BEHIND)
        delays = delays_of(np.where(fine, batch.times, stamps), stamps)
        delays[stamps < 0] = NO_DELAY
        delays[missing] = NO_OWN_TIME
        # What has no timestamp is the row of a table, perhaps, of which nobody knows how it came.
        return Arrivals(delays, np.where(stamps < 0, NO_ID, batch.ids))

    def _reject_late(self, batch: ColumnBatch, moving: Ints) -> tuple[Ints, Ints]:
        """Reject events whose pane the watermark had passed before their record.

        `moving` is how far each event may move time on. Returns the event time after each record, and for each event
        the watermark that rejected it, else -1.
        """
        lengths = np.full(len(batch.times), 1, dtype=np.int64)
        for columns in batch.models:
            lengths[columns.rows] = self._settings.pane_ms(columns.shape.model)
        times, fine, begin = batch.times, batch.fine, self._event_time.newest
        before, after = self._event_time.advance(moving, fine, self._settings.max_out_of_orderness)
        passed = batch.before_records(before) - self._settings.max_out_of_orderness
        late = fine & (times - times % lengths + lengths <= passed)
        batch.reject(late, Reason.LATE)
        return batch.after_records(after, begin), np.where(late, passed, -1)

    @property
    def watermark(self) -> int:
        """Nothing that belongs to a pane which ends at or before this time is counted any more."""
        return NEVER if self.newest == NEVER else self.newest - self._settings.max_out_of_orderness

    @property
    def newest(self) -> int:
        """The greatest event time that is believed."""
        return self._event_time.newest

    @property
    def certain(self) -> int:
        """The greatest event time, but for that of one event far ahead of all others: a table ends before it."""
        held = self._event_time
        far = held.leap_top - held.newest > FAR * self._settings.stream_pane_ms
        return held.newest if held.votes == 0 or (held.votes == 1 and far) else held.leap_top

    def _count(self, columns: ModelColumns, times: Ints, fine: Bools, arrivals: Arrivals) -> None:
        chosen = fine[columns.rows]
        rows = None if chosen.all() else np.flatnonzero(chosen)
        places = columns.rows if rows is None else columns.rows[rows]
        if len(places):
            pane_ms = self._settings.pane_ms(columns.shape.model)
            self._panes.add(columns, rows, times[places], arrivals.at(places), pane_ms)
            self.counters.events += len(places)

    def _count_late(self, columns: ModelColumns, late: Ints, arrivals: Arrivals) -> None:
        """Count how late events came that are rejected for it, in the pane that the watermark is in: it is open yet.

        So a model's share of late events has those in it that came too late to be counted.
        """
        watermarks, delays = late[columns.rows], arrivals.delays[columns.rows]
        chosen = np.flatnonzero((watermarks >= 0) & (delays >= 0) & (columns.versions >= 0))
        if len(chosen):
            length = self._settings.pane_ms(columns.shape.model)
            panes = watermarks[chosen] // length
            self._panes.count_delays(columns.shape, panes, columns.versions[chosen], delays[chosen], length)

    def _tally(self, batch: ColumnBatch) -> list[Rejection]:
        counters, rejections = self.counters, _rejections(batch)
        for rejection in rejections:
            counters.rejected[rejection.reason.label] = counters.rejected.get(rejection.reason.label, 0) + 1
        counters.consumed += len(batch.reasons)
        counters.accepted += len(batch.reasons) - len(rejections)
        return rejections

    def rest(self, now: int, idle_ms: int) -> None:
        """Send what is open: the partition was read to its end, and nothing that counts has come for so long.

        Event time may have gone on as the clock did since the last record that counted, not further: that is what Judge
        is told. If none ever counted, the clock only says when the rejected ones were read: Judge hears of no time.
        `now` is the time in epoch milliseconds, by one clock for all.
        """
        self._believe(now)
        if self.newest == NEVER:
            self._stream.begin(now)
        if self._resting_since < 0:
            self._resting_since = now - idle_ms
        gone = now - self._resting_since
        self._flush(NEVER if self.watermark == NEVER else min(self.watermark + max(gone, 0), LATEST))
        if self.labelling is not None:
            self.labelling.settle(self.watermark, self.idle)
            self._outcomes_to = self._told if LABELS in self.idle else None

    def end(self, now: int = LATEST) -> None:
        """Send what is open: the input ends here, and Judge is told that its panes are over, if the clock agrees.

        `now` is the time (epoch ms). A table, to which nothing can be added, ends without a clock.
        """
        self._believe(now)
        allowed = now if now == LATEST else now - self._settings.max_out_of_orderness
        self._flush(min(max(self._panes.ends, default=NEVER), allowed))
        if self.labelling is not None:
            self._outcomes_to = min(max(self._told, self.labelling.open_to), allowed)

    def _believe(self, now: int) -> None:
        """Take the clock's word for a leap, and count what came before any time was known."""
        self._event_time.believe(now)
        if self._event_time.newest > NEVER:
            self._stream.begin(self._event_time.newest)

    def _flush(self, told: int) -> None:
        self._told, self._idle = max(self._told, told), True

    def emit(self) -> list[PaneRecord | OutcomeRecord | Watermark]:
        """Take out what is to be sent: panes that ended, or all if it is idle, then how far this source has come."""
        records: list[PaneRecord | OutcomeRecord | Watermark] = [*self._ended]
        records += self._close(LAST if self._idle else self.watermark)
        self._ended = []
        told = max(self._told, self.watermark)
        if told > self._told or self._idle or self._woke:
            records.append(Watermark(self._source, self._sources, told, self._idle, self.position, self.watermark))
            self._told = told
            self._idle = self._woke = False
        if self.labelling is not None:
            records += self.labelling.emit(self._source, self._sources, self.position, self._outcomes_to)
            self._outcomes_to = None
        return records

    def _close(self, until: int) -> list[PaneRecord]:
        """Take out the panes that end until then, and say of each slice of time which models they are about."""
        if not any(end <= until for end in self._panes.ends):
            return []
        names = {**self._format.keys.names, **self._stream.names}
        panes = self._panes.close(until, self._naming, names, (self._source, self._sources, self._flushes))
        self.counters.panes += len(panes)
        self._flushes += self._idle
        self._stream.close(until)
        return list(with_census(panes))

    def _naming(self, model: str) -> Naming:
        if model == STREAM:
            return self._stream.naming
        shape = self._format.shapes[model]
        return Naming(list(shape.signals), shape.versions, shape.segments, shape.tags)

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete). Call `emit` first."""
        panes, writes = self._panes.checkpoint({**self._format.keys.names, **self._stream.names})
        learned = self._format.checkpoint()
        if learned is not None:
            writes["shapes"] = learned
        counters = [getattr(self.counters, name) for name in Counters.__slots__]
        flushed = [self._flushes, self._resting_since]
        before, named = self._stream.stored()
        state = [self._event_time, self._told, flushed, self.position, before, counters, panes]
        state += [self._gave_back, named]
        writes["task"] = pack("summarise", TASK_VERSION, state, {})
        if self.labelling is not None:
            writes.update(self.labelling.checkpoint())
        writes.update(dict.fromkeys(self._unread))
        self._unread = []
        return writes

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`."""
        if not blobs:
            return
        with corrupt_if_it_fails(f"summarise {self._source}"):
            state = msgspec.convert(unpack(blobs["task"], "summarise", (TASK_VERSION,)).value, _Stored)
            self._event_time, self._told, flushed, self.position, before, counters, panes, *given = state
            self._flushes, self._resting_since = flushed
            self._gave_back, named = given
            self._stream.restore(before, named)
            self.counters = Counters(*counters)
            if "shapes" in blobs:
                self._format.restore(blobs["shapes"])
            held = self._panes.restore(panes, blobs, self._format.shapes, self._naming)
            self._format.keys.names.update(held)
            if self.labelling is not None:
                self.labelling.restore(blobs)
            else:
                self._unread = [name for name in blobs if is_of_labels(name)]


_Counters = tuple[Count, Count, dict[str, Count], Count, Count, Count, Count]
_Stored = tuple[EventTime, Mark, tuple[Count, Mark], Count, list[Fact], _Counters, Any, Mark, Named]


def _rejections(batch: ColumnBatch | LabelBatch) -> list[Rejection]:
    """Return the records of a batch that are not counted."""
    return [
        Rejection(at, reason, batch.details.get(at) or EXPLANATIONS[reason])
        for at in np.flatnonzero(batch.reasons).tolist()
        for reason in [Reason(int(batch.reasons[at]))]
    ]
