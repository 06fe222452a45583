"""A Kafka-like log without Kafka: librdkafka's mock cluster inside this process, for demos and quick tests.

It speaks the real wire protocol, so other processes can connect to it, but it promises little: every topic has four
partitions and appears on first use, a partition keeps its latest 5 MiB, nothing is written to disk.
"""

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaException
from confluent_kafka import Producer as Client

from driftline.errors import TopicError
from driftline.log.api import COPIES, CREATE_TIME, IN_SYNC, STAMPED_BY, RebalanceListener
from driftline.log.kafka import KafkaLog
from driftline.log.kafka_consumer import KafkaConsumer
from driftline.log.kafka_errors import as_driftline, client_logger, error_of, no_such_topic
from driftline.log.kafka_producer import KafkaProducer
from driftline.log.kafka_reader import KafkaReader
from driftline.log.kafka_settings import Settings

PARTITIONS = 4
"""What the mock cluster gives to every topic."""
BYTES_KEPT = 5 * 1024 * 1024
"""What the mock cluster keeps of a partition: a reader that falls further behind loses its place."""
ASK_S = 10.0
QUICK: Settings = {"session.timeout.ms": 4_000, "heartbeat.interval.ms": 200}
"""The mock cluster waits for the session time-out, less a second, twice for every move of partitions: with 10 s a move
takes 18 s, with 4 s it takes 6. Less than its initial wait of 3 s would let members expire before they are admitted."""


class EmbeddedLog:
    """See `driftline.log.api.Log`. Lives as long as this object, or until `close`."""

    def __init__(self, *, client_id: str = "driftline") -> None:
        settings = {"test.mock.num.brokers": 1, "client.id": f"{client_id}-cluster"}
        self._cluster = Client(settings, logger=client_logger())
        brokers = self._cluster.list_topics(timeout=ASK_S).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        """What other clients write as `bootstrap.servers`."""
        self.settings: Settings = {"bootstrap.servers": self.bootstrap, **QUICK}
        """With these a `KafkaLog` in another process joins in."""
        self._log = KafkaLog(self.settings, client_id=client_id)

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        *,
        follow: Mapping[str, Sequence[str]] = {},
    ) -> KafkaConsumer:
        """Join `group` and subscribe to `topics`; see `driftline.log.api.Log.consumer`."""
        return self._log.consumer(group, topics, listener, follow=follow)

    def producer(self) -> KafkaProducer:
        """Open an idempotent producer."""
        return self._log.producer()

    def read(self, topic: str, *, follow: bool = False) -> KafkaReader:
        """Read all partitions of a topic from the start without joining a group."""
        return KafkaReader(self.settings, topic, self.bounds(topic), follow=follow)

    def partition_counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the partition count of each topic; one that was never used is left out."""
        try:
            known = self._cluster.list_topics(timeout=ASK_S).topics
        except KafkaException as exception:
            raise as_driftline(error_of(exception), "look up topics") from exception
        return {topic: len(known[topic].partitions) for topic in topics if topic in known}

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Return nothing: the mock cluster tells no ids, and deletes no topic."""
        return {}

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return (first offset kept, next offset to be written) of each partition."""
        counts = self.partition_counts([topic])
        if not counts:
            raise no_such_topic(topic)
        return self._log.bounds_of(topic, counts[topic])

    def create_topics(self, counts: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]) -> None:
        """Make the topics appear; their settings mean nothing here.

        Raises:
            TopicError: other than four partitions were asked for.
        """
        for topic, partitions in counts.items():
            if partitions != PARTITIONS:
                raise TopicError(
                    f"topic {topic}: the embedded log gives every topic {PARTITIONS} partitions, {partitions} were "
                    f"asked for. Ask for {PARTITIONS}, or give the address of a real Kafka in kafka.bootstrap.servers",
                    topic=topic,
                )
            try:
                self._cluster.list_topics(topic, timeout=ASK_S)
            except KafkaException as exception:
                raise as_driftline(error_of(exception), f"create topic {topic}", topic=topic) from exception

    def topic_settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what is so of every topic of the mock cluster."""
        known = self.partition_counts(topics)
        return {topic: {COPIES: "1", IN_SYNC: "1", STAMPED_BY: CREATE_TIME} for topic in topics if topic in known}

    def change_topics(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Refuse: the mock cluster has no settings.

        Raises:
            TopicError: always, but for no change.
        """
        for topic in settings:
            raise TopicError(
                f"topic {topic}: the embedded log's topics cannot be changed. Give the address of a real Kafka in "
                "kafka.bootstrap.servers",
                topic=topic,
            )

    def close(self) -> None:
        """Stop the cluster; all its records are gone."""
        self._log.close()
        self._cluster.close()
