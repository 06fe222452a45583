"""One router of a group works, the others stand by. The store fences: who lost the seat can write nothing any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from driftline.errors import StateError, StateUnavailable
from driftline.router.desk import Desk
from driftline.state.api import Claim, Commit, CommitOutcome, Store, TaskId

log = logging.getLogger(__name__)

TAKE_OVER_MS = 10_000
"""A router that has written nothing for so long is gone: another takes its place."""
SIGN_S = 2.0
"""How often the router that works writes, though nothing changed."""
LOOK_S = 2.0


class Unseated(StateError):
    """Another router has taken over."""


class Seat:
    """The right to deliver, and where the desk's state is kept.

    Its methods call the store in a thread of its own, for it may take seconds to answer; they raise what it raises.
    """

    def __init__(self, store: Store, group: str, owner: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._task = TaskId(f"{group}.router", "router", 0)
        self._owner = owner
        self._clock = clock
        self._claim: Claim | None = None
        self._sequence = 0
        self._pending: Commit | None = None
        self._written = 0.0

    async def take(self, desk: Desk, stopped: Callable[[], bool], sleep: Callable[[float], Awaitable[None]]) -> bool:
        """Wait for the seat, then restore the desk. Returns False if it was stopped before. Raises `StateCorrupt`."""
        said = ""
        while not stopped():
            try:
                holder = await asyncio.to_thread(self._holder)
                if holder is None:
                    self._claim = await asyncio.to_thread(self._store.claim, self._task, self._owner)
                    desk.restore(self._claim.blobs)
                    self._sequence = self._claim.sequence
                    return True
                why = f"{holder} delivers; standing by"
            except StateUnavailable as error:
                why = f"{error}; waiting"
            if why != said:
                log.info("%s", why)
                said = why
            await sleep(LOOK_S)
        return False

    def _holder(self) -> str | None:
        """Return who works, None if nobody has given a sign for a while."""
        now = self._store.time_ms()
        for info in self._store.tasks(self._task.group):
            if (
                info.owner != self._owner
                and info.owner
                and max(info.committed_at, info.claimed_at) > now - TAKE_OVER_MS
            ):
                return info.owner
        return None

    async def write(self, desk: Desk) -> None:
        """Store what changed at the desk; once in a while also that somebody is at work. Raises `Unseated`."""
        assert self._claim is not None
        if self._pending is None:
            writes = desk.writes()
            if not writes and self._clock() < self._written + SIGN_S:
                return
            self._pending = Commit(self._sequence, {}, {}, writes)
        claim, commit = self._claim, self._pending
        answer = await asyncio.to_thread(self._store.commit, claim, commit)
        if answer.outcome not in (CommitOutcome.OK, CommitOutcome.ALREADY):
            raise Unseated(
                "another router has taken over, so this one ends; start it again to have it stand by"
                f" ({answer.detail or answer.outcome.value})"
            )
        self._pending = None
        self._sequence += 1
        self._written = self._clock()

    async def leave(self) -> None:
        """Let the next one take over at once."""
        if self._claim is not None:
            await asyncio.to_thread(self._store.claim, self._task, "")
            self._claim = None
