"""Several workers as threads of this process: for the embedded log, which lives in it."""

import logging
from collections.abc import Sequence
from threading import Thread
from types import TracebackType
from typing import Self

from driftline.runtime.worker import Worker

log = logging.getLogger(__name__)


class WorkerThreads:
    """Runs workers until they stop by themselves or are told to. One that fails stops the others.

    A context manager: entering starts them, leaving waits for them, at once where the block raised.
    They share one interpreter, so that two are as fast as one: what they show is how a group shares its work.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = tuple(workers)
        self._failures: list[BaseException] = []
        self._threads = [Thread(target=self._run, args=(worker,), name=worker.owner) for worker in self.workers]

    def stop(self) -> None:
        """Ask all of them to stop. Safe to call from a signal handler."""
        for worker in self.workers:
            worker.stop()

    def finish(self) -> None:
        """Ask all of them to stop once what is there now has been worked off."""
        for worker in self.workers:
            worker.finish()

    @property
    def running(self) -> bool:
        """Whether any of them still works."""
        return any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all of them. Raises what the first that failed raised, unless the block raised."""
        if error is not None:
            self.stop()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.2)  # in pieces, so that signals are handled meanwhile
        if self._failures and error is None:
            raise self._failures[0]

    def _run(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:
            self._failures.append(error)
            log.error("worker %s failed, so the others stop: %s", worker.owner, error)
            self.stop()
