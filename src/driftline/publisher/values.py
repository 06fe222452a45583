"""Values as a service holds them, to values that JSON has a word for: Python's, numpy's, pandas' and polars'.

What is missing becomes None. What has no form that the stream understands is rejected, with the name of its feature.
No library is imported for this: their objects are known by what they can do.
"""

import dataclasses
import datetime
import enum
import math
import uuid
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from driftline.errors import InputError

MAX_DEPTH = 32
"""Values nested deeper are rejected; the stream takes 64, less what is around them."""
LONGEST_NAME = 256
_MISSING = {("pandas", "NAType"), ("pandas", "NaTType"), ("polars", "Null"), ("numpy", "MaskedConstant")}


def plain(value: object, name: str, depth: int = 0) -> Any:
    """Return a value as Python's own None, booleans, numbers, text, lists and dictionaries. Raises `InputError`.

    >>> plain({"age": Fraction(1, 2), 7: datetime.date(2026, 3, 12)}, "features")
    {'age': 0.5, '7': '2026-03-12'}
    """
    kind = type(value)
    if kind is str:
        return _text(value, name)  # type: ignore[arg-type]
    if kind is float:
        return value if math.isfinite(value) else None  # type: ignore[arg-type]
    if kind is bool or value is None:
        return value
    if kind is int:
        return _integer(value, name)  # type: ignore[arg-type]
    if depth > MAX_DEPTH:
        raise InputError(f"{name} is nested deeper than {MAX_DEPTH} objects or lists: publish less of it")
    if isinstance(value, Mapping):
        return plain_mapping(value, name, depth)
    if isinstance(value, enum.Enum):
        return plain(value.value, name, depth + 1)
    if _is_missing(value):
        return None
    found = _scalar(value, name)
    if found is not _NO_SCALAR:
        return found
    return _compound(value, name, depth)


def plain_mapping(value: Mapping[Any, Any], name: str, depth: int = 0) -> dict[str, Any]:
    """Return a mapping with names as text, as the stream writes them: 1 and 1.0 are "1", True is "true"."""
    made: dict[str, Any] = {}
    for key, below in value.items():
        text = key if type(key) is str else _key(key, name)
        if text in made:
            raise InputError(f"{name} has two fields {text!r} (one is {key!r}): give each a name of its own")
        fault = name_fault(text)
        if fault:
            raise InputError(f"{name} has a field {shown(key)}, whose name {fault}: rename it")
        # Most values are fine as they are: then no path is put together for a message that nobody needs.
        made[text] = below if _as_it_is(below) else plain(below, f"{name}.{text}", depth + 1)
    return made


def _as_it_is(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is str:
        return bool(value.isascii())
    if kind is int:
        return bool(-(2**63) <= value < 2**63)
    return kind is bool or value is None


def single(value: object) -> object:
    """Return what an array or list of one value holds, such as what `model.predict(x)` returns for one x."""
    while not isinstance(value, (str, bytes, Mapping)):
        as_list = getattr(value, "tolist", None) or getattr(value, "to_list", None)
        sequence = isinstance(value, Sequence) or (as_list is not None and getattr(value, "shape", ()) != ())
        if not sequence or len(value) != 1:  # type: ignore[arg-type]
            return value
        value = next(iter(value))  # type: ignore[call-overload]
    return value


@lru_cache(10_000)
def name_fault(name: str) -> str:
    """Return what keeps a field from being watched under this name; empty text for nothing."""
    if not name:
        return "is empty"
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters"
    if '"' in name or "\\" in name:
        return "holds a quote or a backslash"
    return text_fault(name)


def text_fault(text: str) -> str:
    """Return what keeps a text from being shown: control characters, and halves of characters."""
    if text.isprintable():
        return ""
    unfit = any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 for letter in text)
    return "holds control characters" if unfit else ""


def shown(value: object) -> str:
    """Return a value for a message, shortened."""
    try:
        written = " ".join(repr(value).split())
    except Exception:  # a repr of somebody else's, which may do anything
        written = f"<{type(value).__name__}>"
    return written if len(written) <= 60 else written[:59] + "…"


def rejection(value: object, name: str, wanted: str) -> InputError:
    """Return the error that says what a value is instead of what is wanted."""
    return InputError(f"{name} is {shown(value)} ({type(value).__name__}): {wanted}")


_NO_SCALAR = object()


def _text(value: str, name: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{name} is {shown(value)}, which is not Unicode text: decode it again") from None
    return value


def _integer(value: int, name: str) -> int:
    if not -(2**63) <= value < 2**63:
        try:
            float(value)
        except OverflowError:
            raise InputError(f"{name} has {value.bit_length()} bits, too many for a number: pass text") from None
    return value


def _is_missing(value: object) -> bool:
    kind = value if isinstance(value, type) else type(value)
    return (kind.__module__.partition(".")[0], kind.__name__) in _MISSING


def _scalar(value: object, name: str) -> Any:
    """Return a value that is one; `_NO_SCALAR` for all others."""
    if isinstance(value, str):
        return _text(str.__str__(value), name)
    if isinstance(value, int):  # after bool, which is one
        return _integer(int(value), name)
    if isinstance(value, float):
        return plain(float(value), name)
    if isinstance(value, Decimal):
        if value.is_finite() and abs(value) > Decimal("1.7976931348623157e308"):
            raise rejection(value, name, "no number can be that large: pass text")
        return value if value.is_finite() else None
    if isinstance(value, Fraction):
        try:
            return float(value)
        except OverflowError:
            raise rejection(value, name, "no number can be that large: pass text") from None
    if isinstance(value, datetime.timedelta):
        return value / datetime.timedelta(milliseconds=1)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return _of_a_library(value, name)


def _of_a_library(value: object, name: str) -> Any:
    """Return a scalar of numpy, pandas, polars, torch and the like."""
    if getattr(value, "shape", None) != ():
        return _NO_SCALAR
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("M", "m") and hasattr(value, "astype"):
        if "NaT" in str(value):
            return None
        return str(value) if kind == "M" else plain(value.astype("timedelta64[us]").item(), name)
    item = getattr(value, "item", None)
    if item is None:
        return _NO_SCALAR
    found = item()
    if type(found) is type(value):  # numpy's longdouble
        return plain(float(found), name)  # type: ignore[arg-type]
    return plain(found, name, 1)


def _compound(value: object, name: str, depth: int) -> Any:
    if isinstance(value, (Sequence, Set)):
        return [plain(each, f"{name}[{at}]", depth + 1) for at, each in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return plain_mapping(fields, name, depth)
    if isinstance(value, msgspec.Struct):
        return plain_mapping(msgspec.structs.asdict(value), name, depth)
    for method in ("tolist", "to_list"):
        as_list = getattr(value, method, None)
        if callable(as_list) and not isinstance(value, type):
            kind = getattr(getattr(value, "dtype", None), "kind", "")
            held = list(value) if kind in ("M", "m") else as_list()  # type: ignore[call-overload]
            return plain(held, name, depth + 1)
    raise rejection(value, name, "pass a number, text, a boolean, a time, or lists and mappings of them")


def _key(key: object, name: str) -> str:
    found = plain(key, f"a name in {name}", 1)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float) and found.is_integer() and abs(found) < 2**53:
        return str(int(found))
    if found is None or found != found or isinstance(found, (list, dict, bytes)):
        raise InputError(f"{name} has a field named {shown(key)}: names are text")
    return str(found)
