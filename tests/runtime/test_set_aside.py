"""A task whose stored state cannot be read is set aside: nothing of it is changed, all others go on, and it comes back.

On a real Redis, whose keys are damaged behind the workers' back.
"""

import logging
from collections.abc import Callable, Iterator

import pytest
import redis

from driftline.cli.state import checked, reset_task
from driftline.cli.status import collect
from driftline.cli.status_screen import as_text
from driftline.codec import pack, unpack
from driftline.errors import InputError, StateCorrupt
from driftline.incidents.alerts import alert_id
from driftline.offline.backtest import backtest
from driftline.runtime.owning import ASIDE_S
from driftline.runtime.worker import Worker
from driftline.state.api import TaskId
from driftline.state.redis import RedisStore
from driftline.tables import EncodedEvents
from driftline.tasks.summarise import TASK_VERSION
from tests.cli.test_status import shown
from tests.runtime.streams import Bench, Manual, events, settings

STREAM = events(hours=4, shift_after=2.5)
HALF = len(STREAM) // 2
BROKEN = TaskId("driftline", "summarise", 1)
OTHERS = [TaskId("driftline", "summarise", number) for number in (0, 2)]


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    made = RedisStore(redis_url)
    yield made
    made.close()


@pytest.fixture
def raw(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def keys(task: TaskId, which: str) -> str:
    return f"driftline:{{driftline/{task.stage}/{task.partition}}}:{which}"


def offset(bench: Bench, task: TaskId) -> int:
    (info,) = [info for info in bench.store.tasks("driftline") if info.task == task]
    return sum(info.offsets.values())


def half_done(store: RedisStore) -> tuple[Bench, Manual]:
    """Let a worker do the first half, and stop it."""
    bench, manual = Bench(settings(idle_timeout="1000d", checkpoint="1s"), store=store), Manual()
    bench.publish(STREAM[:HALF])
    worker = bench.worker("first", bounded=False, clock=manual.clock())
    steps(worker, manual, lambda: sum(offset(bench, task) for task in (*OTHERS, BROKEN)) == HALF)
    worker.stop()
    worker.run()
    bench.publish(STREAM[HALF:])
    return bench, manual


def steps(worker: Worker, manual: Manual, done: Callable[[], bool]) -> None:
    for _ in range(2_000):
        worker.step()
        manual.time += 0.2
        if worker.progress.tasks and done():
            return
    raise AssertionError("it never came to that")


def stored(raw: "redis.Redis", task: TaskId, name: str) -> bytes:
    blob = raw.hget(keys(task, "blobs"), name)
    assert isinstance(blob, bytes)
    return blob


def flip(raw: "redis.Redis", task: TaskId, name: str) -> None:
    blob = bytearray(stored(raw, task, name))
    blob[len(blob) // 2] ^= 1
    raw.hset(keys(task, "blobs"), name, bytes(blob))


def all_of(raw: "redis.Redis", task: TaskId) -> object:
    meta = raw.hgetall(keys(task, "meta"))
    kept = {name: value for name, value in meta.items() if name in (b"sequence", b"offsets", b"blobs", b"fingerprint")}
    return kept, raw.hgetall(keys(task, "blobs")), raw.lrange(keys(task, "outbox"), 0, -1)


def test_a_damaged_state_holds_up_its_own_partition_only_until_it_is_reset(
    store: RedisStore, raw: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    keys_, values, times = map(list, zip(*STREAM, strict=True))
    expected = {
        alert_id(incident) for incident in backtest(settings(), [EncodedEvents(keys_, values, times)]).incidents
    }
    bench, manual = half_done(store)
    flip(raw, BROKEN, "shapes")
    before = all_of(raw, BROKEN)
    ends = {number: end for number, (_, end) in bench.log.bounds(bench.settings.topics.main).items()}
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    caplog.set_level(logging.ERROR)
    steps(worker, manual, lambda: all(offset(bench, task) == ends[task.partition] for task in OTHERS))
    for _ in range(3 * int(ASIDE_S / 0.2)):  # it is tried again, and said no more
        worker.step()
        manual.time += 0.2

    assert all_of(raw, BROKEN) == before
    assert "summarise 1" not in worker.progress.tasks
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith(
        "summarise 1 is set aside, other tasks continue: stored state of kind 'shapes' cannot be read: its"
    )
    assert "`driftline state check`" in line
    found = collect(bench.log, store, bench.settings, now_ms=0)
    (fault,) = [each.fault for each in found.partitions if each.fault]
    assert "its checksum does not match" in fault
    assert "summarise 1 is set aside: stored state of kind 'shapes'" in shown(found)

    states = {info.task: checked(store, bench.log, bench.settings, info) for info in store.tasks("driftline")}
    assert [task for task, state in states.items() if state.fault] == [BROKEN]
    assert states[BROKEN].blobs == len(raw.hgetall(keys(BROKEN, "blobs")))
    with pytest.raises(InputError, match="can be read, and workers continue"):
        reset_task(store, bench.log, bench.settings, OTHERS[0], force=False, ask=False)
    done = reset_task(store, bench.log, bench.settings, BROKEN, force=False, ask=False)
    assert f"read predictions from 0 to {ends[1]} again" in done
    assert collect(bench.log, store, bench.settings, now_ms=0).partitions[1].fault is None

    manual.time += ASIDE_S
    steps(worker, manual, lambda: "summarise 1" in worker.progress.tasks and offset(bench, BROKEN) == ends[1])
    assert not worker.progress.set_aside
    worker.stop()
    worker.run()
    bench.worker("last").run()
    assert set(bench.alert_ids()) == expected
    assert as_text(collect(bench.log, store, bench.settings, now_ms=0))


def test_a_state_that_is_restored_from_a_backup_goes_on_by_itself(store: RedisStore, raw: "redis.Redis") -> None:
    bench, manual = half_done(store)
    backup = stored(raw, BROKEN, "task")
    flip(raw, BROKEN, "task")
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps(worker, manual, lambda: bool(worker.progress.set_aside))
    raw.hset(keys(BROKEN, "blobs"), "task", backup)
    manual.time += ASIDE_S
    steps(worker, manual, lambda: "summarise 1" in worker.progress.tasks)
    assert not worker.progress.set_aside
    assert not any(info.fault for info in store.tasks("driftline"))
    worker.stop()
    worker.run()


def test_a_state_that_breaks_under_a_worker_is_found_at_its_next_commit(
    store: RedisStore, raw: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    bench, manual = half_done(store)
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps(worker, manual, lambda: len(worker.progress.tasks) == 5)
    raw.hdel(keys(BROKEN, "blobs"), "shapes")
    ends = {number: end for number, (_, end) in bench.log.bounds(bench.settings.topics.main).items()}
    steps(worker, manual, lambda: all(offset(bench, task) == ends[task.partition] for task in OTHERS))
    steps(worker, manual, lambda: bool(worker.progress.set_aside))
    assert "summarise 1" not in worker.progress.tasks
    (fault,) = worker.progress.set_aside.values()
    assert "and should have" in fault
    worker.stop()
    worker.run()


def test_blobs_that_are_all_gone_are_no_new_task(store: RedisStore, raw: "redis.Redis") -> None:
    """Else its offsets would be kept, and all that was counted before them silently lost."""
    bench, manual = half_done(store)
    raw.delete(keys(BROKEN, "blobs"))
    raw.hset(keys(BROKEN, "meta"), "blobs", 0)
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps(worker, manual, lambda: bool(worker.progress.set_aside))
    assert "the state is empty after" in next(iter(worker.progress.set_aside.values()))
    worker.stop()
    worker.run()


def test_a_bounded_run_ends_with_the_fault_for_it_could_never_be_done(store: RedisStore, raw: "redis.Redis") -> None:
    bench, _ = half_done(store)
    flip(raw, BROKEN, "task")
    with pytest.raises(StateCorrupt, match="checksum"):
        bench.worker("second").run()


def test_the_state_of_another_release_is_left_to_it(store: RedisStore, raw: "redis.Redis") -> None:
    bench, manual = half_done(store)
    blob = stored(raw, BROKEN, "task")
    raw.hset(keys(BROKEN, "blobs"), "task", pack("summarise", 999, unpack(blob, "summarise", [TASK_VERSION]).value, {}))
    worker = bench.worker("second", bounded=False, clock=manual.clock())
    steps(worker, manual, lambda: bool(worker.progress.set_aside))
    assert "has version 999" in next(iter(worker.progress.set_aside.values()))
    with pytest.raises(InputError, match=r"is not broken: .* run the release that wrote it"):
        reset_task(store, bench.log, bench.settings, BROKEN, force=False, ask=False)
    worker.stop()
    worker.run()
