"""The address of a Redis: one server, a service that sentinels watch, or a cluster."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from driftline.errors import ConfigError

_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_FORMS: Final = (
    "write it as redis://user:password@host:6379/0, unix:///path/to/socket?db=0, "
    "redis+sentinel://user:password@host1:26379,host2:26379/service?db=0, or "
    "redis+cluster://user:password@host1:6379,host2:6379; with TLS they begin with rediss"
)
_ESCAPES: Final = "in a password, write / as %2F, # as %23, ? as %3F, @ as %40 and & as %26"


class RedisKind(Enum):
    """What an address leads to."""

    SERVER = "server"
    SENTINELS = "sentinels"
    CLUSTER = "cluster"


_KINDS: Final = {
    "redis": RedisKind.SERVER,
    "unix": RedisKind.SERVER,
    "redis+sentinel": RedisKind.SENTINELS,
    "redis+cluster": RedisKind.CLUSTER,
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """What a Redis URL says."""

    name: str
    """For people: "Redis at host:6379/0"."""
    kind: RedisKind
    options: dict[str, Any] = field(repr=False)
    """Keyword arguments for redis-py's connections to a server with keys; the password is among them."""
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    """The sentinels, or the nodes of a cluster that are asked first; a single server's host; none for a socket."""
    service: str = ""
    """What the sentinels call it."""
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)
    """Keyword arguments for redis-py's connections to the sentinels."""


def parse_redis_url(url: str) -> RedisAddress:
    """Read a Redis URL.

    redis-py's own reader takes any query parameter over the arguments given in code (`retry_on_timeout` would make it
    repeat writes), takes a database name that is no number for 0, and knows neither sentinels nor several hosts.

    Raises `ConfigError`, which never quotes the URL: a password with a slash in it turns up in any part.
    """
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2]
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        places = tuple(_places(hosts, SENTINEL_PORT if "sentinel" in parts.scheme else _REDIS_PORT))
    except ValueError:
        raise _refused("cannot be read", _ESCAPES) from None
    tls = parts.scheme.startswith("rediss")
    kind = _KINDS.get(f"redis{parts.scheme[6:]}" if tls else parts.scheme)
    if kind is None:
        raise _refused("has an unknown scheme")
    if parts.fragment or (parts.scheme != "unix" and not places):
        raise _refused("names no host", _ESCAPES)
    if any(port == 0 for _, port in places):
        raise _refused("names port 0, which nobody can connect to")
    if len(places) > 1 and kind is RedisKind.SERVER:
        raise _refused("names several hosts, which only redis+sentinel:// and redis+cluster:// accept")
    path = unquote(parts.path).strip("/")
    sentinel_options: dict[str, Any] = {}
    allowed = _TLS_OPTIONS if tls else ()
    service, place, database = "", _listed(places), path or query.pop("db", "0")
    options: dict[str, Any] = {}
    if parts.scheme == "unix":
        place = options["path"] = unquote(parts.path)
        database = query.pop("db", "0")
    elif kind is RedisKind.SERVER:
        options |= {"host": places[0][0], "port": places[0][1]}
    elif kind is RedisKind.SENTINELS:
        service, _, database = path.partition("/")
        if not service:
            raise _refused(
                "names no service: what the sentinels call it (sentinel monitor SERVICE ...) comes after the hosts"
            )
        database = database or query.pop("db", "0")
        sentinel_options = {
            name.removeprefix("sentinel_"): query.pop(name) for name in _SENTINEL_OPTIONS if name in query
        }
        allowed = (*allowed, *_SENTINEL_OPTIONS)
    if not (database.isascii() and database.isdecimal()):
        raise _refused("does not end in a database number")
    if kind is RedisKind.CLUSTER and int(database):
        raise _refused("names a database, but a cluster has only database 0: leave it out, and use redis.prefix")
    for name in query:
        if name not in allowed:
            takes = (
                f"this one takes {', '.join(allowed)}"
                if allowed
                else f"only TLS URLs take options: {', '.join(_TLS_OPTIONS)}"
            )
            raise _refused(f"has an unknown option, or the same one twice; {takes}")
    options |= _login(parts) | query
    sentinel_options |= query if kind is RedisKind.SENTINELS else {}
    if kind is not RedisKind.CLUSTER:
        options["db"] = int(database)
    name = {
        RedisKind.SERVER: f"Redis at {place}/{int(database)}",
        RedisKind.SENTINELS: f"Redis service {service}/{int(database)} of the sentinels at {place}",
        RedisKind.CLUSTER: f"Redis Cluster at {place}",
    }[kind]
    return RedisAddress(name, kind, options, tls, places, service, sentinel_options)


def _refused(fault: str, hint: str = "") -> ConfigError:
    return ConfigError(f"redis.url {fault}: {_FORMS}{hint and '; '}{hint}")


def _places(hosts: str, port: int) -> Iterator[tuple[str, int]]:
    """Yield host and port of each of several. Raises ValueError."""
    for each in hosts.split(",") if hosts else ():
        parts = urlsplit(f"//{each}")
        if not parts.hostname:
            raise ValueError
        yield unquote(parts.hostname), port if parts.port is None else parts.port


def _listed(places: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in places)


def _login(parts: SplitResult) -> dict[str, str]:
    given = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in given.items() if value}
