"""The publisher as a service uses it: what arrives, and what is told when it does not."""

import doctest
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any, assert_type

import pytest

import driftline
from driftline import Publisher
from driftline.errors import ConfigError, DeliveryPending, DriftlineError, InputError, PublishError
from driftline.log.embedded import EmbeddedLog
from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedLog]:
    log = EmbeddedLog()
    yield log
    log.close()


def events_in(log: EmbeddedLog | KafkaLog, topic: str) -> list[tuple[str, int, dict[str, Any]]]:
    reader = log.read(topic)
    events = []
    while not reader.at_end:
        for source, _, _, record in reader.poll(1.0):
            assert record.key is not None
            assert record.value is not None
            events.append((record.key.decode(), source.partition, json.loads(record.value)))
    reader.close()
    return events


def test_events_arrive_on_a_real_kafka_each_in_the_partition_of_its_id(
    kafka: Kafka, make_topics: Callable[..., str]
) -> None:
    first, second = make_topics("predictions", partitions=8), make_topics("others", partitions=8)
    for topic in (first, second):
        with Publisher(kafka.bootstrap, predictions=topic) as publisher:
            for n in range(200):
                publisher.publish(model="churn", event_id=f"p-{n}", features={"n": n}, prediction={"value": n})
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    sent, again = events_in(log, first), events_in(log, second)
    assert sorted(event["features"]["n"] for _, _, event in sent) == list(range(200))
    assert all(key == event["event_id"] for key, _, event in sent)
    assert {key: partition for key, partition, _ in sent} == {key: partition for key, partition, _ in again}
    assert len({partition for _, partition, _ in sent}) == 8


def test_an_event_arrives_whole(embedded: EmbeddedLog) -> None:
    with Publisher(embedded.bootstrap, predictions="whole") as publisher:
        event_id = publisher.publish(
            model="churn",
            model_version="3",
            event_time="2026-08-21T09:00:00Z",
            features={"age": 34, "city": "Oslo", "score": float("nan")},
            prediction={"label": "yes", "proba": {"yes": 0.81, "no": 0.19}},
            segment={"tenant": "acme"},
            tags={"code_version": "git:abc"},
            latency_ms=12.5,
        )
    [(key, _, event)] = events_in(embedded, "whole")
    assert key == event_id
    assert event == {
        "event_id": event_id,
        "event_time": "2026-08-21T09:00:00Z",
        "model": "churn",
        "model_version": "3",
        "features": {"age": 34, "city": "Oslo", "score": None},
        "prediction": {"label": "yes", "proba": {"yes": 0.81, "no": 0.19}},
        "segment": {"tenant": "acme"},
        "tags": {"code_version": "git:abc"},
        "latency_ms": 12.5,
    }


def test_many_threads_share_one(embedded: EmbeddedLog) -> None:
    with Publisher(embedded.bootstrap, predictions="threads") as publisher, ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda n: publisher.publish(model="m", prediction=n), range(800)))
    assert {key for key, _, _ in events_in(embedded, "threads")} == ids
    assert len(ids) == 800


def test_bytes_go_as_they_are(embedded: EmbeddedLog) -> None:
    with Publisher(embedded.bootstrap) as publisher:
        publisher.send("raw", "k", b'{"a": 1}')
        publisher.send("raw", "k", {"a": 2})
    assert [event for _, _, event in events_in(embedded, "raw")] == [{"a": 1}, {"a": 2}]


def deep() -> dict[str, Any]:
    features: dict[str, Any] = {}
    features["self"] = features
    return features


@pytest.mark.parametrize("features", [{"x": object()}, {"x": "\ud800"}, {(1, 2): 3}, deep()])
def test_what_has_no_form_is_rejected_and_not_queued(embedded: EmbeddedLog, features: dict[str, Any]) -> None:
    with Publisher(embedded.bootstrap, predictions="refused") as publisher:
        with pytest.raises(InputError, match=r"^features") as caught:
            publisher.publish(model="m", features=features, event_id="bad")
        assert (caught.value.topic, caught.value.key) == ("refused", b"bad")
        publisher.publish(model="m", prediction=1, event_id="good")
    assert {key for key, _, _ in events_in(embedded, "refused")} == {"good"}


def unreachable(**options: Any) -> Publisher:
    kafka = {"message.timeout.ms": 300, "linger.ms": 0, **options.pop("kafka", {})}
    return Publisher(NOWHERE, kafka=kafka, **options)


def test_delivery_errors_come_out_of_flush() -> None:
    publisher = unreachable()
    publisher.publish(model="m", prediction=1, event_id="p-1")
    publisher.publish(model="m", prediction=1, event_id="p-2")
    with pytest.raises(PublishError, match=r"2 records .* the first: topic predictions.*'p-1'.*timed out") as caught:
        publisher.flush(20)
    assert (caught.value.topic, caught.value.partition, caught.value.key) == ("predictions", None, b"p-1")
    publisher.close()


def test_delivery_errors_come_out_of_the_next_call() -> None:
    publisher = unreachable()
    publisher.publish(model="m", prediction=1, event_id="p-1")

    def publish_until_told() -> None:
        while True:
            publisher.publish(model="m", prediction=2)

    with pytest.raises(PublishError, match=r"not delivered|timed out"):
        publish_until_told()
    with pytest.raises(PublishError):
        publisher.close()
    publisher.close()


def test_delivery_errors_come_out_at_the_end_of_the_context() -> None:
    with pytest.raises(PublishError, match="'p-1'"), unreachable() as publisher:
        publisher.publish(model="m", prediction=1, event_id="p-1")


def test_an_error_of_the_service_is_not_hidden_by_ours() -> None:
    def serve() -> None:
        with unreachable() as publisher:
            publisher.publish(model="m", prediction=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        serve()
    assert "not delivered" in caught.value.__notes__[0] or "timed out" in caught.value.__notes__[0]


def test_on_error_keeps_the_service_going() -> None:
    errors: list[DriftlineError] = []
    with unreachable(on_error=errors.append) as publisher:
        publisher.publish(model="m", prediction=1, event_id="p-1")
        while not errors:
            publisher.publish(model="m", prediction=2)
        with pytest.raises(InputError):
            publisher.publish(model="m")
    assert all(isinstance(error, PublishError) for error in errors)


def test_a_full_queue_holds_the_caller_back_for_so_long() -> None:
    small = {"queue.buffering.max.messages": 10, "message.timeout.ms": 60_000}
    publisher = unreachable(kafka=small, max_block_s=0.3, flush_s=0.1)

    def publish_eleven() -> None:
        for n in range(11):
            publisher.publish(model="m", prediction=n, event_id=f"p-{n}")

    with pytest.raises(DeliveryPending, match=r"'p-10': 10 records wait for Kafka, .* no room for 0\.3 s") as caught:
        publish_eleven()
    assert caught.value.key == b"p-10"
    with pytest.raises(PublishError, match=r"10 records are not delivered after 0\.1 s"):
        publisher.close()


def test_a_full_queue_lets_nothing_fall(embedded: EmbeddedLog) -> None:
    small = {"queue.buffering.max.messages": 20}
    with Publisher(embedded.bootstrap, predictions="pressed", kafka=small) as publisher:
        for n in range(400):
            publisher.publish(model="m", prediction=n)
    assert sorted(event["prediction"] for _, _, event in events_in(embedded, "pressed")) == list(range(400))


def test_a_closed_publisher_says_so(embedded: EmbeddedLog) -> None:
    publisher = Publisher(embedded.bootstrap)
    publisher.close()
    with pytest.raises(PublishError, match="closed"):
        publisher.publish(model="m", prediction=1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "bootstrap.servers is missing"),
        ({"bootstrap_servers": "a:1", "kafka": {"bootstrap.servers": "b:1"}}, "given twice"),
        ({"bootstrap_servers": "a:1", "kafka": {"enable.idempotence": False}}, "kafka.enable.idempotence is set by"),
        ({"bootstrap_servers": "a:1", "kafka": {"no.such.setting": 1}}, "no.such.setting"),
        ({"bootstrap_servers": "a:1", "kafka": {"batch.size": "large"}}, "batch.size"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Publisher(**arguments)


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_nobody_flushed_is_delivered_at_exit(embedded: EmbeddedLog) -> None:
    code = """
        import sys
        from driftline import Publisher
        publisher = Publisher(sys.argv[1], predictions="exit", kafka={"linger.ms": 5000})
        publisher.publish(model="m", prediction=1, event_id="last")
    """
    done = run_python(code, embedded.bootstrap)
    assert (done.returncode, done.stderr) == (0, "")
    assert [key for key, _, _ in events_in(embedded, "exit")] == ["last"]


def test_what_could_not_be_delivered_at_exit_is_told() -> None:
    """Nobody is left who could be raised to: the last word is a log line, also where logging was never set up."""
    code = """
        import sys
        from driftline import Publisher
        publisher = Publisher(sys.argv[1], flush_s=0.2)
        publisher.publish(model="m", prediction=1)
    """
    done = run_python(code, NOWHERE)
    assert "events were lost at exit" in done.stderr
    assert "1 records are not delivered after 0.2 s" in done.stderr


def test_a_forked_process_is_told_to_make_its_own(embedded: EmbeddedLog) -> None:
    code = """
        import os, sys
        from driftline import Publisher
        from driftline.errors import LogUnavailable
        publisher = Publisher(sys.argv[1], predictions="fork")
        child = os.fork()
        if child == 0:
            try:
                publisher.publish(model="m", prediction=1)
            except LogUnavailable as error:
                print(error, flush=True)
                publisher.close()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        publisher.publish(model="m", prediction=1, event_id="parent")
        publisher.close()
    """
    done = run_python(code, embedded.bootstrap)
    assert (done.returncode, done.stderr) == (0, "")
    assert "before the process forked" in done.stdout
    assert [key for key, _, _ in events_in(embedded, "fork")] == ["parent"]


def test_the_example_in_the_documentation_works() -> None:
    assert doctest.testmod(sys.modules[Publisher.__module__]).failed == 0


def test_importing_it_stays_light() -> None:
    code = """
        import sys
        from driftline import Publisher
        print(*sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])))
    """
    done = run_python(code, "numpy", "polars", "pydantic", "scipy", "river", "redis", "typer", "rich", "pandas")
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_package_exports_what_it_says() -> None:
    assert driftline.__all__ == sorted(driftline.__all__)
    assert dir(driftline) == driftline.__all__
    assert all(getattr(driftline, name) is not None for name in driftline.__all__)
    assert_type(driftline.Publisher, type[Publisher])
    assert driftline.__version__ == version("driftline")
    with pytest.raises(AttributeError, match="no attribute 'Publicher'"):
        driftline.Publicher  # noqa: B018
