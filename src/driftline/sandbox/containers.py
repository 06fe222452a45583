"""Kafka and Redis as containers, for machines with a Docker engine. Needs testcontainers, a development dependency."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from driftline.sandbox.errors import SandboxError
from driftline.sandbox.kafka_jars import KAFKA_VERSION
from driftline.sandbox.process import free_port

KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
REDIS_IMAGE = "redis:8.2-alpine"

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
ENGINE_TIMEOUT_S = 3
START_TIMEOUT_S = 90


def engine_answers() -> bool:
    """Tell whether the Docker engine that the environment names is there."""
    address = os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE
    # Docker's library forgets to close a socket that it could not connect.
    if address.startswith("unix://") and not _listens(address.removeprefix("unix://")):
        return False
    try:
        client = docker.from_env(timeout=ENGINE_TIMEOUT_S)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@contextmanager
def _running(container: DockerContainer) -> Iterator[None]:
    try:
        container.start()
    except (DockerException, RuntimeError, TimeoutError) as error:
        container.stop()
        raise SandboxError(
            f"A Docker engine answers, but the container {container.image} did not start: {error}\nMend that, or name "
            "servers that run already (DRIFTLINE_TEST_KAFKA, DRIFTLINE_TEST_REDIS)."
        ) from error
    try:
        yield
    finally:
        container.stop()


@contextmanager
def kafka_container() -> Iterator[str]:
    """Run a one-node Kafka and give its bootstrap address.

    testcontainers' own KafkaContainer runs Confluent's image; this is the broker that the compose file runs. Kafka
    tells clients where to find it, so its port is the same inside and outside.
    """
    port = free_port()
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    host = container.get_docker_client().host()
    container.with_envs(
        KAFKA_NODE_ID="1",
        KAFKA_PROCESS_ROLES="broker,controller",
        KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
        KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
        KAFKA_LISTENERS=f"PLAINTEXT://:{port},CONTROLLER://:9093",
        KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://{host}:{port}",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR="1",
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR="1",
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
        KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
        KAFKA_LOG_RETENTION_MS="-1",
    )
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(START_TIMEOUT_S))
    with _running(container):
        yield f"{host}:{port}"


@contextmanager
def redis_container() -> Iterator[str]:
    """Run a Redis that logs every write and evicts nothing, and give its URL."""
    container = DockerContainer(REDIS_IMAGE).with_exposed_ports(6379)
    container.with_command(["redis-server", "--appendonly", "yes", "--maxmemory-policy", "noeviction"])
    container.waiting_for(LogMessageWaitStrategy("Ready to accept connections").with_startup_timeout(START_TIMEOUT_S))
    with _running(container):
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"
