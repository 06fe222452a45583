"""A mistake in a call is told by name, before anything is sent."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from driftline.errors import InputError
from driftline.publisher.checks import prediction_event, time_of

NOTHING: dict[str, Any] = dict.fromkeys(
    ["features", "prediction", "event_id", "model_version", "event_time", "segment", "tags", "latency_ms"]
)


def prediction(**arguments: Any) -> Any:
    return prediction_event(**{"model": "churn", **NOTHING, **arguments})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "features, a prediction, or both"),
        ({"prediction": 1, "model": ""}, "model is empty"),
        ({"prediction": 1, "model": 7}, r"model is 7 \(int\): pass a string"),
        ({"prediction": 1, "event_id": ""}, "event_id is empty"),
        ({"prediction": 1, "model_version": 3}, "model_version is 3"),
        ({"features": [1, 2]}, r"features is .* \(list\): pass a mapping"),
        ({"prediction": 1, "segment": "acme"}, "segment is 'acme'"),
        ({"prediction": 1, "tags": 3}, "tags is 3"),
        ({"prediction": {}}, "prediction is empty"),
        ({"prediction": {"probability": 0.5}}, "prediction has probability: .* label, value and proba"),
        ({"prediction": [0.1, 0.9]}, r"prediction is .* \(list\)"),
        ({"prediction": 1, "latency_ms": -1}, "latency_ms is -1"),
        ({"prediction": 1, "latency_ms": "fast"}, "latency_ms is 'fast'"),
        ({"prediction": 1, "latency_ms": float("nan")}, "latency_ms is nan"),
        ({"prediction": 1, "latency_ms": 10**400}, "latency_ms is 1000"),
        ({"prediction": 1, "event_time": datetime(2026, 8, 21)}, "without a zone"),
        ({"prediction": 1, "event_time": "yesterday"}, "event_time is 'yesterday': write RFC 3339"),
        ({"prediction": 1, "event_time": "2026-08-21T09:00:00"}, "RFC 3339 with a zone"),
        ({"prediction": 1, "event_time": 1_790_000_000}, "looks like seconds"),
        ({"prediction": 1, "event_time": 1.79e12}, "pass an aware datetime"),
        ({"prediction": 1, "event_time": True}, "pass an aware datetime"),
    ],
)
def test_a_wrong_prediction_is_refused(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        prediction(**arguments)


@pytest.mark.parametrize("answer", [0, 0.0, False, "", "yes", np.float32(0.5), {"proba": {"yes": 1.0}}, {"value": 0}])
def test_every_kind_of_answer_is_taken(answer: object) -> None:
    assert prediction(prediction=answer).prediction == answer


def test_times_in_every_form() -> None:
    zone = timezone(timedelta(hours=2))
    assert time_of("t", datetime(2026, 8, 21, 9, tzinfo=zone)) == "2026-08-21T09:00:00+02:00"
    assert time_of("t", "2026-08-21T09:00:00.5Z") == "2026-08-21T09:00:00.5Z"
    assert time_of("t", np.int64(1_790_000_000_000)) == 1_790_000_000_000
    before = int(datetime.now(UTC).timestamp() * 1000)
    assert before <= prediction(prediction=1).event_time <= before + 60_000


def test_ids_are_made_up_where_missing() -> None:
    first, second = prediction(prediction=1).event_id, prediction(prediction=1).event_id
    assert len(first) == 32
    assert first != second
    assert prediction(prediction=1, event_id="mine").event_id == "mine"
