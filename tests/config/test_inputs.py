"""The topics of predictions: one name, or a list."""

import json
from pathlib import Path

import jsonschema
import pytest

from driftline.config import schema, show
from driftline.config.document import parse_document
from driftline.config.inputs import InputTopic
from tests.config.test_loading import faults
from tests.config.test_showing import loaded

ONE = InputTopic(topic="a")
TWO = InputTopic(topic="b", format="mine")


@pytest.mark.parametrize(
    ("written", "read", "shown"),
    [
        ("a", (ONE,), "a"),
        ("[a]", (ONE,), "a"),
        ("{topic: a}", (ONE,), "a"),
        ("{topic: b, format: mine}", (TWO,), "[{topic: b, format: mine}]"),
        ("[a, {topic: b, format: mine}]", (ONE, TWO), "[a, {topic: b, format: mine}]"),
    ],
)
def test_a_topic_or_a_list(tmp_path: Path, written: str, read: tuple[InputTopic, ...], shown: str) -> None:
    text = f"topics: {{predictions: {written}}}"
    found = loaded(tmp_path, text, {})
    topics = found.settings.topics
    assert topics.predictions == read
    assert topics.inputs == tuple(each.topic for each in read)
    assert topics.main == read[0].topic
    assert f"  predictions: {shown}  # " in show(found)
    jsonschema.validate({"topics": {"predictions": json.loads(topics.model_dump_json())["predictions"]}}, schema())
    jsonschema.validate(parse_document(text).data, schema())


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("[]", "topics.predictions: must be a topic, such as predictions, or a list of topics"),
        ("7", "topics.predictions: must be a topic, such as predictions, or a list of topics"),
        ("[a, {format: native}]", "topics.predictions[1].topic: is missing"),
        ("[a, {topic: b, fromat: native}]", "topics.predictions[1].fromat: is not a setting; did you mean format?"),
        ("[a, a b]", "topics.predictions[1].topic: may only have letters, digits, dots, dashes and underscores"),
        ("[a, b, a]", 'topics: predictions and predictions are both "a"; each needs a topic of its own'),
        ("[a, alerts]", 'topics: predictions and alerts are both "alerts"'),
    ],
)
def test_a_fault_names_the_key(written: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = faults(f"topics: {{predictions: {written}}}")
    assert line.startswith(fault)
