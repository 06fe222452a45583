"""Each stage has a group of its own, and the worker sees one consumer."""

from collections.abc import Sequence

import pytest

from driftline.errors import TopicError
from driftline.log.api import TopicPartition
from driftline.runtime.members import Members
from driftline.runtime.stage import StageKind
from tests.runtime.streams import PARTITIONS, Bench, settings
from tests.runtime.test_worker import STREAM, Counting


class Nobody:
    def __init__(self) -> None:
        self.assigned: list[TopicPartition] = []

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.assigned.extend(partitions)

    def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        pass

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        pass


def test_every_stage_spreads_over_all_workers() -> None:
    """Of two workers each owns partitions of both stages, which one group for both did not promise."""
    bench = Bench(settings())
    bench.log.create_topics({"left": 4, "right": 4}, {})
    kinds = [StageKind(topic, (topic,), lambda partition: Counting()) for topic in ("left", "right")]
    listeners = (Nobody(), Nobody())
    workers = [Members(bench.log, "g", kinds, listener) for listener in listeners]
    for _ in range(20):
        for worker in workers:
            worker.poll(10, 0.0)
    for worker in workers:
        worker.close()
    assert sum(len(listener.assigned) for listener in listeners) >= 8
    for listener in listeners:
        assert {partition.topic for partition in listener.assigned} == {"left", "right"}


def test_bounds_can_be_asked_of_a_topic_that_no_stage_reads() -> None:
    bench = Bench(settings())
    bench.log.create_topics({"left": PARTITIONS, "other": PARTITIONS}, {})
    bench.publish(STREAM[:30], "other")
    members = Members(bench.log, "g", [StageKind("left", ("left",), lambda partition: Counting())], Nobody())
    ends = [members.bounds(TopicPartition("other", number))[1] for number in range(PARTITIONS)]
    members.close()
    assert sum(ends) == 30


def test_what_one_member_has_fetched_is_not_lost_where_the_other_fails() -> None:
    """Its position is beyond these records: were they not returned, the next ones would come, and nobody would know."""
    bench = Bench(settings())
    bench.log.create_topics({"left": 1, "right": 1}, {})
    bench.publish(STREAM[:5], "left")
    bench.publish(STREAM[:5], "right")
    kinds = [StageKind(topic, (topic,), lambda partition: Counting()) for topic in ("left", "right")]
    members = Members(bench.log, "g", kinds, Nobody())
    members.poll(10, 0.0)
    sources = [TopicPartition("left", 0), TopicPartition("right", 0)]
    members.start(dict.fromkeys(sources, 0))
    bench.log.delete_topic("right")
    polled = members.poll(10, 0.0)
    assert [(batch.source, list(batch.offsets)) for batch in polled.batches] == [(sources[0], [0, 1, 2, 3, 4])]
    with pytest.raises(TopicError, match="right"):
        members.poll(10, 0.0)
    members.close()


def test_every_member_tells_which_offsets_are_lost() -> None:
    bench = Bench(settings())
    bench.log.create_topics({"left": 1, "right": 1}, {})
    kinds = [StageKind(topic, (topic,), lambda partition: Counting()) for topic in ("left", "right")]
    members = Members(bench.log, "g", kinds, Nobody())
    members.poll(10, 0.0)
    sources = [TopicPartition("left", 0), TopicPartition("right", 0)]
    members.start(dict.fromkeys(sources, 7))
    assert members.poll(10, 0.0).lost == set(sources)
    members.close()
