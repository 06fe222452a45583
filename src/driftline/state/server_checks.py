"""Whether a Redis server may hold state, and what keeps it from taking writes now: by what it says of itself."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from driftline.errors import StateDenied, StateUnavailable
from driftline.state.refusals import ONE_NODE, REPLICA

_OLDEST: Final = (6, 2)


def check_server(name: str, info: Mapping[str, Any], *, in_cluster: bool) -> None:
    """Raise `StateDenied` where a server is not safe to use, by its INFO; `StateUnavailable` where it is not yet."""
    if info.get("loading"):
        raise StateUnavailable(f"{name} is loading its data from disk: wait")
    version = str(info.get("redis_version", "0"))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise StateDenied(f"{name} is version {version}: Driftline needs 6.2 or later")
    if info.get("cluster_enabled") and not in_cluster:
        raise StateDenied(f"{name} {ONE_NODE}")
    if info.get("role") != "master":
        raise StateUnavailable(f"{name} {REPLICA}")
    # INFO carries the policy too, and is permitted where CONFIG is not.
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        raise StateDenied(
            f"{name} may evict state when its memory is full (maxmemory-policy is {policy}): set it to noeviction"
        )


def faults(name: str, info: Mapping[str, Any]) -> Iterator[str]:
    """Say what keeps a server from taking writes."""
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used >= most:
        yield f"{name} is full: {used:,} of {most:,} bytes. Raise its maxmemory; workers are waiting"
    if info.get("aof_last_write_status") == "err":
        yield f"{name} cannot write its append-only file: check its log and its disk space"
