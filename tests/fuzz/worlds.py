"""A world: some producers, one topic's partition, and the settings under which it is read; all from one seed.

Every record of a world goes through the decoder as it is and through the plain one, in batches of any size, and then
through Summarise twice (either decoder, other batches) and Judge twice (one of them restored on the way).
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from driftline.columns.batch import ColumnBatch
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.evidence.detectors import DETECTORS, USUAL
from driftline.formats.native import NativeDecoder
from driftline.incidents.budget import AlarmBudget
from driftline.tasks.judge import Judge
from driftline.tasks.model_rules import JudgeSettings, LearnRule, ModelRules
from driftline.tasks.summarise import Summarise, SummariseSettings
from tests.fuzz import producers
from tests.fuzz.comparing import Value, difference, pieces, shrunk
from tests.fuzz.mutations import SEPARATORS, Mutator, Pairs
from tests.fuzz.plain import PlainDecoder

START = 1_787_302_800_000
PANE_MS = 10_000
SEGMENT_TAGS: tuple[tuple[str, ...], ...] = ((), (), ("tenant",), ("tenant", "land"))
LIMITS = (Limits(), Limits(), Limits(models=3, versions=2, segments=3, signals=6, depth=2, name_length=12))
BATCHES = (1, 2, 15, 16, 17, 100, 499, 500, 501, 1_500, 4_000)
"""Sizes of batches: the decoders work in chunks, and learn in smaller ones."""


class Differs(AssertionError):
    """Two ways of reading the same records came to different results, or one of them failed."""


@dataclass(slots=True)
class Tally:
    """What was seen, for people."""

    events: int = 0
    worlds: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    panes: int = 0
    alerts: int = 0

    def add(self, other: "Tally") -> None:
        """Add what was seen elsewhere."""
        self.fates += other.fates
        for name in ("events", "worlds", "panes", "alerts"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Producer:
    """Events of one kind with their faults."""

    trees: Iterator[Pairs]
    mutator: Mutator
    times: Callable[[int], bytes | None]

    def event(self, time: int) -> Value:
        """Return the next event, at this time."""
        tree = next(self.trees)
        written = self.times(time)
        for at, (name, _) in enumerate(tree):
            if name == b'"event_time"':
                if written is None:
                    del tree[at]
                else:
                    tree[at] = (name, written)
                break
        return self.mutator.event(tree)


def _text(time: int, *, digits: str) -> bytes:
    return f'"{datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec=digits)[:-6]}Z"'.encode()


TIMES: tuple[Callable[[int], bytes | None], ...] = (
    lambda time: str(time).encode(),
    lambda time: _text(time, digits="milliseconds"),
    lambda time: _text(time, digits="seconds"),
    lambda time: None,
)


class World:
    """See the module's head."""

    def __init__(self, seed: str, cars: Sequence[bytes]) -> None:
        self.seed = seed
        chance = self._chance = random.Random(seed)
        tags = chance.choice(SEGMENT_TAGS)
        self._limits = chance.choice(LIMITS)
        self._tags = lambda model: tags
        self._producers = [_producer(chance, cars) for _ in range(chance.choice((1, 1, 2, 5)))]
        self._settings = SummariseSettings(
            max_out_of_orderness=5_000,
            max_ahead=600_000,
            max_age=None,
            limits=self._limits,
            pane_ms=lambda model: PANE_MS,
            tags=self._tags,
        )
        self._step_ms = chance.choice((1, 10, 100))
        self._time = START
        self._decoders = self._fresh()
        self._history: list[Value] = []
        self._tasks = [Summarise(replace(self._settings, format=read), 0, 1) for read in (NativeDecoder, PlainDecoder)]
        self._judges = [Judge(judge_settings()) for _ in range(2)]
        self._stored: dict[str, bytes] = {}
        self._sent: list[bytes] = []

    def _fresh(self) -> tuple[NativeDecoder, PlainDecoder]:
        return NativeDecoder(self._limits, self._tags), PlainDecoder(self._limits, self._tags)

    def run(self, events: int, tally: Tally) -> None:
        """Let this many events happen. Raises `Differs`."""
        left = events
        while left:
            size = min(left, self._chance.choice(BATCHES))
            values, stamps = self._records(size)
            self._decode(values)
            self._summarise(values, stamps, tally)
            left -= size
            tally.events += size
        self._finish(tally)
        tally.worlds += 1

    def _records(self, size: int) -> tuple[list[Value], list[int]]:
        """Make records; producers take turns in runs or at random."""
        chance = self._chance
        values, stamps = [], []
        producer = chance.choice(self._producers)
        change = chance.choice((0.02, 0.5))
        for _ in range(size):
            if chance.random() < change:
                producer = chance.choice(self._producers)
            self._time += chance.randrange(2 * self._step_ms)
            values.append(producer.event(self._time - (chance.randrange(20_000) if chance.random() < 0.05 else 0)))
            stamps.append(self._time if chance.random() < 0.995 else -1)
        return values, stamps

    def _decode(self, values: Sequence[Value]) -> None:
        """Decode with both decoders, which have seen the same so far."""
        native, plain = self._decoders
        self._history.extend(values)
        fault = _fault(values, native, plain)
        if fault:
            raise Differs(f"{fault}\n{self._shortest()}")

    def _shortest(self) -> str:
        """Return the fewest records of this world's history on which the decoders differ."""

        def fails(values: Sequence[Value]) -> bool:
            return bool(_fault(values, *self._fresh()))

        if not fails(self._history):
            return "not with the whole history as one batch: what differs depends on where batches end"
        left = shrunk(self._history, fails)
        return "the fewest records with which it happens, in one batch:\n" + "\n".join(map(repr, left))

    def _summarise(self, values: Sequence[Value], stamps: Sequence[int], tally: Tally) -> None:
        chance = self._chance
        fates: list[dict[int, Reason]] = []
        sent: list[list[bytes]] = []
        for task in self._tasks:
            cuts = [chance.randrange(len(values) + 1) for _ in range(chance.choice((0, 1, 4)))]
            found: dict[int, Reason] = {}
            records: list[bytes] = []
            begin = task.position
            for part in pieces(values, cuts):
                at = task.position - begin
                rejections = task.process(part, stamps[at : at + len(part)], task.position + len(part))
                found.update({at + rejection.at: rejection.reason for rejection in rejections})
                if chance.random() < 0.3:
                    records.extend(record.encode() for record in task.emit() if _is_pane(record))
            records.extend(record.encode() for record in task.emit() if _is_pane(record))
            _check_balance(task)
            fates.append(found)
            sent.append(records)
        if fates[0] != fates[1]:
            raise Differs(f"fates differ: {sorted(set(fates[0].items()) ^ set(fates[1].items()))[:5]}")
        if sent[0] != sent[1]:
            raise Differs(f"panes differ: {len(sent[0])} and {len(sent[1])} were sent")
        tally.fates.update(reason.label for reason in fates[0].values())
        tally.fates["accepted"] += len(values) - len(fates[0])
        tally.panes += len(sent[0])
        self._judge(sent[0], tally)

    def _judge(self, panes: Sequence[bytes], tally: Tally) -> None:
        """Give the panes to both judges: one takes them as they come, the other in pieces and restored in between."""
        watermark = _watermark(self._tasks[0])
        records: list[bytes] = [*panes, *watermark]
        steady, restored = self._judges
        alerts = _judged(steady, records)
        again: list[bytes] = []
        cut = self._chance.randrange(len(records) + 1)
        again += _judged(restored, records[:cut])
        if self._chance.random() < 0.1:
            for name, blob in restored.checkpoint().items():
                if blob is None:
                    self._stored.pop(name, None)  # it may have come and gone between two checkpoints
                else:
                    self._stored[name] = blob
            restored = self._judges[1] = Judge(judge_settings())
            restored.restore(self._stored)
        again += _judged(restored, records[cut:])
        if alerts != again:
            raise Differs(f"alerts differ: {len(alerts)} and {len(again)}")
        tally.alerts += len(alerts)

    def _finish(self, tally: Tally) -> None:
        sent = []
        for task in self._tasks:
            task.end()
            sent.append([record.encode() for record in task.emit() if _is_pane(record)])
        if sent[0] != sent[1]:
            raise Differs("the last panes differ")
        tally.panes += len(sent[0])
        self._judge(sent[0], tally)
        counters = self._judges[0].counters
        unreadable = counters.unreadable + counters.late + counters.repeated
        if unreadable > counters.panes:
            raise Differs(f"Judge's counters do not balance: {counters}")
        shapes = [[shape.encode() for shape in decoder.shapes.values()] for decoder in self._decoders]
        if shapes[0] != shapes[1]:
            raise Differs("the decoders learned different shapes")


def _producer(chance: random.Random, cars: Sequence[bytes]) -> Producer:
    kind = chance.randrange(5 if cars else 4)
    if kind == 0:
        trees = producers.workload(chance, models=chance.choice((1, 1, 3)), segments=chance.choice((0, 0, 5)))
    elif kind in (1, 2):
        trees = producers.one_kind(chance)
    elif kind == 3:
        trees = producers.every_kind(chance)
    else:
        trees = producers.driven(chance, cars)
    mutator = Mutator(
        chance,
        spelled=chance.choice((0.05, 0.3, 1.0)),
        respelled=chance.choice((0.0, 0.1, 1.0)),
        restructured=chance.choice((0.0, 0.01, 0.2)),
        damaged=chance.choice((0.0, 0.01, 0.2)),
        separators=chance.choice(SEPARATORS),
    )
    return Producer(trees, mutator, chance.choice(TIMES))


def _fault(values: Sequence[Value], native: NativeDecoder, plain: PlainDecoder) -> str:
    expected = plain.decode(values)
    try:
        got: ColumnBatch = native.decode(values)
    except Exception as error:
        return f"the decoder raised {type(error).__name__}: {error}"
    return difference(values, got, expected)


def _is_pane(record: Any) -> bool:
    return not isinstance(record, msgspec.Struct)


def _watermark(task: Summarise) -> list[bytes]:
    from driftline.panes.records import Watermark

    return [Watermark(0, 1, task.watermark, False, task.position).encode()]


def _judged(judge: Judge, records: Sequence[bytes]) -> list[bytes]:
    unreadable = judge.process(records)
    if unreadable:
        raise Differs(f"Judge cannot read what Summarise sent: {unreadable[0]}")
    return [alert.value for alert in judge.emit()]


def _check_balance(task: Summarise) -> None:
    counters = task.counters
    rejected = sum(counters.rejected.values())
    if counters.consumed != counters.accepted + rejected or counters.consumed != task.position:
        raise Differs(
            f"counters do not balance: {counters.consumed} consumed, {counters.accepted} accepted, {rejected} rejected"
        )


def judge_settings() -> JudgeSettings:
    """Return small windows, and references that are learned from little, so that much is judged."""
    rules = ModelRules(
        windows=((60_000, 60_000),),
        pane_ms=PANE_MS,
        budget=AlarmBudget(1.0, 86_400_000),
        learn=LearnRule(60_000, 200),
        min_effect=0.02,
        min_events=20,
        segmented=True,
        thresholds={"*": {"psi": 0.5}},
        detectors={"*": {name: DETECTORS[name] for name in (*USUAL, "ewma")}},
    )
    return JudgeSettings(lambda model: rules, "fuzz", 0.05, 60_000)
