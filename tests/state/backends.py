"""The stores under test, each with what a test needs beside the contract: its whole content, and a way back in time."""

from collections.abc import Callable
from typing import Any, Protocol

import redis
from redis.cluster import RedisCluster

from driftline.state import MemoryStore, Store
from driftline.state.redis import RedisStore


class Backend(Protocol):
    store: Store

    def content(self) -> Any:
        """Return everything that is stored, for comparing."""

    def save(self) -> Callable[[], None]:
        """Remember everything that is stored now; calling the result puts it back, as a failover does."""


class MemoryBackend:
    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.store: Store = self.memory

    def content(self) -> Any:
        return dict(self.memory._stored)

    def save(self) -> Callable[[], None]:
        saved = dict(self.memory._stored)

        def restore() -> None:
            self.memory._stored = dict(saved)

        return restore


class RedisBackend:
    def __init__(self, url: str, raw: "redis.Redis | RedisCluster | None" = None) -> None:
        self.raw: Any = redis.Redis.from_url(url) if raw is None else raw
        self.store: Store = RedisStore(url)

    def content(self) -> Any:
        return {key: self._value(key) for key in self.raw.scan_iter()}

    def save(self) -> Callable[[], None]:
        saved = {key: self.raw.dump(key) for key in self.raw.scan_iter()}

        def restore() -> None:
            self.raw.flushdb()
            for key, value in saved.items():
                assert value is not None
                self.raw.restore(key, 0, value)

        return restore

    def close(self) -> None:
        self.store.close()
        self.raw.close()

    def _value(self, key: bytes | str) -> Any:
        match self.raw.type(key):
            case b"hash":
                return self.raw.hgetall(key)
            case b"list":
                return self.raw.lrange(key, 0, -1)
            case b"set":
                return self.raw.smembers(key)
            case b"string":
                return self.raw.get(key)
            case other:
                raise AssertionError(f"{key!r} is a {other!r}")
