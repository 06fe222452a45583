"""What `driftline status --json` prints: typed here, made in `status`, and read by whoever shows or probes it.

`status.schema.json` beside this file is its published JSON Schema. Times are epoch milliseconds; None where there is
nothing yet, or where it is not known.
"""

import json
from typing import Any, Literal

import msgspec

from driftline.codec import Count
from driftline.schemas import published
from driftline.tasks.views import IncidentView, LabelsView, PaneCounters, SubjectView

State = Literal["working", "lagging", "stopped", "set-aside", "silent", "rejecting", "unknown"]


class Wait(msgspec.Struct, frozen=True):
    """A worker that waits for Kafka or Redis; or this command itself, which has no owner."""

    owner: str | None
    since: int | None
    why: str


class RecordCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one partition of predictions, by what became of them: consumed = accepted + the sum of rejected."""

    consumed: Count
    accepted: Count
    rejected: dict[str, Count]
    """By reason."""
    events: Count
    """Events in accepted records."""
    without_time: Count
    beyond_limits: Count
    panes: Count
    """Panes that were sent."""


class InputStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One topic that a task reads: predictions, labels, or panes."""

    topic: str
    offset: int | None
    """The next record that it counts; None before its first commit."""
    end: int | None
    """Of the partition now; None where Kafka does not answer."""
    lag: int | None
    """Records that wait."""
    position: int | None
    """How far it was read in time: the watermark of predictions, the arrival of the newest label; None for panes."""
    rate: float | None
    """Records a second that were read between the task's last two commits; None before."""


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One task: a stage's partition of its inputs."""

    stage: str
    topic: str
    """The first of its inputs, as offset and end are: see `inputs` for all of them."""
    partition: Count
    offset: int | None
    """The next record that it counts; None before its first commit."""
    end: int | None
    """Of the partition now; None where Kafka does not answer."""
    lag: int | None
    """Records that wait, of all inputs."""
    inputs: list[InputStatus]
    """The topics that it reads; labels follow predictions."""
    watermark: int | None
    """Event time up to which predictions were counted."""
    event_time_lag_ms: int | None
    """How far that is from the clock; negative where it is ahead."""
    records: RecordCounters | None
    """Where its input are predictions."""
    labels: LabelsView | None
    """Where it joins labels, too."""
    panes: PaneCounters | None
    """Where its input are panes."""
    skipped: Count
    """Records that a person gave up."""
    other_groups: dict[str, Count]
    """Panes of other groups on the same topic, which were left alone."""
    owner: str | None
    """The worker that claimed it last."""
    epoch: int | None
    checkpoints: int | None
    unpublished: int | None
    """Records that are stored and not known to be in Kafka."""
    claimed_at: int | None
    committed_at: int | None
    fault: str | None
    """Why it is set aside."""

    @property
    def name(self) -> str:
        """How it is called in what people read."""
        return f"{self.stage} {self.partition}"

    @property
    def sign(self) -> int | None:
        """When a worker last showed that it works on it."""
        return max(self.claimed_at or 0, self.committed_at or 0) or None


class GroupVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the group works, and the facts behind it."""

    state: State
    summary: str
    """The state in a sentence."""
    lag: int | None
    """Of all partitions together."""
    last_sign: int | None
    """When a worker last showed that it works."""
    commits_within_ms: int
    """Each task of a live worker commits at least so often."""
    behind_ms: int | None
    """The longest time since a task's last commit."""
    alive: bool
    """Whether any worker is."""
    idle: bool
    """Whether all was read, and nothing comes."""
    consumed: Count
    """Records of predictions that were read so far."""
    rejecting: list[str]
    """Reasons, the most frequent first, where none of the records that came so far counts."""
    silent_models: list[IncidentView]
    silent_labels: list[IncidentView]
    """About models whose labels have stopped, or come later than they used to."""
    set_aside: list[str]
    """Tasks that have a fault."""
    stuck: list[str]
    """Tasks that lag and did not commit for long."""


class StatusDocument(GroupVerdict, frozen=True, kw_only=True):
    """All that is known of a group."""

    group: str
    at: int
    """When it was looked at."""
    waits: list[Wait]
    partitions: list[PartitionStatus]
    models: list[SubjectView]
    """Versions and segments that are watched."""
    stream: list[IncidentView]
    """What fires about the topics of predictions, limits and skipped records, and about models as wholes."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    return published("status-1", "What `driftline status --json` prints", StatusDocument)


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
