"""Routers as processes on a real Kafka and Redis, killed while a real receiver fails at times."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.severity import urgency
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka
from driftline.sandbox.process import until
from tests.router.changes import change, over
from tests.router.webhook import Receiver, configuration, receiving


def start(config: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        command = [sys.executable, "-m", "driftline", "router", "run", "--config", str(config)]
        return subprocess.Popen(command, stdout=output, stderr=output, cwd=config.parent, env=os.environ)


@pytest.mark.timeout(300)
def test_every_change_is_delivered_though_routers_and_the_receiver_fail(
    kafka: Kafka, redis_url: str, unique_name: str, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    topic = make_topics("alerts", partitions=3, settings={"cleanup.policy": "compact"})
    producer = KafkaLog({"bootstrap.servers": kafka.bootstrap}).producer()

    def publish(*alerts: Alert) -> None:
        for alert in alerts:
            producer.produce(Outgoing(topic, alert.key, alert.encode()))
        producer.flush(10)

    now = int(time.time() * 1000)
    first = [change(f"m{number % 7}", kind, at=now + number) for number, kind in enumerate([*Kind][:5] * 8)]
    log = tmp_path / "router.log"
    with receiving() as receiver:
        config = configuration(tmp_path, kafka, redis_url, unique_name, topic, receiver.url)
        routers = [start(config, log), start(config, log)]
        try:
            publish(*(_of(alert, unique_name) for alert in first[:20]))
            until(lambda: len(receiver.states()) >= 5, "some were delivered", timeout_s=60)
            for router in routers:
                router.kill()
                router.wait()
            publish(*(_of(alert, unique_name) for alert in first[20:]))
            publish(*(_of(over(alert, now + 60_000), unique_name) for alert in first[:30]))
            routers = [start(config, log)]
            wanted = {_of(alert, unique_name).data.incident for alert in first}
            ended = {_of(alert, unique_name).data.incident for alert in first[:30]}
            expected = {each: "resolved" if each in ended else "firing" for each in wanted}
            until(lambda: receiver.states() == expected, "all are told as they stand", timeout_s=60)
            until(lambda: "alerts come as they are published" in log.read_text(), "Faust has joined", timeout_s=60)
            published = _of(change("new", at=now + 70_000), unique_name)
            publish(published)
            until(lambda: published.data.incident in receiver.states(), "it came by Faust", timeout_s=20)
            routers[0].send_signal(signal.SIGTERM)
            assert routers[0].wait(30) == 0, log.read_text()[-3000:]
        finally:
            for router in routers:
                router.kill()
                router.wait()
        bodies = defaultdict(set)
        for key, body in receiver.got:
            bodies[key].add(json.dumps(body, sort_keys=True))
        assert all(len(each) == 1 for each in bodies.values()), "a repeated delivery is the same"
        over_since: set[str] = set()
        seen: set[str] = set()
        for key, body in receiver.got:
            for alert in body["alerts"] if key not in seen else ():
                incident = alert["labels"]["incident"]
                assert incident not in over_since, "nothing comes after the resolution"
                if alert["status"] == "resolved":
                    over_since.add(incident)
            seen.add(key)
    producer.close()


@pytest.mark.timeout(180)
def test_a_router_that_slept_while_another_one_took_over_says_so_and_leaves_nothing_open(
    kafka: Kafka, redis_url: str, unique_name: str, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    topic = make_topics("alerts", partitions=1, settings={"cleanup.policy": "compact"})
    producer = KafkaLog({"bootstrap.servers": kafka.bootstrap}).producer()
    alerts = [_of(change(model, at=int(time.time() * 1000)), unique_name) for model in ("first", "second")]
    logs = [tmp_path / "slept.log", tmp_path / "took-over.log"]

    def publish(alert: Alert) -> None:
        producer.produce(Outgoing(topic, alert.key, alert.encode()))
        producer.flush(10)

    with receiving() as receiver:
        config = configuration(tmp_path, kafka, redis_url, unique_name, topic, receiver.url)
        routers = [start(config, logs[0])]
        try:
            publish(alerts[0])
            until(lambda: alerts[0].data.incident in receiver.states(), "the first is told", timeout_s=60)
            routers[0].send_signal(signal.SIGSTOP)
            routers.append(start(config, logs[1]))
            publish(alerts[1])
            until(lambda: alerts[1].data.incident in receiver.states(), "the other takes over", timeout_s=60)
            routers[0].send_signal(signal.SIGCONT)
            assert routers[0].wait(60) not in (0, -signal.SIGKILL)
        finally:
            for router in routers:
                router.kill()
                router.wait()
    producer.close()
    said = logs[0].read_text()
    assert "another router has taken over" in said.splitlines()[-1], said
    assert "Unclosed" not in said


@pytest.mark.timeout(180)
def test_what_three_models_report_alike_is_one_story_of_one_notification(
    kafka: Kafka, redis_url: str, unique_name: str, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    topic = make_topics("alerts", partitions=3, settings={"cleanup.policy": "compact"})
    now, names = int(time.time() * 1000), ("churn", "fraud", "leads")
    alerts = [_of(change(model, Kind.DATA_DRIFT, at=now + number), unique_name) for number, model in enumerate(names)]
    other = _of(change("churn", Kind.SILENCE, at=now), unique_name)
    producer = KafkaLog({"bootstrap.servers": kafka.bootstrap}).producer()
    for alert in (*alerts, other):
        producer.produce(Outgoing(topic, alert.key, alert.encode()))
    producer.flush(10)
    producer.close()
    with receiving() as receiver:
        config = configuration(tmp_path, kafka, redis_url, unique_name, topic, receiver.url)
        router = start(config, tmp_path / "router.log")
        try:
            until(lambda: len(receiver.states()) == 4, "all are told", timeout_s=60)
        finally:
            router.kill()
            router.wait()
    told = {
        alert["labels"]["incident"]: body["groupKey"]
        for _, body in receiver.got
        for alert in body["alerts"]
        if "3 models report the same" in alert["annotations"].get("shared", "")
    }
    assert set(told) == {alert.data.incident for alert in alerts}
    assert len(set(told.values())) == 1
    assert [len({key for key, body in receiver.got if body["groupKey"] == each}) for each in set(told.values())] == [1]


STORM, MORE_MB = 10_000, 150
"""Incidents that open at once, and the memory that the router may take for them: a few kB each."""


@pytest.mark.timeout(400)
def test_a_storm_is_told_whole_in_few_messages_and_little_memory_the_urgent_first(
    kafka: Kafka, redis_url: str, unique_name: str, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    topic = make_topics("alerts", partitions=3, settings={"cleanup.policy": "compact"})
    now, kinds = int(time.time() * 1000), (Kind.DATA_DRIFT, Kind.VOLUME, Kind.PREDICTION_DRIFT, Kind.RELEASE)
    storm = [_of(change(f"m{number // 4}", kinds[number % 4], at=now), unique_name) for number in range(STORM)]
    producer = KafkaLog({"bootstrap.servers": kafka.bootstrap}).producer()
    log = tmp_path / "router.log"
    with receiving() as receiver:
        receiver.failing = 0.0
        config = configuration(tmp_path, kafka, redis_url, unique_name, topic, receiver.url)
        config.write_text(
            config.read_text().replace("group_wait: 200ms, group_interval: 200ms", "group_wait: 2s, group_interval: 5s")
        )
        router = start(config, log)
        try:
            until(lambda: "delivering:" in log.read_text(), "it has the seat", timeout_s=60)
            before = peak_mb(router.pid)
            for alert in storm:
                producer.produce(Outgoing(topic, alert.key, alert.encode()))
            producer.flush(30)
            until(lambda: sum(groups(receiver).values()) == STORM, "each is told, or counted", timeout_s=240)
            assert peak_mb(router.pid) - before < MORE_MB
        finally:
            router.kill()
            router.wait()
    producer.close()
    assert len(receiver.got) < STORM / 10
    for _, body in receiver.got:
        told = [urgency(alert["labels"]["severity"]) for alert in body["alerts"]]
        assert told == sorted(told)


def groups(receiver: Receiver) -> dict[str, int]:
    """Return how many incidents each group has of which the receiver was told, those included that are only counted."""
    return {body["groupKey"]: len(body["alerts"]) + body["truncatedAlerts"] for _, body in list(receiver.got)}


def peak_mb(pid: int) -> int:
    """Return the most memory that a process has had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def _of(alert: Alert, group: str) -> Alert:
    data = alert.data
    return change(data.model, data.kind, at=alert.changed, opened=alert.opened, firing=alert.firing, group=group)
