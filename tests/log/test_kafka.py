"""What only a real Kafka does: refusals, outages, lost sessions, control records, retention."""

import logging
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from driftline.errors import ConfigError, DeliveryPending, LogUnavailable, PublishError
from driftline.log.api import Outgoing, TopicPartition
from driftline.log.kafka import KafkaLog
from driftline.log.kafka_producer import KafkaProducer
from driftline.log.kafka_settings import OWNED
from driftline.sandbox import Kafka
from tests.log.members import Member, drive, fill, from_start, partitions_of

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize("key", sorted(OWNED))
def test_settings_that_the_engine_owns_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"kafka.{key} is set by Driftline.*remove it"):
        KafkaLog({"bootstrap.servers": NOWHERE, key: "x"})


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"fetch\.wait\.mäx"):
        KafkaLog({"bootstrap.servers": NOWHERE, "fetch.wait.mäx": 1})


def test_no_brokers_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap\.servers is missing"):
        KafkaLog({"client.id": "me"})


def test_an_unreachable_kafka_is_ridden_out_by_members_and_told_to_askers(
    members: list[Member], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftline.log.kafka.ASK_S", 1.0)
    nowhere: dict[str, str | int | float | bool] = {"bootstrap.servers": NOWHERE, "reconnect.backoff.max.ms": 100}
    log = KafkaLog({**nowhere, "message.timeout.ms": 500})
    members.append(Member(log, ["topic"], "group"))
    caplog.set_level(logging.INFO, logger="driftline.log")
    drive(members, lambda: bool(caplog.records))
    for _ in range(30):
        members[0].poll()
    (told,) = caplog.records
    assert "Kafka does not answer; retrying" in told.getMessage()
    service = KafkaProducer({**nowhere, "message.timeout.ms": 500})
    service.produce(Outgoing("topic", b"key", b"value"))
    with pytest.raises(PublishError, match=r"topic topic.*'key'.*timed out.*brokers are up"):
        service.flush(20)
    engine = log.producer()  # gives no record up, whatever the time-out of this user
    engine.produce(Outgoing("topic", b"key", b"value"))
    with pytest.raises(DeliveryPending, match="1 records are not delivered after 2 s and are still retried"):
        engine.flush(2)
    service.close()
    engine.close()
    with pytest.raises(LogUnavailable, match=r"bootstrap\.servers"):
        log.partition_counts(["topic"])


def test_librdkafka_speaks_through_logging_without_complaints_about_the_other_clients_settings(
    kafka: Kafka, make_topics: Callable[..., str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    topic = make_topics("logging")
    mixed: dict[str, str | int | float | bool] = {"linger.ms": 1, "fetch.wait.max.ms": 50, "log.connection.close": True}
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap, **mixed})
    fill(log, topic, partitions=1)
    reader = log.read(topic)
    while not reader.at_end:
        reader.poll(0.1)
    reader.close()
    assert capfd.readouterr().err == ""
    assert "will be ignored" not in caplog.text


def test_a_member_that_stopped_polling_is_told_that_its_partitions_are_lost(
    kafka: Kafka, make_topics: Callable[..., str], members: list[Member], unique_name: str
) -> None:
    topic = make_topics("lost", partitions=4)
    quick = {"session.timeout.ms": 6_000, "max.poll.interval.ms": 6_000, "heartbeat.interval.ms": 200}
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap, **quick})
    fill(log, topic)
    stuck = Member(log, [topic], unique_name, starts=from_start(topic))
    members.append(stuck)
    drive([stuck], lambda: len(stuck.ended) == 4)
    other = Member(log, [topic], unique_name, starts=from_start(topic))
    members.append(other)
    drive([other], lambda: len(other.owned) == 4)  # `stuck` does not poll
    fill(log, topic)
    stuck.offsets.clear()
    stuck.starts = None
    drive([stuck, other], lambda: bool(stuck.told("lost")))
    # What was to be handed over in order when `stuck` fell silent is told as revoked, only too late.
    assert sorted(stuck.told("lost") + stuck.told("revoked")) == partitions_of(topic)
    assert stuck.offsets == {}
    drive([stuck, other], lambda: len(stuck.owned) == 2)  # and it is let in again


class InOneCall:
    """Gathers what a member's client brings until it is `enough`, and gives it to the member in one call."""

    def __init__(self, member: Member, enough: Callable[[list[Message]], bool]) -> None:
        self.brought: list[Message] = []
        self._enough = enough
        self._consume = member.consumer._consume  # type: ignore[attr-defined]
        member.consumer._consume = self.consume  # type: ignore[attr-defined]

    def consume(self, max_records: int, timeout_s: float) -> list[Message]:
        del max_records
        gathering = not self._enough(self.brought)
        if gathering:
            self.brought += self._consume(1, timeout_s)
        return self.brought if gathering and self._enough(self.brought) else []


def test_records_of_a_partition_that_was_taken_away_in_the_same_call_are_not_handed_out(
    kafka: Kafka, make_topics: Callable[..., str], members: list[Member], unique_name: str
) -> None:
    """Its next owner reads them: it was told how far this one came before they were there."""
    topic = make_topics("taken", partitions=4)
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap, "heartbeat.interval.ms": 200})
    fill(log, topic)
    first = Member(log, [topic], unique_name, starts=from_start(topic))
    members.append(first)
    drive([first], lambda: len(first.owned) == 4)

    def records(brought: list[Message]) -> set[TopicPartition]:
        return {TopicPartition(str(each.topic()), each.partition() or 0) for each in brought if not each.error()}

    call = InOneCall(first, lambda brought: len(brought) >= 40 and bool(first.told("revoked")))
    drive([first], lambda: len(records(call.brought)) == 4 and len(call.brought) >= 40)
    members.append(Member(log, [topic], unique_name))
    drive(members, lambda: bool(first.offsets))
    assert records(call.brought) == set(partitions_of(topic))
    assert set(first.offsets) == first.owned
    assert len(first.owned) == 2


def test_an_end_is_not_told_where_records_behind_it_came_in_the_same_call(
    kafka: Kafka, make_topics: Callable[..., str], members: list[Member], unique_name: str
) -> None:
    topic = make_topics("grown", partitions=1)
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap, "fetch.wait.max.ms": 20})
    fill(log, topic, partitions=1)
    source = TopicPartition(topic, 0)
    member = Member(log, [topic], unique_name, starts={source: 0})
    members.append(member)
    call = InOneCall(member, lambda brought: sum(not each.error() for each in brought) == 20)
    drive([member], lambda: any(each.error() for each in call.brought))
    fill(log, topic, partitions=1)
    drive([member], lambda: bool(member.offsets))
    assert member.offsets[source] == list(range(20))
    assert member.ended == set()


def test_control_records_do_not_hide_the_end(
    kafka: Kafka, make_topics: Callable[..., str], members: list[Member], unique_name: str
) -> None:
    topic = make_topics("transactions")
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": unique_name})
    writer.init_transactions(20)
    for commit in (True, False, True, False):
        writer.begin_transaction()
        writer.produce(topic, str(commit).encode())
        writer.flush(20)
        writer.commit_transaction(20) if commit else writer.abort_transaction(20)
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    source = TopicPartition(topic, 0)
    member = Member(log, [topic], unique_name, starts={source: 0})
    members.append(member)
    drive([member], lambda: source in member.ended)
    assert member.offsets[source] == [0, 4]
    assert member.consumer.bounds(source) == (0, 8)
    reader = log.read(topic)
    values = []
    while not reader.at_end:
        values += [record.value for _, _, _, record in reader.poll(0.1)]
    reader.close()
    assert values == [b"True", b"True"]


def test_what_retention_took_is_an_offset_lost(
    kafka: Kafka, make_topics: Callable[..., str], members: list[Member], unique_name: str
) -> None:
    topic = make_topics("retention")
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    fill(log, topic, partitions=1)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for done in admin.delete_records([KafkaPartition(topic, 0, 6)]).values():
        done.result(20)
    member = Member(log, [topic], unique_name, starts=from_start(topic))
    members.append(member)
    drive([member], lambda: TopicPartition(topic, 0) in member.lost)
    assert member.offsets == {}
    assert member.consumer.bounds(TopicPartition(topic, 0)) == (6, 10)


def test_reported_offsets_are_for_all_to_see(
    kafka: Kafka, make_topics: Callable[..., str], members: list[Member], unique_name: str
) -> None:
    topic, labels = make_topics("reported", partitions=4), make_topics("followers", partitions=4)
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    member = Member(log, [topic], unique_name, follow={topic: [labels]})
    members.append(member)
    drive([member], lambda: len(member.owned) == 8)
    wanted = {source: 5 + source.partition for source in member.owned}
    member.consumer.report(wanted)
    asked = [KafkaPartition(*source) for source in wanted]

    def committed() -> dict[TopicPartition, int]:
        found = member.consumer._client.committed(asked, timeout=10)  # type: ignore[attr-defined]
        return {TopicPartition(place.topic, place.partition): place.offset for place in found}

    drive([member], lambda: committed() == wanted)


def test_a_refused_record_ends_the_engines_producer_and_nothing_behind_it_is_written(
    kafka: Kafka, make_topics: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """The client raises from inside its callbacks then: they must neither hang nor lose the reason."""
    topic = make_topics("narrow", settings={"max.message.bytes": "200"})
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap, "linger.ms": 0, "batch.num.messages": 1})
    begin = time.monotonic()
    for _ in range(2):
        producer = log.producer()
        producer.produce(Outgoing(topic, b"first", b"v"))
        producer.produce(Outgoing(topic, b"large", bytes(range(256)) * 4))
        for number in range(20):
            producer.produce(Outgoing(topic, b"behind", str(number).encode()))
        with pytest.raises(
            PublishError, match=rf"topic {topic}, partition 0, key 'large': .*size too large.*on the topic"
        ):
            producer.flush(20)
        producer.close()
    assert time.monotonic() - begin < 20, "it failed for good within a second, and is not waited for any longer"
    reader = log.read(topic)
    values = []
    while not reader.at_end:
        values += [record.value for _, _, _, record in reader.poll(0.1)]
    reader.close()
    assert values == [b"v"] * 2
    assert caplog.text == ""
