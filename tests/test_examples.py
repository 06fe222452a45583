"""The examples run as their reader would run them, on a real Kafka."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace

from driftline.incidents.alerts import alert_of
from driftline.incidents.incident import Kind, Status
from driftline.incidents.severity import CRITICAL
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka
from examples import service
from tests.incidents.test_alerts import incident

EXAMPLES = Path(__file__).parents[1] / "examples"


def read(kafka: Kafka, topic: str) -> list[dict[str, Any]]:
    reader = KafkaLog({"bootstrap.servers": kafka.bootstrap}).read(topic)
    events = []
    while not reader.at_end:
        events += [json.loads(record.value or b"") for *_, record in reader.poll(1.0)]
    return events


def test_the_service_publishes_what_it_answers(
    kafka: Kafka, make_topics: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topics("predictions", partitions=1)
    monkeypatch.setenv("KAFKA", kafka.bootstrap)
    monkeypatch.setenv("PREDICTIONS", topic)

    with TestClient(service.app) as client:
        answers = [
            client.post("/churn", json={"age": age, "city": "Oslo", "tenant": "acme"}).json() for age in (30, 50)
        ]

    events = read(kafka, topic)
    assert [event["event_id"] for event in events] == [answer["event_id"] for answer in answers]
    assert [event["prediction"]["proba"]["yes"] for event in events] == [answer["churns"] for answer in answers]
    assert [event["prediction"]["label"] for event in events] == ["yes", "no"]
    assert events[0]["segment"] == {"tenant": "acme"}


def test_the_service_answers_while_kafka_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KAFKA", "127.0.0.1:1")
    monkeypatch.setattr(service, "FLUSH_S", 0.1)

    with TestClient(service.app) as client:
        answer = client.post("/churn", json={"age": 30, "city": "Oslo", "tenant": "acme"})

    assert answer.status_code == 200
    assert "1 records are not delivered after 0.1 s" in caplog.text


def run(example: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_batch_job_publishes_a_table_and_names_its_events_alike_each_time(
    kafka: Kafka, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    topic = make_topics("predictions", partitions=1)
    table = tmp_path / "customers.csv"
    table.write_text("id,at,age,city\n2,2026-08-21T10:00:00Z,50,\n1,2026-08-21T09:00:00Z,30,Oslo\n")

    for _ in range(2):
        out, err = run("batch_job.py", str(table), KAFKA=kafka.bootstrap, PREDICTIONS=topic).communicate(timeout=60)
        assert (out, err) == (f"published 2 events to {topic}\n", "")

    events = read(kafka, topic)
    assert [event["event_id"] for event in events] == ["customers-1", "customers-2"] * 2
    assert [event["features"] for event in events[:2]] == [{"age": 30, "city": "Oslo"}, {"age": 50, "city": None}]
    assert events[0]["event_time"] == "2026-08-21T09:00:00Z"


def test_a_batch_job_whose_topic_is_missing_fails(kafka: Kafka, unique_name: str, tmp_path: Path) -> None:
    table = tmp_path / "customers.csv"
    table.write_text("id,at,age,city\n1,2026-08-21T09:00:00Z,30,Oslo\n")

    job = run("batch_job.py", str(table), KAFKA=kafka.bootstrap, PREDICTIONS=unique_name)
    out, err = job.communicate(timeout=60)

    assert (job.returncode, out) == (1, "")
    assert err.startswith(f"not all was published: topic {unique_name}")


def test_the_consumer_tells_each_alert_once_and_goes_on_where_it_was(
    kafka: Kafka, make_topics: Callable[..., str], unique_name: str
) -> None:
    topic = make_topics("alerts", partitions=1)
    producer = KafkaLog({"bootstrap.servers": kafka.bootstrap}).producer()
    firing = alert_of(incident(), group="test").encode()
    resolved = alert_of(incident(status=Status.RESOLVED), group="test").encode()
    critical = alert_of(replace(incident(kind=Kind.VOLUME), severity=CRITICAL), group="test").encode()

    def told(until: str, *values: bytes | None) -> list[str]:
        """Return what the consumer prints after these records, up to a line with this word."""
        for value in values:
            producer.produce(Outgoing(topic, b"key", value))
        producer.flush(20)
        consumer = run("alert_consumer.py", KAFKA=kafka.bootstrap, ALERTS=topic, GROUP=unique_name)
        assert consumer.stdout is not None
        try:
            found = []
            for line in consumer.stdout:
                found.append(line)
                if until in line:
                    break
            consumer.send_signal(signal.SIGINT)
            rest, err = consumer.communicate(timeout=60)
        finally:
            consumer.kill()
        assert (rest, err, consumer.returncode) == ("", "", 0)
        return found

    first = told("resolved", firing, None, b'{"type": "somebody.elses"}', firing, resolved)
    second = told("critical", critical)

    assert [line.split()[1:3] for line in first] == [["warning", "firing:"], ["warning", "resolved:"]]
    assert second[-1].split()[1:3] == ["critical", "firing:"]
    assert set(second[:-1]) <= {first[-1]}  # it may have been stopped before it committed the last one
