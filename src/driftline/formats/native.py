"""Driftline's own JSON events, from bytes to columns.

    values ──► strict struct per model (one C call a record) ──► columns per model
                  │ refused                        ▲
                  ▼                                │
               validate, one by one ──► shape learns, lenient struct
                  │
                  ▼
               reason for the dead letter

One msgspec decoder over the union of all models' struct types, told apart by the `model` field, serves topics with any
mix of models. Chunks are small enough for their objects to stay in the cache: decoding 500 records at a time costs half
of what 10,000 at a time do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice
from typing import Any, Union

import msgspec
import numpy as np

from driftline.columns.batch import NO_ID, ColumnBatch, ReadHeaders, no_headers
from driftline.columns.categories import CategoryKeys
from driftline.columns.model import ModelColumns, join
from driftline.columns.reasons import Reason
from driftline.columns.shape import BAD_NAME, TOO_MANY, Limits
from driftline.columns.times import BAD_TIME, NO_TIME, parse_times, unit_of
from driftline.formats.columns import to_columns, unwatchable
from driftline.formats.event_shape import EventShape, pack_shapes, unpack_shapes
from driftline.formats.shapes import Nobody, event_type
from driftline.formats.speculation.identities import identities
from driftline.formats.speculation.reader import LESSONS, SpeculativeReader
from driftline.formats.validate import validate
from driftline.sketches.keys import Ints

CHUNK = 500
REFUSED = 16
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)


class NativeDecoder:
    """Decodes batches of one partition. What it learned is part of the task's state."""

    def __init__(self, limits: Limits, tags_of: Callable[[str], tuple[str, ...]]) -> None:
        self.limits = limits
        self.shapes: dict[str, EventShape] = {}
        self.keys = CategoryKeys()
        self.learned = False
        """Whether a shape changed since the last checkpoint."""
        self._stored = 0
        """How many versions and segments the last checkpoint held."""
        self._tags_of = tags_of
        self._strict: dict[str, type[msgspec.Struct]] = {}
        self._lenient: dict[str, type[msgspec.Struct]] = {}
        self._generations: dict[str, int] = {}
        self._shape_of: dict[type, EventShape] = {}
        self._outdated: list[type] = []
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(Nobody).decode
        self._fast = SpeculativeReader(self.keys)

    def checkpoint(self) -> bytes | None:
        """Return the shapes of all models; None where none has changed since they were asked for last."""
        size = self._size
        if not self.learned and size == self._stored:
            return None
        self.learned, self._stored = False, size
        return pack_shapes(self.shapes.values())

    @property
    def _size(self) -> int:
        return sum(len(shape.versions) + len(shape.segments) for shape in self.shapes.values())

    def restore(self, blob: bytes) -> None:
        """Take up the shapes of a checkpoint."""
        self.shapes = unpack_shapes(blob, self.limits, self._tags_of)
        for model in self.shapes:
            self._retype(model)
        self._rebuild()
        self._stored = self._size

    def let_go(self, heard: Mapping[str, tuple[Set[int], Set[int]]]) -> None:
        """Let go of models, versions and segments that were not heard of: they are new if they come again.

        `heard` are codes of versions and segments, by model.
        """
        gone = [model for model in self.shapes if model not in heard]
        for model in gone:
            del self.shapes[model], self._generations[model]
            for row_type in (self._strict.pop(model), self._lenient.pop(model)):
                del self._shape_of[row_type]
            self._fast.forget(model)
        if gone:
            self.learned = True
            self._rebuild()
        for model, shape in self.shapes.items():
            if shape.free(*heard[model]):
                self.learned = True
                self._fast.forget_codes(model)

    @property
    def crowded(self) -> bool:
        """Whether it is time to `trim`."""
        return self.keys.crowded or self._fast.crowded

    def trim(self, wanted: Iterable[int]) -> None:
        """Forget all values seen but the names of these category keys: there may be millions."""
        self.keys.trim(wanted)
        self._fast.forget_tokens()  # or a value that comes again would find its key, and not give it a name again

    def decode(
        self, values: Sequence[bytes | None], timestamps: Sequence[int] = (), headers: ReadHeaders = no_headers
    ) -> ColumnBatch:
        """Decode records into columns, in any grouping with the same result. Each is one event."""
        del timestamps, headers
        size = len(values)
        times, ids = np.full(size, NO_TIME, dtype=np.int64), np.full(size, NO_ID, dtype=np.int64)
        batch = ColumnBatch(np.zeros(size, dtype=np.uint8), {}, times, ids, [], {})
        batch.models, left = self._fast.read(values, times, ids)
        if len(left):
            rest = values if len(left) == len(values) else [values[at] for at in left.tolist()]
            self._carefully(rest, left, batch)
        batch.settle()
        self._reject(batch)
        batch.models = join(batch.models)
        return batch

    def _carefully(self, values: Sequence[bytes | None], rows: Ints, batch: ColumnBatch) -> None:
        """Decode records one by one, which stand at these rows of the batch."""
        raw_times: list[object] = []
        raw_ids: list[object] = []
        waiting: dict[type, tuple[list[Any], list[int]]] = {}
        lessons: dict[int, EventShape] = {}
        row_of = rows.tolist()
        start = 0
        while start < len(values):
            events, refused = self._strictly(values[start : start + CHUNK])
            chunk = values[start : start + len(events)]
            for at in range(len(events)) if len(lessons) < LESSONS else ():
                if events[at] is not None:
                    lessons[start + at] = self._shape_of[type(events[at])]
            if refused:
                self._look_at(chunk, events, refused, row_of[start : start + len(events)], batch)
            raw_times.extend([event.event_time if event is not None else None for event in events])
            raw_ids.extend([event.event_id if event is not None else None for event in events])
            self._file(events, row_of[start : start + len(events)], waiting)
            full = [row_type for row_type, (held, _) in waiting.items() if len(held) >= CHUNK]
            batch.models.extend([self._columns(row_type, *waiting.pop(row_type), batch) for row_type in full])
            start += len(events)
        batch.models.extend(self._columns(row_type, *held, batch) for row_type, held in waiting.items())
        for row_type in self._outdated:
            del self._shape_of[row_type]
        self._outdated = []
        batch.times[rows] = parse_times(raw_times)
        batch.ids[rows] = identities(raw_ids)
        bad = np.flatnonzero((batch.times[rows] == BAD_TIME) & (batch.reasons[rows] == 0))
        for at in bad.tolist():
            unit = unit_of(raw_times[at])
            batch.reasons[row_of[at]] = Reason.EVENT_TIME_UNIT if unit else Reason.BAD_EVENT_TIME
        batch.details.update({row_of[at]: f"event_time is {str(raw_times[at])[:40]!r}" for at in bad.tolist()})
        lessons = {at: shape for at, shape in lessons.items() if batch.reasons[row_of[at]] == 0}
        self._fast.learn((shape, values[at] or b"") for at, shape in islice(lessons.items(), LESSONS))

    def _strictly(self, chunk: Sequence[bytes | None]) -> tuple[list[Any], list[int]]:
        """Decode a chunk, or its beginning up to REFUSED refusals: then it is time to learn from them."""
        events: list[Any] = []
        refused: list[int] = []
        records = iter(chunk)
        while len(events) < len(chunk) and len(refused) < REFUSED:
            try:
                events.extend(map(self._decode, records))
            except _REFUSALS:
                refused.append(len(events))
                events.append(None)
        return events, refused

    def _look_at(
        self,
        chunk: Sequence[bytes | None],
        events: list[Any],
        refused: list[int],
        rows: list[int],
        batch: ColumnBatch,
    ) -> None:
        """Validate refused records one by one, learn from the valid ones, and decode these leniently."""
        valid: list[tuple[int, Any]] = []
        for at in refused:
            reason, detail, event = validate(chunk[at], self.limits)
            if reason is Reason.ACCEPTED and event["model"] not in self.shapes:
                if len(self.shapes) >= self.limits.models:
                    reason, detail = Reason.TOO_MANY_MODELS, f"model is {event['model'][:40]!r}"
                    batch.beyond.append((rows[at], "models", event["model"]))
                else:
                    model = event["model"]
                    self.shapes[model] = EventShape(model, self.limits, self._tags_of(model))
            if reason is not Reason.ACCEPTED:
                batch.reasons[rows[at]] = reason
                if detail:
                    batch.details[rows[at]] = detail
                if "model" in event:
                    batch.beyond.append((rows[at], reason.label, event["model"]))
                continue
            beyond = self.shapes[event["model"]].learn(event)
            if beyond:
                batch.ignored[rows[at]] = beyond
                batch.beyond.append((rows[at], "fields", event["model"]))
            valid.append((at, event))
        retyped = [self._retype(model) for model in {event["model"]: None for _, event in valid}]
        if any(retyped):
            self.learned = True
            self._rebuild()
        for at, event in valid:
            events[at] = msgspec.convert(event, self._lenient[event["model"]])

    def _retype(self, model: str) -> bool:
        """Make the struct types of a model anew if its shape changed. Returns whether it did."""
        shape = self.shapes[model]
        if self._generations.get(model) == shape.generation:
            return False
        self._generations[model] = shape.generation
        if model in self._strict:
            self._outdated += (self._strict[model], self._lenient[model])
        self._strict[model] = event_type(shape.root, model, strict=True)
        self._lenient[model] = event_type(shape.root, model, strict=False)
        for row_type in (self._strict[model], self._lenient[model]):
            self._shape_of[row_type] = shape
        return True

    def _rebuild(self) -> None:
        # A Decoder takes Union[…] of a thousand types in 2 ms, and A | B | … in 50.
        union: Any = Union.__getitem__((Nobody, *self._strict.values()))
        self._decode = msgspec.json.Decoder(union).decode

    @staticmethod
    def _file(events: list[Any], rows: list[int], waiting: dict[type, tuple[list[Any], list[int]]]) -> None:
        """Sort a chunk's events by their type."""
        types = set(map(type, events))
        if len(types) == 1 and None not in events[:1]:
            held, places = waiting.setdefault(types.pop(), ([], []))
            held.extend(events)
            places.extend(rows)
            return
        for row, event in zip(rows, events, strict=True):
            if event is not None:
                held, places = waiting.setdefault(type(event), ([], []))
                held.append(event)
                places.append(row)

    def _columns(self, row_type: type, events: list[Any], rows: list[int], batch: ColumnBatch) -> ModelColumns:
        shape = self._shape_of[row_type]
        empty = set(unwatchable(shape, events))
        if empty:
            batch.reasons[[rows[at] for at in empty]] = Reason.NOTHING_TO_WATCH
            batch.beyond += [(rows[at], Reason.NOTHING_TO_WATCH.label, shape.model) for at in empty]
            events = [event for at, event in enumerate(events) if at not in empty]
            rows = [row for at, row in enumerate(rows) if at not in empty]
        return to_columns(shape, events, np.array(rows, dtype=np.int64), self.keys)

    @staticmethod
    def _reject(batch: ColumnBatch) -> None:
        """Reject events whose version or segment is not valid."""
        reasons = batch.reasons
        for columns in batch.models:
            for codes in (columns.versions, *columns.segments):
                if codes.size and codes.min() < 0:
                    reasons[columns.rows[codes == BAD_NAME]] = Reason.BAD_NAME
                    reasons[columns.rows[codes == TOO_MANY]] = Reason.TOO_MANY_VERSIONS
        batch.times[(reasons != 0) & (batch.times == NO_TIME)] = BAD_TIME
