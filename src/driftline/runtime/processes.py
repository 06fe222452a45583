"""Several workers as processes of one machine, and the parent that looks after them.

The parent restarts nothing: an orchestrator does that better, and sees it. If a child ends that was not asked to, the
parent stops the others and says which one it was. A child hears the end of its parent, however that came: the pipe to
its standard input closes.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

LOOK_S = 0.1
FAILED = 1
EARLY = (-signal.SIGTERM, 128 + signal.SIGTERM)
"""How a child ends that is asked to stop before it is so far as to listen."""
KILL_AFTER_S = 5.0
"""How long after its own deadline a child is killed."""


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    process: subprocess.Popen[bytes]


class WorkerProcesses:
    """Starts one process for each of `environments`, all with the same command.

    Args:
        command: what to run; it must stop when its standard input closes.
        environments: environment variables of each child, on top of this process's.
        bounded: whether a child may end by itself, with status 0.
        shutdown_s: how long the children have to stop.
    """

    def __init__(
        self,
        command: Sequence[str],
        environments: Sequence[Mapping[str, str]],
        *,
        bounded: bool,
        shutdown_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bounded = bounded
        self._shutdown_s = shutdown_s
        self._clock = clock
        self._sleep = sleep
        self._asked = False
        self._stop_by: float | None = None
        # A session of its own: Ctrl-C at the terminal is for the parent, which passes it on once.
        self._children = [
            _Child(
                f"worker {number} of {len(environments)}",
                subprocess.Popen(command, env={**os.environ, **more}, stdin=subprocess.PIPE, start_new_session=True),
            )
            for number, more in enumerate(environments, start=1)
        ]

    def stop(self) -> None:
        """Ask the children to stop. Safe to call from a signal handler."""
        self._asked = True

    def wait(self) -> int:
        """Wait until all have ended; return 0, or the status of the first that failed."""
        status = 0
        running = list(self._children)
        while running:
            if self._asked and self._stop_by is None:
                self._terminate(running)
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                ended = child.process.returncode
                if ended == 0 and (self._bounded or self._asked):
                    continue
                if ended in EARLY and self._stop_by is not None:
                    continue
                log.error(
                    "%s (process %d) ended with status %d%s",
                    *(child.name, child.process.pid, ended, "; stopping the others" if running else ""),
                )
                status = status or (ended if ended > 0 else FAILED)
                self._asked = True
            if self._stop_by is not None and self._clock() > self._stop_by + KILL_AFTER_S:
                for child in running:
                    log.error("%s (process %d) did not stop in time: killed", child.name, child.process.pid)
                    child.process.kill()
            self._sleep(LOOK_S)
        for child in self._children:
            if child.process.stdin is not None:
                child.process.stdin.close()
        return status

    def _terminate(self, running: Sequence[_Child]) -> None:
        self._stop_by = self._clock() + self._shutdown_s
        for child in running:
            child.process.terminate()
