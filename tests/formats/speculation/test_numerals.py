"""Numerals are read to the same bits as Python's `float` reads them, or not at all."""

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driftline.compiled import Bytes, address, compiled
from driftline.formats.speculation.scanning import FAILED, ROOM, number_bits
from driftline.sketches.keys import Ints


@compiled
def read(text: Bytes, size: int, out: Ints) -> None:
    begin = address(text)
    end, bits = number_bits(begin, begin + size)
    out[0], out[1] = (end if end == FAILED else end - begin), bits


def number(text: str) -> float | None:
    """Return the number that a text begins with and ends with, as the compiled reader sees it."""
    out = np.zeros(2, dtype=np.int64)
    read(np.frombuffer(text.encode() + bytes(ROOM), dtype=np.uint8), len(text), out)
    return float(out[1:].view(np.float64)[0]) if out[0] == len(text) else None


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


digits = st.text("0123456789", min_size=1, max_size=21)
numerals = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    digits.map(lambda text: text.lstrip("0") or "0"),
    st.one_of(st.just(""), digits.map(".{}".format)),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "e-"]), st.integers(0, 400))),
)


@given(numerals)
@example("9007199254740993")
@example("9007199254740992.5")
@example("1e23")
@example("8.41e21")
@example("2.2250738585072014e-308")
@example("1.7976931348623157e308")
@example("0.000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001")
def test_every_numeral_is_read_to_the_same_bits_or_left_to_others(text: str) -> None:
    got = number(text)
    assert got is None or bits(got) == bits(float(text))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_and_json_write_is_read(value: float) -> None:
    got = number(repr(value))
    assert got is not None or 0 < abs(value) < 2.3e-308
    assert got is None or bits(got) == bits(value)


@given(st.integers(-(10**19) + 1, 10**19 - 1))
def test_integers_of_up_to_19_digits_are_read(value: int) -> None:
    got = number(str(value))
    assert got is not None
    assert got == float(value)


@pytest.mark.parametrize(
    "text", ["", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "NaN", "Infinity", "1e400", "0x1"]
)
def test_what_is_no_json_number_is_not_read(text: str) -> None:
    assert number(text) is None


def test_zero_keeps_its_sign() -> None:
    got = number("-0.0")
    assert got is not None
    assert math.copysign(1, got) == -1.0
