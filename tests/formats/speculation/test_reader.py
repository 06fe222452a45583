"""What is read by speculation is what the careful decoder reads: the same rows, for records written in any way."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.columns.shape import Limits
from driftline.formats.native import NativeDecoder
from driftline.formats.speculation.reader import FEW_ROWS, LESSONS
from tests.formats import records
from tests.formats.test_native import rows_of

TAGS = ("tenant", "land")


def decoder(*, careful: bool = False) -> NativeDecoder:
    made = NativeDecoder(Limits(), lambda model: TAGS)
    if careful:
        made._fast.learn = lambda lessons: None  # type: ignore[method-assign]
    return made


def left_by(made: NativeDecoder, values: Sequence[bytes]) -> list[int]:
    """Return the positions of the records that speculation leaves to the careful decoder."""
    times, ids = np.zeros((2, len(values)), dtype=np.int64)
    found: list[int] = made._fast.read(values, times, ids)[1].tolist()
    return found


spellings = st.one_of(
    st.sampled_from(records.NUMBERS),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["-0", "1E5", "1e-400", "0.1e+2", "1e400", "00", "1.", "-", "0e23", "-0.0e-99"]),
    st.sampled_from(["true", "false", "null", "tru", "nul", "[]", "{}"]),
    st.text(max_size=6).map(json.dumps),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(['"\\ud800"', '"\\x"', '"a\tb"', '"' + "l" * 140 + '"', '"unended']),
    st.sampled_from(['"2026-09-21T14:13:20Z"', '"2026-02-30T14:13:20Z"', '"2026-09-21T14:13:20.25Z"', "1790000000000"]),
)  # fmt: skip
TEMPLATE = (
    '{"event_id":%s,"event_time":%s,"model":"m","model_version":%s,"features":{"x":%s,"y":%s,"geo":{"lat":%s}},'
    '"prediction":%s,"segment":{"tenant":%s},"tags":{"a":%s,"code_version":%s},"latency_ms":%s}'
)
USUAL = ('"p-1"', '"2026-09-21T14:13:20Z"', '"3"', "1.5", '"u"', "60.1", "0.25", '"acme"', '"t"', '"git:1"', "12")
HOLES = len(USUAL)


def filled(changes: dict[int, str]) -> bytes:
    return (TEMPLATE % tuple(changes.get(at, usual) for at, usual in enumerate(USUAL))).encode("utf-8", "surrogatepass")


changed = st.dictionaries(st.integers(0, HOLES - 1), spellings, max_size=3).map(filled)


@settings(max_examples=300)
@given(before=st.lists(changed, max_size=6), values=st.lists(changed, min_size=1, max_size=12))
def test_any_spelling_of_a_value_is_read_as_the_careful_decoder_reads_it(
    before: list[bytes], values: list[bytes]
) -> None:
    fast, careful = decoder(), decoder(careful=True)
    for batch in ([filled({})], before, values, values):
        assert rows_of(fast.decode(batch)) == rows_of(careful.decode(batch))
    assert [shape.encode() for shape in fast.shapes.values()] == [shape.encode() for shape in careful.shapes.values()]


@settings(max_examples=100)
@given(data=st.data(), values=st.lists(changed, min_size=1, max_size=8))
def test_bytes_changed_anywhere_are_read_as_the_careful_decoder_reads_them(
    data: st.DataObject, values: list[bytes]
) -> None:
    fast, careful = decoder(), decoder(careful=True)
    fast.decode([filled({})])
    careful.decode([filled({})])
    broken = []
    for value in values:
        text = bytearray(value)
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        broken.append(bytes(text))
    assert rows_of(fast.decode(broken)) == rows_of(careful.decode(broken))


@settings(max_examples=100)
@given(batches=st.lists(records.streams, min_size=2, max_size=5))
def test_a_careless_world_is_read_alike(batches: list[list[bytes | None]]) -> None:
    fast, careful = decoder(), decoder(careful=True)
    for batch in batches:
        assert rows_of(fast.decode(batch)) == rows_of(careful.decode(batch))


def test_the_usual_record_is_not_left_to_the_careful_decoder() -> None:
    made = decoder()
    made.decode([filled({})])
    made.decode([filled({})])
    fine: list[dict[int, str]] = [
        {}, {0: "null"}, {0: "17"}, {1: "1790000000000"}, {2: "3"}, {3: "null"}, {3: "-1e-7"},
        {3: "0.1234567890123456"}, {4: '"Tromsø"'}, {4: '"a \\"quoted\\" word"'}, {4: "null"}, {6: "1"}, {9: "null"},
    ]  # fmt: skip
    assert left_by(made, [filled(changes) for changes in fine]) == []


def event(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "prediction": 1.5, **fields}).encode()


def test_optional_fields_kinds_and_orders_are_learned() -> None:
    made = decoder()
    values = [
        event(features={"x": 1, "y": 2, "z": "a"}),
        event(features={"x": 1, "z": "a"}),
        event(features={"y": 1}),
        event(features={"x": "now a string", "y": True}),
        json.dumps({"features": {"y": 1, "x": 2}, "prediction": 2, "model": "m"}).encode(),
    ]
    for _ in range(3):
        made.decode(values)
    assert left_by(made, values) == []
    assert left_by(made, [event(features={"x": 3, "y": False, "z": "new"})]) == []


def test_a_field_that_has_only_been_null_is_read_and_its_first_number_is_not() -> None:
    made, careful = decoder(), decoder(careful=True)
    values = [event(features={"x": None, "y": 1})] * 3
    for _ in range(3):
        assert rows_of(made.decode(values)) == rows_of(careful.decode(values))
    assert left_by(made, values) == []
    first = event(features={"x": 2, "y": 1})
    assert left_by(made, [first]) == [0]
    assert rows_of(made.decode([first])) == rows_of(careful.decode([first]))


def test_a_model_that_teaches_nothing_is_let_be() -> None:
    made = decoder()
    values = [event(features={"x": [1, 2]})] * (4 * LESSONS)
    for _ in range(3):
        made.decode(values)
    (model,) = made._fast._models.values()
    assert model.patience == 0
    assert len(left_by(made, values)) == len(values)


def test_many_models_and_values_are_read_after_tokens_were_forgotten() -> None:
    made, careful = decoder(), decoder(careful=True)
    values = [
        json.dumps({"model": f"m{k % 7}", "model_version": k % 3, "features": {f"f{k % 7}": f"v{k}"}}).encode()
        for k in range(500)
    ]
    made.decode(values)
    made.trim(())
    assert rows_of(made.decode(values)) == rows_of(careful.decode(values))
    assert left_by(made, values) == []
    assert {made.keys.names[key] for key in made.keys.names} >= {"v0", "v499"}


def test_many_rows_and_few_of_a_model_get_the_same_codes_and_no_model_keeps_a_table_of_all_values() -> None:
    made, careful = decoder(), decoder(careful=True)
    few = [json.dumps({"model": f"m{k % 40}", "model_version": k % 3, "features": {"f": f"v{k}"}}) for k in range(800)]
    many = [
        json.dumps({"model": "m", "model_version": k % 5, "features": {"f": "v"}, "segment": {"tenant": f"t{k % 9}"}})
        for k in range(FEW_ROWS + 500)
    ]
    values = [record.encode() for record in (*few, *many)]
    for _ in range(4):
        assert rows_of(made.decode(values)) == rows_of(careful.decode(values))
    assert left_by(made, values) == []
    held = [len(codes) for model in made._fast._models.values() for codes in model._codes]
    assert sum(held) <= 41 * 3 + 5 + 9 + 41 * len(TAGS), "of a thousand models, tables of 100,000 values took gigabytes"
