"""All settings of an installation. Everything has a default: an empty file is a working configuration."""

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from driftline.config.durations import Duration, PositiveDuration
from driftline.config.inputs import InputTopic, InputTopics, TopicName
from driftline.config.models import ModelSettings
from driftline.config.routing import RouterSettings
from driftline.errors import ConfigError
from driftline.state.address import parse_redis_url

KafkaValue = str | int | float | bool
ALL_MODELS = "*"


def _librdkafka(value: object) -> object:
    if not isinstance(value, (str, int, float, bool)):
        raise ValueError("must be text, a number, true or false, as in librdkafka's list of settings")
    return value


def _redis_url(value: object) -> object:
    if isinstance(value, str):
        try:
            parse_redis_url(value)
        except ConfigError as error:  # the key is told with every fault
            raise ValueError(str(error).removeprefix("redis.url ")) from None
    return value


Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1)]
Address = Annotated[str, Field(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Share = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A part of the settings: read-only, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RedisSettings(Section):
    """Where state is kept."""

    url: Annotated[SecretStr | None, BeforeValidator(_redis_url), WithJsonSchema({"type": ["string", "null"]})] = Field(
        default=None,
        description="redis://host:6379/0, redis+sentinel://host1:26379,host2:26379/service, redis+cluster://host:6379, "
        "each as rediss… with TLS, or unix:// for a socket. None: keep state in this process.",
    )
    prefix: Name = Field(default="driftline", description="Prefix of all keys.")
    timeout: PositiveDuration = Field(default=5_000, description="How long to wait for an answer.")


class TopicSettings(Section):
    """Names of the topics."""

    predictions: InputTopics = Field(
        default=(InputTopic(topic="predictions"),),
        description="One topic, or a list of names and {topic, format}; see docs/formats.md. `publish` writes to the "
        "first one, which stays the first.",
    )
    labels: TopicName = Field(
        default="labels",
        description="Read where a model awaits labels: those of the first topic of predictions, and with as many "
        "partitions.",
    )
    alerts: TopicName = "alerts"
    panes: TopicName = Field(
        default="driftline.panes", description="Internal: carries panes from the first stage to the second."
    )
    dead_letters: TopicName = "driftline.dead-letters"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        keys: dict[str, str] = {}
        for key, topic in self.named():
            if topic in keys:
                raise ValueError(f'{keys[topic]} and {key} are both "{topic}"; each needs a topic of its own')
            keys[topic] = key
        return self

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield (key, topic) for each topic."""
        for key in type(self).model_fields:
            for topic in self.inputs if key == "predictions" else (getattr(self, key),):
                yield key, topic

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics that predictions are read from."""
        return tuple(each.topic for each in self.predictions)

    @property
    def main(self) -> str:
        """The first of them, to which `driftline publish` writes."""
        return self.predictions[0].topic


class LimitSettings(Section):
    """What one bad producer can cost. What goes over a limit is counted and reported, never silently dropped."""

    models: Count = Field(default=1_000, description="Models to watch at once, in the whole installation.")
    versions: Count = Field(default=100, description="Versions of one model.")
    segments: Count = Field(default=1_000, description="Segments of one model, over all its tags and versions.")
    signals: Count = Field(default=500, description="Signals of one model.")
    groups: Count = Field(
        default=5_000, description="(Model, version, segment)s of one task: of a partition. Bounds its memory."
    )
    keep: PositiveDuration = Field(
        default=14 * 86_400_000,
        description="How long a silent model, version or segment keeps its place (at least one pane).",
    )
    depth: Count = Field(default=4, description="How deep nested feature values are flattened.")
    name_length: Count = Field(default=256, description="Characters of a model, version, segment or signal name.")
    dead_letter_share: Share = Field(default=0.05, description="A larger share of dead letters opens an incident.")


class MetricSettings(Section):
    """Where Prometheus finds the metrics."""

    port: Port | None = Field(default=None, description="HTTP port of /metrics. None: do not serve them.")
    address: Address = Field(
        default="127.0.0.1",
        description="Address of this machine to serve on. Anyone who reaches it can read the names of your models. "
        "0.0.0.0 is all of IPv4, :: all of IPv4 and IPv6; in a container use one of these.",
    )


class Settings(Section):
    """Everything that can be set, in driftline.yaml or as DRIFTLINE_… variables."""

    kafka: dict[str, Annotated[KafkaValue, BeforeValidator(_librdkafka)]] = Field(
        default={}, repr=False, description="librdkafka settings. Empty: use an embedded broker in this process."
    )
    redis: RedisSettings = RedisSettings()
    group: Name = Field(default="driftline", description="The consumer group; workers of one group share the work.")
    topics: TopicSettings = TopicSettings()
    max_out_of_orderness: Duration = Field(
        default=30_000,
        description="How far an event may be behind the newest event of its partition before it is late.",
    )
    max_ahead: PositiveDuration = Field(
        default=600_000, description="How far an event's own time may be ahead of its record's timestamp."
    )
    max_age: PositiveDuration | None = Field(
        default=None,
        description="How far an event's own time may be behind its record's timestamp. None: no limit, for backfills.",
    )
    idle_timeout: PositiveDuration = Field(
        default=60_000,
        description="A partition without records for this long no longer holds back windows.",
    )
    checkpoint: PositiveDuration = Field(default=1_000, description="Time between checkpoints.")
    shutdown: PositiveDuration = Field(default=25_000, description="How long a stopping worker may take to finish.")
    watchdog: PositiveDuration | None = Field(
        default=None,
        description="How often, in event time, each partition of the panes topic publishes a heartbeat to the "
        "alerts topic, for a receiver that notices when it is missing. None: never.",
    )
    limits: LimitSettings = LimitSettings()
    metrics: MetricSettings = MetricSettings()
    router: RouterSettings = RouterSettings()
    label_clock: Literal["arrival", "label_time"] = Field(
        default="arrival",
        description="What a label's place in the stream is: when its record arrived, or its own label_time, for labels "
        "that are published anew.",
    )
    models: dict[Name, ModelSettings] = Field(
        default={}, description="Settings by model name; `*` applies to all models."
    )

    @field_validator("kafka")
    @classmethod
    def _reachable(cls, kafka: dict[str, KafkaValue]) -> dict[str, KafkaValue]:
        if kafka and not {"bootstrap.servers", "metadata.broker.list"} & kafka.keys():
            raise ValueError("bootstrap.servers is missing; add it, such as bootstrap.servers: localhost:9092")
        return kafka

    def model(self, name: str) -> ModelSettings:
        """Return how the model of this name is watched: its own settings over those of `*` over the defaults."""
        return self._merged.get(name, self._merged[ALL_MODELS])

    @property
    def awaits_labels(self) -> bool:
        """Whether any model awaits labels."""
        return any(model.awaits_labels is not None for model in self._merged.values())

    @property
    def topics_needed(self) -> list[tuple[str, str]]:
        """(key, topic) of each topic that is used."""
        return [(key, topic) for key, topic in self.topics.named() if key != "labels" or self.awaits_labels]

    @cached_property
    def _merged(self) -> dict[str, ModelSettings]:
        common = self.models.get(ALL_MODELS, ModelSettings())
        return {name: common.overridden_by(own) for name, own in self.models.items()} | {ALL_MODELS: common}
