"""What may go wrong, and when: faults as data, so that a schedule can be printed, cut down and repeated.

A fault strikes at one call of a worker to its surroundings, counted over all workers: "crash after commit 3" ends the
worker that made the third commit, before it hears of the answer.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What happens to the worker that made the call, or to what is around it."""

    CRASH = "crash"
    """Killed: it hears nothing, its session lapses later, what it had queued is lost or comes late."""
    FAIL = "fail"
    """The call fails, and so do the next ones of the same service. After the effect, only the reply is lost."""
    FREEZE = "freeze"
    """It stands still for a while, and the others go on."""
    ZOMBIE = "zombie"
    """It stands still, its session lapses, others take over; then it wakes up and goes on where it was."""
    ROLLBACK = "rollback"
    """The store loses its latest writes, as in a failover."""
    LAPSE = "lapse"
    """Another worker's session lapses."""
    JOIN = "join"
    """A further worker joins."""
    STOP = "stop"
    """A worker is asked to stop."""
    SLOW = "slow"
    """Seconds pass in this call."""
    DUPLICATE = "duplicate"
    """What it delivers next is delivered twice."""
    AGAIN = "again"
    """What its consumers fetched last is fetched once more, before what follows."""
    ASTRAY = "astray"
    """Its consumers begin further on than they are told to, the next time they are told."""
    LOSE = "lose"
    """Retention passes committed offsets of a partition; later the records come back."""


CALLS = ("poll", "bounds", "claim", "commit", "ack", "tasks", "read", "time_ms", "produce", "flush", "report")
"""What a worker asks of its surroundings."""
WHEN = ("before", "after")
_SIZES: Mapping[Kind, tuple[int, int]] = {
    Kind.FAIL: (1, 12),
    Kind.FREEZE: (1, 12),
    Kind.ZOMBIE: (3, 25),
    Kind.ROLLBACK: (1, 12),
    Kind.LAPSE: (0, 3),
    Kind.STOP: (0, 3),
    Kind.SLOW: (1, 40),
    Kind.LOSE: (1, 30),
}
_OFTEN = (Kind.CRASH, Kind.FAIL, Kind.ZOMBIE, Kind.ROLLBACK)
_FORM = re.compile(r"([a-z]+)(?:\((\d+)\))? (before|after) ([a-z_]+) (\d+)")


class Fault(NamedTuple):
    """One thing that goes wrong. `size` counts calls, steps, writes or seconds, as its kind wants."""

    kind: Kind
    size: int
    when: str
    call: str
    number: int

    def __str__(self) -> str:
        size = f"({self.size})" if self.kind in _SIZES else ""
        return f"{self.kind}{size} {self.when} {self.call} {self.number}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Undo `str`. Raises ValueError."""
        found = _FORM.fullmatch(text.strip())
        if found is None or found[4] not in CALLS:
            raise ValueError(f'"{text}" is no fault; write for example: crash after commit 3, zombie(9) before flush 2')
        return cls(Kind(found[1]), int(found[2] or 0), found[3], found[4], int(found[5]))


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that decides what happens: the same schedule is the same run, to the byte."""

    seed: int
    workload: int
    workers: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"SEED={self.seed} FAULTS='{'; '.join(map(str, self.faults))}'"


def draw(seed: int, workloads: Sequence[Mapping[str, int]]) -> Schedule:
    """Return the schedule of a seed. For each workload, how often an undisturbed run makes each call."""
    chance = random.Random(seed)
    workload = chance.randrange(len(workloads))
    usual = workloads[workload]
    faults = []
    for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 6, 8))):
        call = chance.choice(CALLS)
        kind = chance.choice(_OFTEN if chance.random() < 0.6 else tuple(Kind))
        number = chance.randint(1, max(1, usual.get(call, 1) * 5 // 4))
        faults.append(Fault(kind, chance.randint(*_SIZES.get(kind, (0, 0))), chance.choice(WHEN), call, number))
    return Schedule(seed, workload, chance.choice((1, 2, 2, 3)), tuple(faults))


def shrink(faults: tuple[Fault, ...], fails: Callable[[tuple[Fault, ...]], bool]) -> tuple[Fault, ...]:
    """Return a part of the faults that fails still, and from which no single one can be left out."""
    left = faults
    changed = True
    while changed:
        changed = False
        for at in range(len(left)):
            fewer = left[:at] + left[at + 1 :]
            if fails(fewer):
                left, changed = fewer, True
                break
    return left
