"""The slow path: one record, in plain Python. It alone decides what is valid; the fast path accepts a subset of it."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits, usable_name
from driftline.formats.shapes import BODY, FieldKind, kind_of

MAX_DEPTH = 64
"""Objects and arrays nested deeper are rejected. A stated limit, so that the answer does not depend on free stack."""

_SCALAR = FieldKind.NUMBER | FieldKind.STRING | FieldKind.BOOLEAN | FieldKind.NULL
_TYPES = {
    "event_id": FieldKind.STRING | FieldKind.NUMBER | FieldKind.NULL,
    "event_time": FieldKind.STRING | FieldKind.NUMBER | FieldKind.NULL,
    "model_version": FieldKind.STRING | FieldKind.NUMBER | FieldKind.NULL,
    "features": FieldKind.OBJECT | FieldKind.NULL,
    "prediction": _SCALAR | FieldKind.OBJECT,
    "segment": FieldKind.OBJECT | FieldKind.NULL,
    "tags": FieldKind.OBJECT | FieldKind.NULL,
    "latency_ms": FieldKind.NUMBER | FieldKind.NULL,
}


def validate(value: bytes | None, limits: Limits) -> tuple[Reason, str, Mapping[str, Any]]:
    """Decode one record and judge it.

    Returns (reason, detail for people, event). The event of a rejected record is there as far as it names its model,
    else it is empty. Its time, version and segment are judged later, with those of all other records.
    """
    reason, detail, event = decode_object(value)
    if reason is Reason.ACCEPTED:
        reason, detail = _judge(event, limits)
    model = event.get("model")
    return reason, detail, event if isinstance(model, str) and usable_name(model, limits) else {}


def decode_object(value: bytes | None) -> tuple[Reason, str, dict[str, Any]]:
    """Decode a record that should be an object. Returns (reason, detail for people, the object)."""
    if not value:
        return Reason.EMPTY, "", {}
    try:
        event = msgspec.json.decode(value)
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        return _fault(value, error), str(error), {}
    if not isinstance(event, dict):
        return Reason.NOT_AN_OBJECT, f"it is a JSON {kind_of(event).name}".lower(), {}
    return _sound(event), "", event


def _judge(event: dict[str, Any], limits: Limits) -> tuple[Reason, str]:
    model = event.get("model")
    if model is None:
        return Reason.MISSING_MODEL, ""
    if not isinstance(model, str):
        return Reason.WRONG_TYPE, f"model is a {kind_of(model).name}".lower()
    if not usable_name(model, limits):
        return Reason.BAD_NAME, f"model is {model[:40]!r}"
    for name, allowed in _TYPES.items():
        kind = kind_of(event.get(name))
        if not kind & allowed:
            return Reason.WRONG_TYPE, f"{name} is a {kind.name}".lower()
    for tag, below in (event.get("segment") or {}).items():
        if not kind_of(below) & _SCALAR:
            return Reason.WRONG_TYPE, f"segment.{tag[:40]} is a {kind_of(below).name}".lower()
    if all(event.get(name) is None for name in BODY):
        return Reason.NOTHING_TO_WATCH, ""
    return Reason.ACCEPTED, ""


def _sound(event: dict[str, Any]) -> Reason:
    """Check every value, without recursion: not too deep, no integer beyond a float's range."""
    level: list[Any] = [event]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            for inner in item.values() if isinstance(item, dict) else item:
                if isinstance(inner, (dict, list)):
                    below.append(inner)
                elif isinstance(inner, int) and not isinstance(inner, bool):
                    try:
                        math.isfinite(inner)
                    except OverflowError:
                        return Reason.NUMBER_OUT_OF_RANGE
        if not below:
            return Reason.ACCEPTED
        level = below
    return Reason.TOO_DEEP


def _fault(value: bytes, error: Exception) -> Reason:
    """Name what is wrong with a value that does not decode, whichever fault the decoder met first."""
    if _too_deep(value):
        return Reason.TOO_DEEP
    if not _is_utf8(value):
        return Reason.NOT_UTF8
    return Reason.NUMBER_OUT_OF_RANGE if isinstance(error, msgspec.ValidationError) else Reason.NOT_JSON


def _too_deep(value: bytes) -> bool:
    """Tell whether brackets outside of strings are nested deeper than MAX_DEPTH."""
    depth = 0
    for found in _BRACKETS.finditer(value):
        mark = found[0]
        depth += mark in b"[{"
        depth -= mark in b"]}"
        if depth > MAX_DEPTH:
            return True
    return False


_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
