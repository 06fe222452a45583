import threading

import pytest

from driftline.config import Settings
from driftline.errors import OffsetLost
from driftline.log.memory import MemoryLog
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.threads import WorkerThreads
from driftline.runtime.worker import Worker
from driftline.state import MemoryStore

SETTINGS = Settings.model_validate({"checkpoint": "50ms"})


class Fails(Worker):
    """A worker whose log loses an offset."""

    def step(self) -> None:
        raise OffsetLost("gone")


def log() -> MemoryLog:
    made = MemoryLog()
    made.create_topics({topic: 2 for _, topic in SETTINGS.topics.named()}, {})
    return made


def test_one_that_fails_stops_the_others_and_its_error_is_raised() -> None:
    shared, store = log(), MemoryStore()
    workers = [
        Worker(SETTINGS, shared, store, monitoring(SETTINGS), owner="a"),
        Fails(SETTINGS, shared, store, monitoring(SETTINGS), owner="b"),
    ]

    with pytest.raises(OffsetLost, match="gone"), WorkerThreads(workers) as threads:
        pass

    assert not threads.running


def test_an_error_in_the_block_stops_them_and_is_the_one_that_is_raised() -> None:
    shared, store = log(), MemoryStore()

    with (
        pytest.raises(KeyError),
        WorkerThreads([Worker(SETTINGS, shared, store, monitoring(SETTINGS), owner="a")]) as threads,
    ):
        raise KeyError

    assert not threads.running
    assert "a" not in {thread.name for thread in threading.enumerate()}


def test_told_to_finish_they_work_off_what_is_there() -> None:
    shared, store = log(), MemoryStore()

    with WorkerThreads([Worker(SETTINGS, shared, store, monitoring(SETTINGS), owner=name) for name in "ab"]) as threads:
        threads.finish()

    assert {info.task.stage for info in store.tasks(SETTINGS.group)} == {"summarise", "judge"}
