"""What a service passes in, checked before it is sent: a mistake is told where it was made, not in a dead letter."""

import datetime
import time
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from driftline.errors import InputError
from driftline.events import Prediction, Time

EventTime = datetime.datetime | int | str
"""A datetime with a zone, epoch milliseconds, or RFC 3339 with a zone."""

EARLIEST_MS = 100_000_000_000
"""Epoch milliseconds below this (March 1973) are seconds given by mistake."""

PARTS = frozenset({"label", "value", "proba"})
"""Fields of a prediction that is an object."""

_ZONED = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


def prediction_event(
    *,
    model: str,
    features: Mapping[str, Any] | None,
    prediction: Any,
    event_id: str | None,
    model_version: str | None,
    event_time: EventTime | None,
    segment: Mapping[str, Any] | None,
    tags: Mapping[str, Any] | None,
    latency_ms: float | None,
) -> Prediction:
    """Return a prediction event.

    Raises:
        InputError: an argument is missing or wrong; the message names it.
    """
    if features is None and prediction is None:
        raise InputError("a prediction event needs features, a prediction, or both: pass at least one of them")
    return Prediction(
        event_id=uuid.uuid4().hex if event_id is None else text("event_id", event_id),
        event_time=now() if event_time is None else time_of("event_time", event_time),
        model=text("model", model),
        model_version=UNSET if model_version is None else text("model_version", model_version),
        features=mapping("features", features),
        prediction=UNSET if prediction is None else answer(prediction),
        segment=mapping("segment", segment),
        tags=mapping("tags", tags),
        latency_ms=UNSET if latency_ms is None else latency(latency_ms),
    )


def now() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def text(name: str, value: object) -> str:
    """Check a name or id."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}, a {type(value).__name__}: pass a string")
    if not value:
        raise InputError(f"{name} is empty: pass a string with at least one character")
    return value


def mapping(name: str, value: Mapping[str, Any] | None) -> Mapping[str, Any] | UnsetType:
    """Check features, a segment or tags."""
    if value is None:
        return UNSET
    if not isinstance(value, Mapping):
        raise InputError(f"{name} is {shown(value)}, a {type(value).__name__}: pass a mapping from names to values")
    return value if isinstance(value, dict) else dict(value)


def answer(prediction: object) -> object:
    """Check what a model answered."""
    if isinstance(prediction, Mapping):
        unknown = sorted(map(str, prediction.keys() - PARTS))
        if unknown or not prediction:
            found = f"has {', '.join(unknown)}" if unknown else "is empty"
            raise InputError(f"prediction {found}: an object may hold label, value and proba, and holds at least one")
        return dict(prediction)
    if isinstance(prediction, list | tuple | set | bytes):
        raise InputError(
            f"prediction is {shown(prediction)}, a {type(prediction).__name__}: pass a number, a string, a boolean, or "
            "an object with any of label, value and proba"
        )
    return prediction


def latency(value: object) -> float:
    """Check a latency: numbers of any library, not negative."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, str | bool) or not 0 <= number < float("inf"):
        raise InputError(f"latency_ms is {shown(value)}: pass milliseconds as a number, 0 or more")
    return number


def time_of(name: str, value: object) -> Time:
    """Check a time; datetimes become RFC 3339."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise InputError(f"{name} is {value.isoformat()} without a zone: pass an aware datetime, e.g. in UTC")
        return value.isoformat()
    if isinstance(value, str):
        try:
            msgspec.convert(value, _ZONED)
        except msgspec.ValidationError:
            example = "2026-08-21T09:00:00Z"
            raise InputError(f"{name} is {shown(value)}: write RFC 3339 with a zone, like {example}") from None
        return value
    whole = getattr(value, "__index__", None)  # int, and numpy's integers
    if isinstance(value, bool) or whole is None:
        raise InputError(f"{name} is {shown(value)}: pass an aware datetime, epoch milliseconds, or RFC 3339 text")
    milliseconds = int(whole())
    if milliseconds < EARLIEST_MS:
        raise InputError(f"{name} is {milliseconds}: epoch milliseconds are expected, these look like seconds")
    return milliseconds


def shown(value: object) -> str:
    """Return a value for a message, shortened."""
    written = repr(value)
    return written if len(written) <= 60 else written[:59] + "…"
