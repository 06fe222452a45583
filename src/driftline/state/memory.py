"""A store in this process: for tests, demos and backtests, and the plainest statement of what a store does."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from driftline.state.api import Claim, Commit, CommitOutcome, Committed, TaskId, TaskInfo, Word
from driftline.state.commits import decode_offsets, encode_offsets, fingerprint


@dataclass(frozen=True, slots=True)
class _StoredTask:
    """All that is stored of one task. Never changed, only replaced, so that a step happens whole or not at all."""

    owner: str
    epoch: int
    sequence: int = 0
    offsets: str = encode_offsets({})
    fingerprint: str = ""
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    outbox: tuple[tuple[int, bytes], ...] = ()
    outbox_last: int = 0
    claimed_at: int = 0
    committed_at: int = 0


class MemoryStore:
    """A `Store` that lives and dies with this process. Thread-safe."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock_ms = clock_ms
        self._stored: dict[TaskId, _StoredTask] = {}
        self._faults: dict[TaskId, str] = {}
        self._words: dict[tuple[str, str], Word] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Find nothing wrong: memory is always safe to use."""

    def claim(self, task: TaskId, owner: str) -> Claim:
        """Take the task over."""
        with self._lock:
            before = self._stored.get(task) or _StoredTask(owner, epoch=0)
            stored = replace(before, owner=owner, epoch=before.epoch + 1, claimed_at=self._clock_ms())
            self._stored[task] = stored
        return Claim(
            task=task,
            owner=owner,
            epoch=stored.epoch,
            sequence=stored.sequence,
            offsets=decode_offsets(stored.offsets),
            blobs=dict(stored.blobs),
            outbox=stored.outbox,
            at=stored.claimed_at,
        )

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        """Move the task forward in one atomic step, or change nothing at all."""
        name = fingerprint(commit)
        expected, offsets = encode_offsets(commit.expected_offsets), encode_offsets(commit.offsets)
        with self._lock:
            stored, now = self._stored.get(claim.task), self._clock_ms()
            if (fenced := _fenced(stored, claim)) or stored is None:
                return Committed(CommitOutcome.FENCED, detail=fenced, at=now)
            found = (stored.sequence, stored.offsets)
            if found == (commit.expected_sequence + 1, offsets) and stored.fingerprint == name:
                return Committed(CommitOutcome.ALREADY, stored.outbox_last, at=now)
            if found != (commit.expected_sequence, expected):
                detail = (
                    f"expected commit {commit.expected_sequence} at {expected}, "
                    f"found commit {stored.sequence} at {stored.offsets}"
                )
                return Committed(CommitOutcome.STALE, detail=detail, at=now)
            blobs = dict(stored.blobs)
            for blob, value in commit.writes.items():
                if value is None:
                    blobs.pop(blob, None)
                else:
                    blobs[blob] = bytes(value)
            last = stored.outbox_last + len(commit.outbox)
            numbered = enumerate(map(bytes, commit.outbox), stored.outbox_last + 1)
            self._stored[claim.task] = replace(
                stored,
                sequence=commit.expected_sequence + 1,
                offsets=offsets,
                fingerprint=name,
                blobs=blobs,
                outbox=(*stored.outbox, *numbered),
                outbox_last=last,
                committed_at=now,
            )
            return Committed(CommitOutcome.OK, last, at=now)

    def ack(self, claim: Claim, through: int) -> CommitOutcome:
        """Drop outbox entries numbered `through` and lower."""
        with self._lock:
            stored = self._stored.get(claim.task)
            if _fenced(stored, claim) or stored is None:
                return CommitOutcome.FENCED
            left = tuple(entry for entry in stored.outbox if entry[0] > through)
            self._stored[claim.task] = replace(stored, outbox=left)
            return CommitOutcome.OK

    def tasks(self, group: str) -> list[TaskInfo]:
        """List the stored tasks of a group, in order."""
        with self._lock:
            stored_tasks = sorted((task, stored) for task, stored in self._stored.items() if task.group == group)
        return [
            TaskInfo(
                task=task,
                owner=stored.owner,
                epoch=stored.epoch,
                sequence=stored.sequence,
                offsets=decode_offsets(stored.offsets),
                outbox=len(stored.outbox),
                claimed_at=stored.claimed_at,
                committed_at=stored.committed_at,
                fault=self._faults.get(task, ""),
            )
            for task, stored in stored_tasks
        ]

    def note(self, task: TaskId, fault: str) -> None:
        """Note why a task cannot be worked on."""
        with self._lock:
            self._faults.pop(task, None)
            if fault:
                self._faults[task] = fault

    def read(self, task: TaskId, prefix: str) -> dict[str, bytes]:
        """Return the blobs whose names start with `prefix`, without claiming."""
        with self._lock:
            stored = self._stored.get(task)
        return {name: blob for name, blob in stored.blobs.items() if name.startswith(prefix)} if stored else {}

    def tell(self, group: str, owner: str, word: Word | None) -> None:
        """Leave word of why a worker pauses, or take it back."""
        with self._lock:
            if word is None:
                self._words.pop((group, owner), None)
            else:
                self._words[group, owner] = word

    def told(self, group: str) -> list[Word]:
        """Return the words that a group's workers left, by owner."""
        with self._lock:
            return [word for (of, _), word in sorted(self._words.items()) if of == group]

    def faults(self) -> list[str]:
        """Find nothing wrong."""
        return []

    def time_ms(self) -> int:
        """Return the time of the clock that it was given, this process's if none."""
        return self._clock_ms()

    def forget(self, task: TaskId) -> None:
        """Delete all that is stored for the task."""
        with self._lock:
            self._stored.pop(task, None)
            self._faults.pop(task, None)

    def close(self) -> None:
        """Keep everything: a store in memory can be used again by the next worker of this process."""


def _fenced(stored: _StoredTask | None, claim: Claim) -> str:
    """Return why the claim no longer holds; nothing if it does."""
    if stored is None:
        return "nothing is stored: the store lost the claim"
    if (stored.owner, stored.epoch) != (claim.owner, claim.epoch):
        return f"claimed by {claim.owner} in epoch {claim.epoch}, found {stored.owner} in epoch {stored.epoch}"
    return ""
