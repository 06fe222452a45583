import gc
import os
import signal
from pathlib import Path

import pytest
import redis

from driftline.sandbox import RedisServer, SandboxError
from driftline.sandbox.redis import answers


def connect(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, retry=None, decode_responses=True)


def setting(client: redis.Redis, name: str) -> str:
    values = client.config_get(name)
    assert isinstance(values, dict)
    return str(values[name])


def test_it_keeps_writes_and_evicts_nothing() -> None:
    with RedisServer() as server, connect(server) as client:
        assert setting(client, "appendonly") == "yes"
        assert setting(client, "appendfsync") == "everysec"
        assert setting(client, "maxmemory-policy") == "noeviction"


def test_acknowledged_writes_survive_a_kill() -> None:
    with RedisServer(options={"appendfsync": "always"}) as server:
        url, first = server.url, server.pid
        with connect(server) as client:
            client.set("written", "yes")
        server.kill()
        with connect(server) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        server.start()
        assert server.url == url
        assert server.pid != first
        with connect(server) as client:
            assert client.get("written") == "yes"


def test_restart_keeps_data_and_address() -> None:
    with RedisServer() as server:
        with connect(server) as client:
            client.set("written", "yes")
        server.restart()
        with connect(server) as client:
            assert client.get("written") == "yes"


def test_a_server_that_is_slow_to_begin_is_waited_for() -> None:
    with RedisServer() as server, redis.Redis.from_url(server.url, socket_timeout=0.1, retry=None) as client:
        os.kill(server.pid, signal.SIGSTOP)
        assert not answers(client)
        os.kill(server.pid, signal.SIGCONT)
        while not answers(client):
            assert server.pid


def test_a_password_is_asked_for() -> None:
    with RedisServer(password='p w/"\\@') as server:
        with connect(server) as client:
            assert client.ping()
        without_login = f"redis://{server.url.rpartition('@')[2]}"
        with redis.Redis.from_url(without_login) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_leaving_deletes_the_data() -> None:
    with RedisServer() as server:
        directory, pid = server.log_file.parent, server.pid
        assert directory.is_dir()
    assert not directory.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_a_server_that_was_stopped_deletes_its_data_when_it_is_forgotten() -> None:
    server = RedisServer()
    server.start()
    server.stop()
    directory = server.log_file.parent
    assert directory.is_dir()
    del server
    gc.collect()
    assert not directory.exists()


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(SandboxError, match=r"(?s)Redis ended with status 1.*maxmemory-policy sometimes"):
        RedisServer(options={"maxmemory-policy": "sometimes"}).start()


def test_starting_twice_is_refused() -> None:
    with RedisServer() as server, pytest.raises(SandboxError, match="running already"):
        server.start()


def test_a_missing_binary_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="apt-get install redis-server"):
        RedisServer()
