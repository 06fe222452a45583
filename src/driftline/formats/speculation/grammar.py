"""How a model's records are written: its fields in order, and the literal pieces between them.

A grammar is learned from records that the careful decoder accepted. A state is "this field was read"; an edge is a
literal piece and the field that follows it, so optional fields cost an edge each and not a grammar each. Two rules make
every walk along the edges a record without repeated names:

- fields have one order, and edges lead forward only;
- the fields of one object stand together in that order, so an object that was left is never entered again.

A record that would break them begins another grammar of the same model.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from driftline.formats.shapes import FieldKind

Path = tuple[str, ...]
START: Path = ()
END: Path = ("\n",)
MAX_EDGES = 1_000
"""Of one grammar: of a model with fields that come and go, the usual sequences are learned, the rest read with care."""


@dataclass(frozen=True, slots=True)
class GrammarPart:
    """A literal piece of a record, and the field that follows it."""

    piece: bytes
    path: Path
    kind: FieldKind


_LEXEME = re.compile(rb'[ \t\n\r]*([{}\[\],:]|"(?:[^"\\]|\\.)*"|[^ \t\n\r{}\[\],:"]+)', re.DOTALL)
_KINDS = {b'"': FieldKind.STRING, b"t": FieldKind.BOOLEAN, b"f": FieldKind.BOOLEAN, b"n": FieldKind.NULL}


def parts_of(record: bytes) -> tuple[list[GrammarPart], bytes] | None:
    """Return a valid record's parts and its last piece, or None where it is not of a kind that grammars describe.

    Not described are lists, empty objects, names that are repeated or escaped. The model's name is part of a piece.

    >>> parts, last = parts_of(b'{"model":"m","features":{"x":1}}')
    >>> parts[0].piece, parts[0].path, last
    (b'{"model":"m","features":{"x":', ('features', 'x'), b'}}')
    """
    parts: list[GrammarPart] = []
    above: list[str] = []
    seen: list[set[bytes]] = []
    name: bytes | None = None
    begin = 0
    for found in _LEXEME.finditer(record):
        text = found[1]
        if text == b"{":
            if seen:
                if name is None:
                    return None
                above.append(name.decode())
            seen.append(set())
            name = None
        elif text == b"}":
            if not seen or not seen.pop():
                return None
            if above:
                above.pop()
            name = None
        elif text in b"[]":
            return None
        elif text in b",:":
            continue
        elif name is None:
            if b"\\" in text or not seen or text in seen[-1]:
                return None
            seen[-1].add(text)
            name = text[1:-1]
        else:
            path = (*above, name.decode())
            name = None
            if path == ("model",):
                continue
            parts.append(GrammarPart(record[begin : found.start(1)], path, _KINDS.get(text[:1], FieldKind.NUMBER)))
            begin = found.end()
    return parts, record[begin:]


@dataclass(slots=True)
class Grammar:
    """See the module's head."""

    order: list[Path] = field(default_factory=list)
    edges: dict[Path, dict[tuple[bytes, Path], None]] = field(default_factory=dict)
    size: int = 0

    def learn(self, parts: Sequence[GrammarPart], last: bytes) -> bool | None:
        """Take in a record. Returns whether anything was new; None if it does not fit in."""
        order = _merged(self.order, [part.path for part in parts])
        if order is None:
            return None
        self.order = order
        before, size = START, self.size
        for piece, path in [*((part.piece, part.path) for part in parts), (last, END)]:
            known = self.edges.setdefault(before, {})
            if (piece, path) not in known and self.size < MAX_EDGES:
                known[piece, path] = None
                self.size += 1
            before = path
        return self.size > size


def _merged(order: list[Path], paths: list[Path]) -> list[Path] | None:
    """Return the order with new paths put in where they belong, or None if they cannot be."""
    if not order:
        return paths if _together(paths) else None
    places = {path: place for place, path in enumerate(order)}
    known = [places[path] for path in paths if path in places]
    if any(after <= before for before, after in pairwise(known)):
        return None
    if len(known) == len(paths):
        return order
    for arranged in (_after_predecessors(order, paths), _before_successors(order, paths)):
        if _together(arranged):
            return arranged
    return None


def _after_predecessors(order: list[Path], paths: Iterable[Path]) -> list[Path]:
    arranged, at = list(order), 0
    for path in paths:
        if path in order:
            at = arranged.index(path) + 1
        else:
            arranged.insert(at, path)
            at += 1
    return arranged


def _before_successors(order: list[Path], paths: Sequence[Path]) -> list[Path]:
    arranged, at = list(order), len(order)
    for path in reversed(paths):
        if path in order:
            at = arranged.index(path)
        else:
            arranged.insert(at, path)
    return arranged


def _together(order: Iterable[Path]) -> bool:
    """Tell whether the fields at and below every path stand together."""
    left: set[Path] = set()
    before: Path = ()
    for path in order:
        common = 0
        while common < min(len(before), len(path)) and before[common] == path[common]:
            common += 1
        left.update(before[:depth] for depth in range(common + 1, len(before) + 1))
        if any(path[:depth] in left for depth in range(common + 1, len(path) + 1)):
            return False
        before = path
    return True
