"""What must have come of the records, and what did: the same tasks run undisturbed, compared with what is in Kafka."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from driftline.columns.times import LATEST
from driftline.config import Settings
from driftline.log.api import APPEND_TIME, STAMPED_BY, Headers, Log, Outgoing, Record, TopicPartition
from driftline.panes.outcomes import OutcomeRecord, decode_outcomes, is_of_outcomes
from driftline.panes.records import Watermark, decode_record
from driftline.pipeline.monitoring import stage_kinds
from driftline.pipeline.stage_names import SUMMARISE, inputs_of
from driftline.state.api import Store, TaskId

AT_ONCE = 5_000

Key = TypeVar("Key")
Place = tuple[int, str, int, int]
"""Source, model, start and part of a pane record."""


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of a partition, as a `Batch`."""

    source: TopicPartition
    offsets: Sequence[int]
    timestamps: Sequence[int]
    records: Sequence[Record]
    stamped_by_log: bool

    @property
    def values(self) -> Sequence[bytes | None]:
        return [record.value for record in self.records]

    def headers(self) -> Sequence[Headers]:
        return [record.headers for record in self.records]

    def record(self, index: int) -> Record:
        return self.records[index]


@dataclass
class Found:
    """All that comes of the records of the predictions topic."""

    counters: dict[int, dict[str, object]] = field(default_factory=dict)
    """By partition: consumed, accepted, rejected by reason, panes."""
    panes: dict[Place, bytes] = field(default_factory=dict)
    alerts: dict[str, object] = field(default_factory=dict)
    """By id."""
    dead_letters: set[tuple[int, int]] = field(default_factory=set)
    """(partition, offset)."""
    repeated: dict[str, int] = field(default_factory=dict)
    """How many records of a topic were there more than once, which is allowed."""


def read(log: Log, topic: str) -> Iterator[tuple[TopicPartition, int, int, Record]]:
    """Yield all records of a topic; those of one partition are in order."""
    reader = log.read(topic)
    while not reader.at_end:
        yield from reader.poll(1.0)
    reader.close()


def undisturbed(log: Log, settings: Settings) -> Found:
    """Run both stages over the records of the predictions topic, a partition after the other, with no log or store."""
    found = Found()
    counts = log.partition_counts([settings.topics.main, settings.topics.panes])
    summarise, judge = stage_kinds(settings, counts)
    held: dict[TopicPartition, list[tuple[int, int, Record]]] = {}
    kinds = log.topic_settings(inputs_of(settings, settings.topics.main))
    for topic in inputs_of(settings, settings.topics.main):
        for source, offset, stamp, record in read(log, topic):
            held.setdefault(source, []).append((offset, stamp, record))
    panes: dict[int, list[Outgoing]] = {number: [] for number in range(counts[settings.topics.panes])}
    for number in range(counts[settings.topics.main]):
        stage = summarise.make(number)
        places = [TopicPartition(topic, number) for topic in inputs_of(settings, settings.topics.main)]
        for source in places:  # all of one topic before the other: it does not matter how they are read
            records = held.get(source, [])
            for start in range(0, len(records), AT_ONCE):
                offsets, stamps, values = zip(*records[start : start + AT_ONCE], strict=True)
                stage.process(Records(source, offsets, stamps, values, kinds[source.topic][STAMPED_BY] == APPEND_TIME))
        stage.end(held[places[0]][-1][0] + 1, LATEST)
        output = stage.output()
        for outgoing in output.records:
            assert outgoing.partition is not None
            panes[outgoing.partition].append(outgoing)
            _take_pane(found, outgoing.value or b"")
        for letter in output.dead_letters:
            headers = dict(letter.headers)
            found.dead_letters.add((int(headers["driftline-partition"]), int(headers["driftline-offset"])))
        view = json.loads(stage.checkpoint()["view/progress"] or b"")
        found.counters[number] = _counters(view)
    for number, sent in panes.items():
        stage = judge.make(number)
        source = TopicPartition(settings.topics.panes, number)
        pane_records = [Record(outgoing.key, outgoing.value, outgoing.headers) for outgoing in sent]
        stage.process(Records(source, range(len(sent)), [0] * len(sent), pane_records, stamped_by_log=False))
        for alert in stage.output().records:
            _take_alert(found, alert.value or b"")
    return found


def as_it_came(log: Log, store: Store, settings: Settings) -> Found:
    """Read what the workers published and stored."""
    found = Found()
    count = log.partition_counts([settings.topics.main])[settings.topics.main]
    for number in range(count):
        stored = store.read(TaskId(settings.group, SUMMARISE, number), "view/progress")
        found.counters[number] = _counters(json.loads(stored["view/progress"]))
    seen = 0
    for *_, record in read(log, settings.topics.panes):
        seen += _take_pane(found, record.value or b"")
    found.repeated["panes"] = seen - len(found.panes)
    seen = 0
    for *_, record in read(log, settings.topics.alerts):
        _take_alert(found, record.value or b"")
        seen += 1
    found.repeated["alerts"] = seen - len(found.alerts)
    seen = 0
    for *_, record in read(log, settings.topics.dead_letters):
        headers = dict(record.headers)
        found.dead_letters.add((int(headers["driftline-partition"]), int(headers["driftline-offset"])))
        seen += 1
    found.repeated["dead letters"] = seen - len(found.dead_letters)
    return found


def differences(expected: Found, found: Found, ends: Mapping[int, int]) -> list[str]:
    """Return a line for each thing that is not as it must be."""
    lines = []
    for number, end in sorted(ends.items()):
        mine, theirs = found.counters.get(number, {}), expected.counters.get(number, {})
        if mine != theirs:
            lines.append(f"partition {number}: counted {mine}, should be {theirs}")
        rejected = mine.get("rejected", {})
        assert isinstance(rejected, dict)
        accepted = mine.get("accepted", 0)
        assert isinstance(accepted, int)
        if mine.get("consumed") != end or accepted + sum(rejected.values()) != end:
            lines.append(f"partition {number}: {mine} does not balance with its {end} records")
    lines += _compared("pane", found.panes, expected.panes)
    lines += _compared("alert", found.alerts, expected.alerts)
    lines += _compared("dead letter", dict.fromkeys(found.dead_letters), dict.fromkeys(expected.dead_letters))
    return lines


def _compared(what: str, found: Mapping[Key, object], expected: Mapping[Key, object]) -> list[str]:
    other = {key for key in found.keys() & expected.keys() if found[key] != expected[key]}
    return [
        f"{what} {key} {verdict}"
        for verdict, keys in (
            ("is missing", expected.keys() - found.keys()),
            ("should not be there", found.keys() - expected.keys()),
            ("is another one", other),
        )
        for key in sorted(keys, key=str)
    ]


def _counters(view: Mapping[str, object]) -> dict[str, object]:
    labels = view["labels"] or {}
    assert isinstance(labels, dict)
    held = {
        name: number for name, number in labels.items() if name not in ("predictions", "newest")
    }  # let go of in time
    return {**{name: view[name] for name in ("consumed", "accepted", "rejected", "panes")}, "labels": held}


def _take_pane(found: Found, value: bytes) -> int:
    """Note a pane record. Returns 0 for a watermark. One that came before is the same, or both are kept."""
    record = decode_outcomes(value) if is_of_outcomes(value) else decode_record(value)
    if isinstance(record, Watermark):
        return 0
    what = f"outcomes of {record.model}" if isinstance(record, OutcomeRecord) else record.model
    if found.panes.setdefault((record.source, what, record.start, record.part), value) != value:
        found.panes[record.source, what, record.start, -record.part - 1] = value
    return 1


def _take_alert(found: Found, value: bytes) -> None:
    alert = json.loads(value)
    if found.alerts.setdefault(alert["id"], alert) != alert:
        found.alerts[f"{alert['id']} once more, and different"] = alert
