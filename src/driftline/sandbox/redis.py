"""A real Redis on loopback, from the machine's redis-server."""

import shutil
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import redis

from driftline.sandbox.errors import SandboxError
from driftline.sandbox.process import ServerProcess, free_port
from driftline.sandbox.server import LoopbackServer

START_TIMEOUT_S = 20


class RedisServer(LoopbackServer):
    """One redis-server that logs every write (AOF, synced each second) and evicts nothing.

    `options` are lines of redis.conf, and win over ours: `{"appendfsync": "always", "maxmemory": "10mb"}`. `binary` may
    be another server that does as Redis does.
    """

    name = "Redis"

    def __init__(
        self, *, options: Mapping[str, str] | None = None, password: str | None = None, binary: str | None = None
    ) -> None:
        self._binary = binary or redis_binary()
        super().__init__()
        self._password = password
        self._port = free_port()
        self._settings_file = self._directory / "redis.conf"
        options = options or {}
        # A node of a cluster listens on a second port. Redis takes one 10,000 above the first: among the ports of
        # outgoing connections, where it may be in use.
        second_port = {"cluster-port": str(free_port())} if options.get("cluster-enabled") == "yes" else {}
        settings = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "dir": str(self._directory),
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            **({} if password is None else {"requirepass": quoted(password)}),
            **second_port,
            **options,
        }
        self._settings_file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._settings_file.chmod(0o600)

    @property
    def port(self) -> int:
        """The same over every restart."""
        return self._port

    @property
    def url(self) -> str:
        """Address of database 0, with the password if there is one."""
        login = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"redis://{login}127.0.0.1:{self._port}/0"

    @property
    def origin(self) -> str:
        """Where this Redis comes from, for people."""
        return self._binary

    def _prepare(self) -> Sequence[str]:
        return [self._binary, str(self._settings_file)]

    def connect(self) -> redis.Redis:
        """Return a client, which the caller closes."""
        return redis.Redis.from_url(self.url, socket_timeout=5, retry=None, decode_responses=True)

    def _wait_until_ready(self, process: ServerProcess) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=1, retry=None) as client:
            process.wait_until(lambda: answers(client), timeout_s=START_TIMEOUT_S)


def redis_binary() -> str:
    """Return the machine's redis-server. Raises `SandboxError`."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise SandboxError(
            "No redis-server was found. Install it (Debian, Ubuntu: sudo apt-get install redis-server; "
            "macOS: brew install redis)."
        )
    return binary


def quoted(value: str) -> str:
    """Return a value as a configuration file wants it, whatever is in it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def answers(client: redis.Redis) -> bool:
    """Tell whether a server takes commands."""
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):  # refused, slow, or still loading its AOF (BusyLoadingError)
        return False
