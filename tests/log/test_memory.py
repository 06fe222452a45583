"""What the log in memory adds: deterministic sharing, expiry and retention on demand, use from many threads."""

import itertools
from collections.abc import Mapping, Sequence
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.errors import PublishError
from driftline.log.api import Outgoing, TopicPartition
from driftline.log.memory import MemoryLog
from driftline.log.memory_group import balanced
from tests.log.members import Member, drive, fill, from_start, partitions_of

names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)


def owners(shares: Mapping[str, set[TopicPartition]]) -> dict[TopicPartition, str]:
    return {source: name for name, share in shares.items() for source in share}


@given(names, names, st.integers(0, 20), st.integers(0, 20))
def test_shares_are_even_complete_and_move_as_little_as_can_be(
    before: list[str], after: list[str], old_count: int, count: int
) -> None:
    held = balanced(before, partitions_of("t", count=old_count), {})
    partitions = partitions_of("t", count=count)
    shares = balanced(after, partitions, held)
    assert sorted(itertools.chain.from_iterable(shares.values())) == partitions
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    assert balanced(reversed(after), reversed(partitions), held) == shares
    old, new = owners(held), owners(shares)
    stayed = sum(old.get(source) == name for source, name in new.items())
    floor, extra = divmod(count, len(after))
    kept = sorted((len(held.get(name, set()) & set(partitions)) for name in after), reverse=True)
    assert stayed == sum(min(size, floor + (place < extra)) for place, size in enumerate(kept))


def test_an_expired_member_loses_everything_and_joins_again() -> None:
    log = MemoryLog()
    log.create_topics({"t": 4}, {})
    fill(log, "t")
    first, second = (Member(log, ["t"], "g", starts=from_start("t")) for _ in range(2))
    drive([first, second], lambda: len(first.owned) == len(second.owned) == 2)
    taken = sorted(first.owned)
    first.consumer.expire()  # type: ignore[attr-defined]
    drive([second], lambda: len(second.owned) == 4)
    first.poll()
    assert first.told("lost") == taken
    drive([first, second], lambda: len(first.owned) == len(second.owned) == 2)


def test_a_member_that_expired_is_told_when_it_closes() -> None:
    log = MemoryLog()
    log.create_topics({"t": 1}, {})
    member = Member(log, ["t"], "g", starts=from_start("t"))
    drive([member], lambda: bool(member.owned))
    member.consumer.expire()  # type: ignore[attr-defined]
    member.consumer.close()
    assert member.told("lost") == [TopicPartition("t", 0)]
    assert member.told("revoked") == []


def test_retention_makes_an_offset_lost() -> None:
    log = MemoryLog()
    log.create_topics({"t": 1}, {})
    fill(log, "t", partitions=1)
    source = TopicPartition("t", 0)
    log.trim(source, 4)
    member = Member(log, ["t"], "g", starts={source: 3})
    drive([member], lambda: source in member.lost)
    member.consumer.start({source: 4})
    drive([member], lambda: source in member.ended)
    assert member.offsets[source] == list(range(4, 10))
    assert member.consumer.bounds(source) == (4, 10)


def test_the_clock_stamps_records_without_a_timestamp() -> None:
    log = MemoryLog(clock=lambda: 42)
    log.create_topics({"t": 1}, {})
    producer = log.producer()
    producer.produce(Outgoing("t", None, b"a"))
    producer.produce(Outgoing("t", None, b"b", timestamp=7))
    assert [stamp for _, _, stamp, _ in log.read("t").poll(0)] == [42, 7]


def test_records_without_a_key_take_turns() -> None:
    log = MemoryLog()
    log.create_topics({"t": 4}, {})
    producer = log.producer()
    for _ in range(8):
        producer.produce(Outgoing("t", None, b"a"))
    assert sorted(source.partition for source, _, _, _ in log.read("t").poll(0)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_unknown_topic_is_a_publish_error() -> None:
    with pytest.raises(PublishError, match="topic nowhere does not exist"):
        MemoryLog().producer().produce(Outgoing("nowhere", b"k", b"v"))


def test_what_was_reported_can_be_seen() -> None:
    log = MemoryLog()
    log.create_topics({"t": 1}, {})
    member = Member(log, ["t"], "g")
    member.consumer.report({TopicPartition("t", 0): 5})
    assert log.reported("g") == {TopicPartition("t", 0): 5}
    assert log.reported("nobody") == {}


def test_a_waiting_poll_wakes_for_a_record_and_threads_lose_nothing() -> None:
    log = MemoryLog()
    log.create_topics({"t": 4}, {})
    member = Member(log, ["t"], "g", starts=from_start("t"))
    drive([member], lambda: len(member.ended) == 4)

    def write(keys: Sequence[int]) -> None:
        producer = log.producer()
        for key in keys:
            producer.produce(Outgoing("t", str(key).encode(), b"v"))

    threads = [Thread(target=write, args=(range(start, 2_000, 4),)) for start in range(4)]
    for thread in threads:
        thread.start()
    while sum(map(len, member.offsets.values())) < 2_000:
        assert member.poll(timeout_s=20).batches, "slept through a record"
    for thread in threads:
        thread.join()
    assert all(offsets == list(range(len(offsets))) for offsets in member.offsets.values())
