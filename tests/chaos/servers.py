"""A Kafka, a Redis and the settings of the workers that use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from driftline.config import Settings
from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka, Redis
from driftline.state.redis import RedisStore


@dataclass
class Servers:
    """`log` and `store` are what the workers use, without the proxies in front."""

    kafka: Kafka
    redis: Redis
    raw: dict[str, Any]
    """The settings of the workers."""

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(self.raw)

    @property
    def log(self) -> KafkaLog:
        return KafkaLog({"bootstrap.servers": self.kafka.bootstrap})

    @contextmanager
    def store(self) -> Iterator[RedisStore]:
        store = RedisStore(self.redis.url)
        try:
            yield store
        finally:
            store.close()
