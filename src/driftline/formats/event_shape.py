"""A model's shape as its JSON events teach it in log order: which paths are watched, what is decoded beside them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from driftline.codec import Count, pack, unpack
from driftline.columns.shape import Limits, Shape, usable_name
from driftline.columns.signals import CODE_VERSION, LENGTH
from driftline.formats.shapes import (
    BODY,
    CODE,
    IDENTITY,
    FieldKind,
    Node,
    StoredNode,
    decode_node,
    encode_node,
    kind_of,
)

VERSION = 1
MAX_EXTRA_FIELDS = 256
"""Fields outside features, prediction and latency that a shape learns to expect. More are decoded slowly."""


def usable_field(name: str, limits: Limits) -> bool:
    """Tell whether a field can be learned: msgspec takes no field names with quotes or backslashes."""
    return usable_name(name, limits) and '"' not in name and "\\" not in name


class EventShape(Shape):
    """What is known of one model's events."""

    def __init__(self, model: str, limits: Limits, tags: tuple[str, ...]) -> None:
        super().__init__(model, limits, tags)
        self.root = Node(FieldKind.OBJECT)
        self.generation = 0
        """Counts what was learned: struct types of an earlier generation are out of date."""
        self._fields = 0
        self._extra = 0
        self._paths: set[str] = set()
        """Where watched fields are, by the names of their signals."""

    def learn(self, event: Mapping[str, Any]) -> int:
        """Take in the fields of a validated event. Returns the number of its fields that are beyond the limits.

        Called in log order, for the events that a strict type refused and for no other. For an event that the newest
        strict type accepts it would change nothing and return 0: so it does not matter which events were refused by an
        older type only because they came in one batch with those that taught something.
        """
        ignored = 0
        for name, value in event.items():
            if name in IDENTITY:
                continue
            if name in BODY or name == "latency_ms":
                ignored += self._learn(self._child(self.root, name), value, name, self._limits.depth)
            else:
                ignored += self._expect(self.root, name, value, ())
        for name in BODY:
            if name not in event:
                self._hold(self._child(self.root, name), FieldKind.ABSENT)
        return ignored

    @property
    def may_be_empty(self) -> bool:
        """Whether events without features were accepted, and events without a prediction: one may then lack both."""
        held = [self.root.children.get(name) for name in BODY]
        return all(node is not None and node.kinds & (FieldKind.ABSENT | FieldKind.NULL) for node in held)

    def _child(self, parent: Node, name: str) -> Node:
        node = parent.children.get(name)
        if node is None:
            node = parent.children[name] = Node()
            self.generation += 1
        return node

    def _hold(self, node: Node, kind: FieldKind) -> bool:
        """Note that a field held this kind. Returns whether that is new."""
        if node.kinds & kind:
            return False
        node.kinds |= kind
        self.generation += 1
        return True

    def _learn(self, node: Node, value: object, path: str, depth: int) -> int:
        kind = kind_of(value)
        if kind is FieldKind.OBJECT and depth == 0:
            kind = FieldKind.OPAQUE
        if self._hold(node, kind) and path != "features":
            watched = [
                self.watch(signal) for signal in signals_of(path, kind) if signal == path or signal not in self._paths
            ]
            held = int(kind)
            if kind in _NULLABLE and path != "prediction":
                held |= (
                    FieldKind.NULL
                )  # the same signals: no need to look at the first null of every field of every model
                node.kinds |= held
            if not all(watched):
                node.beyond |= held
        ignored = 1 if node.beyond & kind else 0
        if kind is FieldKind.OBJECT:
            fields: Mapping[str, Any] = value  # type: ignore[assignment]
            for name, below in fields.items():
                if name not in node.children:
                    if not self._has_room() or not usable_field(name, self._limits) or self._taken(f"{path}.{name}"):
                        ignored += 1
                        continue
                    self._fields += 1
                    self._paths.add(f"{path}.{name}")
                ignored += self._learn(self._child(node, name), below, f"{path}.{name}", depth - 1)
        return ignored

    def _has_room(self) -> bool:
        """Tell whether one more field may be learned; objects have no signals, but take memory all the same."""
        return self.watched < self._limits.signals and self._fields < 2 * self._limits.signals

    def _taken(self, path: str) -> bool:
        """Tell whether another field has this signal: a field `a.b` beside `b` in `a`, or `a.length` beside a list."""
        return path in self._paths or (path.endswith(LENGTH) and path in self.signals)

    def length_of(self, path: str) -> int | None:
        """Return the slot of the length of a list; None if that is not watched."""
        length = path + LENGTH
        return None if length in self._paths else self.signals.get(length)

    def _expect(self, parent: Node, name: str, value: object, above: tuple[str, ...]) -> int:
        """Learn to decode a field that is not watched: a segment's value, a tag, an unknown field.

        The one tag that is watched says which code sent the event.
        """
        if (*above, name) == CODE:
            return self._learn(self._child(parent, name), value, CODE_VERSION, 0)
        if name not in parent.children:
            tag = name == "segment" if not above else above == ("segment",) and name in self.tags
            if not tag and (self._extra >= MAX_EXTRA_FIELDS or not usable_field(name, self._limits)):
                return 1
            self._extra += 1
        node = self._child(parent, name)
        kind = kind_of(value)
        self._hold(node, kind)
        if kind is FieldKind.OBJECT:
            fields: Mapping[str, Any] = value  # type: ignore[assignment]
            return sum(self._expect(node, below, inner, (*above, name)) for below, inner in fields.items())
        return 0

    def encode(self) -> list[Any]:
        """Return plain lists, for the state."""
        learned = [self._fields, self._extra]
        return [self.model, encode_node(self.root), list(self.signals), self.versions, self.segments, learned]

    @classmethod
    def decode(cls, data: Any, limits: Limits, tags: tuple[str, ...]) -> "EventShape":
        """Undo `encode`. Raises `StateCorrupt`, or `msgspec.ValidationError`."""
        model, root, signals, versions, segments, (fields, extra) = msgspec.convert(data, _Stored)
        shape = cls(model, limits, tags)
        shape.restore(signals, versions, segments)
        shape.root = decode_node(root)
        shape._fields, shape._extra = fields, extra
        shape._paths = {
            path for name in BODY if name in shape.root.children for path in _below(shape.root.children[name], name)
        }
        return shape


def pack_shapes(shapes: Iterable[EventShape]) -> bytes:
    """Return shapes as a blob of the state. Undone by `unpack_shapes`."""
    return pack("shapes", VERSION, [shape.encode() for shape in shapes], {})


def unpack_shapes(blob: bytes, limits: Limits, tags_of: Callable[[str], tuple[str, ...]]) -> dict[str, EventShape]:
    """Return stored shapes by model. Raises `StateCorrupt`, or what a wrong value causes."""
    shapes = [EventShape.decode(data, limits, tags_of(data[0])) for data in unpack(blob, "shapes", (VERSION,)).value]
    return {shape.model: shape for shape in shapes}


_Stored = tuple[str, StoredNode, list[str], list[str], list[str], tuple[Count, Count]]

_NULLABLE = (FieldKind.NUMBER, FieldKind.STRING, FieldKind.BOOLEAN)


def _below(node: Node, path: str) -> Iterator[str]:
    for name, child in node.children.items():
        yield f"{path}.{name}"
        yield from _below(child, f"{path}.{name}")


def signals_of(path: str, kind: FieldKind) -> tuple[str, ...]:
    """Return the signals to which a value of this kind at this path contributes.

    A scalar prediction is watched under the same name as in an object: a number as its value, the rest as its label.

    >>> signals_of("prediction", FieldKind.NUMBER), signals_of("features.tags", FieldKind.LIST)
    (('prediction.value',), ('features.tags', 'features.tags.length'))
    """
    if path == "prediction":
        if kind in (FieldKind.OBJECT, FieldKind.NULL):
            return ()
        return ("prediction.value",) if kind is FieldKind.NUMBER else ("prediction.label",)
    if kind is FieldKind.OBJECT:
        return ()
    return (path, path + LENGTH) if kind is FieldKind.LIST else (path,)
