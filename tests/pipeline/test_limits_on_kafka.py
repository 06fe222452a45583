"""Limits on a real Kafka and a real Redis: no partition and no worker knows of all models, and all decide alike."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.worker import Worker
from driftline.sandbox.find import Kafka
from driftline.state.redis import RedisStore
from tests.runtime.streams import MINUTE, START, settings

pytestmark = pytest.mark.real
PARTITIONS = 4
MODELS, LIMIT = 23, 6
RECORDS = 2_400
DEADLINE_S = 60.0


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    with ExitStack() as stack:
        made = RedisStore(redis_url)
        stack.callback(made.close)
        yield made


def test_two_workers_on_four_partitions_watch_as_many_models_as_the_limit_says(
    kafka: Kafka, store: RedisStore, unique_name: str
) -> None:
    topics = {name: f"{unique_name}.{name}" for name in ("predictions", "panes", "alerts", "dead_letters")}
    how = settings(idle_timeout="1000d", checkpoint="1s", group=unique_name, topics=topics, limits={"models": LIMIT})
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap, "heartbeat.interval.ms": 200})
    log.create_topics(dict.fromkeys(topics.values(), PARTITIONS), {})
    producer = log.producer()
    for number in range(RECORDS):  # each partition meets the models in another order, and not all of the first ones
        at = START + number * 4 * 60 * MINUTE // RECORDS
        event = {"event_id": f"e{number}", "event_time": at, "model": f"m{number % MODELS}", "features": {"x": number}}
        place = number % PARTITIONS if number >= PARTITIONS * MODELS else number % MODELS % PARTITIONS
        producer.produce(Outgoing(topics["predictions"], b"", json.dumps(event).encode(), place, timestamp=at))
    producer.flush(DEADLINE_S)
    producer.close()

    def views(stage: str, name: str) -> list[dict[str, Any]]:
        found = [store.read(info.task, name) for info in store.tasks(how.group) if info.task.stage == stage]
        return [json.loads(each[name]) for each in found if name in each]

    workers = [Worker(how, log, store, monitoring(how), owner=name, poll_s=0.02) for name in ("a", "b")]
    try:
        deadline = time.monotonic() + DEADLINE_S
        end = START + 3 * 60 * MINUTE
        while not (
            len(found := views("judge", "view/incidents")) == PARTITIONS and min(v["mark"] for v in found) > end
        ):
            assert time.monotonic() < deadline, (
                f"not judged in time: {[(view['mark'] - START) // MINUTE for view in found]}"
            )
            for worker in workers:
                worker.step()
        owners = {info.owner for info in store.tasks(how.group) if info.task.stage == "judge"}
        assert owners == {"a", "b"}
    finally:
        for worker in workers:
            worker.close()
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for deleted in admin.delete_topics([*topics.values()]).values():
            deleted.result(20)

    judged = views("judge", "view/incidents")
    assert len({subject["model"] for view in judged for subject in view["subjects"]}) == LIMIT
    events = sum((Counter(view["events"]) for view in judged), Counter[str]())
    assert events["watched"] > 0
    assert events["models"] > events["watched"], "of 23 models six are watched"
    told = [incident for view in judged for incident in view["stream"] if incident["kind"] == "capacity"]
    assert [incident["signals"] for incident in told] == [["models"]]
