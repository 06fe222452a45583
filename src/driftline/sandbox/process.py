"""A server as a child process: it logs to a file, is awaited with a deadline, and never outlives its parent."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import SystemRandom

from driftline.sandbox.errors import SandboxError

READINESS_POLL_S = 0.05
LOG_TAIL_LINES = 25

# Below the ports that Linux (32768 and up) and macOS (49152 and up) give to outgoing connections. In that range a
# client that keeps dialling a killed server sooner or later is given the very port it dials, connects to itself, and
# keeps the server from coming back.
LISTEN_PORTS = range(20_000, 32_000)
PORTS_TRIED = 50


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens, and that no other process is given until this one ends.

    A server takes seconds to listen, and its port is free again while it is down: meanwhile we hold the UDP port of the
    same number, which tells others that the number is taken.
    """
    for port in SystemRandom().sample(LISTEN_PORTS, k=PORTS_TRIED):
        with socket.socket() as candidate, socket.socket(type=socket.SOCK_DGRAM) as sign:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sign.bind(("127.0.0.1", port))
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            sign.detach()  # open until this process ends
            return port
    raise SandboxError(
        f"None of {PORTS_TRIED} ports tried between {LISTEN_PORTS[0]} and {LISTEN_PORTS[-1]} is free on 127.0.0.1: "
        "stop what listens there and try again."
    )


def accepts_connections(port: int) -> bool:
    """Tell whether something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], bool], what: str, *, timeout_s: float, logs: Sequence[Path] = ()) -> None:
    """Wait for something that several servers bring about.

    Raises `SandboxError` if time runs out; it says what did not happen, and what the servers said last.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SandboxError("\n".join([f"Waited {timeout_s:g} s in vain until {what}.", *map(tail, logs)]))
        time.sleep(READINESS_POLL_S)


def tail(log: Path) -> str:
    """Return the last lines that a server printed, for people."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in lines)])


class ServerProcess:
    """One run of a server.

    A second, tiny process holds the reading end of a pipe whose writing end only we hold: when we die, however that
    comes, the pipe closes, and it kills the server and deletes `directory`. (Linux's "signal on the parent's death" is
    sent when the *thread* that started the server ends, so it would kill servers that a worker thread started.)
    """

    def __init__(self, name: str, command: Sequence[str], *, directory: Path, log: Path) -> None:
        self._name = name
        self._log = log
        with log.open("ab") as output:
            # A session of its own: Ctrl-C at the terminal is for us, and we stop the server in order.
            self._server = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r _; kill -9 "$0"; rm -rf "$1"', str(self._server.pid), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._server.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait for `ready()`. Raises `SandboxError` with the end of the log if the server ends, or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise SandboxError(f"{self._name} ended with status {self._server.returncode}.\n{tail(self._log)}")
            if time.monotonic() > deadline:
                raise SandboxError(f"{self._name} did not answer within {timeout_s:g} s.\n{tail(self._log)}")
            time.sleep(READINESS_POLL_S)

    def terminate(self, *, timeout_s: float) -> None:
        """Ask the server to end, and kill it if it has not within the time."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        """End the server at once, as a crash would: nothing is flushed, no connection is closed in order."""
        self._end(signal.SIGKILL, timeout_s=10)

    def _end(self, how: signal.Signals, timeout_s: float) -> None:
        if self.running:
            os.kill(self._server.pid, signal.SIGCONT)  # a suspended server hears no SIGTERM
            self._server.send_signal(how)
            try:
                self._server.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        # The watchdog last, and killed: closing its pipe would make it shoot at a process id that may be reused.
        self._watchdog.kill()
        self._watchdog.communicate()
