"""Label events, from bytes to columns.

    {"event_id": "p-1", "model": "churn", "label": "yes", "label_time": "2026-09-10T00:00:00Z", "revision": 2,
     "weight": 1.0, "value": -120.0, "kind": "chargeback"}

`event_id`, `model` and `label` are required. A label of null withdraws what was said; so does a record without a value
(a tombstone), whose key is the id, for all models. One strict decoder reads what is as it should be; the rest is looked
at once, in plain Python, and that alone decides what is valid.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec.structs import astuple

from driftline.columns.batch import NO_ID
from driftline.columns.categories import CategoryKeys
from driftline.columns.labels import (
    CATEGORY,
    EVERY_MODEL,
    NO_MODEL,
    NOTHING,
    NUMBER,
    OUTRANKS,
    UNAWAITED,
    LabelBatch,
    nothing_said,
)
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits, usable_name
from driftline.columns.times import BAD_TIME, NO_TIME, in_seconds, parse_times
from driftline.events import A_WEIGHT, MAX_WEIGHT, MIN_WEIGHT
from driftline.formats.speculation.identities import identities
from driftline.formats.validate import decode_object
from driftline.sketches.keys import Ints

CHUNK = 500
_BAD_NAME, _TOO_MANY = -4, -5
MAX_KINDS = 100
OTHER_KINDS = "(more)"
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)

_Revision = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Weight = Annotated[float, msgspec.Meta(ge=MIN_WEIGHT, le=MAX_WEIGHT)]


class _Label(msgspec.Struct, gc=False):
    """What is accepted; the order is that of `_columns`."""

    event_id: str | int | float
    model: str
    label: str | float | bool | None
    label_time: str | float | None = None
    revision: _Revision | None = None
    weight: _Weight | None = None
    value: float | None = None
    kind: str | None = None


class LabelReader:
    """Reads batches of one partition. `models` and `kinds` are part of the task's state.

    Args:
        limits: on names and the number of models.
        awaits: tells whether a model awaits labels.
    """

    def __init__(self, limits: Limits, awaits: Callable[[str], bool]) -> None:
        self._limits = limits
        self._awaits = awaits
        self.models: dict[str, int] = {}
        self.kinds: dict[str, int] = {"": 0}
        self.keys = CategoryKeys()
        self._decode: Callable[[Any], _Label] = msgspec.json.Decoder(_Label).decode

    def read(self, values: Sequence[bytes | None], stamps: Ints, key_of: Callable[[int], bytes | None]) -> LabelBatch:
        """Decode records. `key_of` returns the key of one of them: it is asked for tombstones alone."""
        if self.keys.crowded:  # not later: what a batch names must be known when it is counted
            self.keys.trim([])
        size = len(values)
        batch = LabelBatch(
            *nothing_said(size).columns,
            reasons=np.zeros(size, dtype=np.uint8),
            details={},
            models=np.full(size, NO_MODEL),
            ids=np.full(size, NO_ID),
            times=np.full(size, NO_TIME),
        )
        for start in range(0, size, CHUNK):
            self._chunk(values[start : start + CHUNK], start, batch, key_of)
        bad = batch.times == BAD_TIME
        bad |= (batch.times != NO_TIME) & in_seconds(batch.times, stamps)
        bad |= (batch.times == NO_TIME) & (stamps < 0)
        batch.reasons[bad & (batch.reasons == 0)] = Reason.BAD_LABEL_TIME
        batch.reasons[batch.models == _BAD_NAME] = Reason.BAD_NAME
        batch.reasons[batch.models == _TOO_MANY] = Reason.TOO_MANY_MODELS
        batch.models[batch.reasons != 0] = NO_MODEL
        return batch

    def _chunk(
        self, values: Sequence[bytes | None], start: int, batch: LabelBatch, key_of: Callable[[int], bytes | None]
    ) -> None:
        try:
            str(b"\n".join(values), "utf-8")  # type: ignore[arg-type]  # the decoder passes over names that it does not know
            events = list(map(self._decode, values))
            rows = list(range(start, start + len(values)))
        except _REFUSALS:
            events, rows = self._one_by_one(values, start, batch, key_of)
        if events:
            self._columns(events, np.array(rows, dtype=np.int64), batch)

    def _one_by_one(
        self, values: Sequence[bytes | None], start: int, batch: LabelBatch, key_of: Callable[[int], bytes | None]
    ) -> tuple[list[_Label], list[int]]:
        events, rows = [], []
        for row, value in enumerate(values, start):
            if value is None and (key := key_of(row)):
                try:
                    batch.ids[row] = identities([key.decode()])[0]
                    batch.models[row], batch.revisions[row] = EVERY_MODEL, OUTRANKS
                except UnicodeDecodeError:
                    batch.reasons[row] = Reason.NOT_UTF8
                    batch.details[row] = "the key of a record without a value is not UTF-8"
                continue
            try:
                str(value, "utf-8")  # type: ignore[arg-type]
                events.append(self._decode(value))
                rows.append(row)
            except _REFUSALS as error:
                batch.reasons[row], batch.details[row] = fault_of(value, error)
        return events, rows

    def _columns(self, events: list[_Label], at: Ints, batch: LabelBatch) -> None:
        ids, models, labels, times, revisions, weights, values, kinds = zip(*map(astuple, events), strict=True)
        codes = {name: self._code(name) for name in dict.fromkeys(models)}
        batch.models[at] = list(map(codes.__getitem__, models))
        batch.ids[at] = identities(ids)
        self._truths(labels, at, batch)
        if any(time is not None for time in times):
            batch.times[at] = parse_times(times)
        if any(revisions):
            batch.revisions[at] = [revision or 0 for revision in revisions]
        if any(weight is not None for weight in weights):
            batch.weights[at] = [1.0 if weight is None else weight for weight in weights]
        if any(value is not None for value in values):
            batch.values[at] = [np.nan if value is None else value for value in values]
        if any(kinds):
            batch.kinds[at] = [self._kind(kind or "") for kind in kinds]

    def _truths(self, labels: Sequence[Any], at: Ints, batch: LabelBatch) -> None:
        held = set(map(type, labels))
        if held == {float}:
            batch.forms[at], batch.truths[at] = NUMBER, labels
        elif held <= {str, bool}:
            batch.forms[at], batch.truths[at] = CATEGORY, list(map(self.keys.__getitem__, labels))
        else:
            numbers = np.array([type(label) is float for label in labels])
            said = np.array([label is not None for label in labels])
            batch.forms[at] = np.where(numbers, NUMBER, np.where(said, CATEGORY, NOTHING))
            batch.truths[at] = [
                label if type(label) is float else 0.0 if label is None else self.keys[label] for label in labels
            ]

    def _code(self, name: str) -> int:
        code = self.models.get(name)
        if code is not None:
            return code
        if not usable_name(name, self._limits):
            return _BAD_NAME
        if not self._awaits(name):
            return UNAWAITED
        if len(self.models) >= self._limits.models:
            return _TOO_MANY
        return self.models.setdefault(name, len(self.models))

    def _kind(self, name: str) -> int:
        code = self.kinds.get(name)
        if code is None:
            name = name if len(self.kinds) < MAX_KINDS and usable_name(name, self._limits) else OTHER_KINDS
            code = self.kinds.setdefault(name, len(self.kinds))
        return code


def fault_of(value: bytes | None, error: Exception) -> tuple[Reason, str]:
    """Return why a record is no label, and a detail for people.

    >>> fault_of(b'{"event_id": "p-1", "model": "churn"}', ValueError("no label"))
    (<Reason.MISSING_LABEL: 41>, 'no label')
    """
    reason, detail, event = decode_object(value)
    if reason is not Reason.ACCEPTED:
        return reason, detail
    if event.get("model") is None:
        return Reason.MISSING_MODEL, str(error)
    if event.get("event_id") is None:
        return Reason.MISSING_EVENT_ID, str(error)
    weight = event.get("weight")
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if weight is not None and is_number and "label" in event and not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        return Reason.WRONG_TYPE, f"weight is {weight:g}: write {A_WEIGHT}"
    return (Reason.WRONG_TYPE if "label" in event else Reason.MISSING_LABEL), str(error)
