"""What Redis or its client says when it does not do as asked, in Driftline's errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis

from driftline.errors import StateCorrupt, StateDenied, StateError, StateUnavailable

_TRY_AGAIN: Final = {
    "BUSY": "a script of another client holds it: look for it with SCRIPT KILL or in its slow log",
    "CLUSTERDOWN": "its cluster is down: look at CLUSTER INFO",
    "LOADING": "it is loading its data from disk: wait",
    "MASTERDOWN": "it is a replica without its master: wait for the failover, or connect to the master",
    "MISCONF": "it cannot write to its disk and refuses writes: look at its log and its disk space",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write asks for: start them",
    "OOM": "its memory is full: raise its maxmemory, or watch fewer models, segments or signals",
    "READONLY": "it is a read-only replica now: wait for the failover, or connect to the master",
    "TRYAGAIN": "its cluster is moving keys: wait",
}
_DENIED: Final = {
    "ASK": "it is one node of a Redis Cluster: give the address of a Redis that holds all keys",
    "MOVED": "it is one node of a Redis Cluster: give the address of a Redis that holds all keys",
    "NOAUTH": "it asks for a password: put one into redis.url, as in redis://:PASSWORD@host:6379/0",
    "NOPERM": "the user in redis.url may not do this: allow it +@hash +@list +@set +@scripting +@connection +type +del "
    "+exists +info +ping on the keys that start with redis.prefix",
    "WRONGPASS": "the user name or password in redis.url is wrong: correct it",
}
_CORRUPT: Final = {
    "WRONGTYPE": "a key of Driftline's holds something else: restore it from a backup, or give Driftline a database or "
    "redis.prefix of its own",
}
# Redis 6.2 reports an error inside a script as "ERR Error running script (...): -OOM command not allowed ...".
_CODE: Final = re.compile(rf"(?:^|-)({'|'.join((*_TRY_AGAIN, *_DENIED, *_CORRUPT))})\b")


@contextmanager
def refusals_explained(place: str) -> Iterator[None]:
    """Turn what redis-py raises inside into `StateUnavailable`, `StateDenied` or `StateCorrupt` about `place`."""
    try:
        yield
    except (redis.RedisError, OSError, UnicodeError) as error:
        raise _explained(error, place) from error


def _explained(error: Exception, place: str) -> StateError:
    code = _code(error)
    if code in _TRY_AGAIN:
        return StateUnavailable(f"{place} answered {code}: {_TRY_AGAIN[code]}")
    if code in _DENIED:
        return StateDenied(f"{place} answered {code}: {_DENIED[code]}")
    if code in _CORRUPT:
        return StateCorrupt(f"{place} answered {code}: {_CORRUPT[code]}")
    if isinstance(error, redis.AuthenticationError):
        return StateDenied(f"{place} refused the login ({error}): correct the user name or password in redis.url")
    if isinstance(error, redis.TimeoutError):
        return StateUnavailable(f"{place} did not answer in time: see that it runs, is reachable and is not overloaded")
    if isinstance(error, redis.ConnectionError | OSError | UnicodeError):
        return StateUnavailable(f"{place} cannot be reached ({error}): see that it runs and that redis.url is right")
    return StateDenied(f"{place} refused a command ({error}): see that it is Redis 6.2 or later with all its commands")


def _code(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    if isinstance(status, str) and status != "ERR":
        return status
    match = _CODE.search(str(error))
    return match[1] if match else ""
