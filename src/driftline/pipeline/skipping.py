"""Letting a task go on at another offset: what that costs is worked out first, and then done in one commit.

The commit is that of a worker: it claims the task, moves its offset, keeps its state, and counts what was left out. So
it is fenced like one. Whoever claims the task next publishes the word of it in the panes log, from the outbox.
"""

from dataclasses import dataclass

from driftline.config import Settings
from driftline.errors import InputError, StateError
from driftline.log.api import Log, Outgoing
from driftline.panes.records import Skip
from driftline.pipeline.headers import sent_by
from driftline.pipeline.monitoring import stage_kinds
from driftline.pipeline.stage_names import JUDGE
from driftline.pipeline.stage_topics import panes_partition
from driftline.pipeline.topics import input_partitions
from driftline.runtime.inputs import INPUTS, Input, created_anew, decode_inputs, encode_inputs, lost_offset
from driftline.runtime.outbox import encode_outgoing
from driftline.runtime.stage import StageKind
from driftline.state.api import Commit, CommitOutcome, Store, TaskId, TaskInfo
from driftline.tasks.stream_panes import STREAM

FIRST, LATEST = "first", "latest"
OWNER = "driftline state skip"


@dataclass(frozen=True, slots=True)
class SkipPlan:
    """Where a task is, where it would go on, and what that leaves out."""

    info: TaskInfo
    kind: StageKind
    topic: str
    topic_id: str
    offset: int
    to: int
    records: int
    """Known to be left out: offsets between, of which compaction or transactions may have left some empty."""
    again: int
    """Records that would count twice: what is left, from `to` on, of what was read of a log that lost its end."""
    anew: bool
    fault: str
    """What is wrong with the offset; "" where nothing is."""

    @property
    def words(self) -> str:
        """Return what it does, for people."""
        task, there = self.info.task, f"offset {self.to} of {self.topic}"
        if self.anew:
            cost = (
                f"{there} as it is now: it skips {self.records:,} records, and what the deleted topic had from "
                f"offset {self.offset} on is lost; the number of records is unknown"
            )
        else:
            cost = f"{there} instead of {self.offset}, and skips {self.records:,} records"
        if self.again:
            cost += f"; {self.again:,} records that it then reads were counted before, and count twice"
        kept = "It keeps its state; the skipped records are counted, and an alert reports them."
        if task.stage == JUDGE:
            kept = (
                "Panes are lost: Judge evaluates windows of that time with what is left, so numbers of events may "
                "look too low. References in the making miss those panes. A `driftline reference` command among "
                f"them has no effect. {kept}"
            )
        return f"{task.stage} {task.partition} continues at {cost}. {kept}"


def plan_skip(store: Store, log: Log, settings: Settings, task: TaskId, to: str, *, force: bool) -> SkipPlan:
    """Work out what a skip would do. Raises `InputError` for one that makes no sense, or that is not needed.

    Args:
        store: where the task's state is.
        log: where its input is.
        settings: the configuration.
        task: what is to go on.
        to: "first", "latest" or an offset.
        force: whether an offset that can be read from may be left, too.
    """
    named = f"{task.stage} {task.partition}"
    kind = _kind(log, settings, task)
    topic = kind.inputs[0]
    info = next((found for found in store.tasks(settings.group) if found.task == task), None)
    if info is None or topic not in info.offsets:
        raise InputError(
            f"no offset is stored of {named} in group {settings.group}: it begins with the first record of the log. "
            "See `driftline state check`"
        )
    bounds = log.bounds(topic).get(task.partition)
    if bounds is None:
        raise InputError(f"topic {topic} has no partition {task.partition} any more, so no worker runs {named}")
    first, end = bounds
    offset, topic_id = info.offsets[topic], log.topic_ids([topic]).get(topic, "")
    held = decode_inputs(store.read(task, INPUTS)).get(topic, Input())
    fault = lost_offset(task, topic, offset, held, topic_id, bounds)
    if fault is None and not force:
        raise InputError(
            f"offset {offset} of topic {topic}, partition {task.partition}, can be read, and workers continue there; "
            "add --force to skip anyway"
        )
    there = {FIRST: first, LATEST: end}.get(to) if not to.isdecimal() else int(to)
    if there is None or not first <= there <= end:
        raise InputError(
            f"--to {to}: write first, latest, or an offset from {first} to {end}: that is what topic {topic}, "
            f"partition {task.partition}, has"
        )
    anew = created_anew(held, topic_id)
    if there <= offset and fault is None:
        raise InputError(
            f"--to {to}: is offset {there}, and {named} is at {offset}: there is nothing to skip. To count again what "
            f"is there, start again with `driftline state reset {named} --force`"
        )
    read_to = first if anew else min(offset, end if held.ended is None else held.ended)
    records, again = max(0, there - read_to), max(0, read_to - there)
    return SkipPlan(info, kind, topic, topic_id, offset, there, records, again, anew, str(fault or ""))


def carry_out(store: Store, log: Log, settings: Settings, plan: SkipPlan) -> None:
    """Do it, unless the task has moved on since.

    Raises `InputError` where it has, and `StateError` where a worker was faster: nothing has changed then.
    """
    task, info = plan.info.task, plan.info
    named = f"{task.stage} {task.partition}"
    claim = store.claim(task, OWNER)
    if (claim.sequence, claim.offsets) != (info.sequence, info.offsets):
        raise InputError(
            f"{named} has moved on to offset {claim.offsets.get(plan.topic)} meanwhile, so nothing was skipped. "
            "Run the command again"
        )
    stage = plan.kind.make(task.partition)
    stage.restore(claim.blobs)
    stage.skip(plan.offset, plan.to)
    inputs = decode_inputs(claim.blobs)
    held = inputs.get(plan.topic, Input())
    inputs[plan.topic] = Input(plan.topic_id or held.topic_id, held.skipped + plan.records)
    commit = Commit(
        expected_sequence=claim.sequence,
        expected_offsets=claim.offsets,
        offsets={**claim.offsets, plan.topic: plan.to},
        writes={**stage.checkpoint(), INPUTS: encode_inputs(inputs)},
        outbox=[encode_outgoing(record) for record in (*stage.output().records, _word(log, settings, plan, claim.at))],
    )
    done = store.commit(claim, commit)
    if done.outcome not in (CommitOutcome.OK, CommitOutcome.ALREADY):
        raise StateError(f"{named} was not moved, a worker was faster ({done.detail}). Run the command again")
    store.note(task, "")


def _word(log: Log, settings: Settings, plan: SkipPlan, now_ms: int) -> Outgoing:
    """Return the record of the panes log that tells of it, for the Judge that watches the stream itself."""
    task = plan.info.task
    skip = Skip(
        task.stage, plan.topic, task.partition, plan.offset, plan.to, plan.records, plan.anew, now_ms
    )  # fmt: skip
    partition = panes_partition(STREAM, input_partitions(settings, log)[settings.topics.panes])
    key = f"skip/{task.stage}/{task.partition}".encode()
    return Outgoing(settings.topics.panes, key, skip.encode(), partition, sent_by(settings.group))


def _kind(log: Log, settings: Settings, task: TaskId) -> StageKind:
    kinds = {kind.name: kind for kind in stage_kinds(settings, input_partitions(settings, log))}
    if task.stage not in kinds:
        raise InputError(f"there is no stage {task.stage!r}: write {' or '.join(kinds)}")
    return kinds[task.stage]
