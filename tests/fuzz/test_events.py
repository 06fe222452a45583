"""A short run of what `make fuzz` does, and what the fuzzer itself must be able to do."""

import json
import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from driftline.columns.batch import ColumnBatch, ReadHeaders, no_headers
from driftline.columns.reasons import Reason
from driftline.columns.shape import NO_VALUE, NO_VERSION, Limits
from driftline.formats.native import NativeDecoder
from tests.fuzz import producers, spelling
from tests.fuzz.comparing import Value, difference, pieces, shrunk
from tests.fuzz.mutations import Mutator, read, write
from tests.fuzz.plain import PlainDecoder
from tests.fuzz.worlds import Tally, World

OF_LABELS = {Reason.MISSING_EVENT_ID.label, Reason.MISSING_LABEL.label, Reason.BAD_LABEL_TIME.label}
"""Reasons to reject a label: no prediction has one."""


@pytest.mark.parametrize("seed", range(4))
def test_both_decoders_and_any_batches_give_the_same_rows_panes_and_alerts(seed: int) -> None:
    tally = Tally()
    World(f"test/{seed}", ()).run(1_200, tally)
    assert tally.fates.total() == 1_200
    assert tally.panes


def test_strange_events_meet_every_fate() -> None:
    """The fuzzer reaches what it is there for: all reasons but those that no event alone can have."""
    tally = Tally()
    for seed in range(10):
        World(f"fates/{seed}", ()).run(400, tally)
    never = {"event-time-behind", *OF_LABELS}  # `max_age` is not set
    assert {reason.label for reason in Reason} - set(tally.fates) <= never | {"too-many-models", "event-time-ahead"}
    assert tally.fates["accepted"] > tally.events // 4


def test_numbers_of_any_spelling_are_read_as_python_reads_them() -> None:
    chance = random.Random("numbers")
    values, expected = [], []
    for _ in range(4_000):
        text = spelling.number(chance, chance.choice(("12.5", "0.1", "-3", "1e-7")))
        values.append(b'{"model":"m","event_time":1,"features":{"x":%b}}' % text.encode())
        expected.append(float(text))
    decode = NativeDecoder(Limits(), lambda model: ())
    decode.decode(values[:100])
    batch = decode.decode(values)
    (columns,) = batch.models
    found = dict(zip(columns.rows.tolist(), columns.numbers[0].tolist(), strict=True))
    kinds = Counter(math.isfinite(number) for number in expected)
    assert kinds[True] > 3_000
    assert kinds[False] > 50
    for at, (value, number) in enumerate(zip(values, expected, strict=True)):
        if math.isfinite(number):
            assert (found[at] + 0.0).hex() == (number + 0.0).hex(), value  # -0 is 0 in the sketches
        else:
            assert batch.reasons[at], value


def test_misspelt_tokens_are_never_numbers() -> None:
    plain, native = PlainDecoder(Limits(), lambda model: ()), NativeDecoder(Limits(), lambda model: ())
    good = [b'{"model":"m","event_time":1,"features":{"x":%d.5,"s":"a"}}' % at for at in range(600)]
    for misspelt in spelling.MISSPELT:
        values = list(good)
        values[300] = b'{"model":"m","event_time":1,"features":{"x":%b,"s":"a"}}' % misspelt.encode()
        got = native.decode(values)
        assert difference(values, got, plain.decode(values)) == ""
        assert got.reasons[300], misspelt


def test_an_event_without_version_and_segment_is_beyond_their_limits_like_any_other() -> None:
    limits, tags = Limits(versions=1, segments=1), lambda model: ("tenant",)
    values = [
        b'{"model":"m","prediction":1,"model_version":"1","segment":{"tenant":"a"}}',
        b'{"model":"m","prediction":1}',
    ]
    got = NativeDecoder(limits, tags).decode(values)
    assert difference(values, got, PlainDecoder(limits, tags).decode(values)) == ""
    assert got.beyond == [(1, "segments", f"m[tenant={NO_VALUE}]"), (1, "versions", f"m/{NO_VERSION}")]


@pytest.mark.parametrize("text", spelling.TEXTS)
def test_a_string_spelled_otherwise_is_the_same_string(text: str) -> None:
    chance = random.Random(text)
    for _ in range(20):
        assert json.loads(spelling.spelled(chance, text)) == text


def test_an_event_is_written_as_it_was_read() -> None:
    for kind in producers.EVERY_KIND:
        value = json.dumps(kind, separators=(",", ":"), ensure_ascii=False).encode()
        assert write(read(value)) == value


def test_the_same_seed_makes_the_same_events() -> None:
    def some(seed: str) -> list[bytes | None]:
        chance = random.Random(seed)
        mutator = Mutator(chance, spelled=0.5, respelled=0.5, restructured=0.3, damaged=0.3)
        return [mutator.event(next(producers.every_kind(chance))) for _ in range(300)]

    assert some("a") == some("a")
    assert some("a") != some("b")


def test_a_difference_is_found_and_made_small() -> None:
    """A decoder that reads one number wrongly is caught, and the record is named."""

    class OneOff(PlainDecoder):
        def decode(
            self, values: Sequence[Value], timestamps: Sequence[int] = (), headers: ReadHeaders = no_headers
        ) -> ColumnBatch:
            return super().decode([value.replace(b"0.3", b"0.4") if value else value for value in values])

    def fails(values: Sequence[Value]) -> bool:
        wrong, right = OneOff(Limits(), lambda model: ()), PlainDecoder(Limits(), lambda model: ())
        return bool(difference(values, wrong.decode(values), right.decode(values)))

    values: list[Value] = [b'{"model":"m","features":{"x":%d}}' % at for at in range(50)]
    values[31] = b'{"model":"m","features":{"x":0.3}}'
    assert shrunk(values, fails) == [values[31]]
    assert pieces(values, [7, 20])[1] == values[7:20]
