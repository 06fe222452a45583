"""A worker: a member of each stage's consumer group, one loop, the tasks of the partitions that it was given.

Everything happens in the loop's thread. Rebalance callbacks run inside `poll`, and only note what was assigned, or
checkpoint what is about to move.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from driftline.config import Settings
from driftline.errors import StateCorrupt, StateError, StateUnavailable
from driftline.log.api import Consumer, Log, Polled, TopicPartition
from driftline.observe.metrics import Sample
from driftline.runtime.bounded import everything_done
from driftline.runtime.checkpoint import Checkpointer, Owned, Prepared, name, offsets_by_partition
from driftline.runtime.members import Members
from driftline.runtime.progress import Progress, samples
from driftline.runtime.stages import JUDGE, StageKind, pipeline
from driftline.state.api import Outcome, Store, TaskId

log = logging.getLogger(__name__)

MAX_RECORDS = 20_000
"""Records of one poll: enough for numpy calls to cost nothing a record, some 20 MB with their objects."""
WORK_S = 0.5
"""Longest work between two polls. Panes cost a thousand times more than events; a member that polls rarely holds up a
rebalance of its group, and one that does not poll for a minute is expelled: another would read the same and be next."""
POLL_S = 0.1
"""Longest wait for records: how soon a stop or a checkpoint is noticed when nothing comes."""
ASIDE_S = 60.0
"""Wait before a task whose state is corrupt is looked at again: somebody may have restored or reset it."""
RETRY_S = 0.5
"""Wait between tries while the store does not answer; membership is kept meanwhile."""
REVOKE_S = 10.0
"""All that a revocation may take: well below the minute after which the group would expel this worker."""
OBSERVE_S = 1.0
"""Time between reports to `observe`."""
COLLECT_S = 30.0
"""Time between garbage collections. Rows hold no cycles; collecting on allocation would cost 10 % of decoding."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, injected: `now` in seconds for waiting, `wall_ms` in epoch milliseconds for people, and how to wait."""

    now: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep


class Worker:
    """See the module's head.

    Args:
        settings: the configuration.
        log: where records come from and go to.
        store: where state is kept.
        owner: a name for this worker, different from that of every other one alive.
        until_caught_up: stop once everything that was there at the start has been read, flushed and judged.
        clock: time.
        stages: what to run; Summarise and Judge if left out.
        poll_s: longest wait for records, in seconds.
        observe: is told the metrics once a second, from the loop's thread.
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
        stages: Sequence[StageKind] | None = None,
        poll_s: float = POLL_S,
        observe: Callable[[Sequence[Sample]], None] | None = None,
    ) -> None:
        self.owner = owner
        self.progress = Progress()
        self._settings = settings
        self._store = store
        self._clock = clock or Clock()
        self._until_caught_up = until_caught_up
        self._finishing = False
        self._poll_s = poll_s
        self._stopping = False
        self._stop_by: float | None = None
        self._observe = observe
        self._next_report = 0.0
        topics = [settings.topics.predictions, settings.topics.panes]
        self._partitions = log.partition_counts(topics)
        self._kinds = {kind.inputs[0]: kind for kind in stages or pipeline(settings, self._partitions)}
        self._producer = log.producer()
        self._checkpointer = Checkpointer(store, self._producer, owner, self._clock.wall_ms)
        self._consumer: Consumer = Members(log, settings.group, list(self._kinds.values()), self)
        self._owned: dict[TopicPartition, Owned] = {}
        self._by_input: dict[TopicPartition, Owned] = {}
        self._wanted: dict[TopicPartition, float] = {}
        self._ends: dict[int, int] | None = None
        self._next_look = 0.0
        self._collected = 0.0

    def stop(self) -> None:
        """Ask the loop to finish: checkpoint, publish, leave the group. Safe to call from a signal handler."""
        self._stop_by = self._clock.now() + self._settings.shutdown / 1000
        self._stopping = True

    def finish(self) -> None:
        """From now on be `until_caught_up`: stop once all that is there now has been read, flushed and judged."""
        self._finishing = True

    def run(self) -> None:
        """Work until stopped, or until caught up. Raises what no retry can mend."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while not self._stopping:
                self.step()
            by = self._stop_by or self._clock.now() + self._settings.shutdown / 1000
            self._checkpoint(list(self._owned.values()), by)
            self._next_report = 0.0
            self._report(self._clock.now())
        finally:
            gc.enable()
            gc.unfreeze()
            self._consumer.close()
            self._producer.close()

    def step(self) -> None:
        """Poll once, and do what is due."""
        waiting = any(owned.waiting for owned in self._owned.values())
        polled = self._consumer.poll(MAX_RECORDS, 0.0 if waiting else self._poll_s)
        now = self._clock.now()
        self._take(polled, now)
        self._work(now)
        self._claim(now)
        if self._finishing and not self._until_caught_up:
            self._begin_to_finish()
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
        self._report(now)

    def _report(self, now: float) -> None:
        if self._observe is not None and now >= self._next_report:
            self._next_report = now + OBSERVE_S
            self._observe(samples(self.progress, self._owned.values(), self._consumer.lag, self._clock.wall_ms()))

    def _begin_to_finish(self) -> None:
        for owned in self._owned.values():
            owned.ends = {source.topic: self._consumer.bounds(source)[1] for source in owned.partitions}
            owned.fetch_again()  # it may have caught up with an earlier end: whoever starts anew is told of the new one
            self._consumer.start({source: owned.positions[source.topic] for source in owned.partitions})
        self._until_caught_up = True

    def _take(self, polled: Polled, now: float) -> None:
        for batch in polled.batches:
            owned = self._by_input.get(batch.source)
            if owned is not None:
                owned.receive(batch, now)
        for partition in polled.caught_up:
            owned = self._by_input.get(partition)
            if owned is not None:
                owned.caught_up.add(partition.topic)

    def _work(self, now: float) -> None:
        """Process what waits, the tasks in turn, for a while; what is left holds back further fetching."""
        busy = [owned for owned in self._owned.values() if owned.waiting]
        while busy:
            self.progress.records += sum(owned.work() for owned in busy)
            if self._clock.now() >= now + WORK_S:
                break
            busy = [owned for owned in busy if owned.waiting]
        for owned in self._owned.values():
            if owned.held != bool(owned.waiting):
                owned.held = bool(owned.waiting)
                hold = self._consumer.pause if owned.held else self._consumer.resume
                hold(owned.partitions)

    # claiming and giving up

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what to claim."""
        self.progress.rebalances["assigned"] += len(partitions)
        for partition in partitions:
            if partition.topic in self._kinds:  # partitions that follow come with their task
                self._wanted[partition] = 0.0

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Checkpoint what is about to move, so that its next owner reads nothing twice."""
        self.progress.rebalances["revoked"] += len(partitions)
        leaving = [owned for partition in partitions if (owned := self._owned.get(partition)) is not None]
        self._forget(partitions)
        if leaving:
            try:
                by = self._clock.now() + REVOKE_S
                self._checkpoint(leaving, by if self._stop_by is None else min(by, self._stop_by))
            except Exception as error:  # whoever comes next reads from the last checkpoint: nothing is lost
                log.warning("not checkpointed before it moved: %s", error)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what is somebody else's already."""
        self.progress.rebalances["lost"] += len(partitions)
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            self._owned.pop(partition, None)
            self._by_input.pop(partition, None)
            self._wanted.pop(partition, None)
            self.progress.set_aside.pop(partition, None)
        self.progress.tasks = sorted(name(owned.task) for owned in self._owned.values())

    def _claim(self, now: float) -> None:
        for partition in sorted(partition for partition, at in self._wanted.items() if at <= now):
            stage = self._kinds[partition.topic].make(partition.partition)
            task = TaskId(self._settings.group, stage.name, partition.partition)
            try:
                owned = self._checkpointer.claim(task, stage, self._consumer, now)
            except StateUnavailable as error:
                log.warning("%s: cannot be claimed yet: %s", name(task), error)
                self._wanted[partition] = now + RETRY_S
                continue
            except StateCorrupt as error:
                self._set_aside(partition, task, error)
                continue
            self.progress.set_aside.pop(partition, None)
            del self._wanted[partition]
            self._owned[partition] = owned
            self._by_input.update(dict.fromkeys(owned.partitions, owned))
            self._consumer.start({TopicPartition(topic, task.partition): at for topic, at in owned.positions.items()})
            self.progress.tasks = sorted(name(held.task) for held in self._owned.values())
            log.info("%s: from offset %s, epoch %d", name(task), min(owned.positions.values()), owned.claim.epoch)

    def _set_aside(self, partition: TopicPartition, task: TaskId, error: StateCorrupt) -> None:
        """Leave alone a task whose state cannot be read, and say so once: nothing of it changes, all others go on."""
        if self._until_caught_up:
            raise error  # it would never be caught up
        fault = str(error)
        self._wanted[partition] = self._clock.now() + ASIDE_S
        if self.progress.set_aside.get(partition) == fault:
            return
        self.progress.set_aside[partition] = fault
        log.error("%s is set aside, all others go on: %s. See `driftline state check`", name(task), fault)
        with suppress(StateError):  # the note is for people, and the log has it
            self._store.note(task, fault)

    # moving forward

    def _flush_quiet(self, now: float) -> None:
        quiet = self._settings.quiet / 1000
        for owned in self._owned.values():
            main = owned.stage.inputs[0]
            ended = self._until_caught_up and owned.at_end
            caught_up = not owned.waiting and set(owned.stage.inputs) <= owned.caught_up
            silent = caught_up and now - owned.last_record >= quiet
            if ended or silent:
                end = max(owned.positions[main], owned.ends[main] if ended else 0)
                owned.flushed |= owned.stage.quiet(end)

    def _checkpoint(self, tasks: list[Owned], deadline: float | None) -> None:
        """Move tasks forward, in the order that the module `checkpoint` draws."""
        moving = [self._checkpointer.prepare(owned) for owned in tasks if owned.moved]
        if not moving:
            return
        begin = self._clock.now()
        self._checkpointer.flush()
        done: list[Owned] = []
        for prepared in moving:
            try:
                outcome = self._commit(prepared, deadline)
            except StateCorrupt as error:
                self._give_up(prepared.owned, error)
                continue
            if outcome in (Outcome.OK, Outcome.ALREADY):
                done.append(prepared.owned)
                stage = prepared.owned.stage.name
                self.progress.checkpoints[stage] += 1
                self.progress.bytes[stage] += prepared.size
                self.progress.dead_letters += prepared.dead_letters
                self.progress.alerts += len(prepared.records) if stage == JUDGE else 0
            else:
                self.progress.restarts[outcome.value] += 1
                self._reclaim(prepared.owned)
        self._checkpointer.publish(done)
        self.progress.checkpoint_seconds += self._clock.now() - begin
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
                    deadline = deadline or self._stop_by
                    if deadline is not None and now >= deadline:
                        raise
                    self._report(now)
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
            still = {partition for owned in self._owned.values() if not owned.held for partition in owned.partitions}
            self._consumer.resume([partition for partition in held if partition in still])

    def _reclaim(self, owned: Owned) -> None:
        """Drop a task whose commit was refused. If it is still ours to run, it is claimed anew, from what is stored."""
        main = owned.partitions[0]
        if self._owned.get(main) is owned:
            self._forget(owned.partitions)
            self._consumer.stop(owned.partitions)
            self._wanted[main] = self._clock.now() + RETRY_S

    def _give_up(self, owned: Owned, error: StateCorrupt) -> None:
        """Set a task aside whose stored state turned out to be corrupt when it was to be committed."""
        main = owned.partitions[0]
        if self._owned.get(main) is owned:
            self._forget(owned.partitions)
            self._consumer.stop(owned.partitions)
            self._set_aside(main, owned.task, error)

    def _look_for_the_end(self, now: float, interval: float) -> None:
        self._next_look = now + min(interval, RETRY_S)
        if self._ends is None:
            topic = self._settings.topics.predictions
            self._ends = {
                number: self._consumer.bounds(TopicPartition(topic, number))[1]
                for number in range(self._partitions[topic])
            }
        if any(owned.moved for owned in self._owned.values()):
            return
        if everything_done(self._store, self._settings, self._ends, self._panes_ends):
            self._stopping = True

    def _panes_ends(self) -> dict[int, int]:
        topic = self._settings.topics.panes
        count = self._partitions[topic]
        return {number: self._consumer.bounds(TopicPartition(topic, number))[1] for number in range(count)}
