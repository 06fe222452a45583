"""One consumer group for each stage, seen by the worker as one consumer.

In a single group, cooperative assignment balances partitions and not topics: with four partitions of each topic and two
workers it gave one of them all the predictions, and the other all the panes. So each stage has a group of its own, and
every worker is a member of both.
"""

from collections.abc import Mapping, Sequence

from driftline.log.api import Batch, Consumer, Log, Polled, RebalanceListener, TopicPartition
from driftline.runtime.stage import StageKind


class Members:
    """See `driftline.log.api.Consumer`: every call goes to the member that owns the topic."""

    def __init__(self, log: Log, group: str, kinds: Sequence[StageKind], listener: RebalanceListener) -> None:
        self._consumers: list[Consumer] = []
        self._kept: Exception | None = None
        self._of: dict[str, Consumer] = {}
        for kind in kinds:
            main, *others = kind.inputs
            follow = {main: others} if others else {}
            consumer = log.consumer(f"{group}.{kind.name}", [main], listener, follow=follow)
            self._consumers.append(consumer)
            self._of.update(dict.fromkeys(kind.inputs, consumer))

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Poll every member. They share the time, which nobody waits out once something has come.

        Where one fails, what another has fetched is returned first, or it would be passed over: the next poll raises.
        """
        if self._kept is not None:
            raise self._take_kept()
        batches: list[Batch] = []
        caught_up: set[TopicPartition] = set()
        lost: set[TopicPartition] = set()
        for consumer in self._consumers:
            wait = 0.0 if batches else timeout_s / len(self._consumers)
            try:
                polled = consumer.poll(max_records, wait)
            except Exception as error:
                self._kept = self._kept or error
                continue
            batches.extend(polled.batches)
            caught_up |= polled.caught_up
            lost |= polled.lost
        if self._kept is not None and not batches and not caught_up and not lost:
            raise self._take_kept()
        return Polled(tuple(batches), frozenset(caught_up), frozenset(lost))

    def _take_kept(self) -> Exception:
        assert self._kept is not None
        error, self._kept = self._kept, None
        return error

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Begin, or begin again, to fetch assigned partitions at these offsets."""
        for consumer, sources in self._by_member(list(positions)):
            consumer.start({source: positions[source] for source in sources})

    def stop(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching these partitions."""
        for consumer, sources in self._by_member(partitions):
            consumer.stop(sources)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Hold back fetching for a while."""
        for consumer, sources in self._by_member(partitions):
            consumer.pause(sources)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Go on fetching."""
        for consumer, sources in self._by_member(partitions):
            consumer.resume(sources)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return (first offset kept, next offset to be written), of any topic: nobody need own a partition to ask."""
        return self._of.get(partition.topic, self._consumers[0]).bounds(partition)

    def lag(self, partition: TopicPartition, position: int) -> int | None:
        """Return the records between `position` and the end as last heard of."""
        return self._of[partition.topic].lag(partition, position)

    def report(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit offsets to the log for lag tools only."""
        for consumer, sources in self._by_member(list(positions)):
            consumer.report({source: positions[source] for source in sources})

    def close(self) -> None:
        """Leave all groups."""
        for consumer in self._consumers:
            consumer.close()

    def _by_member(self, partitions: Sequence[TopicPartition]) -> list[tuple[Consumer, list[TopicPartition]]]:
        found = []
        for consumer in self._consumers:
            sources = [source for source in partitions if self._of[source.topic] is consumer]
            if sources:
                found.append((consumer, sources))
        return found
