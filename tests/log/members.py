"""Group members that write down what happens to them, and what drives them."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from driftline.log.api import Consumer, Log, Outgoing, Polled, TopicPartition

DEADLINE_S = 30.0


@dataclass
class Member:
    """A listener, its consumer, and what they saw."""

    log: Log
    topics: Sequence[str]
    group: str
    follow: Mapping[str, Sequence[str]] = field(default_factory=dict)
    starts: Mapping[TopicPartition, int] | None = None
    """Where to start what is assigned; without it nothing is started."""
    owned: set[TopicPartition] = field(default_factory=set)
    events: list[tuple[str, list[TopicPartition]]] = field(default_factory=list)
    offsets: dict[TopicPartition, list[int]] = field(default_factory=lambda: defaultdict(list))
    ended: set[TopicPartition] = field(default_factory=set)
    lost: set[TopicPartition] = field(default_factory=set)
    fresh: list[TopicPartition] = field(default_factory=list)
    consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        self.consumer = self.log.consumer(self.group, self.topics, self, follow=self.follow)

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("assigned", list(partitions)))
        self.owned.update(partitions)
        self.fresh.extend(partitions)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("revoked", list(partitions)))
        self.owned.difference_update(partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.events.append(("lost", list(partitions)))
        self.owned.difference_update(partitions)

    def poll(self, max_records: int = 1000, timeout_s: float = 0.05) -> Polled:
        polled = self.consumer.poll(max_records, timeout_s)
        for batch in polled.batches:
            assert batch.source in self.owned, "records of a partition that is not ours"
            self.offsets[batch.source].extend(batch.offsets)
        self.ended |= polled.caught_up
        self.lost |= polled.lost
        if self.starts is not None and self.fresh:
            self.consumer.start({source: self.starts[source] for source in self.fresh if source in self.owned})
            self.fresh.clear()
        return polled

    def told(self, kind: str) -> list[TopicPartition]:
        return sorted(source for event, partitions in self.events if event == kind for source in partitions)


def drive(members: Iterable[Member], until: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Poll the members in turn until the condition holds."""
    members = list(members)
    deadline = time.monotonic() + deadline_s
    while not until():
        if time.monotonic() > deadline:
            pytest.fail(f"not so after {deadline_s} s: {[member.events for member in members]}")
        for member in members:
            member.poll()


def fill(log: Log, topic: str, *, partitions: int = 4, each: int = 10) -> None:
    """Write records `topic/partition/offset` to every partition."""
    producer = log.producer()
    for number in range(partitions):
        for offset in range(each):
            value = f"{topic}/{number}/{offset}".encode()
            producer.produce(Outgoing(topic, str(offset).encode(), value, partition=number))
    producer.flush(DEADLINE_S)
    producer.close()


def partitions_of(*topics: str, count: int = 4) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in sorted(topics) for number in range(count)]


def from_start(*topics: str) -> dict[TopicPartition, int]:
    return dict.fromkeys(partitions_of(*topics), 0)
