"""Predictions that a service publishes in transactions: what it aborted counts nowhere, and a bounded run ends."""

import json
import time
from contextlib import closing

import pytest
from confluent_kafka import Producer

from driftline.log.kafka import KafkaLog
from driftline.pipeline.monitoring import monitoring
from driftline.pipeline.views import views
from driftline.runtime.worker import Worker
from driftline.sandbox import Kafka
from driftline.state.redis import RedisStore
from driftline.tasks.views import SummariseView
from tests.runtime.streams import MINUTE, START, settings

pytestmark = pytest.mark.real
DEADLINE_S = 60.0


@pytest.mark.parametrize("last", ["committed", "aborted"])
def test_a_bounded_run_ends_behind_a_transaction(kafka: Kafka, redis_url: str, unique_name: str, last: str) -> None:
    topics = {name: f"{unique_name}.{name}" for name in ("predictions", "panes", "alerts", "dead_letters")}
    how = settings(group=unique_name, topics=topics)
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    log.create_topics(dict.fromkeys(topics.values(), 1), {})
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": unique_name})
    writer.init_transactions(DEADLINE_S)
    outcomes = ["aborted", "committed", "aborted", "committed", last]
    for number, outcome in enumerate(outcomes):
        writer.begin_transaction()
        event = {"event_id": f"e{number}", "event_time": START + number * MINUTE, "model": "m", "features": {"x": 1}}
        writer.produce(topics["predictions"], json.dumps(event).encode(), timestamp=START + number * MINUTE)
        writer.flush(DEADLINE_S)
        (writer.commit_transaction if outcome == "committed" else writer.abort_transaction)(DEADLINE_S)

    with closing(RedisStore(redis_url)) as store:
        for owner in ("first", "second"):  # the second finds it done
            worker = Worker(how, log, store, monitoring(how), owner=owner, poll_s=0.02, until_caught_up=True)
            with closing(worker):
                deadline = time.monotonic() + DEADLINE_S
                while not worker.stopping:
                    worker.step()
                    assert time.monotonic() < deadline, f"{owner} never ends"
        (view,) = views(store, how.group, SummariseView)
        assert view.accepted == outcomes.count("committed")
        (offsets,) = (info.offsets for info in store.tasks(how.group) if info.task.stage == "summarise")
        assert offsets == {topics["predictions"]: 2 * len(outcomes)}, "each has an event and a control record"
