import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from threading import Thread
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from driftline.cli.connect import open_kafka, patiently
from driftline.cli.run import refuse_half_a_backend
from driftline.config import Settings
from driftline.errors import ConfigError, LogUnavailable
from driftline.log import kafka as kafka_module
from driftline.sandbox import KafkaServer, RedisServer
from driftline.sandbox.process import free_port
from driftline.state.redis import RedisStore
from tests.cli.conftest import Driftline
from tests.cli.processes import driftline as in_a_process
from tests.cli.processes import start

EVENTS = 500
EVENT = '{"event_id":"%d","event_time":%d,"model":"m","features":{"x":%d},"prediction":0.5}'


@pytest.fixture
def ready(driftline: Driftline, on_kafka: dict[str, str], redis_url: str, unique_name: str) -> dict[str, str]:
    """Variables for a worker with topics, and some events in them."""
    env = {**on_kafka, "DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": unique_name}
    assert driftline("topics", "create", "--partitions", 2, "--pane-partitions", 2, **env).status == 0
    producer = Producer({"bootstrap.servers": env["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    now = time.time_ns() // 1_000_000
    for number in range(EVENTS):
        value = EVENT % (number, now + number, number)
        producer.produce(env["DRIFTLINE_TOPICS__PREDICTIONS"], value, key=str(number))
    assert producer.flush(20) == 0
    return env


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 60) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Running:
    """A worker's process, its log lines collected as they come."""

    def __init__(self, *arguments: str, env: dict[str, str]) -> None:
        self.process = start("run", *arguments, env=env)
        self.lines: list[str] = []
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def hang_up(self) -> None:
        """Close its standard input, as the end of its parent does."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(10)
        for pipe in (self.process.stdin, self.process.stderr):
            assert pipe is not None
            pipe.close()


def read_offsets(env: dict[str, str]) -> int:
    """Return how many predictions are checkpointed."""
    store = RedisStore(env["DRIFTLINE_REDIS__URL"])
    topic = env["DRIFTLINE_TOPICS__PREDICTIONS"]
    try:
        return sum(info.offsets.get(topic, 0) for info in store.tasks(env["DRIFTLINE_GROUP"]))
    finally:
        store.close()


def test_sigterm_checkpoints_what_was_read_and_ends_with_status_0(ready: dict[str, str]) -> None:
    port = free_port()
    # No checkpoint is due within the test: what is stored was stored because of the signal.
    env = {**ready, "DRIFTLINE_CHECKPOINT": "1h", "DRIFTLINE_METRICS__PORT": str(port)}

    with Running("--log-format", "json", env=env) as worker:
        wait_until(lambda: _metric(port, "driftline_records_total") == EVENTS, "the events were not read")
        health = json.load(urlopen(f"http://127.0.0.1:{port}/health", timeout=5))
        assert (health["healthy"], health["reasons"]) == (True, [])
        (worker_facts,) = health["workers"].values()
        assert (worker_facts["tasks"], worker_facts["set_aside"], worker_facts["silent_models"]) == (4, [], [])
        assert _metric(port, "driftline_tasks") == 4
        assert read_offsets(env) == 0
        asked = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0

    assert time.monotonic() - asked < 20
    assert read_offsets(env) == EVENTS
    lines = [json.loads(line) for line in worker.lines]
    assert sum(re.match(r"driftline \S+ starts: group ", line["message"]) is not None for line in lines) == 1
    assert lines[-1]["message"].startswith(f"stopped: {EVENTS} records")


def test_several_processes_stop_together_when_the_parent_is_asked(ready: dict[str, str]) -> None:
    with Running("--workers", "2", env=ready) as parent:
        wait_until(lambda: read_offsets(ready) == EVENTS, "the events were not read")
        parent.process.send_signal(signal.SIGINT)
        assert parent.process.wait(30) == 0

    assert sum("stopped: " in line for line in parent.lines) == 2


def test_a_child_whose_parent_has_gone_stops_and_leaves_where_stopping_hangs(ready: dict[str, str]) -> None:
    """Nobody else would end it. Here it is a Redis that takes the last checkpoint and never answers."""
    port = free_port()
    with RedisServer() as redis:
        more = {"CHECKPOINT": "1h", "METRICS__PORT": str(port), "SHUTDOWN": "500ms"}
        own = {"REDIS__URL": redis.url, "REDIS__TIMEOUT": "1h"}
        env = ready | {f"DRIFTLINE_{name}": value for name, value in (more | own).items()}
        with Running("--child", env=env) as child:
            wait_until(lambda: _metric(port, "driftline_records_total") == EVENTS, "the events were not read")
            os.kill(redis.pid, signal.SIGSTOP)
            child.hang_up()
            assert child.process.wait(20) == 1

    assert "the parent process has ended: stopping" in "\n".join(child.lines)
    assert "not finished within the `shutdown` time: exiting" in child.lines[-1]


def _metric(port: int, name: str) -> float:
    """Return the sum of a metric over its labels; -1 if it is not served yet."""
    try:
        text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    except OSError:
        return -1
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


# what must hold before work begins


def test_missing_topics_are_said_once_and_the_status_is_2(on_kafka: dict[str, str], redis_url: str) -> None:
    done = in_a_process("run", "--workers", "2", env={**on_kafka, "DRIFTLINE_REDIS__URL": redis_url})

    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2
    assert len(errors) == len(done.stderr.splitlines()) == 4
    assert all("does not exist: create it with `driftline topics create`" in line for line in errors)


def test_programs_get_fatal_errors_as_log_lines(on_kafka: dict[str, str], redis_url: str) -> None:
    done = in_a_process("run", "--log-format", "json", env={**on_kafka, "DRIFTLINE_REDIS__URL": redis_url})

    assert done.returncode == 2
    assert "does not exist" in json.loads(done.stderr)["message"]


def test_a_wrong_password_of_redis_is_an_error_without_the_password(ready: dict[str, str]) -> None:
    with RedisServer(password="right-one") as redis:
        wrong = redis.url.replace("right-one", "wrong-one")
        done = in_a_process("run", env={**ready, "DRIFTLINE_REDIS__URL": wrong})

    assert done.returncode == 2
    assert re.match(r"error: .*(password|AUTH|WRONGPASS)", done.stderr), done.stderr
    assert "wrong-one" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def guarded() -> Iterator[KafkaServer]:
    """A Kafka with passwords."""
    with KafkaServer(users={"admin": "admin-secret", "worker": "worker-secret"}, heap="512m") as server:
        yield server


def guarded_env(server: KafkaServer, password: str, redis_url: str) -> dict[str, str]:
    kafka = {"bootstrap.servers": server.bootstrap, **server.login("worker", password)}
    return {"DRIFTLINE_KAFKA": json.dumps(kafka), "DRIFTLINE_REDIS__URL": redis_url}


def test_a_wrong_password_of_kafka_is_an_error_without_the_password(guarded: KafkaServer, redis_url: str) -> None:
    done = in_a_process("run", env=guarded_env(guarded, "wrong-one", redis_url))

    assert done.returncode == 2
    assert done.stderr.startswith("error: Kafka refused")
    assert "Check the credentials" in done.stderr
    assert "wrong-one" not in done.stderr
    assert "Traceback" not in done.stderr


def test_no_permission_to_read_is_an_error_that_says_so(guarded: KafkaServer, redis_url: str) -> None:
    """The worker may look at everything, and read or join nothing."""
    admin_env = {"DRIFTLINE_KAFKA": json.dumps(guarded.client_settings)}
    assert in_a_process("topics", "create", env=admin_env).returncode == 0
    describe = AclBinding(
        ResourceType.TOPIC,
        "*",
        ResourcePatternType.LITERAL,
        "User:worker",
        "*",
        AclOperation.DESCRIBE,
        AclPermissionType.ALLOW,
    )
    admin = AdminClient(guarded.client_settings)
    for answer in admin.create_acls([describe]).values():
        answer.result(timeout=20)

    done = in_a_process("run", env=guarded_env(guarded, "worker-secret", redis_url))

    assert done.returncode == 2, done.stderr
    assert "error: Kafka refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_kafka_is_waited_for_and_then_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kafka_module, "ASK_S", 0.3)
    monkeypatch.setattr("driftline.cli.connect.patiently", _hardly_patient)
    settings = Settings.model_validate({"kafka": {"bootstrap.servers": f"127.0.0.1:{free_port()}"}})

    with pytest.raises(LogUnavailable, match=r"Kafka did not answer for 0\.1 s"):
        open_kafka(settings)
    assert "retrying for 0.1 s" in capsys.readouterr().err


def _hardly_patient(what: str, attempt: Callable[[], object]) -> object:
    return patiently(what, attempt, patience_s=0.1)


@pytest.mark.parametrize(
    ("given", "workers", "said"),
    [
        ({"redis": {"url": "redis://h"}}, 1, "no Kafka is"),
        ({"kafka": {"bootstrap.servers": "h:1"}}, 2, "2 workers hand their state to each other"),
    ],
)
def test_half_a_backend_is_refused_where_it_cannot_work(given: dict[str, object], workers: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        refuse_half_a_backend(Settings.model_validate(given), workers)


def test_an_embedded_run_says_where_to_publish_and_stops_by_itself() -> None:
    done = in_a_process("run", "--workers", "2", "--until-caught-up", env={})

    assert done.returncode == 0, done.stderr
    assert re.search(r"publish to it with DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS=127\.0\.0\.1:\d+", done.stderr)


def test_kafka_without_redis_works_alone_and_says_what_that_means(ready: dict[str, str]) -> None:
    env = {name: value for name, value in ready.items() if name != "DRIFTLINE_REDIS__URL"}

    done = in_a_process("run", "--until-caught-up", env=env)

    assert done.returncode == 0, done.stderr
    assert "After a restart it reads everything in Kafka again" in done.stderr
