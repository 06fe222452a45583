"""Fixtures that all tests share: a real Kafka and a real Redis, started when the first test asks, once a run."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import Phase, settings

from driftline.demo.dataset import car_loans
from driftline.demo.nannyml import Files
from driftline.errors import InputError
from driftline.sandbox import Kafka, Redis, find_kafka, find_redis

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.register_profile(  # that a test fails is enough: to make a failure small takes minutes
    "mutations", derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("ci")

REAL_SERVICES = {"kafka", "redis_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and REAL_SERVICES.intersection(item.fixturenames):
            item.add_marker("real")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands set up logging for their whole process: to the standard error of one test, which is closed after it."""
    loggers = [logging.getLogger(), logging.getLogger("driftline")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A real Kafka that all tests share: use `make_topics` and `unique_name` for topics and groups of your own."""
    with find_kafka() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A real Redis that all tests share: `redis_url` gives it empty."""
    with find_redis() as server:
        with redis.Redis.from_url(server.url, retry=None) as client:
            if client.dbsize() != 0:
                pytest.fail(f"{server.origin} holds {client.dbsize()} keys: the tests need a database of their own.")
        yield server
        _empty(server)


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The URL of an empty database."""
    _empty(redis_server)
    return redis_server.url


def _empty(server: Redis) -> None:
    with redis.Redis.from_url(server.url, retry=None) as client:
        client.flushdb()


@pytest.fixture(scope="session")
def loans() -> Files:
    """The data of the demo, fetched as the demo fetches it."""
    try:
        return car_loans()
    except InputError as error:
        pytest.fail(str(error))


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> str:
    """A name for a topic or group that no other test, and no other run on the same Kafka, uses."""
    return f"{request.node.originalname}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_topics(kafka: Kafka, unique_name: str) -> Iterator[Callable[..., str]]:
    """`make_topics("panes", partitions=4, settings={...})` creates a topic and returns its full, unique name."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    created: list[str] = []

    def make_topic(name: str, *, partitions: int = 1, settings: dict[str, str] | None = None) -> str:
        topic = f"{unique_name}.{name}"
        # Records are often stamped with the time of their events: a broker that runs for 30 s takes those that are old.
        kept = {"retention.ms": "-1", **(settings or {})}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=kept)
        admin.create_topics([new])[topic].result(timeout=20)
        created.append(topic)
        _wait_for_leaders(admin, topic, partitions)
        return topic

    yield make_topic
    if created:
        for deletion in admin.delete_topics(created).values():
            deletion.result(timeout=20)


def _wait_for_leaders(admin: AdminClient, topic: str, partitions: int) -> None:
    """Kafka answers "created" before its brokers know the topic: a client that is quick is told that there is none."""
    deadline = time.monotonic() + 20
    while True:
        found = admin.list_topics(topic, timeout=20).topics[topic].partitions.values()
        if len(found) == partitions and all(partition.leader >= 0 for partition in found):
            return
        assert time.monotonic() < deadline, f"{topic} has no leaders"
        time.sleep(0.02)
