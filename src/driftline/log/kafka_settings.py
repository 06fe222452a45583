"""Settings for librdkafka: what the engine owns, what it prefers, and how a user's settings join them."""

from collections.abc import Mapping

from driftline.errors import ConfigError

Settings = Mapping[str, str | int | float | bool]

OWNED = frozenset(
    {
        "allow.auto.create.topics",
        "auto.offset.reset",
        "delivery.report.only.error",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "partition.assignment.strategy",
        "partitioner",
        "transactional.id",
    }
)
"""Correctness rests on these: offsets live in the state store, order and places of records must be known."""

CONSUMER_OWNED: Settings = {
    "group.protocol": "classic",
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
}

CONSUMER_PREFERRED: Settings = {
    # librdkafka beats from its own thread, so neither Python's lock nor a long batch delays a heartbeat: only a stopped
    # process or machine does. 6 s of silence hand a dead worker's partitions on, the least that brokers accept unless
    # told otherwise (group.min.session.timeout.ms); the client's default is 45 s. Finding out that a worker is dead is
    # most of a recovery (docs/reliability.md), and a worker that was only slow loses nothing but the work since its
    # last checkpoint. Members learn of a rebalance from the answer to a heartbeat, twice for a move: with a beat a
    # second a new worker took over in 2.0 s, with the default of 3 s in 6.1. Two beats a second make up for the time
    # that claiming much state takes.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 500,
    # A loop that does not poll for a minute is stuck: a checkpoint takes milliseconds, and waiting for Redis polls on.
    "max.poll.interval.ms": 60_000,
    # A partition whose local queue was full is fetched again after 10 ms. The default of a second let throughput fall
    # from 275,000 to 120,000 events/s at the same CPU.
    "fetch.queue.backoff.ms": 10,
    # Fetched ahead: 16 MiB, about 30,000 records of 500 bytes, keep a process that reads 500,000 of them a second at
    # 125 MiB; 64 MiB are no faster and take 270. No bound by count: it would be a few MiB of small records and GiBs of
    # large ones.
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 1_000_000,
    "fetch.wait.max.ms": 100,
}

PRODUCER_OWNED: Settings = {
    "enable.idempotence": True,
    "delivery.report.only.error": True,
}

PRODUCER_PREFERRED: Settings = {
    # CRC-32 of the key, modulo the partition count: what `MemoryLog` does too. Records without a key are spread.
    "partitioner": "consistent_random",
    "compression.type": "lz4",
    "linger.ms": 5,
    # The local queue, and so the memory of a producer whose broker is away.
    "queue.buffering.max.kbytes": 65_536,
    # A topic that does not exist is an error after 10 s instead of 30.
    "topic.metadata.propagation.max.ms": 10_000,
}

ENGINE_PRODUCER: Settings = {
    # The engine holds what it publishes in its state until it is delivered. A record that were given up while the next
    # one went through would come after it at last, and Judge tells repeated panes by their order. So a record is tried
    # until Kafka takes it (`delivery.timeout.ms` is the same setting), and one that Kafka refuses ends this producer
    # with all that is queued behind it: the next one begins anew.
    "message.timeout.ms": 0,
    "enable.gapless.guarantee": True,
}
"""Over a user's settings, for the engine's own producers. `Publisher` gives a record up after `message.timeout.ms`."""


def checked(settings: Settings, *, allowed: frozenset[str] = frozenset()) -> dict[str, str | int | float | bool]:
    """Return a copy of a user's settings; `allowed` names owned settings that may be given here.

    Raises:
        ConfigError: a setting is one of `OWNED`, or there are no brokers to ask.
    """
    for key in sorted(OWNED & set(settings) - allowed):
        raise ConfigError(f"kafka.{key} is set by Driftline, because its guarantee depends on it: remove it")
    if not (settings.get("bootstrap.servers") or settings.get("metadata.broker.list")):
        raise ConfigError(
            'kafka.bootstrap.servers is missing: write the addresses of some brokers, such as "localhost:9092"'
        )
    return dict(settings)
