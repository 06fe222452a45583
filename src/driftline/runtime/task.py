"""One task under this worker's care: what of its inputs was fetched, processed and committed, and what is under way."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import lt

import msgspec

from driftline.log.api import Batch, Headers, Outgoing, Producer, Record, TopicPartition
from driftline.runtime.inputs import Input
from driftline.runtime.stage import Stage
from driftline.state.api import Claim, Commit, TaskId

log = logging.getLogger(__name__)


class BatchSlice:
    """Some consecutive records of a batch."""

    def __init__(self, batch: Batch, start: int, most: int) -> None:
        part = slice(start, start + most)
        self.source = batch.source
        self.values = batch.values[part]
        self.offsets = batch.offsets[part]
        self.timestamps = batch.timestamps[part]
        self.stamped_by_log = batch.stamped_by_log
        self._batch = batch
        self._start = start

    def headers(self) -> Sequence[Headers]:
        """Return the headers of each record."""
        return [self.record(at).headers for at in range(len(self.values))]

    def record(self, index: int) -> Record:
        """Return one record whole."""
        return self._batch.record(self._start + index)


def unseen(batch: Batch, expected: int) -> list[Batch]:
    """Return what of a batch is at or behind the expected offset and comes in it for the first time, in runs."""
    offsets = batch.offsets
    if offsets[0] >= expected and all(map(lt, offsets, offsets[1:])):  # 20 ns a record
        return [batch]
    runs: list[Batch] = []
    start = None
    for at, offset in enumerate((*offsets, -1)):
        if offset >= expected:
            start = at if start is None else start
            expected = offset + 1
        elif start is not None:
            runs.append(BatchSlice(batch, start, at - start))
            start = None
    return runs


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
    """Where each input ended when the task was claimed, in a bounded run."""
    last_counted: float
    """When the first input last brought a record that counts; or when it was last seen that it had ended."""
    last_commit: float
    committed_ms: int = 0
    """When it was committed last, in epoch milliseconds; 0 if never by this claim."""
    stored_inputs: dict[str, Input] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    """What is stored of the inputs beside their offsets, and what is to be stored with the next commit."""
    caught_up: set[str] = field(default_factory=set)
    flushed: bool = False
    waiting: deque[Batch] = field(default_factory=deque)
    """Fetched and not yet processed."""
    done: int = 0
    """Records of the first waiting batch that were processed."""
    fetched: dict[str, int] = field(default_factory=dict)
    """What comes next of each input of which anything was fetched."""
    doubted: dict[str, int] = field(default_factory=dict)
    """Where an input went on, or ended, though something should lie before."""
    gaps: set[str] = field(default_factory=set)
    """Inputs that have gaps between their offsets."""
    heard: dict[str, float] = field(default_factory=dict)
    """When the last records of each input came."""
    lost: set[str] = field(default_factory=set)
    """Inputs of which the log says that the next offset is not in it."""
    held: Set[str] = frozenset()
    """Inputs of which fetching is held back: all until what waits is processed, or the one that is ahead of another."""
    torn: bool = False
    """Whether `work` was broken off: its state then belongs to no offset, and must not be committed."""
    idle_at: int = -1
    """Where the first input ended when the task last seemed idle."""
    pending: "Prepared | None" = None
    """A checkpoint that was taken, and of which it is not known that it is stored."""
    unsent: list[tuple[int, Outgoing]] = field(default_factory=list)
    """(number, record) that are stored and not known to be published."""
    unacknowledged: int | None = None
    """The last number that was published, until the store has heard of it."""
    given_to: Producer | None = None
    """The producer that was handed `given` of the records that are to be delivered next."""
    given: int = 0

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions that this task reads."""
        return [TopicPartition(topic, self.task.partition) for topic in self.stage.inputs]

    def receive(self, batch: Batch, now: float) -> bool:
        """Take a batch in; `work` looks at it. Returns False for one that is left out, as something may be missing.

        That each record counts once must not rest on the client. librdkafka notes how far a batch went only once the
        batch is filled (`rd_kafka_q_serve_rkmessages`); a rebalance that pauses the partition just before lets it go on
        from where the batch began, or where an earlier assignment ended. So what came before is dropped, and a gap
        before a batch is believed where fetching again shows it once more: then compaction or a transaction left it,
        and there may be others.
        """
        topic, begins, expected = batch.source.topic, batch.offsets[0], self.next(batch.source.topic)
        if begins > expected and not (topic in self.gaps and topic in self.fetched):
            if self._doubt(topic, begins):
                return False
            self.gaps.add(topic)
        self.doubted.pop(topic, None)
        new = unseen(batch, expected)
        again = len(batch.offsets) - sum(len(piece.offsets) for piece in new)
        if again:
            log.info("%s: dropped %d repeated records, from offset %d on", name(self.task), again, begins)
        if new:
            self.waiting.extend(new)
            self.fetched[topic] = new[-1].offsets[-1] + 1
            self.caught_up.discard(topic)
            if topic == self.stage.inputs[0]:
                self.flushed = False
            self.heard[topic] = now
        return True

    def reach_end(self, topic: str) -> bool:
        """Note that an input has no more. Returns False if it should have, as far as is known, and may again."""
        if self.next(topic) < self.ends.get(topic, 0) and self._doubt(topic, self.ends[topic]):
            return False
        self.caught_up.add(topic)
        return True

    def next(self, topic: str) -> int:
        """Return the offset of an input behind all that was fetched."""
        return self.fetched.get(topic, self.positions[topic])

    def _doubt(self, topic: str, offset: int) -> bool:
        """Return True the first time."""
        known = self.doubted.get(topic) == offset
        self.doubted[topic] = offset
        return not known

    def idle(self, now: float, idle_s: float) -> set[str]:
        """Return the inputs that were read to their end and have brought nothing for so long."""
        coming = {batch.source.topic for batch in self.waiting}
        return {topic for topic in self.caught_up - coming if now - self.heard.setdefault(topic, now) >= idle_s}

    def to_hold(self) -> Set[str]:
        """Return the inputs of which nothing is to be fetched now."""
        if self.waiting:
            return frozenset(self.stage.inputs)
        ahead = self.stage.ahead
        return frozenset() if ahead is None or self.caught_up - {ahead} else frozenset({ahead})

    def work(self) -> int:
        """Process the next piece of what waits, and remember how far that goes. Returns its number of records."""
        batch = self.waiting[0]
        piece = batch if len(batch.offsets) <= self.stage.at_once else BatchSlice(batch, self.done, self.stage.at_once)
        self.torn = True
        counts = self.stage.process(piece)
        self.torn = False
        if counts and batch.source.topic == self.stage.inputs[0]:
            self.last_counted = self.heard.get(batch.source.topic, self.last_counted)
        self.done += len(piece.offsets)
        self.positions[batch.source.topic] = piece.offsets[-1] + 1
        if self.done >= len(batch.offsets):
            self.waiting.popleft()
            self.done = 0
        return len(piece.offsets)

    def forget_fetched(self) -> None:
        """Forget what was fetched and not processed: it will be fetched from `positions` on."""
        self.waiting.clear()
        self.fetched.clear()
        self.caught_up.clear()
        self.done, self.held = 0, frozenset()

    def note_rates(self, now_ms: int) -> None:
        """Note how much of each input was read since the last commit."""
        seconds = (now_ms - self.committed_ms) / 1_000
        if self.committed_ms and seconds > 0:
            for topic, at in self.positions.items():
                rate = round(max(at - self.committed.get(topic, at), 0) / seconds, 1)
                self.inputs[topic] = msgspec.structs.replace(self.inputs[topic], rate=rate)

    @property
    def at_end(self) -> bool:
        """Whether every input was read to where it ended when the task was claimed."""
        return not self.waiting and all(
            topic in self.caught_up or self.positions[topic] >= self.ends[topic] for topic in self.stage.inputs
        )

    def pass_ends(self) -> None:
        """Take for read what lies before the ends that were reached: control records, which nobody is given.

        Otherwise a task would never have committed the end of a log that a transaction ended.
        """
        for topic, end in self.ends.items():
            if topic in self.caught_up and self.next(topic) < end:
                self.positions[topic] = self.fetched[topic] = end

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        changed = self.positions != self.committed or self.inputs != self.stored_inputs
        return (changed or self.flushed) and not self.torn

    @property
    def unfinished(self) -> bool:
        """Whether a checkpoint was begun and is not yet stored, published and acknowledged."""
        return self.pending is not None or bool(self.unsent) or self.unacknowledged is not None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checkpoint that was taken and must now be committed as it is, however often that is tried."""

    commit: Commit
    inputs: dict[str, Input]
    records: tuple[Outgoing, ...]
    dead_letters: Sequence[Outgoing]
    alerts: int

    @property
    def size(self) -> int:
        """Bytes of state and outgoing records."""
        blobs = sum(len(blob) for blob in self.commit.writes.values() if blob)
        return blobs + sum(map(len, self.commit.outbox))


def name(task: TaskId) -> str:
    """Return a task's name for people, such as `summarise 3`."""
    return f"{task.stage} {task.partition}"


def offsets_by_partition(owned: Owned) -> Mapping[TopicPartition, int]:
    """Return the committed offsets as the log's own tools want them."""
    return {TopicPartition(topic, owned.task.partition): offset for topic, offset in owned.committed.items()}
