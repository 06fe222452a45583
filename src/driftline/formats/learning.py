"""One model's shape with its memory: which paths are watched, which versions and segments exist, in log order.

Everything here grows only, up to stated limits, and is part of the task's checkpoint.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from driftline.codec import Count, corrupt
from driftline.errors import ConfigError
from driftline.formats.shapes import BODY, CODE, IDENTITY, Kind, Node, StoredNode, decode_node, encode_node, kind_of
from driftline.sketches.summary import CODE_VERSION, DELAY, EVENTS, REPEATED

MAX_EXTRA_FIELDS = 256
"""Fields outside features, prediction and latency that a shape learns to expect. More are decoded slowly."""
SIGNAL_BITS, VERSION_BITS, SEGMENT_BITS = 12, 8, 14
"""Bits in which panes number their groups and cells."""
CODES = {"versions": 255, "segments": 16_000, "signals": 4_090}
"""What the limits may be at most: a few codes are kept for what is beyond them, and for signals that are no fields."""
NO_FIELDS = (EVENTS, DELAY, REPEATED)
"""Signals of every model that are no fields of its events, and so beside the limit."""

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

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a limit that cannot be kept."""
        for name, most in CODES.items():
            if getattr(self, name) > most:
                raise ConfigError(f"limits.{name} is {getattr(self, name)}; write {most} or less")


def usable_name(name: str, limits: Limits) -> bool:
    """Tell whether a name can be shown and stored: not empty, not too long, no control characters."""
    if not 0 < len(name) <= limits.name_length:
        return False
    return name.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def usable_field(name: str, limits: Limits) -> bool:
    """Tell whether a field can be learned: msgspec takes no field names with quotes or backslashes."""
    return usable_name(name, limits) and '"' not in name and "\\" not in name


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
        self.signals: dict[str, int] = {name: slot for slot, name in enumerate(NO_FIELDS)}
        self.versions: list[str] = []
        self.segments: list[str] = [""]
        self.generation = 0
        """Counts what was learned: struct types of an earlier generation are out of date."""
        self._limits = limits
        self._fields = 0
        self._extra = 0
        self._paths: set[str] = set()
        """Where watched fields are, by the names of their signals."""
        self._index()

    def _index(self) -> None:
        limits = self._limits
        self.version_codes = Codes(self.versions, limits.versions, limits, beyond=TOO_MANY, missing=NO_VERSION)
        others = [f"{tag}={OTHER}" for tag in self.tags]
        self.segments.extend(name for name in others if name not in self.segments)
        self.other_codes = [self.segments.index(name) for name in others]
        """For each tag the code of its values beyond the limit."""
        room = limits.segments + 1 + len(self.tags)
        self.segment_codes = [
            Codes(self.segments, room, limits, beyond=code, missing=NO_VALUE, prefix=f"{tag}=")
            for tag, code in zip(self.tags, self.other_codes, strict=True)
        ]

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
                self._hold(self._child(self.root, name), Kind.ABSENT)
        return ignored

    @property
    def may_be_empty(self) -> bool:
        """Whether events without features were accepted, and events without a prediction: one may then lack both."""
        held = [self.root.children.get(name) for name in BODY]
        return all(node is not None and node.kinds & (Kind.ABSENT | Kind.NULL) for node in held)

    def _child(self, parent: Node, name: str) -> Node:
        node = parent.children.get(name)
        if node is None:
            node = parent.children[name] = Node()
            self.generation += 1
        return node

    def _hold(self, node: Node, kind: Kind) -> bool:
        """Note that a field held this kind. Returns whether that is new."""
        if node.kinds & kind:
            return False
        node.kinds |= kind
        self.generation += 1
        return True

    def _learn(self, node: Node, value: object, path: str, depth: int) -> int:
        kind = kind_of(value)
        if kind is Kind.OBJECT and depth == 0:
            kind = Kind.OPAQUE
        if self._hold(node, kind) and path != "features":
            watched = [
                self._watch(signal) for signal in signals_of(path, kind) if signal == path or signal not in self._paths
            ]
            held = int(kind)
            if kind in _NULLABLE and path != "prediction":
                held |= Kind.NULL  # the same signals: no need to look at the first null of every field of every model
                node.kinds |= held
            if not all(watched):
                node.beyond |= held
        ignored = 1 if node.beyond & kind else 0
        if kind is Kind.OBJECT:
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
        return self._watched < self._limits.signals and self._fields < 2 * self._limits.signals

    def _taken(self, path: str) -> bool:
        """Tell whether another field has this signal: a field `a.b` beside `b` in `a`, or `a.length` beside a list."""
        return path in self._paths or (path.endswith(LENGTH) and path in self.signals)

    def length_of(self, path: str) -> int | None:
        """Return the slot of the length of a list; None if that is not watched."""
        length = path + LENGTH
        return None if length in self._paths else self.signals.get(length)

    @property
    def _watched(self) -> int:
        return len(self.signals) - len(NO_FIELDS)

    def _watch(self, signal: str) -> bool:
        if signal not in self.signals:
            if self._watched >= self._limits.signals:
                return False
            self.signals[signal] = len(self.signals)
        return True

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
        if kind is Kind.OBJECT:
            fields: Mapping[str, Any] = value  # type: ignore[assignment]
            return sum(self._expect(node, below, inner, (*above, name)) for below, inner in fields.items())
        return 0

    def encode(self) -> list[Any]:
        """Return plain lists, for the state."""
        learned = [self._fields, self._extra]
        return [self.model, encode_node(self.root), list(self.signals), self.versions, self.segments, learned]

    @classmethod
    def decode(cls, data: Any, limits: Limits, tags: tuple[str, ...]) -> "Shape":
        """Undo `encode`. Raises `StateCorrupt`, or `msgspec.ValidationError`."""
        model, root, signals, versions, segments, (fields, extra) = msgspec.convert(data, _Stored)
        if signals[:1] != [EVENTS] or segments[:1] != [""]:
            raise corrupt("shapes", f"model {model[:80]!r} lacks its first signal or segment")
        signals += [name for name in NO_FIELDS if name not in signals]  # of a release that did not count it
        for names, most in ((signals, 2**SIGNAL_BITS), (versions, 2**VERSION_BITS), (segments, 2**SEGMENT_BITS)):
            if len(names) > most or len(set(names)) != len(names):
                raise corrupt("shapes", f"model {model[:80]!r} has too many names, or one twice: {names[-1][:80]!r}")
        shape = cls(model, limits, tags)
        shape.root = decode_node(root)
        shape.signals = {name: slot for slot, name in enumerate(signals)}
        shape.versions, shape.segments = list(versions), list(segments)
        shape._fields, shape._extra = fields, extra
        shape._paths = {
            path for name in BODY if name in shape.root.children for path in _below(shape.root.children[name], name)
        }
        shape._index()
        shape._watch_what_is_known_of_code()
        return shape

    def _watch_what_is_known_of_code(self) -> None:
        """Watch the tag that an earlier release only decoded."""
        tags = self.root.children.get(CODE[0])
        node = tags.children.get(CODE[1]) if tags is not None else None
        if node is not None and not self._watch(CODE_VERSION):
            node.beyond = node.kinds


_Stored = tuple[str, StoredNode, list[str], list[str], list[str], tuple[Count, Count]]

LENGTH = ".length"
"""What the signal of a list's length ends with."""
_NULLABLE = (Kind.NUMBER, Kind.STRING, Kind.BOOLEAN)


def _below(node: Node, path: str) -> Iterator[str]:
    for name, child in node.children.items():
        yield f"{path}.{name}"
        yield from _below(child, f"{path}.{name}")


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
    return (path, path + LENGTH) if kind is Kind.LIST else (path,)
