"""The names of what is stored in Redis.

    driftline:{group/stage/partition}:meta     hash: owner, epoch, sequence, offsets and counters
    driftline:{group/stage/partition}:blobs    hash: the task's state by name
    driftline:{group/stage/partition}:outbox   list: records outbox_acked + 1 to outbox_last
    driftline:tasks:group                      set: stage/partition of the group's tasks, written at each claim
    driftline:faults:group                     hash: why a task cannot be worked on, for people
    driftline:words:group                      hash: why a worker pauses, by its name; read by `status` only

The names are percent-encoded. The braces put a task's keys into one hash slot, so that a script may touch them all. The
last three are in other slots, out of the scripts' reach: they are for people, and each claim lists its task again.
"""

from urllib.parse import quote, unquote

from driftline.errors import ConfigError, StateCorrupt
from driftline.state.api import TaskId


class TaskKeys:
    """The names of a task's keys."""

    def __init__(self, prefix: str, task: TaskId) -> None:
        base = f"{prefix}:{{{_quoted(task.group)}/{member(task)}}}"
        self.meta, self.blobs, self.outbox = f"{base}:meta", f"{base}:blobs", f"{base}:outbox"
        self.all = (self.meta, self.blobs, self.outbox)


class Keys:
    """The names of all keys that begin with a prefix. Raises `ConfigError` for one that cannot be used."""

    def __init__(self, prefix: str) -> None:
        if "{" in prefix or "}" in prefix:
            raise ConfigError(f"redis.prefix {prefix!r} has a brace, which would choose the hash slot: leave it out")
        self.prefix = prefix

    def task(self, task: TaskId) -> TaskKeys:
        """Return the names of a task's keys."""
        return TaskKeys(self.prefix, task)

    def tasks(self, group: str) -> str:
        """Return the name of the list of a group's tasks."""
        return f"{self.prefix}:tasks:{_quoted(group)}"

    def faults(self, group: str) -> str:
        """Return where it says why tasks cannot be worked on."""
        return f"{self.prefix}:faults:{_quoted(group)}"

    def words(self, group: str) -> str:
        """Return where it says why workers pause."""
        return f"{self.prefix}:words:{_quoted(group)}"


def member(task: TaskId) -> str:
    """Return a task's name among those of its group."""
    return f"{_quoted(task.stage)}/{task.partition}"


def task_of(group: str, name: str) -> TaskId:
    """Return the task of a group that has this name. Raises `StateCorrupt`."""
    stage, slash, partition = name.rpartition("/")
    if not slash or not partition.isdecimal():
        raise StateCorrupt(f"the list of tasks of group {group!r} holds {name!r}, which names no task: remove it")
    return TaskId(group, unquote(stage), int(partition))


def _quoted(name: str) -> str:
    return quote(name, safe="")
