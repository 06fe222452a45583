"""What the runtime needs of a log: partitions to read in order, topics to write to.

`kafka.py` implements it on confluent-kafka, `memory.py` in this process. One conformance suite runs against both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """One record whole, as a dead letter must carry it."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Batch(Protocol):
    """Consecutive records of one partition, in offset order, as parallel sequences of equal length.

    The hot path reads whole columns; headers, and the key of a single record, are built only when asked for.
    """

    @property
    def source(self) -> TopicPartition:
        """The partition that the records come from."""
        ...

    @property
    def values(self) -> Sequence[bytes | None]:
        """Values; None is a tombstone."""
        ...

    @property
    def offsets(self) -> Sequence[int]:
        """Offsets, ascending, not always consecutive (compaction and transactions leave gaps)."""
        ...

    @property
    def timestamps(self) -> Sequence[int]:
        """The records' own timestamps in epoch milliseconds; -1 where the log knows none."""
        ...

    @property
    def stamped_by_log(self) -> bool:
        """Whether the log wrote these timestamps when it appended the records; else producers did.

        It is so for all records of a batch, or for none: what a poll brings of a partition may be several batches.
        """
        ...

    def headers(self) -> Sequence[Headers]:
        """Return the headers of each record: some microseconds each, so only who goes by them asks."""
        ...

    def record(self, index: int) -> Record:
        """Return one record whole."""
        ...


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll brought."""

    batches: tuple[Batch, ...] = ()
    caught_up: frozenset[TopicPartition] = frozenset()
    """Partitions whose end was reached after these batches (sent each time the end is reached, at times once more)."""
    lost: frozenset[TopicPartition] = frozenset()
    """Partitions whose next offset, after these batches, is outside the log: nothing comes of them until `start`."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be produced. `partition=None` lets the key decide."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None


class RebalanceListener(Protocol):
    """Called from inside `Consumer.poll` and `Consumer.close`, in the calling thread, and nowhere else.

    A listener does not call the consumer back, except for `report`. What it raises is raised again by that `poll` or
    `close`, or by the next `poll` where records were fetched as well; the rebalance is finished all the same.
    """

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are now this member's. They are not fetched before `Consumer.start`. Must not block or raise."""
        ...

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are about to move to another member: the last chance to checkpoint. May block, for a while."""
        ...

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are somebody else's already (session timed out): drop what belongs to them. Must not block."""
        ...


class Consumer(Protocol):
    """One member of a consumer group. Not thread-safe: one loop owns it.

    Records of a partition are returned only between `start` and its revocation, loss, or `stop`; after a `start` at
    another offset no record fetched before it is returned.
    """

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Fetch up to `max_records` records over all started partitions, waiting at most `timeout_s` for the first.

        Raises `LogDenied`, `TopicError`, or `LogUnavailable` when the log cannot serve a partition;
        what was fetched before the fault is returned first, and the fault is raised by the next call.
        A short outage that the client mends by itself is not raised.
        """
        ...

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Begin, or begin again, to fetch assigned partitions at these offsets (0 or more); a pause is forgotten.

        A partition that was revoked or lost in the meantime is left out silently: its listener call has come or comes.
        """
        ...

    def stop(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching these partitions. They stay assigned."""
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Hold back fetching for a while; positions are kept. `poll` must go on being called."""
        ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Go on fetching paused partitions."""
        ...

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return (first offset kept, next offset to be written), asked of the broker now."""
        ...

    def lag(self, partition: TopicPartition, position: int) -> int | None:
        """Return the records between `position` and the end as last heard of, None if never. Does not block."""
        ...

    def report(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit offsets to the log for lag tools only; best effort, never raises for a rebalance."""
        ...

    def close(self) -> None:
        """Leave the group; `on_revoked` is called for what is still assigned."""
        ...


class Producer(Protocol):
    """An idempotent producer."""

    def produce(self, record: Outgoing) -> None:
        """Queue a record; waits for a while where the local queue is full.

        Raises `PublishError`, `LogDenied` or `LogUnavailable`: for this record or an earlier one; `DeliveryPending`
        where there was no room in time and this record is not queued.
        """
        ...

    def flush(self, timeout_s: float) -> None:
        """Wait until everything queued was delivered.

        Raises `PublishError`: the first failure; `DeliveryPending`: time ran out, and all is still being tried.
        """
        ...

    def close(self) -> None:
        """Let go of the producer. What was not flushed is thrown away."""
        ...


COPIES = "replication.factor"
"""How many copies of a topic there are: no setting of Kafka's own, but asked for and told like one."""
IN_SYNC = "min.insync.replicas"
STAMPED_BY = "message.timestamp.type"
APPEND_TIME, CREATE_TIME = "LogAppendTime", "CreateTime"
"""Who writes a record's timestamp: the log when it appends the record, or the producer."""


class Log(Protocol):
    """Where consumers and producers come from, and what knows the topics."""

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        *,
        follow: Mapping[str, Sequence[str]] = {},
    ) -> Consumer:
        """Join `group` and subscribe to `topics`. Nothing is fetched before the first `poll`.

        `follow` names, for a subscribed topic, other topics whose partitions of the same number belong to whoever owns
        that topic's partition: labels follow predictions. The listener is told of them like of any other, in the same
        call. The group itself knows nothing of them, so equal partition counts are the caller's to check.
        """
        ...

    def producer(self) -> Producer:
        """Open an idempotent producer."""
        ...

    def partition_counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Return the partition count of each topic; a topic that does not exist is left out."""
        ...

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """Return each topic's id: one that was deleted and created anew has another (KIP-516).

        A topic that does not exist is left out, and so is one whose id the brokers do not tell.
        """
        ...

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return (first offset kept, next offset to be written) of each partition of a topic that exists."""
        ...

    def create_topics(self, counts: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]) -> None:
        """Create topics (name to partition count), each with its settings. One that exists already is left alone."""
        ...

    def topic_settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the settings in force of each topic, `COPIES`, `IN_SYNC` and `STAMPED_BY` among them.

        A topic that does not exist is left out, and so is one whose settings this user may not see.
        """
        ...

    def change_topics(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Change these settings of topics that exist, and leave their others as they are."""
        ...

    def read(self, topic: str, *, follow: bool = False) -> "Reader":
        """Read all partitions of a topic from the start without joining a group (for commands)."""
        ...


class Reader(Protocol):
    """Reads a topic from its start, outside any group. Iterate `poll` until `at_end`."""

    def poll(self, timeout_s: float) -> list[tuple[TopicPartition, int, int, Record]]:
        """Return (partition, offset, timestamp, record) tuples; may be empty."""
        ...

    @property
    def at_end(self) -> bool:
        """True once every partition was read to the end offset that it had when the reader was opened."""
        ...

    def close(self) -> None:
        """Let go of the reader."""
        ...
