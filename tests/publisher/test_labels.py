"""Labels as services publish them: checked where the mistake is made, and understood by the stream."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from driftline import Publisher
from driftline.columns.shape import Limits
from driftline.errors import InputError
from driftline.events import encode
from driftline.formats.labels import LabelReader
from driftline.log.embedded import EmbeddedLog
from driftline.publisher.checks import label_event, withdrawal

NOON = datetime.datetime(2026, 8, 21, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedLog]:
    log = EmbeddedLog()
    yield log
    log.close()


def test_a_label_goes_to_the_partition_of_its_prediction(embedded: EmbeddedLog) -> None:
    embedded.create_topics({"answers": 4, "truths": 4}, {})
    with Publisher(embedded.bootstrap, predictions="answers", labels="truths") as publisher:
        for number in range(50):
            publisher.publish(model="churn", event_id=f"p-{number}", prediction=0.5)
            publisher.label(model="churn", event_id=f"p-{number}", label=number % 2 == 0, kind="chargeback")
        publisher.withdraw(model="churn", event_id="p-7", revision=1)
    places: dict[str, set[tuple[bytes | None, int]]] = {}
    said = []
    for topic in ("answers", "truths"):
        reader = embedded.read(topic)
        while not reader.at_end:
            for source, _, _, record in reader.poll(1.0):
                places.setdefault(topic, set()).add((record.key, source.partition))
                if topic == "truths":
                    said.append(json.loads(record.value or b""))
        reader.close()
    assert places["answers"] == places["truths"]
    assert {"event_id": "p-7", "model": "churn", "label": None, "revision": 1} in said
    assert {"event_id": "p-8", "model": "churn", "label": True, "kind": "chargeback"} in said


@pytest.mark.parametrize(
    "given",
    [
        {"label": "yes"},
        {"label": np.bool_(True)},
        {"label": np.float32(0.5)},
        {"label": np.array([3])},
        {"label": 1, "label_time": NOON, "revision": np.int64(3), "weight": 0.5, "value": -120, "kind": "click"},
        {"label": 1, "label_time": 1_787_302_800_000},
    ],
)
def test_what_is_published_is_understood(given: dict[str, Any]) -> None:
    value = encode(label_event(model="churn", event_id="p-1", **given))
    gone = encode(withdrawal(model="churn", event_id="p-1"))
    reader = LabelReader(Limits(), lambda model: True)
    batch = reader.read([value, gone], np.full(2, 1_787_302_800_000), lambda at: None)
    assert batch.reasons.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"label": None}, "label is None, which says nothing: pass the truth, or call withdraw"),
        ({"label": float("nan")}, "label is nan, which says nothing"),
        ({"label": [1, 2]}, "label is"),
        ({"label": {"yes": 1}}, "label is"),
        ({"label": 1, "label_time": NOON.replace(tzinfo=None)}, "without a zone"),
        ({"label": 1, "label_time": 1_787_302_800}, "this looks like seconds"),
        ({"label": 1, "revision": -1}, "revision is -1: pass a whole number from 0"),
        ({"label": 1, "revision": 1.5}, "revision is 1.5"),
        ({"label": 1, "weight": -1}, "weight is -1: pass a number, 0 or more"),
        ({"label": 1, "value": "much"}, "value is"),
        ({"label": 1, "value": float("inf")}, "value is inf"),
        ({"label": 1, "event_id": ""}, "event_id is empty"),
        ({"label": 1, "model": "a\nb"}, "model is"),
    ],
)
def test_a_mistake_is_told_by_its_name(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        label_event(**{"model": "churn", "event_id": "p-1", **given})
