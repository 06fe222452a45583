import random
import struct
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from driftline.codec import Unpacked, pack, unpack
from driftline.errors import StateCorrupt

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
Array = NDArray[Any]


def limits(dtype: str) -> tuple[int, int]:
    found = np.iinfo(dtype)
    return int(found.min), int(found.max)


@st.composite
def integer_arrays(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(INTEGERS))
    low, high = limits(dtype)
    near = draw(st.sampled_from([low, high, 0, 200, 60_000, 2**31]).filter(lambda at: low <= at <= high))
    spread = draw(st.sampled_from([0, 3, 300, 70_000, 2**33, 2**64]))
    values = st.integers(max(low, near - spread), min(high, near + spread))
    listed = draw(st.lists(values, max_size=60))
    return np.array(sorted(listed) if draw(st.booleans()) else listed, dtype=dtype)


float_arrays = st.lists(st.floats(width=64), max_size=30).map(lambda values: np.array(values, dtype=np.float64))
arrays = st.dictionaries(st.text(max_size=8), integer_arrays() | float_arrays, max_size=5)
plain_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def assert_same(unpacked: Unpacked, expected: dict[str, Array]) -> None:
    assert list(unpacked.arrays) == list(expected)
    for name, array in expected.items():
        found = unpacked.arrays[name]
        assert found.dtype == array.dtype
        assert found.tobytes() == array.tobytes()
        assert found.flags.writeable


@given(version=st.integers(0, 9), value=plain_values, packed=arrays)
def test_what_is_packed_comes_back(version: int, value: Any, packed: dict[str, Array]) -> None:
    unpacked = unpack(pack("pane", version, value, packed), "pane", range(10))
    assert (unpacked.version, unpacked.value) == (version, value)
    assert_same(unpacked, packed)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_ends_of_every_integer_type_come_back(dtype: str) -> None:
    low, high = limits(dtype)
    cases = {
        "both": [low, high],
        "down": [high, low],
        "low": [low] * 3,
        "high": [high] * 3,
        "steps": [low, low + 1, high - 1, high],
        "ascending from the bottom": list(range(low, low + 100)),
        "ascending to the top": list(range(high - 99, high + 1)),
    }
    packed = {name: np.array(values, dtype=dtype) for name, values in cases.items()}
    assert_same(unpack(pack("k", 1, None, packed), "k", [1]), packed)


@pytest.mark.parametrize(
    ("values", "bytes_each"),
    [
        (np.full(1_000, 255), 1),
        (np.resize([256, 0], 1_000), 2),
        (np.resize([-128, 127], 1_000), 1),
        (np.resize([-129, 127], 1_000), 2),
        (np.resize([0, 2**32 - 1], 1_000), 4),
        (np.resize([0, 2**32], 1_000), 8),
        (np.arange(1_000) + 2**60, 1),  # ascending: differences
        (np.arange(0, 300_000, 300), 2),
        (np.arange(1_000, dtype=np.uint64) + np.uint64(2**63 - 500), 1),  # ascending over the sign bit
        (np.linspace(0, 1, 1_000), 8),
    ],
)
def test_arrays_take_the_fewest_bytes(values: Array, bytes_each: int) -> None:
    size = len(pack("k", 1, None, {"a": values})) - len(pack("k", 1, None, {"a": values[:0]}))
    assert bytes_each * 999 <= size <= bytes_each * 1_000 + 16
    assert_same(unpack(pack("k", 1, None, {"a": values}), "k", [1]), {"a": values})


def test_strided_and_read_only_arrays_are_packed() -> None:
    strided = np.arange(100)[::3]
    strided.flags.writeable = False
    assert_same(unpack(pack("k", 1, None, {"a": strided}), "k", [1]), {"a": strided.copy()})


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.array(1), np.zeros(2, dtype=bool), np.array(["x"]), np.zeros(2, ">i8")]
)
def test_arrays_of_another_kind_are_refused(array: Array) -> None:
    with pytest.raises(
        TypeError, match=r"array 'a' has .* one-dimensional arrays of little-endian integers or float64"
    ):
        pack("k", 1, None, {"a": array})


PACKED = pack(
    "pane",
    2,
    {"model": "churn", "counts": [1, 2, 3]},
    {"keys": np.arange(5_000, 5_200), "counts": np.arange(200)[::-1].copy(), "sums": np.linspace(0, 1, 50)},
)


@pytest.mark.parametrize(
    ("data", "kind", "versions", "says"),
    [
        (PACKED, "reference", [2], "of kind 'reference' cannot be read: it holds state of kind 'pane'"),
        (
            PACKED,
            "pane",
            [1, 3],
            "has version 2, and this release of Driftline reads 1, 3: run the release that wrote it",
        ),
        (b"", "pane", [2], "it has only 0 bytes"),
        (b"JUNK" + PACKED[4:], "pane", [2], "begins with b'JUNK'"),
        (PACKED[:4] + b"\x02" + PACKED[5:], "pane", [2], "has format 2, and this release of Driftline reads 1"),
        (PACKED[:-1], "pane", [2], "checksum"),
        (PACKED + b"\0", "pane", [2], "checksum"),
    ],
)
def test_the_message_says_what_is_wrong(data: bytes, kind: str, versions: list[int], says: str) -> None:
    with pytest.raises(StateCorrupt) as refusal:
        unpack(data, kind, versions)
    assert says in str(refusal.value)


def test_every_single_changed_byte_is_noticed() -> None:
    for position in range(len(PACKED)):
        damaged = bytearray(PACKED)
        damaged[position] ^= 0x5A
        with pytest.raises(StateCorrupt):
            unpack(bytes(damaged), "pane", [2])


def sealed(body: bytes) -> bytes:
    """Return a body with a right checksum before it, as an attacker would write it."""
    return b"DRFT\x01" + struct.pack("<I", zlib.crc32(body)) + body


def with_header(header: object, arrays: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else msgspec.msgpack.encode(header)
    return sealed(struct.pack("<I", len(encoded)) + encoded + arrays)


def read_or_refuse(data: bytes) -> None:
    try:
        unpacked = unpack(data, "pane", [2])
    except StateCorrupt:
        return
    assert sum(array.nbytes for array in unpacked.arrays.values()) <= 8 * len(data) + 8 * len(unpacked.arrays)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)
    read_or_refuse(sealed(data))
    read_or_refuse(with_header(data))


@given(st.integers(), st.integers(1, 8))
def test_changed_bytes_under_a_right_checksum_are_read_or_refused(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    body = bytearray(PACKED[9:])
    for _ in range(changes):
        # The header is short beside the arrays, and where it goes wrong is where it gets interesting.
        body[chance.randrange(120 if chance.random() < 0.8 else len(body))] = chance.randrange(256)
    if chance.random() < 0.3:
        body = body[: chance.randrange(len(body))]
    read_or_refuse(sealed(bytes(body)))


dtypes = st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f8", "O", "", "i16"])
entries = st.tuples(
    st.sampled_from(["a", "b"]),
    dtypes,
    st.integers(0, 4) | st.integers(-1, 2**64 - 1),
    dtypes,
    st.none() | st.integers(-(2**63), 2**64 - 1),
)


@given(st.lists(entries, max_size=3), st.binary(max_size=40))
def test_any_table_is_read_or_refused(table: list[tuple[object, ...]], held: bytes) -> None:
    read_or_refuse(with_header(["pane", 2, None, table], held))


@pytest.mark.parametrize(
    ("table", "held"),
    [
        ([["a", "i8", 2**63, "u1", None]], b""),
        ([["a", "i8", 2**40, "u1", 5]], b""),
        ([["a", "i8", 0, "u1", 5]], b""),
        ([["a", "i8", 0, "u1", 5], ["b", "u1", 2, "u1", None]], bytes(1)),
        ([["a", "i8", -1, "u1", None]], b""),
        ([["a", "i8", 1, "u8", None]], bytes(8)),
        ([["a", "u8", 1, "i1", None]], bytes(1)),
        ([["a", "i8", 2, "u1", 2**63]], bytes(1)),
        ([["a", "u8", 2, "u1", -1]], bytes(1)),
        ([["a", "f8", 1, "i8", None]], bytes(8)),
        ([["a", "f8", 2, "u1", 0]], bytes(1)),
        ([["a", "O", 1, "O", None]], bytes(8)),
        ([["a", "i8", 1, "i8", None]] * 2, bytes(16)),
        ([["a", "i8", 1, "i8", None]], bytes(9)),
        ([["a", "i8", 1, "i8", None, 0]], bytes(8)),
        ([["a", "i8", 1]], bytes(8)),
        ("table", b""),
    ],
)
def test_a_table_that_lies_is_refused(table: object, held: bytes) -> None:
    with pytest.raises(StateCorrupt, match="cannot be read"):
        unpack(with_header(["pane", 2, None, table], held), "pane", [2])


@pytest.mark.parametrize(
    "header",
    [
        b"\x91" * 100_000 + b"\xc0",  # nested beyond the decoder's depth
        b"\x94\xa4pane\x02\xdd\xff\xff\xff\xff",  # a list said to hold 4 billion values
        b"\x94\xa2\xff\xff\x02\xc0\x90",  # a name that is no text
        b"\x94\xa4pane\x02\x81\x80\x01\x90",  # a dictionary as a key
        b"\xc1",
    ],
)
def test_a_header_that_cannot_be_decoded_is_refused(header: bytes) -> None:
    with pytest.raises(StateCorrupt, match="header cannot be read"):
        unpack(with_header(header), "pane", [2])
