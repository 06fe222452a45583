"""What every store must do: `MemoryStore`, a real Redis, one that sentinels watch, a cluster, and Valkey."""

from dataclasses import replace

import pytest

from driftline.errors import StateError
from driftline.state import Claim, Commit, CommitOutcome, Committed, Store, TaskId, Word
from driftline.state.commits import MAX_COMMIT_BYTES, MAX_COMMIT_PARTS
from tests.state.backends import Backend

TASK = TaskId("driftline", "summarise", 3)
STEP = Commit(
    expected_sequence=0,
    expected_offsets={},
    offsets={"predictions": 10, "labels": 4},
    writes={"panes": b"p1", "counters": b"c1"},
    outbox=[b"first", b"second"],
)


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.store


def claimed(store: Store, owner: str = "worker-1") -> Claim:
    return store.claim(TASK, owner)


def follow(step: Commit, **changes: object) -> Commit:
    """Return a commit that follows `step`."""
    after = Commit(step.expected_sequence + 1, step.offsets, {name: at + 5 for name, at in step.offsets.items()})
    return replace(after, **changes)  # type: ignore[arg-type]


def test_a_new_task_is_empty(store: Store) -> None:
    store.check()
    assert claimed(store) == Claim(TASK, "worker-1", epoch=1, sequence=0, offsets={}, blobs={}, outbox=())


def test_a_claim_returns_what_was_committed(store: Store) -> None:
    assert store.commit(claimed(store), STEP) == Committed(CommitOutcome.OK, last_outbox=2)
    assert claimed(store, "worker-2") == Claim(
        TASK,
        "worker-2",
        epoch=2,
        sequence=1,
        offsets={"predictions": 10, "labels": 4},
        blobs={"panes": b"p1", "counters": b"c1"},
        outbox=((1, b"first"), (2, b"second")),
    )


def test_blobs_are_kept_replaced_and_deleted(store: Store) -> None:
    claim = claimed(store)
    store.commit(claim, STEP)
    step = follow(STEP, writes={"panes": None, "counters": b"c2", "new": b"", "never there": None})
    assert store.commit(claim, step).outcome is CommitOutcome.OK
    store.commit(claim, follow(step))
    assert claimed(store).blobs == {"counters": b"c2", "new": b""}


def test_any_bytes_and_names_survive(store: Store) -> None:
    task = TaskId("grün/{a}:b%", "st age", 0)
    offsets = {'to"pic': 0, "töpic": 2**63 - 1}
    writes = {"a{b}:c/*?[é\n\0": bytes(range(256)), "": b"\r\n"}
    store.commit(store.claim(task, "o/w:n\n é"), Commit(0, {}, offsets, writes, [b"", b"\0\r\n"]))
    claim = store.claim(task, "w")
    assert (claim.offsets, claim.blobs, claim.outbox) == (offsets, writes, ((1, b""), (2, b"\0\r\n")))
    assert [info.task for info in store.tasks(task.group)] == [task]


def test_buffers_are_copied(store: Store) -> None:
    blob, record = bytearray(b"blob"), bytearray(b"record")
    step = replace(STEP, writes={"b": memoryview(blob)}, outbox=[record])  # type: ignore[dict-item, list-item]
    store.commit(claimed(store), step)
    blob[:] = record[:4] = b"XXXX"
    again = claimed(store)
    assert (again.blobs, again.outbox) == ({"b": b"blob"}, ((1, b"record"),))


def test_tasks_whose_names_look_alike_are_apart(store: Store) -> None:
    alike = [TaskId("a/b", "c", 1), TaskId("a", "b/c", 1), TaskId("a", "b", 11), TaskId("a:b", "c", 1)]
    for number, task in enumerate(alike):
        store.commit(store.claim(task, "w"), replace(STEP, writes={"n": b"%d" % number}))
    assert [store.read(task, "") for task in alike] == [{"n": b"%d" % number} for number in range(4)]


def test_the_same_commit_again_was_already_done(store: Store) -> None:
    claim = claimed(store)
    done = store.commit(claim, STEP)
    assert store.commit(claim, STEP) == Committed(CommitOutcome.ALREADY, last_outbox=2)
    (info,) = store.tasks(TASK.group)
    assert (info.sequence, info.outbox, info.committed_at) == (1, 2, done.at)


@pytest.mark.parametrize(
    "change", [{"writes": {"panes": b"other"}}, {"outbox": [b"first"]}, {"offsets": {"labels": 5}}]
)
def test_another_commit_in_its_place_is_stale(backend: Backend, change: dict[str, object]) -> None:
    claim = claimed(backend.store)
    backend.store.commit(claim, STEP)
    before = backend.content()
    other: Commit = replace(STEP, **change)  # type: ignore[arg-type]
    assert backend.store.commit(claim, other).outcome is CommitOutcome.STALE
    assert backend.content() == before


def test_a_commit_two_steps_back_is_stale(store: Store) -> None:
    claim = claimed(store)
    store.commit(claim, STEP)
    store.commit(claim, follow(STEP))
    answer = store.commit(claim, STEP)
    assert answer.outcome is CommitOutcome.STALE
    assert answer.detail == 'expected commit 0 at {}, found commit 2 at {"labels":9,"predictions":15}'


def test_offsets_that_differ_by_one_above_two_to_the_53rd_differ(backend: Backend) -> None:
    claim = claimed(backend.store)
    first = Commit(0, {}, {"predictions": 2**53 + 1})
    backend.store.commit(claim, first)
    before = backend.content()
    assert backend.store.commit(claim, replace(first, offsets={"predictions": 2**53})).outcome is CommitOutcome.STALE
    next_step = Commit(1, {"predictions": 2**53}, {"predictions": 2**53 + 2})
    assert backend.store.commit(claim, next_step).outcome is CommitOutcome.STALE
    assert backend.content() == before
    assert claimed(backend.store).offsets == {"predictions": 2**53 + 1}


def test_the_order_of_topics_does_not_matter(store: Store) -> None:
    claim = claimed(store)
    store.commit(claim, STEP)
    turned = follow(STEP, expected_offsets=dict(sorted(STEP.offsets.items())))
    assert store.commit(claim, turned).outcome is CommitOutcome.OK


def test_an_earlier_claim_is_fenced(backend: Backend) -> None:
    store = backend.store
    first = claimed(store, "worker-1")
    store.commit(first, STEP)
    claimed(store, "worker-2")
    before = backend.content()
    for step in (STEP, follow(STEP)):
        answer = store.commit(first, step)
        assert answer == Committed(
            CommitOutcome.FENCED, detail="claimed by worker-1 in epoch 1, found worker-2 in epoch 2"
        )
    assert store.ack(first, 2) is CommitOutcome.FENCED
    assert backend.content() == before


def test_an_earlier_claim_of_the_same_owner_is_fenced(store: Store) -> None:
    first = claimed(store)
    claimed(store)
    assert store.commit(first, STEP).outcome is CommitOutcome.FENCED


def test_a_store_that_went_back_is_stale_to_the_same_claim(backend: Backend) -> None:
    store = backend.store
    claim = claimed(store)
    store.commit(claim, STEP)
    restore = backend.save()
    second = follow(STEP, outbox=[b"third"])
    store.commit(claim, second)
    restore()
    before = backend.content()
    assert store.commit(claim, follow(second)).outcome is CommitOutcome.STALE
    assert backend.content() == before
    again = claimed(store)
    assert (again.sequence, again.offsets, len(again.outbox)) == (1, STEP.offsets, 2)


def test_acknowledging_more_than_a_store_that_went_back_knows_keeps_later_numbers(backend: Backend) -> None:
    store = backend.store
    claim = claimed(store)
    store.commit(claim, STEP)
    restore = backend.save()
    second = follow(STEP, outbox=[b"third"])
    store.commit(claim, second)
    restore()
    assert store.ack(claim, 3) is CommitOutcome.OK
    assert store.commit(claim, second) == Committed(CommitOutcome.OK, last_outbox=3)
    assert claimed(store).outbox == ((3, b"third"),)


def test_a_store_that_lost_the_claim_fences_it(backend: Backend) -> None:
    restore = backend.save()
    claim = claimed(backend.store)
    restore()
    before = backend.content()
    assert backend.store.commit(claim, STEP).outcome is CommitOutcome.FENCED
    assert backend.store.ack(claim, 1) is CommitOutcome.FENCED
    assert backend.content() == before


def test_acknowledged_records_are_dropped_once(store: Store) -> None:
    claim = claimed(store)
    store.commit(claim, STEP)
    for through, left in ((0, 2), (1, 1), (1, 1), (0, 1), (2, 0), (2, 0)):
        assert store.ack(claim, through) is CommitOutcome.OK
        assert store.tasks(TASK.group)[0].outbox == left
    assert store.commit(claim, follow(STEP, outbox=[b"third"])) == Committed(CommitOutcome.OK, last_outbox=3)
    assert claimed(store).outbox == ((3, b"third"),)


def test_a_repeated_commit_is_known_after_its_records_were_acknowledged(store: Store) -> None:
    claim = claimed(store)
    store.commit(claim, STEP)
    store.ack(claim, 2)
    assert store.commit(claim, STEP) == Committed(CommitOutcome.ALREADY, last_outbox=2)
    assert claimed(store).outbox == ()


def test_tasks_are_listed_in_order_and_by_group(store: Store) -> None:
    for partition, stage in ((10, "summarise"), (2, "summarise"), (0, "judge")):
        store.claim(TaskId("driftline", stage, partition), f"w{partition}")
    store.claim(TaskId("other", "judge", 0), "w")
    before = store.time_ms()
    claim = store.claim(TASK, "w3")
    done = store.commit(claim, STEP)
    assert before <= claim.at <= done.at <= store.time_ms()
    infos = store.tasks("driftline")
    assert [(info.task.stage, info.task.partition) for info in infos] == [
        ("judge", 0),
        ("summarise", 2),
        ("summarise", 3),
        ("summarise", 10),
    ]
    info = infos[2]
    assert (info.owner, info.epoch, info.sequence, info.outbox) == ("w3", 1, 1, 2)
    assert (info.offsets, info.claimed_at, info.committed_at) == (STEP.offsets, claim.at, done.at)
    assert infos[0].committed_at == 0
    assert store.tasks("unknown") == []


def test_reading_by_prefix_takes_no_claim(backend: Backend) -> None:
    claim = claimed(backend.store)
    backend.store.commit(claim, replace(STEP, writes={"view/a": b"1", "view/b": b"2", "v*": b"3"}))
    before = backend.content()
    assert backend.store.read(TASK, "view/") == {"view/a": b"1", "view/b": b"2"}
    assert backend.store.read(TASK, "v*") == {"v*": b"3"}
    assert backend.store.read(TaskId("driftline", "judge", 3), "") == {}
    assert backend.content() == before


def test_a_forgotten_task_is_new(backend: Backend) -> None:
    nothing = backend.content()
    claim = claimed(backend.store)
    backend.store.commit(claim, STEP)
    backend.store.forget(TASK)
    assert backend.content() == nothing
    assert backend.store.commit(claim, follow(STEP)).outcome is CommitOutcome.FENCED
    assert claimed(backend.store).sequence == 0


def test_ten_thousand_blobs_and_records_in_one_commit(store: Store) -> None:
    claim = claimed(store)
    writes: dict[str, bytes | None] = {f"blob/{number}": b"%d" % number * 20 for number in range(10_000)}
    outbox = [b"%d" % number for number in range(1, 10_001)]
    step = replace(STEP, writes=writes, outbox=outbox)
    assert store.commit(claim, step) == Committed(CommitOutcome.OK, last_outbox=10_000)
    assert store.commit(claim, step).outcome is CommitOutcome.ALREADY
    again = claimed(store)
    assert again.blobs == writes
    assert again.outbox == tuple(enumerate(outbox, 1))
    assert store.ack(again, 9_999) is CommitOutcome.OK
    deletes = follow(step, writes=dict.fromkeys(list(writes)[1:]))
    assert store.commit(again, deletes).outcome is CommitOutcome.OK
    last = claimed(store)
    assert (last.blobs, last.outbox) == ({"blob/0": b"0" * 20}, ((10_000, b"10000"),))


def test_blobs_of_very_different_sizes_are_read_back(store: Store) -> None:
    sizes = [10, 5_000_000, 0, 200_000, *[100] * 500, 3_000_000]
    writes: dict[str, bytes | None] = {f"{at:03}": b"%d" % (at % 10) * size for at, size in enumerate(sizes)}
    store.commit(claimed(store), replace(STEP, writes=writes))
    assert claimed(store).blobs == writes


def test_a_commit_that_is_too_large_is_refused_before_it_is_sent(backend: Backend) -> None:
    claim = claimed(backend.store)
    before = backend.content()
    for step in (
        replace(STEP, writes={"blob": bytes(MAX_COMMIT_BYTES)}),
        replace(STEP, outbox=[b""] * (MAX_COMMIT_PARTS + 1)),
    ):
        with pytest.raises(StateError, match=r"over the limit of .*: checkpoint more often"):
            backend.store.commit(claim, step)
    assert backend.content() == before


def test_words_are_kept_by_owner_until_they_are_taken_back(backend: Backend) -> None:
    store = backend.store
    assert store.told("g") == []
    store.tell("g", "two", Word("two", "Kafka is away", since=100, at=100))
    store.tell("g", "one", Word("one", "topic alerts: réfused", since=150, at=150))
    store.tell("g", "two", Word("two", "Kafka is still away", since=100, at=200))
    store.tell("other", "two", Word("two", "not of this group", since=200, at=200))
    assert store.told("g") == [
        Word("one", "topic alerts: réfused", since=150, at=150),
        Word("two", "Kafka is still away", since=100, at=200),
    ]
    store.tell("g", "two", None)
    store.tell("g", "nobody", None)
    assert [word.owner for word in store.told("g")] == ["one"]
    assert store.tasks("g") == []
    assert store.faults() == []
