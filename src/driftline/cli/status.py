"""`driftline status`: whether it works, how far each partition has come, and what is watched."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from driftline.cli.verdict import Condition
    from driftline.config import Settings
    from driftline.log.api import Log
    from driftline.state.api import Store, TaskInfo
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
            help="Exit with 1 if this holds: lag>10000, behind>5m, stopped, silent or set-aside. Repeatable.",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show whether the group works, the lag of each partition, and each model.

    The first line says whether the group is working, lagging, stopped (no worker is alive) or silent (no events come).
    Workers that wait for Kafka or Redis follow, with the reason. The command only reads what workers stored with their
    last checkpoints. --json prints one document, with --watch one every 2 s.

    For probes: lag is the number of records that wait; behind is the longest time since a task's last commit (an idle
    task commits once in an idle_timeout). Exits with 3 if Kafka or Redis does not answer.

    \b
    $ driftline status
    $ driftline status --watch
    $ driftline status --fail-if stopped --fail-if 'behind>5m'
    $ driftline status --json | jq '.partitions[] | select(.lag > 1000)'
    """
    from driftline.cli.connect import kafka_log, open_store
    from driftline.cli.status_screen import as_text
    from driftline.cli.terminal import out, print_json
    from driftline.cli.verdict import Condition
    from driftline.config import load
    from driftline.errors import ConfigError, InputError

    conditions = [Condition.parse(text) for text in fail_if or ()]
    if conditions and watch:
        raise InputError("--fail-if looks once and exits; leave out --watch")
    settings = load(config)
    kafka = kafka_log(settings)
    if settings.redis.url is None:
        raise ConfigError(
            "redis.url: is not set. A worker without Redis keeps its state to itself; set "
            "DRIFTLINE_REDIS__URL=redis://localhost:6379/0 for this command and for `driftline run`"
        )
    store = open_store(settings)

    def look() -> dict[str, Any]:
        return collect(kafka, store, settings, now_ms=time.time_ns() // 1_000_000)

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


def _end(found: dict[str, Any], conditions: "list[Condition]") -> None:
    """End with the status that tells how it is: 3 where Kafka does not answer, 1 where a condition holds."""
    from driftline.cli import PROBLEMS_FOUND
    from driftline.cli.terminal import err
    from driftline.errors import LogUnavailable

    if found["state"] == "unknown":
        raise LogUnavailable([wait["why"] for wait in found["waits"] if wait["owner"] is None][-1])
    holding = [said for condition in conditions if (said := condition.holds(found))]
    for said in holding:
        err().print(f"fails: {said}")
    if holding:
        raise typer.Exit(PROBLEMS_FOUND)


def collect(log: "Log", store: "Store", settings: "Settings", *, now_ms: int) -> dict[str, Any]:
    """Return all that is known of a group. Times are epoch milliseconds, None where there is none yet.

    Where Kafka does not answer, ends and lags are None, and the reason is among the `waits`.
    """
    from contextlib import suppress

    import msgspec

    from driftline.cli.verdict import commits_within, judge
    from driftline.errors import LogUnavailable, StateCorrupt
    from driftline.runtime.inputs import INPUTS, decode_inputs
    from driftline.runtime.stage_names import JUDGE, input_topics
    from driftline.runtime.views import read_view
    from driftline.tasks.views import JudgeView, OthersView, SummariseView

    inputs = input_topics(settings)
    tasks = {(info.task.stage, info.task.partition): info for info in store.tasks(settings.group)}
    waits: list[dict[str, Any]] = [{"owner": None, "since": None, "why": fault} for fault in store.faults()]
    bounds: dict[str, dict[int, tuple[int | None, int | None]]] = {}
    try:
        bounds = {stage: {**log.bounds(topic)} for stage, topic in inputs.items()}
    except LogUnavailable as error:
        waits.append({"owner": None, "since": None, "why": str(error)})
        for stage, number in tasks:
            bounds.setdefault(stage, {})[number] = (None, None)
    waits += [
        {"owner": word.owner, "since": word.since, "why": word.why}
        for word in store.told(settings.group)
        if now_ms - word.at < FRESH_MS
    ]
    partitions, models, stream, silences, sources = [], [], [], [], []
    for stage, topic in inputs.items():
        for number, (first, end) in sorted(bounds.get(stage, {}).items()):
            info = tasks.get((stage, number))
            summarised, judged, others, skipped = None, None, None, 0
            if info is not None:
                with suppress(StateCorrupt, msgspec.MsgspecError, UnicodeDecodeError, TypeError):  # its fault says more
                    skipped = sum(each.skipped for each in decode_inputs(store.read(info.task, INPUTS)).values())
                    if stage == JUDGE:
                        judged = read_view(store, info.task, JudgeView)
                        others = read_view(store, info.task, OthersView)
                    else:
                        summarised = read_view(store, info.task, SummariseView)
            place = _place(stage, topic, number, (first, end), info)
            partitions.append(place | _progress(summarised, judged, now_ms) | _beside(others, skipped) | _owner(info))
            if judged is not None:
                models += msgspec.to_builtins(judged.subjects)
                stream += msgspec.to_builtins([*judged.stream, *judged.traffic])
                silences += msgspec.to_builtins(judged.silences)
                sources += msgspec.to_builtins(list(judged.sources.values()))
    found: dict[str, Any] = {
        "group": settings.group,
        "at": now_ms,
        "waits": waits,
        "partitions": partitions,
        "models": sorted(models, key=lambda model: (model["model"], model["version"], model["segment"])),
        "stream": stream,
        "sources": sources,
        "silences": silences,
    }
    verdict = judge(found, commits_within(settings))
    del found["sources"], found["silences"]
    return verdict | found


def _place(
    stage: str, topic: str, number: int, bounds: tuple[int | None, int | None], info: "TaskInfo | None"
) -> dict[str, Any]:
    first, end = bounds
    offset = None if info is None else info.offsets.get(topic)
    return {
        "stage": stage,
        "topic": topic,
        "partition": number,
        "offset": offset,
        "end": end,
        "lag": None if first is None or end is None else end - (first if offset is None else offset),
    }


def _progress(summarised: "SummariseView | None", judged: "JudgeView | None", now_ms: int) -> dict[str, Any]:
    from msgspec import to_builtins

    watermark = None if summarised is None else summarised.watermark
    counters = {} if judged is None else to_builtins(judged.counters)
    if summarised is not None:
        names = ("consumed", "accepted", "rejected", "events", "without_time", "beyond_limits", "panes")
        counters = {name: getattr(summarised, name) for name in names}
    return {
        "watermark": watermark,
        "event_time_lag_ms": None if watermark is None else now_ms - watermark,
        "counters": counters,
    }


def _beside(others: "OthersView | None", skipped: int) -> dict[str, Any]:
    return {"skipped": skipped, "other_groups": {} if others is None else others.others}


def _owner(info: "TaskInfo | None") -> dict[str, Any]:
    return {
        "owner": info and info.owner,
        "epoch": info and info.epoch,
        "checkpoints": info and info.sequence,
        "unpublished": info and info.outbox,
        "claimed_at": info and info.claimed_at,
        "committed_at": info and (info.committed_at or None),
        "fault": info and (info.fault or None),
    }
