"""`driftline state`: whether what is stored can be worked on, and how to go on or begin anew where it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.connect import open_kafka, open_redis
from driftline.cli.documents import StateChecked
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import err, out, print_json
from driftline.config import Settings, load
from driftline.errors import InputError, StateCorrupt, StateOtherRelease
from driftline.log.api import Log
from driftline.pipeline.topics import input_partitions
from driftline.runtime.inputs import Input, decode_inputs, lost_offset
from driftline.state.api import Store, TaskId, TaskInfo

TRIES = 3
"""A task at work may move on while it is read, and then its parts do not fit."""

app = typer.Typer(
    help="Check the stored state; skip a lost offset; reset a task whose state cannot be read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What is stored of one task, and what is wrong with it."""

    info: TaskInfo
    blobs: int
    size: int
    skipped: int
    fault: str
    other_release: bool
    """Nothing is wrong with it but that another release wrote it."""

    def document(self) -> StateChecked:
        """Return what --json prints."""
        task = self.info.task
        return StateChecked(
            stage=task.stage,
            partition=task.partition,
            checkpoints=self.info.sequence,
            offsets=dict(self.info.offsets),
            blobs=self.blobs,
            bytes=self.size,
            skipped=self.skipped,
            fault=self.fault or None,
            other_release=self.other_release,
        )


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Read the stored state of each task as a worker would, without claiming it, and report what is broken.

    An offset that Kafka no longer has counts as broken. Exits with 1 if anything is broken. With --json, each line is a
    task.

    \b
    $ driftline state check
    $ driftline state check --json | jq 'select(.fault)'
    """
    settings = load(config)
    store, connected = open_redis(settings), cache(lambda: open_kafka(settings))
    try:
        found = [checked(store, connected(), settings, info) for info in store.tasks(settings.group)]
    finally:
        store.close()
    if json:
        for each in found:
            print_json(each.document())
    elif found:
        table = Table("task", "checkpoints", "blobs", "bytes", "", box=None, pad_edge=False)
        for each in found:
            task = each.info.task
            skipped = f", {each.skipped:,} records were skipped" if each.skipped else ""
            state = Text(each.fault, "red") if each.fault else Text(f"can be read{skipped}", "green")
            table.add_row(
                f"{task.stage} {task.partition}", f"{each.info.sequence:,}", f"{each.blobs:,}", f"{each.size:,}", state
            )
        out().print(table)
    else:
        out().print(f"group {settings.group} has no stored state")
    if any(each.fault for each in found):
        raise typer.Exit(PROBLEMS_FOUND)


@app.command()
def reset(
    stage: Annotated[str, typer.Argument(help="summarise or judge.")],
    partition: Annotated[int, typer.Argument(help="The partition's number.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Reset the task even if its state can be read.")] = False,
    config: ConfigOption = None,
) -> None:
    """Delete the stored state of one task, so that it starts again from the oldest record that Kafka has.

    Reset a task if its state cannot be read and you have no backup. No event counts twice: a reset Summarise sends
    panes again, and Judge drops those that it has. A reset Judge learns its references again.

    \b
    $ driftline state check
    $ driftline state reset summarise 3
    """
    settings = load(config)
    store, log = open_redis(settings), open_kafka(settings)
    try:
        found = reset_task(store, log, settings, TaskId(settings.group, stage, partition), force=force, ask=not yes)
    finally:
        store.close()
    out().print(f"{found}; a worker resumes it within a minute")


@app.command()
def skip(
    stage: Annotated[str, typer.Argument(help="summarise or judge.")],
    partition: Annotated[int, typer.Argument(help="The partition's number.")],
    to: Annotated[str, typer.Option("--to", help="Where the task continues: first, latest, or an offset.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Skip even if the offset can be read.")] = False,
    config: ConfigOption = None,
) -> None:
    """Move a task to another offset, because Kafka no longer has the one that it reads next.

    Use --to first if retention deleted the offset, or if the topic was deleted and created again; if the log lost its
    end, use --to with the offset where it ended. The command shows what it will skip, and asks. The task keeps its
    state. `driftline status` and metrics count the records as skipped, neither accepted nor rejected, and an alert of
    kind `skipped` reports them. If you skip in a Judge, windows of that time lack the skipped panes.

    A worker that had set the task aside continues within a minute. If the task moved meanwhile, nothing changes.

    \b
    $ driftline state check
    $ driftline state skip summarise 3 --to first
    $ driftline state skip judge 0 --to 12500 --yes
    """
    from driftline.pipeline.skipping import carry_out, plan_skip

    settings = load(config)
    store, log = open_redis(settings), open_kafka(settings)
    try:
        plan = plan_skip(store, log, settings, TaskId(settings.group, stage, partition), to, force=force)
        err().print(Text(plan.fault or "its offset can be read", "red"))
        err().print(plan.words)
        if not yes and not typer.confirm("Do it?", err=True):
            raise typer.Exit(PROBLEMS_FOUND)
        carry_out(store, log, settings, plan)
    finally:
        store.close()
    out().print(
        f"{stage} {partition}: {plan.records:,} records skipped; a worker continues at {plan.to} within a minute"
    )


def reset_task(store: Store, log: Log, settings: Settings, task: TaskId, *, force: bool, ask: bool) -> str:
    """Delete what is stored of a task. Returns what was done. Raises `InputError`."""
    named = f"{task.stage} {task.partition}"
    infos = [info for info in store.tasks(settings.group) if info.task == task]
    if not infos:
        raise InputError(f"group {settings.group} has no stored state of {named}: see `driftline state check`")
    each = checked(store, log, settings, infos[0])
    if each.other_release and not force:
        raise InputError(f"{named} is not broken: {each.fault}. Add --force to reset it anyway")
    if not each.fault and not force:
        raise InputError(
            f"the state of {named} can be read, and workers continue with it. Add --force to reset it anyway"
        )
    from driftline.pipeline.monitoring import stage_kinds

    kind = next(kind for kind in stage_kinds(settings, input_partitions(settings, log)) if kind.name == task.stage)
    first, end = log.bounds(kind.inputs[0])[task.partition]
    plan = (
        f"delete {each.blobs:,} blobs ({each.size:,} bytes) of {named}, and read {kind.inputs[0]} from {first} to {end}"
    )
    if ask:
        err().print(Text(each.fault or "its state can be read", "red"))
        if not typer.confirm(f"{plan} again?", err=True):
            raise typer.Exit(PROBLEMS_FOUND)
    store.forget(task)
    return f"did {plan} again"


def checked(store: Store, log: Log, settings: Settings, info: TaskInfo) -> Checked:
    """Read a task as a worker would, without claiming it."""
    from driftline.pipeline.monitoring import stage_kinds  # numba, scipy: half a second that reset --help does without

    blobs: Mapping[str, bytes] = {}
    skipped = 0
    fault, other_release = info.fault if not info.owner else "", False
    stages = {kind.name: kind for kind in stage_kinds(settings, input_partitions(settings, log))}
    for _ in range(TRIES if not fault else 0):
        fault, other_release = "", False
        try:
            blobs = store.read(info.task, "")
            if info.sequence and not blobs:
                raise StateCorrupt(f"the state is empty after {info.sequence} checkpoints")
            if info.task.stage not in stages:
                raise StateCorrupt(f"there is no stage {info.task.stage!r}: this release of Driftline has none")
            kind = stages[info.task.stage]
            kind.make(info.task.partition).restore(blobs)
            inputs = decode_inputs(blobs)
            skipped = sum(held.skipped for held in inputs.values())
            fault = _lost(log, info, kind.inputs[0], inputs)
        except StateCorrupt as error:
            fault, other_release = str(error), isinstance(error, StateOtherRelease)
        (now,) = [found for found in store.tasks(settings.group) if found.task == info.task] or [info]
        if not fault or now.sequence == info.sequence:
            break
        info = now
    return Checked(info, len(blobs), sum(map(len, blobs.values())), skipped, fault, other_release)


def _lost(log: Log, info: TaskInfo, topic: str, inputs: Mapping[str, Input]) -> str:
    """Return what is wrong with a task's offset; nothing if it can be read from, or if nothing is stored."""
    bounds = log.bounds(topic).get(info.task.partition)
    if topic not in info.offsets or bounds is None:
        return ""
    held, topic_id = inputs.get(topic, Input()), log.topic_ids([topic]).get(topic, "")
    return str(lost_offset(info.task, topic, info.offsets[topic], held, topic_id, bounds) or "")
