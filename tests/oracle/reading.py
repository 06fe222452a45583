"""What a record says and whether it counts, once more in plain Python: `json`, and one rule after the other."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

DEEPEST = 64
MAX_DIGITS = 4_300  # what Python reads
LATEST = 253_370_764_799_999  # 9998-12-31T23:59:59.999Z
SCALAR = {"number", "string", "boolean", "null"}
ALLOWED = {
    "event_id": {"string", "number", "null"},
    "event_time": {"string", "number", "null"},
    "model_version": {"string", "number", "null"},
    "features": {"object", "null"},
    "prediction": SCALAR | {"object"},
    "segment": {"object", "null"},
    "tags": {"object", "null"},
    "latency_ms": {"number", "null"},
}
IDENTITY = ("event_id", "event_time", "model", "model_version")


class OutOfRange(Exception):
    """A number that no 64-bit float holds."""


class BadTime(Exception):
    """A time that cannot be understood."""


class OtherUnit(BadTime):
    """A number that is a time in microseconds or nanoseconds."""


def kind_of(value: object) -> str:
    """Return the JSON name of a value's kind."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise OutOfRange(text)
    return number


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise OutOfRange(text)
    return int(text)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def read(value: bytes | None, name_length: int) -> tuple[str, dict[str, Any]]:
    """Return ("accepted", event), or the reason why not, and the event if it names a model."""
    if not value:
        return "empty", {}
    try:
        event = json.loads(value.decode("utf-8"), parse_float=_float, parse_int=_int, parse_constant=_no_constant)
    except (OutOfRange, ValueError, RecursionError) as error:
        return _fault(value, error), {}
    if not isinstance(event, dict):
        return "not-an-object", {}
    reason = _judge(event, name_length)
    model = event.get("model")
    return reason, event if isinstance(model, str) and usable(model, name_length) else {}


def _fault(value: bytes, error: Exception) -> str:
    depth = deepest = 0
    for mark in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", value, flags=re.DOTALL):
        depth += (mark in b"[{") - (mark in b"]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        return "too-deep"
    if isinstance(error, UnicodeDecodeError):
        return "not-utf8"
    return "number-out-of-range" if isinstance(error, OutOfRange) else "not-json"


def _judge(event: dict[str, Any], name_length: int) -> str:
    level: list[Any] = [event]
    for _ in range(DEEPEST):
        inside = [item for held in level for item in (held.values() if isinstance(held, dict) else held)]
        if any(isinstance(item, int) and abs(item) >= 2**1024 - 2**970 for item in inside):
            return "number-out-of-range"
        level = [item for item in inside if isinstance(item, (dict, list))]
    if level:
        return "too-deep"
    model = event.get("model")
    if model is None:
        return "missing-model"
    if not isinstance(model, str):
        return "wrong-type"
    if not usable(model, name_length):
        return "bad-name"
    if any(kind_of(event.get(name)) not in allowed for name, allowed in ALLOWED.items()):
        return "wrong-type"
    if any(kind_of(below) not in SCALAR for below in (event.get("segment") or {}).values()):
        return "wrong-type"
    if event.get("features") is None and event.get("prediction") is None:
        return "nothing-to-watch"
    return "accepted"


def usable(name: str, length: int) -> bool:
    """Tell whether a name can be shown: not empty, not too long, no control characters or lone surrogates."""
    return 0 < len(name) <= length and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def usable_field(name: str, length: int) -> bool:
    """Tell whether a field of this name is watched."""
    return usable(name, length) and '"' not in name and "\\" not in name


def name_of(value: object, missing: str) -> str:
    """Return a version or segment as text."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def time_of(value: object) -> int | None:
    """Return epoch milliseconds, rounded down; None where there is no time. Raises `BadTime`."""
    if value is None:
        return None
    if isinstance(value, str):
        if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", value, re.ASCII):
            raise BadTime(value)
        try:
            moment = datetime.fromisoformat(value.upper()) - datetime(1970, 1, 1, tzinfo=UTC)
        except (ValueError, OverflowError):
            raise BadTime(value) from None
        found = moment // timedelta(milliseconds=1)
    else:
        assert isinstance(value, (int, float))
        if LATEST < value <= LATEST * 10**6:
            raise OtherUnit(value)
        found = int(value) if 0 <= value <= LATEST else -1
    if not 0 <= found <= LATEST:
        raise BadTime(value)
    return found


Seen = tuple[str, str, str | float]
"""Signal, what kind of value, and the value."""


def values_of(event: dict[str, Any], name_length: int, depth: int) -> Iterator[Seen]:
    """Yield all that one event adds to its pane."""
    features, prediction = event.get("features"), event.get("prediction")
    if features is not None:
        yield from _walk("features", features, name_length, depth)
    if isinstance(prediction, dict):
        yield from _walk("prediction", prediction, name_length, depth)
    elif prediction is not None:
        yield from _walk(f"prediction.{'value' if kind_of(prediction) == 'number' else 'label'}", prediction, 0, 0)
    if "latency_ms" in event:
        yield from _walk("latency_ms", event["latency_ms"], 0, 0)
    tags = event.get("tags") or {}
    if "code_version" in tags:
        yield from _walk("tags.code_version", tags["code_version"], 0, 0)


def _walk(path: str, value: Any, name_length: int, depth: int) -> Iterator[Seen]:
    kind = kind_of(value)
    if kind == "object" and depth > 0:
        for name, below in value.items():
            if usable_field(name, name_length):
                yield from _walk(f"{path}.{name}", below, name_length, depth - 1)
    elif kind == "boolean":
        yield path, kind, "true" if value else "false"
    elif kind in ("number", "string"):
        yield path, kind, float(value) if kind == "number" else value
    else:
        yield path, "oddity", kind
        if kind == "array":
            yield f"{path}.length", "number", float(len(value))


def ignored_in(event: dict[str, Any], tags: tuple[str, ...], name_length: int, depth: int) -> int:
    """Return how many fields of an event are not watched for their name."""
    count = 0
    for name, value in event.items():
        if name in ("features", "prediction"):
            count += _unusable(value, name_length, depth)
        elif name not in (*IDENTITY, "latency_ms"):
            if name == "tags" and value:
                value = {**value, "code_version": None}
            count += _unexpected(name, value, name_length, () if name != "segment" else tags, name == "segment")
    return count


def _unusable(value: Any, name_length: int, depth: int) -> int:
    if not isinstance(value, dict) or depth == 0:
        return 0
    return sum(
        _unusable(below, name_length, depth - 1) if usable_field(name, name_length) else 1
        for name, below in value.items()
    )


def _unexpected(name: str, value: Any, name_length: int, known: tuple[str, ...], is_known: bool) -> int:
    if not is_known and not usable_field(name, name_length):
        return 1
    if not isinstance(value, dict):
        return 0
    return sum(_unexpected(below, inner, name_length, (), below in known) for below, inner in value.items())
