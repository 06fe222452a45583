"""What a service passes in, checked before it is sent: a mistake is told where it was made, not in a dead letter."""

import datetime
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import UNSET, UnsetType

from driftline.errors import InputError
from driftline.events import A_WEIGHT, MAX_WEIGHT, MIN_WEIGHT, RFC3339, Label, Prediction, Time
from driftline.publisher.values import LONGEST_NAME, plain, plain_mapping, rejection, shown, single, text_fault

EventTime = datetime.datetime | int | str
"""A datetime with a zone, epoch milliseconds, or RFC 3339 with a zone."""

EARLIEST_MS = 100_000_000_000
"""Epoch milliseconds below this (March 1973) are seconds given by mistake."""
LATEST_MS = 253_370_764_799_999
"""Epoch milliseconds above this (the end of 9998) are a finer unit given by mistake, and none that the stream takes."""

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
PARTS = frozenset({"label", "value", "proba"})
"""Fields of a prediction that is an object."""


def prediction_event(
    *,
    model: str,
    features: Mapping[str, Any] | None,
    prediction: Any,
    classes: Iterable[Any] | None = None,
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
    answered = None if prediction is None else answer(prediction, classes)
    if features is None and answered is None:
        raise InputError(
            f"prediction is {shown(prediction)}, which is empty, and there are no features: pass one of them"
        )
    return Prediction(
        event_id=uuid.uuid4().hex if event_id is None else text("event_id", event_id),
        event_time=now() if event_time is None else time_of("event_time", event_time),
        model=name("model", model),
        model_version=UNSET if model_version is None else name("model_version", model_version),
        features=mapping("features", features),
        prediction=UNSET if prediction is None else answered,
        segment=segment_of(segment),
        tags=mapping("tags", tags),
        latency_ms=UNSET
        if latency_ms is None
        else _number("latency_ms", latency_ms, "milliseconds as a number, 0 or more", 0.0),
    )


def label_event(
    *,
    model: str,
    event_id: str,
    label: Any,
    label_time: EventTime | None = None,
    revision: int | None = None,
    weight: float | None = None,
    value: float | None = None,
    kind: str | None = None,
) -> Label:
    """Return a label event.

    Raises:
        InputError: an argument is missing or wrong; the message names it.
    """
    said = _one(single(label), "label")
    if said is None:
        raise InputError(f"label is {shown(label)}, which says nothing: pass the truth, or call withdraw")
    said = float(said) if isinstance(said, Decimal) else said
    assert isinstance(said, str | float | int)
    return Label(
        event_id=text("event_id", event_id),
        model=name("model", model),
        label=said,
        label_time=UNSET if label_time is None else time_of("label_time", label_time),
        revision=UNSET if revision is None else _revision(revision),
        weight=UNSET if weight is None else _number("weight", weight, A_WEIGHT, MIN_WEIGHT, MAX_WEIGHT),
        value=UNSET if value is None else _number("value", value, "a number"),
        kind=UNSET if kind is None else name("kind", kind),
    )


def withdrawal(*, model: str, event_id: str, revision: int | None = None) -> Label:
    """Return a label event that withdraws what was said. Raises `InputError`."""
    number = UNSET if revision is None else _revision(revision)
    return Label(event_id=text("event_id", event_id), model=name("model", model), label=None, revision=number)


def _revision(value: object) -> int:
    whole = getattr(value, "__index__", None)
    if isinstance(value, bool) or whole is None or not 0 <= whole() <= 2**53:
        raise InputError(f"revision is {shown(value)}: pass a whole number from 0 to 2^53")
    return int(whole())


def _number(
    what: str, value: object, wanted: str, least: float = -sys.float_info.max, most: float = sys.float_info.max
) -> float:
    """Check a number of any library."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, str | bool) or not least <= number <= most:
        raise InputError(f"{what} is {shown(value)}: pass {wanted}")
    return number


def now() -> int:
    """Return the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def text(what: str, value: object) -> str:
    """Check an id."""
    if not isinstance(value, str):
        raise rejection(value, what, "pass a string")
    if not value:
        raise InputError(f"{what} is empty: pass a string with at least one character")
    return str(plain(value, what))


def name(what: str, value: object) -> str:
    """Check the name of a model or version."""
    found = text(what, value)
    fault = f"is longer than {LONGEST_NAME} characters" if len(found) > LONGEST_NAME else text_fault(found)
    if fault:
        raise InputError(f"{what} is {shown(found)}, which {fault}: pass another name")
    return found


def mapping(what: str, value: object) -> Mapping[str, Any] | UnsetType:
    """Check features or tags; a row of pandas is a mapping, too."""
    if value is None:
        return UNSET
    as_dict = getattr(value, "to_dict", None)
    if not isinstance(value, Mapping) and callable(as_dict) and getattr(value, "ndim", 0) == 1:
        value = as_dict()
    if not isinstance(value, Mapping):
        raise rejection(value, what, "pass a mapping from names to values, such as dict(zip(names, row))")
    return plain_mapping(value, what)


def segment_of(value: object) -> Mapping[str, Any] | UnsetType:
    """Check a segment: tags with one value each."""
    found = mapping("segment", value)
    for tag, held in found.items() if isinstance(found, dict) else ():
        if isinstance(held, (list, dict)):
            raise InputError(f"segment.{tag} is {shown(held)}: pass one value, such as text")
        if isinstance(held, str):
            name(f"segment.{tag}", held)
    return found


def answer(prediction: object, classes: Iterable[Any] | None = None) -> object:
    """Check what a model answered."""
    if classes is not None:
        prediction = probabilities(single(prediction), classes)
    prediction = single(prediction)
    found = plain(prediction, "prediction")
    if isinstance(found, dict):
        unknown = sorted(found.keys() - PARTS)
        if unknown or not found:
            said = f"has {', '.join(unknown)}" if unknown else "is empty"
            raise InputError(
                f"prediction {said}: an object must hold at least one of label, value and proba, and nothing else"
            )
        assert isinstance(prediction, Mapping)
        for part in ("label", "value"):
            if part in found:
                found[part] = _one(
                    single(next(prediction[key] for key in prediction if str(key) == part)), f"prediction.{part}"
                )
        if isinstance(found.get("proba"), list):
            raise InputError(
                f"prediction.proba is {shown(prediction['proba'])}, without names: pass a mapping from class to "
                "probability, or the array as prediction and classes=model.classes_"
            )
        return found
    return _one(prediction, "prediction")


def _one(value: object, what: str) -> object:
    found = plain(value, what)
    if isinstance(found, (list, dict, bytes)):
        raise rejection(
            value,
            what,
            "pass a number, a string, a boolean, or an object with any of label, value and proba"
            if what == "prediction"
            else "pass a number, a string or a boolean",
        )
    return found


def probabilities(row: object, classes: Iterable[Any]) -> dict[str, Any]:
    """Return what a classifier answered, from the probabilities of one row and the classes that they are of."""
    found, named = plain(row, "prediction"), plain(classes, "classes")
    if not isinstance(found, list) or not isinstance(named, list) or len(found) != len(named):
        raise InputError(
            f"prediction is {shown(row)}, but the classes are {shown(classes)}: pass one probability for each class"
        )
    if not all(isinstance(each, (int, float)) for each in found):
        raise InputError(f"prediction is {shown(row)}: pass one probability for each class, and each a number")
    likeliest = max(range(len(found)), key=found.__getitem__, default=None)
    proba = plain_mapping(dict(zip(named, found, strict=True)), "prediction.proba")
    return {"proba": proba} if likeliest is None else {"label": list(proba)[likeliest], "proba": proba}


def time_of(what: str, value: object) -> Time:
    """Check a time; datetimes become RFC 3339."""
    wanted = "pass an aware datetime, epoch milliseconds, or RFC 3339 text"
    if plain(value, what) is None:
        raise InputError(f"{what} is {shown(value)}, which is not a time: {wanted}, or nothing for now")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise InputError(f"{what} is {value.isoformat()} without a zone: pass an aware datetime, e.g. in UTC")
        value = value.isoformat()
    if isinstance(value, str):
        found = _milliseconds(str(value))
        if not 0 <= found <= LATEST_MS:
            example = "2026-08-21T09:00:00Z"
            raise InputError(f"{what} is {shown(value)}: write RFC 3339 with a zone, like {example}")
        if found < EARLIEST_MS:
            raise InputError(f"{what} is {shown(value)}: this looks like seconds that were taken for milliseconds")
        return str(value)
    whole = getattr(value, "__index__", None)  # int, and numpy's integers
    if isinstance(value, bool) or whole is None:
        without = " without a zone" if "datetime64" in type(value).__name__ else ""
        raise InputError(f"{what} is {shown(value)}{without}: {wanted}")
    milliseconds = int(whole())
    if not EARLIEST_MS <= milliseconds <= LATEST_MS:
        unit = "seconds" if milliseconds < EARLIEST_MS else "micro- or nanoseconds"
        raise InputError(f"{what} is {milliseconds}: expected epoch milliseconds, but this looks like {unit}")
    return milliseconds


def _milliseconds(value: str) -> int:
    """Return RFC 3339 with a zone as epoch milliseconds, rounded down; a negative number for what is no time."""
    if not RFC3339.fullmatch(value):
        return -1
    try:
        return (datetime.datetime.fromisoformat(value.upper()) - EPOCH) // datetime.timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return -1
