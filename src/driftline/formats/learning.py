"""One model's shape with its memory: which paths are watched, which versions and segments exist, in log order.

Everything here grows only, up to stated limits, and is part of the task's checkpoint.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from driftline.formats.shapes import BODY, IDENTITY, Kind, Node, decode_node, encode_node, kind_of
from driftline.sketches.summary import EVENTS

MAX_EXTRA_FIELDS = 256
"""Fields outside features, prediction, segment and latency that a shape learns to expect. More are decoded slowly."""

ALL = 0
"""The segment code of all events of a model."""
BAD_NAME = -1
TOO_MANY = -2
NO_VERSION = ""
NO_VALUE = "(none)"
OTHER = "(other)"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one model a task remembers. What is beyond is counted, and raises an incident of its own."""

    models: int = 1_000
    versions: int = 100
    segments: int = 1_000
    signals: int = 500
    depth: int = 4
    name_length: int = 256


def usable_name(name: str, limits: Limits) -> bool:
    """Tell whether a name can be shown and stored: not empty, not too long, no control characters."""
    if not 0 < len(name) <= limits.name_length:
        return False
    return name.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


class Codes(dict[Any, int]):
    """Codes of names, given in order of appearance. Names that get none are not remembered: there may be millions."""

    def __init__(self, names: list[str], limit: int, limits: Limits, *, beyond: int, missing: str, prefix: str = ""):
        super().__init__()
        self.names = names
        self._limit = limit
        self._limits = limits
        self._beyond = beyond
        self._missing = missing
        self._prefix = prefix
        self._known = {name: code for code, name in enumerate(names)}

    def __missing__(self, value: object) -> int:
        name = self._missing if value is None or value is UNSET else plain_name(value)
        if name != self._missing and not usable_name(name, self._limits):
            return BAD_NAME
        full = self._prefix + name
        code = self._known.get(full)
        if code is None:
            if len(self.names) >= self._limit:
                return self._beyond
            code = self._known[full] = len(self.names)
            self.names.append(full)
        self[value] = code
        return code


def plain_name(value: object) -> str:
    """Return a version or segment value as text: 3 and 3.0 are "3", True is "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, str) else str(value)


class Shape:
    """What is known of one model's events."""

    def __init__(self, model: str, limits: Limits, tags: tuple[str, ...]) -> None:
        self.model = model
        self.tags = tags
        self.root = Node(Kind.OBJECT)
        self.signals: dict[str, int] = {EVENTS: 0}
        self.versions: list[str] = []
        self.segments: list[str] = ["", *(f"{tag}={OTHER}" for tag in tags)]
        self._limits = limits
        self._extra = 0
        self._index()

    def _index(self) -> None:
        limits = self._limits
        self.version_codes = Codes(self.versions, limits.versions, limits, beyond=TOO_MANY, missing=NO_VERSION)
        room = limits.segments + 1 + len(self.tags)
        self.segment_codes = [
            Codes(self.segments, room, limits, beyond=at, missing=NO_VALUE, prefix=f"{tag}=")
            for at, tag in enumerate(self.tags, 1)  # the code of "(other)" values of this tag, beyond the limit
        ]

    def learn(self, event: Mapping[str, Any]) -> int:
        """Take in the fields of a validated event. Returns the number of its fields that are beyond the limits.

        Called in log order, for the events that the strict type refused and for no other: these are exactly the events
        that show something new, so what is learned does not depend on how records were batched.
        """
        ignored = 0
        for name, value in event.items():
            if name in IDENTITY:
                continue
            if name in BODY or name == "latency_ms":
                node = self.root.children.setdefault(name, Node())
                ignored += self._learn(node, value, name, self._limits.depth)
            else:
                ignored += self._expect(self.root, name, value)
        for name in BODY:
            if event.get(name) is None:
                self.root.children.setdefault(name, Node()).kinds |= Kind.ABSENT
        return ignored

    def _learn(self, node: Node, value: object, path: str, depth: int) -> int:
        kind = kind_of(value)
        if kind is Kind.OBJECT and depth == 0:
            kind = Kind.OPAQUE
        node.kinds |= kind
        ignored = 0
        if path != "features":
            for signal in signals_of(path, kind):
                ignored += not self._watch(signal)
        if kind is Kind.OBJECT:
            fields: Mapping[str, Any] = value  # type: ignore[assignment]
            for name, below in fields.items():
                child = node.children.get(name)
                if child is None:
                    if len(self.signals) > self._limits.signals or not usable_name(name, self._limits):
                        ignored += 1
                        continue
                    child = node.children[name] = Node()
                ignored += self._learn(child, below, f"{path}.{name}", depth - 1)
        return ignored

    def _watch(self, signal: str) -> bool:
        if signal not in self.signals:
            if len(self.signals) > self._limits.signals:
                return False
            self.signals[signal] = len(self.signals)
        return True

    def _expect(self, parent: Node, name: str, value: object) -> int:
        """Learn to decode a field that is not watched: a segment's value, a tag, an unknown field."""
        node = parent.children.get(name)
        if node is None:
            if self._extra >= MAX_EXTRA_FIELDS:
                return 1
            self._extra += 1
            node = parent.children[name] = Node()
        kind = kind_of(value)
        node.kinds |= kind
        if kind is Kind.OBJECT:
            fields: Mapping[str, Any] = value  # type: ignore[assignment]
            return sum(self._expect(node, below, inner) for below, inner in fields.items())
        return 0

    def encode(self) -> list[Any]:
        """Return plain lists, for the state."""
        return [self.model, encode_node(self.root), list(self.signals), self.versions, self.segments, self._extra]

    @classmethod
    def decode(cls, data: Any, limits: Limits, tags: tuple[str, ...]) -> "Shape":
        """Undo `encode`."""
        model, root, signals, versions, segments, extra = data
        shape = cls(model, limits, tags)
        shape.root = decode_node(root)
        shape.signals = {name: slot for slot, name in enumerate(signals)}
        shape.versions, shape.segments = list(versions), list(segments)
        shape._extra = extra
        shape._index()
        return shape


def signals_of(path: str, kind: Kind) -> tuple[str, ...]:
    """Return the signals to which a value of this kind at this path contributes.

    A scalar prediction is watched under the same name as in an object: a number as its value, the rest as its label.

    >>> signals_of("prediction", Kind.NUMBER), signals_of("features.tags", Kind.LIST)
    (('prediction.value',), ('features.tags', 'features.tags.length'))
    """
    if path == "prediction":
        if kind in (Kind.OBJECT, Kind.NULL):
            return ()
        return ("prediction.value",) if kind is Kind.NUMBER else ("prediction.label",)
    if kind is Kind.OBJECT:
        return ()
    return (path, f"{path}.length") if kind is Kind.LIST else (path,)
