"""YAML as a configuration needs it: lines remembered, duplicate keys refused, no surprising types.

Plain scalars follow YAML 1.2's core schema, so `no`, `10:30` and `2026-01-01` are text, `0123` keeps its zero, and a
key is the text that was written: a model version `1.10` stays `1.10`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Where a value stands: keys and positions from the top."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "True": True, "false": False, "False": False}
_MAX_REPEATED = 10_000
"""Values that aliases may repeat: enough for each model to share a block. Nested ones make billions of ten lines."""
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class DocumentError(ValueError):
    """The text is not a usable YAML mapping; the message says where and why, without quoting values."""


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping, and the line that each of its values was written on."""

    data: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[Path, int] = field(default_factory=dict)


def parse_document(text: str) -> Document:
    """Read a YAML (or JSON) mapping; empty text is an empty mapping. Raises DocumentError."""
    lines: dict[Path, int] = {}
    data = _read(text, lines)
    if data is None:
        return Document()
    if not isinstance(data, dict):
        raise DocumentError("the top level must be settings in the form `name: value`")
    return Document(data, lines)


def parse_value(text: str) -> Any:
    """Read any one YAML (or JSON) value. Raises DocumentError."""
    return _read(text, {})


def _read(text: str, lines: dict[Path, int]) -> Any:
    try:
        node = _compose(text)
        return None if node is None else _plain(node, (), lines, (), _Repeated())
    except RecursionError:
        raise DocumentError("lists or mappings are nested too deeply; no setting is nested like that") from None


def _compose(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        raise DocumentError(f"{_place(error.problem_mark)}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise DocumentError(
            f"character {error.position + 1} is a control character, which is not allowed in YAML"
        ) from None
    return node


@dataclass(slots=True)
class _Repeated:
    """Which nodes were read before, and how many values came of reading some again: an alias is a node twice."""

    seen: set[int] = field(default_factory=set)
    values: int = 0

    def take(self, node: yaml.Node) -> None:
        if id(node) not in self.seen:
            self.seen.add(id(node))
            return
        self.values += 1
        if self.values > _MAX_REPEATED:
            raise DocumentError(
                f"{_place(node.start_mark)}: aliases of this node and those around it expand to more than "
                f"{_MAX_REPEATED:,} values; write the values out"
            )


def _plain(
    node: yaml.Node, path: Path, lines: dict[Path, int], above: tuple[yaml.Node, ...], repeated: _Repeated
) -> Any:
    repeated.take(node)
    if node in above:
        raise DocumentError(f"{_place(node.start_mark)}: this alias contains itself")
    if node.tag not in _PLAIN_TAGS:
        raise DocumentError(f"{_place(node.start_mark)}: the tag {node.tag} is not supported here; remove it")
    lines[path] = node.start_mark.line + 1
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        return {key: _plain(value, (*path, key), lines, above, repeated) for key, value in _items(node)}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, (*path, position), lines, above, repeated) for position, value in enumerate(node.value)]
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return _scalar(node.value) if plain else node.value


def _items(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
    first: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentError(f"{_place(key.start_mark)}: a key must be a name, not a list or a mapping")
        if key.value in first:
            raise DocumentError(
                f'{_place(key.start_mark)}: the key "{key.value}" is here again '
                f"(first on line {first[key.value]}); keep one"
            )
        first[key.value] = key.start_mark.line + 1
        yield key.value, value


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 19 else text
    return float(text) if _FLOAT.fullmatch(text) else text


def _place(mark: yaml.Mark | None) -> str:
    return "somewhere" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
