"""Rows of one model, turned into typed columns.

A column belongs to a signal's *cell* (its slot and role, see `sketches.summary`). Values that a cell does not hold are
marked in place: NaN for a null and +inf for a missing number, a negative key for a category that is not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import astuple
from numpy.typing import NDArray

from driftline.formats.learning import Shape, plain_name
from driftline.formats.shapes import CODE, MISSING_NUMBER, Kind, Node, kind_of
from driftline.sketches.keys import Floats, Ints, category_key
from driftline.sketches.summary import CODE_VERSION, ROLES, Oddity, Role

NULL_KEY = -1
NO_KEY = -2
UNNAMED = -9
"""Stands for the code of a version or segment that has none yet."""


class CategoryKeys(dict[Any, int]):
    """Keys of categories, computed once per distinct value, and the categories' names by key."""

    LIMIT = 100_000
    """Distinct values remembered (some 30 MB). Above it the memory is emptied between batches, and filled again."""
    LONGEST = 128
    """Characters of a value that is remembered; the key of a longer one is computed anew each time."""
    NAME_LENGTH = 80
    """Characters of a category's name that are kept for people. Its key is made of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self._seed()

    def _seed(self) -> None:
        self[None] = NULL_KEY
        self[UNSET] = NO_KEY
        self[MISSING_NUMBER] = NO_KEY

    def __missing__(self, value: str | bool) -> int:
        text = value if isinstance(value, str) else "true" if value else "false"
        key = category_key(text)
        if len(text) <= self.LONGEST:
            self[value] = key
        if key not in self.names:
            self.names[key] = text if len(text) <= self.NAME_LENGTH else text[: self.NAME_LENGTH - 1] + "…"
        return key

    @property
    def crowded(self) -> bool:
        """Whether it is time to `trim`."""
        return len(self) > self.LIMIT or len(self.names) > self.LIMIT

    def trim(self, wanted: Iterable[int]) -> None:
        """Forget everything but the names of the wanted keys."""
        self.clear()
        self._seed()
        self.names = {key: self.names[key] for key in wanted if key in self.names}


Layout = tuple[int, bytes, bytes]


@dataclass(slots=True, eq=False)
class ModelColumns:
    """Some rows of one model, as columns. `rows` are their positions in the batch, ascending."""

    shape: Shape
    rows: Ints
    versions: Ints
    """Codes in `shape.versions`; negative where the version is refused."""
    segments: list[Ints]
    """For each of `shape.tags` the codes in `shape.segments`; negative where the value is refused."""
    number_slots: Ints
    numbers: Floats
    """Shape (number columns, rows)."""
    category_cells: Ints
    """For each category column its cell, `slot * ROLES + role`."""
    categories: Ints
    """Shape (category columns, rows)."""
    oddity_slots: Ints
    oddity_keys: Ints
    oddity_rows: Ints
    """Three parallel arrays: what was neither number, string nor boolean. Rows are positions in `rows`."""
    unnamed: list[tuple[int, int, Any]]
    """(position in `rows`, 0 for the version or the tag's number from 1, value) of values that had no code yet."""

    @property
    def layout(self) -> Layout:
        """What pieces must have in common to be joined: the model and the columns."""
        return id(self.shape), self.number_slots.tobytes(), self.category_cells.tobytes()


def settle(pieces: Iterable[ModelColumns]) -> None:
    """Give codes to versions and segments that had none, in the order of the batch: a limit may be met on the way."""
    waiting = [(int(piece.rows[at]), which, at, piece, value) for piece in pieces for at, which, value in piece.unnamed]
    for _, which, at, piece, value in sorted(waiting, key=itemgetter(0, 1)):
        shape = piece.shape
        if which:
            piece.segments[which - 1][at] = shape.segment_codes[which - 1][value]
        else:
            piece.versions[at] = shape.version_codes[value]


def join(pieces: Sequence[ModelColumns]) -> list[ModelColumns]:
    """Join pieces of one model that have the same columns, so that what follows runs once a batch, not once a chunk."""
    alike: dict[Layout, list[ModelColumns]] = {}
    for piece in pieces:
        alike.setdefault(piece.layout, []).append(piece)
    return [same[0] if len(same) == 1 else _joined(same) for same in alike.values()]


def _joined(pieces: Sequence[ModelColumns]) -> ModelColumns:
    first = pieces[0]
    starts = np.cumsum([0, *(len(piece.rows) for piece in pieces)])[:-1]
    return ModelColumns(
        first.shape,
        np.concatenate([piece.rows for piece in pieces]),
        np.concatenate([piece.versions for piece in pieces]),
        [np.concatenate(codes) for codes in zip(*(piece.segments for piece in pieces), strict=True)],
        first.number_slots,
        np.concatenate([piece.numbers for piece in pieces], axis=1),
        first.category_cells,
        np.concatenate([piece.categories for piece in pieces], axis=1),
        np.concatenate([piece.oddity_slots for piece in pieces]),
        np.concatenate([piece.oddity_keys for piece in pieces]),
        np.concatenate([piece.oddity_rows + start for piece, start in zip(pieces, starts, strict=True)]),
        [],
    )


Oddities = tuple[Ints, Oddity, Ints]
"""Slots, an oddity, and the rows in which those slots held it."""


def nulls(slots: Ints, held: NDArray[np.bool_]) -> Oddities:
    """Return where nulls were, given as a mask of shape (slots, rows)."""
    column, row = np.nonzero(held)
    return slots[column], Oddity.NULL, row


def oddity_columns(found: Sequence[Oddities]) -> tuple[Ints, Ints, Ints]:
    """Return slots, keys and rows, one after the other."""
    kinds = np.repeat([int(oddity) for _, oddity, _ in found], [len(rows) for _, _, rows in found])
    return np.concatenate([slots for slots, _, _ in found]), kinds, np.concatenate([rows for _, _, rows in found])


@dataclass(slots=True)
class _Builder:
    shape: Shape
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
        if kinds == Kind.NUMBER:
            self._one_kind(Kind.NUMBER, path, values, at)
        elif kinds == Kind.STRING:
            self._one_kind(Kind.STRING, path, values, at)
        elif kinds == Kind.BOOLEAN:
            self._one_kind(Kind.BOOLEAN, path, values, at)
        elif kinds == Kind.OBJECT and len(set(map(type, values))) == 1 and isinstance(values[0], Struct):
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

    def add_categories(self, slot: int, role: Role, values: Sequence[Any], at: Ints | None) -> None:
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
        found: dict[Kind, tuple[list[int], list[Any]]] = {}
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

    def _one_kind(self, kind: Kind, path: str, held: Sequence[Any], rows: Ints | None) -> None:
        signal = path
        if path == "prediction":
            if kind is Kind.NULL:
                return  # no prediction at all: nobody can know whether a value or a label is missing
            held = [UNSET if value is None else value for value in held]
            signal = "prediction.label"
            if kind is Kind.NUMBER:
                signal = "prediction.value"
                held = [MISSING_NUMBER if value is UNSET else value for value in held]
        slot = self.shape.signals.get(signal)
        if kind is Kind.LIST:
            length = self.shape.length_of(path)
            if length is not None:
                self.add_numbers(length, [float(len(value)) for value in held], rows)
        if slot is None:
            return
        if kind is Kind.NUMBER:
            self.add_numbers(slot, held, rows)
        elif kind is Kind.STRING:
            self.add_categories(slot, Role.STRINGS, held, rows)
        elif kind is Kind.BOOLEAN:
            self.add_categories(slot, Role.BOOLEANS, held, rows)
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


_PRESENT = ~(Kind.NULL | Kind.ABSENT)
_ODDITIES = {Kind.NULL: Oddity.NULL, Kind.LIST: Oddity.LIST, Kind.OPAQUE: Oddity.OBJECT}


def _row_kind(value: object) -> Kind:
    kind = kind_of(value)
    return Kind.OPAQUE if kind is Kind.OBJECT else kind


def _rows(places: list[int], at: Ints | None) -> Ints:
    rows: Ints = np.array(places, dtype=np.int64)
    return rows if at is None else at[rows]


def to_columns(shape: Shape, events: Sequence[Any], rows: Ints, keys: CategoryKeys) -> ModelColumns:
    """Turn decoded events of one model, all of one struct type, into columns."""
    build = _Builder(shape, keys, len(events))
    root = shape.root.children
    features = [event.features for event in events]
    predictions = [event.prediction for event in events]
    if "features" in root:
        if root["features"].kinds == Kind.OBJECT:
            build.object(root["features"], features, "features", None)
        else:
            held = [at for at, value in enumerate(features) if isinstance(value, Struct)]
            build.object(root["features"], [features[at] for at in held], "features", _rows(held, None))
    if "prediction" in root:
        node = root["prediction"]
        if node.kinds == Kind.OBJECT:
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


def _segments(shape: Shape, events: Sequence[Any]) -> list[list[Any]]:
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


def unwatchable(shape: Shape, events: Sequence[Any]) -> list[int]:
    """Return the positions of events that have neither features nor a prediction (the strict type may allow both)."""
    if not shape.may_be_empty:
        return []
    return [at for at, event in enumerate(events) if _absent(event.features) and _absent(event.prediction)]


def _absent(value: object) -> bool:
    return value is None or value is UNSET or value == MISSING_NUMBER
