"""How events become JSON: whatever is sent is JSON, and numbers of other libraries are numbers."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.events import Prediction, encode


def strictly(text: bytes) -> Any:
    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (NAN, None),
        (-INF, None),
        (np.float64(NAN), None),
        (np.float32(1.5), 1.5),
        (np.float64(0.1), 0.1),
        (np.int64(-7), -7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("Oslo"), "Oslo"),
        (np.array([1.0, NAN]), [1.0, None]),
        (Decimal("1.50"), 1.5),
        (Decimal("NaN"), None),
        (Decimal("-Infinity"), None),
        ({"deep": [Decimal("Infinity"), "NaN", np.int8(1)]}, {"deep": [None, "NaN", 1]}),
        (2**70, 2**70),
        ("NaN Infinity", "NaN Infinity"),
    ],
)
def test_a_value_is_written_as_json_means_it(value: object, written: object) -> None:
    assert strictly(encode({"v": value})) == {"v": written}


def test_unset_fields_are_left_out() -> None:
    event = Prediction(event_id="p-1", event_time=1_790_000_000_000, model="churn", features={"age": None})
    assert strictly(encode(event)) == {
        "event_id": "p-1",
        "event_time": 1_790_000_000_000,
        "model": "churn",
        "features": {"age": None},
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=6))
def test_what_is_written_is_strict_json(features: dict[str, Any]) -> None:
    written = strictly(encode(Prediction(event_id="p", event_time=0, model="m", features=features)))
    assert written["features"].keys() == features.keys()
