"""A small Redis Cluster on loopback: masters that share the slots, and a replica of each. Needs Redis 7."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from driftline.sandbox.process import until
from driftline.sandbox.redis import RedisServer, quoted

SLOTS: Final = 16_384
NODE_TIMEOUT_MS: Final = 1_000
"""Silence after which a node is taken for dead; 15 s by default."""
FAIL_OVER_S: Final = 60


class RedisNodes:
    """Three masters with a replica each. A context manager: entering starts them, leaving stops them.

    `options` are lines of each server's redis.conf.
    """

    def __init__(
        self, *, masters: int = 3, options: Mapping[str, str] | None = None, password: str | None = None
    ) -> None:
        login = {} if password is None else {"masterauth": quoted(password)}
        self._masters = masters
        self.servers = [
            RedisServer(
                options={
                    "cluster-enabled": "yes",
                    "cluster-node-timeout": str(NODE_TIMEOUT_MS),
                    "repl-diskless-sync-delay": "0",
                    **login,
                    **(options or {}),
                },
                password=password,
            )
            for _ in range(2 * masters)
        ]
        self._login = "" if password is None else f":{quote(password, safe='')}@"
        self._running = ExitStack()

    @property
    def url(self) -> str:
        """Address of the cluster, by its first nodes."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[: self._masters])
        return f"redis+cluster://{self._login}{hosts}"

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        return f"{self.servers[0].origin}, {len(self.servers)} nodes of a cluster"

    def owner_of(self, key: str) -> RedisServer:
        """Return the master that has a key now."""
        some = next(server for server in self.servers if server.running)
        slot = int(_asked(some, "CLUSTER KEYSLOT", key))
        ports = [port for first, last, (_, port, *_), *_ in _asked(some, "CLUSTER SLOTS") if first <= slot <= last]
        return next(server for server in self.servers if server.port == ports[0])

    def replica_of(self, master: RedisServer) -> RedisServer:
        """Return the running replica of a master."""
        roles = {server: _asked(server, "ROLE") for server in self.servers if server.running}
        return next(server for server, role in roles.items() if role[0] == "slave" and role[2] == master.port)

    def fail_over(self, master: RedisServer) -> None:
        """Have a master's replica take its place, as planned. Returns when all nodes know."""
        replica = self.replica_of(master)
        _asked(replica, "CLUSTER FAILOVER")
        self.wait_for(replica)

    def wait_for(self, replica: RedisServer) -> None:
        """Return when all nodes that run know this one as a master."""
        until(
            lambda: all("master" in flags.get(replica.port, "") for flags in self._flags()),
            "all nodes know the new master",
            timeout_s=FAIL_OVER_S,
            logs=self._logs,
        )

    @contextmanager
    def moving(
        self, key: str, source: RedisServer, target: RedisServer
    ) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
        """Move the slot of a key to another master: yields what moves one key of it, and what ends the move."""
        slot = _asked(source, "CLUSTER KEYSLOT", key)
        names = {server: _asked(server, "CLUSTER MYID") for server in (source, target)}
        _asked(target, "CLUSTER SETSLOT", slot, "IMPORTING", names[source])
        _asked(source, "CLUSTER SETSLOT", slot, "MIGRATING", names[target])

        def move(each: str) -> None:
            _asked(source, "MIGRATE", "127.0.0.1", target.port, each, 0, 5_000)

        def settle() -> None:
            for server in (target, source):
                _asked(server, "CLUSTER SETSLOT", slot, "NODE", names[target])

        yield move, settle

    @property
    def _logs(self) -> list[Path]:
        return [server.log_file for server in self.servers]

    def _flags(self) -> list[Mapping[int, str]]:
        """Return how each running node sees all nodes, by their ports."""
        return [
            {
                int(address.rpartition(":")[2]): node["flags"]
                for address, node in _asked(server, "CLUSTER NODES").items()
            }
            for server in self.servers
            if server.running
        ]

    def _form(self) -> None:
        masters, replicas = self.servers[: self._masters], self.servers[self._masters :]
        for number, master in enumerate(masters):
            first, end = (SLOTS * at // self._masters for at in (number, number + 1))
            _asked(master, "CLUSTER ADDSLOTSRANGE", first, end - 1)
            _asked(master, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            bus = int(_asked(server, "CONFIG GET", "cluster-port")["cluster-port"])
            _asked(masters[0], "CLUSTER MEET", "127.0.0.1", server.port, bus)
        everybody = {server.port for server in self.servers}
        until(
            lambda: all(flags.keys() == everybody for flags in self._flags()),
            "all nodes know each other",
            timeout_s=FAIL_OVER_S,
            logs=self._logs,
        )
        for master, replica in zip(masters, replicas, strict=True):
            _asked(replica, "CLUSTER REPLICATE", _asked(master, "CLUSTER MYID"))
        until(
            lambda: (
                all(_asked(server, "CLUSTER INFO")["cluster_state"] == "ok" for server in self.servers)
                and all(_asked(replica, "ROLE")[3] == "connected" for replica in replicas)
            ),
            "the cluster is up",
            timeout_s=FAIL_OVER_S,
            logs=self._logs,
        )

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in self.servers:
                starting.enter_context(server)
            self._form()
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()


def _asked(server: RedisServer, command: str, *arguments: str | int) -> Any:
    with server.connect() as client:
        return client.execute_command(command, *arguments)
