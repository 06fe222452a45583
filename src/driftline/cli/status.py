"""`driftline status`: whether it works, how far each partition has come, and what is watched."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from driftline.cli.status_document import InputStatus, PartitionStatus, StatusDocument
    from driftline.cli.verdict import Condition
    from driftline.config import Settings
    from driftline.log.api import Log
    from driftline.state.api import Store, TaskId, TaskInfo
    from driftline.tasks.views import JudgeView, OthersView, SummariseView

EVERY_S = 2.0
FRESH_MS = 60_000
"""A paused worker repeats itself every 10 s; what was said longer ago was said by one that is gone."""


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every 2 s, until Ctrl-C.")] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="CONDITION",
            help="Exit with 1 if this holds: lag>10000, behind>5m, stopped, silent, rejecting, set-aside. Repeatable.",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show whether the group works, the lag of each partition, and each model.

    The first line says whether the group is working, lagging, stopped (no worker is alive), set-aside (a task cannot
    go on), rejecting (none of the records so far counts) or silent (no events come, or labels that came before), and
    what to do. Labels have a line beside the predictions that they follow. Workers that wait for Kafka or Redis follow,
    with the reason. The command only reads what workers stored with their last checkpoints. --json prints one document,
    with --watch one every 2 s; its schema is status.schema.json.

    For probes: lag is the number of records that wait, labels too; behind is the longest time since a task's last
    commit (an idle task commits once in an idle_timeout). Exits with 3 if Kafka or Redis does not answer.

    \b
    $ driftline status
    $ driftline status --watch
    $ driftline status --fail-if stopped --fail-if 'behind>5m'
    $ driftline status --json | jq '.partitions[] | select(.lag > 1000)'
    """

    from driftline.cli.connect import kafka_log, open_redis
    from driftline.cli.status_screen import as_text
    from driftline.cli.terminal import out, print_json
    from driftline.cli.verdict import Condition
    from driftline.config import load
    from driftline.errors import InputError

    conditions = [Condition.parse(text) for text in fail_if or ()]
    if conditions and watch:
        raise InputError("--fail-if checks once and exits; leave out --watch")
    settings = load(config)
    kafka = kafka_log(settings)
    store = open_redis(settings)

    def look() -> "StatusDocument":
        return collect(kafka, store, settings, now_ms=store.time_ms())

    try:
        if not watch:
            found = look()
            print_json(found) if json else out().print(as_text(found))
            _end(found, conditions)
        elif json:
            while True:
                print_json(look())
                time.sleep(EVERY_S)
        else:
            from rich.live import Live

            with Live(as_text(look()), console=out(), auto_refresh=False) as live:
                while True:
                    time.sleep(EVERY_S)
                    live.update(as_text(look()), refresh=True)
    finally:
        store.close()


def _end(found: "StatusDocument", conditions: "list[Condition]") -> None:
    """End with the status that tells how it is: 3 where Kafka does not answer, 1 where a condition holds."""
    from driftline.cli import PROBLEMS_FOUND
    from driftline.cli.terminal import err
    from driftline.errors import LogUnavailable

    if found.state == "unknown":
        raise LogUnavailable([wait.why for wait in found.waits if wait.owner is None][-1])
    holding = [said for condition in conditions if (said := condition.holds(found))]
    for said in holding:
        err().print(f"fails: {said}")
    if holding:
        raise typer.Exit(PROBLEMS_FOUND)


def collect(log: "Log", store: "Store", settings: "Settings", *, now_ms: int) -> "StatusDocument":
    """Return all that is known of a group.

    Where Kafka does not answer, ends and lags are None, and the reason is among the `waits`.
    """
    from msgspec.structs import asdict

    from driftline.cli.status_document import StatusDocument, Wait
    from driftline.cli.verdict import commits_within, judge
    from driftline.errors import LogUnavailable
    from driftline.pipeline.stage_names import JUDGE, input_topics, inputs_of

    stages = {stage: inputs_of(settings, topic) for stage, topic in input_topics(settings).items()}
    tasks = {(info.task.stage, info.task.partition): info for info in store.tasks(settings.group)}
    waits = [Wait(None, None, fault) for fault in store.faults()]
    bounds: dict[str, dict[int, tuple[int | None, int | None]]] = {}
    try:
        bounds = {topic: {**log.bounds(topic)} for inputs in stages.values() for topic in inputs}
    except LogUnavailable as error:
        waits.append(Wait(None, None, str(error)))
        for stage, number in tasks:
            for topic in stages.get(stage, ()):
                bounds.setdefault(topic, {})[number] = (None, None)
    waits += [
        Wait(word.owner, word.since, word.why) for word in store.told(settings.group) if now_ms - word.at < FRESH_MS
    ]
    partitions, judged = [], []
    for stage, inputs in stages.items():
        for number in sorted(bounds.get(inputs[0], {})):
            info = tasks.get((stage, number))
            told = _Told() if info is None else _told(store, info.task, judges=stage == JUDGE)
            ends = {topic: bounds[topic][number] for topic in inputs if number in bounds.get(topic, {})}
            partitions.append(_partition(stage, number, ends, info, told, now_ms))
            if told.judged is not None:
                judged.append(told.judged)
    verdict = judge(partitions, waits, judged, now_ms=now_ms, within_ms=commits_within(settings))
    return StatusDocument(
        **asdict(verdict),
        group=settings.group,
        at=now_ms,
        waits=waits,
        partitions=partitions,
        models=sorted((each for view in judged for each in view.subjects), key=lambda each: each.place),
        stream=[each for view in judged for each in (*view.stream, *view.traffic)],
    )


@dataclass(slots=True)
class _Told:
    """What a task stored of itself."""

    summarised: "SummariseView | None" = None
    judged: "JudgeView | None" = None
    others: "OthersView | None" = None
    skipped: int = 0
    rates: "Mapping[str, float | None]" = field(default_factory=dict)
    """By topic."""


def _told(store: "Store", task: "TaskId", *, judges: bool) -> _Told:
    """Return as much as can be read: of what cannot, the fault of the task says more."""
    from contextlib import suppress

    from msgspec import MsgspecError

    from driftline.errors import StateCorrupt
    from driftline.pipeline.views import read_view
    from driftline.runtime.inputs import INPUTS, decode_inputs
    from driftline.tasks.views import JudgeView, OthersView, SummariseView

    told = _Told()
    with suppress(StateCorrupt, MsgspecError, UnicodeDecodeError, TypeError):
        inputs = decode_inputs(store.read(task, INPUTS))
        told.skipped = sum(each.skipped for each in inputs.values())
        told.rates = {topic: each.rate for topic, each in inputs.items()}
        if judges:
            told.judged = read_view(store, task, JudgeView)
            told.others = read_view(store, task, OthersView)
        else:
            told.summarised = read_view(store, task, SummariseView)
    return told


def _partition(
    stage: str,
    number: int,
    ends: "Mapping[str, tuple[int | None, int | None]]",
    info: "TaskInfo | None",
    told: _Told,
    now_ms: int,
) -> "PartitionStatus":
    from msgspec import convert

    from driftline.cli.status_document import PartitionStatus, RecordCounters

    summarised = told.summarised
    watermark = None if summarised is None else summarised.watermark
    labels = None if summarised is None else summarised.labels
    positions = (watermark, None if labels is None else labels.newest)
    inputs = [
        _input(topic, bounds, None if info is None else info.offsets.get(topic), position, told.rates.get(topic))
        for (topic, bounds), position in zip(ends.items(), positions, strict=False)
    ]
    lags = [each.lag for each in inputs if each.lag is not None]
    return PartitionStatus(
        stage=stage,
        topic=inputs[0].topic,
        partition=number,
        offset=inputs[0].offset,
        end=inputs[0].end,
        lag=sum(lags) if len(lags) == len(inputs) else None,
        inputs=inputs,
        watermark=watermark,
        event_time_lag_ms=None if watermark is None else now_ms - watermark,
        records=None if summarised is None else convert(summarised, RecordCounters, from_attributes=True),
        labels=labels,
        panes=None if told.judged is None else told.judged.counters,
        skipped=told.skipped,
        other_groups={} if told.others is None else told.others.others,
        owner=None if info is None else info.owner,
        epoch=None if info is None else info.epoch,
        checkpoints=None if info is None else info.sequence,
        unpublished=None if info is None else info.outbox,
        claimed_at=None if info is None else info.claimed_at,
        committed_at=None if info is None else info.committed_at or None,
        fault=None if info is None else info.fault or None,
    )


def _input(
    topic: str,
    bounds: tuple[int | None, int | None],
    offset: int | None,
    position: int | None,
    rate: float | None,
) -> "InputStatus":
    from driftline.cli.status_document import InputStatus

    first, end = bounds
    lag = None if first is None or end is None else end - (first if offset is None else offset)
    return InputStatus(topic=topic, offset=offset, end=end, lag=lag, position=position, rate=rate)
