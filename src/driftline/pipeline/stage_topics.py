"""Topics as a stage sees them, and where the panes of a model meet."""

from dataclasses import dataclass
from zlib import crc32


def panes_partition(model: str, partitions: int) -> int:
    """Return the partition of the panes topic in which all of a model's panes meet."""
    return crc32(model.encode()) % partitions


@dataclass(frozen=True, slots=True)
class StageTopics:
    """Topics by what they are for, and the group that works on them.

    `inputs` are co-partitioned; the first one's positions are the task's.
    """

    stage: str
    inputs: tuple[str, ...]
    panes: str
    alerts: str
    dead_letters: str
    group: str
