"""Worker processes that may be killed, stopped and replaced: `driftline run` as a process each, forked from a warm one.

Forking spares a start's two seconds of imports. What a process does is what `driftline run` does; only its worker notes
after each step what it read again, in memory that outlives it.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from ctypes import c_longlong
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from threading import Thread
from typing import Any

import driftline.log.kafka
import driftline.observe.exposition
import driftline.state.redis  # noqa: F401  what a worker imports when it needs it is to be there before it is forked
from driftline.cli import run as run_command
from driftline.config import Settings
from driftline.errors import DriftlineError
from driftline.log.api import TopicPartition
from driftline.observe.logs import LogFormat, set_up_logging
from driftline.runtime import worker as worker_module
from driftline.runtime.worker import Worker

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.chaos.warm"])
MAX_PARTITIONS = 64
READ_AGAIN, RECORDS = 0, 1
PLACES = 2
"""Of the shared numbers: records read again, records read, then the furthest position of each task."""


class Tally:
    """Numbers that all workers add to. Two that own the same partition for a moment may lose one another's sum."""

    def __init__(self) -> None:
        self.numbers = RawArray(c_longlong, PLACES + 2 * MAX_PARTITIONS)

    @property
    def read_again(self) -> int:
        """Records that were processed more than once."""
        return int(self.numbers[READ_AGAIN])


class Counted(Worker):
    """A worker that tells a tally how far it read."""

    numbers: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._read: dict[tuple[TopicPartition, int], int] = {}

    def step(self) -> None:
        super().step()
        for owned in self._tasks:
            topic = owned.stage.inputs[0]
            key = (owned.partitions[0], owned.claim.epoch)
            position = owned.positions[topic]
            before = self._read.setdefault(key, owned.claim.offsets.get(topic, 0))
            place = PLACES + owned.task.partition + (MAX_PARTITIONS if owned.stage.name == "judge" else 0)
            self.numbers[READ_AGAIN] += max(min(self.numbers[place], position) - before, 0)
            self.numbers[RECORDS] += position - before
            self.numbers[place] = max(self.numbers[place], position)
            self._read[key] = position


def work(settings: str, bounded: bool, log: str, numbers: Any) -> None:
    """Be a worker: the body of a process."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    set_up_logging(LogFormat.TEXT)
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    Counted.numbers = numbers
    worker_module.Worker = Counted  # type: ignore[misc]
    try:
        run_command.run_one(Settings.model_validate(json.loads(settings)), until_caught_up=bounded)
    except DriftlineError as error:
        print(f"ended by {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class WorkerProcess:
    """One worker."""

    def __init__(self, number: int, settings: str, folder: Path, tally: Tally, *, bounded: bool = False) -> None:
        self.name = f"worker {number}"
        self.log = folder / f"worker-{number:03d}.log"
        self.expected_to_end = bounded
        self.process: BaseProcess = FORKS.Process(
            target=work, args=(settings, bounded, str(self.log), tally.numbers), name=self.name
        )
        self.process.start()

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that ends it is expected."""
        self.expected_to_end |= number in (signal.SIGKILL, signal.SIGTERM)
        pid = self.process.pid
        if pid is not None and self.running:
            os.kill(pid, number)

    @property
    def began(self) -> bool:
        """Whether it has said that it begins. Before that it may give up, and has no handler for SIGTERM yet."""
        return self.log.exists() and " starts: group " in self.log.read_text(errors="replace")

    def until_it_ends(self, deadline_s: float) -> int | None:
        self.process.join(deadline_s)
        return self.process.exitcode


def wait_until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Return whether it came about in time."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
