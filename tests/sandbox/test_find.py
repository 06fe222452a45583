"""Named servers first, then containers, then servers started here; and nothing is skipped when there are none."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import redis
from confluent_kafka.admin import AdminClient

from driftline.sandbox import Kafka, find_kafka, find_redis
from driftline.sandbox.find import KAFKA_VARIABLE, REDIS_VARIABLE, containers_can_run
from driftline.sandbox.process import free_port

ROOT = Path(__file__).parents[2]

MakeTopic = Callable[..., str]


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")


def test_named_servers_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KAFKA_VARIABLE, "broker-1:9092,broker-2:9092")
    monkeypatch.setenv(REDIS_VARIABLE, "redis://cache:6379/7")
    with find_kafka() as kafka, find_redis() as found:
        assert kafka.bootstrap == "broker-1:9092,broker-2:9092"
        assert found.url == "redis://cache:6379/7"
        assert KAFKA_VARIABLE in kafka.origin
        assert REDIS_VARIABLE in found.origin


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_servers_are_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REDIS_VARIABLE, raising=False)
    assert not containers_can_run()
    with find_redis() as found:
        assert found.url.startswith("redis://127.0.0.1:")
        assert "redis-server" in found.origin


class _Engine(BaseHTTPRequestHandler):
    """As much of Docker's API as asking whether it is there takes."""

    def do_GET(self) -> None:
        body = b'{"ApiVersion": "1.50", "Version": "28.2.2"}' if self.path.endswith("/version") else b"OK"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.usefixtures("engine")
def test_an_engine_that_answers_is_found() -> None:
    assert containers_can_run()


@pytest.mark.parametrize("value", ["first", "second"])
def test_each_test_finds_the_shared_redis_empty(redis_url: str, value: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left behind", value)


def test_topics_are_made_as_asked(kafka: Kafka, make_topics: MakeTopic) -> None:
    panes, alerts = make_topics("panes", partitions=3), make_topics("alerts")
    topics = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=20).topics
    assert {name: len(topics[name].partitions) for name in (panes, alerts)} == {panes: 3, alerts: 1}


def test_tests_with_real_servers_are_marked(request: pytest.FixtureRequest, redis_url: str) -> None:
    assert request.node.get_closest_marker("real") is not None


@pytest.mark.usefixtures("no_engine")
def test_a_missing_server_is_an_error_and_not_a_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REDIS_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    this_file = "tests/sandbox/test_find.py::test_tests_with_real_servers_are_marked"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", this_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 1
    assert "1 error" in run.stdout
    assert "apt-get install redis-server" in run.stdout
