"""A worker: a member of each stage's consumer group, one loop, the tasks of the partitions that it was given.

Everything happens in the loop's thread. Rebalance callbacks run inside `poll`, and only note what was assigned, or
checkpoint what is about to move. Where Kafka or Redis cannot take what a step has to give, the worker pauses, and the
next step goes on from there (see `pausing`).
"""

import gc
import logging
from collections.abc import Callable, Sequence

from driftline.config import Settings
from driftline.errors import StateCorrupt, StateOtherRelease, TopicError
from driftline.log.api import Consumer, Log, TopicPartition
from driftline.observe.metrics import Sample
from driftline.runtime.checkpoint import Checkpointer
from driftline.runtime.clock import Clock
from driftline.runtime.members import Members
from driftline.runtime.owning import OwnedTasks
from driftline.runtime.pausing import AWAY, RETRY_S, Pausing
from driftline.runtime.progress import Progress, samples
from driftline.runtime.stage import Pipeline
from driftline.runtime.task import Owned, offsets_by_partition
from driftline.state.api import CommitOutcome, Store

log = logging.getLogger(__name__)

MAX_RECORDS = 20_000
"""Records of one poll: enough for numpy calls to cost nothing a record, some 20 MB with their objects."""
WORK_S = 0.5
"""Longest work between two polls. Panes cost a thousand times more than events; a member that polls rarely holds up a
rebalance of its group, and one that does not poll for a minute is expelled: another would read the same and be next."""
POLL_S = 0.1
"""Longest wait for records: how soon a stop or a checkpoint is noticed when nothing comes."""
CHECKPOINT_S = 5.0
"""Longest time for the commits of one step. A slow store takes this long for a few tasks; the others' turn comes after
the next poll."""
REVOKE_S = 10.0
"""All that a revocation may take: well below the minute after which the group would expel this worker."""
CHECK_S = 5.0
"""Time between looks at whether the store still holds what tasks with nothing to commit have committed."""
OBSERVE_S = 1.0
"""Time between reports to `observe`."""
COLLECT_S = 30.0
"""Time between garbage collections. Rows hold no cycles; collecting on allocation would cost 10 % of decoding."""


class Worker:
    """See the module's head.

    Args:
        settings: the configuration.
        log: where records come from and go to.
        store: where state is kept.
        pipeline: what to run.
        owner: a name for this worker, different from that of every other one alive.
        until_caught_up: stop once everything that was there at the start has been read, flushed and judged.
        clock: time.
        poll_s: longest wait for records, in seconds.
        observe: is told the metrics once a second, from the loop's thread.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        store: Store,
        pipeline: Pipeline,
        *,
        owner: str,
        until_caught_up: bool = False,
        clock: Clock | None = None,
        poll_s: float = POLL_S,
        observe: Callable[[Sequence[Sample]], None] | None = None,
    ) -> None:
        pipeline.prepare()
        self.owner = owner
        self.progress = Progress()
        self._settings = settings
        self._store = store
        self._pipeline = pipeline
        self._clock = clock or Clock()
        self._finishing = False
        self._poll_s = poll_s
        self._stopping = False
        self._stop_by: float | None = None
        self._observe = observe
        self._next_report = 0.0
        self._partition_counts = log.partition_counts([*pipeline.inputs, pipeline.inner])
        kinds = {kind.inputs[0]: kind for kind in pipeline.kinds(self._partition_counts)}
        self._checkpointer = Checkpointer(store, log.producer, owner, self._clock.wall_ms)
        self._consumer: Consumer = Members(log, settings.group, list(kinds.values()), self)
        self._tasks = OwnedTasks(
            settings,
            log,
            store,
            self._consumer,
            self._checkpointer,
            kinds=kinds,
            partition_counts=self._partition_counts,
            progress=self.progress,
            clock=self._clock,
            bounded=until_caught_up,
        )
        self._pausing = Pausing(
            self._tasks,
            self._consumer,
            store,
            owner=owner,
            group=settings.group,
            asked=TopicPartition(pipeline.inputs[0], 0),
            progress=self.progress,
            clock=self._clock,
            ahead_ms=lambda: self._checkpointer.ahead_ms,
        )
        self._ends: dict[str, dict[int, int]] | None = None
        self._inner_ends: dict[int, int] = {}
        self._next_look = 0.0
        self._next_check = self._clock.now() + CHECK_S
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
        self._finish_with(list(self._tasks), by)
        self._next_report = 0.0
        self._report(self._clock.now())

    def close(self) -> None:
        """Leave the groups and let go of the producer."""
        self._consumer.close()
        self._checkpointer.close()

    def step(self) -> None:
        """Poll once, and do what is due."""
        try:
            at_once = self.progress.pause is None and self._tasks.has_work(self._clock.now())
            polled = self._consumer.poll(MAX_RECORDS, 0.0 if at_once else self._poll_s)
            self._tasks.take(polled, self._clock.now())
            if self._pausing.may_try:
                self._advance(self._clock.now())
        except AWAY as error:
            if isinstance(error, TopicError) and self._tasks.bounded:
                raise  # it would never be caught up
            self._pausing.begin(error)
        self._report(self._clock.now())

    def _advance(self, now: float) -> None:
        """Finish what is unfinished, then do what is due. Raises one of `AWAY`; calling it again goes on from there."""
        if any(owned.unfinished for owned in self._tasks):
            self._checkpoint([owned for owned in self._tasks if owned.unfinished])
            if any(owned.unfinished for owned in self._tasks):
                self._tasks.hold_back()
                return
        self._tasks.claim(now)
        self._pausing.end()
        self._work(now)
        if self._finishing and not self._tasks.bounded:
            self._tasks.bound()
        self._flush_idle(now)
        interval = self._settings.checkpoint / 1000
        due = [owned for owned in self._tasks if owned.moved and (owned.flushed or now - owned.last_commit >= interval)]
        if due:
            self._checkpoint(due)
        self._tasks.give_up_what_is_lost()
        if now >= self._next_check:
            self._next_check = now + CHECK_S
            self._tasks.reclaim_what_the_store_lost()
            self._tasks.of_the_same_topics(list(self._tasks))  # also of those that rest
        if now - self._collected > COLLECT_S:
            gc.collect()
            self._collected = now
        if self._tasks.bounded and now >= self._next_look:
            self._look_for_the_end(now, interval)

    def _report(self, now: float) -> None:
        if self._observe is not None and now >= self._next_report:
            self._next_report = now + OBSERVE_S
            self._observe(samples(self.progress, self._tasks, self._consumer.lag, self._clock.wall_ms()))
        self._pausing.keep_told()

    # called by the consumer, from inside a poll

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Note what to claim."""
        self.progress.rebalances["assigned"] += len(partitions)
        self._tasks.want(partitions)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Checkpoint what is about to move, so that its next owner reads nothing twice."""
        self.progress.rebalances["revoked"] += len(partitions)
        leaving = self._tasks.forget(partitions)
        if leaving:
            try:
                by = self._clock.now() + REVOKE_S
                self._finish_with(leaving, by if self._stop_by is None else min(by, self._stop_by))
            except Exception as error:  # whoever comes next reads from the last checkpoint: nothing is lost
                log.warning("a task moved before its checkpoint: %s", error)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what is somebody else's already."""
        self.progress.rebalances["lost"] += len(partitions)
        self._tasks.forget(partitions)

    # moving forward

    def _work(self, now: float) -> None:
        """Process what waits, the tasks in turn, for a while; what is left holds back further fetching."""
        while busy := [owned for owned in self._tasks if owned.waiting]:
            for owned in busy:
                topic = owned.waiting[0].source.topic
                try:
                    self.progress.read[topic] += owned.work()
                except StateOtherRelease as error:
                    self._tasks.give_up(owned, error)
            if self._clock.now() >= now + WORK_S:
                break
        self._tasks.hold_back()

    def _flush_idle(self, now: float) -> None:
        """Send what is open of idle tasks. They are committed in the same step: what a clock decided is then told.

        The clock is the store's, one for all workers.
        """
        ended, idle = [], []
        for owned in self._tasks:
            gone = int((now - owned.last_counted) * 1000)
            if self._tasks.bounded and owned.at_end:
                ended.append(owned)
            elif not owned.waiting and owned.stage.inputs[0] in owned.caught_up and gone >= self._settings.idle_timeout:
                idle.append((owned, gone))
        idle = [(owned, gone) for owned, gone in idle if self._is_idle(owned, now)]  # asks the log, which may be away
        if not ended and not idle:
            return
        time = self._store.time_ms()
        for owned in ended:
            owned.pass_ends()
            owned.flushed |= owned.stage.end(owned.positions[owned.stage.inputs[0]], time)
        for owned, gone in idle:
            owned.flushed |= owned.stage.rest(owned.positions[owned.stage.inputs[0]], time, gone)

    def _is_idle(self, owned: Owned, now: float) -> bool:
        """Ask the log whether a task's first input ended where it read to: a log that is away brings nothing, either.

        Once an idle timeout, for the answer is waited for. Control records may lie behind the last record: an end that
        did not move for another timeout is one. Raises `LogUnavailable`.
        """
        owned.last_counted = now
        source = owned.partitions[0]
        end = self._consumer.bounds(source)[1]
        read = owned.positions[source.topic] >= end or end == owned.idle_at
        owned.idle_at = end
        if not read:
            self._tasks.fetch_again(owned, source)
        return read

    def _checkpoint(self, tasks: Sequence[Owned]) -> None:
        """Move tasks forward, in the order that the module `checkpoint` draws, as far as it goes at once.

        Raises one of `AWAY`. What is left is `unfinished`; the same call again goes on from there.
        """
        begin = self._clock.now()
        try:
            self._checkpointer.publish(tasks)
            if any(owned.pending is None for owned in tasks):
                tasks = self._tasks.of_the_same_topics(tasks)
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
            self._tasks.give_up(owned, error)
            return
        if outcome in (CommitOutcome.OK, CommitOutcome.ALREADY):
            stage = owned.stage.name
            self.progress.checkpoints[stage] += 1
            self.progress.bytes[stage] += pending.size
            self.progress.dead_letters += len(pending.dead_letters)
            self.progress.alerts += pending.alerts
        else:
            self.progress.restarts[outcome.value] += 1
            self._tasks.reclaim(owned)

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

    def _look_for_the_end(self, now: float, interval: float) -> None:
        self._next_look = now + min(interval, RETRY_S)
        if self._ends is None:
            self._ends = {topic: self._ends_of(topic) for topic in self._pipeline.inputs}
        if any(owned.moved or owned.unfinished for owned in self._tasks):
            return
        if self._pipeline.is_done(self._store, self._ends, self._find_inner_ends):
            self._stopping = True

    def _find_inner_ends(self) -> dict[int, int]:
        """Return where the inner topic ended once the stages before it were done: other groups may go on writing."""
        if not self._inner_ends:
            self._inner_ends = self._ends_of(self._pipeline.inner)
        return self._inner_ends

    def _ends_of(self, topic: str) -> dict[int, int]:
        partitions = [TopicPartition(topic, number) for number in range(self._partition_counts[topic])]
        return {each.partition: self._consumer.bounds(each)[1] for each in partitions}
