"""A store in Redis 6.2 or later: three keys a task, one script a step. `keys` names them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import resources
from typing import Any, Final

import msgspec
import redis

from driftline.errors import StateCorrupt, StateUnavailable
from driftline.state.address import RedisKind, parse_redis_url
from driftline.state.api import Claim, Commit, CommitOutcome, Committed, TaskId, TaskInfo, Word
from driftline.state.commits import decode_offsets, encode_offsets, fingerprint
from driftline.state.connections import Client, connections
from driftline.state.keys import Keys, TaskKeys, member, task_of
from driftline.state.refusals import refusals_explained
from driftline.state.server_checks import check_server, faults

_REPLY_BYTES: Final = 4 * 2**20
"""Stored state is read in replies of about this size, at most `_REPLY_ITEMS` values each."""
_REPLY_ITEMS: Final = 1000


class _Script:
    def __init__(self, name: str) -> None:
        folder = resources.files("driftline.state") / "scripts"
        self.source = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in ("task", name))
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


_CLAIM: Final = _Script("claim")
_COMMIT: Final = _Script("commit")
_ACK: Final = _Script("ack")
_FORGET: Final = _Script("forget")


class RedisStore:
    """A `Store` in Redis. Thread-safe.

    `url` names a server, a service that sentinels watch, or a cluster (see `parse_redis_url`); `prefix` begins every
    key. A call takes at most `connect_timeout_s` to connect and waits at most `command_timeout_s` for each part of an
    answer, then raises `StateUnavailable`. After a failover the next call finds the new master.

    Raises `ConfigError` for a URL or prefix that cannot be used. Nothing is sent before the first call.
    """

    def __init__(
        self, url: str, *, prefix: str = "driftline", connect_timeout_s: float = 2.0, command_timeout_s: float = 5.0
    ) -> None:
        self._keys = Keys(prefix)
        address = parse_redis_url(url)
        self._place = address.name
        self._in_cluster = address.kind is RedisKind.CLUSTER
        self._connections = connections(
            address, connect_timeout_s=connect_timeout_s, command_timeout_s=command_timeout_s
        )

    def __repr__(self) -> str:
        return f"RedisStore({self._place}, prefix={self._keys.prefix!r})"

    def check(self) -> None:
        """Raise `StateDenied` where this Redis is not safe to use."""
        with self._explained():
            self._connections.check()
            masters = self._connections.masters()
        for name, info in masters.items():
            check_server(name, info, in_cluster=self._in_cluster)

    def claim(self, task: TaskId, owner: str) -> Claim:
        """Take the task over, then read what is stored of it in pieces of a few MiB.

        Raises `StateUnavailable` if the task is claimed again by somebody else meanwhile.
        """
        keys = self._keys.task(task)
        with self._explained():
            self._client.sadd(self._keys.tasks(task.group), member(task))
            answer, fault, *found = _texts(self._run(_CLAIM, keys, owner))
            if answer != "ok":
                raise self._corrupt(fault, keys)
            epoch, sequence, offsets, blob_count, outbox_last, outbox_acked, at = found
            blobs = self._read_blobs(keys, "")
            records = list(self._read_records(keys, int(outbox_last) - int(outbox_acked)))
            holder = _texts(self._client.hmget(keys.meta, ["owner", "epoch", "sequence"]))
        if holder != [owner, epoch, sequence]:
            raise StateUnavailable(
                f"{keys.meta} in {self._place} was claimed by another worker while {owner} read it: claim it again"
            )
        if len(blobs) != int(blob_count):
            raise self._corrupt(f"{keys.blobs} gave {len(blobs)} blobs and should have {blob_count}", keys)
        return Claim(
            task=task,
            owner=owner,
            epoch=int(epoch),
            sequence=int(sequence),
            offsets=decode_offsets(offsets),
            blobs=blobs,
            outbox=tuple(enumerate(records, int(outbox_acked) + 1)),
            at=int(at),
        )

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        """Move the task forward in one atomic step, or change nothing at all.

        Raises `StateError` for a commit over `MAX_COMMIT_BYTES` or `MAX_COMMIT_PARTS`, before anything is sent.
        """
        name = fingerprint(commit)
        writes = {blob: value for blob, value in commit.writes.items() if value is not None}
        deletes = [blob for blob, value in commit.writes.items() if value is None]
        with self._explained():
            reply = self._run(
                _COMMIT,
                self._keys.task(claim.task),
                claim.owner,
                claim.epoch,
                commit.expected_sequence,
                commit.expected_sequence + 1,
                encode_offsets(commit.expected_offsets),
                encode_offsets(commit.offsets),
                name,
                len(writes),
                len(deletes),
                len(commit.outbox),
                *(part for pair in writes.items() for part in pair),
                *deletes,
                *commit.outbox,
            )
        outcome, outbox_last, detail, at = _texts(reply)
        return Committed(CommitOutcome(outcome), int(outbox_last), detail, int(at))

    def ack(self, claim: Claim, through: int) -> CommitOutcome:
        """Drop outbox entries numbered `through` and lower."""
        with self._explained():
            outcome, _ = _texts(self._run(_ACK, self._keys.task(claim.task), claim.owner, claim.epoch, through))
        return CommitOutcome(outcome)

    def tasks(self, group: str) -> list[TaskInfo]:
        """List the stored tasks of a group, in order."""
        with self._explained():
            names = _texts(list(self._client.smembers(self._keys.tasks(group))))
            tasks = sorted(task_of(group, name) for name in names)
            noted = dict(zip(tasks, self._faults(group, tasks), strict=True))
            infos = [self._info_or_fault(task) for task in tasks]
        return [replace(info, fault=info.fault or noted[info.task]) for info in infos if info is not None]

    def note(self, task: TaskId, fault: str) -> None:
        """Note why a task cannot be worked on."""
        key = self._keys.faults(task.group)
        with self._explained():
            if fault:
                self._client.hset(key, member(task), fault)
            else:
                self._client.hdel(key, member(task))

    def _faults(self, group: str, tasks: Sequence[TaskId]) -> list[str]:
        key = self._keys.faults(group)
        found: Sequence[Any] = self._client.hmget(key, [member(task) for task in tasks]) if tasks else []
        return [fault.decode("utf-8", "replace") if fault else "" for fault in found]

    def read(self, task: TaskId, prefix: str) -> dict[str, bytes]:
        """Return the blobs whose names start with `prefix`, without claiming.

        Each blob is whole; two blobs may come from successive commits.
        """
        with self._explained():
            return self._read_blobs(self._keys.task(task), prefix)

    def tell(self, group: str, owner: str, word: Word | None) -> None:
        """Leave word of why a worker pauses, or take it back. One write, which a slow Redis takes."""
        key = self._keys.words(group)
        with self._explained():
            if word is None:
                self._client.hdel(key, owner)
            else:
                self._client.hset(key, owner, msgspec.json.encode(word))

    def told(self, group: str) -> list[Word]:
        """Return the words that a group's workers left, by owner."""
        with self._explained():
            found = self._client.hvals(self._keys.words(group))
        return sorted(map(_word, found), key=lambda word: word.owner)

    def faults(self) -> list[str]:
        """Return what keeps this Redis from taking writes now."""
        with self._explained():
            masters = self._connections.masters()
        return [fault for name, info in masters.items() for fault in faults(name, info)]

    def time_ms(self) -> int:
        """Return the server's clock."""
        with self._explained():
            seconds, microseconds = self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def forget(self, task: TaskId) -> None:
        """Delete all that is stored for the task."""
        with self._explained():
            self._run(_FORGET, self._keys.task(task))
            self._client.srem(self._keys.tasks(task.group), member(task))
        self.note(task, "")

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    @property
    def _client(self) -> Client:
        return self._connections.client()

    def _run(self, script: _Script, keys: TaskKeys, *arguments: str | bytes | int) -> Sequence[Any]:
        """Run a script once. NOSCRIPT means that it did not run, so that sending it whole repeats nothing."""
        try:
            reply = self._client.evalsha(script.sha, len(keys.all), *keys.all, *arguments)
        except redis.exceptions.NoScriptError:
            reply = self._client.eval(script.source, len(keys.all), *keys.all, *arguments)
        return list(reply)

    def _read_blobs(self, keys: TaskKeys, prefix: str) -> dict[str, bytes]:
        names = [name for name in _texts(self._client.hkeys(keys.blobs)) if name.startswith(prefix)]

        def fetch(start: int, count: int) -> Sequence[Any]:
            return self._client.hmget(keys.blobs, names[start : start + count])

        # A name without a value was deleted since HKEYS.
        return {name: blob for name, blob in zip(names, _in_pieces(len(names), fetch), strict=True) if blob is not None}

    def _read_records(self, keys: TaskKeys, count: int) -> Iterator[bytes]:
        def fetch(start: int, count: int) -> Sequence[Any]:
            records = self._client.lrange(keys.outbox, start, start + count - 1)
            if len(records) != count:
                raise StateUnavailable(f"{keys.outbox} in {self._place} changed while it was read: claim it again")
            return records

        return (record for record in _in_pieces(count, fetch) if record is not None)

    def _info_or_fault(self, task: TaskId) -> TaskInfo | None:
        """Return what is stored of a task; where that is corrupt, nothing but the fault."""
        try:
            with self._explained():
                return self._info(task)
        except StateCorrupt as error:
            return TaskInfo(task, "", 0, 0, {}, 0, 0, 0, str(error))

    def _info(self, task: TaskId) -> TaskInfo | None:
        """Return what is stored of a task; None if nothing is."""
        keys = self._keys.task(task)
        fields = ("owner", "epoch", "sequence", "offsets", "outbox_last", "outbox_acked", "claimed_at", "committed_at")
        values = self._client.hmget(keys.meta, fields)
        if all(value is None for value in values):
            return None
        try:
            owner, epoch, sequence, offsets, last, acked, claimed_at, committed_at = _texts(values)
            return TaskInfo(
                task=task,
                owner=owner,
                epoch=int(epoch),
                sequence=int(sequence),
                offsets=decode_offsets(offsets),
                outbox=int(last) - int(acked),
                claimed_at=int(claimed_at),
                committed_at=int(committed_at),
            )
        except (AttributeError, ValueError) as error:
            raise self._corrupt(f"{keys.meta} lacks a field, or has one that is not a number", keys) from error

    def _corrupt(self, fault: str, keys: TaskKeys) -> StateCorrupt:
        return StateCorrupt(
            f"stored state in {self._place} cannot be used: {fault}. Restore Redis from a backup, or delete "
            f"{', '.join(keys.all)} to start this task again"
        )

    def _explained(self) -> AbstractContextManager[None]:
        return refusals_explained(self._place, self._connections.look_again)


def _word(value: bytes | str) -> Word:
    try:
        return msgspec.json.decode(value, type=Word)
    except msgspec.MsgspecError as error:
        raise StateCorrupt(f"a worker's word {value!r} cannot be read ({error}): delete it") from None


def _texts(values: Iterable[Any]) -> list[str]:
    return [value.decode() for value in values]


def _in_pieces(total: int, fetch: Callable[[int, int], Sequence[Any]]) -> Iterator[bytes | None]:
    """Yield `total` values that `fetch(start, count)` brings, in replies sized by the values seen so far."""
    start = seen_bytes = 0
    count = 16
    while start < total:
        values = fetch(start, min(count, total - start))
        yield from values
        start += len(values)
        seen_bytes += sum(len(value) for value in values if value is not None)
        count = max(1, min(_REPLY_ITEMS, _REPLY_BYTES * start // max(seen_bytes, 1)))
