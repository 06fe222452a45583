"""The form in which tasks store their state: one versioned, checked blob of plain values and numpy arrays.

    "DRFT"  format  crc32 of all that follows  header length  header (MessagePack)  arrays, one after the other
    4       1       4                          4              as said               as the header's table says

All numbers are little-endian. The header names the kind of state and its version, so that an upgrade can read what
the release before it wrote. State may be damaged or hostile: nothing in it is executed, every length is checked
before memory is taken, and whatever is wrong with it raises `StateCorrupt`.

Counts are small and keys ascend, so an integer array is stored in the narrowest width that holds it; one that ascends
is stored as differences where those are narrower still.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.errors import StateCorrupt, StateOtherRelease

Array = NDArray[Any]

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things, or a position among them, in stored state."""
LAST: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: later times cannot be written in RFC 3339."""
Time: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**45), le=LAST)]
"""Epoch milliseconds in stored state."""
Mark: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**62), le=LAST)]
"""A time in stored state, or the least value of all: before any time."""
Span: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**45)]
"""A length in milliseconds in stored state."""

_MAGIC: Final = b"DRFT"
_FORMAT: Final = 1
_PREFIX: Final = struct.Struct("<4sBI")
_HEADER_LENGTH: Final = struct.Struct("<I")

_SIGNED: Final = {width: np.dtype(f"<i{width}") for width in (1, 2, 4, 8)}
_UNSIGNED: Final = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_FLOAT: Final = np.dtype("<f8")
_INTEGERS: Final = (*_SIGNED.values(), *_UNSIGNED.values())
_NAMES: Final = {dtype: dtype.str[1:] for dtype in (*_INTEGERS, _FLOAT)}
_DTYPES: Final = {name: dtype for dtype, name in _NAMES.items()}
_WIDTHS: Final = tuple(next(width for width in (1, 2, 4, 8) if 8 * width >= bits) for bits in range(65))
"""Bytes that hold a number of so many bits."""
_START_BYTES: Final = 8
"""What the first value of an array of differences adds to the table, at most."""

# Every (dtype, stored as) in which each stored value is a value of the dtype, so that reading needs no range check.
_DIRECT: Final = {(dtype, dtype) for dtype in _NAMES} | {
    (dtype, stored)
    for dtype in _INTEGERS
    for stored in _INTEGERS
    if stored.itemsize < dtype.itemsize and (stored.kind == "u" or dtype.kind == "i")
}
_DIFFERENCES: Final = {
    (dtype, stored) for dtype in _INTEGERS for stored in _UNSIGNED.values() if stored.itemsize < dtype.itemsize
}


class _Entry(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One array in the header's table."""

    name: str
    dtype: str
    length: Annotated[int, msgspec.Meta(ge=0)]
    stored: str
    start: int | None = None
    """The first value, where the others are stored as differences modulo 2^bits of `dtype`."""

    @property
    def stored_length(self) -> int:
        return self.length if self.start is None else self.length - 1


class _Header(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    kind: str
    version: int
    value: Any
    table: list[_Entry]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Header)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What `unpack` read."""

    version: int
    value: Any
    """The value in plain types; `msgspec.convert` makes a typed object of it."""
    arrays: dict[str, Array]
    """Writable arrays, in the order and with the dtypes in which they were packed."""


def pack(kind: str, version: int, value: object, arrays: Mapping[str, Array]) -> bytes:
    """Encode one piece of state.

    `kind` and `version` say what it is; reading it asks for them. `value` is anything that msgspec encodes as
    MessagePack. `arrays` are one-dimensional, of an integer dtype or float64.

    Raises `TypeError` for any other array or value, `OverflowError` for an integer in `value` of more than 64 bits.
    """
    table: list[_Entry] = []
    chunks: list[memoryview] = []
    for name, array in arrays.items():
        entry, stored = _shrink(name, array)
        table.append(entry)
        chunks.append(stored.data)
    header = _ENCODER.encode(_Header(kind, version, value, table))
    body: list[bytes | memoryview] = [_HEADER_LENGTH.pack(len(header)), header, *chunks]
    crc = 0
    for chunk in body:
        crc = zlib.crc32(chunk, crc)
    return b"".join([_PREFIX.pack(_MAGIC, _FORMAT, crc), *body])


def unpack(data: bytes, kind: str, versions: Sequence[int]) -> Unpacked:
    """Decode what `pack` wrote as `kind`, in any of the `versions` that the caller can read.

    Raises `StateCorrupt` for anything else, and never another error.
    """
    header, position = _read_header(data, kind)
    if header.kind != kind:
        raise corrupt(kind, f"it holds state of kind {header.kind[:80]!r}")
    if header.version not in versions:
        raise _other_release(f"state of kind {kind!r} has version {header.version}", versions)
    dtypes = [_dtypes(entry, kind) for entry in header.table]
    size = sum(entry.stored_length * stored.itemsize for entry, (_, stored) in zip(header.table, dtypes, strict=True))
    if position + size != len(data):
        raise corrupt(kind, f"its table asks for {size} bytes of arrays, but {len(data) - position} are there")
    arrays: dict[str, Array] = {}
    for entry, (dtype, stored_as) in zip(header.table, dtypes, strict=True):
        stored: Array = np.frombuffer(data, stored_as, entry.stored_length, position)
        arrays[entry.name] = stored.astype(dtype) if entry.start is None else _integrate(entry.start, stored, dtype)
        position += stored.nbytes
    if len(arrays) != len(header.table):
        raise corrupt(kind, "its table lists an array twice")
    return Unpacked(header.version, header.value, arrays)


@contextmanager
def corrupt_if_it_fails(what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into `StateCorrupt`: there, all that comes from outside is stored state.

    The state of a task is read into objects that trust it afterwards. What a wrong value in it raises on the way there
    may be anything; that the value is wrong is all there is to say.
    """
    try:
        yield
    except StateCorrupt:
        raise
    except Exception as error:
        raise corrupt(what, f"{type(error).__name__}: {str(error)[:200]}") from error


def _shrink(name: str, array: Array) -> tuple[_Entry, Array]:
    """Return how to store an array in the fewest bytes, and the bytes."""
    dtype = array.dtype
    code = _NAMES.get(dtype)
    if code is None or array.ndim != 1:
        raise TypeError(
            f"array {name!r} has {array.ndim} dimensions and dtype {dtype}: "
            "state may hold only one-dimensional arrays of little-endian integers or float64"
        )
    array = np.ascontiguousarray(array)
    length = array.size
    if dtype == _FLOAT or dtype.itemsize == 1 or not length:
        return _Entry(name, code, length, code), array
    direct = _narrowest(array)
    if direct.itemsize > 1:
        signed = array.view(_SIGNED[dtype.itemsize])
        steps = signed[1:] - signed[:-1]
        union = int(np.bitwise_or.reduce(steps))
        if union >= 0:
            width = _WIDTHS[union.bit_length()]
            if width < dtype.itemsize and width * (length - 1) + _START_BYTES < length * direct.itemsize:
                narrow = _UNSIGNED[width]
                return _Entry(name, code, length, _NAMES[narrow], int(array[0])), steps.astype(narrow)
    return _Entry(name, code, length, _NAMES[direct]), array.astype(direct, copy=False)


def _narrowest(values: Array) -> np.dtype[Any]:
    """Return the smallest dtype that holds all the values: their own, or one allowed for it in `_DIRECT`."""
    union = int(np.bitwise_or.reduce(values))
    if union >= 0:
        width = _WIDTHS[union.bit_length()]
        return _UNSIGNED[width] if width < values.dtype.itemsize else values.dtype
    magnitudes = values ^ (values >> (8 * values.dtype.itemsize - 1))
    return _SIGNED[_WIDTHS[int(np.bitwise_or.reduce(magnitudes)).bit_length() + 1]]


def _integrate(start: int, steps: Array, dtype: np.dtype[Any]) -> Array:
    whole = np.empty(steps.size + 1, _SIGNED[dtype.itemsize])
    whole.view(dtype)[0] = start
    whole[1:] = steps
    # In place, and modulo 2^bits: signed and unsigned sums have the same bits.
    return np.cumsum(whole, dtype=whole.dtype, out=whole).view(dtype)


def _read_header(data: bytes, kind: str) -> tuple[_Header, int]:
    """Return the header and the position of the first array."""
    start = _PREFIX.size + _HEADER_LENGTH.size
    if len(data) < start:
        raise corrupt(kind, f"it has only {len(data)} bytes")
    magic, written_format, crc = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise corrupt(kind, f"it begins with {magic!r} not with {_MAGIC!r}")
    if written_format != _FORMAT:
        raise _other_release(f"state of kind {kind!r} has format {written_format}", (_FORMAT,))
    if zlib.crc32(memoryview(data)[_PREFIX.size :]) != crc:
        raise corrupt(kind, "its checksum does not match its bytes")
    end = start + _HEADER_LENGTH.unpack_from(data, _PREFIX.size)[0]
    if end > len(data):
        raise corrupt(kind, f"its header should end at byte {end} of {len(data)}")
    try:
        return _DECODER.decode(memoryview(data)[start:end]), end
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise corrupt(kind, f"its header cannot be read ({error})") from error


def _dtypes(entry: _Entry, kind: str) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype of an array and the one that it is stored as."""
    dtype, stored = _DTYPES.get(entry.dtype), _DTYPES.get(entry.stored)
    if dtype is not None and stored is not None:
        if entry.start is None:
            if (dtype, stored) in _DIRECT:
                return dtype, stored
        elif (dtype, stored) in _DIFFERENCES and entry.length > 0:
            limits = np.iinfo(dtype)
            if limits.min <= entry.start <= limits.max:
                return dtype, stored
    raise corrupt(kind, f"array {entry.name[:80]!r} cannot be {entry.dtype[:8]!r} stored as {entry.stored[:8]!r}")


def corrupt(kind: str, fault: str) -> StateCorrupt:
    """Return the error for stored state of a kind, or of a task, with what is wrong with it."""
    return StateCorrupt(
        f"stored state of kind {kind!r} cannot be read: {fault}",
        "Restore the store from a backup, or start again with `driftline state reset`",
    )


def _other_release(what: str, readable: Sequence[int]) -> StateOtherRelease:
    known = ", ".join(map(str, readable))
    return StateOtherRelease(f"{what}, and this release of Driftline reads {known}: run the release that wrote it")
