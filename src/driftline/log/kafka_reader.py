"""Reads a topic from its start, outside any group: for commands."""

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from driftline.log.api import Record, TopicPartition
from driftline.log.kafka_batch import record_of
from driftline.log.kafka_errors import UNREACHABLE, as_driftline, client_logger, error_of, refused
from driftline.log.kafka_settings import CONSUMER_OWNED, CONSUMER_PREFERRED, Settings

MAX_MESSAGES = 10_000
"""Records in one poll."""


class KafkaReader:
    """See `driftline.log.api.Reader`; made by `KafkaLog.read`."""

    def __init__(self, settings: Settings, topic: str, bounds: Mapping[int, tuple[int, int]], *, follow: bool) -> None:
        """Take checked settings, and for each partition where to begin and where its end is now."""
        self._topic = topic
        self._follow = follow
        configuration: dict[str, object] = {
            **CONSUMER_PREFERRED,
            **settings,
            **CONSUMER_OWNED,
            "group.id": "driftline-read",  # asked for by the client; nothing joins it or commits to it
        }
        # Partitions that are not yet read to their end.
        self._ends = {number: end for number, (first, end) in bounds.items() if end > first}
        try:
            self._client = Consumer(configuration, logger=client_logger())
            self._client.assign([KafkaPartition(topic, number, first) for number, (first, _) in bounds.items()])
        except KafkaException as exception:
            raise as_driftline(error_of(exception), f"read topic {topic}") from exception

    def poll(self, timeout_s: float) -> list[tuple[TopicPartition, int, int, Record]]:
        """Return (partition, offset, timestamp, record) tuples; none once a bounded read is at its end."""
        if self.at_end and not self._follow:
            return []
        try:
            messages = self._client.consume(1, timeout_s)
            messages += self._client.consume(MAX_MESSAGES, 0.01) if messages else []
        except KafkaException as exception:
            raise as_driftline(error_of(exception), f"read topic {self._topic}") from exception
        records = []
        for message in messages:
            number, offset, error = message.partition(), message.offset(), message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._ends.pop(number if number is not None else -1, None)
                elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    pass  # the client asks for the group's coordinator, whom nobody needs here
                elif refused(error) or not (error.code() in UNREACHABLE or error.retriable()):
                    raise as_driftline(error, f"read topic {self._topic}")
                continue
            assert number is not None
            assert offset is not None
            if offset + 1 >= self._ends.get(number, offset + 2):
                del self._ends[number]
            records.append((TopicPartition(self._topic, number), offset, message.timestamp()[1], record_of(message)))
        return records

    @property
    def at_end(self) -> bool:
        """True once every partition was read to the end offset that it had when the reader was opened."""
        return not self._ends

    def close(self) -> None:
        """Let go of the client."""
        self._client.close()
