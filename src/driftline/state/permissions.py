"""What Redis must permit: the commands that a store sends, those that its scripts run, and no others."""

from typing import Final

READER: Final = ("hkeys", "hmget", "hvals", "info", "smembers", "time")
"""Looking at what is stored, as `status` does."""
WORKER: Final = (
    *(*READER, "hdel", "hset", "lrange", "sadd"),
    *("eval", "evalsha", "exists", "hlen", "llen", "ltrim", "rpush", "type"),
    *("del", "srem"),  # `state reset`
)
CLUSTER: Final = ("asking", "cluster|slots", "command")
"""In a cluster as well: which node has which keys, and where they are while they move."""
SENTINEL: Final = ("sentinel|masters",)
"""What sentinels must permit, where they have users of their own."""


def rules(*commands: str) -> str:
    """Return commands as rules of an ACL."""
    return " ".join(f"+{command}" for command in sorted(commands))


ENOUGH: Final = f"{rules(*WORKER)} (in a cluster also {rules(*CLUSTER)}; for a database other than 0 +select)"
"""For people."""
