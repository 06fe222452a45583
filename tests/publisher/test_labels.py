"""Labels as services publish them: checked where the mistake is made, and understood by the stream."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline import Publisher
from driftline.columns.labels import NOTHING, LabelBatch
from driftline.columns.shape import Limits
from driftline.columns.times import NO_TIME
from driftline.errors import InputError
from driftline.events import MAX_WEIGHT, MIN_WEIGHT, encode
from driftline.formats.labels import LabelReader
from driftline.log.embedded import EmbeddedLog
from driftline.publisher.checks import label_event, withdrawal

NOW = 1_787_302_800_000
NOON = datetime.datetime(2026, 8, 21, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedLog]:
    log = EmbeddedLog()
    yield log
    log.close()


def understood(event: object) -> LabelBatch:
    """Return what the stream finds in a label that is published now; it accepts it."""
    batch = LabelReader(Limits(), lambda model: True).read([encode(event)], np.full(1, NOW), lambda at: None)
    assert not batch.reasons.any(), batch.details
    return batch


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
    understood(label_event(model="churn", event_id="p-1", **given))


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
        ({"label": 1, "weight": 0}, r"weight is 0: pass a number from 1/256 to 256 \(scale all weights alike\)"),
        ({"label": 1, "weight": 256.5}, "weight is 256.5: pass a number from 1/256"),
        ({"label": 1, "weight": 0.0039}, "weight is 0.0039: pass a number from 1/256"),
        ({"label": 1, "label_time": "1970-01-21T16:28:22Z"}, "looks like seconds that were taken for milliseconds"),
        ({"label": 1, "value": "much"}, "value is"),
        ({"label": 1, "value": float("inf")}, "value is inf"),
        ({"label": 1, "event_id": ""}, "event_id is empty"),
        ({"label": 1, "model": "a\nb"}, "model is"),
    ],
)
def test_a_mistake_is_told_by_its_name(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        label_event(**{"model": "churn", "event_id": "p-1", **given})


texts = st.text(max_size=6)
numbers: st.SearchStrategy[Any] = st.none() | st.floats() | st.integers() | st.decimals() | st.booleans()
weights = numbers | st.floats(MIN_WEIGHT, MAX_WEIGHT) | st.sampled_from([0, MIN_WEIGHT, MAX_WEIGHT, np.float32(2)])
revisions = numbers | st.integers(0, 2**53 + 1) | st.just(np.int64(3))
moments = st.datetimes(timezones=st.just(datetime.UTC))
times = st.none() | moments | moments.map(datetime.datetime.isoformat) | st.integers(0, 2**49) | texts


@given(
    st.fixed_dictionaries(
        {"model": texts | st.just("churn"), "event_id": texts | st.just("p-1"), "label": numbers | texts},
        optional={"label_time": times, "revision": revisions, "weight": weights, "value": numbers, "kind": texts},
    )
)
def test_what_is_not_rejected_the_stream_accepts(given: dict[str, Any]) -> None:
    try:
        event = label_event(**given)
    except InputError:
        return
    batch = understood(event)
    weight, value = given.get("weight"), given.get("value")
    assert batch.forms[0] != NOTHING
    assert batch.revisions[0] == (given.get("revision") or 0)
    assert batch.weights[0] == (1.0 if weight is None else float(weight))
    assert np.array_equal(batch.values[0], np.nan if value is None else float(value), equal_nan=True)
    assert (batch.times[0] == NO_TIME) == (given.get("label_time") is None)
    assert (batch.kinds[0] == 0) == (not given.get("kind"))


@given(texts, texts, revisions)
def test_a_withdrawal_that_is_not_rejected_the_stream_accepts(model: str, event_id: str, revision: Any) -> None:
    try:
        event = withdrawal(model=model, event_id=event_id, revision=revision)
    except InputError:
        return
    batch = understood(event)
    assert (batch.forms[0], batch.revisions[0]) == (NOTHING, revision or 0)
