"""What the runtime needs of a state store: claim a task, move it forward in one step, acknowledge what was published.

A task's state, its input offsets and its outgoing records change together or not at all. Three things fence a
commit: the owner, the epoch, and the *expected* sequence number and offsets. The last survive a store that lost its
latest writes: the old owner's epoch may still match there, its expected offsets do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    """One task: a stage ("summarise" or "judge") of a consumer group, for one partition number."""

    group: str
    stage: str
    partition: int


class CommitOutcome(Enum):
    """The answer to a commit or an acknowledgement."""

    OK = "ok"
    ALREADY = "already"  # this very commit is the last one stored, its reply was lost: success
    STALE = "stale"  # the store went back, or forward under the same claim: reload and seek
    FENCED = "fenced"  # somebody else owns the task: drop it
    CORRUPT = "corrupt"  # stored keys have the wrong type or are incomplete


@dataclass(frozen=True, slots=True)
class Claim:
    """Ownership of a task, and how far the task had come when it was claimed."""

    task: TaskId
    owner: str
    epoch: int
    sequence: int
    """Number of commits that the task has seen; 0 for a new task."""
    offsets: Mapping[str, int]
    """Next offset to read, by input topic; empty for a new task."""
    blobs: Mapping[str, bytes]
    """The task's state by name."""
    outbox: tuple[tuple[int, bytes], ...]
    """(number, encoded record) not yet acknowledged, ascending."""
    at: int = field(default=0, compare=False)
    """When it was made, by the store's clock (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One step forward of a task."""

    expected_sequence: int
    expected_offsets: Mapping[str, int]
    offsets: Mapping[str, int]
    writes: Mapping[str, bytes | None] = field(default_factory=dict)
    """Blobs to write; None deletes one."""
    outbox: Sequence[bytes] = ()
    """Encoded records; they are numbered on from the last number ever used by this task."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What came of a commit."""

    outcome: CommitOutcome
    last_outbox: int = 0
    """The highest outbox number given out so far (OK and ALREADY only)."""
    detail: str = ""
    """For people: what was expected and what was found."""
    at: int = field(default=0, compare=False)
    """When it was answered, by the store's clock (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What `status` shows of a stored task, read without claiming it."""

    task: TaskId
    owner: str
    epoch: int
    sequence: int
    offsets: Mapping[str, int]
    outbox: int
    claimed_at: int
    committed_at: int
    """Epoch milliseconds by the store's clock; 0 if never."""
    fault: str = ""
    """Why it cannot be worked on: what a worker noted, or what is wrong with the rest of this; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a worker left for others to read: why it pauses."""

    owner: str
    why: str
    since: int
    """When it began and when it was said last, in epoch milliseconds by the worker's clock."""
    at: int


class Store(Protocol):
    """Every method may raise `StateUnavailable` (try again) or `StateDenied`.

    `claim` and `read` may raise `StateCorrupt`; `commit` and `ack` answer CORRUPT and change nothing.

    No method retries a write by itself: the caller repeats the same commit, whose reply was lost, and gets ALREADY.
    Another commit in its place gets STALE, even one with the same offsets.
    """

    def check(self) -> None:
        """Raise `StateDenied` where the store is not safe to use: it may evict keys, or is a read-only replica."""
        ...

    def claim(self, task: TaskId, owner: str) -> Claim:
        """Take the task over: bump its epoch, set the owner, return all that is stored.

        Nobody can refuse a claim. It raises `StateUnavailable` if the task is claimed again while it is being read.
        """
        ...

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        """Move the task forward in one atomic step, or change nothing at all.

        `claim` is only looked at for task, owner and epoch: the caller keeps the sequence number and offsets.
        Raises `StateError` for a commit that is too large, before anything is sent.
        """
        ...

    def ack(self, claim: Claim, through: int) -> CommitOutcome:
        """Drop outbox entries numbered `through` and lower. OK, FENCED or CORRUPT; repeating it is harmless.

        In a store that went back, `through` may be above the last number given out: those numbers are given out again.
        """
        ...

    def tasks(self, group: str) -> list[TaskInfo]:
        """List the stored tasks of a group, in order; one that is corrupt with its fault: it hides no other."""
        ...

    def note(self, task: TaskId, fault: str) -> None:
        """Note for people why a task cannot be worked on; nothing, and the note goes. No work depends on it."""
        ...

    def read(self, task: TaskId, prefix: str) -> dict[str, bytes]:
        """Return the blobs whose names start with `prefix`, without claiming.

        Each blob is whole; two of them may come from successive commits.
        """
        ...

    def tell(self, group: str, owner: str, word: Word | None) -> None:
        """Leave word of why a worker pauses, or take it back. For people: nothing depends on it."""
        ...

    def told(self, group: str) -> list[Word]:
        """Return the words that a group's workers left, by owner. A worker that died took none back: look at `at`."""
        ...

    def faults(self) -> list[str]:
        """Return what keeps the store from taking writes now, for people: it is full, or cannot reach its disk."""
        ...

    def time_ms(self) -> int:
        """Return the store's own clock, in epoch milliseconds."""
        ...

    def forget(self, task: TaskId) -> None:
        """Delete all that is stored for the task."""
        ...

    def close(self) -> None:
        """Give back connections. What is stored stays."""
        ...
