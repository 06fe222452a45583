"""One task under this worker's care, and how it moves forward.

process … process ─► dead letters out ─► COMMIT state + offsets + outbox ─► outbox out ─► ACK ─► lag tools
                          │ crash            │ crash                          │ crash
                          ▼                  ▼                                ▼
                     read again,        nothing happened           published again, the same ids
                     the same again
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from driftline.codec import corrupt
from driftline.log.api import Batch, Consumer, Outgoing, Producer, Record, TopicPartition
from driftline.runtime.outbox import decode_outgoing, encode_outgoing
from driftline.runtime.stages import Stage
from driftline.state.api import Claim, Commit, Outcome, Store, TaskId

log = logging.getLogger(__name__)

FLUSH_S = 30.0
"""How long deliveries may take. The broker's own retries are inside it."""


class Piece:
    """Some consecutive records of a batch."""

    def __init__(self, batch: Batch, start: int, most: int) -> None:
        part = slice(start, start + most)
        self.source = batch.source
        self.values = batch.values[part]
        self.offsets = batch.offsets[part]
        self.timestamps = batch.timestamps[part]
        self._batch = batch
        self._start = start

    def record(self, index: int) -> Record:
        """Return one record whole."""
        return self._batch.record(self._start + index)


@dataclass(slots=True)
class Owned:
    """A claimed task: its stage, and how far it is committed and read."""

    task: TaskId
    stage: Stage
    claim: Claim
    sequence: int
    committed: dict[str, int]
    positions: dict[str, int]
    ends: dict[str, int]
    """Where each input ended when the task was claimed (for bounded runs)."""
    last_record: float
    last_commit: float
    caught_up: set[str] = field(default_factory=set)
    flushed: bool = False
    waiting: deque[Batch] = field(default_factory=deque)
    """Fetched and not yet processed."""
    done: int = 0
    """Records of the first waiting batch that were processed."""
    held: bool = False
    """Whether fetching is held back until what waits is processed."""
    unsent: list[tuple[int, Outgoing]] = field(default_factory=list)

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions that this task reads."""
        return [TopicPartition(topic, self.task.partition) for topic in self.stage.inputs]

    def receive(self, batch: Batch, now: float) -> None:
        """Take a batch in; `work` looks at it."""
        self.waiting.append(batch)
        self.caught_up.discard(batch.source.topic)
        self.flushed = False
        self.last_record = now

    def work(self) -> int:
        """Process the next piece of what waits, and remember how far that goes. Returns its number of records."""
        batch = self.waiting[0]
        piece = batch if len(batch.offsets) <= self.stage.at_once else Piece(batch, self.done, self.stage.at_once)
        self.stage.process(piece)
        self.done += len(piece.offsets)
        self.positions[batch.source.topic] = piece.offsets[-1] + 1
        if self.done >= len(batch.offsets):
            self.waiting.popleft()
            self.done = 0
        return len(piece.offsets)

    def fetch_again(self) -> None:
        """Forget what was fetched and not processed: it will be fetched from `positions` on."""
        self.waiting.clear()
        self.caught_up.clear()
        self.done, self.held = 0, False

    @property
    def at_end(self) -> bool:
        """Whether every input was read to where it ended when the task was claimed."""
        return not self.waiting and all(
            topic in self.caught_up or self.positions[topic] >= self.ends[topic] for topic in self.stage.inputs
        )

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        return self.positions != self.committed or self.flushed


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checkpoint that was taken and must now be committed as it is, however often that is tried."""

    owned: Owned
    commit: Commit
    records: tuple[Outgoing, ...]
    dead_letters: int

    @property
    def size(self) -> int:
        """Bytes of state and outgoing records."""
        blobs = sum(len(blob) for blob in self.commit.writes.values() if blob)
        return blobs + sum(map(len, self.commit.outbox))


class Checkpointer:
    """Claims tasks and moves them forward."""

    def __init__(self, store: Store, producer: Producer, owner: str, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._producer = producer
        self._owner = owner
        self._clock_ms = clock_ms

    def claim(self, task: TaskId, stage: Stage, consumer: Consumer, now: float) -> Owned:
        """Take a task over: publish what its last owner left in the outbox, and restore its state.

        Raises `StateCorrupt` (nothing that is stored was changed) or `StateUnavailable` (then call it again).
        """
        claim = self._store.claim(task, self._owner, now=self._clock_ms())
        if claim.sequence and not claim.blobs:
            raise corrupt(name(task), f"nothing is there after {claim.sequence} checkpoints")
        stage.restore(claim.blobs)
        bounds = {topic: consumer.bounds(TopicPartition(topic, task.partition)) for topic in stage.inputs}
        positions = {topic: claim.offsets.get(topic, bounds[topic][0]) for topic in stage.inputs}
        owned = Owned(
            task=task,
            stage=stage,
            claim=claim,
            sequence=claim.sequence,
            committed=dict(claim.offsets),
            positions=positions,
            ends={topic: end for topic, (_, end) in bounds.items()},
            last_record=now,
            last_commit=now,
        )
        owned.unsent = [(number, decode_outgoing(entry)) for number, entry in claim.outbox]
        if owned.unsent:
            log.info("%s: publishing %d records that its last owner left", name(task), len(owned.unsent))
            self.publish([owned])
        self._store.note(task, "")
        return owned

    def prepare(self, owned: Owned) -> Prepared:
        """Take a checkpoint of the task as it is now."""
        output = owned.stage.output()
        for letter in output.dead_letters:
            self._producer.produce(letter)
        commit = Commit(
            expected_sequence=owned.sequence,
            expected_offsets=owned.committed,
            offsets=dict(owned.positions),
            writes=owned.stage.checkpoint(),
            outbox=[encode_outgoing(record) for record in output.records],
        )
        return Prepared(owned, commit, tuple(output.records), len(output.dead_letters))

    def flush(self) -> None:
        """Wait for the delivery of all that was produced."""
        self._producer.flush(FLUSH_S)

    def commit(self, prepared: Prepared, now: float) -> Outcome:
        """Commit a checkpoint. Raises `StateUnavailable` (then call it again) or `StateCorrupt`."""
        owned, commit = prepared.owned, prepared.commit
        answer = self._store.commit(owned.claim, commit, now=self._clock_ms())
        if answer.outcome is Outcome.CORRUPT:
            raise corrupt(name(owned.task), answer.detail)
        if answer.outcome in (Outcome.OK, Outcome.ALREADY):
            owned.sequence += 1
            owned.committed = dict(commit.offsets)
            owned.flushed = False
            owned.last_commit = now
            first = answer.last_outbox - len(prepared.records) + 1
            owned.unsent.extend(enumerate(prepared.records, first))
        else:
            log.warning("%s: commit refused (%s): %s", name(owned.task), answer.outcome.value, answer.detail)
        return answer.outcome

    def publish(self, tasks: list[Owned]) -> None:
        """Publish the outboxes of these tasks and acknowledge them."""
        sent: list[tuple[Owned, int]] = []
        for owned in tasks:
            for _, record in owned.unsent:
                self._producer.produce(record)
            if owned.unsent:
                sent.append((owned, owned.unsent[-1][0]))
        if not sent:
            return
        self.flush()
        for owned, last in sent:
            self._store.ack(owned.claim, last)
            owned.unsent = []


def name(task: TaskId) -> str:
    """Return a task's name for people, such as `summarise 3`."""
    return f"{task.stage} {task.partition}"


def offsets_by_partition(owned: Owned) -> Mapping[TopicPartition, int]:
    """Return the committed offsets as the log's own tools want them."""
    return {TopicPartition(topic, owned.task.partition): offset for topic, offset in owned.committed.items()}
