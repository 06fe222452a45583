"""A worker: one member of the consumer group, one loop, the tasks of the partitions that it was given.

Both stages are read by one group and one consumer: one membership to keep alive, one rebalance when a worker comes or
goes, half the connections; and panes are so few that sharing the fetch queue with predictions costs them nothing.

Everything happens in the loop's thread. Rebalance callbacks run inside `poll`, and only note what was assigned, or
checkpoint what is about to move.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from driftline.config import Settings
from driftline.errors import StateUnavailable
from driftline.log.api import Consumer, Log, Polled, TopicPartition
from driftline.runtime.bounded import everything_done
from driftline.runtime.checkpoint import Checkpointer, Owned, Prepared, name, offsets_by_partition
from driftline.runtime.rules import judge_settings, summarise_settings
from driftline.runtime.stages import JUDGE, SUMMARISE, JudgeStage, Stage, StageTopics, SummariseStage
from driftline.state.api import Outcome, Store, TaskId

log = logging.getLogger(__name__)

MAX_RECORDS = 20_000
"""Records of one poll: enough for numpy calls to cost nothing a record, some 20 MB with their objects."""
POLL_S = 0.1
"""Longest wait for records: how soon a stop or a checkpoint is noticed when nothing comes."""
RETRY_S = 0.5
"""Wait between tries while the store does not answer; membership is kept meanwhile."""
REVOKE_S = 10.0
"""All that a revocation may take: well below the five minutes after which the group would expel this worker."""
COLLECT_S = 30.0
"""Time between garbage collections. Rows hold no cycles; collecting on allocation would cost 10 % of decoding."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, injected: `now` in seconds for waiting, `wall_ms` in epoch milliseconds for people, and how to wait."""

    now: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class Progress:
    """What a worker did so far, for those who watch it from the same process."""

    records: int = 0
    commits: int = 0
    alerts: int = 0
    bytes_written: int = 0
    tasks: list[str] = field(default_factory=list)


class Worker:
    """See the module's head.

    Args:
        settings: the configuration.
        log: where records come from and go to.
        store: where state is kept.
        owner: a name for this worker, different from that of every other one alive.
        until_caught_up: stop once everything that was there at the start has been read, flushed and judged.
        clock: time.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        store: Store,
        *,
        owner: str,
        until_caught_up: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.progress = Progress()
        self._settings = settings
        self._log = log
        self._store = store
        self._clock = clock or Clock()
        self._until_caught_up = until_caught_up
        self._stopping = False
        topics = settings.topics
        self._topics = StageTopics((topics.predictions,), topics.panes, topics.alerts, topics.dead_letters)
        counts = log.partition_counts([topics.predictions, topics.panes])
        self._sources, self._panes = counts[topics.predictions], counts[topics.panes]
        self._summarising = summarise_settings(settings)
        self._judging = judge_settings(settings)
        self._producer = log.producer()
        self._checkpointer = Checkpointer(store, self._producer, owner, self._clock.wall_ms)
        self._consumer: Consumer = log.consumer(settings.group, [topics.predictions, topics.panes], self)
        self._owned: dict[TopicPartition, Owned] = {}
        self._wanted: dict[TopicPartition, float] = {}
        self._ends: dict[int, int] | None = None
        self._next_look = 0.0
        self._collected = 0.0

    def stop(self) -> None:
        """Ask the loop to finish: checkpoint, publish, leave the group. Safe to call from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Work until stopped, or until caught up. Raises what no retry can mend."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while not self._stopping:
                self.step()
            self._checkpoint(list(self._owned.values()), self._clock.now() + self._settings.shutdown / 1000)
        finally:
            gc.enable()
            gc.unfreeze()
            self._consumer.close()
            self._producer.close()

    def step(self) -> None:
        """Poll once, and do what is due."""
        polled = self._consumer.poll(MAX_RECORDS, POLL_S)
        now = self._clock.now()
        self._take(polled, now)
        self._claim(now)
        self._flush_quiet(now)
        interval = self._settings.checkpoint / 1000
        due = [owned for owned in self._owned.values() if owned.moved and now - owned.last_commit >= interval]
        if due:
            self._checkpoint(due, None)
        if now - self._collected > COLLECT_S:
            gc.collect()
            self._collected = now
        if self._until_caught_up and now >= self._next_look:
            self._look_for_the_end(now, interval)

    def _take(self, polled: Polled, now: float) -> None:
        for batch in polled.batches:
            owned = self._owned.get(batch.source)
            if owned is not None:
                owned.process(batch, now)
                self.progress.records += len(batch.offsets)
        for partition in polled.caught_up:
            owned = self._owned.get(partition)
            if owned is not None:
                owned.caught_up.add(partition.topic)

    # claiming and giving up

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what to claim."""
        for partition in partitions:
            self._wanted[partition] = 0.0

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Checkpoint what is about to move, so that its next owner reads nothing twice."""
        leaving = [owned for partition in partitions if (owned := self._owned.pop(partition, None)) is not None]
        self._forget(partitions)
        if leaving:
            try:
                self._checkpoint(leaving, self._clock.now() + REVOKE_S)
            except Exception as error:  # whoever comes next reads from the last checkpoint: nothing is lost
                log.warning("not checkpointed before it moved: %s", error)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what is somebody else's already."""
        for partition in partitions:
            self._owned.pop(partition, None)
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._wanted.pop(partition, None)
        self.progress.tasks = sorted(name(owned.task) for owned in self._owned.values())

    def _claim(self, now: float) -> None:
        for partition in sorted(partition for partition, at in self._wanted.items() if at <= now):
            stage = self._stage(partition)
            task = TaskId(self._settings.group, stage.name, partition.partition)
            try:
                owned = self._checkpointer.claim(task, stage, self._consumer, now)
            except StateUnavailable as error:
                log.warning("%s: cannot be claimed yet: %s", name(task), error)
                self._wanted[partition] = now + RETRY_S
                continue
            del self._wanted[partition]
            self._owned[partition] = owned
            self._consumer.start({TopicPartition(topic, task.partition): at for topic, at in owned.positions.items()})
            self.progress.tasks = sorted(name(held.task) for held in self._owned.values())

    def _stage(self, partition: TopicPartition) -> Stage:
        if partition.topic == self._topics.panes:
            return JudgeStage(self._judging, self._topics)
        return SummariseStage(self._summarising, self._topics, partition.partition, self._sources, self._panes)

    # moving forward

    def _flush_quiet(self, now: float) -> None:
        quiet = self._settings.quiet / 1000
        for owned in self._owned.values():
            main = owned.stage.inputs[0]
            ended = self._until_caught_up and owned.at_end
            silent = set(owned.stage.inputs) <= owned.caught_up and now - owned.last_record >= quiet
            if ended or silent:
                end = max(owned.positions[main], owned.ends[main] if ended else 0)
                owned.flushed |= owned.stage.quiet(end)

    def _checkpoint(self, tasks: list[Owned], deadline: float | None) -> None:
        """Move tasks forward, in the order that the module `checkpoint` draws."""
        moving = [self._checkpointer.prepare(owned) for owned in tasks if owned.moved]
        if not moving:
            return
        self._checkpointer.flush()
        done: list[Owned] = []
        for prepared in moving:
            outcome = self._commit(prepared, deadline)
            if outcome in (Outcome.OK, Outcome.ALREADY):
                done.append(prepared.owned)
                self.progress.commits += 1
                self.progress.alerts += len(prepared.records) if prepared.owned.stage.name == JUDGE else 0
            else:
                self._reclaim(prepared.owned)
        self._checkpointer.publish(done)
        self.progress.bytes_written = sum(owned.counts.bytes_written for owned in self._owned.values())
        for owned in done:
            self._consumer.report(offsets_by_partition(owned))

    def _commit(self, prepared: Prepared, deadline: float | None) -> Outcome:
        """Commit, trying again while the store does not answer; fetching is held back, membership is kept."""
        held: list[TopicPartition] = []
        try:
            while True:
                try:
                    return self._checkpointer.commit(prepared, self._clock.now())
                except StateUnavailable as error:
                    now = self._clock.now()
                    if deadline is not None and now >= deadline:
                        raise
                    if not held:
                        log.warning("%s: waiting for the store: %s", name(prepared.owned.task), error)
                        held = [partition for owned in self._owned.values() for partition in owned.partitions]
                        self._consumer.pause(held)
                if deadline is None:
                    self._take(self._consumer.poll(1, RETRY_S), self._clock.now())
                    if prepared.owned not in self._owned.values():
                        return Outcome.FENCED
                else:
                    self._clock.sleep(min(RETRY_S, max(deadline - self._clock.now(), 0.0)))
        finally:
            still = {partition for owned in self._owned.values() for partition in owned.partitions}
            self._consumer.resume([partition for partition in held if partition in still])

    def _reclaim(self, owned: Owned) -> None:
        """Drop a task whose commit was refused. If it is still ours to run, it is claimed anew, from what is stored."""
        for partition in owned.partitions:
            if self._owned.get(partition) is owned:
                del self._owned[partition]
                self._consumer.stop([partition])
                self._wanted[partition] = self._clock.now() + RETRY_S

    def _look_for_the_end(self, now: float, interval: float) -> None:
        self._next_look = now + min(interval, RETRY_S)
        if self._ends is None:
            topic = self._settings.topics.predictions
            self._ends = {
                number: self._consumer.bounds(TopicPartition(topic, number))[1] for number in range(self._sources)
            }
        if any(owned.moved for owned in self._owned.values()):
            return
        if everything_done(self._store, self._settings, self._ends, self._panes_ends):
            self._stopping = True

    def _panes_ends(self) -> dict[int, int]:
        topic = self._topics.panes
        return {number: self._consumer.bounds(TopicPartition(topic, number))[1] for number in range(self._panes)}


__all__ = ["JUDGE", "SUMMARISE", "Clock", "Progress", "Worker"]
