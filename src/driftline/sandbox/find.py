"""Which Kafka and Redis the tests and the bench use: named ones, else containers, else servers started here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from driftline.sandbox.kafka import KafkaServer
from driftline.sandbox.redis import RedisServer

KAFKA_VARIABLE = "DRIFTLINE_TEST_KAFKA"
REDIS_VARIABLE = "DRIFTLINE_TEST_REDIS"


class Kafka(Protocol):
    """A Kafka to test against."""

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        ...

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        ...


class Redis(Protocol):
    """A Redis to test against."""

    @property
    def url(self) -> str:
        """Address of the database to use."""
        ...

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        ...


@dataclass(frozen=True, slots=True)
class FoundKafka:
    """A Kafka that somebody else started."""

    bootstrap: str
    origin: str


@dataclass(frozen=True, slots=True)
class FoundRedis:
    """A Redis that somebody else started."""

    url: str
    origin: str


@contextmanager
def find_kafka() -> Iterator[Kafka]:
    """Give a Kafka for the time of a `with` block. Raises `SandboxError` that says what is missing.

    The one that DRIFTLINE_TEST_KAFKA names (its bootstrap servers), else a container where a Docker engine answers,
    else a broker from Kafka's jars.
    """
    if bootstrap := os.environ.get(KAFKA_VARIABLE):
        yield FoundKafka(bootstrap, f"the Kafka that {KAFKA_VARIABLE} names")
    elif containers_can_run():
        from driftline.sandbox.containers import kafka_container

        with kafka_container() as bootstrap:
            yield FoundKafka(bootstrap, "a Kafka container")
    else:
        with KafkaServer() as server:
            yield server


@contextmanager
def find_redis() -> Iterator[Redis]:
    """Give a Redis for the time of a `with` block. Raises `SandboxError` that says what is missing.

    The one that DRIFTLINE_TEST_REDIS names (a URL; what its database holds may be deleted), else a container where a
    Docker engine answers, else the machine's redis-server.
    """
    if url := os.environ.get(REDIS_VARIABLE):
        yield FoundRedis(url, f"the Redis that {REDIS_VARIABLE} names")
    elif containers_can_run():
        from driftline.sandbox.containers import redis_container

        with redis_container() as url:
            yield FoundRedis(url, "a Redis container")
    else:
        with RedisServer() as server:
            yield server


def containers_can_run() -> bool:
    """Tell whether testcontainers is installed (a development dependency) and a Docker engine answers."""
    if find_spec("testcontainers") is None:
        return False
    from driftline.sandbox.containers import engine_answers

    return engine_answers()
