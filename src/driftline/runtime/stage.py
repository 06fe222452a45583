"""What a worker drives: stages, of which each owns partitions of its inputs, and the pipeline that they make up.

The worker knows no more of them. What they count and judge is theirs.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from driftline.log.api import Batch, Outgoing
from driftline.observe.metrics import Sample
from driftline.state.api import Store


@dataclass(frozen=True, slots=True)
class Output:
    """What a stage has to say: first the dead letters, then what belongs to the next checkpoint."""

    dead_letters: list[Outgoing]
    records: list[Outgoing]
    alerts: int = 0
    """How many of the records tell of incidents."""


class Stage(Protocol):
    """One task with its inputs and outputs."""

    name: str
    inputs: tuple[str, ...]
    at_once: int
    """Most records of one `process`: about a tenth of a second, for rebalances must be heard of in between."""

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up the state of a checkpoint; nothing is there for a new task. Raises `StateCorrupt`."""
        ...

    def process(self, batch: Batch) -> bool:
        """Take in consecutive records of one of the inputs. Returns whether any of them counts."""
        ...

    def hear_idle(self, idle: Set[str]) -> None:
        """Hear which of several inputs were read to their end and have brought nothing for long.

        Told at each step, whatever waits: the stage goes by it until the next one.
        """
        ...

    @property
    def ahead(self) -> str | None:
        """The input that has come so much further in time than another one that it had better wait for it."""
        ...

    def skip(self, offset: int, to: int) -> None:
        """Go on at another offset than the one behind what was read."""
        ...

    def rest(self, position: int, now: int, idle_ms: int) -> bool:
        """The inputs were read to their end, `position`, and have brought nothing that counts for so long.

        `now` is the time in epoch milliseconds. Returns whether there is something to commit.
        """
        ...

    def end(self, position: int, now: int) -> bool:
        """The same for inputs that are taken to end here, at the end of a bounded run."""
        ...

    def output(self) -> Output:
        """Take out what is to be published. Called once before each `checkpoint`."""
        ...

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint; None deletes one."""
        ...

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        """Return the metrics of its task, under this name of its partition. `now_ms` is the time (epoch ms)."""
        ...


@dataclass(frozen=True, slots=True)
class StageKind:
    """A stage of the pipeline, before it has a partition.

    Its tasks own the same-numbered partition of every input: the group assigns those of the first input, and the other
    inputs' partitions follow. All of a task's offsets are checkpointed together.
    """

    name: str
    inputs: tuple[str, ...]
    make: Callable[[int], Stage]
    """Returns the stage of one partition."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages that work together."""

    inputs: tuple[str, ...]
    """The topics that they read and do not write."""
    inner: str
    """The topic between them."""
    prepare: Callable[[], None]
    """Loads and compiles what the stages run, before a worker joins their groups: a member must be heard of in time."""
    kinds: Callable[[Mapping[str, int]], Sequence[StageKind]]
    """Returns all stages, given the partition counts of the topics. The mapping is kept up to date: topics grow."""
    is_done: Callable[[Store, Mapping[str, Mapping[int, int]], Callable[[], Mapping[int, int]]], bool]
    """Tells whether the whole group has worked off what was there. Every worker asks, so those without a task stop too.

    It is given the store; for each partition of each input topic where it ended when the run began; and what returns
    where the partitions of the inner topic end. That is asked only once the stages before it are done,
    when no more records of this group can come.
    """
