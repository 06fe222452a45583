"""A server never outlives its parent, and tells why it ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from driftline.sandbox import RedisServer, SandboxError
from driftline.sandbox.process import LISTEN_PORTS, ServerProcess, accepts_connections, free_port

PATIENCE_S = 20


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shell(tmp_path: Path, script: str) -> ServerProcess:
    return ServerProcess("Test", ["/bin/sh", "-c", script], directory=tmp_path, log=tmp_path / "log")


def test_a_server_dies_with_a_parent_that_is_killed() -> None:
    code = (
        "import threading\n"
        "from driftline.sandbox import RedisServer\n"
        "server = RedisServer()\n"
        # From a thread that has ended by the time it matters: that must not end the server.
        "starter = threading.Thread(target=server.start); starter.start(); starter.join()\n"
        "print(server.pid, server.url, server.log_file.parent, flush=True)\n"
        "threading.Event().wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, url, directory = parent.stdout.readline().split()
        port = int(url.removesuffix("/0").rpartition(":")[2])
        assert accepts_connections(port)
        parent.kill()
    wait_until(lambda: not exists(int(pid)))
    wait_until(lambda: not Path(directory).exists())
    assert not accepts_connections(port)


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    server = shell(tmp_path, "sleep 60")
    try:
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)
    finally:
        server.kill()


def test_an_early_end_is_reported_with_the_end_of_the_log(tmp_path: Path) -> None:
    server = shell(tmp_path, "seq 100; echo no such setting; exit 3")
    with pytest.raises(SandboxError, match=r"(?s)Test ended with status 3\..*\n  no such setting") as raised:
        server.wait_until(lambda: False, timeout_s=PATIENCE_S)
    server.kill()
    assert "\n  77\n" in str(raised.value)
    assert "\n  76\n" not in str(raised.value)


def test_silence_is_reported_with_the_end_of_the_log(tmp_path: Path) -> None:
    server = shell(tmp_path, "echo loading; sleep 60")
    log = tmp_path / "log"
    server.wait_until(lambda: log.read_text() == "loading\n", timeout_s=PATIENCE_S)
    with pytest.raises(SandboxError, match=r"(?s)did not answer within 0\.1 s.*loading"):
        server.wait_until(lambda: False, timeout_s=0.1)
    server.kill()


def test_a_server_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    server = shell(tmp_path, "trap '' TERM; echo up; while :; do sleep 60; done")
    server.wait_until(lambda: (tmp_path / "log").read_text() == "up\n", timeout_s=PATIENCE_S)
    server.terminate(timeout_s=0.1)
    assert not server.running
    assert not exists(server.pid)


def test_a_suspended_server_can_be_stopped(tmp_path: Path) -> None:
    server = shell(tmp_path, "exec sleep 60")
    os.kill(server.pid, signal.SIGSTOP)
    started = time.monotonic()
    server.terminate(timeout_s=PATIENCE_S)
    assert not server.running
    assert time.monotonic() - started < PATIENCE_S / 2


def test_ending_a_server_twice_is_harmless(tmp_path: Path) -> None:
    server = shell(tmp_path, "exec sleep 60")
    server.kill()
    server.kill()
    server.terminate(timeout_s=1)
    assert not server.running


def test_free_ports_keep_clear_of_those_given_to_outgoing_connections() -> None:
    port = free_port()
    assert port in LISTEN_PORTS
    assert not accepts_connections(port)
    local_range = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if local_range.exists():
        assert max(LISTEN_PORTS) < int(local_range.read_text().split()[0])


def test_a_port_given_to_one_process_is_given_to_no_other_before_anything_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setattr("driftline.sandbox.process.LISTEN_PORTS", range(port, port + 1))
    monkeypatch.setattr("driftline.sandbox.process.PORTS_TRIED", 1)
    with pytest.raises(SandboxError, match="None of 1 ports"):
        free_port()


def test_the_second_port_of_a_cluster_node_keeps_clear_of_outgoing_connections() -> None:
    with RedisServer(options={"cluster-enabled": "yes"}) as node, node.connect() as client:
        assert int(client.config_get("cluster-port")["cluster-port"]) in LISTEN_PORTS
