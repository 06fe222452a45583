"""What a member reads, and from where: the same for every log."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import pytest

from driftline.errors import TopicError
from driftline.log.api import APPEND_TIME, CREATE_TIME, STAMPED_BY, Outgoing, TopicPartition
from tests.log.conftest import Backend
from tests.log.members import Member, drive, fill, from_start, partitions_of


def joined(backend: Backend, topic: str) -> Member:
    """Return a member that owns all four partitions and has started none."""
    member = backend.member(topic)
    drive([member], lambda: len(member.owned) == 4)
    return member


def test_nothing_is_fetched_before_start(backend: Backend) -> None:
    topic = backend.topic("quiet")
    fill(backend.log, topic)
    member = joined(backend, topic)
    for _ in range(10):
        member.poll()
    assert member.offsets == {}
    assert member.ended == set()


def test_reads_from_the_start_offset_to_the_end(any_backend: Backend) -> None:
    topic = any_backend.topic("own-offsets")
    fill(any_backend.log, topic)
    member = joined(any_backend, topic)
    starts = dict(zip(partitions_of(topic), [0, 3, 9, 10], strict=True))
    member.consumer.start(starts)
    drive([member], lambda: len(member.ended) == 4)
    assert {source: member.offsets[source] for source in starts} == {
        source: list(range(start, 10)) for source, start in starts.items()
    }


def test_what_was_reported_does_not_decide_where_to_start(backend: Backend) -> None:
    topic = backend.topic("reported")
    fill(backend.log, topic)
    first = joined(backend, topic)
    first.consumer.report(dict.fromkeys(partitions_of(topic), 7))
    first.consumer.close()
    second = joined(backend, topic)
    second.consumer.start(dict.fromkeys(partitions_of(topic), 2))
    drive([second], lambda: len(second.ended) == 4)
    assert all(second.offsets[source] == list(range(2, 10)) for source in partitions_of(topic))


@pytest.mark.parametrize("again", [5, 1_500])
def test_a_second_start_returns_nothing_fetched_before_it(backend: Backend, again: int) -> None:
    topic = backend.topic("restart")
    fill(backend.log, topic, partitions=2, each=2_000)
    member = joined(backend, topic)
    sources = partitions_of(topic, count=2)
    member.consumer.start(dict.fromkeys(sources, 0))
    drive([member], lambda: any(member.offsets.values()))  # by now the client has fetched far ahead
    member.poll(max_records=10)
    for _ in range(3):
        member.offsets.clear()
        member.ended.clear()
        member.consumer.start(dict.fromkeys(sources, again))
        member.poll(max_records=10)
        drive([member], lambda: all(member.offsets[source] for source in sources))
        assert all(member.offsets[source][0] == again for source in sources)
    drive([member], lambda: set(sources) <= member.ended)
    assert all(member.offsets[source] == list(range(again, 2_000)) for source in sources)


def test_stop_and_pause_hold_records_back(backend: Backend) -> None:
    topic = backend.topic("hold")
    fill(backend.log, topic)
    stopped, paused, running, _ = partitions_of(topic)
    member = joined(backend, topic)
    member.consumer.start({stopped: 0, paused: 0, running: 0})
    drive([member], lambda: len(member.ended) == 3)
    member.consumer.stop([stopped])
    member.consumer.pause([paused])
    fill(backend.log, topic)
    drive([member], lambda: len(member.offsets[running]) == 20)
    for _ in range(5):
        member.poll()
    assert member.offsets[stopped] == member.offsets[paused] == list(range(10))
    member.consumer.resume([paused])
    member.consumer.start({stopped: 4})
    drive([member], lambda: len(member.offsets[paused]) == 20 and len(member.offsets[stopped]) == 26)
    assert member.offsets[paused] == list(range(20))
    assert member.offsets[stopped] == [*range(10), *range(4, 20)]


def test_start_forgets_a_pause(backend: Backend) -> None:
    topic = backend.topic("start-paused")
    fill(backend.log, topic)
    source = partitions_of(topic)[0]
    member = joined(backend, topic)
    member.consumer.start({source: 0})
    member.consumer.pause([source])
    member.consumer.start({source: 6})
    drive([member], lambda: source in member.ended)
    assert member.offsets[source] == [6, 7, 8, 9]


def test_a_batch_holds_records_whole(any_backend: Backend) -> None:
    topic = any_backend.topic("columns")
    source = TopicPartition(topic, 1)
    headers = (("a", b"1"), ("a", b"2"), ("empty", b""))
    producer = any_backend.log.producer()
    producer.produce(Outgoing(topic, b"k", b"v", partition=1, headers=headers, timestamp=1_700_000_000_123))
    producer.produce(Outgoing(topic, None, None, partition=1, timestamp=1_700_000_000_124))
    producer.produce(Outgoing(topic, b"e", b"", partition=1))
    producer.flush(20)
    member = joined(any_backend, topic)
    member.consumer.start({source: 0})
    values: list[bytes | None] = []
    timestamps: list[int] = []
    records = []
    while len(values) < 3:
        for batch in member.poll().batches:
            assert batch.source == source
            assert len(batch.values) == len(batch.offsets) == len(batch.timestamps)
            values += batch.values
            timestamps += batch.timestamps
            records += [batch.record(index) for index in range(len(batch.values))]
            assert [record.headers for record in records[-len(batch.values) :]] == list(batch.headers())
    assert values == [b"v", None, b""]
    assert timestamps[:2] == [1_700_000_000_123, 1_700_000_000_124]
    assert timestamps[2] > 1_700_000_000_124
    assert records == [(b"k", b"v", headers), (None, None, ()), (b"e", b"", ())]


def test_a_batch_holds_records_whose_timestamps_were_all_written_by_one(backend: Backend) -> None:
    """The setting of a topic may change, and what it holds by then stays as it was."""
    topic = backend.topic("stamped")
    source = TopicPartition(topic, 1)
    producer = backend.log.producer()
    for stamped_by in (CREATE_TIME, APPEND_TIME, CREATE_TIME):
        backend.log.change_topics({topic: {STAMPED_BY: stamped_by}})
        while True:  # brokers take a moment
            producer.produce(Outgoing(topic, None, stamped_by.encode(), partition=1, timestamp=1_000))
            producer.flush(20)
            if (_newest_stamp(backend, topic) == 1_000) == (stamped_by == CREATE_TIME):
                break
    member = joined(backend, topic)
    member.consumer.start({source: 0})
    found: list[tuple[bool, list[int]]] = []
    while sum(len(stamps) for _, stamps in found) < backend.log.bounds(topic)[1][1]:
        found += [(batch.stamped_by_log, list(batch.timestamps)) for batch in member.poll().batches]
    for stamped_by_log, stamps in found:
        assert {stamp == 1_000 for stamp in stamps} == {not stamped_by_log}
    kinds = [kind for kind, _ in groupby(found, key=itemgetter(0))]
    assert kinds == [False, True, False]


def _newest_stamp(backend: Backend, topic: str) -> int:
    reader = backend.log.read(topic)
    stamps = []
    while not reader.at_end:
        stamps += [stamp for _, _, stamp, _ in reader.poll(1.0)]
    reader.close()
    return stamps[-1]


def test_a_poll_brings_at_most_so_many_records(backend: Backend) -> None:
    topic = backend.topic("limit")
    fill(backend.log, topic, each=50)
    member = joined(backend, topic)
    member.consumer.start(from_start(topic))
    seen = 0
    while seen < 200:
        count = sum(len(batch.values) for batch in member.poll(max_records=7).batches)
        assert count <= 7
        seen += count
    assert all(member.offsets[source] == list(range(50)) for source in partitions_of(topic))


def test_the_end_is_told_after_the_records_and_again_after_more(backend: Backend) -> None:
    topic = backend.topic("ends")
    source = TopicPartition(topic, 0)
    member = joined(backend, topic)
    member.consumer.start({source: 0})
    drive([member], lambda: source in member.ended)  # an empty partition is at its end, too
    for round_ in (1, 2):
        member.ended.clear()
        fill(backend.log, topic, partitions=1)
        drive([member], lambda: source in member.ended and len(member.offsets[source]) > (round_ - 1) * 10)  # noqa: B023
        assert member.offsets[source] == list(range(round_ * 10))


def test_an_offset_outside_the_log_is_told_and_stops_that_partition_alone(backend: Backend) -> None:
    topic = backend.topic("lost-offset")
    fill(backend.log, topic)
    gone, fine = partitions_of(topic)[:2]
    member = joined(backend, topic)
    member.consumer.start({gone: 12_345, fine: 0})
    drive([member], lambda: member.lost == {gone} and fine in member.ended)
    assert member.offsets == {fine: list(range(10))}
    member.consumer.start({gone: 8})
    drive([member], lambda: gone in member.ended)
    assert member.offsets[gone] == [8, 9]


def test_a_missing_topic_is_named(backend: Backend) -> None:
    member = backend.member(f"nowhere-{backend.tag}")
    with pytest.raises(TopicError, match=f"nowhere-{backend.tag} does not exist") as caught:
        drive([member], lambda: False)
    assert caught.value.topic == f"nowhere-{backend.tag}"
    assert backend.log.partition_counts([f"nowhere-{backend.tag}"]) == {}


def test_lag_and_bounds(backend: Backend) -> None:
    topic = backend.topic("lag")
    fill(backend.log, topic)
    source = TopicPartition(topic, 0)
    member = joined(backend, topic)
    assert member.consumer.lag(source, 0) is None
    member.consumer.start({source: 4})
    drive([member], lambda: source in member.ended)
    assert member.consumer.lag(source, 4) == 6
    assert member.consumer.lag(source, 10) == 0
    assert member.consumer.bounds(source) == (0, 10)


def test_start_refuses_what_is_no_offset_and_leaves_out_what_is_not_ours(backend: Backend) -> None:
    topic = backend.topic("foreign")
    fill(backend.log, topic)
    member = joined(backend, topic)
    with pytest.raises(ValueError, match="-1 is not an offset"):
        member.consumer.start({TopicPartition(topic, 0): -1})
    member.consumer.start({TopicPartition(topic, 99): 0, TopicPartition(topic, 1): 0})
    drive([member], lambda: bool(member.ended))
    assert list(member.offsets) == [TopicPartition(topic, 1)]


class Faulty(Member):
    """Raises where the contract says it must not."""

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        super().on_assigned(partitions)
        raise ZeroDivisionError("in the listener")


class Hasty(Member):
    """Starts from inside the callback."""

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        super().on_assigned(partitions)
        self.consumer.start(dict.fromkeys(partitions, 0))


@pytest.mark.parametrize(("kind", "expected"), [(Faulty, ZeroDivisionError), (Hasty, RuntimeError)])
def test_what_a_listener_raises_comes_out_of_poll(
    backend: Backend, kind: type[Member], expected: type[Exception]
) -> None:
    topic = backend.topic("faulty")
    fill(backend.log, topic)
    member = kind(backend.log, [topic], f"group-{backend.tag}")
    backend.members.append(member)
    with pytest.raises(expected):
        drive([member], lambda: False)
    for _ in range(10):
        member.poll()
    assert member.offsets == {}, "fetched from an offset that nobody chose"
    member.consumer.start(from_start(topic))
    drive([member], lambda: len(member.ended) == 4)
    assert all(member.offsets[source] == list(range(10)) for source in partitions_of(topic))
