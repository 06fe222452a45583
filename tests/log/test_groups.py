"""How partitions move between members: the same for every log."""

from collections.abc import Sequence

import pytest

from driftline.log.api import TopicPartition
from tests.log.conftest import Backend
from tests.log.members import Member, drive, fill, from_start, partitions_of


def test_members_share_without_overlap_and_close_hands_over(backend: Backend) -> None:
    topic = backend.topic("shared")
    fill(backend.log, topic)
    everything = set(partitions_of(topic))
    first = backend.member(topic, starts=from_start(topic))
    drive([first], lambda: len(first.ended) == 4)
    second = backend.member(topic, starts=from_start(topic))
    drive([first, second], lambda: len(first.owned) == len(second.owned) == 2)
    assert first.owned | second.owned == everything
    assert set(first.told("revoked")) == second.owned
    drive([first, second], lambda: second.owned <= second.ended)
    second.consumer.close()
    assert set(second.told("revoked")) == everything - first.owned
    drive([first], lambda: first.owned == everything)
    assert first.told("lost") == second.told("lost") == []


def test_records_stop_at_the_revocation(backend: Backend) -> None:
    topic = backend.topic("handover")
    fill(backend.log, topic, each=500)
    handed: dict[TopicPartition, int] = from_start(topic)

    class Giver(Member):
        def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
            for source in partitions:
                handed[source] = self.offsets[source][-1] + 1 if self.offsets[source] else 0
            super().on_revoked(partitions)

    first = Giver(backend.log, [topic], f"group-{backend.tag}", starts=handed)
    backend.members.append(first)
    drive([first], lambda: len(first.owned) == 4)
    second = backend.member(topic, starts=handed)
    while not second.owned:  # the first is in the middle of its partitions when they go
        first.poll(max_records=5, timeout_s=0.02)
        second.poll()
    drive([first, second], lambda: first.owned <= first.ended and second.owned <= second.ended)
    for source in partitions_of(topic):
        assert first.offsets[source] + second.offsets[source] == list(range(500))


def test_followers_move_with_the_partitions_they_follow(any_backend: Backend) -> None:
    predictions, labels = any_backend.topic("predictions"), any_backend.topic("labels")
    fill(any_backend.log, predictions)
    fill(any_backend.log, labels, each=5)
    everything = set(partitions_of(predictions, labels))
    follow = {predictions: [labels]}
    starts = from_start(predictions, labels)
    first = any_backend.member(predictions, follow=follow, starts=starts)
    drive([first], lambda: first.ended == everything)
    assert all(len(first.offsets[source]) == (10 if source.topic == predictions else 5) for source in everything)
    second = any_backend.member(predictions, follow=follow, starts=starts)
    drive([first, second], lambda: len(first.owned) == len(second.owned) == 4 and second.owned <= second.ended)
    for member in (first, second):
        numbers = {source.partition for source in member.owned}
        assert member.owned == {TopicPartition(topic, n) for topic in (predictions, labels) for n in numbers}
    assert all("labels" in {source.topic.split("-")[0] for source in partitions} for _, partitions in first.events)
    fill(any_backend.log, labels, each=5)
    both = [first, second]
    drive(both, lambda: all(len(m.offsets[source]) == 10 for m in both for source in m.owned))
    second.consumer.close()
    drive([first], lambda: first.owned == everything)


def test_close_tells_the_listener_once(backend: Backend) -> None:
    topic = backend.topic("closing")
    member = backend.member(topic, starts=from_start(topic))
    drive([member], lambda: len(member.ended) == 4)
    member.consumer.close()
    member.consumer.close()
    assert member.told("revoked") == partitions_of(topic)


def test_what_a_listener_raises_comes_out_of_close(backend: Backend) -> None:
    topic = backend.topic("closing-badly")

    class Faulty(Member):
        def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
            super().on_revoked(partitions)
            raise ZeroDivisionError("in the listener")

    member = Faulty(backend.log, [topic], f"group-{backend.tag}", starts=from_start(topic))
    drive([member], lambda: len(member.ended) == 4)
    with pytest.raises(ZeroDivisionError):
        member.consumer.close()
    assert member.told("revoked") == partitions_of(topic)
    other = backend.member(topic)
    drive([other], lambda: len(other.owned) == 4)
