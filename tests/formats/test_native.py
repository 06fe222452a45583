"""The fast path and the slow path are one decoder: whatever the batching, whatever was learned before."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.columns.batch import NO_ID, ColumnBatch
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.columns.times import BAD_TIME, parse_time
from driftline.formats.event_shape import pack_shapes
from driftline.formats.native import NativeDecoder
from driftline.formats.validate import validate
from tests.formats import records

ROOMY = Limits()
SMALL = Limits(models=2, versions=2, segments=2, signals=4, depth=2, name_length=12)
TAGS = ("tenant", "land")


def decoder(limits: Limits = ROOMY) -> NativeDecoder:
    return NativeDecoder(limits, lambda model: TAGS)


def split(values: Sequence[Any], cuts: Sequence[int]) -> list[Sequence[Any]]:
    places = sorted({0, len(values), *(cut % (len(values) + 1) for cut in cuts)})
    return [values[start:stop] for start, stop in pairwise(places)]


Row = tuple[int, int, int, object, object]


def rows_of(batch: ColumnBatch) -> list[Row]:
    """Return per record its reason, time, id, ignored fields, and what was found in it by signal."""
    found: dict[int, list[object]] = {}
    for columns in batch.models:
        signals = list(columns.shape.signals)
        for at, row in enumerate(columns.rows.tolist()):
            if batch.reasons[row]:
                continue
            version = columns.shape.versions[columns.versions[at]]
            held: list[object] = [("model", columns.shape.model), ("version", version)]
            held += [("segment", columns.shape.segments[codes[at]]) for codes in columns.segments]
            for slot, value in zip(columns.number_slots.tolist(), columns.numbers[:, at].tolist(), strict=True):
                if np.isfinite(value):
                    held.append((signals[slot], "number", value))
            for cell, key in zip(columns.category_cells.tolist(), columns.categories[:, at].tolist(), strict=True):
                if key >= 0:
                    held.append((signals[cell // 4], cell % 4, key))
            chosen = columns.oddity_rows == at
            held += [
                (signals[slot], "oddity", key)
                for slot, key in zip(
                    columns.oddity_slots[chosen].tolist(), columns.oddity_keys[chosen].tolist(), strict=True
                )
            ]
            found[row] = sorted(held, key=str)
    times, ids = batch.times.tolist(), batch.ids.tolist()
    return [
        (
            reason,
            times[at] if reason == 0 else BAD_TIME,
            ids[at] if reason == 0 else NO_ID,
            batch.ignored.get(at, 0),
            found.get(at),
        )
        for at, reason in enumerate(batch.reasons.tolist())
    ]


@pytest.mark.parametrize("limits", [ROOMY, SMALL], ids=["roomy", "small limits"])
@settings(max_examples=150)
@given(values=records.streams, cuts=st.lists(st.integers(0, 99), max_size=5))
def test_any_split_of_a_batch_gives_the_same_rows(limits: Limits, values: list[bytes | None], cuts: list[int]) -> None:
    whole = rows_of(decoder(limits).decode(values))
    one, cut = decoder(limits), decoder(limits)
    assert [row for value in values for row in rows_of(one.decode([value]))] == whole
    assert [row for part in split(values, cuts) for row in rows_of(cut.decode(part))] == whole
    assert [shape.encode() for shape in one.shapes.values()] == [shape.encode() for shape in cut.shapes.values()]


@settings(max_examples=100)
@given(values=records.streams, before=records.streams)
def test_the_slow_path_decides_what_is_valid(values: list[bytes | None], before: list[bytes | None]) -> None:
    fast = decoder()
    fast.decode(before)
    got = fast.decode(values).reasons.tolist()
    for value, reason in zip(values, got, strict=True):
        expected, _, event = validate(value, Limits())
        if expected is not Reason.ACCEPTED:
            assert reason == expected
        elif parse_time(event.get("event_time")) == BAD_TIME:
            assert reason in (Reason.BAD_EVENT_TIME, Reason.EVENT_TIME_UNIT, Reason.BAD_NAME)
        else:
            assert reason in (Reason.ACCEPTED, Reason.BAD_NAME)


@settings(max_examples=60)
@given(values=records.streams, at=st.integers(0, 99))
def test_a_restored_decoder_goes_on_as_if_nothing_had_happened(values: list[bytes | None], at: int) -> None:
    at %= len(values) + 1
    first, second = decoder(SMALL), decoder(SMALL)
    first.decode(values[:at])
    second.restore(pack_shapes(first.shapes.values()))
    assert rows_of(second.decode(values[at:])) == rows_of(first.decode(values[at:]))


@given(values=st.lists(records.good, min_size=1, max_size=40))
def test_what_was_learned_is_decoded_without_a_second_look(values: list[bytes]) -> None:
    decode = decoder()
    decode.decode(values)
    decode.learned = False
    generations = {model: shape.generation for model, shape in decode.shapes.items()}
    events, refused = decode._strictly(values)
    valid = [at for at, value in enumerate(values) if validate(value, Limits())[0] is Reason.ACCEPTED]
    assert not set(refused).intersection(valid)
    assert len(events) == len(values) or len(refused) == 16
    decode.decode(values)
    assert not decode.learned
    assert generations == {model: shape.generation for model, shape in decode.shapes.items()}


def test_old_struct_types_are_let_go() -> None:
    decode = decoder()
    for number in range(50):
        decode.decode([b'{"model":"m","features":{"f%d":1}}' % number])
    assert len(decode._shape_of) == 2


def test_a_topic_of_many_models_is_decoded_in_one_pass() -> None:
    decode = decoder()
    values = [b'{"model":"m%d","features":{"f%d":%d}}' % (k % 100, k % 100, k) for k in range(1_000)]
    decode.decode(values)
    batch = decode.decode(values)
    assert not batch.reasons.any()
    assert len(batch.models) == 100
    assert all(len(columns.rows) == 10 for columns in batch.models)


def test_a_field_that_has_only_been_null_counts_its_nulls_in_every_batch() -> None:
    value = b'{"model":"m","event_time":1,"features":{"on":true,"x":null},"prediction":false}'
    decode = decoder()
    for _ in range(3):
        found = rows_of(decode.decode([value] * 300))
        assert all(("features.x", "oddity", 1) in held for *_, held in found if isinstance(held, list))
        assert all(held for *_, held in found)


@pytest.mark.parametrize(
    ("features", "seen", "ignored"),
    [
        ('{"a.b":1,"a":{"b":2}}', [("features.a.b", "number", 1.0)], 1),
        ('{"a":{"b":2},"a.b":1}', [("features.a.b", "number", 2.0)], 1),
        ('{"a":{"b":{"c":1}},"a.b":{"c":2}}', [("features.a.b.c", "number", 1.0)], 1),
        ('{"x":[7,7],"x.length":5}', [("features.x", "oddity", 2), ("features.x.length", "number", 2.0)], 1),
        ('{"x.length":5,"x":[7,7]}', [("features.x", "oddity", 2), ("features.x.length", "number", 5.0)], 0),
    ],
)
def test_two_fields_never_become_one_signal(features: str, seen: list[object], ignored: int) -> None:
    value = b'{"model":"m","event_time":1,"features":%s}' % features.encode()
    made = decoder()
    for decode in (made, decoder()):
        if decode is not made:  # what is stored says it again
            decode.restore(pack_shapes(made.shapes.values()))
        for _ in range(3):
            batch = decode.decode([value] * 200)
            assert {count for *_, count, _ in rows_of(batch)} == {ignored}
            for *_, held in rows_of(batch):
                assert isinstance(held, list)
                assert [each for each in held if each[0].startswith("features")] == seen
