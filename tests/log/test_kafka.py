"""What only a real Kafka does: refusals, outages, lost sessions, control records, retention."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from driftline.errors import ConfigError, DeliveryPending, LogDenied, LogUnavailable, OffsetLost, PublishError
from driftline.log import kafka_consumer
from driftline.log.api import Outgoing, TopicPartition
from driftline.log.kafka import KafkaLog
from driftline.log.kafka_producer import KafkaProducer
from driftline.log.kafka_settings import OWNED
from driftline.sandbox import Kafka, KafkaServer
from tests.log.members import Member, drive, fill, from_start, partitions_of

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def members() -> Iterator[list[Member]]:
    members: list[Member] = []
    yield members
    for member in members:
        member.consumer.close()


@pytest.mark.parametrize("key", sorted(OWNED))
def test_settings_that_the_engine_owns_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"kafka.{key} is set by Driftline itself.*remove it"):
        KafkaLog({"bootstrap.servers": NOWHERE, key: "x"})


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"fetch\.wait\.mäx"):
        KafkaLog({"bootstrap.servers": NOWHERE, "fetch.wait.mäx": 1})


def test_no_brokers_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap\.servers is missing"):
        KafkaLog({"client.id": "me"})


def test_an_unreachable_kafka_is_ridden_out_by_members_and_told_to_askers(
    members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    nowhere: dict[str, str | int | float | bool] = {"bootstrap.servers": NOWHERE, "reconnect.backoff.max.ms": 100}
    log = KafkaLog({**nowhere, "message.timeout.ms": 500})
    members.append(Member(log, ["topic"], "group"))
    caplog.set_level(logging.INFO, logger="driftline.log")
    drive(members, lambda: bool(caplog.records))
    for _ in range(30):
        members[0].poll()
    (told,) = caplog.records
    assert "Kafka does not answer; trying on" in told.getMessage()
    service = KafkaProducer({**nowhere, "message.timeout.ms": 500})
    service.produce(Outgoing("topic", b"key", b"value"))
    with pytest.raises(PublishError, match=r"topic topic.*'key'.*timed out.*brokers are up"):
        service.flush(20)
    engine = log.producer()  # gives no record up, whatever the time-out of this user
    engine.produce(Outgoing("topic", b"key", b"value"))
    with pytest.raises(DeliveryPending, match="1 records are not delivered after 2 s and are still being tried"):
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
    with pytest.raises(OffsetLost, match="partition 0: offset 0 is no longer in the log, it keeps offsets 6 to 9"):
        drive([member], lambda: False)
    assert member.offsets == {}


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
    reader = log.read(topic)
    values = []
    while not reader.at_end:
        values += [record.value for _, _, _, record in reader.poll(0.1)]
    reader.close()
    assert values == [b"v"] * 2
    assert caplog.text == ""


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaServer]:
    """A Kafka of our own that asks for passwords, and that may be killed."""
    with KafkaServer(users={"admin": "correct", "guest": "guest-password"}, heap="512m") as server:
        log = KafkaLog(server.client_settings)
        log.create_topics({"open": 1, "closed": 1}, {})
        admin = AdminClient(server.client_settings)
        allowed = [(ResourceType.TOPIC, "open"), (ResourceType.GROUP, "open-group")]
        bindings = [
            AclBinding(
                kind, name, ResourcePatternType.LITERAL, "User:guest", "*", AclOperation.ALL, AclPermissionType.ALLOW
            )
            for kind, name in allowed
        ]
        for done in admin.create_acls(bindings).values():
            done.result(20)
        yield server


def logged_in(server: KafkaServer, name: str, password: str) -> KafkaLog:
    return KafkaLog({"bootstrap.servers": server.bootstrap, **server.login(name, password)})


def test_a_wrong_password_is_a_refusal_everywhere(guarded: KafkaServer, members: list[Member]) -> None:
    log = logged_in(guarded, "guest", "s3cret-wrong")
    members.append(Member(log, ["open"], "open-group"))
    producer = log.producer()

    def produce() -> None:
        producer.produce(Outgoing("open", b"key", b"value"))
        producer.flush(5)

    for ask in (
        lambda: drive(members, lambda: False),
        produce,
        lambda: log.partition_counts(["open"]),
        lambda: log.create_topics({"new": 1}, {}),
        lambda: log.read("open"),
    ):
        with pytest.raises(LogDenied, match="credentials") as caught:
            ask()
        assert "s3cret-wrong" not in str(caught.value)
    producer.close()


@pytest.fixture
def dying(guarded: KafkaServer) -> Iterator[tuple[str, list[int]]]:
    """The address of a broker that answers a client's first question and dies at the next, and its list of deaths."""
    deaths: list[int] = []
    host, port = guarded.bootstrap.split(":")

    def relay(client: socket.socket, broker: socket.socket) -> None:
        for asks, answers in ((client, broker), (broker, client)):
            size = asks.recv(4, socket.MSG_WAITALL)
            answers.sendall(size + asks.recv(int.from_bytes(size), socket.MSG_WAITALL))
        if client.recv(4):
            deaths.append(len(deaths) + 1)

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _ = listener.accept()
                with client, socket.create_connection((host, int(port))) as broker, suppress(ConnectionError):
                    relay(client, broker)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", deaths
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_broker_that_dies_during_the_login_is_no_refusal(
    guarded: KafkaServer, dying: tuple[str, list[int]], members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    address, deaths = dying
    settings: dict[str, str | int | float | bool] = {**guarded.client_settings, "bootstrap.servers": address}
    log = KafkaLog({**settings, "reconnect.backoff.max.ms": 100})
    members.append(Member(log, ["open"], "open-group"))
    caplog.set_level(logging.INFO, logger="driftline.log")
    drive(members, lambda: len(deaths) > 5)
    (told,) = (record.getMessage() for record in caplog.records if record.name.endswith("kafka_errors"))
    assert told.startswith("Kafka does not answer; trying on (")
    producer = log.producer()
    producer.produce(Outgoing("open", b"key", b"value"))
    with pytest.raises(DeliveryPending):
        producer.flush(1)
    producer.close()


def test_missing_permissions_are_named(guarded: KafkaServer, members: list[Member]) -> None:
    log = logged_in(guarded, "guest", "guest-password")
    for topic, group in (("closed", "open-group"), ("open", "closed-group")):
        member = Member(log, [topic], group)
        with pytest.raises(LogDenied, match="permissions"):
            drive([member], lambda: False)
        member.consumer.close()
    with pytest.raises(LogDenied, match="topic closed"):
        log.partition_counts(["closed"])
    with pytest.raises(LogDenied, match="topic closed"):
        log.read("closed")
    with pytest.raises(LogDenied, match="topic new"):
        log.create_topics({"new": 1}, {})
    producer = log.producer()
    producer.produce(Outgoing("closed", b"key", b"value"))
    with pytest.raises(LogDenied, match="1 records were not delivered"):
        producer.flush(20)
    producer.close()


def bounds_in_the_end(member: Member, source: TopicPartition) -> tuple[int, int]:
    """Ask until there is an answer. A broker that just came back is no reason to take its topics for deleted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return member.consumer.bounds(source)
        except LogUnavailable:
            member.poll()
    pytest.fail("no answer")


@pytest.mark.timeout(240)
def test_a_broker_that_dies_and_comes_back_is_ridden_out(
    guarded: KafkaServer,
    members: list[Member],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = KafkaLog({**guarded.client_settings, "reconnect.backoff.max.ms": 500, "heartbeat.interval.ms": 200})
    log.create_topics({"survivor": 4}, {})
    fill(log, "survivor")
    starts = from_start("survivor")

    class Survivor(Member):
        """Goes on where it was, should the outage outlast its session."""

        def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
            super().on_lost(partitions)
            starts.update({source: len(self.offsets[source]) for source in partitions})

    member = Survivor(log, ["survivor"], "survivors", starts=starts)
    members.append(member)
    drive(members, lambda: len(member.ended) == 4)
    producer = log.producer()
    monkeypatch.setattr(kafka_consumer, "ASK_S", 1.0)
    with caplog.at_level(logging.INFO, logger="driftline.log"):
        guarded.kill()
        with pytest.raises(LogUnavailable):
            member.consumer.bounds(TopicPartition("survivor", 0))
        for number in range(4):
            producer.produce(Outgoing("survivor", b"key", b"written while it was down", partition=number))
        drive(members, lambda: "Kafka does not answer" in caplog.text, 60)
        guarded.start()
        assert bounds_in_the_end(member, TopicPartition("survivor", 0))[0] == 0
        producer.flush(60)
        drive(members, lambda: all(len(member.offsets[source]) == 11 for source in starts), 90)
    assert all(offsets == list(range(11)) for offsets in member.offsets.values())
    assert "Kafka answers again" in caplog.text
    producer.close()
