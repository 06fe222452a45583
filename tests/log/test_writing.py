"""Producers, topics and readers: the same for every log."""

import time
from binascii import crc32

import pytest

from driftline.errors import PublishError, TopicError
from driftline.log.api import APPEND_TIME, COPIES, CREATE_TIME, IN_SYNC, STAMPED_BY, Outgoing, TopicPartition
from tests.log.conftest import Backend
from tests.log.members import fill


def read_all(backend: Backend, topic: str) -> list[tuple[TopicPartition, int, bytes | None]]:
    reader = backend.log.read(topic)
    records = []
    while not reader.at_end:
        records += [(source, offset, record.value) for source, offset, _, record in reader.poll(1.0)]
    reader.close()
    return records


def test_a_key_chooses_the_same_partition_in_every_log(any_backend: Backend) -> None:
    topic = any_backend.topic("keys")
    producer = any_backend.log.producer()
    keys = [f"p-{number}" for number in range(100)] + ["é", "x" * 300]
    for key in keys:
        producer.produce(Outgoing(topic, key.encode(), key.encode()))
    producer.flush(20)
    found = {value: source.partition for source, _, value in read_all(any_backend, topic)}
    assert found == {key.encode(): crc32(key.encode()) % 4 for key in keys}


def test_a_record_too_large_is_refused_at_once(any_backend: Backend) -> None:
    topic = any_backend.topic("large")
    producer = any_backend.log.producer()
    with pytest.raises(PublishError, match=rf"topic {topic}.*2,000,00\d bytes") as caught:
        producer.produce(Outgoing(topic, b"key", b"x" * 2_000_000))
    assert (caught.value.topic, caught.value.partition, caught.value.key) == (topic, None, b"key")
    producer.produce(Outgoing(topic, b"key", b"small"))
    producer.flush(20)
    assert [value for _, _, value in read_all(any_backend, topic)] == [b"small"]


def test_a_partition_that_does_not_exist_is_an_error(any_backend: Backend) -> None:
    topic = any_backend.topic("narrow")
    with pytest.raises(PublishError, match=topic) as caught:
        produce_and_flush(any_backend, Outgoing(topic, b"key", b"value", partition=77))
    assert (caught.value.topic, caught.value.partition, caught.value.key) == (topic, 77, b"key")


def produce_and_flush(backend: Backend, record: Outgoing) -> None:
    producer = backend.log.producer()
    producer.produce(record)
    producer.flush(20)


def test_topics_are_created_once_and_counted(any_backend: Backend) -> None:
    topic = any_backend.topic("counted")
    fill(any_backend.log, topic, each=1)
    any_backend.log.create_topics({topic: 4}, {topic: {"retention.ms": "1000"}})
    assert any_backend.log.partition_counts([topic, "no-such-topic-anywhere"]) == {topic: 4}
    assert len(read_all(any_backend, topic)) == 4


def test_a_topic_that_cannot_be_made_as_asked_is_an_error(any_backend: Backend) -> None:
    with pytest.raises(TopicError, match="partitions"):
        any_backend.log.create_topics({f"wrong-{any_backend.tag}": 0}, {})


def test_a_reader_sees_all_records_and_then_ends(any_backend: Backend) -> None:
    topic = any_backend.topic("read")
    assert any_backend.log.read(topic).at_end
    fill(any_backend.log, topic, each=100)
    records = read_all(any_backend, topic)
    assert sorted(records) == [
        (TopicPartition(topic, number), offset, f"{topic}/{number}/{offset}".encode())
        for number in range(4)
        for offset in range(100)
    ]


@pytest.mark.parametrize("each", [10, 11])
def test_a_reader_sees_the_last_record_however_little_a_poll_brings(
    each: int, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftline.log.kafka_reader.MAX_MESSAGES", 1)  # two records a poll
    topic = backend.topic("bits")
    fill(backend.log, topic, partitions=1, each=each)
    assert [offset for _, offset, _ in read_all(backend, topic)] == list(range(each))


def test_a_reader_stops_at_its_end_unless_it_follows(any_backend: Backend) -> None:
    topic = any_backend.topic("followed")
    fill(any_backend.log, topic, each=1)
    bounded, following = any_backend.log.read(topic), any_backend.log.read(topic, follow=True)
    while not (bounded.at_end and following.at_end):
        bounded.poll(0.1)
        following.poll(0.1)
    fill(any_backend.log, topic, each=1)
    seen = 0
    while seen < 4:
        seen += len(following.poll(1.0))
    assert bounded.poll(0.1) == []
    bounded.close()
    following.close()


def test_a_reader_of_a_missing_topic_is_refused(any_backend: Backend) -> None:
    with pytest.raises(TopicError, match=f"missing-{any_backend.tag} does not exist"):
        any_backend.log.read(f"missing-{any_backend.tag}")


def test_the_log_tells_the_bounds_of_all_partitions(any_backend: Backend) -> None:
    topic = any_backend.topic("bounds")
    fill(any_backend.log, topic, partitions=3, each=7)
    assert any_backend.log.bounds(topic) == {0: (0, 7), 1: (0, 7), 2: (0, 7), 3: (0, 0)}
    with pytest.raises(TopicError, match="does not exist"):
        any_backend.log.bounds(f"{topic}-not")


def test_a_topic_has_an_id_of_its_own_where_the_log_tells_one(any_backend: Backend) -> None:
    topics = [any_backend.topic("one"), any_backend.topic("another")]
    ids = any_backend.log.topic_ids([*topics, "no-such-topic-anywhere"])
    if any_backend.name == "embedded":
        assert ids == {}
        return
    assert sorted(ids) == sorted(topics)
    assert len(set(ids.values())) == 2
    assert any_backend.log.topic_ids(topics) == ids
    assert any_backend.log.topic_ids([]) == {}


def test_a_topic_that_is_created_anew_has_another_id(backend: Backend) -> None:
    topic = backend.topic("anew")
    fill(backend.log, topic, each=3)
    before = backend.log.topic_ids([topic])
    backend.delete(topic)
    assert backend.log.topic_ids([topic]) == {}
    backend.log.create_topics({topic: 4}, {})
    assert backend.log.topic_ids([topic]) != before
    assert backend.log.bounds(topic)[0] == (0, 0)


def test_the_settings_of_topics_are_told(any_backend: Backend) -> None:
    topic = any_backend.topic("told")
    found = any_backend.log.topic_settings([topic, f"{topic}-missing"])
    assert list(found) == [topic]
    assert {name: found[topic][name] for name in (COPIES, IN_SYNC, STAMPED_BY)} == {
        COPIES: "1",
        IN_SYNC: "1",
        STAMPED_BY: CREATE_TIME,
    }


def test_who_stamps_records_is_chosen_when_a_topic_is_created_and_changed_later(backend: Backend) -> None:
    created, changed = f"created-{backend.tag}", backend.topic("changed")
    backend.log.create_topics({created: 4}, {created: {STAMPED_BY: APPEND_TIME}})
    before = time.time_ns() // 1_000_000 - 60_000
    for topic in (created, changed):
        fill(backend.log, topic, each=1)
    backend.log.change_topics({changed: {STAMPED_BY: APPEND_TIME}})

    found = backend.log.topic_settings([created, changed])
    assert {topic: own[STAMPED_BY] for topic, own in found.items()} == dict.fromkeys((created, changed), APPEND_TIME)
    for topic in (created, changed):
        produce_and_flush(backend, Outgoing(topic, b"key", b"old", 0, timestamp=1_000))
    assert all(stamp > before for stamp in stamps(backend, created))
    assert min(stamps(backend, changed)) > before


def stamps(backend: Backend, topic: str) -> list[int]:
    """Return the timestamps of the records that say that they are old."""
    reader = backend.log.read(topic)
    found = []
    while not reader.at_end:
        found += [stamp for _, _, stamp, record in reader.poll(1.0) if record.value == b"old"]
    reader.close()
    assert found
    return found


def test_a_change_that_cannot_be_made_is_an_error_that_names_the_topic(any_backend: Backend) -> None:
    with pytest.raises(TopicError, match=f"missing-{any_backend.tag}"):
        any_backend.log.change_topics({f"missing-{any_backend.tag}": {STAMPED_BY: APPEND_TIME}})
