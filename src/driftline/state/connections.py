"""From an address to redis-py clients: of one server, of whatever is a service's master now, of a cluster.

None of them repeats a command whose reply was lost: the caller repeats it, and is told ALREADY. A cluster's client
sends a command on where a node says that its keys have moved (MOVED, ASK), for then it was not done.
"""

from collections.abc import Mapping
from threading import Lock
from time import monotonic
from typing import Any, Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from driftline.errors import StateDenied
from driftline.state.address import RedisAddress, RedisKind
from driftline.state.permissions import SENTINEL, rules

Client = redis.Redis | RedisCluster

_NO_RETRY: Final = Retry(NoBackoff(), 0)
LOOK_S: Final = 1.0
"""Time between two looks at who is master, where nothing failed."""
LOOK_AGAIN_S: Final = 10.0
"""The same after sentinels that did not answer, which may have taken seconds."""


class Connections(Protocol):
    """What leads to the servers that hold keys."""

    def client(self) -> Client:
        """Return the client; it may have to ask for it first."""
        ...

    def check(self) -> None:
        """Raise `StateDenied` for an address that leads nowhere, or what redis-py raises where nobody answers."""
        ...

    def masters(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what INFO says at each master, by its name for people."""
        ...

    def look_again(self) -> None:
        """Forget what is known of who is master: it told that it is none. The next call asks anew."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


def connections(address: RedisAddress, *, connect_timeout_s: float, command_timeout_s: float) -> Connections:
    """Return how to reach what an address names. Nothing is sent yet."""
    common: dict[str, Any] = {
        "socket_connect_timeout": connect_timeout_s,
        "socket_timeout": command_timeout_s,
        "protocol": 2,
        "driver_info": None,
    }
    match address.kind:
        case RedisKind.SERVER:
            return OneServer(address, common)
        case RedisKind.SENTINELS:
            return SentinelMaster(address, common)
        case RedisKind.CLUSTER:
            return Clustered(address, common)


class OneServer:
    """One server, whatever its address leads to."""

    def __init__(self, address: RedisAddress, common: Mapping[str, Any]) -> None:
        if "path" in address.options:
            kind: Any = redis.UnixDomainSocketConnection
        else:
            kind = redis.SSLConnection if address.tls else redis.Connection
        self._place = address.name
        self._client = redis.Redis(
            connection_pool=redis.ConnectionPool(
                connection_class=kind,
                retry=_NO_RETRY,
                command_packer=_WholePacker(),
                **common,
                **address.options,
            )
        )

    def client(self) -> Client:
        """Return the client."""
        return self._client

    def check(self) -> None:
        """Do nothing: the server itself says what is wrong."""

    def masters(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the server says."""
        return {self._place: self._client.info()}

    def look_again(self) -> None:
        """Connect anew: the name, or a proxy behind it, may lead to another server by now."""
        self._client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._client.connection_pool.disconnect()


class SentinelMaster:
    """Whatever server the sentinels call the master of a service.

    They are asked for each new connection, and now and then: a master that was replaced as planned is told so after ten
    seconds only, and what it takes until then is lost.
    """

    def __init__(self, address: RedisAddress, common: Mapping[str, Any]) -> None:
        self._service = address.service
        self._place = address.name
        tls = {"ssl": True} if address.tls else {}
        asking = {**common, **tls, **address.sentinel_options, "socket_timeout": common["socket_connect_timeout"]}
        self._sentinels = Sentinel(address.hosts, sentinel_kwargs={"retry": _NO_RETRY, **asking})  # type: ignore[no-untyped-call]
        self._next_look = 0.0
        self._pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            address.service,
            self._sentinels,
            connection_class=SentinelManagedSSLConnection if address.tls else SentinelManagedConnection,
            retry=_NO_RETRY,
            command_packer=_WholePacker(),
            **common,
            **address.options,
        )
        self._client = redis.Redis(connection_pool=self._pool)

    def client(self) -> Client:
        """Return the client of the master."""
        now = monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            try:
                self._pool.get_master_address()  # type: ignore[no-untyped-call]  # lets go of the connections to another one
            except redis.RedisError:  # the master may be well; if not, it will be told with the next command
                self._next_look = now + LOOK_AGAIN_S
        return self._client

    def check(self) -> None:
        """Raise `StateDenied` if no sentinel that answers knows the service, or lets this user ask for it."""
        refusals, failures = [], []
        for sentinel in list(self._sentinels.sentinels):
            where = "the sentinel at {host}:{port}".format_map(sentinel.connection_pool.connection_kwargs)
            try:
                if self._service in sentinel.sentinel_masters():
                    return
                refusals.append(
                    f"{where} knows no service {self._service!r}: write the one of its `sentinel monitor` to redis.url"
                )
            except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
                refusals.append(
                    f"{where} refuses the login ({error}): end redis.url with "
                    f"?sentinel_username=...&sentinel_password=... of a user who may {rules(*SENTINEL)}; the name and "
                    "password before the hosts are for Redis itself"
                )
            except redis.RedisError as error:
                failures.append(error)
        if refusals:
            raise StateDenied(f"{self._place} cannot be found: {refusals[0]}")
        raise failures[0]

    def masters(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the present master says."""
        return {self._place: self._client.info()}

    def look_again(self) -> None:
        """Ask the sentinels before the next command."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._pool.disconnect()
        self._sentinels.close()


class Clustered:
    """The nodes of a cluster. Which slots are whose is asked first, and again when a node fails or says so."""

    def __init__(self, address: RedisAddress, common: Mapping[str, Any]) -> None:
        self._address = address
        self._options = {**common, **address.options, **({"ssl": True} if address.tls else {})}
        self._client: RedisCluster | None = None
        self._lock = Lock()

    def client(self) -> Client:
        """Return the client. It asks the nodes as soon as it is made."""
        return self._cluster()

    def _cluster(self) -> RedisCluster:
        with self._lock:
            if self._client is None:
                nodes = [ClusterNode(host, port) for host, port in self._address.hosts]  # type: ignore[no-untyped-call]
                self._client = RedisCluster(startup_nodes=nodes, retry=_NO_RETRY, **self._options)
            return self._client

    def check(self) -> None:
        """Do nothing: the nodes themselves say what is wrong."""

    def masters(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what each master says."""
        cluster = self._cluster()
        nodes = cluster.get_primaries()  # type: ignore[no-untyped-call]
        return {f"Redis Cluster node {node.name}": cluster.info(target_nodes=node) for node in nodes}

    def look_again(self) -> None:
        """Begin anew with the nodes of the address: the ones that were known may all be gone."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


class _WholePacker:
    """Puts a command into one buffer. redis-py sends 20 blobs of 4 kB in 19 pieces, for nearly twice the CPU."""

    def pack(self, name: str, *arguments: str | bytes | int) -> list[bytes]:
        parts = [*map(_encoded, name.split()), *map(_encoded, arguments)]  # a name may be two words, as CLIENT SETNAME
        pieces = [b"*%d\r\n" % len(parts)]
        for part in parts:
            pieces += (b"$%d\r\n" % len(part), part, b"\r\n")
        return [b"".join(pieces)]


def _encoded(argument: str | bytes | int) -> bytes:
    if isinstance(argument, str):
        return argument.encode()
    return b"%d" % argument if isinstance(argument, int) else bytes(argument)
