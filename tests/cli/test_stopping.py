"""SIGTERM and Ctrl-C before there is work, and while there is."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from confluent_kafka.admin import AdminClient

from driftline.cli.stopping import ending_before_work, ending_on_signals, stopping_on_signals
from driftline.errors import LogUnavailable, TopicError
from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka
from driftline.sandbox.process import free_port
from tests.cli.processes import start

both = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def ask(number: int) -> None:
    """Send a signal to this process; its handler runs before this returns."""
    os.kill(os.getpid(), number)


def ask_where_it_is_swallowed(number: int) -> None:
    with suppress(BaseException):
        ask(number)


@both
def test_before_there_is_work_a_signal_leaves_the_block(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = signal.getsignal(number)
    reached = False
    with ending_before_work():
        ask(number)
        reached = True

    assert not reached
    assert f"{number.name}: no work in progress: stopping" in caplog.text
    assert signal.getsignal(number) is before


@both
def test_while_there_is_work_a_signal_asks_it_to_finish(number: signal.Signals) -> None:
    asked: list[str] = []
    with ending_before_work(), stopping_on_signals(lambda: asked.append("stop"), 60) as stopping:
        ask(number)
        asked.append("finished")

    assert asked == ["stop", "finished"]
    assert (stopping.by, stopping.status) == (number, 128 + number)


def test_no_signal_is_status_0() -> None:
    with stopping_on_signals(lambda: None, 60) as stopping:
        pass

    assert (stopping.by, stopping.status) == (None, 0)


@both
def test_a_signal_that_a_library_swallows_is_not_lost(number: signal.Signals) -> None:
    asked: list[str] = []
    with ending_before_work():
        ask_where_it_is_swallowed(number)
        with stopping_on_signals(lambda: asked.append("stop"), 60):
            asked.append("began")
    assert asked == ["stop", "began"]

    with ending_on_signals():
        ask_where_it_is_swallowed(number)
        with pytest.raises(SystemExit) as caught, ending_before_work():
            asked.append("worked")
    assert (caught.value.code, asked) == (0, ["stop", "began"])


@both
def test_a_signal_in_a_finaliser_is_no_fault_to_tell_of(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda swallowed: told.append(swallowed.exc_type))

    class Closed:
        def __init__(self, close: Callable[[], object]) -> None:
            self._close = close

        def __del__(self) -> None:
            self._close()

    with ending_on_signals():
        Closed(lambda: ask(number))
        Closed(lambda: {"a": 1}["b"])
    assert told == [KeyError]


@both
def test_what_was_asked_once_is_not_asked_again(number: signal.Signals) -> None:
    with ending_before_work():
        ask(number)
    asked: list[str] = []
    with ending_before_work(), stopping_on_signals(lambda: asked.append("stop"), 60):
        asked.append("began")

    assert asked == ["began"]


@both
def test_a_command_ends_with_the_status_of_the_signal(number: signal.Signals) -> None:
    with pytest.raises(SystemExit) as caught, ending_on_signals():
        ask(number)

    assert caught.value.code == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]


@both
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_worker_that_waits_for_kafka_and_redis_leaves_at_once(number: signal.Signals, workers: str) -> None:
    away = {
        "DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "DRIFTLINE_REDIS__URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    with start("run", "--workers", workers, env=away) as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            if "retrying for 30 s" in line:
                break
        begin = time.monotonic()
        worker.send_signal(number)
        rest = worker.stderr.read()
        status = worker.wait(20)

    assert (status, time.monotonic() - begin < 15) == (0, True)
    assert rest.splitlines()[-1].endswith(f"{number.name}: no work in progress: stopping")


def test_ctrl_c_ends_a_demo_without_a_verdict(kafka: Kafka) -> None:
    """On a Kafka, for there one can see how far it is."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    earlier = demo_topics(admin)
    with start("demo", "--seconds", "60", env={"DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap}) as demo:
        assert demo.stderr is not None
        try:
            wait_until(lambda: published(kafka, demo_topics(admin) - earlier) > 0)
            demo.send_signal(signal.SIGINT)
            said = demo.stderr.read()
            status = demo.wait(60)
        finally:
            demo.kill()
            for gone in admin.delete_topics(sorted(demo_topics(admin) - earlier)).values():
                gone.result(timeout=20)

    assert status == 130
    assert "stopped before it finished" in said
    assert "the demo leaves these topics on your Kafka: driftline-demo-" in said
    assert "wrong:" not in said
    assert "Traceback" not in said


def demo_topics(admin: AdminClient) -> set[str]:
    return {topic for topic in admin.list_topics(timeout=20).topics if topic.startswith("driftline-demo-")}


def published(kafka: Kafka, topics: set[str]) -> int:
    """Return how many predictions a demo has published."""
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    with suppress(LogUnavailable, TopicError):  # a topic that is being created
        return sum(end for topic in topics if topic.endswith(".predictions") for _, end in log.bounds(topic).values())
    return 0


def wait_until(condition: Callable[[], bool], deadline_s: float = 90) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


HANGS = """
import ctypes, os, signal
from driftline.cli import stopping

stopping.GIVE_UP_S = 0.1
with stopping.stopping_on_signals(lambda: None, 0.1):
    os.kill(os.getpid(), signal.SIGTERM)
    ctypes.PyDLL(None).sleep(600)  # waits with Python's lock held, as a library's call does that never returns
"""


def test_a_process_ends_also_where_a_library_keeps_pythons_lock_and_says_where_it_stands() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert 'File "<string>", line 8' in ended.stderr
