"""The wire contract of what services publish: prediction events, and how they become JSON.

This is the sending side, kept free of everything but msgspec; the receiving side (`driftline.formats`) is more
lenient and faster.
"""

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
"""How a time is written as text; which of these are days and hours that exist is another question."""
Time = str | int
"""RFC 3339 with a zone, or epoch milliseconds."""
MIN_WEIGHT, MAX_WEIGHT = 1 / 256, 256.0
"""Of a label: what tallies can hold (`performance.tally`)."""
A_WEIGHT = "a number from 1/256 to 256 (scale all weights alike)"
"""For whoever gave another one."""


def rfc3339(time_ms: int) -> str:
    """Return epoch milliseconds as people and programs read them everywhere.

    >>> rfc3339(1500), rfc3339(60_000)
    ('1970-01-01T00:00:01.500Z', '1970-01-01T00:01:00Z')
    """
    moment = datetime.datetime.fromtimestamp(time_ms // 1000, datetime.UTC).replace(microsecond=time_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds").replace("+00:00", "Z")


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a model. `model` and one of `features` and `prediction` are required."""

    event_id: str
    event_time: Time
    model: str
    model_version: str | UnsetType = UNSET
    features: Mapping[str, Any] | UnsetType = UNSET
    prediction: Any | UnsetType = UNSET
    """A number, a string, a boolean, or an object with any of `label`, `value`, `proba`."""
    segment: Mapping[str, Any] | UnsetType = UNSET
    tags: Mapping[str, Any] | UnsetType = UNSET
    latency_ms: float | UnsetType = UNSET


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The truth about one prediction, by its id. A label of None withdraws what was said before."""

    event_id: str
    model: str
    label: str | float | bool | None
    label_time: Time | UnsetType = UNSET
    """When the truth was known; a label's place in the stream is when it arrives."""
    revision: int | UnsetType = UNSET
    """Of several labels the one with the highest revision counts; of equal ones, the last."""
    weight: float | UnsetType = UNSET
    value: float | UnsetType = UNSET
    """What the outcome is worth."""
    kind: str | UnsetType = UNSET
    """Where the label comes from, such as click, chargeback, human review."""


def _plain(value: object) -> object:
    """Turn numpy's scalars and arrays, and what looks like them, into Python's."""
    if isinstance(value, float):  # a subclass, such as numpy.float64
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    as_list = getattr(value, "tolist", None)
    if callable(as_list):
        return as_list()
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")


def encode(event: object) -> bytes:
    """Return an event as JSON. NaN and the infinities become null, because JSON has no word for them.

    Raises:
        TypeError: a value is of a type that has no JSON form.
        ValueError: a value has the right type and cannot be written all the same.
        RecursionError: values are nested too deep, or contain themselves.
    """
    encoded = _encoder.encode(event)
    if b"NaN" in encoded or b"Infinity" in encoded:  # an unbounded Decimal, or merely a string with that word
        plain = msgspec.to_builtins(event, enc_hook=_plain, builtin_types=(Decimal,))
        return _encoder.encode(_with_finite_decimals(plain))
    return encoded


def _with_finite_decimals(value: object) -> object:
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, dict):
        return {key: _with_finite_decimals(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_finite_decimals(part) for part in value]
    return value
