"""A mutation: where it is made, and what it changes there.

The place is the function, class or module itself, imported: a rename carries it along, and mypy names what it left
behind. What is changed in it is compared as code, not as text: layout and comments do not matter, and `_` stands for
any expression.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import driftline

PACKAGE = Path(driftline.__file__).parent
Code = ModuleType | Callable[..., object] | property


@dataclass(frozen=True)
class Mutation:
    """One change in one place; `tests` are those that should notice, the likeliest first.

    `old` is an expression, or one or several statements in a row. A script in another language is named by its path
    in the package, and is changed as text.
    """

    what: str
    place: Code | str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The file that is changed, in the package."""
        if isinstance(self.place, str):
            return Path(self.place)
        return Path(inspect.getfile(_defined(self.place))).relative_to(PACKAGE)

    def made(self, source: str) -> str:
        """Return the file's source with the change. Raises ValueError if it has not exactly one place for it."""
        text = source.encode()
        if isinstance(self.place, str):
            spans = [(at, at + len(self.old)) for at in range(len(text)) if text.startswith(self.old.encode(), at)]
        else:
            spans = list(_spans(text, _inside(ast.parse(text), self.place), ast.parse(self.old).body))
        if len(spans) != 1:
            raise ValueError(f"{self.what}: {self.place} has {len(spans)} places for {self.old!r}: write it anew")
        [(start, end)] = spans
        indent = "\n" + " " * (start - text.rfind(b"\n", 0, start) - 1)
        return (text[:start] + self.new.replace("\n", indent).encode() + text[end:]).decode()


def _defined(place: Code) -> ModuleType | Callable[..., object]:
    """Return what stands behind a property or a decorator."""
    function = place.fget if isinstance(place, property) else place
    assert function is not None
    return function if isinstance(function, ModuleType) else inspect.unwrap(function)


def _inside(tree: ast.AST, place: Code) -> ast.AST:
    """Return the definition of a function or class; of a module, all of its tree."""
    defined = _defined(place)
    for name in () if isinstance(defined, ModuleType) else defined.__qualname__.split("."):
        [tree] = [node for node in ast.iter_child_nodes(tree) if getattr(node, "name", None) == name]
    return tree


def _spans(text: bytes, place: ast.AST, old: list[ast.stmt]) -> Iterator[tuple[int, int]]:
    """Return from where to where in the text the place reads like this."""
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for first, last in _found(place, old):
        yield lines[first.lineno - 1] + first.col_offset, lines[last.end_lineno - 1] + last.end_col_offset  # type: ignore[operator]


def _found(place: ast.AST, old: list[ast.stmt]) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt]]:
    for node in ast.walk(place):
        if len(old) == 1 and isinstance(old[0], ast.Expr):
            if isinstance(node, ast.expr) and _same(old[0].value, node):
                yield node, node
            continue
        for _, body in ast.iter_fields(node):
            for at in range(len(body) - len(old) + 1) if isinstance(body, list) else ():
                if _same(old, body[at : at + len(old)]):
                    yield body[at], body[at + len(old) - 1]


def _same(old: object, found: object) -> bool:
    if isinstance(old, ast.Name) and old.id == "_":
        return isinstance(found, ast.expr)
    if isinstance(old, ast.AST):
        return type(old) is type(found) and all(
            _same(part, getattr(found, name)) for name, part in ast.iter_fields(old)
        )
    if isinstance(old, list):
        return isinstance(found, list) and len(old) == len(found) and all(map(_same, old, found))
    return type(old) is type(found) and old == found
