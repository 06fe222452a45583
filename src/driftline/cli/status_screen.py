"""What `driftline status` shows to people."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from driftline.cli.status_document import InputStatus, PartitionStatus, StatusDocument, Wait
from driftline.cli.terminal import age
from driftline.cli.verdict import far_off
from driftline.events import rfc3339
from driftline.tasks.views import IncidentView, SubjectView

MAX_SEGMENTS = 20
"""Segments of a model that are listed for people; programs get all of them."""


def as_text(found: StatusDocument) -> RenderableType:
    """Return the tables for people."""
    colour = {"working": "green", "stopped": "red", "set-aside": "red", "rejecting": "red"}.get(found.state, "yellow")
    parts: list[RenderableType] = [Text(found.summary, f"bold {colour}"), Text(f"group {found.group}", "bold")]
    parts += [Text(f"● {silence.summary}", "red") for silence in (*found.silent_models, *found.silent_labels)]
    parts += [Text(line, "yellow") for line in far_off(found.partitions)]
    parts += [Text(_wait(wait, found.at), "yellow") for wait in found.waits]
    parts += [_partitions(found), *_rejected(found), *_labels(found), *_others(found), *_skipped(found), Text()]
    parts.append(_models(found) if found.models else Text("no model has a complete window yet", "dim"))
    parts += [Text(f"● {incident.summary}", "red") for incident in found.stream]
    parts += [Text(f"● {each.name} is set aside: {each.fault}", "red") for each in found.partitions if each.fault]
    return Group(*parts)


def _wait(wait: Wait, now_ms: int) -> str:
    if wait.owner is None or wait.since is None:
        return wait.why
    return f"{wait.owner} has waited for {age(now_ms - wait.since)}: {wait.why}"


def _partitions(found: StatusDocument) -> Table:
    table = Table(box=None, pad_edge=False)
    numbers = ("partition", "lag", "a second", "events", "rejected")
    for heading in ("stage", *numbers, "watermark", "behind", "checkpoint", "owner"):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    for each in found.partitions:
        rejected = sum(each.records.rejected.values()) if each.records is not None else 0
        main, *following = each.inputs
        table.add_row(
            each.stage,
            str(each.partition),
            *_read(main),
            f"{_counted(each):,}",
            _rejections(rejected),
            "" if each.watermark is None else rfc3339(each.watermark),
            _distance(each.event_time_lag_ms),
            "never" if each.committed_at is None else f"{age(found.at - each.committed_at)} ago",
            Text("nobody", "red") if each.owner is None else f"{each.owner} (epoch {each.epoch})",
        )
        for held in following:
            labels, at = each.labels, held.position
            table.add_row(
                f"  {held.topic}",
                str(each.partition),
                *_read(held),
                "0" if labels is None else f"{labels.consumed:,}",
                _rejections(0 if labels is None else sum(labels.rejected.values())),
                "" if at is None else rfc3339(at),
                "" if at is None else _distance(found.at - at),
            )
    return table


def _read(held: InputStatus) -> tuple[Text, str]:
    """Return how many records of an input wait, and how many were read in a second."""
    lag = Text("?" if held.lag is None else f"{held.lag:,}", "" if held.lag == 0 else "yellow")
    return lag, "" if held.rate is None else f"{held.rate:,.{0 if held.rate >= 10 else 1}f}"


def _rejections(number: int) -> Text:
    return Text(f"{number:,}", "yellow" if number else "dim")


def _labels(found: StatusDocument) -> list[Text]:
    """Say what became of labels, all partitions together."""
    views = [each.labels for each in found.partitions if each.labels is not None]
    consumed = sum(view.consumed for view in views)
    if not views:
        return []
    if not consumed:
        return [Text("labels: none has come yet", "yellow")]
    newest = max((view.newest for view in views if view.newest is not None), default=found.at)
    fates: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for view in views:
        fates.update(view.fates)
        kinds.update(view.kinds)
        fates.update({"waiting": view.waiting, "rejected": sum(view.rejected.values())})
    told = ", ".join(f"{number:,} {fate}" for fate, number in fates.most_common() if number)
    held = sum(view.predictions for view in views)
    line = f"labels: {consumed:,} ({told}), the newest {age(max(found.at - newest, 0))} ago"
    said = [Text(f"{line}; {held:,} predictions wait for theirs or may see a correction")]
    of_kinds = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    return [*said, Text(f"labels by kind: {of_kinds}")] if kinds else said


def _counted(partition: PartitionStatus) -> int:
    """Return the records that count: predictions, or panes."""
    if partition.records is not None:
        return partition.records.accepted
    return partition.panes.panes if partition.panes is not None else 0


def _distance(event_time_lag_ms: int | None) -> str:
    if event_time_lag_ms is None:
        return ""
    return age(event_time_lag_ms) if event_time_lag_ms > -1000 else f"{age(-event_time_lag_ms)} ahead"


def _skipped(found: StatusDocument) -> list[Text]:
    """Say which records a person gave up."""
    return [
        Text(f"an operator skipped {each.skipped:,} records of {each.topic} {each.partition}", "yellow")
        for each in found.partitions
        if each.skipped
    ]


def _rejected(found: StatusDocument) -> list[Text]:
    """Say why records were rejected, and where they are."""
    from driftline.columns.reasons import EXPLANATIONS

    meanings = {reason.label: meaning for reason, meaning in EXPLANATIONS.items()}
    totals: Counter[str] = Counter()
    for each in found.partitions:
        totals.update(each.records.rejected if each.records is not None else {})
    lines = [
        Text(f"{number:,} rejected as {name}: {meanings[name]}", "yellow") for name, number in totals.most_common()
    ]
    return [*lines, Text("see them with: driftline dead-letters list", "dim")] if lines else []


def _others(found: StatusDocument) -> list[Text]:
    """Say that other groups write to the panes topic, too."""
    totals: Counter[str] = Counter()
    for each in found.partitions:
        totals.update(each.other_groups)
    topic = next((each.topic for each in found.partitions if each.other_groups), "")
    return [
        Text(
            f"{topic} also holds {number:,} records of group {name}, which this group ignores: give each group its "
            "own panes topic (topics.panes)",
            "yellow",
        )
        for name, number in totals.most_common()
    ]


def _models(found: StatusDocument) -> Table:
    table = Table(
        "model", "version", "segment", "last window", "events", "reference", "fires", box=None, pad_edge=False
    )
    shown: dict[tuple[str, str], int] = {}
    for each in found.models:
        key = (each.model, each.version)
        shown[key] = shown.get(key, 0) + bool(each.segment)
        if shown[key] > MAX_SEGMENTS and not each.incidents:
            continue
        window = each.window
        table.add_row(
            each.model,
            each.version,
            each.segment,
            "" if window is None else f"to {rfc3339(window.end)}",
            "" if window is None else f"{window.count:,}",
            _compared_with(each),
            Text("; ".join(map(_fires, each.incidents)), "red"),
        )
    for (model, version), segments in shown.items():
        if segments > MAX_SEGMENTS:
            table.add_row(model, version, Text(f"{segments} segments in all", "dim"))
    return table


def _fires(incident: IncidentView) -> str:
    """Return what fires; a part of an incident names that."""
    return f"part of {incident.part_of[:8]}: {incident.summary}" if incident.part_of else incident.summary


def _compared_with(subject: SubjectView) -> str:
    if subject.reference is None:
        return f"learning, {subject.learned_events:,} events"
    return f"{subject.history[-1].origin}, {subject.reference[:19]}"
