"""Which contenders run on which workload, and the rounds in which they take turns."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final

import msgspec

from driftline.bench.job import ContenderCost, Job
from driftline.bench.servers import fill, own_parts, topics
from driftline.bench.workload import Workload
from driftline.errors import DriftlineError

DECODERS: Final = ("msgspec", "pyarrow", "polars")
CHILD_TIMEOUT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Trial:
    """One line of the report: a contender on a workload."""

    name: str
    contender: str
    workload: str = "standard"
    share: float = 1.0
    """Of the workload's events: slow contenders read fewer."""
    checkpoint_ms: int = 1_000
    kafka: Mapping[str, str | int] = field(default_factory=dict)


WORKLOADS: Final[Mapping[str, tuple[int, int]]] = {
    "standard": (1, 0),
    "10 models": (10, 0),
    "100 models": (100, 0),
    "1,000 segments": (1, 1_000),
}
"""(models, segments) by name."""

TRIALS: Final = (
    Trial("consume", "consume"),
    *(Trial(f"consume + decode, {name}", name) for name in DECODERS),
    Trial("whole path", "path"),
    Trial("whole path, 10 models", "path", "10 models"),
    Trial("whole path, 100 models", "path", "100 models"),
    Trial("whole path, 1,000 segments", "path", "1,000 segments"),
    Trial("whole path, one checkpoint", "path", checkpoint_ms=3_600_000),
    Trial("whole path, queue backoff 1 s", "path", kafka={"fetch.queue.backoff.ms": 1_000}),
    Trial("per-event loop A", "loop A", share=0.25),
    Trial("per-event loop B", "loop B", share=0.25),
    Trial("judge", "judge", share=0.3),
    Trial("labels", "labels"),
)
SOAK: Final = Trial("long run", "path", "soak")

_NEEDS: Final = {"pyarrow": "pyarrow", "loop A": "orjson", "loop B": "orjson"}
"""Packages that contenders need and Driftline does not."""

Measurements = dict[str, list[ContenderCost]]
"""By trial, one for each round."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where Kafka and Redis are."""

    bootstrap: str
    redis_url: str


def runnable() -> tuple[list[Trial], list[str]]:
    """Return the trials that can run here, and the packages that the others miss."""
    missing = sorted({package for package in _NEEDS.values() if find_spec(package) is None})
    return [trial for trial in TRIALS if _NEEDS.get(trial.contender) not in missing], missing


@contextmanager
def filled(servers: Servers, events: int, say: Say) -> Iterator[Mapping[str, str]]:
    """Make and fill a topic for each workload. Gives their names."""
    names = {workload: f"driftline-bench-{uuid.uuid4().hex[:12]}" for workload in WORKLOADS}
    with topics(servers.bootstrap, *names.values()):
        for workload, (models, segments) in WORKLOADS.items():
            for done in fill(servers.bootstrap, names[workload], Workload(events, models, segments)):
                say(f"publishing {workload}: {done:,} of {events:,} events")
        yield names


def run_rounds(
    servers: Servers, names: Mapping[str, str], trials: Sequence[Trial], events: int, rounds: int, say: Say
) -> Measurements:
    """Run every trial once a round, so that what disturbs the machine for a while disturbs all of them."""
    found: Measurements = {trial.name: [] for trial in trials}
    for number in range(1, rounds + 1):
        for trial in trials:
            say(f"round {number} of {rounds}: {trial.name}")
            found[trial.name].append(run(servers, trial, names[trial.workload], int(events * trial.share)))
    return found


def run(
    servers: Servers, trial: Trial, topic: str, events: int, feed: Callable[[], None] = lambda: None
) -> ContenderCost:
    """Run one contender in a fresh process; `feed` is called while it runs. Raises `DriftlineError` if it fails."""
    job = Job(
        contender=trial.contender,
        events=events,
        bootstrap=servers.bootstrap,
        topic=topic,
        redis_url=servers.redis_url,
        name=f"driftline-bench-{uuid.uuid4().hex[:12]}",
        tags=("tenant",) if trial.workload == "1,000 segments" else (),
        checkpoint_ms=trial.checkpoint_ms,
        kafka=trial.kafka,
    )
    with own_parts(job) if trial.contender == "path" else nullcontext():
        child = subprocess.Popen(
            [sys.executable, "-m", "driftline.bench"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert child.stdin is not None
            child.stdin.write(msgspec.json.encode(job))
            child.stdin.close()
            child.stdin = None  # or communicate would flush it
            feed()
            printed, complaints = child.communicate(timeout=CHILD_TIMEOUT_S)
        finally:
            child.kill()
            child.wait()
    if child.returncode:
        lines = complaints.decode(errors="replace").strip().splitlines()[-5:]
        raise DriftlineError(f"bench: {trial.name} ended with status {child.returncode}:\n" + "\n".join(lines))
    return msgspec.json.decode(printed, type=ContenderCost)


def soak(servers: Servers, events: int, say: Say) -> ContenderCost:
    """Run the whole path while events are being published, for as long as that takes."""
    topic = f"driftline-bench-{uuid.uuid4().hex[:12]}"

    def feed() -> None:
        for done in fill(servers.bootstrap, topic, Workload(events)):
            say(f"long run: {done:,} of {events:,} events")

    with topics(servers.bootstrap, topic):
        return run(servers, SOAK, topic, events, feed)
