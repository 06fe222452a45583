"""From settings to a log and a store that answer."""

import time
from collections.abc import Callable
from typing import TypeVar

from driftline.cli.terminal import err, note
from driftline.config import Settings
from driftline.errors import ConfigError, LogUnavailable, StateUnavailable
from driftline.log.api import Log
from driftline.state.api import Store

PATIENCE_S = 30.0
"""How long Kafka and Redis may take to come up: containers that start together need some of it."""

RETRY_S = 1.0

Answer = TypeVar("Answer")


def open_log(settings: Settings) -> Log:
    """Return Kafka, or where none is configured an embedded broker, which is said on standard error.

    Raises LogUnavailable after 30 s, LogDenied, or ConfigError.
    """
    if settings.kafka:
        return open_kafka(settings)
    from driftline.log.embedded import EmbeddedLog  # loads librdkafka: 50 ms that other commands do without

    note("no Kafka is configured: using an embedded broker in this process, which loses everything when it ends")
    return EmbeddedLog()


def kafka_log(settings: Settings) -> Log:
    """Return Kafka, which has not been asked anything yet. Raises ConfigError where none is configured."""
    if not settings.kafka:
        raise ConfigError(
            "kafka: no broker is configured, and this command needs one. Set bootstrap.servers under kafka in "
            "driftline.yaml, or DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS=localhost:9092"
        )
    from driftline.log.kafka import KafkaLog

    return KafkaLog(settings.kafka)


def open_kafka(settings: Settings) -> Log:
    """Like `open_log`, for commands that make no sense without a Kafka that others use too."""
    log = kafka_log(settings)
    # Any question will do, if only a broker answers it.
    patiently("Kafka", lambda: log.partition_counts([settings.topics.main]))
    return log


def open_store(settings: Settings) -> Store:
    """Return Redis, or where none is configured a store in this process, which is said on standard error.

    Raises StateUnavailable after 30 s, StateDenied, or ConfigError.
    """
    url = settings.redis.url
    if url is None:
        from driftline.state.memory import MemoryStore

        note("no Redis is configured: this process keeps its state in memory, and loses it on exit")
        return MemoryStore()
    from driftline.state.redis import RedisStore

    store = RedisStore(
        url.get_secret_value(), prefix=settings.redis.prefix, command_timeout_s=settings.redis.timeout / 1000
    )
    patiently("Redis", store.check)
    return store


def open_redis(settings: Settings) -> Store:
    """Like `open_store`, for commands that make no sense without a Redis that workers use too."""
    if settings.redis.url is None:
        raise ConfigError(
            "redis.url: is not set, and workers keep what they know there; set "
            "DRIFTLINE_REDIS__URL=redis://localhost:6379/0 for this command and for `driftline run`"
        )
    return open_store(settings)


def patiently(
    what: str,
    attempt: Callable[[], Answer],
    *,
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Try until it answers, showing what is waited for; after `patience_s` raise what it raised last."""
    start = clock()
    try:
        return attempt()
    except (LogUnavailable, StateUnavailable) as error:
        note(f"{error}; retrying for {patience_s:g} s")
    with err().status(f"waiting for {what}") as status:
        while True:
            sleep(RETRY_S)
            waited = clock() - start
            status.update(f"waiting for {what}: {waited:.0f} of {patience_s:g} s")
            try:
                return attempt()
            except (LogUnavailable, StateUnavailable) as error:
                if clock() - start >= patience_s:
                    raise type(error)(f"{what} did not answer for {patience_s:g} s. {error}") from error
