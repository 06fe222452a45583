"""One or several workers on a log and a store in memory: the same alerts as a backtest, whatever happens on the way."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from driftline.config import Settings
from driftline.errors import StateUnavailable
from driftline.incidents.alerts import alert_id
from driftline.log.api import Batch, Outgoing, TopicPartition
from driftline.offline.backtest import backtest
from driftline.panes.records import PaneRecord, Watermark, decode_record
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.stage import StageKind
from driftline.runtime.worker import Worker
from driftline.state.api import Claim, Commit, CommitOutcome, Committed, TaskId, TaskInfo
from driftline.state.memory import MemoryStore
from driftline.tables import EncodedEvents
from tests.runtime.streams import MINUTE, PARTITIONS, START, Bench, Manual, Plain, events, settings

STREAM = events(hours=4, shift_after=2.5)


@pytest.fixture(scope="module")
def expected() -> list[str]:
    """Ids of the alerts of a backtest: as last changed at the time of each change."""
    keys, values, times = map(list, zip(*STREAM, strict=True))
    result = backtest(settings(), [EncodedEvents(keys, values, times)])
    ids = [alert_id(incident) for incident in result.incidents]
    assert ids, "the stream must open an incident"
    return ids


def test_a_bounded_run_gives_the_alerts_of_a_backtest(expected: list[str]) -> None:
    bench = Bench(settings())
    bench.publish(STREAM)
    bench.worker().run()
    assert bench.alert_ids() == expected


def test_what_goes_to_the_alerts_topic_says_that_it_is_a_structured_cloud_event() -> None:
    bench = Bench(settings(watchdog="1h"))
    bench.publish(STREAM)
    bench.worker().run()
    found = bench.records(bench.settings.topics.alerts)
    assert {json.loads(record.value or b"")["type"] for record in found} >= {"io.driftline.watchdog"}
    assert len(found) > len([record for record in found if b"io.driftline.watchdog" in (record.value or b"")])
    assert {record.headers for record in found} == {(("content-type", b"application/cloudevents+json"),)}


def test_a_second_run_finds_nothing_to_do(expected: list[str]) -> None:
    bench = Bench(settings())
    bench.publish(STREAM)
    bench.worker("first").run()
    panes = len(bench.records(bench.settings.topics.panes))
    bench.worker("second").run()
    assert bench.alert_ids() == expected
    assert len(bench.records(bench.settings.topics.panes)) == panes


def test_work_goes_on_where_the_last_worker_stopped(expected: list[str]) -> None:
    bench = Bench(settings(idle_timeout="1000d"))  # an end of the input between two runs must not flush panes
    third = len(STREAM) // 3
    for number in range(3):
        bench.publish(STREAM[number * third : (number + 1) * third])
        worker = bench.worker(f"w{number}", bounded=False)
        while sum(sum(info.offsets.values()) for info in summarising(bench)) < (number + 1) * third:
            worker.step()
        worker.stop()
        worker.run()
    bench.worker("last").run()
    assert bench.alert_ids() == expected


def summarising(bench: Bench) -> list[TaskInfo]:
    return [info for info in bench.store.tasks("driftline") if info.task.stage == "summarise"]


class LosesReplies(MemoryStore):
    """Executes commits, and loses every third reply."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0

    def commit(self, claim: Claim, commit: Commit) -> Committed:
        answer = super().commit(claim, commit)
        self.commits += 1
        if self.commits % 3 == 0:
            raise StateUnavailable("the reply was lost")
        return answer


def test_a_lost_reply_counts_nothing_twice(expected: list[str]) -> None:
    bench = Bench(settings(checkpoint="1ms"), store=LosesReplies())
    bench.publish(STREAM)
    manual = Manual()
    drive(bench.worker(clock=manual.clock()), manual)
    assert bench.alert_ids() == expected


class DiesBeforePublishing(Worker):
    """Commits, and dies before the outbox is published."""

    def run(self) -> None:
        def die(tasks: object) -> None:
            if any(owned.unsent for owned in tasks):  # type: ignore[attr-defined]
                raise RuntimeError("killed here")

        self._checkpointer.publish = die  # type: ignore[method-assign]
        super().run()


def test_the_next_owner_publishes_what_the_last_one_left(expected: list[str]) -> None:
    bench = Bench(settings())
    bench.publish(STREAM)
    doomed = DiesBeforePublishing(
        bench.settings,
        bench.log,
        bench.store,
        monitoring(bench.settings),
        owner="doomed",
        until_caught_up=True,
        poll_s=0.01,
    )
    with pytest.raises(RuntimeError, match="killed here"):
        doomed.run()
    assert any(info.outbox for info in bench.store.tasks("driftline"))
    bench.worker("heir").run()
    assert bench.alert_ids() == expected
    assert not any(info.outbox for info in bench.store.tasks("driftline"))


def test_a_fenced_worker_drops_its_work_and_reads_on_from_what_is_stored(expected: list[str]) -> None:
    bench = Bench(settings(checkpoint="1ms"))
    bench.publish(STREAM)
    manual = Manual()
    worker = bench.worker("first", clock=manual.clock())
    for _ in range(3):
        worker.step()
    for info in bench.store.tasks("driftline"):
        bench.store.claim(info.task, "thief")
    drive(worker, manual)
    assert bench.alert_ids() == expected


def drive(worker: Worker, manual: Manual) -> None:
    """Step a bounded worker to its end, moving its clock."""
    for _ in range(20_000):
        if worker._stopping:
            break
        worker.step()
        manual.time += 0.05
    worker.run()


def test_a_store_that_went_back_makes_the_worker_read_again(expected: list[str]) -> None:
    class GoesBack(MemoryStore):
        commits = 0

        def commit(self, claim: Claim, commit: Commit) -> Committed:
            self.commits += 1
            if self.commits == 9:
                return Committed(CommitOutcome.STALE, detail="an earlier state came back")
            return super().commit(claim, commit)

    bench = Bench(settings(checkpoint="1ms"), store=GoesBack())
    bench.publish(STREAM)
    manual = Manual()
    drive(bench.worker("w", clock=manual.clock()), manual)
    assert bench.alert_ids() == expected


def test_bad_records_go_to_the_dead_letters_with_their_reason_and_place() -> None:
    bench = Bench(settings())
    bad: list[tuple[bytes, bytes, int]] = [(b"k1", b"not json", START), (b"k2", b'{"features":{}}', START)]
    good = STREAM[:100]
    bench.publish([*good[:50], *bad, *good[50:]])
    bench.worker().run()
    letters = bench.records(bench.settings.topics.dead_letters)
    assert {(letter.key, letter.value) for letter in letters} == {(key, value) for key, value, _ in bad}
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["driftline-topic"] == b"predictions"
        assert int(headers["driftline-offset"]) >= 0
        assert headers["driftline-reason"] in (b"not-json", b"missing-model")
    views = [bench.store.read(info.task, "view/progress")["view/progress"] for info in summarising(bench)]
    counted = [json.loads(view) for view in views]
    assert sum(view["consumed"] for view in counted) == 102
    assert sum(view["accepted"] for view in counted) == 100


def test_a_dead_letter_keeps_the_headers_of_its_record() -> None:
    """They may be all that leads to the service that sent it: a trace, a schema's id, the same name twice."""
    bench = Bench(settings())
    headers = (("traceparent", b"00-4bf9"), ("schema", b"\x00\xff"), ("schema", b""))
    producer = bench.log.producer()
    producer.produce(Outgoing(bench.settings.topics.main, b"k", b"not json", headers=headers))
    manual = Manual()
    drive(bench.worker(clock=manual.clock()), manual)
    (letter,) = bench.records(bench.settings.topics.dead_letters)
    assert letter.headers[: len(headers)] == headers
    assert all(name.startswith("driftline-") for name, _ in letter.headers[len(headers) :])


def test_an_idle_partition_sends_what_it_has_and_tells_how_the_clock_goes_on() -> None:
    manual = Manual()
    begun = START + 61 * MINUTE - int(manual.time * 1000)
    bench = Bench(settings(idle_timeout="60s"), store=MemoryStore(lambda: begun + int(manual.time * 1000)))
    bench.publish(STREAM[: 60 * 61])  # 61 minutes: the last pane of five minutes has one of them
    worker = bench.worker(bounded=False, clock=manual.clock())

    def wait(seconds: int) -> tuple[list[PaneRecord], list[Watermark]]:
        for _ in range(seconds):
            worker.step()
            manual.time += 1.0
        found = [decode_record(record.value or b"") for record in bench.records(bench.settings.topics.panes)]
        return [each for each in found if isinstance(each, PaneRecord)], [
            each for each in found if isinstance(each, Watermark) and each.idle
        ]

    panes, marks = wait(90)
    assert {mark.source for mark in marks} == set(range(PARTITIONS))
    assert max(pane.end for pane in panes) == START + 65 * MINUTE, "what is open leaves before its end"
    assert max(mark.time for mark in marks) < START + 63 * MINUTE, "time does not go ahead of the clock"
    later, marks = wait(300)
    assert len(later) == len(panes)
    assert max(mark.time for mark in marks) > START + 65 * MINUTE
    bench.publish(STREAM[60 * 61 : 60 * 62])
    wait(120)
    worker.stop()
    worker.run()
    views = [bench.store.read(info.task, "view/progress")["view/progress"] for info in summarising(bench)]
    assert sum(json.loads(view)["accepted"] for view in views) == 60 * 62, "in-order events are never late"
    judged = [json.loads(bench.store.read(TaskId("driftline", "judge", n), "view/")["view/incidents"]) for n in (0, 1)]
    assert sum(view["counters"]["supplements"] for view in judged) > 0
    assert sum(view["counters"]["late"] for view in judged) == 0, "their windows had not ended"


class Counting(Plain):
    """A stage of two co-partitioned inputs that counts the records of each."""

    name = "count"
    at_once = 7
    inputs: tuple[str, ...] = ("left", "right")

    def __init__(self) -> None:
        self.counts = {"left": 0, "right": 0}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        if blobs:
            self.counts = json.loads(blobs["counts"])

    def process(self, batch: Batch) -> bool:
        self.counts[batch.source.topic] += len(batch.offsets)
        return True

    def checkpoint(self) -> dict[str, bytes | None]:
        return {"counts": json.dumps(self.counts).encode()}


def test_a_task_of_two_inputs_checkpoints_both_offsets_together() -> None:
    config: Settings = settings(checkpoint="1ms")
    bench = Bench(config)
    bench.log.create_topics({"left": PARTITIONS, "right": PARTITIONS}, {})
    bench.publish(STREAM[:300], "left")
    bench.publish(STREAM[:200], "right")
    kind = StageKind("count", ("left", "right"), lambda partition: Counting())
    for owner in ("one", "two"):
        manual = Manual()
        worker = Worker(
            config,
            bench.log,
            bench.store,
            replace(monitoring(config), kinds=lambda counts: [kind]),
            owner=owner,
            clock=manual.clock(),
            poll_s=0.0,
        )
        for _ in range(30):
            worker.step()
            manual.time += 0.1
        worker.stop()
        worker.run()
        if owner == "one":
            bench.publish(STREAM[300:400], "left")
    totals = {"left": 0, "right": 0}
    for info in bench.store.tasks(config.group):
        stored = json.loads(bench.store.read(info.task, "counts")["counts"])
        for topic in totals:
            assert stored[topic] == info.offsets[topic]
            totals[topic] += stored[topic]
    assert totals == {"left": 400, "right": 200}


def test_what_moves_to_another_worker_is_checkpointed_before() -> None:
    """Its next owner then reads nothing twice, however long ago the last checkpoint was."""
    bench, first = busy_worker()
    second = bench.worker("second", bounded=False, clock=Manual().clock())
    while not first.progress.rebalances["revoked"]:
        first.step()
    moved = [info for info in summarising(bench) if f"summarise {info.task.partition}" not in first.progress.tasks]
    ends = bench.log.bounds(bench.settings.topics.main)
    assert moved
    assert all(info.offsets[bench.settings.topics.main] == ends[info.task.partition][1] for info in moved)
    for worker in (first, second):
        worker.stop()
        worker.run()


def test_a_worker_lets_go_of_what_it_lost() -> None:
    """What the group gave to others while this one did not answer is not its own to show or to commit."""
    bench, first = busy_worker()
    for member in first._consumer._consumers:  # type: ignore[attr-defined]
        member.expire()
    second = bench.worker("second", bounded=False, clock=Manual().clock())
    while len(second.progress.tasks) < PARTITIONS + 2:
        second.step()
    first.step()
    assert first.progress.rebalances["lost"] == PARTITIONS + 2
    assert first.progress.tasks == []
    first.stop()
    first.run()
    assert first.progress.restarts == {}, "it tried to commit what is not its own"
    second.stop()
    second.run()


def busy_worker() -> tuple[Bench, Worker]:
    """Return a worker that has read what is there, and whose next checkpoint is an hour away."""
    bench = Bench(settings(checkpoint="1h"))
    worker = bench.worker("first", bounded=False, clock=Manual().clock())
    for part in (STREAM[:300], STREAM[300:900]):  # the first checkpoint is due at once
        bench.publish(part)
        before = worker.progress.records
        while worker.progress.records < before + len(part):
            worker.step()
    assert sum(sum(info.offsets.values()) for info in summarising(bench)) < 900
    return bench, worker


def test_dead_letters_are_out_before_the_commit_that_passes_them() -> None:
    """A crash between the two repeats a dead letter, and never loses one."""

    class DiesAtCommit(MemoryStore):
        armed = True

        def commit(self, claim: Claim, commit: Commit) -> Committed:
            if self.armed and claim.task.stage == "summarise" and commit.offsets.get("predictions", 0) > 0:
                raise RuntimeError("killed here")
            return super().commit(claim, commit)

    store = DiesAtCommit()
    bench = Bench(settings(), store=store)
    bench.publish([(b"k", b"not json", START)])
    with pytest.raises(RuntimeError, match="killed here"):
        bench.worker("doomed").run()
    assert len(bench.records(bench.settings.topics.dead_letters)) >= 1
    store.armed = False
    bench.worker("heir").run()
    letters = bench.records(bench.settings.topics.dead_letters)
    places = {
        (dict(letter.headers)["driftline-partition"], dict(letter.headers)["driftline-offset"]) for letter in letters
    }
    assert len(places) == 1


def test_outgoing_records_survive_the_outbox() -> None:
    from driftline.runtime.outbox import decode_outgoing, encode_outgoing

    record = Outgoing("t", b"k", b"v", 3, (("h", b"x"),))
    assert decode_outgoing(encode_outgoing(record)) == record
    assert TopicPartition("t", 3) == ("t", 3)
