from collections.abc import Iterator

import pytest

from tests.state.backends import Backend, MemoryBackend, RedisBackend


@pytest.fixture
def redis_backend(redis_url: str) -> Iterator[RedisBackend]:
    backend = RedisBackend(redis_url)
    yield backend
    backend.close()


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each store in turn: what passes with one must pass with the other."""
    if request.param == "memory":
        return MemoryBackend()
    found: Backend = request.getfixturevalue("redis_backend")
    return found
