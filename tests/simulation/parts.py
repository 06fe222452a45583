"""A worker's surroundings in memory, where every call may go wrong: the log, its consumers and producers, the store."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, TypeVar

from driftline.errors import DeliveryPending, DriftlineError, LogUnavailable, PublishError, StateUnavailable
from driftline.log.api import Batch, Outgoing, Polled, Reader, RebalanceListener, TopicPartition
from driftline.log.memory import MemoryLog
from driftline.log.memory_consumer import MemoryConsumer
from driftline.state.api import Claim, Commit, CommitOutcome, Committed, TaskId, TaskInfo, Word
from driftline.state.memory import MemoryStore

T = TypeVar("T")

ASTRAY = 5
"""Records that a start which goes too far leaves out."""


class Crash(BaseException):
    """The process was killed. Not an Exception: nothing in the worker may catch it."""


class Surroundings(Protocol):
    """What a process needs of the world it is in."""

    def call(self, name: str, effect: Callable[[], T], *, fails_with: DriftlineError) -> T:
        """Do something to the world, unless a fault strikes before it or its answer is lost."""
        ...

    def batch_size(self) -> int:
        """Return how many records the next poll brings at most."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass, and others do something."""
        ...

    def part(self, count: int) -> int:
        """Return how many of so many queued records go out by themselves."""
        ...

    def committed(self, outbox: Sequence[bytes]) -> None:
        """Note what a commit put into an outbox."""
        ...

    def about_to_publish(self, record: Outgoing) -> None:
        """Fail unless the record is a dead letter, or was in an outbox first."""
        ...

    def left_behind(self, producer: "SimulatedProducer") -> None:
        """Let some of what a producer had queued come late, in order."""
        ...

    def deliver_twice(self) -> bool:
        """Tell, once, whether a fault wants the next delivery doubled."""
        ...


class SimulatedStore:
    """A `MemoryStore` that a process reaches over a bad line, and that can go back in time."""

    def __init__(self, memory: MemoryStore, around: Surroundings, changed: Callable[[], None]) -> None:
        self._memory = memory
        self._around = around
        self._changed = changed

    def _write(self, name: str, effect: Callable[[], T]) -> T:
        def written() -> T:
            answer = effect()
            self._changed()
            return answer

        return self._call(name, written)

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        return self._around.call(name, effect, fails_with=StateUnavailable(f"the line broke in {name}"))

    def check(self) -> None:
        self._memory.check()

    def claim(self, task: TaskId, owner: str) -> Claim:
        return self._write("claim", lambda: self._memory.claim(task, owner))

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        def committed() -> Committed:
            answer = self._memory.commit(claim, commit)
            if answer.outcome is CommitOutcome.OK:
                self._around.committed(commit.outbox)
            return answer

        return self._write("commit", committed)

    def ack(self, claim: Claim, through: int) -> CommitOutcome:
        return self._write("ack", lambda: self._memory.ack(claim, through))

    def tasks(self, group: str) -> list[TaskInfo]:
        return self._call("tasks", lambda: self._memory.tasks(group))

    def read(self, task: TaskId, prefix: str) -> dict[str, bytes]:
        return self._call("read", lambda: self._memory.read(task, prefix))

    def tell(self, group: str, owner: str, word: Word | None) -> None:
        self._call("tell", lambda: self._memory.tell(group, owner, word))

    def told(self, group: str) -> list[Word]:
        return self._memory.told(group)

    def faults(self) -> list[str]:
        return self._memory.faults()

    def note(self, task: TaskId, fault: str) -> None:
        self._memory.note(task, fault)

    def time_ms(self) -> int:
        return self._call("time_ms", self._memory.time_ms)

    def forget(self, task: TaskId) -> None:
        self._memory.forget(task)

    def close(self) -> None:
        pass


class SimulatedConsumer:
    """A `MemoryConsumer` whose polls bring few records, at times none, and may fail."""

    def __init__(self, inner: MemoryConsumer, around: Surroundings) -> None:
        self.inner = inner
        self.again = self.astray = False
        """Whether the next poll brings once more what the last ones brought; whether the next start goes too far."""
        self._around = around
        self._latest: dict[TopicPartition, Batch] = {}

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        most = min(max_records, self._around.batch_size())
        again = tuple(self._latest.values()) if self.again else ()
        polled = self._call("poll", lambda: self.inner.poll(most, 0.0))
        if again:
            self.again = False
            polled = replace(polled, batches=(*again, *polled.batches))
        self._latest.update({batch.source: batch for batch in polled.batches})
        if not polled.batches and not polled.caught_up:
            self._around.wait(timeout_s)
        return polled

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return self._call("bounds", lambda: self.inner.bounds(partition))

    def report(self, positions: Mapping[TopicPartition, int]) -> None:
        with suppress(LogUnavailable):  # best effort, as the contract says
            self._call("report", lambda: self.inner.report(positions))

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        self._forget(list(positions))
        if self.astray:
            self.astray = False
            positions = {
                source: min(at + ASTRAY, max(at, self.inner.bounds(source)[1])) for source, at in positions.items()
            }
        self.inner.start(positions)

    def stop(self, partitions: Sequence[TopicPartition]) -> None:
        self._forget(partitions)
        self.inner.stop(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        for source in partitions:
            self._latest.pop(source, None)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self.inner.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self.inner.resume(partitions)

    def lag(self, partition: TopicPartition, position: int) -> int | None:
        return self.inner.lag(partition, position)

    def close(self) -> None:
        self.inner.close()

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        return self._around.call(name, effect, fails_with=LogUnavailable(f"the line broke in {name}"))


class SimulatedProducer:
    """Queues records. Some go out by themselves, in order, the rest when flushed; what is left comes late or never."""

    def __init__(self, log: MemoryLog, around: Surroundings) -> None:
        self._producer = log.producer()
        self._around = around
        self.queued: list[Outgoing] = []

    def produce(self, record: Outgoing) -> None:
        self._around.about_to_publish(record)
        self._around.call(
            "produce", lambda: self.queued.append(record), fails_with=PublishError("an earlier record failed")
        )
        self.deliver(self._around.part(len(self.queued)))

    def flush(self, timeout_s: float) -> None:
        if self._around.part(2):
            error: PublishError = DeliveryPending("the broker does not answer yet")
        else:
            error = PublishError("the broker refuses a record")
        try:
            self._around.call("flush", lambda: self.deliver(len(self.queued)), fails_with=error)
        except DeliveryPending:
            self.deliver(self._around.part(len(self.queued)))
            raise
        except PublishError:
            self.deliver(self._around.part(len(self.queued)))
            self.queued = self.queued[: self._around.part(len(self.queued))]  # the one behind them was refused
            raise

    def deliver(self, count: int) -> None:
        records, self.queued = self.queued[:count], self.queued[count:]
        for _ in range(2 if records and self._around.deliver_twice() else 1):
            for record in records:
                self._producer.produce(record)

    def close(self) -> None:
        """Give up what is queued, of which the log may have some already."""
        self._around.left_behind(self)


class SimulatedLog:
    """The one log of all processes, as one of them sees it."""

    def __init__(self, memory: MemoryLog, around: Surroundings) -> None:
        self._memory = memory
        self._around = around
        self.consumers: list[SimulatedConsumer] = []
        self.producers: list[SimulatedProducer] = []

    def consumer(
        self,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        *,
        follow: Mapping[str, Sequence[str]] = {},
    ) -> SimulatedConsumer:
        consumer = SimulatedConsumer(self._memory.consumer(group, topics, listener, follow=follow), self._around)
        self.consumers.append(consumer)
        return consumer

    def producer(self) -> SimulatedProducer:
        producer = SimulatedProducer(self._memory, self._around)
        self.producers.append(producer)
        return producer

    def partition_counts(self, topics: Sequence[str]) -> dict[str, int]:
        return self._memory.partition_counts(topics)

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        error = LogUnavailable("the line broke in topic_ids")
        return self._around.call("topic_ids", lambda: self._memory.topic_ids(topics), fails_with=error)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        return self._memory.bounds(topic)

    def create_topics(self, counts: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]) -> None:
        self._memory.create_topics(counts, settings)

    def topic_settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        return self._memory.topic_settings(topics)

    def change_topics(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        self._memory.change_topics(settings)

    def read(self, topic: str, *, follow: bool = False) -> Reader:
        return self._memory.read(topic, follow=follow)
