import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from driftline.runtime.processes import WorkerProcesses

# Stands in for a worker: says that it is there, then waits to be told to stop, or does as ROLE says. One that fails
# does so when "waits" is there: before that, a signal would end it without a word.
CHILD = """
import os, signal, sys, time
def leave(*_):
    os.write(1, (os.environ["ROLE"] + " stopped\\n").encode())
    sys.exit(0)
role = os.environ["ROLE"]
if role != "new":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if role == "deaf" else leave)
open(os.path.join(sys.argv[1], role), "w").write(str(os.getpid()))
if role == "fails":
    while not os.path.exists(os.path.join(sys.argv[1], "waits")):
        time.sleep(0.01)
    sys.exit(3)
if role == "done":
    sys.exit(0)
sys.stdin.read()
"""


def start(folder: Path, roles: Sequence[str], *, bounded: bool = False, shutdown_s: float = 10) -> WorkerProcesses:
    environments = [{"ROLE": role} for role in roles]
    return WorkerProcesses(
        [sys.executable, "-c", CHILD, str(folder)], environments, bounded=bounded, shutdown_s=shutdown_s
    )


def wait_until(condition: Callable[[], bool], deadline_s: float = 20) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def pid(folder: Path, role: str) -> int:
    wait_until(lambda: (folder / role).is_file() and bool((folder / role).read_text()))
    return int((folder / role).read_text())


def test_a_child_that_fails_takes_the_others_down_and_gives_its_status(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert start(tmp_path, ["waits", "fails"]).wait() == 3

    assert "waits stopped" in capfd.readouterr().out
    assert "worker 2 of 2 (process " in caplog.text
    assert "ended with status 3; stopping the others" in caplog.text


def test_a_child_that_ends_unasked_is_a_failure_unless_the_run_is_bounded(tmp_path: Path) -> None:
    assert start(tmp_path, ["waits", "done"]).wait() == 1
    assert start(tmp_path, ["done", "done"], bounded=True).wait() == 0


def test_a_child_that_is_killed_is_a_failure(tmp_path: Path) -> None:
    processes = start(tmp_path, ["waits"])
    os.kill(pid(tmp_path, "waits"), signal.SIGKILL)

    assert processes.wait() == 1


def test_asked_to_stop_all_stop_and_that_is_success(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    processes = start(tmp_path, ["one", "two"])
    pid(tmp_path, "one"), pid(tmp_path, "two")

    processes.stop()

    assert processes.wait() == 0
    assert sorted(capfd.readouterr().out.splitlines()) == ["one stopped", "two stopped"]


def test_a_child_that_does_not_listen_yet_may_be_ended_by_the_signal(tmp_path: Path) -> None:
    processes = start(tmp_path, ["new", "one"])
    pid(tmp_path, "new"), pid(tmp_path, "one")

    processes.stop()

    assert processes.wait() == 0


def test_a_child_that_somebody_else_ends_by_that_signal_is_a_failure(tmp_path: Path) -> None:
    processes = start(tmp_path, ["new"])
    os.kill(pid(tmp_path, "new"), signal.SIGTERM)

    assert processes.wait() == 1


def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 1
        time.sleep(0.01)

    processes = WorkerProcesses(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        [{"ROLE": "deaf"}],
        bounded=False,
        shutdown_s=2,
        clock=lambda: now,
        sleep=sleep,
    )
    pid(tmp_path, "deaf")
    processes.stop()

    assert processes.wait() == 1
    assert "did not stop in time: killed" in caplog.text


def test_children_hear_the_end_of_their_parent_however_it_came(tmp_path: Path) -> None:
    program = f"""
import sys
from driftline.runtime.processes import WorkerProcesses
command = [sys.executable, "-c", {CHILD!r}, {str(tmp_path)!r}]
WorkerProcesses(command, [{{"ROLE": "orphan"}}], bounded=False, shutdown_s=9).wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL) as parent:
        orphan = pid(tmp_path, "orphan")
        parent.kill()

    wait_until(lambda: not _alive(orphan))


def _alive(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
