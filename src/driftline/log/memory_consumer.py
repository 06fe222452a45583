"""A member of a consumer group in this process."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from driftline.log.api import Headers, Polled, RebalanceListener, Record, TopicPartition
from driftline.log.memory_cluster import Cluster, Partition
from driftline.log.memory_group import MemoryGroup
from driftline.log.runs import runs

Tell = Callable[[Sequence[TopicPartition]], None]


@dataclass(frozen=True, slots=True)
class MemoryBatch:
    """Records of one partition, copied out of the log."""

    source: TopicPartition
    values: Sequence[bytes | None]
    offsets: Sequence[int]
    timestamps: Sequence[int]
    records: Sequence[Record]
    stamped_by_log: bool = False

    def headers(self) -> Sequence[Headers]:
        """Return the headers of each record."""
        return [record.headers for record in self.records]

    def record(self, index: int) -> Record:
        """Return one record whole."""
        return self.records[index]


class MemoryConsumer:
    """See `driftline.log.api.Consumer`; made by `MemoryLog.consumer`."""

    def __init__(
        self,
        cluster: Cluster,
        group: MemoryGroup,
        topics: Sequence[str],
        listener: RebalanceListener,
        follow: Mapping[str, Sequence[str]],
    ) -> None:
        self._cluster = cluster
        self._group = group
        self._topics = tuple(topics)
        self._listener = listener
        self._follow = follow
        self._owned: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._told_end: set[TopicPartition] = set()
        self._in_listener = False
        self._closed = False
        with cluster.changed:
            self._member = group.join(topics, cluster.partition_counts())
            cluster.changed.notify_all()

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Fetch up to `max_records` records; see `driftline.log.api.Consumer.poll`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._rebalance()
            with self._cluster.changed:
                for topic in self._topics:
                    if topic not in self._cluster.topics:
                        self._cluster.partition(TopicPartition(topic, 0))
                polled = self._fetch(max_records)
                left = deadline - time.monotonic()
                if polled.batches or polled.caught_up or polled.lost or left <= 0:
                    return polled
                if not self._rebalance_is_due():
                    self._cluster.changed.wait(left)

    def _fetch(self, max_records: int) -> Polled:
        batches: list[MemoryBatch] = []
        caught_up, lost = set(), set()
        fetching = sorted(self._positions.keys() - self._paused)
        for place, source in enumerate(fetching):
            position = self._positions[source]
            partition = self._cluster.partition(source)
            if not partition.first <= position <= partition.end:
                del self._positions[source]
                lost.add(source)
                continue
            share = max(1, max_records // (len(fetching) - place))  # a full partition must not starve the others
            count = min(partition.end - position, share, max_records)
            if count:
                start = position - partition.first
                batches.extend(_batches(source, partition, slice(start, start + count)))
                max_records -= count
                position += count
                self._positions[source] = position
                self._told_end.discard(source)
            if position == partition.end and source not in self._told_end:
                self._told_end.add(source)
                caught_up.add(source)
        return Polled(tuple(batches), frozenset(caught_up), frozenset(lost))

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Begin, or begin again, to fetch assigned partitions at these offsets."""
        for source, offset in positions.items():
            if offset < 0:
                raise ValueError(f"{source.topic}, partition {source.partition}: {offset} is not an offset to start at")
        self.stop(list(positions))
        self._positions.update({source: offset for source, offset in positions.items() if source in self._owned})

    def stop(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching these partitions; they stay assigned."""
        if self._in_listener:
            raise RuntimeError("a rebalance listener must not start or stop partitions: do it after `poll`")
        self._forget(partitions)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Hold back fetching for a while; positions are kept."""
        self._paused.update(self._positions.keys() & set(partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Go on fetching paused partitions."""
        self._paused.difference_update(partitions)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return (first offset kept, next offset to be written)."""
        with self._cluster.changed:
            found = self._cluster.partition(partition)
            return found.first, found.end

    def lag(self, partition: TopicPartition, position: int) -> int | None:
        """Return the records between `position` and the end; None if the partition is not being fetched."""
        if partition not in self._positions:
            return None
        with self._cluster.changed:
            return max(0, self._cluster.partition(partition).end - position)

    def report(self, positions: Mapping[TopicPartition, int]) -> None:
        """Keep offsets for lag tools only."""
        with self._cluster.changed:
            self._group.reported.update(positions)

    def close(self) -> None:
        """Leave the group; the listener is told of what is still assigned."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._owned:
                lost = self._member not in self._group.held
                self._tell(self._listener.on_lost if lost else self._listener.on_revoked, self._owned)
        finally:
            self._forget(self._owned)
            self._owned.clear()
            with self._cluster.changed:
                self._group.leave(self._member, self._cluster.partition_counts())
                self._cluster.changed.notify_all()

    def expire(self) -> None:
        """Take everything away, as the log does when a member stops answering. May be called from any thread.

        The next poll tells the listener `on_lost` and joins again.
        """
        with self._cluster.changed:
            self._group.leave(self._member, self._cluster.partition_counts())
            self._cluster.changed.notify_all()

    # rebalancing: the lock is never held while a listener runs

    def _rebalance_is_due(self) -> bool:
        group, member = self._group, self._member
        return member not in group.held or bool(group.to_give_up(member)) or bool(group.to_take(member))

    def _rebalance(self) -> None:
        with self._cluster.changed:
            expired = self._member not in self._group.held
        if expired:
            self._lose_everything()
        with self._cluster.changed:
            leaving = self._group.to_give_up(self._member)
        if leaving:
            self._give_up(leaving)
        with self._cluster.changed:
            if self._member not in self._group.held:
                return  # expired while the listener ran: the next round sees to it
            taken = self._group.to_take(self._member)
            self._group.held[self._member] |= taken
        if taken:
            new = self._with_followers(taken)
            self._owned.update(new)
            self._tell(self._listener.on_assigned, new)

    def _lose_everything(self) -> None:
        lost = set(self._owned)
        self._owned.clear()
        self._forget(lost)
        with self._cluster.changed:
            self._member = self._group.join(self._topics, self._cluster.partition_counts())
            self._cluster.changed.notify_all()
        if lost:
            self._tell(self._listener.on_lost, lost)

    def _give_up(self, leaving: set[TopicPartition]) -> None:
        given = self._with_followers(leaving)
        try:
            self._tell(self._listener.on_revoked, given)
        finally:
            self._owned.difference_update(given)
            self._forget(given)
            with self._cluster.changed:
                self._group.held.get(self._member, set()).difference_update(leaving)
                self._cluster.changed.notify_all()

    def _tell(self, tell: Tell, partitions: set[TopicPartition]) -> None:
        self._in_listener = True
        try:
            tell(sorted(partitions))
        finally:
            self._in_listener = False

    def _forget(self, partitions: Sequence[TopicPartition] | set[TopicPartition]) -> None:
        for source in partitions:
            self._positions.pop(source, None)
        self._paused.difference_update(partitions)
        self._told_end.difference_update(partitions)

    def _with_followers(self, partitions: set[TopicPartition]) -> set[TopicPartition]:
        return {
            TopicPartition(topic, source.partition)
            for source in partitions
            for topic in (source.topic, *self._follow.get(source.topic, ()))
        }


def _batches(source: TopicPartition, partition: Partition, chosen: slice) -> Iterator[MemoryBatch]:
    """Yield records of a partition, in one batch if all have their timestamps from the log, or none has."""
    for run in runs(partition.stamped_by_log[chosen]):
        part = slice(chosen.start + run.start, chosen.start + run.stop)
        yield MemoryBatch(
            source,
            partition.values[part],
            range(partition.first + part.start, partition.first + part.stop),
            partition.timestamps[part],
            partition.records[part],
            partition.stamped_by_log[part.start],
        )
