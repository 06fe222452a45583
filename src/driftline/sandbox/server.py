"""What the servers of the sandbox have in common: a data directory, and a life that can be ended and begun again."""

import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from driftline.sandbox.errors import SandboxError
from driftline.sandbox.process import ServerProcess

STOP_TIMEOUT_S = 20


class LoopbackServer(ABC):
    """A real server on 127.0.0.1. A context manager: entering starts it, leaving stops it and deletes its data.

    Its address and data stay the same over `stop` or `kill` and `start`.
    """

    name: ClassVar[str]
    """What messages call it."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=f"driftline-{self.name.lower()}-"))
        self._delete_data = weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        self._process: ServerProcess | None = None

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where the server comes from, for people."""

    @property
    def log_file(self) -> Path:
        """What the server has printed."""
        return self._directory / "server.log"

    @property
    def pid(self) -> int:
        """Process id of the running server. Raises `SandboxError` if none runs."""
        if self._process is None:
            raise SandboxError(f"This {self.name} is not running: call start() first.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    def start(self) -> None:
        """Start the server on its data, and wait until it answers. Raises `SandboxError`."""
        if self._process is not None:
            raise SandboxError(f"This {self.name} is running already: call stop() or kill() first.")
        command = self._prepare()
        self._process = ServerProcess(self.name, command, directory=self._directory, log=self.log_file)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Shut the server down in order. Its data stays, for `start`."""
        if self._process is not None:
            self._process.terminate(timeout_s=STOP_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """Kill the server (SIGKILL), as a crash would. What it had written stays, for `start`."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        """Stop the server if it runs, and start it on the same data and address."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._delete_data()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._delete_data()

    @abstractmethod
    def _prepare(self) -> Sequence[str]:
        """Lay out what the server needs in its directory, and return the command that runs it."""

    @abstractmethod
    def _wait_until_ready(self, process: ServerProcess) -> None:
        """Return when the server answers as clients need it to. Raises `SandboxError`."""
