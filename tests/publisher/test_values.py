"""Whatever Python, numpy, pandas and polars hand out is published right, or rejected there by its name."""

import dataclasses
import datetime as dt
import enum
import json
import subprocess
import sys
import uuid
from collections import OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.columns.times import BAD_TIME, parse_time
from driftline.errors import InputError
from driftline.events import encode
from driftline.formats.validate import validate
from driftline.publisher.checks import prediction_event
from driftline.publisher.values import plain

NOTHING: dict[str, Any] = dict.fromkeys(
    ["features", "prediction", "event_id", "model_version", "event_time", "segment", "tags", "latency_ms"]
)


def published(**arguments: Any) -> dict[str, Any]:
    """What the stream finds in the event that is published; it accepts it."""
    record = encode(prediction_event(**{"model": "m", **NOTHING, **arguments}))
    reason, detail, event = validate(record, Limits())
    assert reason is Reason.ACCEPTED, detail
    assert parse_time(event["event_time"]) != BAD_TIME
    found: dict[str, Any] = json.loads(record)
    return found


class Colour(enum.Enum):
    RED = "red"


class Named(str, enum.Enum):  # noqa: UP042 - the older way to write it
    A = "a"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Held:
    a: int
    b: Any


class Struct(msgspec.Struct):
    a: Any


AT = dt.datetime(2026, 3, 12, 9, 30, tzinfo=dt.UTC)
NS = np.datetime64("2026-03-12T09:30:00.123456789")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, None),
        (float("nan"), None),
        (float("-inf"), None),
        (np.nan, None),
        (np.float32("inf"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (np.timedelta64("NaT"), None),
        (np.ma.masked, None),
        (pl.Null, None),
        (pl.Null(), None),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (Decimal("1.50"), 1.5),
        (Fraction(1, 4), 0.25),
        (2**70, 2**70),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        (Named.A, "a"),
        (True, True),
        (np.True_, True),
        (np.bool_(False), False),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float16(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.str_("Oslo"), "Oslo"),
        (np.bytes_(b"\xff"), "/w=="),
        (b"\xff", "/w=="),
        (bytearray(b"\xff"), "/w=="),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (AT, "2026-03-12T09:30:00+00:00"),
        (AT.replace(tzinfo=None), "2026-03-12T09:30:00"),
        (dt.date(2026, 3, 12), "2026-03-12"),
        (dt.time(9, 30), "09:30:00"),
        (dt.timedelta(seconds=1.5), 1500),
        (pd.Timestamp(AT), "2026-03-12T09:30:00+00:00"),
        (pd.Timedelta(seconds=1.5), 1500),
        (NS, "2026-03-12T09:30:00.123456789"),
        (np.datetime64("2026-03-12"), "2026-03-12"),
        (np.timedelta64(1500, "ms"), 1500),
        (np.timedelta64(1500, "ns"), 0.001),
        (np.array(3), 3),
        (np.array(NS), "2026-03-12T09:30:00.123456789"),
        (np.array([1.0, np.nan]), [1, None]),
        (np.array([[1], [2]]), [[1], [2]]),
        (np.array([NS]), ["2026-03-12T09:30:00.123456789"]),
        (np.array([True, None, pd.NA], dtype=object), [True, None, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([pd.Timestamp(AT), pd.NaT]), ["2026-03-12T09:30:00+00:00", None]),
        (pd.Index(["a"]), ["a"]),
        (pd.Categorical(["a", None]), ["a", None]),
        (pl.Series([1, None]), [1, None]),
        (pl.Series([AT.date()]), ["2026-03-12"]),
        ((1, np.int64(2)), [1, 2]),
        (deque([1]), [1]),
        ({1}, [1]),
        (frozenset(), []),
        (range(2), [0, 1]),
        (Point(1, 2), [1, 2]),
        (Held(1, pd.NA), {"a": 1, "b": None}),
        (Struct(np.int8(1)), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        ({"a": {"b": [np.float32(1.5), {"c": pd.NaT}]}}, {"a": {"b": [1.5, {"c": None}]}}),
    ],
)
def test_a_value_is_published_right(value: object, form: object) -> None:
    assert published(features={"x": value, "y": [value], "z": {"w": value}})["features"] == {
        "x": form,
        "y": [form],
        "z": {"w": form},
    }


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (object(), r"features\.x is <object .* \(object\): pass a number"),
        (1j, r"features\.x is 1j \(complex\)"),
        (np.complex64(1j), r"features\.x is .* \(complex\)"),
        (10**400, r"features\.x has 1329 bits"),
        (Decimal("1e400"), r"features\.x is Decimal"),
        (Fraction(10**400), r"features\.x is Fraction"),
        ("\ud800", r"features\.x is .* not Unicode"),
        (lambda: 1, r"features\.x is <function"),
        (pl.Int64, r"features\.x is Int64"),
        (pd.DataFrame({"a": [1]}), r"features\.x is .* \(DataFrame\)"),
        ({"a": [0, object()]}, r"features\.x\.a\[1\] is <object"),
        ({None: 1}, r"features\.x has a field named None"),
        ({(1, 2): 1}, r"features\.x has a field named \(1, 2\)"),
        ({1: 1, "1": 2}, r"features\.x has two fields '1'"),
        ({'a"b': 1}, r"features\.x has a field .* quote"),
        ({"a\n": 1}, r"features\.x has a field .* control characters"),
        ({"": 1}, r"features\.x has a field '', whose name is empty"),
        ({"n" * 300: 1}, r"features\.x has a field .* longer than 256"),
    ],
)
def test_what_has_no_form_is_rejected_by_the_name_of_its_feature(value: object, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        published(features={"x": value})


def test_what_contains_itself_is_rejected() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises(InputError, match=r"features\.x\.a\.a.* is nested deeper than 32"):
        published(features={"x": loop})


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.5, "0.5"),
        (True, "true"),
        (np.int64(7), "7"),
        (np.str_("a"), "a"),
        (np.True_, "true"),
        (Colour.RED, "red"),
        (dt.date(2026, 3, 12), "2026-03-12"),
        (uuid.UUID(int=0), str(uuid.UUID(int=0))),
    ],
)
def test_names_are_text_as_the_stream_writes_it(key: object, name: str) -> None:
    assert published(features={key: 1})["features"] == {name: 1}


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        (np.array([0.5]), 0.5),
        (np.array([[0.5]]), 0.5),
        (np.array(1), 1),
        (np.array(["yes"]), "yes"),
        (np.array([True]), True),
        ([0.5], 0.5),
        (pd.Series([0.5]), 0.5),
        (pl.Series(["yes"]), "yes"),
        (np.int64(1), 1),
        (Colour.RED, "red"),
        ({"label": np.array(["yes"]), "value": np.array([[2.0]])}, {"label": "yes", "value": 2}),
        ({"proba": dict(zip(np.array([0, 1]), np.array([0.2, 0.8]), strict=True))}, {"proba": {"0": 0.2, "1": 0.8}}),
        ({"proba": dict(zip(np.array([False, True]), [1, 0], strict=True))}, {"proba": {"false": 1, "true": 0}}),
    ],
)
def test_a_model_s_answer_is_taken_as_it_comes(answer: object, form: object) -> None:
    assert published(prediction=answer)["prediction"] == form


def test_probabilities_come_with_their_classes() -> None:
    proba = {"no": 0.2, "yes": 0.8}
    for row in (np.array([[0.2, 0.8]]), np.array([0.2, 0.8]), [0.2, 0.8]):
        found = published(prediction=row, classes=np.array(["no", "yes"]))["prediction"]
        assert found == {"label": "yes", "proba": proba}
    assert published(prediction=[1.0, 0.0], classes=np.array([0, 1]))["prediction"]["label"] == "0"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"prediction": [0.1, 0.9]}, r"prediction is .* \(list\): pass a number"),
        ({"prediction": np.array([["a"], ["b"]])}, r"prediction is .* \(ndarray\)"),
        ({"prediction": ["cat", "dog"]}, r"prediction is .* \(list\)"),
        ({"prediction": {"label": ["cat", "dog"]}}, r"prediction\.label is .* \(list\)"),
        ({"prediction": {"proba": np.array([0.1, 0.9])}}, r"prediction\.proba is .* classes=model\.classes_"),
        ({"prediction": [0.1, 0.9], "classes": ["a"]}, "pass one probability for each class"),
        ({"prediction": 0.1, "classes": ["a"]}, "pass one probability for each class"),
        ({"prediction": [None, 1.0], "classes": ["a", "b"]}, "each a number"),
        ({"prediction": float("nan")}, "which is empty"),
        ({"prediction": pd.NA}, "which is empty"),
        ({"prediction": 1, "segment": {"a": [1]}}, r"segment\.a is \[1\]: pass one value"),
        ({"prediction": 1, "segment": {"a": "x\n"}}, r"segment\.a is 'x\\n', which holds control characters"),
        ({"prediction": 1, "model": "a\x00"}, "model is .* control characters"),
        ({"prediction": 1, "model": "m" * 300}, "model is .* longer than 256"),
        ({"prediction": 1, "model_version": "\ud800"}, "model_version is .* not Unicode"),
        ({"features": pd.DataFrame({"a": [1]})}, r"features is .* \(DataFrame\): pass a mapping"),
        ({"features": np.array([1])}, r"features is .* \(ndarray\): pass a mapping"),
    ],
)
def test_what_is_no_answer_or_name_is_rejected(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        published(**arguments)


def test_a_row_of_pandas_is_a_mapping() -> None:
    row = pd.DataFrame({"age": [34], "city": ["Oslo"], "seen": [pd.NaT]}).iloc[0]

    assert published(features=row)["features"] == {"age": 34, "city": "Oslo", "seen": None}


@pytest.mark.parametrize("time", [AT, pd.Timestamp(AT), np.int64(1_773_307_800_000), "2026-03-12T09:30:00.123456789Z"])
def test_a_time_is_understood(time: Any) -> None:
    assert parse_time(published(prediction=1, event_time=time)["event_time"]) // 1000 == 1_773_307_800


@pytest.mark.parametrize(
    ("time", "complaint"),
    [
        (pd.NaT, "event_time is NaT, which is not a time"),
        (float("nan"), "event_time is nan, which is not a time"),
        (pd.Timestamp("2026-03-12"), "without a zone"),
        (NS, "without a zone"),
        (dt.date(2026, 3, 12), "pass an aware datetime"),
        (1_773_307_800_000_000, "looks like micro- or nanoseconds"),
        (np.int64(1_773_307_800), "looks like seconds"),
        ("2026-03-12T09:30:00+0100", "write RFC 3339"),
        ("2026-02-30T09:30:00Z", "write RFC 3339"),
        (dt.datetime(1, 1, 1, tzinfo=dt.UTC), "write RFC 3339"),
    ],
)
def test_what_is_no_time_is_rejected(time: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        published(prediction=1, event_time=time)


texts = st.text(max_size=6)
scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.fractions() | texts | st.binary()
)
scalars |= st.datetimes() | st.dates() | st.times() | st.timedeltas() | st.uuids() | st.complex_numbers()
scalars |= st.sampled_from([np.float32(1), np.int64(2), np.datetime64("NaT"), pd.NA, pd.NaT, NS, Colour.RED, object()])
keys = texts | st.integers() | st.booleans() | st.none() | st.floats()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8)


@given(st.dictionaries(keys, values, max_size=4), values)
def test_what_is_not_rejected_the_stream_accepts(features: dict[Any, Any], answer: Any) -> None:
    try:
        found = published(features=features, prediction=answer)
    except InputError:
        return
    assert len(found["features"]) == len(features)
    again = plain(found["features"], "features")
    assert again == found["features"]


def test_the_client_loads_no_library_of_numbers() -> None:
    code = "import sys; import driftline.publisher; print({'numpy', 'pandas', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
