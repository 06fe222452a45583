"""`driftline status`: how far each partition has come, and what is watched."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.options import ConfigOption, JsonOption
from driftline.events import rfc3339

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from driftline.config import Settings
    from driftline.log.api import Log
    from driftline.state.api import Store, TaskInfo

EVERY_S = 2.0
FRESH_MS = 60_000
"""A paused worker repeats itself every 10 s; what was said longer ago was said by one that is gone."""
MOST_SEGMENTS = 20
"""Segments of a model that are listed for people; programs get all of them."""


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Renew it every 2 s, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show how far the work has come: partitions with their lag, watermark and owner, then models with their reference.

    It reads what the workers stored with their last checkpoints, and disturbs nobody. Workers that wait for Kafka or
    Redis are shown first, with the reason. With --json one document, and with --watch one every 2 s.

    \b
    $ driftline status
    $ driftline status --watch
    $ driftline status --json | jq '.partitions[] | select(.lag > 1000)'
    """
    from driftline.cli.connect import kafka_log, open_store
    from driftline.cli.terminal import out, print_json
    from driftline.config import load
    from driftline.errors import ConfigError

    settings = load(config)
    kafka = kafka_log(settings)
    if settings.redis.url is None:
        raise ConfigError(
            "redis.url: is not set, and the state of a worker without Redis is in its own process only; set "
            "DRIFTLINE_REDIS__URL=redis://localhost:6379/0 for this command and for `driftline run`"
        )
    store = open_store(settings)

    def look() -> dict[str, Any]:
        return collect(kafka, store, settings, now_ms=time.time_ns() // 1_000_000)

    try:
        if not watch:
            print_json(look()) if json else out().print(as_text(look()))
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


def collect(log: "Log", store: "Store", settings: "Settings", *, now_ms: int) -> dict[str, Any]:
    """Return all that is known of a group. Times are epoch milliseconds, None where there is none yet.

    Where Kafka does not answer, ends and lags are None, and the reason is among the `waits`.
    """
    from contextlib import suppress

    import msgspec

    from driftline.errors import LogUnavailable, StateCorrupt
    from driftline.runtime.inputs import INPUTS, decode_inputs
    from driftline.runtime.stage_names import JUDGE, SUMMARISE, VIEW

    inputs = {SUMMARISE: settings.topics.predictions, JUDGE: settings.topics.panes}
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
    partitions, models, stream = [], [], []
    for stage, topic in inputs.items():
        for number, (first, end) in sorted(bounds.get(stage, {}).items()):
            info = tasks.get((stage, number))
            view: dict[str, Any] = {}
            if info is not None:
                with suppress(StateCorrupt, msgspec.MsgspecError, UnicodeDecodeError, TypeError):  # its fault says more
                    for blob in store.read(info.task, VIEW).values():
                        view |= msgspec.json.decode(blob)
                    held = decode_inputs(store.read(info.task, INPUTS))
                    view["skipped"] = sum(each.skipped for each in held.values())
            partitions.append(_partition(stage, topic, number, (first, end), info, view, now_ms))
            models += view.get("subjects", [])
            stream += view.get("stream", [])
    return {
        "group": settings.group,
        "at": now_ms,
        "waits": waits,
        "partitions": partitions,
        "models": sorted(models, key=lambda model: (model["model"], model["version"], model["segment"])),
        "stream": stream,
    }


def _partition(
    stage: str,
    topic: str,
    number: int,
    bounds: tuple[int | None, int | None],
    info: "TaskInfo | None",
    view: dict[str, Any],
    now_ms: int,
) -> dict[str, Any]:
    first, end = bounds
    offset = None if info is None else info.offsets.get(topic)
    watermark = view.get("watermark")
    counters = view.get("counters") or {
        name: view[name]
        for name in ("consumed", "accepted", "refused", "without_time", "beyond_limits", "panes")
        if name in view
    }
    return {
        "stage": stage,
        "topic": topic,
        "partition": number,
        "offset": offset,
        "end": end,
        "lag": None if first is None or end is None else end - (first if offset is None else offset),
        "watermark": watermark,
        "event_time_lag_ms": None if watermark is None else now_ms - watermark,
        "counters": counters,
        "skipped": view.get("skipped", 0),
        "other_groups": view.get("others", {}),
        "owner": info and info.owner,
        "epoch": info and info.epoch,
        "checkpoints": info and info.sequence,
        "unpublished": info and info.outbox,
        "claimed_at": info and info.claimed_at,
        "committed_at": info and (info.committed_at or None),
        "fault": info and (info.fault or None),
    }


def as_text(found: dict[str, Any]) -> "RenderableType":
    """Return the tables for people."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(f"group {found['group']}", "bold")]
    parts += [Text(_wait(wait, found["at"]), "yellow") for wait in found["waits"]]
    parts += [_partitions(found), *_refused(found), *_others(found), *_skipped(found), Text()]
    parts.append(_models(found) if found["models"] else Text("no window of any model is complete yet", "dim"))
    parts += [Text(f"● {incident['summary']}", "red") for incident in found["stream"]]
    parts += [
        Text(f"● {each['stage']} {each['partition']} is set aside: {each['fault']}", "red")
        for each in found["partitions"]
        if each["fault"]
    ]
    return Group(*parts)


def _wait(wait: dict[str, Any], now_ms: int) -> str:
    from driftline.cli.terminal import age

    if wait["owner"] is None:
        return str(wait["why"])
    return f"{wait['owner']} has waited for {age(now_ms - wait['since'])}: {wait['why']}"


def _partitions(found: dict[str, Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.terminal import age

    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "partition", "lag", "events", "refused", "watermark", "behind", "checkpoint", "owner"):
        table.add_column(heading, justify="right" if heading in ("partition", "lag", "events", "refused") else "left")
    for each in found["partitions"]:
        counters, committed = each["counters"], each["committed_at"]
        refused = sum(counters.get("refused", {}).values())
        table.add_row(
            each["stage"],
            str(each["partition"]),
            Text("?" if each["lag"] is None else f"{each['lag']:,}", "" if each["lag"] == 0 else "yellow"),
            f"{counters.get('accepted', counters.get('panes', 0)):,}",
            Text(f"{refused:,}", "yellow" if refused else "dim"),
            "" if each["watermark"] is None else rfc3339(each["watermark"]),
            "" if each["event_time_lag_ms"] is None else age(each["event_time_lag_ms"]),
            "never" if committed is None else f"{age(found['at'] - committed)} ago",
            Text("nobody", "red") if each["owner"] is None else f"{each['owner']} (epoch {each['epoch']})",
        )
    return table


def _skipped(found: dict[str, Any]) -> list["Text"]:
    """Say which records a person gave up."""
    from rich.text import Text

    return [
        Text(f"{each['skipped']:,} records of {each['topic']} {each['partition']} were skipped on request", "yellow")
        for each in found["partitions"]
        if each["skipped"]
    ]


def _refused(found: dict[str, Any]) -> list["Text"]:
    """Say why records were refused, and where they are."""
    from rich.text import Text

    from driftline.formats.reasons import EXPLANATIONS

    meanings = {reason.label: meaning for reason, meaning in EXPLANATIONS.items()}
    totals: Counter[str] = Counter()
    for each in found["partitions"]:
        totals.update(each["counters"].get("refused", {}))
    lines = [Text(f"{number:,} refused as {name}: {meanings[name]}", "yellow") for name, number in totals.most_common()]
    return [*lines, Text("they are kept: driftline dead-letters list", "dim")] if lines else []


def _others(found: dict[str, Any]) -> list["Text"]:
    """Say that other groups write to the panes topic, too."""
    from rich.text import Text

    totals: Counter[str] = Counter()
    for each in found["partitions"]:
        totals.update(each["other_groups"])
    topic = next((each["topic"] for each in found["partitions"] if each["other_groups"]), "")
    return [
        Text(
            f"{number:,} records of group {name} in {topic} were left alone: give each group a panes topic of its own "
            "(topics.panes)",
            "yellow",
        )
        for name, number in totals.most_common()
    ]


def _models(found: dict[str, Any]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "model", "version", "segment", "last window", "events", "reference", "fires", box=None, pad_edge=False
    )
    shown: dict[tuple[str, str], int] = {}
    for each in found["models"]:
        key = (each["model"], each["version"])
        shown[key] = shown.get(key, 0) + bool(each["segment"])
        if shown[key] > MOST_SEGMENTS and not each["incidents"]:
            continue
        window = each["window"]
        table.add_row(
            each["model"],
            each["version"],
            each["segment"],
            "" if window is None else f"to {rfc3339(window['end'])}",
            "" if window is None else f"{window['count']:,}",
            _compared_with(each),
            Text("; ".join(incident["summary"] for incident in each["incidents"]), "red"),
        )
    for (model, version), segments in shown.items():
        if segments > MOST_SEGMENTS:
            table.add_row(model, version, Text(f"{segments} segments in all", "dim"))
    return table


def _compared_with(subject: dict[str, Any]) -> str:
    if subject["reference"] is None:
        return f"learning, {subject['learned_events']:,} events"
    return f"{subject['history'][-1]['origin']}, {subject['reference'][:19]}"
