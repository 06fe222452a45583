"""Consuming alone: what no reader of these records can go below, with the settings that Driftline itself uses."""

import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Consumer, Message, TopicPartition

from driftline.bench.job import PATIENCE_S, ContenderCost, Job, Meter
from driftline.bench.workload import PARTITIONS
from driftline.log.kafka_settings import CONSUMER_PREFERRED

AT_ONCE: Final = 10_000


def consume(job: Job) -> ContenderCost:
    """Fetch every record, and touch none."""
    meter = Meter()
    events = sum(map(len, messages(job)))
    return meter.measured(events)


def messages(job: Job) -> Iterator[list[Message]]:
    """Yield all the topic's messages in lists, partitions mixed as they come. No group is joined."""
    settings: dict[str, Any] = {
        **CONSUMER_PREFERRED,
        "bootstrap.servers": job.bootstrap,
        "group.id": job.name,
        "enable.auto.commit": False,
        **job.kafka,
    }
    client = Consumer(settings)
    client.assign([TopicPartition(job.topic, number, 0) for number in range(PARTITIONS)])
    left, deadline = job.events, time.monotonic() + PATIENCE_S
    while left:
        found = client.consume(min(AT_ONCE, left), 0.1)
        if found:
            left -= len(found)
            yield found
        elif time.monotonic() > deadline:
            raise TimeoutError(f"{job.topic}: {left} of {job.events} records did not come within {PATIENCE_S:g} s")
    client.close()
