"""The first scene: a Kafka, a Redis with a replica, and proxies in front of both."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from driftline.demo.nannyml import Files
from driftline.sandbox import KafkaServer, RedisServer
from tests.chaos.fleet import BROKER, Fleet, profile_of, settings_of
from tests.chaos.proxy import Proxy
from tests.chaos.workers import wait_until

START_S = 60


@dataclass(kw_only=True)
class Parts(Fleet):
    """Everything that runs, and what may be done to it. `redis` is the master."""

    kafka: KafkaServer
    redis: RedisServer
    replica: RedisServer
    to_kafka: Proxy
    to_redis: Proxy

    def fail_over(self, lag_s: float) -> None:
        """Let the replica become master without the writes of the last `lag_s` seconds."""
        old, new = self.redis, self.replica
        _command(new, "REPLICAOF", "NO", "ONE")
        time.sleep(lag_s)
        old.kill()
        self.to_redis.lead_to(new.port)
        self.redis, self.replica = new, old
        old.start()
        follow(new, old)


def _command(server: RedisServer, *words: str) -> Any:
    with redis.Redis.from_url(server.url, retry=None) as client:
        return client.execute_command(*words)


def follow(master: RedisServer, replica: RedisServer) -> None:
    """Make one server a replica of another, and wait until it has all of it."""
    _command(replica, "REPLICAOF", "127.0.0.1", str(master.port))
    with redis.Redis.from_url(replica.url, retry=None) as client:
        assert wait_until(lambda: client.info("replication")["master_link_status"] == "up", START_S)


@contextmanager
def running_parts(folder: Path, loans: Files, *, workers: int) -> Iterator[Parts]:
    """Start all parts; the workers are at work when this returns."""
    with ExitStack() as stack:
        redis_options = {"repl-diskless-sync-delay": "0", "repl-timeout": "10"}
        master, replica = (stack.enter_context(RedisServer(options=redis_options)) for _ in range(2))
        follow(master, replica)
        to_redis = stack.enter_context(Proxy(master.port))
        to_kafka = stack.enter_context(Proxy())
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{to_kafka.port}"}
        kafka = KafkaServer(properties={**BROKER, **advertised}, heap="384m")
        to_kafka.lead_to(int(kafka.bootstrap.rpartition(":")[2]))
        stack.enter_context(kafka)
        raw = settings_of(
            f"127.0.0.1:{to_kafka.port}", f"redis://127.0.0.1:{to_redis.port}/0", profile_of(folder, loans)
        )
        parts = Parts(
            kafka=kafka, redis=master, raw=raw, replica=replica, to_kafka=to_kafka, to_redis=to_redis, folder=folder
        )
        parts.begin(stack, workers)
        yield parts
