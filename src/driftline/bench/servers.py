"""The topics of a bench: made, filled with the workload, and taken away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis
from confluent_kafka.admin import AdminClient

from driftline.bench.job import Job
from driftline.bench.workload import PARTITIONS, Workload, slices
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog

KNOWN_S: Final = 20.0
FLUSH_S: Final = 60.0
KEEP = {"retention.ms": "-1", "message.timestamp.type": "CreateTime"}
"""The records' timestamps are those of the workload, which lie where they lie."""


def fill(bootstrap: str, topic: str, workload: Workload) -> Iterator[int]:
    """Publish a workload to a topic as services would. Yields the number of events after each slice."""
    producer = KafkaLog({"bootstrap.servers": bootstrap}).producer()
    done = 0
    try:
        for piece in slices(workload):
            for partition, key, value, time_ms in zip(
                piece.partitions, piece.keys, piece.values, piece.times, strict=True
            ):
                producer.produce(Outgoing(topic, key, value, partition, timestamp=time_ms))
            done += len(piece.values)
            yield done
        producer.flush(FLUSH_S)
    finally:
        producer.close()


@contextmanager
def topics(bootstrap: str, *names: str) -> Iterator[None]:
    """Make topics for the time of a `with` block."""
    log = KafkaLog({"bootstrap.servers": bootstrap})
    log.create_topics(dict.fromkeys(names, PARTITIONS), dict.fromkeys(names, KEEP))
    deadline = time.monotonic() + KNOWN_S
    while len(log.partition_counts(names)) < len(names) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield
    finally:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        for deletion in admin.delete_topics(list(names)).values():
            deletion.result()


@contextmanager
def own_parts(job: Job) -> Iterator[None]:
    """Give a job its own topics, and take them and its keys in Redis away after it."""
    try:
        with topics(job.bootstrap, *(job.own_topic(name) for name in ("panes", "alerts", "dead_letters"))):
            yield
    finally:
        with redis.Redis.from_url(job.redis_url, retry=None) as client:
            for key in client.scan_iter(match=f"{job.name}:*", count=1_000):
                client.delete(key)
