"""What a worker did, and its metrics: a look at its tasks, taken by the loop itself once a second."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from driftline.log.api import TopicPartition
from driftline.observe import metrics
from driftline.observe.metrics import Sample
from driftline.runtime.task import Owned


@dataclass(frozen=True, slots=True)
class Pause:
    """What a worker waits for: "kafka" or "redis", why, and since when in epoch milliseconds."""

    waits_for: str
    why: str
    since: int


@dataclass(slots=True)
class Progress:
    """What a worker did so far, for those who watch it from the same process."""

    read: Counter[str] = field(default_factory=Counter)
    """Records, by topic."""
    alerts: int = 0
    dead_letters: int = 0
    checkpoints: Counter[str] = field(default_factory=Counter)
    """By stage."""
    bytes: Counter[str] = field(default_factory=Counter)
    """State and outgoing records stored, by stage."""
    checkpoint_seconds: float = 0.0
    rebalances: Counter[str] = field(default_factory=Counter)
    """Partitions by what happened to them: assigned, revoked, lost."""
    restarts: Counter[str] = field(default_factory=Counter)
    """Refused commits by their outcome."""
    tasks: list[str] = field(default_factory=list)
    set_aside: dict[TopicPartition, str] = field(default_factory=dict)
    """Tasks whose stored state cannot be read, by their main input's partition, with the fault."""
    pause: Pause | None = None
    """Set while the worker waits for Kafka or Redis."""

    @property
    def records(self) -> int:
        """How many records it read."""
        return self.read.total()


def samples(
    progress: Progress,
    tasks: Iterable[Owned],
    lag: Callable[[TopicPartition, int], int | None],
    now_ms: int,
) -> list[Sample]:
    """Return all metrics of a worker: of its own life, and of the tasks that it owns."""
    found = [
        Sample(metrics.CHECKPOINT_SECONDS, (), progress.checkpoint_seconds),
        Sample(metrics.DEAD_LETTERS, (), progress.dead_letters),
        Sample(metrics.ALERTS, (), progress.alerts),
        *(Sample(metrics.READ, (topic,), count) for topic, count in progress.read.items()),
        *(Sample(metrics.CHECKPOINTS, (stage,), count) for stage, count in progress.checkpoints.items()),
        *(Sample(metrics.CHECKPOINT_BYTES, (stage,), count) for stage, count in progress.bytes.items()),
        *(Sample(metrics.REBALANCES, (event,), count) for event, count in progress.rebalances.items()),
        *(Sample(metrics.RESTARTS, (outcome,), count) for outcome, count in progress.restarts.items()),
        *(Sample(metrics.SET_ASIDE, source, 1) for source in map(_labels, progress.set_aside)),
    ]
    if progress.pause is not None:
        found.append(Sample(metrics.PAUSED, (progress.pause.waits_for,), 1))
        waited = max(now_ms - progress.pause.since, 0) / 1000
        found.append(Sample(metrics.PAUSED_SECONDS, (progress.pause.waits_for,), waited))
    for owned in tasks:
        stage, partition = owned.stage, str(owned.task.partition)
        found.append(Sample(metrics.TASKS, (stage.name,), 1))
        if owned.committed_ms:
            found.append(Sample(metrics.LAST_COMMIT, (stage.name, partition), owned.committed_ms / 1000))
        found += [Sample(metrics.SKIPPED, (topic, partition), held.skipped) for topic, held in owned.inputs.items()]
        for source in owned.partitions:
            behind = lag(source, owned.positions[source.topic])
            if behind is not None:
                found.append(Sample(metrics.LAG, (source.topic, partition), behind))
        found += stage.samples(partition, now_ms)
    return found


def _labels(source: TopicPartition) -> tuple[str, str]:
    return source.topic, str(source.partition)
