"""The tasks that a worker owns, from the assignment of their partitions until they are given back or set aside.

assigned ─► wanted ── claim ─► owned ── forget: revoked, lost
              ▲                  │
              └─ reclaim ────────┤  its commit was refused: from what is stored, half a second later
              └─ set aside ──────┘  its stored state cannot be read, its offset is not in the log, or one of its inputs
                                    has no such partition: a minute later
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from driftline.config import Settings
from driftline.errors import OffsetLost, StateCorrupt, StateError, TopicError
from driftline.log.api import Consumer, Log, Polled, TopicPartition
from driftline.runtime.checkpoint import Checkpointer
from driftline.runtime.clock import Clock
from driftline.runtime.inputs import created_anew, lost_offset
from driftline.runtime.progress import Progress
from driftline.runtime.stage import StageKind
from driftline.runtime.task import Owned, name
from driftline.state.api import CommitOutcome, Store, TaskId

log = logging.getLogger(__name__)

ASIDE_S = 60.0
"""Wait before a task that was set aside is looked at again: somebody may have restored, reset or skipped something."""
RECLAIM_S = 0.5
"""Wait before a task whose commit was refused is claimed anew: most often it moves, and another has claimed it."""
CLAIM_S = 0.5
"""Longest time for the claims of one step: a task with much state takes a second."""


class OwnedTasks:
    """Iterating gives the owned tasks; they may be given back meanwhile.

    Args:
        settings: the configuration.
        log: tells whether a topic has grown.
        store: where state is kept.
        consumer: fetches what the tasks read.
        checkpointer: claims.
        kinds: what can be run, by main input.
        partition_counts: of the topics; kept up to date.
        progress: what happens to tasks is shown there.
        clock: time.
        bounded: whether the tasks are done where their inputs ended when they were claimed.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        store: Store,
        consumer: Consumer,
        checkpointer: Checkpointer,
        *,
        kinds: Mapping[str, StageKind],
        partition_counts: dict[str, int],
        progress: Progress,
        clock: Clock,
        bounded: bool,
    ) -> None:
        self.bounded = bounded
        self._settings = settings
        self._log = log
        self._store = store
        self._consumer = consumer
        self._checkpointer = checkpointer
        self._kinds = kinds
        self._partition_counts = partition_counts
        self._progress = progress
        self._clock = clock
        self._owned: dict[TopicPartition, Owned] = {}
        self._by_input: dict[TopicPartition, Owned] = {}
        self._wanted: dict[TopicPartition, float] = {}

    def __iter__(self) -> Iterator[Owned]:
        return iter(list(self._owned.values()))

    def has_work(self, now: float) -> bool:
        """Whether there is something to do though nothing may come."""
        return any(owned.waiting for owned in self) or any(at <= now for at in self._wanted.values())

    # claiming

    def want(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what to claim."""
        for partition in partitions:
            if partition.topic in self._kinds:  # partitions that follow come with their task
                self._wanted[partition] = 0.0

    def claim(self, now: float) -> None:
        """Claim what was assigned, for a while. Raises what is waited out: then the same call goes on from there."""
        due = sorted(partition for partition, at in self._wanted.items() if at <= now)
        ids = self._topic_ids() if due else {}
        for partition in due:
            self._notice_growth(partition)
            stage = self._kinds[partition.topic].make(partition.partition)
            task = TaskId(self._settings.group, stage.name, partition.partition)
            if (uneven := self._uneven(partition, stage.inputs)) is not None:
                self._set_aside(partition, task, uneven)
                continue
            try:
                owned = self._checkpointer.claim(
                    *(task, stage, self._consumer, ids, now),
                    bounded=self.bounded,
                    doubted=partition in self._progress.set_aside,
                )
            except (StateCorrupt, OffsetLost) as error:
                self._set_aside(partition, task, error)
                continue
            self._progress.set_aside.pop(partition, None)
            del self._wanted[partition]
            self._owned[partition] = owned
            self._by_input.update(dict.fromkeys(owned.partitions, owned))
            self._consumer.start({TopicPartition(topic, task.partition): at for topic, at in owned.positions.items()})
            self._show()
            skipped = sum(held.skipped for held in owned.inputs.values())
            told = f", {skipped:,} records skipped so far" if skipped else ""
            log.info(
                "%s: claimed, from offset %s, epoch %d%s",
                name(task),
                min(owned.positions.values()),
                owned.claim.epoch,
                told,
            )
            if self._clock.now() >= now + CLAIM_S:
                break

    def _topic_ids(self) -> dict[str, str]:
        return self._log.topic_ids(sorted({topic for kind in self._kinds.values() for topic in kind.inputs}))

    def _notice_growth(self, partition: TopicPartition) -> None:
        """Count again where a partition was added since the start: panes say how many sources Judge has to wait for."""
        for topic in self._kinds[partition.topic].inputs:
            before = self._partition_counts.get(topic, 0)
            if topic != self._settings.topics.panes and partition.partition >= before:
                self._partition_counts.update(self._log.partition_counts([topic]))
                if self._partition_counts[topic] > before:
                    log.info("%s has %d partitions now", topic, self._partition_counts[topic])

    def _uneven(self, partition: TopicPartition, inputs: Sequence[str]) -> TopicError | None:
        """Return what is wrong where a topic has a partition that one which follows it has not; None if all have it."""
        for topic in inputs[1:]:
            count, needed = self._partition_counts[topic], self._partition_counts[partition.topic]
            if partition.partition >= count:
                return TopicError(
                    f"{partition.topic} has {needed} partitions now and {topic} has {count}, so labels do not meet "
                    f"their predictions there. Add partitions (kafka-topics.sh --alter --topic {topic} --partitions "
                    f"{needed}); a worker notices within a minute",
                    topic=topic,
                )
        return None

    def bound(self) -> None:
        """From now on be done where the inputs end now."""
        for owned in self:
            owned.ends = {source.topic: self._consumer.bounds(source)[1] for source in owned.partitions}
            owned.forget_fetched()  # it may have caught up with an earlier end: a new start tells of the new one
            self._consumer.start({source: owned.positions[source.topic] for source in owned.partitions})
        self.bounded = True

    # fetching

    def take(self, polled: Polled, now: float) -> None:
        """Give the tasks what came for them. Behind what is fetched again, nothing counts as having come."""
        missed = set[TopicPartition]()
        for batch in polled.batches:
            owned = self._by_input.get(batch.source)
            if owned is not None and batch.source not in missed and not owned.receive(batch, now):
                self.fetch_again(owned, batch.source)
                missed.add(batch.source)
        for partition in polled.caught_up:
            owned = self._by_input.get(partition)
            if owned is not None and partition not in missed and not owned.reach_end(partition.topic):
                self.fetch_again(owned, partition)
        for partition in polled.lost:
            owned = self._by_input.get(partition)
            if owned is not None:
                owned.lost.add(partition.topic)
                owned.caught_up.discard(partition.topic)

    def fetch_again(self, owned: Owned, source: TopicPartition) -> None:
        """Ask once more for what should come next: something seems to be missing."""
        log.info("%s: fetching %s again from offset %d on", name(owned.task), source.topic, owned.next(source.topic))
        self._consumer.start({source: owned.next(source.topic)})
        owned.held -= {source.topic}

    def hold_back(self) -> None:
        """Fetch only for tasks that have nothing left to process, and of their inputs none that is far ahead."""
        now, idle_s = self._clock.now(), self._settings.idle_timeout / 1000
        for owned in self:
            owned.stage.hear_idle(owned.idle(now, idle_s))
            hold = owned.to_hold()
            if owned.held != hold:
                self._consumer.pause([source for source in owned.partitions if source.topic in hold - owned.held])
                self._consumer.resume([source for source in owned.partitions if source.topic in owned.held - hold])
                owned.held = hold

    # giving up

    def forget(self, partitions: Sequence[TopicPartition]) -> list[Owned]:
        """Give back these partitions. Returns the tasks that were owned, as they stand."""
        leaving = [owned for partition in partitions if (owned := self._owned.get(partition)) is not None]
        for partition in partitions:
            self._owned.pop(partition, None)
            self._by_input.pop(partition, None)
            self._wanted.pop(partition, None)
            self._progress.set_aside.pop(partition, None)
        self._show()
        return leaving

    def reclaim(self, owned: Owned) -> None:
        """Drop a task whose commit was refused. If it is still ours to run, it is claimed anew, from what is stored."""
        if self._drop(owned):
            self._wanted[owned.partitions[0]] = self._clock.now() + RECLAIM_S

    def of_the_same_topics(self, tasks: Sequence[Owned]) -> list[Owned]:
        """Return the tasks whose inputs are still the topics that they read, and set the others aside.

        Asked before each checkpoint is taken: what was read of another topic under the same name, from an offset that
        means nothing there, is never committed. Raises `LogUnavailable`.
        """
        ids, same = self._topic_ids(), []
        for owned in tasks:
            anew = [topic for topic, held in owned.inputs.items() if created_anew(held, ids.get(topic, ""))]
            if anew and owned.pending is None:
                self._give_up_lost(owned, anew[0], ids, None)
            else:
                same.append(owned)
        return same

    def give_up_what_is_lost(self) -> None:
        """Set tasks aside of which the log says that their next offset is not in it, once what they read is committed.

        Raises one of what is waited out.
        """
        for owned in self:
            for topic in sorted(owned.lost):
                source = TopicPartition(topic, owned.task.partition)
                bounds, ids = self._consumer.bounds(source), self._topic_ids()
                first, end = bounds
                if created_anew(owned.inputs[topic], ids.get(topic, "")):
                    self._give_up_lost(owned, topic, ids, bounds)
                    break
                if first <= owned.next(topic) <= end:
                    owned.lost.discard(topic)
                    self.fetch_again(owned, source)
                elif not owned.waiting:
                    if owned.next(topic) > end and owned.inputs[topic].ended is None:
                        owned.inputs[topic] = replace(owned.inputs[topic], ended=end)
                    if not owned.moved and not owned.unfinished:
                        self._give_up_lost(owned, topic, ids, bounds)
                        break

    def _give_up_lost(self, owned: Owned, topic: str, ids: Mapping[str, str], bounds: tuple[int, int] | None) -> None:
        at = owned.committed.get(topic, owned.positions[topic])
        error = lost_offset(owned.task, topic, at, owned.inputs[topic], ids.get(topic, ""), bounds)
        assert error is not None
        self.give_up(owned, error)

    def give_up(self, owned: Owned, error: StateCorrupt | OffsetLost) -> None:
        """Set a task aside that cannot go on: its state is corrupt, or its input of a later release, or not there."""
        if self._drop(owned):
            self._set_aside(owned.partitions[0], owned.task, error)

    def _drop(self, owned: Owned) -> bool:
        """Stop working on a task. Returns False for one that was taken away meanwhile."""
        if self._owned.get(owned.partitions[0]) is not owned:
            return False
        self.forget(owned.partitions)
        self._consumer.stop(owned.partitions)
        return True

    def _set_aside(
        self, partition: TopicPartition, task: TaskId, error: StateCorrupt | OffsetLost | TopicError
    ) -> None:
        """Leave alone a task that cannot go on, and say so once: nothing of it changes, all others go on."""
        if self.bounded:
            raise error  # it would never be caught up
        fault = str(error)
        self._wanted[partition] = self._clock.now() + ASIDE_S
        if self._progress.set_aside.get(partition) == fault:
            return
        self._progress.set_aside[partition] = fault
        log.error("%s is set aside, other tasks continue: %s. See `driftline state check`", name(task), fault)
        with suppress(StateError):  # the note is for people, and the log has it
            self._store.note(task, fault)

    def reclaim_what_the_store_lost(self) -> None:
        """Ask the store whether it went back. It tells the next commit, but a resting task has none to make."""
        resting = [owned for owned in self if not owned.moved and not owned.unfinished]
        if not resting:
            return
        stored = {info.task: info for info in self._store.tasks(self._settings.group)}
        for owned in resting:
            info = stored.get(owned.task)
            held = info and (info.owner, info.epoch, info.sequence, info.outbox)
            if held != (owned.claim.owner, owned.claim.epoch, owned.sequence, 0):
                log.warning("%s: the store lost the last commit: starting again from what it has", name(owned.task))
                self._progress.restarts[CommitOutcome.STALE.value] += 1
                self.reclaim(owned)

    def _show(self) -> None:
        self._progress.tasks = sorted(name(owned.task) for owned in self)
