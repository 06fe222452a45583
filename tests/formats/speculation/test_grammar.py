"""What a grammar learns, and that no walk along it can repeat a name."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from driftline.formats.shapes import FieldKind
from driftline.formats.speculation.grammar import END, START, Grammar, Path, parts_of


def test_a_record_is_pieces_and_values() -> None:
    found = parts_of(b'{ "model":"m", "event_id": 7,"features":{"x":-1.5e3,"geo":{"lat":null}} ,"ok":true}')
    assert found is not None
    parts, last = found
    assert [(part.piece, part.path, part.kind) for part in parts] == [
        (b'{ "model":"m", "event_id": ', ("event_id",), FieldKind.NUMBER),
        (b',"features":{"x":', ("features", "x"), FieldKind.NUMBER),
        (b',"geo":{"lat":', ("features", "geo", "lat"), FieldKind.NULL),
        (b'}} ,"ok":', ("ok",), FieldKind.BOOLEAN),
    ]
    assert last == b"}"


def test_what_no_grammar_describes() -> None:
    for record in (
        b'{"model":"m","features":{}}',
        b'{"model":"m","features":{"x":[1]}}',
        b'{"model":"m","features":{"x":1,"x":2}}',
        b'{"model":"m","features":{"\\u0078":1}}',
    ):
        assert parts_of(record) is None


def record(fields: list[Path]) -> bytes:
    """Write fields, in their order, as one record; neighbours in one object share it."""
    text = '{"model":"m"'
    open_now: Path = ()
    for path in fields:
        above = path[:-1]
        common = 0
        while common < min(len(open_now), len(above)) and open_now[common] == above[common]:
            common += 1
        text += "}" * (len(open_now) - common)
        for name in above[common:]:
            text += ("" if text.endswith("{") else ",") + f'"{name}":{{'
        text += ("" if text.endswith("{") else ",") + f'"{path[-1]}":1'
        open_now = above
    return (text + "}" * (len(open_now) + 1)).encode()


paths = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), min_size=1, max_size=6, unique=True
)


@given(st.lists(paths, min_size=1, max_size=8))
def test_no_walk_repeats_a_name(records: list[list[Path]]) -> None:
    grammar = Grammar()
    for fields in records:
        found = parts_of(record(fields))
        if found is not None:
            grammar.learn(*found)
    places = {START: -1, **{path: place for place, path in enumerate(grammar.order)}, END: len(grammar.order)}
    for before, edges in grammar.edges.items():
        for piece, after in edges:
            assert places[before] < places[after]
            assert piece
    for depth in (1, 2, 3):  # what is below a path stands together, so an object that was left is never entered again
        runs = [path[:depth] for path in grammar.order]
        changes = [after for before, after in pairwise(runs) if before != after] if runs else []
        assert len(changes) + bool(runs) == len(set(runs))


def test_an_optional_field_costs_an_edge() -> None:
    grammar = Grammar()
    for fields in ([("a",), ("b",), ("c",)], [("a",), ("c",)], [("a",), ("b",), ("x",), ("c",)]):
        found = parts_of(record([(name,) for (name,) in fields]))
        assert found is not None
        assert grammar.learn(*found)
    assert grammar.order == [("a",), ("b",), ("x",), ("c",)]
    assert grammar.size == 4 + 1 + 2


def test_another_order_needs_another_grammar() -> None:
    grammar = Grammar()
    first, second = parts_of(record([("a",), ("b",)])), parts_of(record([("b",), ("a",)]))
    assert first is not None
    assert second is not None
    assert grammar.learn(*first)
    assert grammar.learn(*second) is None
