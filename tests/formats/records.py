"""Records as a careless world writes them, for properties of the decoder and of all that follows it."""

import json
from typing import Any

from hypothesis import strategies as st

Pairs = list[tuple[str, Any]]

NUMBERS = (
    "0",
    "1",
    "1.0",
    "-0.0",
    "3",
    "2.5",
    "1e3",
    "1e-320",
    "9007199254740993",
    "9223372036854775808",
    "1" + "0" * 30,
)
HUGE = ("1e400", "1" + "0" * 400, "1" + "0" * 5000, "NaN", "Infinity")


class Raw(str):
    """JSON text that is written as it is."""

    __slots__ = ()


def write(value: Any) -> str:
    """Write JSON; a list of pairs is an object, which may repeat a name."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, tuple):
        return "{" + ",".join(f"{json.dumps(name)}:{write(below)}" for name, below in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


names = st.sampled_from(
    ["x", "y", "z", "w", "a.b", "a", "b", "length", 'q"q', "back\\slash", "tab\t", "", "é", "n" * 20]
)
tags = st.sampled_from(["code_version", "code_version", "run", "é"])
numbers = st.sampled_from(NUMBERS).map(Raw)
scalars = st.one_of(
    numbers,
    numbers,
    st.sampled_from(["u", "v", "é", "", "true"]),
    st.booleans(),
    st.none(),
    st.sampled_from(HUGE).map(Raw),
)
nested = st.recursive(
    scalars,
    lambda below: st.one_of(st.lists(below, max_size=2), st.lists(st.tuples(names, below), max_size=3).map(tuple)),
    max_leaves=5,
)
usual = st.one_of(st.sampled_from(NUMBERS[:6]).map(Raw), st.sampled_from(["u", "v"]), st.booleans(), st.none())


def objects(values: st.SearchStrategy[Any], field: st.SearchStrategy[str] = names) -> st.SearchStrategy[Any]:
    """Objects that may repeat a name."""
    return st.lists(st.tuples(field, values), max_size=4).map(tuple)


def sound(values: st.SearchStrategy[Any], *field: str) -> st.SearchStrategy[Any]:
    """Objects that do not."""
    return st.dictionaries(st.sampled_from(field), values, max_size=4).map(lambda found: tuple(found.items()))


START = 1_790_000_000_000
times = st.one_of(
    st.integers(START, START + 40_000),
    st.sampled_from(["2026-09-21T14:13:20Z", "2026-09-21T14:13:31.250Z", "2026-09-21T16:13:20+02:00"]),
    st.none(),
    st.sampled_from(
        ["", "yesterday", "2026-13-01T00:00:00Z", True, Raw("1e30"), Raw("-5"), START + 10**9, Raw("1.79e12")]
    ),
)
ids = st.sampled_from(
    ["p-1", "p-1", "p-2", "a-much-longer-one-1", "a-much-longer-one-2", "7", 7, Raw("7.0"), Raw("-7")]
)
fields: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.one_of(ids, scalars),
    "event_time": st.one_of(times, times, nested),
    "model": st.one_of(
        st.sampled_from(["m", "n", "o"]), st.sampled_from(["m", "n", 'q"', "", "c\u0001", "l" * 300]), scalars
    ),
    "model_version": st.one_of(st.sampled_from(["1", "2", 3, 3.0, Raw("3e0"), Raw("1" + "0" * 25), ""]), nested),
    "features": st.one_of(objects(usual), objects(nested), nested),
    "prediction": st.one_of(usual, objects(usual, st.sampled_from(["label", "value", "proba"])), nested),
    "segment": st.one_of(objects(usual, st.sampled_from(["tenant", "land", "x"])), nested),
    "tags": st.one_of(objects(usual), objects(nested, tags), nested),
    "latency_ms": st.one_of(numbers, nested),
    "unknown": nested,
}
good_fields: dict[str, st.SearchStrategy[Any]] = {
    "event_id": ids,
    "event_time": st.integers(START, START + 40_000),
    "model_version": st.sampled_from(["1", "2", 3, 3.0]),
    "features": sound(usual, "x", "y", "z", "a.b", "a"),
    "prediction": st.one_of(usual, sound(usual, "label", "value")),
    "segment": sound(st.sampled_from(["p", "q", 1, True, None]), "tenant", "land"),
    "tags": sound(st.sampled_from(["git:1", "git:2", 7, None]), "code_version", "run"),
}


@st.composite
def event(
    draw: st.DrawFn,
    columns: dict[str, st.SearchStrategy[Any]],
    models: st.SearchStrategy[Any],
    time: int | None = None,
) -> bytes:
    """One event that has some of the columns; given a time, one that can be watched then."""
    chosen = draw(st.lists(st.sampled_from(sorted(columns)), unique=True, min_size=2))
    pairs: Pairs = [("model", draw(models)), *((name, draw(columns[name])) for name in chosen)]
    if time is not None:
        own = {"event_time": time, "prediction": 1}
        pairs = [*(pair for pair in pairs if pair[0] not in own), *own.items()]
    return write(tuple(draw(st.permutations(pairs)))).encode()


def good_at(time: int | None) -> st.SearchStrategy[bytes]:
    """Sound events, of this time if it is given."""
    return event(good_fields, st.sampled_from(["m", "n"]), time)


good = good_at(None)
odd = event(fields, st.sampled_from(["m", "n", "o"]))


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """An event with some bytes replaced, taken out or put in."""
    data = bytearray(draw(st.one_of(good, odd)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


strange = st.sampled_from(
    [
        None,
        b"",
        b" ",
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b"\xff",
        b'{"model":"m"}\n{"model":"m"}',
        b'{"model":"m"}',
    ]
)
record = st.one_of(good, good, good, odd, odd, broken(), strange)
streams = st.lists(record, min_size=1, max_size=40)
