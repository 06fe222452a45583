"""The log inside this process: for `backtest`, for tests, and wherever nothing need outlive the process."""

import time
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence

from driftline.errors import LogUnavailable, PublishError, TopicError
from driftline.log.api import (
    APPEND_TIME,
    COPIES,
    CREATE_TIME,
    IN_SYNC,
    STAMPED_BY,
    Outgoing,
    RebalanceListener,
    Record,
    TopicPartition,
)
from driftline.log.memory_cluster import Cluster, now_ms
from driftline.log.memory_consumer import MemoryConsumer
from driftline.log.memory_group import MemoryGroup

DEFAULTS = {COPIES: "1", IN_SYNC: "1", STAMPED_BY: CREATE_TIME}
MAX_RECORD_BYTES = 1_000_000
"""Key and value together: a fresh Kafka producer's limit."""


class MemoryLog:
    """See `driftline.log.api.Log`. Thread-safe; its consumers belong to one thread each. It starts no threads.

    Parameters:
        clock: stamps records that bring no timestamp, in epoch milliseconds.
    """

    def __init__(self, *, clock: Callable[[], int] = now_ms) -> None:
        self._cluster = Cluster(clock)

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        *,
        follow: Mapping[str, Sequence[str]] = {},
    ) -> MemoryConsumer:
        """Join `group` and subscribe to `topics`; see `driftline.log.api.Log.consumer`."""
        with self._cluster.changed:
            found = self._cluster.groups.setdefault(group, MemoryGroup())
        return MemoryConsumer(self._cluster, found, topics, listener, follow)

    def producer(self) -> "MemoryProducer":
        """Open a producer."""
        return MemoryProducer(self._cluster)

    def read(self, topic: str, *, follow: bool = False) -> "MemoryReader":
        """Read all partitions of a topic from the start without joining a group."""
        return MemoryReader(self._cluster, topic, follow=follow)

    def partition_counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the partition count of each topic; a topic that does not exist is left out."""
        with self._cluster.changed:
            counts = self._cluster.partition_counts()
        return {topic: counts[topic] for topic in topics if topic in counts}

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Return each topic's id; a topic that does not exist is left out."""
        with self._cluster.changed:
            return {topic: self._cluster.ids[topic] for topic in topics if topic in self._cluster.ids}

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return (first offset kept, next offset to be written) of each partition."""
        with self._cluster.changed:
            self._cluster.partition(TopicPartition(topic, 0))
            return {number: (held.first, held.end) for number, held in enumerate(self._cluster.topics[topic])}

    def create_topics(self, counts: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]) -> None:
        """Create topics (name to partition count); of their settings `STAMPED_BY` has a meaning here."""
        for topic, partitions in counts.items():
            if partitions < 1:
                raise TopicError(
                    f"cannot create topic {topic} with {partitions} partitions: it needs at least one", topic=topic
                )
        with self._cluster.changed:
            new = [topic for topic in counts if topic not in self._cluster.topics]
            self._cluster.create(counts)
            for topic in new:
                self._cluster.settings[topic] = {**DEFAULTS, **settings.get(topic, {})}

    def topic_settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the settings in force of each topic; a topic that does not exist is left out."""
        with self._cluster.changed:
            return {topic: dict(self._cluster.settings[topic]) for topic in topics if topic in self._cluster.topics}

    def change_topics(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Change these settings of topics that exist."""
        with self._cluster.changed:
            for topic, wanted in settings.items():
                self._cluster.partition(TopicPartition(topic, 0))
                self._cluster.settings[topic].update(wanted)

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, up to this count; its groups share them out."""
        with self._cluster.changed:
            self._cluster.partition(TopicPartition(topic, 0))
            self._cluster.grow(topic, partitions)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records: created again under the same name, it has another id."""
        with self._cluster.changed:
            self._cluster.partition(TopicPartition(topic, 0))
            self._cluster.delete(topic)

    def trim(self, partition: TopicPartition, before: int) -> None:
        """Forget the records in front of offset `before`, as retention does."""
        with self._cluster.changed:
            self._cluster.partition(partition).trim(before)

    def reported(self, group: str) -> dict[TopicPartition, int]:
        """Return the offsets that a group's members reported for lag tools."""
        with self._cluster.changed:
            found = self._cluster.groups.get(group)
            return dict(found.reported) if found else {}


class MemoryProducer:
    """See `driftline.log.api.Producer`. Safe to use from many threads.

    A key's partition is its CRC-32 modulo the partition count, as with `KafkaLog`; records without a key take turns.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._turn = 0
        self._closed = False

    def produce(self, record: Outgoing) -> None:
        """Append a record.

        Raises:
            PublishError: there is no such topic or partition, or the record is too large.
        """
        if self._closed:
            raise LogUnavailable("this producer is closed: open another one")
        size = len(record.key or b"") + len(record.value or b"")
        if size > MAX_RECORD_BYTES:
            raise PublishError(
                f"topic {record.topic}: the record has {size:,} bytes, {MAX_RECORD_BYTES:,} are allowed: send less",
                topic=record.topic,
                partition=record.partition,
                key=record.key,
            )
        with self._cluster.changed:
            try:
                partition = self._cluster.partition(TopicPartition(record.topic, self._place(record)))
            except TopicError as error:
                raise PublishError(str(error), topic=record.topic, partition=record.partition, key=record.key) from None
            by_log = self._cluster.settings[record.topic][STAMPED_BY] == APPEND_TIME
            stamp = self._cluster.clock() if by_log or record.timestamp is None else record.timestamp
            partition.append(Record(record.key, record.value, record.headers), stamp, stamped_by_log=by_log)
            self._cluster.changed.notify_all()

    def _place(self, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        partitions = len(self._cluster.topics.get(record.topic, ())) or 1
        if record.key:
            return crc32(record.key) % partitions
        self._turn += 1
        return self._turn % partitions

    def flush(self, timeout_s: float) -> None:
        """Return at once: a record is in the log when `produce` returns."""

    def close(self) -> None:
        """Let go of the producer."""
        self._closed = True


class MemoryReader:
    """See `driftline.log.api.Reader`."""

    def __init__(self, cluster: Cluster, topic: str, *, follow: bool) -> None:
        self._cluster = cluster
        self._follow = follow
        with cluster.changed:
            cluster.partition(TopicPartition(topic, 0))
            sources = [TopicPartition(topic, number) for number in range(len(cluster.topics[topic]))]
            self._positions = {source: cluster.partition(source).first for source in sources}
            self._ends = {source: cluster.partition(source).end for source in sources}

    def poll(self, timeout_s: float) -> list[tuple[TopicPartition, int, int, Record]]:
        """Return (partition, offset, timestamp, record) tuples; none once a bounded read is at its end."""
        if self.at_end and not self._follow:
            return []
        deadline = time.monotonic() + timeout_s
        with self._cluster.changed:
            while True:
                records = []
                for source, position in self._positions.items():
                    partition = self._cluster.partition(source)
                    first = max(position, partition.first)
                    for index in range(first - partition.first, len(partition.records)):
                        stamp, record = partition.timestamps[index], partition.records[index]
                        records.append((source, partition.first + index, stamp, record))
                    self._positions[source] = partition.end
                left = deadline - time.monotonic()
                if records or left <= 0:
                    return records
                self._cluster.changed.wait(left)

    @property
    def at_end(self) -> bool:
        """True once every partition was read to the end offset that it had when the reader was opened."""
        return all(self._positions[source] >= end for source, end in self._ends.items())

    def close(self) -> None:
        """Let go of the reader."""
