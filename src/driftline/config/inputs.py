"""The topics that predictions come from: a name, or a list that says of each how its records are written."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

NATIVE = "native"

TopicName = Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
"""As Kafka allows it."""


class InputTopic(BaseModel):
    """One topic of predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: TopicName
    format: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default=NATIVE,
        description="Format of its records: native, ndjson (one event per line), or one from an installed package.",
    )


def _listed(value: object) -> object:
    """Take one topic for a list of one, and a name for a topic in Driftline's own format."""
    every = value if isinstance(value, (list, tuple)) else [value]
    if not every or not all(isinstance(each, (str, dict, InputTopic)) for each in every):
        raise ValueError("must be a topic, such as predictions, or a list of topics, such as [a, {topic: b}]")
    return [{"topic": each} if isinstance(each, str) else each for each in every]


def _shortest(topics: tuple[InputTopic, ...]) -> Any:
    """Return it as a person would write it."""
    written = [each.topic if each.format == NATIVE else each.model_dump() for each in topics]
    return written[0] if len(written) == 1 and isinstance(written[0], str) else written


_NAME = {"type": "string", "minLength": 1, "maxLength": 249, "pattern": "^[A-Za-z0-9._-]+$"}
_TOPIC = {
    "type": "object",
    "additionalProperties": False,
    "required": ["topic"],
    "properties": {"topic": _NAME, "format": {"type": "string", "minLength": 1, "default": NATIVE}},
}

InputTopics = Annotated[
    tuple[InputTopic, ...],
    BeforeValidator(_listed),
    PlainSerializer(_shortest),
    WithJsonSchema({"anyOf": [_NAME, _TOPIC, {"type": "array", "minItems": 1, "items": {"anyOf": [_NAME, _TOPIC]}}]}),
]
