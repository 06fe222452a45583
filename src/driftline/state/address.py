"""Where Redis is: a URL, checked, and a name for it that carries no password."""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from driftline.errors import ConfigError

_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_EXAMPLE: Final = "write it as redis://user:password@host:6379/0, rediss://... for TLS, or unix:///path/to/socket?db=0"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """What a Redis URL says."""

    name: str
    """For people: "Redis at host:6379/0"."""
    options: dict[str, Any] = field(repr=False)
    """Keyword arguments for a redis-py connection; the password is among them."""
    scheme: str = "redis"


def parse_redis_url(url: str) -> RedisAddress:
    """Read a Redis URL.

    redis-py's own reader takes any query parameter over the arguments given in code (`retry_on_timeout` would make it
    repeat writes), and takes a database name that is no number for 0; this one refuses both.

    Raises `ConfigError`, which never quotes the URL: a password with a slash in it turns up in any part.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ConfigError(
            f"redis.url cannot be read: {_EXAMPLE}; in a password, write / as %2F, # as %23 and ? as %3F"
        ) from None
    options: dict[str, Any] = {}
    if parts.fragment or (parts.scheme != "unix" and not host):
        raise ConfigError(f"redis.url names no host: {_EXAMPLE}; in a password, write # as %23 and / as %2F")
    if parts.scheme == "unix":
        options["path"] = unquote(parts.path)
        place, database = options["path"], query.pop("db", "0")
    elif parts.scheme in ("redis", "rediss"):
        options |= {"host": unquote(host), "port": port or 6379}
        place, database = f"{options['host']}:{options['port']}", parts.path.strip("/") or query.pop("db", "0")
    else:
        raise ConfigError(f"redis.url has no scheme that is known: {_EXAMPLE}")
    if not (database.isascii() and database.isdecimal()):
        raise ConfigError(f"redis.url does not end in a database number: {_EXAMPLE}")
    options |= {"db": int(database)} | _login(parts)
    allowed = _TLS_OPTIONS if parts.scheme == "rediss" else ()
    for name, value in query.items():
        if name not in allowed:
            raise ConfigError(f"redis.url has an option that is not known; rediss:// takes {', '.join(_TLS_OPTIONS)}")
        options[name] = value
    return RedisAddress(f"Redis at {place}/{int(database)}", options, parts.scheme)


def _login(parts: SplitResult) -> dict[str, str]:
    given = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in given.items() if value}
