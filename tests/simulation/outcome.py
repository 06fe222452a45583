"""What came of a run, in a form that does not depend on how often anything was tried."""

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from driftline.log.api import Outgoing, Record, TopicPartition
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord, decode_outcomes, is_of_outcomes
from driftline.panes.records import PaneRecord, Watermark, decode_record
from driftline.panes.sources import source_number
from driftline.pipeline.stage_names import summarising, topic_numbers
from driftline.pipeline.task_settings import judge_settings
from driftline.tasks.judge import Judge
from tests.oracle.comparing import rules_for, said_by
from tests.oracle.summarise import Content, Oracle
from tests.simulation.workloads import Workload
from tests.simulation.world import World

PaneKey = tuple[int, str, int, int, int]
"""Source, model, and its place among all that the source sends of the model."""

SOURCES = 99


@dataclass
class Outcome:
    """Everything that must not depend on faults."""

    panes: dict[PaneKey, bytes] = field(default_factory=dict)
    outcomes: dict[PaneKey, bytes] = field(default_factory=dict)
    """What came of predictions and labels."""
    counters: dict[TopicPartition, Any] = field(default_factory=dict)
    """Of each input partition: what `status` shows of its task."""
    dead_letters: dict[tuple[str, int, int], tuple[str, bytes | None, bytes | None]] = field(default_factory=dict)
    """Topic, partition and offset -> reason, key and value."""
    alerts: dict[str, list[bytes]] = field(default_factory=dict)
    """By incident fingerprint, in order, each once."""
    windows: dict[int, Any] = field(default_factory=dict)
    """Of each panes partition: windows judged, and how far."""


class Wrong(AssertionError):
    """A run that broke a promise."""


def outcome_of(world: World) -> Outcome:
    """Collect what a run left behind. Raises `Wrong` where it contradicts itself."""
    found = Outcome()
    settings = world.workload.settings
    topics = summarising(settings)
    for info in world.store.tasks(settings.group):
        if info.outbox:
            raise Wrong(f"{info.task}: {info.outbox} records were never published")
        if info.task.stage in topics:
            topic = topics[info.task.stage]
            view = json.loads(world.store.read(info.task, "view/progress")["view/progress"])
            if view["consumed"] != view["accepted"] + sum(view["rejected"].values()):
                raise Wrong(f"{info.task}: its counters do not add up: {view}")
            if view["consumed"] != info.offsets[topic]:
                raise Wrong(f"{info.task}: {view['consumed']} records were counted, it is at {dict(info.offsets)}")
            if labels := view["labels"]:
                ends = [*labels["fates"].values(), *labels["rejected"].values(), labels["waiting"]]
                if not labels["consumed"] == sum(ends) == info.offsets[settings.topics.labels]:
                    raise Wrong(f"{info.task}: its labels do not add up: {labels}, it is at {dict(info.offsets)}")
            found.counters[TopicPartition(topic, info.task.partition)] = view
        else:
            view = json.loads(world.store.read(info.task, "view/incidents")["view/incidents"])
            counters = view["counters"]
            if counters["unreadable"]:
                raise Wrong(f"{info.task}: {counters['unreadable']} panes cannot be read")
            found.windows[info.task.partition] = [view["mark"], counters["windows"], counters["late"]]
    _collect_panes(world, found)
    _collect_dead_letters(world, found)
    found.alerts = unique_alerts(read_all(world, settings.topics.alerts))
    return found


def read_all(world: World, topic: str) -> list[tuple[TopicPartition, int, Record]]:
    """Return all records of a topic as (partition, offset, record)."""
    reader = world.log.read(topic)
    found: list[tuple[TopicPartition, int, Record]] = []
    while not reader.at_end:
        found.extend((source, offset, record) for source, offset, _, record in reader.poll(0.0))
    return found


def _collect_panes(world: World, found: Outcome) -> None:
    latest: dict[tuple[bool, int, str], tuple[int, int, int]] = {}
    marks: dict[tuple[bool, int, int], int] = defaultdict(lambda: -1)
    for place, offset, record in read_all(world, world.workload.settings.topics.panes):
        value = record.value or b""
        pane = _decoded(value)
        of_outcomes = isinstance(pane, OutcomeRecord | OutcomeMark)
        mark = of_outcomes, place.partition, pane.source
        if isinstance(pane, Watermark):
            marks[mark] = max(marks[mark], pane.time)
            continue
        key = (pane.source, pane.model, *pane.place)
        if world.workload.grows:  # how many sources there are is as the task that sent it knew
            value = replace(pane, sources=SOURCES).encode()
        if (found.outcomes if of_outcomes else found.panes).setdefault(key, value) != value:
            raise Wrong(f"{place}, offset {offset}: pane {key} was sent twice with different content")
        if pane.place > latest.get((of_outcomes, pane.source, pane.model), (-1, -1, -1)):
            latest[of_outcomes, pane.source, pane.model] = pane.place
            if pane.end <= marks[mark] and not world.workload.pauses:
                raise Wrong(f"{place}, offset {offset}: pane {key} came after the watermark that passed it")


@lru_cache(10_000)
def _decoded(value: bytes) -> PaneRecord | OutcomeRecord | Watermark:
    """Decode a record: every schedule of a workload sends the same ones, which is what is to be shown."""
    return decode_outcomes(value) if is_of_outcomes(value) else decode_record(value)


def _collect_dead_letters(world: World, found: Outcome) -> None:
    for _, _, record in read_all(world, world.workload.settings.topics.dead_letters):
        headers = dict(record.headers)
        place = (
            headers["driftline-topic"].decode(),
            int(headers["driftline-partition"]),
            int(headers["driftline-offset"]),
        )
        letter = (headers["driftline-reason"].decode(), record.key, record.value)
        if found.dead_letters.setdefault(place, letter) != letter:
            raise Wrong(f"dead letter {place} came twice with different content")


def unique_alerts(records: list[tuple[TopicPartition, int, Record]]) -> dict[str, list[bytes]]:
    """Return the alerts of each incident fingerprint as a consumer sees them that drops repeated ids."""
    by_id: dict[str, bytes] = {}
    found: dict[str, list[bytes]] = {}
    for _, _, record in records:
        value = record.value or b""
        alert = json.loads(value)
        if by_id.setdefault(alert["id"], value) != value:
            raise Wrong(f"alert {alert['id']} came twice with different content")
        alerts = found.setdefault(alert["partitionkey"], [])
        if value not in alerts:
            alerts.append(value)
    return found


def judged_again(world: World) -> dict[str, list[bytes]]:
    """Return the alerts that the panes log as it is now gives, each record once, judged from its start in one go."""
    topic = world.workload.settings.topics.panes
    by_partition: dict[int, dict[bytes | None, None]] = defaultdict(dict)
    for source, _, record in read_all(world, topic):
        by_partition[source.partition].setdefault(record.value)
    alerts = []
    for values in by_partition.values():
        judged = _judged(world.workload, tuple(values))
        alerts += [(TopicPartition(topic, 0), 0, Record(alert.key, alert.value)) for alert in judged]
    return unique_alerts(alerts)


@lru_cache(1_000)
def _judged(workload: Workload, values: tuple[bytes | None, ...]) -> list[Outgoing]:
    """Judge a log. Many schedules leave the same one."""
    judge = Judge(replace(judge_settings(workload.settings), topics=topic_numbers(workload.settings)))
    judge.process(values)
    return [Outgoing(workload.settings.topics.alerts, alert.key, alert.value) for alert in judge.emit()]


def check(world: World, got: Outcome, want: Outcome, *, again: bool) -> None:
    """Raise `Wrong` with the first difference.

    Args:
        world: what was run.
        got: what came of it.
        want: what comes of the undisturbed run.
        again: whether the panes log is judged again, in one go.

    Two things depend on time, and are in the panes log for that reason. When a partition was flushed: the oracle takes
    it from there. And when a partition that was added was heard of: what of it comes too late for a window depends on
    that. There, alerts are compared with those that the panes log gives.
    """
    if world.workload.pauses:
        contents = {key: said_by(pane) for key, value in got.panes.items() if (pane := _pane(value))}
        panes, counters, letters = with_flushes(world)
        _same("panes", contents, panes)
        _same("counters", {n: {name: view[name] for name in counters[n]} for n, view in got.counters.items()}, counters)
        _same("dead letters", {place: reason for place, (reason, _, _) in got.dead_letters.items()}, letters)
    else:
        _same("panes", got.panes, want.panes)
        _same("outcomes", got.outcomes, want.outcomes)
        _same("counters", got.counters, want.counters)
        _same("dead letters", got.dead_letters, want.dead_letters)
    if again:
        _same("alerts, judged again,", got.alerts, judged_again(world))
    if not (world.workload.grows or world.workload.pauses):
        _same("alerts", got.alerts, want.alerts)
        _same("windows", got.windows, want.windows)


def _pane(value: bytes) -> PaneRecord | None:
    record = _decoded(value)
    return record if isinstance(record, PaneRecord) else None


def with_flushes(
    world: World,
) -> tuple[dict[PaneKey, Content], dict[TopicPartition, dict[str, object]], dict[tuple[str, int, int], str]]:
    """Return panes, counters and dead letters as the oracle has them, flushed where the panes log says so."""
    workload = world.workload
    topics = workload.settings.topics
    flushed: dict[int, dict[int, int]] = defaultdict(dict)
    clocks: dict[tuple[int, int], int] = {}
    for _, _, record in read_all(world, topics.panes):
        mark = _decoded(record.value or b"")
        if isinstance(mark, PaneRecord) and mark.model == "":
            clocks[mark.source, mark.flushes] = mark.start
        if isinstance(mark, Watermark) and not isinstance(mark, OutcomeMark) and mark.idle:
            flushed[mark.source][mark.position] = max(mark.time, flushed[mark.source].get(mark.position, mark.time))
    panes: dict[PaneKey, Content] = {}
    counters: dict[TopicPartition, dict[str, object]] = {}
    letters: dict[tuple[str, int, int], str] = {}
    for place, source in sources_of(workload).items():
        oracle = Oracle(rules_for(workload.settings), source, workload.partitions[place.topic])
        records = workload.of(place)
        for offset, (_, value, stamp, by_log) in enumerate(records):
            if offset in flushed[source]:
                oracle.rest(offset, flushed[source][offset], clocks.get((source, oracle.flushes)))
            fate = oracle.take(value, stamp, by_log=by_log)
            if fate != "accepted":
                letters[*place, offset] = fate
        oracle.rest(len(records), clock=clocks.get((source, oracle.flushes)))
        panes.update({(source, sent.model, sent.flushes, sent.start, sent.part): sent for sent in oracle.sent})
        counters[place] = oracle.counters
    return panes, counters, letters


def sources_of(workload: Workload) -> dict[TopicPartition, int]:
    """Return the number of the source of each partition of each topic of predictions that has records."""
    topics = dict(zip(workload.settings.topics.inputs, topic_numbers(workload.settings), strict=True))
    places = sorted({place for place, *_ in workload.records if place.topic in topics})
    return {place: source_number(topics[place.topic], place.partition) for place in places}


def _same(what: str, got: dict[Any, Any], want: dict[Any, Any]) -> None:
    if got == want:
        return
    lines = [f"missing {key}" for key in want.keys() - got.keys()]
    lines += [f"not expected {key}" for key in got.keys() - want.keys()]
    lines += [
        f"{key}: {got[key]!r:.300} instead of {want[key]!r:.300}"
        for key in got.keys() & want.keys()
        if got[key] != want[key]
    ]
    raise Wrong(f"{what} differ: {'; '.join(sorted(lines)[:3])} ({len(lines)} in all)")
