import time
from collections.abc import Iterator, Mapping

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline.sandbox import KafkaServer, SandboxError

PATIENCE_S = 30

Settings = Mapping[str, str | int | float | bool]


def quiet(settings: Settings) -> dict[str, str | int | float | bool]:
    """Without the lines that librdkafka prints when a broker goes away, which here is the point."""
    return {**settings, "log_level": 0}


def create_topic(settings: Settings, topic: str) -> None:
    admin = AdminClient(quiet(settings))
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=PATIENCE_S)


def write(settings: Settings, topic: str, value: bytes) -> KafkaError | None:
    failures: list[KafkaError | None] = []
    producer = Producer(quiet({**settings, "acks": "all", "message.timeout.ms": PATIENCE_S * 1000}))
    producer.produce(topic, value, on_delivery=lambda error, _message: failures.append(error))
    assert producer.flush(PATIENCE_S) == 0
    return failures[0]


def read_first(settings: Settings, topic: str) -> bytes | None:
    consumer = Consumer(quiet({**settings, "group.id": "test"}))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                return message.value()
        pytest.fail(f"no record within {PATIENCE_S} s")
    finally:
        consumer.close()


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    with KafkaServer(
        users={"admin": 'a"d\\m in', "reader": "secret"}, properties={"message.max.bytes": "2000"}
    ) as server:
        create_topic(server.client_settings, "events")
        yield server
        directory = server.log_file.parent
    assert not directory.exists()


def test_topics_are_not_made_by_a_slip_of_the_pen(server: KafkaServer) -> None:
    admin = AdminClient(quiet(server.client_settings))
    misspelt = admin.list_topics("evnets", timeout=PATIENCE_S).topics["evnets"].error
    assert misspelt is not None
    assert misspelt.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert "evnets" not in admin.list_topics(timeout=PATIENCE_S).topics


def test_properties_win(server: KafkaServer) -> None:
    refused = write(server.client_settings, "events", bytes(5_000))
    assert refused is not None
    assert refused.code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_users_log_in_and_only_the_first_may_do_everything(server: KafkaServer) -> None:
    reader = {"bootstrap.servers": server.bootstrap, **server.login("reader", "secret")}
    topics = AdminClient(quiet(reader)).list_topics("events", timeout=PATIENCE_S).topics
    error = topics["events"].error
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED

    problems: list[KafkaError] = []
    stranger = {"bootstrap.servers": server.bootstrap, **server.login("reader", "wrong")}
    admin = AdminClient(quiet(stranger), error_cb=problems.append)
    deadline = time.monotonic() + PATIENCE_S
    while KafkaError._AUTHENTICATION not in {problem.code() for problem in problems}:
        assert time.monotonic() < deadline, problems
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
        admin.poll(0)


def test_what_was_written_survives_a_kill(server: KafkaServer) -> None:
    address, first = server.bootstrap, server.pid
    create_topic(server.client_settings, "kept")
    assert write(server.client_settings, "kept", b"kept") is None
    server.kill()
    server.start()
    assert server.bootstrap == address
    assert server.pid != first
    assert read_first(server.client_settings, "kept") == b"kept"


def test_a_broker_that_cannot_start_shows_its_log() -> None:
    with pytest.raises(SandboxError, match=r"(?s)Kafka ended with status 1.*maximum heap"):
        KafkaServer(heap="1k").start()


def test_a_wrong_property_is_named() -> None:
    with pytest.raises(SandboxError, match=r"num\.network\.threads"):
        KafkaServer(properties={"num.network.threads": "many"}).start()
