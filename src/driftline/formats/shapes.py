"""What a model's events look like, learned from the events themselves, as msgspec types.

A shape is a tree. Its leaves know which kinds of value they have held; from them a *strict* struct type is built that
decodes such events at full speed and refuses everything else: an unknown field, a field of a new kind (null is one), an
event without features or prediction where there always were. A refused event is looked at once, in plain Python
(`validate`), and either is a dead letter or teaches the shape, after which the next one like it is fast. So topics with
changing schemas stay on the fast path, and nothing is ever dropped silently.

The strict type accepts exactly the valid events that teach nothing and go over no limit. What is learned and counted
therefore depends on the events' order alone, not on how they were batched.

What a shape *watches* is decided in log order and is part of the task's state: the first `limits.signals` paths.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from driftline.columns.categories import MISSING_NUMBER


class FieldKind(IntEnum):
    """Kinds of value that a field has held, as bits of an int (an IntFlag's own arithmetic costs a microsecond)."""

    NUMBER = 1
    STRING = 2
    BOOLEAN = 4
    LIST = 8
    OBJECT = 16
    OPAQUE = 32  # an object below the depth that is watched
    NULL = 64
    ABSENT = 128  # was not there (recorded for the envelope's fields only)


def kind_of(value: object) -> FieldKind:
    """Return the kind of a decoded JSON value.

    >>> kind_of(True), kind_of([1])
    (<FieldKind.BOOLEAN: 4>, <FieldKind.LIST: 8>)
    """
    if value is None:
        return FieldKind.NULL
    if isinstance(value, bool):
        return FieldKind.BOOLEAN
    if isinstance(value, (int, float)):
        return FieldKind.NUMBER
    if isinstance(value, str):
        return FieldKind.STRING
    return FieldKind.LIST if isinstance(value, list) else FieldKind.OBJECT


@dataclass(slots=True)
class Node:
    """One field: the kinds that it has held and, where it held objects, their fields. Fields are only ever added."""

    kinds: int = 0
    beyond: int = 0
    """Those of `kinds` that are not watched because of a limit: every event that holds one is looked at and counted."""
    children: dict[str, "Node"] = field(default_factory=dict)


Row = type[msgspec.Struct]


def field_type(node: Node, *, strict: bool) -> tuple[Any, Any]:
    """Return (type, default) of a field that has held these kinds; it may always be missing.

    A field that has only been null may hold numbers next: its rows are then read as the numbers' are.
    """
    kinds = node.kinds & ~(FieldKind.NULL | FieldKind.ABSENT)
    if kinds == FieldKind.NUMBER and not node.beyond & FieldKind.NUMBER:
        return present_type(node, strict=strict), MISSING_NUMBER
    return UnsetType | present_type(node, strict=strict), UNSET if kinds else MISSING_NUMBER


def present_type(node: Node, *, strict: bool) -> Any:
    """Return the type of a field that is there.

    A strict type never contains Any: what it accepts was validated to the last byte.
    """
    kinds = node.kinds & ~node.beyond if strict else node.kinds
    union: Any = (
        None if kinds & FieldKind.NULL or not strict else UnsetType
    )  # JSON writes no UNSET: it stands for nothing
    if kinds & FieldKind.NUMBER:
        union = float | union
    if kinds & FieldKind.STRING:
        union = str | union
    if kinds & FieldKind.BOOLEAN:
        union = bool | union
    if kinds & FieldKind.LIST:
        union = (list[bool | float | str | None] if strict else list[Any]) | union
    if kinds & FieldKind.OPAQUE and not strict:
        union = dict[str, Any] | union
    elif kinds & FieldKind.OBJECT:
        union = object_type(node, strict=strict) | union
    return union


def object_type(node: Node, *, strict: bool) -> Row:
    """Return a struct type for objects with this node's fields, as attributes f0, f1, … in their order."""
    fields = [(f"f{at}", *field_type(child, strict=strict)) for at, child in enumerate(node.children.values())]
    rename = {f"f{at}": name for at, name in enumerate(node.children)}
    # Garbage collection need not track rows: they hold no cycles and die with their chunk.
    return msgspec.defstruct("Row", fields, rename=rename, forbid_unknown_fields=strict, gc=False)


IDENTITY = ("event_id", "event_time", "model", "model_version")
BODY = ("features", "prediction")
WATCHED = (*BODY, "segment", "latency_ms", "tags")
"""Fields of an event whose values are watched, of `tags` only CODE. Unknown fields are decoded, not watched."""
CODE = ("tags", "code_version")


_WORD = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Larger integers are looked at one by one: those beyond a float's range are rejected, wherever they stand."""


class Nobody(msgspec.Struct, tag_field="model", tag="\n"):
    """Keeps the union of event types a union while it has one member or none: a lone struct would not need its tag."""

    never: Annotated[int, msgspec.Meta(gt=1, lt=0)]


def event_type(root: Node, model: str, *, strict: bool) -> Row:
    """Return the struct type of one model's events; `model` is the tag by which a union of them tells them apart.

    Features and prediction that were never missing are required in the strict type, so that an event without them is
    looked at: has it anything to watch?
    """
    scalar = str | (_WORD if strict else int) | float | None
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (name, scalar, None) for name in ("event_id", "event_time", "model_version")
    ]
    for name in WATCHED:
        node = root.children.get(name) or Node(FieldKind.ABSENT)
        if strict and name in BODY and not node.kinds & FieldKind.ABSENT:
            fields.append((name, present_type(node, strict=True)))
        else:
            fields.append((name, *field_type(node, strict=strict)))
    others = [(name, node) for name, node in root.children.items() if name not in WATCHED]
    fields.extend((f"x{at}", *field_type(node, strict=strict)) for at, (_, node) in enumerate(others))
    return msgspec.defstruct(
        "Event",
        fields,
        rename={f"x{at}": name for at, (name, _) in enumerate(others)},
        forbid_unknown_fields=strict,
        gc=False,
        kw_only=True,
        tag_field="model",
        tag=model,
    )


def encode_node(node: Node) -> list[Any]:
    """Return plain lists, for the state."""
    return [node.kinds, node.beyond, [[name, encode_node(child)] for name, child in node.children.items()]]


class StoredNode(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What `encode_node` returns."""

    kinds: Annotated[int, msgspec.Meta(ge=0, le=255)]
    beyond: Annotated[int, msgspec.Meta(ge=0, le=255)]
    children: list[tuple[str, "StoredNode"]]


def decode_node(stored: StoredNode) -> Node:
    """Undo `encode_node`."""
    return Node(stored.kinds, stored.beyond, {name: decode_node(child) for name, child in stored.children})
