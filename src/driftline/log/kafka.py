"""The log on Kafka: settings checked once, then consumers, producers, readers, and the topics themselves."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._topic import TopicDescription
from confluent_kafka.cimpl import NewTopic

from driftline.errors import TopicError
from driftline.log.api import COPIES, RebalanceListener
from driftline.log.kafka_consumer import KafkaConsumer
from driftline.log.kafka_errors import (
    MOVING,
    Outage,
    as_driftline,
    client_logger,
    error_of,
    insist,
    no_such_topic,
    refused,
)
from driftline.log.kafka_producer import KafkaProducer
from driftline.log.kafka_reader import KafkaReader
from driftline.log.kafka_settings import ENGINE_PRODUCER, Settings, checked

Answer = TypeVar("Answer")

ASK_S = 10.0
"""How long the brokers may take to answer a question about topics."""
ASK_IDS_S = 5.0
NO_ID = "A" * 22
"""How an id of zeros is written: a topic of brokers that do not know ids."""
ROOM_S = 5.0
"""How long a producer waits for room in its local queue before it says so: its worker polls in between."""


class KafkaLog:
    """See `driftline.log.api.Log`.

    Parameters:
        settings: any of librdkafka's settings, less those that Driftline owns (`kafka_settings.OWNED`).
        client_id: how this process is called in the brokers' logs and metrics, where `client.id` does not say.

    Raises:
        ConfigError: a setting is owned by Driftline, unknown to librdkafka, or has a wrong value.
    """

    def __init__(self, settings: Settings, *, client_id: str = "driftline") -> None:
        self._settings: dict[str, str | int | float | bool] = {"client.id": client_id, **checked(settings)}
        self._refused: KafkaError | None = None
        self._outage = Outage(logging.INFO)
        try:
            configuration: dict[str, Any] = {**self._settings, "error_cb": self._on_error}
            self._admin = AdminClient(configuration, logger=client_logger())
        except KafkaException as exception:
            raise as_driftline(error_of(exception), "use these Kafka settings") from exception

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        *,
        follow: Mapping[str, Sequence[str]] = {},
    ) -> KafkaConsumer:
        """Join `group` and subscribe to `topics`; see `driftline.log.api.Log.consumer`."""
        return KafkaConsumer(self._settings, group, topics, listener, follow, self._outage)

    def producer(self) -> KafkaProducer:
        """Open an idempotent producer that keeps order and gives no record up; see `kafka_settings.ENGINE_PRODUCER`."""
        return KafkaProducer({**self._settings, **ENGINE_PRODUCER}, max_block_s=ROOM_S, outage=self._outage)

    def read(self, topic: str, *, follow: bool = False) -> KafkaReader:
        """Read all partitions of a topic from the start without joining a group.

        Raises:
            TopicError: there is no such topic.
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        return KafkaReader(self._settings, topic, self.bounds(topic), follow=follow)

    def partition_counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the partition count of each topic; a topic that does not exist is left out.

        Raises:
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        return {topic: len(found.partitions) for topic, found in self._described(topics).items()}

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Return each topic's id; brokers before 2.8 tell none (0.6 ms for two topics).

        Raises:
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 5 s: workers ask before each checkpoint.
        """
        ids = {topic: str(found.topic_id) for topic, found in self._described(topics, ASK_IDS_S).items()}
        return {topic: topic_id for topic, topic_id in ids.items() if topic_id != NO_ID}

    def _described(self, topics: Sequence[str], timeout_s: float = ASK_S) -> dict[str, TopicDescription]:
        if not topics:
            return {}
        found = {}
        # Not `list_topics`: it makes a topic appear on brokers that create topics by themselves.
        asked = self._admin.describe_topics(TopicCollection(list(topics)), request_timeout=timeout_s)
        for topic, answer in asked.items():
            try:
                found[topic] = self._answer(answer)
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise as_driftline(error, f"look up topic {topic}") from exception
        return found

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return (first offset kept, next offset to be written) of each partition.

        Raises:
            TopicError: there is no such topic.
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        counts = self.partition_counts([topic])
        if not counts:
            raise no_such_topic(topic)
        return self.bounds_of(topic, counts[topic])

    def bounds_of(self, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
        """Return what `bounds` does, for a topic that is known to have so many partitions.

        Raises:
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        try:
            firsts = insist(lambda: self._offsets(topic, partitions, OffsetSpec.earliest()))  # type: ignore[no-untyped-call]
            ends = insist(lambda: self._offsets(topic, partitions, OffsetSpec.latest()))  # type: ignore[no-untyped-call]
        except KafkaException as exception:
            raise as_driftline(error_of(exception), f"ask for the offsets of topic {topic}") from exception
        return dict(enumerate(zip(firsts, ends, strict=True)))

    def _offsets(self, topic: str, partitions: int, which: OffsetSpec) -> list[int]:
        wanted = {KafkaPartition(topic, number): which for number in range(partitions)}
        asked = self._admin.list_offsets(wanted, request_timeout=ASK_S)
        return [self._answer(asked[partition]).offset for partition in wanted]

    def create_topics(self, counts: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]) -> None:
        """Create topics (name to partition count), each with its settings; one that exists already is left alone.

        Returns when the brokers know the topics and their partitions have leaders: a cluster says "created" earlier.
        The setting `replication.factor` is Kafka's count of copies; without it, the brokers' default.

        Raises:
            TopicError: a topic cannot be created as asked.
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        if not counts:
            return
        for topic, partitions in counts.items():
            config = dict(settings.get(topic, {}))
            copies = int(config.pop(COPIES, -1))
            wanted = NewTopic(topic, partitions, copies, config=config)
            try:
                insist(partial(self._create, wanted), on=STARTING)
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                if error.code() in BAD_TOPIC:
                    raise TopicError(
                        f"cannot create topic {topic}: {error.str()}. Correct its settings", topic=topic
                    ) from exception
                raise as_driftline(error, f"create topic {topic}", topic=topic) from exception
        self._await_topics(list(counts))

    def _create(self, wanted: NewTopic) -> None:
        [done] = self._admin.create_topics([wanted], operation_timeout=ASK_S, request_timeout=ASK_S).values()
        self._answer(done)

    def topic_settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the settings in force of each topic that exists, where this user may see them (DescribeConfigs).

        Raises:
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        found = {}
        for topic, described in self._described(topics).items():
            copies = min((len(partition.replicas) for partition in described.partitions), default=0)
            resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
            try:
                entries = self._answer(self._admin.describe_configs([resource], request_timeout=ASK_S)[resource])
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() in UNSEEN:
                    continue
                raise as_driftline(error, f"ask for the settings of topic {topic}", topic=topic) from exception
            values = {name: entry.value for name, entry in entries.items() if entry.value is not None}
            found[topic] = {**values, COPIES: str(copies)}
        return found

    def change_topics(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Change these settings of topics that exist.

        Raises:
            TopicError: there is no such topic, or a setting is not as Kafka wants it.
            LogDenied: the brokers refuse this user.
            LogUnavailable: no broker answered within 10 s.
        """
        for topic, wanted in settings.items():
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()
            ]
            resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
            [done] = self._admin.incremental_alter_configs([resource], request_timeout=ASK_S).values()
            try:
                self._answer(done)
            except KafkaException as exception:
                error = error_of(exception)
                if error.code() in BAD_TOPIC:
                    said = f"cannot change topic {topic}: {error.str()}. Correct its settings"
                    raise TopicError(said, topic=topic) from exception
                raise as_driftline(error, f"change topic {topic}", topic=topic) from exception

    def _await_topics(self, topics: list[str]) -> None:
        def look() -> None:
            found = self._admin.describe_topics(TopicCollection(topics), request_timeout=ASK_S)
            for topic, answer in found.items():
                self._offsets(topic, len(self._answer(answer).partitions), OffsetSpec.latest())  # type: ignore[no-untyped-call]

        try:
            insist(look, on={*MOVING, KafkaError.UNKNOWN_TOPIC_OR_PART})
        except KafkaException as exception:
            raise as_driftline(error_of(exception), f"see topics {', '.join(topics)} created") from exception

    def _answer(self, asked: "Future[Answer]") -> Answer:
        """Wait for an answer about topics; a refused login is told at once, not as a time-out ten seconds later."""
        self._refused = None
        while True:
            self._admin.poll(0)
            if self._refused is not None:
                raise KafkaException(self._refused)
            try:
                return asked.result(timeout=0.05)
            except TimeoutError:
                continue

    def _on_error(self, error: KafkaError) -> None:
        if refused(error):
            self._refused = error

    def close(self) -> None:
        """Let go of the connection that looks after topics; consumers and producers have their own."""
        self._admin.poll(0)


STARTING = frozenset({KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.NOT_CONTROLLER})
"""What a broker answers that has just started: it and others are not yet admitted, so the copies have no place."""
UNSEEN = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)
BAD_TOPIC = frozenset(
    {
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_REQUEST,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._INVALID_ARG,
    }
)
