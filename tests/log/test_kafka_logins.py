"""A Kafka that asks who is there: refusals, and outages in the middle of a login, which are none."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from driftline.errors import DeliveryPending, LogDenied, LogUnavailable
from driftline.log import kafka_consumer
from driftline.log.api import Outgoing, TopicPartition
from driftline.log.kafka import KafkaLog
from driftline.log.kafka_settings import Settings
from driftline.sandbox import KafkaServer
from tests.log.members import Member, drive, fill, from_start


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


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve clients one after the other; each connection ends with its call. Yields the address."""

    def accept() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _ = listener.accept()
                with client, suppress(ConnectionError):
                    serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def pass_on(asking: socket.socket, answering: socket.socket) -> None:
    size = asking.recv(4, socket.MSG_WAITALL)
    answering.sendall(size + asking.recv(int.from_bytes(size), socket.MSG_WAITALL))


def rides_it_out(
    settings: Settings, deaths: list[int], members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    log = KafkaLog({**settings, "reconnect.backoff.max.ms": 100})
    members.append(Member(log, ["open"], "open-group"))
    caplog.set_level(logging.INFO, logger="driftline.log")
    drive(members, lambda: len(deaths) > 5)
    (told,) = (record.getMessage() for record in caplog.records if record.name.endswith("kafka_errors"))
    assert told.startswith("Kafka does not answer; retrying (")
    producer = log.producer()
    producer.produce(Outgoing("open", b"key", b"value"))
    with pytest.raises(DeliveryPending):
        producer.flush(1)
    producer.close()


@pytest.mark.parametrize("answers", [0, 1, 2], ids=["at its versions", "at its mechanisms", "at its password"])
def test_a_broker_that_dies_during_the_login_is_no_refusal(
    answers: int, guarded: KafkaServer, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    """It answers a client's first questions, and dies at the next."""
    deaths: list[int] = []
    host, _, port = guarded.bootstrap.partition(":")

    def serve(client: socket.socket) -> None:
        with socket.create_connection((host, int(port))) as broker:
            for _ in range(answers):
                pass_on(client, broker)
                pass_on(broker, client)
            if client.recv(4):
                deaths.append(answers)

    with listening(serve) as address:
        rides_it_out({**guarded.client_settings, "bootstrap.servers": address}, deaths, members, caplog)


@pytest.mark.parametrize("said", [b"", bytes.fromhex("160303007a0200")], ids=["at once", "in its first words"])
def test_a_broker_that_dies_while_a_connection_is_encrypted_is_no_refusal(
    said: bytes, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    deaths: list[int] = []

    def serve(client: socket.socket) -> None:
        if client.recv(5):
            client.sendall(said)
            deaths.append(len(said))

    with listening(serve) as address:
        rides_it_out({"bootstrap.servers": address, "security.protocol": "ssl"}, deaths, members, caplog)


@pytest.mark.parametrize(
    ("answer", "denied"),
    [
        (b"", False),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 11\r\n\r\nmaintenance", False),
        (b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 26\r\n\r\n{"error":"invalid_client"}', True),
    ],
    ids=["no answer", "not now", "not you"],
)
def test_whoever_gives_out_tokens_refuses_or_is_away(
    answer: bytes, denied: bool, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(answer)

    with listening(serve) as address:
        log = KafkaLog(
            {
                "bootstrap.servers": "127.0.0.1:1",
                "security.protocol": "sasl_plaintext",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": "monitor",
                "sasl.oauthbearer.client.secret": "s3cret",
                "sasl.oauthbearer.token.endpoint.url": f"http://{address}/token",
            }
        )
        members.append(Member(log, ["open"], "open-group"))
        caplog.set_level(logging.INFO, logger="driftline.log")
        if denied:
            with pytest.raises(LogDenied, match=r"invalid_client.*Check the credentials"):
                drive(members, lambda: False)
        else:
            drive(members, lambda: "Failed to acquire SASL OAUTHBEARER token" in caplog.text)
            for _ in range(10):
                members[0].poll()


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
