"""Fetched messages as batches of one partition each, columns read by loops in C."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from driftline.log.api import Headers, Record, TopicPartition
from driftline.log.runs import runs


def by_partition(
    messages: Iterable[Message], wanted: Collection[TopicPartition]
) -> dict[TopicPartition, list[Message]]:
    """Return the messages of each wanted partition, in order. The client delivers them in long runs per partition."""
    groups: dict[TopicPartition, list[Message]] = {}
    for topic, of_topic in groupby(messages, key=Message.topic):
        for number, records in groupby(of_topic, key=Message.partition):
            source = TopicPartition(topic, number)  # type: ignore[arg-type]  # never None when fetched
            if source in groups:
                groups[source].extend(records)
            elif source in wanted:
                groups[source] = list(records)
    return groups


def batches_of(source: TopicPartition, messages: list[Message]) -> Iterator["KafkaBatch"]:
    """Yield the messages of one partition: in one batch, if their timestamps are all of one kind."""
    found = list(map(Message.timestamp, messages))
    kinds, stamps = [kind for kind, _ in found], [stamp for _, stamp in found]  # half as long as `zip`
    for run in runs(kinds):
        yield KafkaBatch(source, messages[run], stamps[run], kinds[run.start] == TIMESTAMP_LOG_APPEND_TIME)


class KafkaBatch:
    """Records of one partition in one poll; a column is read out of the client's messages when it is asked for."""

    __slots__ = ("_messages", "_offsets", "_values", "source", "stamped_by_log", "timestamps")

    def __init__(
        self, source: TopicPartition, messages: list[Message], timestamps: Sequence[int], stamped_by_log: bool
    ) -> None:
        self.source = source
        self.timestamps = timestamps
        self.stamped_by_log = stamped_by_log
        self._messages = messages
        self._values: list[bytes | None] | None = None
        self._offsets: list[int] | None = None

    @property
    def values(self) -> Sequence[bytes | None]:
        """The records' values; None is a tombstone."""
        if self._values is None:
            self._values = list(map(Message.value, self._messages))
        return self._values

    @property
    def offsets(self) -> Sequence[int]:
        """The records' offsets, ascending."""
        if self._offsets is None:
            self._offsets = list(map(Message.offset, self._messages))  # type: ignore[arg-type]  # never None when fetched
        return self._offsets

    def headers(self) -> Sequence[Headers]:
        """Return the headers of each record."""
        return list(map(_headers, self._messages))

    def record(self, index: int) -> Record:
        """Return one record whole."""
        return record_of(self._messages[index])


def record_of(message: Message) -> Record:
    """Return a fetched message as a record."""
    return Record(message.key(), message.value(), _headers(message))


def _headers(message: Message) -> Headers:
    headers: Iterable[tuple[str, str | bytes | None]] = message.headers() or ()  # type: ignore[assignment]
    return tuple((name, value.encode() if isinstance(value, str) else value or b"") for name, value in headers)
