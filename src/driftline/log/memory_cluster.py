"""Topics in this process: partitions as columns, groups, and one condition that tells all of them of a change."""

import time
import uuid
from collections.abc import Callable, Mapping
from threading import Condition
from typing import Any

from driftline.errors import TopicError
from driftline.log.api import Record, TopicPartition
from driftline.log.memory_group import MemoryGroup


def now_ms() -> int:
    """Return the wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Partition:
    """The records of one partition, from offset `first` on."""

    __slots__ = ("first", "records", "stamped_by_log", "timestamps", "values")

    def __init__(self) -> None:
        self.first = 0
        self.records: list[Record] = []
        self.values: list[bytes | None] = []
        self.timestamps: list[int] = []
        self.stamped_by_log: list[bool] = []

    @property
    def columns(self) -> tuple[list[Any], ...]:
        """All that is held of each record."""
        return self.records, self.values, self.timestamps, self.stamped_by_log

    @property
    def end(self) -> int:
        """The next offset to be written."""
        return self.first + len(self.records)

    def append(self, record: Record, timestamp: int, *, stamped_by_log: bool) -> None:
        """Add a record at the end."""
        self.records.append(record)
        self.values.append(record.value)
        self.timestamps.append(timestamp)
        self.stamped_by_log.append(stamped_by_log)

    def trim(self, before: int) -> None:
        """Forget the records in front of offset `before`."""
        count = min(max(0, before - self.first), len(self.records))
        for column in self.columns:
            del column[:count]
        self.first += count


class Cluster:
    """What all clients of one `MemoryLog` share. Everything in it is guarded by `changed`."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.changed = Condition()
        self.topics: dict[str, list[Partition]] = {}
        self.ids: dict[str, str] = {}
        self.settings: dict[str, dict[str, str]] = {}
        self.groups: dict[str, MemoryGroup] = {}

    def partition(self, source: TopicPartition) -> Partition:
        """Return a partition.

        Raises:
            TopicError: there is no such topic or partition.
        """
        partitions = self.topics.get(source.topic)
        if partitions is None:
            raise TopicError(f"topic {source.topic} does not exist: create it or correct its name", topic=source.topic)
        if not 0 <= source.partition < len(partitions):
            raise TopicError(
                f"topic {source.topic} has {len(partitions)} partitions, not one numbered {source.partition}",
                topic=source.topic,
                partition=source.partition,
            )
        return partitions[source.partition]

    def create(self, counts: Mapping[str, int]) -> None:
        """Create the topics that do not exist yet; groups that wait for them share them out."""
        for topic, partitions in counts.items():
            self.topics.setdefault(topic, [Partition() for _ in range(partitions)])
            self.ids.setdefault(topic, uuid.uuid4().hex)
        self._share_out()

    def delete(self, topic: str) -> None:
        """Delete a topic with its records; who holds its partitions gives them up, unless it is there again by then."""
        del self.topics[topic], self.ids[topic]
        self._share_out()

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic that exists, up to this count."""
        held = self.topics[topic]
        held.extend(Partition() for _ in range(partitions - len(held)))
        self._share_out()

    def _share_out(self) -> None:
        for group in self.groups.values():
            group.rebalance(self.partition_counts())
        self.changed.notify_all()

    def partition_counts(self) -> dict[str, int]:
        """Return the partition count of every topic."""
        return {topic: len(partitions) for topic, partitions in self.topics.items()}
