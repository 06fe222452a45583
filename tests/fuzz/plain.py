"""The decoder once more, one record after the other: `validate`, learn, and walk through the event in plain Python.

Numbers are Python's own reading of their text, so a fast path's floats are compared with `float()` bit for bit.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from driftline.columns.batch import ColumnBatch, ReadHeaders, no_headers
from driftline.columns.categories import MISSING_NUMBER, NO_KEY, CategoryKeys
from driftline.columns.model import Beyond, ModelColumns
from driftline.columns.reasons import Reason
from driftline.columns.shape import BAD_NAME, OTHER, TOO_MANY, Limits
from driftline.columns.times import BAD_TIME, NO_TIME, parse_time, unit_of
from driftline.formats.event_shape import EventShape, pack_shapes, unpack_shapes
from driftline.formats.shapes import FieldKind, Node, kind_of
from driftline.formats.speculation.identities import identities
from driftline.formats.validate import validate
from driftline.sketches.group import ROLES, Oddity, SignalRole
from driftline.sketches.keys import Ints

Found: TypeAlias = tuple[int, SignalRole, Any]
"""Slot, role and value: a number, the text of a category, or an oddity."""


@dataclass(slots=True)
class _Rows:
    """Some records of one model."""

    rows: list[int] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    segments: list[list[int]] = field(default_factory=list)
    found: list[list[Found]] = field(default_factory=list)


class PlainDecoder:
    """The native format, one record after the other in plain Python."""

    def __init__(self, limits: Limits, tags_of: Callable[[str], tuple[str, ...]]) -> None:
        self.limits = limits
        self.shapes: dict[str, EventShape] = {}
        self.keys = CategoryKeys()
        self.learned = False
        self._tags_of = tags_of
        self._beyond: list[Beyond] = []

    def checkpoint(self) -> bytes | None:
        return pack_shapes(self.shapes.values())

    def restore(self, blob: bytes) -> None:
        self.shapes = unpack_shapes(blob, self.limits, self._tags_of)

    def let_go(self, heard: Mapping[str, tuple[Set[int], Set[int]]]) -> None:
        self.learned = True
        self.shapes = {model: shape for model, shape in self.shapes.items() if model in heard}
        for model, shape in self.shapes.items():
            shape.free(*heard[model])

    @property
    def crowded(self) -> bool:
        return self.keys.crowded

    def trim(self, wanted: Iterable[int]) -> None:
        self.keys.trim(wanted)

    def decode(
        self, values: Sequence[bytes | None], timestamps: Sequence[int] = (), headers: ReadHeaders = no_headers
    ) -> ColumnBatch:
        reasons = np.zeros(len(values), dtype=np.uint8)
        times = np.full(len(values), BAD_TIME, dtype=np.int64)
        ids: list[object] = [None] * len(values)
        details: dict[int, str] = {}
        ignored: dict[int, int] = {}
        self._beyond = []
        models: dict[str, _Rows] = defaultdict(_Rows)
        for row, value in enumerate(values):
            reason, detail, event, read = _looked_at(value, self.limits)
            if reason is Reason.ACCEPTED and event["model"] not in self.shapes and self._full:
                reason = Reason.TOO_MANY_MODELS
                self._beyond.append((row, "models", event["model"]))
            reasons[row] = reason
            if reason is not Reason.ACCEPTED:
                if detail:
                    details[row] = detail
                if "model" in event:
                    self._beyond.append((row, reason.label, event["model"]))
                continue
            ids[row] = event.get("event_id")
            beyond, times[row], reasons[row] = self._take(row, event, read, models[event["model"]])
            if beyond:
                ignored[row] = beyond
                self._beyond.append((row, "fields", event["model"]))
            if reasons[row] in (Reason.BAD_EVENT_TIME, Reason.EVENT_TIME_UNIT):
                details[row] = f"event_time is {str(event['event_time'])[:40]!r}"
        columns = [self._columns(self.shapes[model], found) for model, found in models.items()]
        return ColumnBatch(reasons, details, times, identities(ids), columns, ignored, beyond=sorted(self._beyond))

    @property
    def _full(self) -> bool:
        return len(self.shapes) >= self.limits.models

    def _take(self, row: int, event: Mapping[str, Any], read: Mapping[str, Any], rows: _Rows) -> tuple[int, int, int]:
        """Take in a valid event. Returns (ignored fields, time, reason)."""
        model = event["model"]
        if model not in self.shapes:
            self.shapes[model] = EventShape(model, self.limits, self._tags_of(model))
        shape = self.shapes[model]
        before = shape.generation
        beyond = shape.learn(event)
        self.learned |= shape.generation != before
        version = shape.version_codes[event.get("model_version")]
        held = event.get("segment") or {}
        values = [_as_float(held.get(tag)) for tag in shape.tags]
        segments = [known[value] for value, known in zip(values, shape.segment_codes, strict=True)]
        if version == TOO_MANY:
            name = shape.version_codes.name_of(event.get("model_version"))
            self._beyond.append((row, "versions", f"{model}/{name}"))
        for tag, known, value, code, other in zip(
            shape.tags, shape.segment_codes, values, segments, shape.other_codes, strict=True
        ):
            if code == other and value != OTHER:
                self._beyond.append((row, "segments", f"{model}[{tag}={known.name_of(value)}]"))
        rows.rows.append(row)
        rows.versions.append(version)
        rows.segments.append(segments)
        rows.found.append(list(_watched(shape, read)))
        time = parse_time(event.get("event_time"))
        if BAD_NAME in (version, *segments):
            reason = Reason.BAD_NAME
        elif version == TOO_MANY:
            reason = Reason.TOO_MANY_VERSIONS
        else:
            bad = Reason.EVENT_TIME_UNIT if unit_of(event.get("event_time")) else Reason.BAD_EVENT_TIME
            reason = bad if time == BAD_TIME else Reason.ACCEPTED
        return beyond, BAD_TIME if reason and time == NO_TIME else time, int(reason)

    def _columns(self, shape: EventShape, held: _Rows) -> ModelColumns:
        """Put rows into columns; a slot that one row fills twice has two of them."""
        size = len(held.rows)
        numbers: dict[tuple[int, int], list[float]] = {}
        categories: dict[tuple[int, int], list[int]] = {}
        oddities: list[tuple[int, int, int]] = []
        for at, found in enumerate(held.found):
            seen: dict[tuple[int, SignalRole], int] = defaultdict(int)
            for slot, role, value in found:
                times_seen = seen[slot, role]
                seen[slot, role] += 1
                if role is SignalRole.ODDITIES:
                    oddities.append((slot, value, at))
                elif role is SignalRole.NUMBERS:
                    numbers.setdefault((slot, times_seen), [MISSING_NUMBER] * size)[at] = value
                else:
                    cell = slot * ROLES + role
                    categories.setdefault((cell, times_seen), [NO_KEY] * size)[at] = self.keys[value]
        slots, keys, rows = np.array(oddities, dtype=np.int64).reshape(-1, 3).T
        return ModelColumns(
            shape,
            _ints(held.rows),
            _ints(held.versions),
            [_ints(codes) for codes in zip(*held.segments, strict=True)] if shape.tags else [],
            _ints([slot for slot, _ in numbers]),
            np.array(list(numbers.values()), dtype=np.float64).reshape(len(numbers), size),
            _ints([cell for cell, _ in categories]),
            np.array(list(categories.values()), dtype=np.int64).reshape(len(categories), size),
            slots,
            keys,
            rows,
            [],
        )


def _as_float(value: object) -> object:
    """Numbers in a segment are read as float64, as JSON's numbers are by most."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


Looked = tuple[Reason, str, Mapping[str, Any], Mapping[str, Any]]


@lru_cache(5_000)  # Summarise gets the records that were just decoded
def _looked_at(value: bytes | None, limits: Limits) -> Looked:
    """Return what `validate` says, and what Python's own parser makes of a record that it accepts."""
    reason, detail, event = validate(value, limits)
    read = json.loads(value.decode()) if value and reason is Reason.ACCEPTED else {}
    return reason, detail, event, read


def _watched(shape: EventShape, event: Mapping[str, Any]) -> Iterator[Found]:
    """Yield all that one event adds to its pane: what it holds of what the shape watches."""
    features = event.get("features")
    if features is not None:
        yield from _walk(shape, shape.root.children["features"], "features", features, shape._limits.depth)
    prediction = event.get("prediction")
    if isinstance(prediction, dict):
        yield from _walk(shape, shape.root.children["prediction"], "prediction", prediction, shape._limits.depth)
    elif prediction is not None:
        number = kind_of(prediction) is FieldKind.NUMBER
        yield from _leaf(shape, "prediction.value" if number else "prediction.label", prediction)
    if "latency_ms" in event:
        yield from _leaf(shape, "latency_ms", event["latency_ms"])
    tags = event.get("tags") or {}
    if "code_version" in tags:
        yield from _leaf(shape, "tags.code_version", tags["code_version"])


def _walk(shape: EventShape, node: Node, path: str, value: object, depth: int) -> Iterator[Found]:
    if isinstance(value, dict) and depth > 0:
        for name, below in value.items():
            if name in node.children:
                yield from _walk(shape, node.children[name], f"{path}.{name}", below, depth - 1)
    else:
        yield from _leaf(shape, path, value)


def _leaf(shape: EventShape, path: str, value: object) -> Iterator[Found]:
    slot = shape.signals.get(path)
    length = shape.length_of(path)
    if isinstance(value, list) and length is not None:
        yield length, SignalRole.NUMBERS, float(len(value))
    if slot is None:
        return
    if value is None:
        yield slot, SignalRole.ODDITIES, int(Oddity.NULL)
    elif isinstance(value, bool):
        yield slot, SignalRole.BOOLEANS, value
    elif isinstance(value, (int, float)):
        yield slot, SignalRole.NUMBERS, float(value)
    elif isinstance(value, str):
        yield slot, SignalRole.STRINGS, value
    elif isinstance(value, list):
        yield slot, SignalRole.ODDITIES, int(Oddity.LIST)
    else:
        yield slot, SignalRole.ODDITIES, int(Oddity.OBJECT)
