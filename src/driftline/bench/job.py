"""What one contender is told, and what it answers: each runs in a fresh process, so that none warms up another."""

import sys
import time
from collections.abc import Mapping
from typing import Final

import msgspec

PATIENCE_S: Final = 60.0
"""How long a contender waits for records that should be there."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to read, and with what settings. Topics other than `topic` are empty, and the contender's own."""

    contender: str
    events: int
    bootstrap: str
    topic: str
    redis_url: str = ""
    name: str = ""
    """Unlike that of every other job: group, key prefix, and what its own topics begin with."""
    tags: tuple[str, ...] = ()
    checkpoint_ms: int = 1_000
    kafka: Mapping[str, str | int] = {}
    """librdkafka settings on top of ours."""

    def own_topic(self, name: str) -> str:
        """Return the full name of one of the job's own topics."""
        return f"{self.name}.{name}"


class ContenderCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a contender cost. CPU is user and system time of all threads."""

    events: int
    cpu_s: float
    wall_s: float
    check: float = 0.0
    """The same for all contenders that do the same work on the same records."""
    details: Mapping[str, float] = {}


class Meter:
    """Measures CPU and wall time from its making on."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def measured(self, events: int, *, check: float = 0.0, details: Mapping[str, float] = {}) -> ContenderCost:
        """Return what was spent so far."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        return ContenderCost(events=events, cpu_s=cpu, wall_s=wall, check=check, details=details)


def read_job() -> Job:
    """Read the job of this process."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
