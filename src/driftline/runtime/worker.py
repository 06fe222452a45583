"""A worker: a member of each stage's consumer group, one loop, the tasks of the partitions that it was given.

Everything happens in the loop's thread. Rebalance callbacks run inside `poll`, and only note what was assigned, or
checkpoint what is about to move.

Where Kafka or Redis cannot take what a step has to give, the worker *pauses*: it fetches nothing, polls on to stay a
member of its groups, and begins each step with what is unfinished until that succeeds. So an outage of any length costs
no more memory than one checkpoint, and nothing is lost.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from driftline.compiled.cache import kept
from driftline.config import Settings
from driftline.errors import LogUnavailable, PublishError, StateCorrupt, StateError, StateOtherRelease, StateUnavailable
from driftline.log.api import Consumer, Log, Polled, TopicPartition
from driftline.observe.metrics import Sample
from driftline.runtime.bounded import everything_done
from driftline.runtime.checkpoint import Checkpointer, Owned, name, offsets_by_partition
from driftline.runtime.members import Members
from driftline.runtime.progress import Pause, Progress, samples
from driftline.runtime.stages import JUDGE, StageKind, pipeline
from driftline.state.api import Outcome, Store, TaskId, Word
from driftline.tasks.warming import warm_up

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
CHECKPOINT_S = 5.0
"""Longest time for the commits of one step. A slow store takes this long for a few tasks; the others' turn comes after
the next poll."""
RETRY_S = 0.5
"""Wait between tries while Kafka or Redis does not answer; membership is kept meanwhile."""
TELL_S = 10.0
"""Time between words to the store of why this worker pauses."""
REVOKE_S = 10.0
"""All that a revocation may take: well below the minute after which the group would expel this worker."""
CHECK_S = 5.0
"""Time between looks at whether the store still holds what tasks with nothing to commit have committed."""
OBSERVE_S = 1.0
"""Time between reports to `observe`."""
AWAY = (StateUnavailable, LogUnavailable, PublishError)
"""What is waited out."""
COLLECT_S = 30.0
"""Time between garbage collections. Rows hold no cycles; collecting on allocation would cost 10 % of decoding."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, injected: `now` in seconds for waiting, `wall_ms` in epoch milliseconds for people, and how to wait."""

    now: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep


def _compile() -> None:
    if not kept():
        log.info("compiling the hot path for this machine: some ten seconds, once")
    warm_up()


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
        _compile()
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
        self._log = log
        self._partitions = log.partition_counts(topics)
        self._kinds = {kind.inputs[0]: kind for kind in stages or pipeline(settings, self._partitions)}
        self._checkpointer = Checkpointer(store, log.producer, owner, self._clock.wall_ms)
        self._consumer: Consumer = Members(log, settings.group, list(self._kinds.values()), self)
        self._owned: dict[TopicPartition, Owned] = {}
        self._by_input: dict[TopicPartition, Owned] = {}
        self._wanted: dict[TopicPartition, float] = {}
        self._ends: dict[int, int] | None = None
        self._next_look = 0.0
        self._next_check = self._clock.now() + CHECK_S
        self._next_try = 0.0
        self._next_word = 0.0
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
            self.wind_up()
        finally:
            gc.enable()
            gc.unfreeze()
            self.close()

    @property
    def stopping(self) -> bool:
        """Whether the loop is over, or is over after the present step."""
        return self._stopping

    def wind_up(self) -> None:
        """Checkpoint and publish what is open, within the time that a stop may take."""
        by = self._stop_by or self._clock.now() + self._settings.shutdown / 1000
        self._finish_with(list(self._owned.values()), by)
        self._next_report = 0.0
        self._report(self._clock.now())

    def close(self) -> None:
        """Leave the groups and let go of the producer."""
        self._consumer.close()
        self._checkpointer.close()

    def step(self) -> None:
        """Poll once, and do what is due."""
        try:
            at_once = self.progress.pause is None and self._has_work(self._clock.now())
            self._take(self._consumer.poll(MAX_RECORDS, 0.0 if at_once else self._poll_s), self._clock.now())
            if self._clock.now() >= self._next_try:
                self._advance(self._clock.now())
        except AWAY as error:
            self._pause(error)
        self._report(self._clock.now())

    def _has_work(self, now: float) -> bool:
        """Whether there is something to do though nothing may come."""
        return any(owned.waiting for owned in self._owned.values()) or any(at <= now for at in self._wanted.values())

    def _advance(self, now: float) -> None:
        """Finish what is unfinished, then do what is due. Raises one of `AWAY`; calling it again goes on from there."""
        if any(owned.unfinished for owned in self._owned.values()):
            self._checkpoint([owned for owned in self._owned.values() if owned.unfinished])
            if any(owned.unfinished for owned in self._owned.values()):
                self._hold_back()
                return
        self._claim(now)
        if self.progress.pause is not None:
            self._go_on()
        self._work(now)
        if self._finishing and not self._until_caught_up:
            self._begin_to_finish()
        self._flush_quiet(now)
        interval = self._settings.checkpoint / 1000
        due = [
            owned
            for owned in self._owned.values()
            if owned.moved and (owned.flushed or now - owned.last_commit >= interval)
        ]
        if due:
            self._checkpoint(due)
        if now >= self._next_check:
            self._look_for_losses(now)
        if now - self._collected > COLLECT_S:
            gc.collect()
            self._collected = now
        if self._until_caught_up and now >= self._next_look:
            self._look_for_the_end(now, interval)

    # pausing

    def _pause(self, error: Exception) -> None:
        """Hold back fetching until the next try. Said once; what is said later of the same pause is in `status`."""
        now, before = self._clock.now(), self.progress.pause
        if before is None:
            log.warning("paused, nothing is lost: %s", error)
            self._next_word = now
        self._consumer.pause([partition for owned in self._owned.values() for partition in owned.partitions])
        since = self._clock.wall_ms() if before is None else before.since
        self.progress.pause = Pause("redis" if isinstance(error, StateError) else "kafka", str(error), since)
        self._next_try = now + RETRY_S

    def _go_on(self) -> None:
        """Fetch again, if all is well: also for a worker that has nothing left to finish."""
        assert self.progress.pause is not None
        self._store.time_ms()
        self._consumer.bounds(TopicPartition(self._settings.topics.predictions, 0))
        now = self._clock.now()
        for owned in self._owned.values():
            owned.last_record = now  # how long an input was quiet is not known: it was not read
        self._consumer.resume(
            [partition for owned in self._owned.values() if not owned.held for partition in owned.partitions]
        )
        log.info("goes on after %.1f s", (self._clock.wall_ms() - self.progress.pause.since) / 1000)
        self.progress.pause = None
        self._tell(None)

    def _tell(self, pause: Pause | None) -> None:
        """Leave word of the pause for `status`, where the store takes it."""
        word = None if pause is None else Word(self.owner, pause.why, pause.since, self._clock.wall_ms())
        try:
            self._store.tell(self._settings.group, self.owner, word)
        except StateError as error:
            log.debug("no word of the pause can be left: %s", error)

    def _report(self, now: float) -> None:
        if self._observe is not None and now >= self._next_report:
            self._next_report = now + OBSERVE_S
            self._observe(samples(self.progress, self._owned.values(), self._consumer.lag, self._clock.wall_ms()))
        if self.progress.pause is not None and now >= self._next_word:
            self._next_word = now + TELL_S
            self._tell(self.progress.pause)

    def _begin_to_finish(self) -> None:
        for owned in self._owned.values():
            owned.ends = {source.topic: self._consumer.bounds(source)[1] for source in owned.partitions}
            owned.forget_fetched()  # it may have caught up with an earlier end: a new start tells of the new one
            self._consumer.start({source: owned.positions[source.topic] for source in owned.partitions})
        self._until_caught_up = True

    def _take(self, polled: Polled, now: float) -> None:
        for batch in polled.batches:
            owned = self._by_input.get(batch.source)
            if owned is not None and not owned.receive(batch, now):
                self._fetch_again(owned, batch.source)
        for partition in polled.caught_up:
            owned = self._by_input.get(partition)
            if owned is not None and not owned.reach_end(partition.topic):
                self._fetch_again(owned, partition)

    def _fetch_again(self, owned: Owned, source: TopicPartition) -> None:
        """Ask once more for what should come next: something seems to be missing."""
        log.info("%s: fetching %s again from offset %d on", name(owned.task), source.topic, owned.next(source.topic))
        self._consumer.start({source: owned.next(source.topic)})
        owned.held = False

    def _work(self, now: float) -> None:
        """Process what waits, the tasks in turn, for a while; what is left holds back further fetching."""
        while busy := [owned for owned in self._owned.values() if owned.waiting]:
            for owned in busy:
                try:
                    self.progress.records += owned.work()
                except StateOtherRelease as error:
                    self._give_up(owned, error)
            if self._clock.now() >= now + WORK_S:
                break
        self._hold_back()

    def _hold_back(self) -> None:
        """Fetch only for tasks that have nothing left to process."""
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
                self._finish_with(leaving, by if self._stop_by is None else min(by, self._stop_by))
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
        """Claim what was assigned, for a while: a task with much state takes a second."""
        for partition in sorted(partition for partition, at in self._wanted.items() if at <= now):
            self._notice_growth(partition)
            stage = self._kinds[partition.topic].make(partition.partition)
            task = TaskId(self._settings.group, stage.name, partition.partition)
            try:
                owned = self._checkpointer.claim(task, stage, self._consumer, now, bounded=self._until_caught_up)
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
            if self._clock.now() >= now + WORK_S:
                break

    def _notice_growth(self, partition: TopicPartition) -> None:
        """Count again where a partition was added since the start: panes say how many sources Judge has to wait for."""
        topic = self._settings.topics.predictions
        if partition.topic == topic and partition.partition >= self._partitions[topic]:
            self._partitions.update(self._log.partition_counts([topic]))
            log.info("%s has %d partitions now", topic, self._partitions[topic])

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
        """Send what is open of quiet tasks. They are committed in the same step: where a clock decided is then told."""
        quiet = self._settings.quiet / 1000
        ended, silent = [], []
        for owned in self._owned.values():
            if self._until_caught_up and owned.at_end:
                ended.append(owned)
            elif not owned.waiting and set(owned.stage.inputs) <= owned.caught_up and now - owned.last_record >= quiet:
                silent.append(owned)
        silent = [owned for owned in silent if self._is_quiet(owned, now)]  # asks the log, which may be away
        for owned in (*ended, *silent):
            main = owned.stage.inputs[0]
            end = max(owned.positions[main], owned.ends[main] if owned in ended else 0)
            owned.flushed |= owned.stage.quiet(end)

    def _is_quiet(self, owned: Owned, now: float) -> bool:
        """Ask the log whether a task's inputs ended where it read to: a log that is away is silent too.

        Once a quiet time, for the answer is waited for. Control records may lie behind the last record: an end that did
        not move for another quiet time is one. Raises `LogUnavailable`.
        """
        owned.last_record = now
        ends = {source.topic: self._consumer.bounds(source)[1] for source in owned.partitions}
        read = all(owned.positions[topic] >= end for topic, end in ends.items()) or ends == owned.quiet_at
        owned.quiet_at = ends
        for source in owned.partitions if not read else ():
            self._fetch_again(owned, source)
        return read

    def _checkpoint(self, tasks: Sequence[Owned]) -> None:
        """Move tasks forward, in the order that the module `checkpoint` draws, as far as it goes at once.

        Raises one of `AWAY`. What is left is `unfinished`; the same call again goes on from there.
        """
        begin = self._clock.now()
        try:
            self._checkpointer.publish(tasks)
            for owned in tasks:
                self._checkpointer.prepare(owned)
            self._checkpointer.bury(tasks)
            for owned in tasks:
                if owned.pending is not None and self._clock.now() <= begin + CHECKPOINT_S:
                    self._commit(owned)
            self._checkpointer.publish(tasks)
        finally:
            self.progress.checkpoint_seconds += self._clock.now() - begin
        for owned in tasks:
            self._consumer.report(offsets_by_partition(owned))

    def _commit(self, owned: Owned) -> None:
        pending = owned.pending
        assert pending is not None
        try:
            outcome = self._checkpointer.commit(owned, self._clock.now())
        except StateCorrupt as error:
            self._give_up(owned, error)
            return
        if outcome in (Outcome.OK, Outcome.ALREADY):
            stage = owned.stage.name
            self.progress.checkpoints[stage] += 1
            self.progress.bytes[stage] += pending.size
            self.progress.dead_letters += len(pending.dead_letters)
            self.progress.alerts += len(pending.records) if stage == JUDGE else 0
        else:
            self.progress.restarts[outcome.value] += 1
            self._reclaim(owned)

    def _finish_with(self, tasks: Sequence[Owned], by: float) -> None:
        """Checkpoint tasks that this worker is about to give up. Raises one of `AWAY` where that failed until `by`."""
        while True:
            try:
                self._checkpoint([owned for owned in tasks if owned.moved or owned.unfinished])
            except AWAY:
                if self._clock.now() >= by:
                    raise
                self._report(self._clock.now())
                self._clock.sleep(min(RETRY_S, max(by - self._clock.now(), 0.0)))
            else:
                if not any(owned.unfinished for owned in tasks) or self._clock.now() >= by:
                    return

    def _reclaim(self, owned: Owned) -> None:
        """Drop a task whose commit was refused. If it is still ours to run, it is claimed anew, from what is stored."""
        main = owned.partitions[0]
        if self._owned.get(main) is owned:
            self._forget(owned.partitions)
            self._consumer.stop(owned.partitions)
            self._wanted[main] = self._clock.now() + RETRY_S

    def _give_up(self, owned: Owned, error: StateCorrupt) -> None:
        """Set a task aside that cannot go on: its stored state is corrupt, or its input of a later release."""
        main = owned.partitions[0]
        if self._owned.get(main) is owned:
            self._forget(owned.partitions)
            self._consumer.stop(owned.partitions)
            self._set_aside(main, owned.task, error)

    def _look_for_losses(self, now: float) -> None:
        """Ask the store whether it went back. It tells the next commit, but a resting task has none to make."""
        self._next_check = now + CHECK_S
        resting = [owned for owned in self._owned.values() if not owned.moved and not owned.unfinished]
        if not resting:
            return
        stored = {info.task: info for info in self._store.tasks(self._settings.group)}
        for owned in resting:
            info = stored.get(owned.task)
            held = info and (info.owner, info.epoch, info.sequence, info.outbox)
            if held != (self.owner, owned.claim.epoch, owned.sequence, 0):
                log.warning("%s: the store no longer has its last commit: starting from what it has", name(owned.task))
                self.progress.restarts[Outcome.STALE.value] += 1
                self._reclaim(owned)

    def _look_for_the_end(self, now: float, interval: float) -> None:
        self._next_look = now + min(interval, RETRY_S)
        if self._ends is None:
            topic = self._settings.topics.predictions
            self._ends = {
                number: self._consumer.bounds(TopicPartition(topic, number))[1]
                for number in range(self._partitions[topic])
            }
        if any(owned.moved or owned.unfinished for owned in self._owned.values()):
            return
        if everything_done(self._store, self._settings, self._ends, self._panes_ends):
            self._stopping = True

    def _panes_ends(self) -> dict[int, int]:
        topic = self._settings.topics.panes
        count = self._partitions[topic]
        return {number: self._consumer.bounds(TopicPartition(topic, number))[1] for number in range(count)}
