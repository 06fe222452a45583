"""Two groups on the same topics: what each finds is what it finds alone."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Thread

import pytest

from driftline.cli.status import collect
from driftline.config import Settings
from driftline.incidents.alerts import alert_id
from driftline.incidents.cloud_events import alert_source
from driftline.log.api import Log, Outgoing, Record
from driftline.log.kafka import KafkaLog
from driftline.offline.backtest import backtest
from driftline.panes.records import Rebase
from driftline.pipeline.monitoring import monitoring
from driftline.pipeline.rebasing import ask
from driftline.pipeline.views import subjects
from driftline.runtime.worker import Worker
from driftline.sandbox import Kafka
from driftline.state.redis import RedisStore
from driftline.tables import EncodedEvents
from tests.runtime.streams import Bench, events, settings

STREAM = [*events(hours=4, shift_after=2.5), (b"bad", b"{", events(hours=4, shift_after=2.5)[-1][2])]
OTHER = {"windows": ["20m"], "pane": "10m", "reference": "learn 1h", "false_alarms": "1 per 30d"}
"""Panes twice as long as those of the first group."""


def groups(**more: object) -> tuple[Settings, Settings]:
    return settings(group="a", **more), settings(group="b / eu", models={"*": OTHER}, **more)


def alone(of: Settings) -> list[str]:
    """Ids of the alerts that a group publishes where no other one is."""
    keys, values, times = map(list, zip(*STREAM, strict=True))
    ids = [alert_id(incident) for incident in backtest(of, [EncodedEvents(keys, values, times)]).incidents]
    assert ids, "the stream must open an incident"
    return ids


def read_all(log: Log, topic: str) -> list[Record]:
    reader = log.read(topic)
    found: list[Record] = []
    while not reader.at_end:
        found.extend(record for *_, record in reader.poll(0.1))
    reader.close()
    return found


def check(log: Log, both: Sequence[Settings]) -> None:
    alerts = [json.loads(record.value or b"") for record in read_all(log, both[0].topics.alerts)]
    for each in both:
        own = [alert for alert in alerts if alert["source"] == alert_source(each.group)]
        assert [alert["id"] for alert in own] == alone(each)
    of = {
        source: {alert["partitionkey"] for alert in alerts if alert["source"] == source}
        for source in {alert["source"] for alert in alerts}
    }
    first, second = of.values()
    assert not first & second, "one group's incidents would replace the other's in a compacted topic"
    letters = [
        dict(record.headers)["driftline-group"].decode() for record in read_all(log, both[0].topics.dead_letters)
    ]
    assert Counter(letters) == {each.group: 1 for each in both}


def test_each_group_finds_on_a_real_kafka_what_it_finds_alone(
    kafka: Kafka, redis_url: str, make_topics: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """At the same time, with other pane lengths, with state in one Redis, and ending though the other one goes on."""
    caplog.set_level(logging.WARNING)
    counts = {"predictions": 3, "panes": 2, "alerts": 1, "dead_letters": 1}
    topics = {key: make_topics(key, partitions=count) for key, count in counts.items()}
    both = groups(topics=topics)
    log, store = KafkaLog({"bootstrap.servers": kafka.bootstrap}), RedisStore(redis_url)
    producer = log.producer()
    for key, value, time in STREAM:
        producer.produce(Outgoing(topics["predictions"], key, value, timestamp=time))
    producer.flush(20)
    producer.close()
    workers = [
        Worker(
            each,
            KafkaLog({"bootstrap.servers": kafka.bootstrap}),
            store,
            monitoring(each),
            owner=each.group,
            until_caught_up=True,
        )
        for each in both
    ]
    threads = [Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive()
    check(log, both)
    for each, other in (both, both[::-1]):
        seen = collect(log, store, each, now_ms=0)
        assert {name for partition in seen.partitions for name in partition.other_groups} <= {other.group}
    assert "also holds panes of group" in caplog.text
    store.close()


def test_what_is_of_another_group_is_counted_told_and_left_alone() -> None:
    first, second = groups()
    bench = Bench(first)
    bench.publish(STREAM)
    bench.worker().run()
    panes = bench.records(first.topics.panes)
    bench.settings = second
    worker = bench.worker()
    worker.run()
    check(bench.log, (first, second))
    seen = collect(bench.log, bench.store, second, now_ms=0)
    assert sum((Counter(each.other_groups) for each in seen.partitions), Counter()) == {"a": len(panes)}
    judged = sum(each.panes.panes for each in seen.partitions if each.panes is not None)
    assert judged == len(bench.records(first.topics.panes)) - len(panes)


def test_what_was_left_alone_stays_counted_after_a_restart() -> None:
    first, second = groups()
    bench = Bench(first)
    half = len(STREAM) // 2
    for part in (STREAM[:half], STREAM[half:]):
        bench.publish(part)
        for bench.settings in (first, second):
            bench.worker().run()
    panes = bench.records(first.topics.panes)
    others = [record for record in panes if dict(record.headers)["driftline-group"] == b"a"]
    seen = collect(bench.log, bench.store, second, now_ms=0)
    assert sum(each.other_groups.get("a", 0) for each in seen.partitions) == len(others)


def test_a_command_about_references_reaches_its_own_group_alone() -> None:
    first, second = groups()
    bench = Bench(first)
    bench.publish(STREAM)
    for bench.settings in (first, second):
        bench.worker().run()
    ask(bench.log, first, [Rebase("m", None, None, b"", (3_600_000, 1_000), 1, "meant")])
    for bench.settings in (first, second):
        bench.worker().run()

    def trail(of: Settings) -> list[str]:
        return [each.origin.value for subject in subjects(bench.store, of.group) for each in subject.history]

    assert (len(trail(first)), len(trail(second))) == (2, 1)


def test_panes_that_name_no_group_are_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    first, _ = groups()
    bench = Bench(first)
    bench.publish(STREAM)
    bench.worker().run()
    again = Bench(first)
    producer, copied = again.log.producer(), 0
    reader = bench.log.read(first.topics.panes)
    while not reader.at_end:
        for place, _, _, record in reader.poll(0.1):
            producer.produce(Outgoing(first.topics.panes, record.key, record.value, place.partition))
            copied += 1
    again.publish([])
    again.worker().run()
    seen = collect(again.log, again.store, first, now_ms=0)
    assert sum((Counter(each.other_groups) for each in seen.partitions), Counter()) == {"(none)": copied}
    assert again.alert_ids() == []
    assert "also holds panes of group (none)" in caplog.text
