"""What a model's grammars are to the walk, as arrays, and what the columns that it fills mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.formats.event_shape import EventShape
from driftline.formats.shapes import BODY, FieldKind, Node
from driftline.formats.shapes import CODE as CODE_PATH
from driftline.formats.speculation.grammar import END, START, Grammar, GrammarPart, Path
from driftline.formats.speculation.walk import BOOLEANS, CODE, ID, NUMBERS, PASSED, STRINGS, TIME, VALUE
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import Ints

_SCALARS = FieldKind.NUMBER | FieldKind.STRING | FieldKind.NULL
_BITS = ((FieldKind.NUMBER, NUMBERS), (FieldKind.STRING, STRINGS), (FieldKind.BOOLEAN, BOOLEANS))


@dataclass(frozen=True, slots=True)
class Field:
    """What may stand at a path: its role, the kinds that were accepted there, and the slots of its signals."""

    role: int
    kinds: int
    number_slot: int = -1
    category_slot: int = -1
    code: int = -1
    """0 for the version, the tag's number from 1 for a segment."""


def field_at(shape: EventShape, path: Path) -> Field | None:
    """Return what a shape accepts at a path without looking at the record with care; None if nothing."""
    if path == ("event_id",):
        return Field(ID, _SCALARS)
    if path == ("event_time",):
        return Field(TIME, FieldKind.STRING | FieldKind.NUMBER)
    if path == ("model_version",):
        return Field(CODE, _SCALARS, code=0)
    node: Node | None = shape.root
    for name in path:
        node = node.children.get(name) if node is not None else None
    if node is None:
        return None
    kinds = node.kinds & ~node.beyond
    if path[0] == "segment" and len(path) == 2 and path[1] in shape.tags:
        return Field(CODE, kinds, code=1 + shape.tags.index(path[1]))
    if path[0] not in (*BODY, "latency_ms") and path != CODE_PATH:
        return Field(PASSED, kinds)
    if path == ("features",):
        return None
    number, category = ".".join(path), ".".join(path)
    if path == ("prediction",):  # null there is no prediction at all
        number, category, kinds = "prediction.value", "prediction.label", kinds & ~FieldKind.NULL
    return Field(VALUE, kinds, shape.signals.get(number, -1), shape.signals.get(category, -1))


def describes(shape: EventShape, parts: Sequence[GrammarPart]) -> bool:
    """Tell whether every value of a record is of a kind that its path accepts."""
    for part in parts:
        found = field_at(shape, part.path)
        if found is None or not found.kinds & part.kind:
            return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlan:
    """A model's grammars compiled; positions count from 0 within it. See `walk.Grammars` for the arrays."""

    numbers: int
    codes: int
    width: int
    """Columns up to `numbers` are numbers, up to `codes` categories, up to `width` versions and segments."""
    number_slots: Ints
    category_cells: Ints
    body: Ints
    """Columns of features and of the prediction."""
    code_columns: tuple[int, ...]
    """The column of the version and of each tag, -1 where no grammar has it."""
    starts: Ints
    fields: NDArray[np.int32]
    edges_from: Ints
    edges: Ints
    pieces: bytes


def plan(shape: EventShape, grammars: Sequence[Grammar]) -> FieldPlan:
    """Lay out the columns of a model and compile its grammars."""
    paths = list(dict.fromkeys(path for grammar in grammars for path in grammar.order))
    held = {path: found for path in paths if (found := field_at(shape, path)) is not None}
    numbers, strings, booleans = (
        [path for path, found in held.items() if found.role == VALUE and found.kinds & kind]
        for kind in (FieldKind.NUMBER, FieldKind.STRING, FieldKind.BOOLEAN)
    )
    # What has only been null has a column of numbers, as in the careful decoder.
    numbers += [path for path, found in held.items() if found.role == VALUE and found.kinds == FieldKind.NULL]
    codes = [path for path, found in held.items() if found.role == CODE]
    column = iter(range(len(numbers) + len(strings) + len(booleans) + len(codes)))
    number_of, string_of, boolean_of, code_of = (
        dict(zip(chosen, column, strict=False)) for chosen in (numbers, strings, booleans, codes)
    )
    rows = {
        path: (
            found.role,
            sum(bit for kind, bit in _BITS if found.kinds & kind),
            number_of.get(path, -1),
            code_of.get(path, string_of.get(path, -1)),
            boolean_of.get(path, -1),
            int(sum(path in columns for columns in (number_of, string_of, boolean_of)) > 1),
            int(bool(found.kinds & FieldKind.NULL)),
        )
        for path, found in held.items()
    }
    starts: list[int] = []
    fields: list[tuple[int, ...]] = []
    edges_from: list[int] = [0]
    edges: list[tuple[int, int, int]] = []
    pieces = bytearray()
    for grammar in grammars:
        others = [path for path in paths if path not in grammar.edges]  # left out at the end of every record
        states = [START, *grammar.order, *others, END]
        number = {path: len(fields) + at for at, path in enumerate(states)}
        starts.append(len(fields))
        for path in states:
            fields.append(rows.get(path, _NOTHING))
            for piece, following in grammar.edges.get(path, {}):
                edges.append((len(pieces), len(piece), number[following]))
                pieces += piece
            edges_from.append(len(edges))
    code_columns = {held[path].code: at for path, at in code_of.items()}
    return FieldPlan(
        numbers=len(numbers),
        codes=len(numbers) + len(strings) + len(booleans),
        width=len(numbers) + len(strings) + len(booleans) + len(codes),
        number_slots=np.array([held[path].number_slot for path in numbers], dtype=np.int64),
        category_cells=np.array(
            [held[path].category_slot * ROLES + SignalRole.STRINGS for path in strings]
            + [held[path].category_slot * ROLES + SignalRole.BOOLEANS for path in booleans],
            dtype=np.int64,
        ),
        body=np.flatnonzero([path[0] in BODY for path in (*numbers, *strings, *booleans)]),
        code_columns=tuple(code_columns.get(which, -1) for which in range(1 + len(shape.tags))),
        starts=np.array(starts, dtype=np.int64),
        fields=np.array(fields, dtype=np.int32),
        edges_from=np.array(edges_from, dtype=np.int64),
        edges=np.array(edges, dtype=np.int64),
        pieces=bytes(pieces),
    )


_NOTHING = (-1, 0, -1, -1, -1, 0, 0)
