"""Real events made strange: as trees of JSON tokens that are changed and written again, and as bytes.

A tree's leaves are the tokens themselves, so that a number keeps the spelling it was given, and a wrong one can stand
where a right one should.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from tests.fuzz import spelling


class Pairs(list[tuple[bytes, "Tree"]]):
    """An object: (name token, value), in order, names perhaps repeated."""


Tree: TypeAlias = Pairs | list[Any] | bytes
"""A list that is no `Pairs` is an array."""
Place: TypeAlias = tuple[list[Any], int]
"""A container and the position in it."""

SEPARATORS = ((b",", b":"), (b",", b":"), (b", ", b": "), (b" ,\n\t", b" :\r\n "))
SPACES = (b" ", b"\n", b"\t", b"\r", b"  \r\n\t ")
NO_SPACES = (b"\x0b", b"\x0c", b"\x00", b"\xc2\xa0", b"\xef\xbb\xbf", b"//\n")
NAMES = (b'"model"', b'"features"', b'"prediction"', b'"segment"', b'"event_time"', b'"tags"', b'"latency_ms"', b'""')
OTHER_NAMES = (b'"a.b"', b'"x"', b'"q\\"q"', b'"b\\\\s"', b'"tab\\t"', b'"n\\u0000"', "é".encode().join((b'"', b'"')))
DEPTHS = (1, 2, 4, 5, 60, 63, 64, 65, 200, 2_000)


class _Token(str):
    """A number's text."""

    __slots__ = ()


def read(value: bytes) -> Pairs:
    """Return the tree of a real event."""
    found = _READER.decode(value.decode())
    assert isinstance(found, Pairs)
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> Pairs:
    return Pairs([(_quoted(name), _tree(value)) for name, value in pairs])


@lru_cache(10_000)
def _quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def _tree(value: Any) -> Tree:
    if isinstance(value, Pairs):
        return value
    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, _Token):
        return value.encode()
    return _quoted(value) if isinstance(value, str) else json.dumps(value).encode()


_READER = json.JSONDecoder(parse_float=_Token, parse_int=_Token, object_pairs_hook=_pairs)


def write(tree: Tree, comma: bytes = b",", colon: bytes = b":") -> bytes:
    """Return a tree as bytes."""
    if isinstance(tree, bytes):
        return tree
    if isinstance(tree, Pairs):
        return b"{" + comma.join([name + colon + write(value, comma, colon) for name, value in tree]) + b"}"
    items: list[Any] = tree
    return b"[" + comma.join([write(item, comma, colon) for item in items]) + b"]"


@dataclass(slots=True)
class Mutator:
    """Writes events of one producer, some of them changed.

    Args:
        chance: the source of all chance.
        spelled: share of leaves whose spelling or value changes, in the events that are respelled.
        respelled: share of events that stay well-formed in structure and get other numbers and strings.
        restructured: share of events whose structure changes.
        damaged: share of events whose bytes change.
    """

    chance: random.Random
    spelled: float
    respelled: float
    restructured: float
    damaged: float
    separators: tuple[bytes, bytes] = SEPARATORS[0]
    last: bytes = b"{}"

    def event(self, tree: Pairs) -> bytes | None:
        """Return one event, perhaps changed. The tree may be changed."""
        chance = self.chance
        separators = self.separators
        if chance.random() < self.respelled:
            respell(chance, tree, self.spelled)
        if chance.random() < self.restructured:
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                chance.choice(STRUCTURAL)(chance, tree)
            if chance.random() < 0.2:
                separators = chance.choice(SEPARATORS)
        value = write(tree, *separators)
        if chance.random() < self.damaged:
            damaged = chance.choice(DAMAGES)(chance, value, self.last)
            self.last = value
            return damaged
        self.last = value
        return value


def respell(chance: random.Random, tree: Tree, share: float) -> None:
    """Spell some leaves otherwise; the tree's form stays."""
    for container, at in list(leaves(tree)):
        if chance.random() < share:
            replace(container, at, leaf(chance, value_at(container, at)))


def leaf(chance: random.Random, token: bytes) -> bytes:
    """Return another token of the same kind, or rarely no token at all."""
    if chance.random() < 0.03:
        return chance.choice(spelling.MISSPELT).encode()
    if token[:1] == b'"':
        return spelling.string(chance, token)
    if token in (b"true", b"false"):
        return chance.choice((b"true", b"false", b"true", b"null"))
    if token == b"null":
        return chance.choice((b"null", b"0", b'""'))
    return spelling.number(chance, token.decode()).encode()


def places(tree: Tree) -> Iterator[Place]:
    """Yield every place in a tree, without its root."""
    if isinstance(tree, list):
        for at in range(len(tree)):
            yield tree, at
            yield from places(value_at(tree, at))


def leaves(tree: Tree) -> Iterator[tuple[list[Any], int]]:
    """Yield the places of leaves."""
    return ((container, at) for container, at in places(tree) if isinstance(value_at(container, at), bytes))


def value_at(container: list[Any], at: int) -> Any:
    """Return what stands at a place."""
    return container[at][1] if isinstance(container, Pairs) else container[at]


def replace(container: list[Any], at: int, value: Tree) -> None:
    """Put a value at a place."""
    container[at] = (container[at][0], value) if isinstance(container, Pairs) else value


def _somewhere(chance: random.Random, tree: Pairs) -> Place | None:
    found = list(places(tree))
    return chance.choice(found) if found else None


def _some_object(chance: random.Random, tree: Pairs) -> Pairs:
    found = [value_at(container, at) for container, at in places(tree)]
    return chance.choice([tree, *(value for value in found if isinstance(value, Pairs))])


def any_value(chance: random.Random) -> Tree:
    """Return a value of any kind."""
    kind = chance.randrange(9)
    if kind == 0:
        return b"null"
    if kind == 1:
        return chance.choice((b"true", b"false"))
    if kind == 2:
        return spelling.number(chance, "12.5").encode()
    if kind == 3:
        return spelling.string(chance, b'"text"')
    if kind == 4:
        return [any_value(chance) for _ in range(chance.randrange(3))]
    if kind == 5:
        return Pairs((chance.choice(OTHER_NAMES), any_value(chance)) for _ in range(chance.randrange(3)))
    if kind == 6:
        return deep(chance)
    return chance.choice((b"0", b'"0"', b'""', b"{}", b"[]", b"1", b'"2026-09-21T14:13:20Z"'))


def deep(chance: random.Random) -> Tree:
    """Return a value nested to some depth."""
    depth = chance.choice(DEPTHS)
    if chance.random() < 0.5:
        return b"[" * depth + b"]" * depth
    return b'{"a":' * depth + b"1" + b"}" * depth


def _swap(chance: random.Random, tree: Pairs) -> None:
    if (place := _somewhere(chance, tree)) is not None:
        replace(*place, any_value(chance))


def _drop(chance: random.Random, tree: Pairs) -> None:
    if (place := _somewhere(chance, tree)) is not None:
        del place[0][place[1]]


def _add(chance: random.Random, tree: Pairs) -> None:
    held = _some_object(chance, tree)
    name = chance.choice((*NAMES, *OTHER_NAMES, b'"f%d"' % chance.randrange(10_000), spelling.string(chance, b'"x"')))
    held.insert(chance.randrange(len(held) + 1), (name, any_value(chance)))


def _repeat(chance: random.Random, tree: Pairs) -> None:
    held = _some_object(chance, tree)
    if held:
        name, value = chance.choice(held)
        other = value if chance.random() < 0.3 else any_value(chance)
        if chance.random() < 0.3:
            name = spelling.spelled(chance, json.loads(name)) if _is_text(name) else name
        held.insert(chance.randrange(len(held) + 1), (name, other))


def _shuffle(chance: random.Random, tree: Pairs) -> None:
    chance.shuffle(_some_object(chance, tree))


def _rename(chance: random.Random, tree: Pairs) -> None:
    held = _some_object(chance, tree)
    if held:
        at = chance.randrange(len(held))
        name, value = held[at]
        if _is_text(name) and chance.random() < 0.6:
            held[at] = (spelling.spelled(chance, json.loads(name)), value)
        else:
            held[at] = (spelling.string(chance, b'"renamed"'), value)


def _nest(chance: random.Random, tree: Pairs) -> None:
    if (place := _somewhere(chance, tree)) is not None:
        value = value_at(*place)
        replace(*place, [value] if chance.random() < 0.4 else Pairs([(chance.choice(OTHER_NAMES), value)]))


def _space(chance: random.Random, tree: Pairs) -> None:
    found = list(leaves(tree))
    if found:
        container, at = chance.choice(found)
        space = chance.choice(SPACES) if chance.random() < 0.8 else chance.choice(NO_SPACES)
        token = value_at(container, at)
        replace(container, at, space + token if chance.random() < 0.5 else token + space)


def _envelope(chance: random.Random, tree: Pairs) -> None:
    """Give one of the event's own fields another value that it may, or may not, have."""
    name, values = chance.choice(list(ENVELOPE.items()))
    value = chance.choice(values)
    for at, (found, _) in enumerate(tree):
        if found == name:
            tree[at] = (name, value)
            return
    tree.append((name, value))


def _is_text(token: bytes) -> bool:
    try:
        return isinstance(json.loads(token), str)
    except ValueError:
        return False


ENVELOPE: dict[bytes, tuple[Tree, ...]] = {
    b'"event_id"': (b'"p-1"', b"7", b"null", b"1e400", b"[]", b"true", b'"\\ud800"', b"1" + b"0" * 30),
    b'"event_time"': (
        *(b"null", b"1787302800000", b"1.7873028e12", b'"2026-08-21T09:00:00Z"', b'"2026-08-21T09:00:00.5+00:00"'),
        *(b'"2026-08-21T09:00:60Z"', b'"yesterday"', b"-1", b"1e400", b"true", b'"2026-08-21 09:00:00z"', b"{}", b"0"),
        *(b'"2026-08-21T09:00:0\\u0030Z"', b'"2026-02-30T09:00:00Z"', b"1787302800000.999", b"253370764800000"),
    ),
    b'"model"': (
        b'"m"',
        b'"churn-000"',
        b'"churn\\u002d000"',
        b'""',
        b"null",
        b"1",
        b'"\\n"',
        b'"' + b"m" * 257 + b'"',
    ),
    b'"model_version"': (b'"1"', b"1", b"1.0", b"1e0", b"10e-1", b"true", b'""', b"null", b"1e22", b"1" + b"0" * 25),
    b'"features"': (b"null", b"{}", b"[]", b"1", Pairs([(b'"only"', b"1")])),
    b'"prediction"': (
        b"null",
        b"1",
        b'"yes"',
        b"true",
        b"{}",
        b"[]",
        Pairs([(b'"label"', b'"no"'), (b'"value"', b"2")]),
    ),
    b'"segment"': (
        *(b"null", b"{}", b"[]", b"1", Pairs([(b'"tenant"', b"1")]), Pairs([(b'"tenant"', b"1.0")])),
        *(Pairs([(b'"tenant"', b"true")]), Pairs([(b'"tenant"', b"{}")]), Pairs([(b'"tenant"', b'"\\u0000"')])),
        *(Pairs([(b'"land"', b'"no"')]), Pairs([(b'"tenant"', b"null")]), Pairs([(b'"tenant"', b'""')])),
    ),
    b'"tags"': (b"null", b"{}", b"1", Pairs([(b'"code"', b'"git:abc"'), (b'"deep"', Pairs([(b'"x"', b"[1,2]")]))])),
    b'"latency_ms"': (b"null", b"12.5", b'"12.5"', b"true", b"{}", b"1e-400"),
}
STRUCTURAL: tuple[Callable[[random.Random, Pairs], None], ...] = (
    *(
        _swap,
        _swap,
        _drop,
        _add,
        _add,
        _repeat,
        _repeat,
        _shuffle,
        _rename,
        _nest,
        _space,
        _space,
        _envelope,
        _envelope,
    ),
)


def _flip(chance: random.Random, value: bytes, last: bytes) -> bytes:
    data = bytearray(value or b"{}")
    for _ in range(chance.choice((1, 1, 2, 5))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _overwrite(chance: random.Random, value: bytes, last: bytes) -> bytes:
    at = chance.randrange(len(value) + 1)
    return value[:at] + chance.randbytes(chance.randrange(4)) + value[at + chance.randrange(4) :]


def _punctuate(chance: random.Random, value: bytes, last: bytes) -> bytes:
    at = chance.randrange(len(value) + 1)
    return value[:at] + chance.choice((b",", b":", b'"', b"\\", b"{", b"}", b"[", b"]", b" ", b"0")) + value[at:]


def _truncate(chance: random.Random, value: bytes, last: bytes) -> bytes:
    return value[: chance.randrange(len(value) + 1)]


def _splice(chance: random.Random, value: bytes, last: bytes) -> bytes:
    return value[: chance.randrange(len(value) + 1)] + last[chance.randrange(len(last) + 1) :]


def _around(chance: random.Random, value: bytes, last: bytes) -> bytes:
    more = chance.choice((*SPACES, *NO_SPACES, b"}", b",", b"x", b"null", last))
    return value + more if chance.random() < 0.6 else more + value


def _whole(chance: random.Random, value: bytes, last: bytes) -> bytes | None:
    return chance.choice((None, b"", b" ", b"null", b"[]", b"3", b'"text"', b"{}", b"\xff", b"[" * 3_000, value * 2))


def _repeated_part(chance: random.Random, value: bytes, last: bytes) -> bytes:
    start = chance.randrange(len(value) + 1)
    part = value[start : start + chance.randrange(60)]
    return value[:start] + part * chance.choice((2, 3, 50)) + value[start + len(part) :]


DAMAGES: Sequence[Callable[[random.Random, bytes, bytes], bytes | None]] = (
    *(_flip, _overwrite, _punctuate, _truncate, _splice, _around, _whole, _repeated_part),
)
