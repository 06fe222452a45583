"""A Redis that fails over: a master, its replicas, and sentinels that watch them, all on loopback."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import redis

from driftline.sandbox.process import ServerProcess, free_port, until
from driftline.sandbox.redis import START_TIMEOUT_S, RedisServer, answers, quoted, redis_binary
from driftline.sandbox.server import LoopbackServer

SERVICE: Final = "driftline"
SENTINELS: Final = 3
DOWN_AFTER_MS: Final = 1_000
"""Silence after which a sentinel takes a master for dead; 30 s by default."""
FAIL_OVER_S: Final = 60
MAX_STALL_MS: Final = 20_000
"""A sentinel that was not scheduled for longer suspects its clock, and does nothing for 30 s; 2 s by default.

A busy machine does stall for 2 s. A replica has then lost its master for so long that no sentinel promotes it, ever.
"""


class Sentinel(LoopbackServer):
    """One sentinel, which is the machine's redis-server in another mode."""

    name = "Sentinel"

    def __init__(
        self, master: RedisServer, *, down_after_ms: int, password: str | None = None, own_password: str | None = None
    ) -> None:
        super().__init__()
        self._binary = redis_binary()
        self._own_password = own_password
        self.port = free_port()
        self._settings_file = self._directory / "sentinel.conf"
        own = [] if own_password is None else [f"requirepass {quoted(own_password)}"]
        between = [] if own_password is None else [f"sentinel sentinel-pass {quoted(own_password)}"]
        login = [] if password is None else [f"sentinel auth-pass {SERVICE} {quoted(password)}"]
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self._directory}",
            *own,
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} {SENTINELS // 2 + 1}",
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
            f"sentinel failover-timeout {SERVICE} 6000",
            *login,
            *between,
        ]
        self._settings_file.write_text("".join(f"{line}\n" for line in lines))
        self._settings_file.chmod(0o600)

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return f"{self._binary} --sentinel"

    def connect(self) -> redis.Redis:
        """Return a client, which the caller closes."""
        login = "" if self._own_password is None else f":{quote(self._own_password, safe='')}@"
        url = f"redis://{login}127.0.0.1:{self.port}"
        return redis.Redis.from_url(url, socket_timeout=5, retry=None, decode_responses=True)

    def service(self) -> Mapping[str, Any]:
        """Return what it knows of the master that it watches."""
        with self.connect() as client:
            found: Mapping[str, Any] = client.sentinel_master(SERVICE)
            return found

    def _prepare(self) -> Sequence[str]:
        return [self._binary, str(self._settings_file), "--sentinel"]

    def _wait_until_ready(self, process: ServerProcess) -> None:
        with self.connect() as client:
            process.wait_until(lambda: answers(client), timeout_s=START_TIMEOUT_S)
            with suppress(redis.ResponseError):  # before Redis 7.0
                client.execute_command("SENTINEL", "DEBUG", "TILT-TRIGGER", str(MAX_STALL_MS))


class RedisSentinels:
    """A master, replicas and three sentinels. A context manager: entering starts them, leaving stops them.

    `options` are lines of each server's redis.conf. `password` is the servers', `sentinel_password` the sentinels'. A
    master that is silent for `down_after_ms` is taken for dead; a busy machine makes one silent for a second.
    """

    def __init__(
        self,
        *,
        replicas: int = 1,
        options: Mapping[str, str] | None = None,
        password: str | None = None,
        sentinel_password: str | None = None,
        down_after_ms: int = DOWN_AFTER_MS,
    ) -> None:
        login = {} if password is None else {"masterauth": quoted(password)}
        shared = {"repl-diskless-sync-delay": "0", **login, **(options or {})}
        first = RedisServer(options=shared, password=password)
        copy = {**shared, "replicaof": f"127.0.0.1 {first.port}"}
        self.servers = [first, *(RedisServer(options=copy, password=password) for _ in range(replicas))]
        self.sentinels = [
            Sentinel(first, down_after_ms=down_after_ms, password=password, own_password=sentinel_password)
            for _ in range(SENTINELS)
        ]
        self._login = "" if password is None else f":{quote(password, safe='')}@"
        self._end = "" if sentinel_password is None else f"?sentinel_password={quote(sentinel_password, safe='')}"
        self._running = ExitStack()

    @property
    def url(self) -> str:
        """Address of the service."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{self._login}{hosts}/{SERVICE}{self._end}"

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return f"{self.servers[0].origin} with sentinels"

    def master(self) -> RedisServer:
        """Return the server that the sentinels call the master."""
        port = int(self.sentinels[0].service()["port"])
        return next(server for server in self.servers if server.port == port)

    def fail_over(self) -> None:
        """Have a replica promoted, as planned. Returns when all sentinels name another master."""
        old = self.master()
        until(self._accept, "a sentinel fails over", timeout_s=FAIL_OVER_S, logs=self._logs)
        self.wait_for_another(old)

    def wait_for_another(self, old: RedisServer) -> None:
        """Return when all sentinels name another master than `old`."""
        until(
            lambda: self._agree(lambda found: found["port"] != old.port),
            "the sentinels name another master",
            timeout_s=FAIL_OVER_S,
            logs=self._logs,
        )

    def bring_back(self, server: RedisServer) -> None:
        """Start a server that was killed, as the master's replica: the sentinels tell it so after ten seconds only."""
        server.start()
        with server.connect() as client:
            client.replicaof("127.0.0.1", str(self.master().port))
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Return when all are in their places: a master with all its replicas, and sentinels that know of them."""
        replicas, others = len(self.servers) - 1, len(self.sentinels) - 1

        def whole(found: Mapping[str, Any]) -> bool:
            known = int(found["num-slaves"]), int(found["num-other-sentinels"])
            return found["flags"] == "master" and known == (replicas, others)

        until(
            lambda: self._agree(whole) and self._linked() == replicas,
            "master, replicas and sentinels find each other",
            timeout_s=FAIL_OVER_S,
            logs=self._logs,
        )

    @property
    def _logs(self) -> list[Path]:
        return [server.log_file for server in (*self.sentinels, *self.servers)]

    def _accept(self) -> bool:
        with self.sentinels[0].connect() as client:
            try:
                client.execute_command("SENTINEL FAILOVER", SERVICE)
            except redis.ResponseError:  # the last one is not over, or no replica is known to be fit yet
                return False
            return True

    def _agree(self, wanted: Callable[[Mapping[str, Any]], bool]) -> bool:
        return all(wanted(sentinel.service()) for sentinel in self.sentinels)

    def _linked(self) -> int:
        with self.master().connect() as client:
            info = client.info("replication")
        return sum(info[f"slave{number}"]["state"] == "online" for number in range(info["connected_slaves"]))

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in (*self.servers, *self.sentinels):
                starting.enter_context(server)
            self.wait_until_whole()
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
