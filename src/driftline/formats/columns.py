"""Rows of one model, decoded into its struct, turned into typed columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import astuple

from driftline.columns.categories import MISSING_NUMBER, NO_KEY, NULL_KEY, CategoryKeys
from driftline.columns.model import UNNAMED, ModelColumns, Oddities, nulls, oddity_columns
from driftline.columns.shape import plain_name
from driftline.columns.signals import CODE_VERSION
from driftline.formats.event_shape import EventShape
from driftline.formats.shapes import CODE, FieldKind, Node, kind_of
from driftline.sketches.group import ROLES, Oddity, SignalRole
from driftline.sketches.keys import Ints


@dataclass(slots=True)
class _Builder:
    shape: EventShape
    keys: CategoryKeys
    size: int
    slots: list[int] = field(default_factory=list)
    numbers: list[Sequence[Any]] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    categories: list[Ints] = field(default_factory=list)
    oddities: list[Oddities] = field(default_factory=list)

    def field(self, node: Node, values: Sequence[Any], path: str, at: Ints | None) -> None:
        """Take in one field's values; `at` are their rows, None for all."""
        kinds = node.kinds & _PRESENT
        if kinds == FieldKind.NUMBER:
            self._one_kind(FieldKind.NUMBER, path, values, at)
        elif kinds == FieldKind.STRING:
            self._one_kind(FieldKind.STRING, path, values, at)
        elif kinds == FieldKind.BOOLEAN:
            self._one_kind(FieldKind.BOOLEAN, path, values, at)
        elif kinds == FieldKind.OBJECT and len(set(map(type, values))) == 1 and isinstance(values[0], Struct):
            self.object(node, values, path, at)
        else:
            self.mixed(node, values, path, at)

    def add_numbers(self, slot: int, values: Sequence[Any], at: Ints | None) -> None:
        if at is not None:
            whole = np.full(self.size, MISSING_NUMBER)
            whole[at] = np.array(values, dtype=np.float64)
            values = whole  # type: ignore[assignment]
        self.slots.append(slot)
        self.numbers.append(values)

    def add_categories(self, slot: int, role: SignalRole, values: Sequence[Any], at: Ints | None) -> None:
        column = np.fromiter(map(self.keys.__getitem__, values), dtype=np.int64, count=len(values))
        absent = np.flatnonzero(column == NULL_KEY)
        if len(absent):
            places = absent if at is None else at[absent]
            self.oddities.append((np.full(len(places), slot), Oddity.NULL, places))
        if at is not None:
            whole: Ints = np.full(self.size, NO_KEY, dtype=np.int64)
            whole[at] = column
            column = whole
        self.cells.append(slot * ROLES + role)
        self.categories.append(column)

    def object(self, node: Node, rows: Sequence[Struct], path: str, at: Ints | None) -> None:
        """Take in the fields of objects. All rows are of one struct type, whose fields are the node's first ones."""
        if not rows:
            return
        columns = zip(*map(astuple, rows), strict=True)
        for (name, child), values in zip(node.children.items(), columns, strict=False):
            self.field(child, values, f"{path}.{name}", at)

    def mixed(self, node: Node, values: Sequence[Any], path: str, at: Ints | None) -> None:
        """Take in a field that has held several kinds, value by value."""
        found: dict[FieldKind, tuple[list[int], list[Any]]] = {}
        objects: dict[type, tuple[list[int], list[Any]]] = {}
        for row, value in enumerate(values):
            if value is UNSET or value == MISSING_NUMBER:
                continue
            if isinstance(value, Struct):
                places, held = objects.setdefault(type(value), ([], []))
            else:
                places, held = found.setdefault(_row_kind(value), ([], []))
            places.append(row)
            held.append(value)
        for kind, (places, held) in found.items():
            self._one_kind(kind, path, held, _rows(places, at))
        for places, held in objects.values():
            self.object(node, held, path, _rows(places, at))

    def _one_kind(self, kind: FieldKind, path: str, held: Sequence[Any], rows: Ints | None) -> None:
        signal = path
        if path == "prediction":
            if kind is FieldKind.NULL:
                return  # no prediction at all: nobody can know whether a value or a label is missing
            held = [UNSET if value is None else value for value in held]
            signal = "prediction.label"
            if kind is FieldKind.NUMBER:
                signal = "prediction.value"
                held = [MISSING_NUMBER if value is UNSET else value for value in held]
        slot = self.shape.signals.get(signal)
        if kind is FieldKind.LIST:
            length = self.shape.length_of(path)
            if length is not None:
                self.add_numbers(length, [float(len(value)) for value in held], rows)
        if slot is None:
            return
        if kind is FieldKind.NUMBER:
            self.add_numbers(slot, held, rows)
        elif kind is FieldKind.STRING:
            self.add_categories(slot, SignalRole.STRINGS, held, rows)
        elif kind is FieldKind.BOOLEAN:
            self.add_categories(slot, SignalRole.BOOLEANS, held, rows)
        elif rows is not None:
            self.oddities.append((np.full(len(rows), slot), _ODDITIES[kind], rows))

    def finish(self, rows: Ints, codes: list[Ints], unnamed: list[tuple[int, int, Any]]) -> ModelColumns:
        numbers = np.array(self.numbers, dtype=np.float64) if self.numbers else np.empty((0, self.size))
        slots = np.array(self.slots, dtype=np.int64)
        return ModelColumns(
            self.shape,
            rows,
            codes[0],
            codes[1:],
            slots,
            numbers,
            np.array(self.cells, dtype=np.int64),
            np.array(self.categories, dtype=np.int64) if self.categories else np.empty((0, self.size), dtype=np.int64),
            *oddity_columns([nulls(slots, np.isnan(numbers)), *self.oddities]),
            unnamed,
        )


_PRESENT = ~(FieldKind.NULL | FieldKind.ABSENT)
_ODDITIES = {FieldKind.NULL: Oddity.NULL, FieldKind.LIST: Oddity.LIST, FieldKind.OPAQUE: Oddity.OBJECT}


def _row_kind(value: object) -> FieldKind:
    kind = kind_of(value)
    return FieldKind.OPAQUE if kind is FieldKind.OBJECT else kind


def _rows(places: list[int], at: Ints | None) -> Ints:
    rows: Ints = np.array(places, dtype=np.int64)
    return rows if at is None else at[rows]


def to_columns(shape: EventShape, events: Sequence[Any], rows: Ints, keys: CategoryKeys) -> ModelColumns:
    """Turn decoded events of one model, all of one struct type, into columns."""
    build = _Builder(shape, keys, len(events))
    root = shape.root.children
    features = [event.features for event in events]
    predictions = [event.prediction for event in events]
    if "features" in root:
        if root["features"].kinds == FieldKind.OBJECT:
            build.object(root["features"], features, "features", None)
        else:
            held = [at for at, value in enumerate(features) if isinstance(value, Struct)]
            build.object(root["features"], [features[at] for at in held], "features", _rows(held, None))
    if "prediction" in root:
        node = root["prediction"]
        if node.kinds == FieldKind.OBJECT:
            build.object(node, predictions, "prediction", None)
        else:
            build.field(node, predictions, "prediction", None)
    if "latency_ms" in root:
        build.field(root["latency_ms"], [event.latency_ms for event in events], "latency_ms", None)
    if "tags" in root:
        _code_versions(build, root["tags"], [event.tags for event in events])
    named = [([event.model_version for event in events], shape.version_codes)]
    named.extend(zip(_segments(shape, events), shape.segment_codes, strict=True))
    codes: list[Ints] = []
    unnamed: list[tuple[int, int, Any]] = []
    for which, (values, known) in enumerate(named):
        found = np.fromiter(map(known.get, values, repeat(UNNAMED)), dtype=np.int64, count=len(values))
        codes.append(found)
        unnamed.extend((at, which, values[at]) for at in np.flatnonzero(found == UNNAMED).tolist())
    return build.finish(rows, codes, unnamed)


def _code_versions(build: _Builder, tags: Node, held: Sequence[Any]) -> None:
    """Take in the one tag that is watched."""
    at = list(tags.children).index(CODE[1]) if CODE[1] in tags.children else -1
    rows = [row for row, value in enumerate(held) if isinstance(value, Struct)]
    if rows and 0 <= at < len(held[rows[0]].__struct_fields__):
        values = [getattr(held[row], f"f{at}") for row in rows]
        build.field(tags.children[CODE[1]], values, CODE_VERSION, _rows(rows, None))


def _segments(shape: EventShape, events: Sequence[Any]) -> list[list[Any]]:
    """Return for each tag the value of each event, as text; None where there is none."""
    if not shape.tags:
        return []
    names = list(shape.root.children["segment"].children) if "segment" in shape.root.children else []
    found = []
    for tag in shape.tags:
        values: list[Any] = [None] * len(events)
        if tag in names:
            attribute = f"f{names.index(tag)}"
            values = [getattr(event.segment, attribute, None) for event in events]
            values = [value if value.__class__ is str else segment_text(value) for value in values]
        found.append(values)
    return found


def segment_text(value: Any) -> Any:
    """Return text, for True and 1.0 are one dictionary key; None where there is no value."""
    return None if value is None or value is UNSET or value == MISSING_NUMBER else plain_name(value)


def unwatchable(shape: EventShape, events: Sequence[Any]) -> list[int]:
    """Return the positions of events that have neither features nor a prediction (the strict type may allow both)."""
    if not shape.may_be_empty:
        return []
    return [at for at, event in enumerate(events) if _absent(event.features) and _absent(event.prediction)]


def _absent(value: object) -> bool:
    return value is None or value is UNSET or value == MISSING_NUMBER
