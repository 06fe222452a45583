"""What `/health` answers. `health.schema.json` beside this file is its published JSON Schema."""

import json
from typing import Any

import msgspec

from driftline.schemas import published


class InputHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One topic that a worker reads."""

    lag: int
    """Records that wait."""
    records_per_second: float
    """Read of late."""


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one worker of the process."""

    moved_seconds_ago: float
    tasks: int
    lag: int
    """Records that wait."""
    paused_seconds: dict[str, float]
    """By what it waits for, kafka or redis."""
    set_aside: list[str]
    """Tasks that have a fault."""
    rejecting: list[str]
    """Reasons, the most frequent first, where none of the records of its tasks counts."""
    silent_models: list[str]
    silent_labels: list[str]
    """Models whose labels have stopped, or come late."""
    inputs: dict[str, InputHealth]
    """By topic."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process works."""

    healthy: bool
    reasons: list[str]
    """Why it is not."""
    workers: dict[str, WorkerHealth]
    """By owner."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    return published("health-1", "What `/health` answers", Health)


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
