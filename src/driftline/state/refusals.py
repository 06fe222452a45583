"""What Redis or its client says when it does not do as asked, in Driftline's errors."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import redis
from redis.exceptions import ClusterError, RedisClusterException
from redis.sentinel import MasterNotFoundError

from driftline.errors import StateCorrupt, StateDenied, StateError, StateUnavailable
from driftline.state.permissions import ENOUGH

REPLICA: Final = (
    "is a replica, which accepts no writes: wait for the failover; a redis.url that begins with redis+sentinel:// or "
    "redis+cluster:// finds the new master by itself; any other URL must lead to it"
)
ONE_NODE: Final = "is one node of a Redis Cluster: write redis.url as redis+cluster://host1:6379,host2:6379"
_TRY_AGAIN: Final = {
    "ASK": f"it {ONE_NODE}",
    "BUSY": "a script of another client blocks it: stop it with SCRIPT KILL, or look at the slow log",
    "CLUSTERDOWN": "its cluster is down: see CLUSTER INFO",
    "LOADING": "it is loading its data from disk: wait",
    "MASTERDOWN": f"it {REPLICA}",
    "MISCONF": "it cannot write to its disk, so it refuses writes: check its log and its disk space",
    "MOVED": f"it {ONE_NODE}",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write requires: start them",
    "OOM": "its memory is full: raise its maxmemory, or watch fewer models, segments or signals",
    "READONLY": f"it {REPLICA}",
    "TRYAGAIN": "its cluster is moving keys: wait",
}
_ELSEWHERE: Final = {"MASTERDOWN", "READONLY"}
"""Said by a server that is no master, or no longer: who is one must be asked anew."""
_DENIED: Final = {
    "NOAUTH": "it requires a password: put one into redis.url, as in redis://:PASSWORD@host:6379/0",
    "NOPERM": f"the user in redis.url may not do this: allow it {ENOUGH} on the keys that start with redis.prefix, as "
    "`driftline topics acls` prints it",
    "WRONGPASS": "the user name or password in redis.url is wrong: correct it",
}
_CORRUPT: Final = {
    "WRONGTYPE": "a key of Driftline's holds something else: restore it from a backup, or give Driftline a database or "
    "redis.prefix of its own",
}
# Redis 6.2 reports an error inside a script as "ERR Error running script (...): -OOM command not allowed ...".
_CODE: Final = re.compile(rf"(?:^|-)({'|'.join((*_TRY_AGAIN, *_DENIED, *_CORRUPT))})\b")
_IN_SCRIPT: Final = re.compile("user executing the script can't|ACL failure in script")
"""What Redis 7 says instead of NOPERM where a script may not do something."""


@contextmanager
def refusals_explained(place: str, look_again: Callable[[], None]) -> Iterator[None]:
    """Turn what redis-py raises inside into `StateUnavailable`, `StateDenied` or `StateCorrupt` about `place`.

    `look_again` is called where the answer came from a server that is not the one to ask.
    """
    try:
        yield
    except (redis.RedisError, RedisClusterException, OSError, UnicodeError) as error:
        cause = _cause(error)
        if _code(cause) in _ELSEWHERE or isinstance(error, RedisClusterException | ClusterError):
            look_again()
        raise _explained(cause, place) from error


def _cause(error: BaseException) -> BaseException:
    """Return what a node answered, which the client of a cluster wraps."""
    while isinstance(error, RedisClusterException) and (inner := error.__cause__ or error.__context__):
        error = inner
    return error


def _explained(error: BaseException, place: str) -> StateError:
    code = _code(error)
    if code in _TRY_AGAIN:
        return StateUnavailable(f"{place} answered {code}: {_TRY_AGAIN[code]}")
    if code in _DENIED:
        return StateDenied(f"{place} answered {code}: {_DENIED[code]}")
    if code in _CORRUPT:
        return StateCorrupt(f"{place} answered {code}: {_CORRUPT[code]}")
    if "cluster support disabled" in str(error):
        return StateDenied(f"{place} is not a cluster: write redis.url as redis://host:6379/0, or redis+sentinel://...")
    if isinstance(error, redis.AuthenticationError):
        return StateDenied(f"{place} refused the login ({error}): correct the user name or password in redis.url")
    if isinstance(error, MasterNotFoundError):  # which tells all settings of the connection to each sentinel
        return StateUnavailable(f"{place} has no master now, or none answers: wait for it, or look at SENTINEL MASTERS")
    if isinstance(error, redis.TimeoutError):
        return StateUnavailable(
            f"{place} did not answer in time: check that it runs, is reachable and is not overloaded"
        )
    if isinstance(error, ClusterError):
        return StateUnavailable(f"{place} sends requests from node to node ({error}): its keys are moving, wait")
    if isinstance(error, RedisClusterException):
        return StateUnavailable(f"{place} has no node for every key now ({error}): wait, or look at CLUSTER INFO")
    if isinstance(error, redis.ConnectionError | OSError | UnicodeError):
        return StateUnavailable(f"{place} cannot be reached ({error}): check that it runs and that redis.url is right")
    return StateDenied(
        f"{place} refused a command ({error}): check that it is Redis 6.2 or later with all its commands"
    )


def _code(error: BaseException) -> str:
    status = getattr(error, "status_code", None)
    if isinstance(status, str) and status != "ERR":
        return status
    if match := _CODE.search(str(error)):
        return match[1]
    return "NOPERM" if _IN_SCRIPT.search(str(error)) else ""
