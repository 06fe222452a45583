"""Strange labels: read in batches, and once more one by one in plain Python; then joined twice, in other batches.

What one task makes of them, another one makes, too, that took them in other pieces and was restored on the way; each
record is accounted for.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftline.columns.categories import CategoryKeys
from driftline.columns.labels import CATEGORY, EVERY_MODEL, NOTHING, NUMBER, UNAWAITED, LabelBatch
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits, usable_name
from driftline.columns.times import BAD_TIME, NO_TIME, in_seconds, parse_time
from driftline.formats.labels import LabelReader
from driftline.formats.speculation.identities import identities
from driftline.formats.validate import decode_object
from driftline.labels.book import Rule
from driftline.tasks.labelling import Labelling, LabelSettings
from driftline.tasks.summarise import Summarise, SummariseSettings
from tests.fuzz.comparing import Value, pieces
from tests.fuzz.mutations import SEPARATORS, Mutator, Pairs, read

START = 1_787_302_800_000
PANE_MS = 10_000
RULE = Rule(awaits=120_000, early=20_000, pane_ms=PANE_MS, cohort_ms=60_000)
LIMITS = (Limits(), Limits(models=2, name_length=8))
BATCHES = (1, 2, 17, 499, 500, 501, 1_500)
MODELS = ("m", "n", "unawaited")
KINDS: tuple[dict[str, Any], ...] = (
    {"label": "yes"},
    {"label": 0.25, "label_time": START},
    {"label": True, "revision": 2, "weight": 0.5, "value": -120.0, "kind": "chargeback"},
    {"label": None, "revision": 3},
    {"label": "no", "label_time": "2026-08-21T09:00:00Z", "weight": 256, "kind": ""},
)


class LabelsDiffer(AssertionError):
    """Two ways of taking the same labels came to different results, or one of them failed."""


def awaits(model: str) -> bool:
    """Tell whether a model awaits labels."""
    return model != "unawaited"


def facts(batch: LabelBatch, names: Sequence[str], kinds: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return what a batch says of each record, by name; of those that are rejected, the reason alone."""
    columns = (batch.reasons, batch.models, batch.ids, batch.times, *batch.columns)
    found: list[tuple[Any, ...]] = []
    for reason, model, identity, time, revision, form, truth, weight, value, kind in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        if reason:
            found.append((Reason(reason).label,))
        elif model < 0:
            found.append((model, identity if model == EVERY_MODEL else 0))
        else:
            said = (form, truth, weight, None if np.isnan(value) else value, kinds[kind])
            found.append((names[model], identity, time, revision, *said))
    return found


class PlainLabels:
    """Labels one after the other, as Python's own parser reads them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._models: list[str] = []
        self._keys = CategoryKeys()

    def read(self, value: Value, stamp: int, key: bytes) -> tuple[Any, ...]:
        """Return what `facts` returns of one record."""
        if value is None and key:
            try:
                identity = int(identities([key.decode()])[0])
            except UnicodeDecodeError:
                return (Reason.NOT_UTF8.label,)
            return (Reason.BAD_LABEL_TIME.label,) if stamp < 0 else (EVERY_MODEL, identity)
        reason, _, sound = decode_object(value)
        if reason not in (Reason.ACCEPTED, Reason.TOO_DEEP, Reason.NUMBER_OUT_OF_RANGE):
            return (reason.label,)
        try:
            pairs = json.loads((value or b"").decode(), object_pairs_hook=list, parse_int=_whole)
        except (RecursionError, ValueError):
            return ((reason or Reason.NOT_JSON).label,)
        event = dict(pairs)
        sound = sound or event
        typed = all(FIELDS[name](held) for name, held in pairs if name in FIELDS)
        if reason is not Reason.ACCEPTED and not (typed and event.keys() >= {"model", "event_id", "label"}):
            return (reason.label,)  # else it is in a field that nobody reads
        for name, missing in (("model", Reason.MISSING_MODEL), ("event_id", Reason.MISSING_EVENT_ID)):
            if event.get(name) is None:
                return (missing.label,)
        if "label" not in event:
            return (Reason.MISSING_LABEL.label,)
        if not typed:
            return (Reason.WRONG_TYPE.label,)
        time = parse_time(sound.get("label_time"))
        in_unit = time != NO_TIME and bool(in_seconds(np.array([time]), np.array([stamp]))[0])
        late = time == BAD_TIME or in_unit or (time == NO_TIME and stamp < 0)
        model = event["model"]
        if not usable_name(model, self._limits):
            return (Reason.BAD_NAME.label,)
        if not awaits(model):
            return (Reason.BAD_LABEL_TIME.label,) if late else (UNAWAITED, 0)
        if model not in self._models:
            if len(self._models) >= self._limits.models:
                return (Reason.TOO_MANY_MODELS.label,)
            self._models.append(model)
        if late:
            return (Reason.BAD_LABEL_TIME.label,)
        identity = int(identities([event["event_id"]])[0])
        weight, value_of = event.get("weight"), event.get("value")
        kind = event.get("kind") or ""
        return (
            *(model, identity, time, event.get("revision") or 0, *self._truth(event["label"])),
            *(1.0 if weight is None else float(weight), None if value_of is None else float(value_of)),
            kind if usable_name(kind, self._limits) or not kind else "(more)",
        )

    def _truth(self, label: object) -> tuple[int, float]:
        if label is None:
            return NOTHING, 0.0
        if isinstance(label, bool | str):
            return CATEGORY, float(self._keys[label])
        assert isinstance(label, int | float)
        return NUMBER, float(label)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else float("inf")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _nothing_or(sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or sound(value)


FIELDS: dict[str, Callable[[Any], bool]] = {
    "event_id": lambda value: isinstance(value, str) or _number(value),
    "model": lambda value: isinstance(value, str),
    "label": _nothing_or(lambda value: isinstance(value, str | bool) or _number(value)),
    "label_time": _nothing_or(lambda value: isinstance(value, str) or _number(value)),
    "revision": _nothing_or(lambda value: isinstance(value, int) and _number(value) and 0 <= value <= 2**53),
    "weight": _nothing_or(lambda value: _number(value) and 1 / 256 <= value <= 256),
    "value": _nothing_or(_number),
    "kind": _nothing_or(lambda value: isinstance(value, str)),
}
"""What each field may be, wherever it stands: it may be there twice."""


class LabelFates(Counter[str]):
    """How many labels became what."""


@dataclass
class LabelWorld:
    """Predictions and labels of one partition, all from one seed."""

    seed: str
    fates: LabelFates = field(default_factory=LabelFates)

    def __post_init__(self) -> None:
        chance = self._chance = random.Random(self.seed)
        self._limits = chance.choice(LIMITS)
        self._mutator = Mutator(
            chance,
            spelled=chance.choice((0.05, 0.3)),
            respelled=chance.choice((0.0, 0.2, 1.0)),
            restructured=chance.choice((0.0, 0.05, 0.3)),
            damaged=chance.choice((0.0, 0.02, 0.2)),
            separators=chance.choice(SEPARATORS),
        )
        self._settings = SummariseSettings(
            5_000, 600_000, None, self._limits, lambda model: PANE_MS, lambda model: (),
            labels=LabelSettings(lambda model: RULE if awaits(model) else None, RULE),
        )  # fmt: skip
        self._tasks = [self._fresh(), self._fresh()]
        self._stored: dict[str, bytes] = {}
        self._readers = LabelReader(self._limits, awaits), PlainLabels(self._limits)
        self._time, self._number = START, 0

    def _fresh(self) -> Summarise:
        return Summarise(self._settings, 0, 1)

    def run(self, labels: int) -> None:
        """Let so many labels come. Raises `LabelsDiffer`."""
        left = labels
        while left:
            size = min(left, self._chance.choice(BATCHES))
            self._predict(size)
            values, stamps, keys = map(list, zip(*(self._record() for _ in range(size)), strict=True))
            self._read(values, stamps, keys)
            self._join(values, stamps, keys)
            left -= size

    def _predict(self, size: int) -> None:
        """Give both tasks predictions, in other batches."""
        values = []
        for _ in range(size):
            event = {"event_id": f"p-{self._number}", "event_time": self._time, "model": self._chance.choice(MODELS)}
            values.append(json.dumps({**event, "prediction": self._chance.choice(["yes", 0.5, 3])}).encode())
            self._number += 1
            self._time += self._chance.randrange(20)
        for task in self._tasks:
            for part in self._parts(values):
                task.process(part, [self._time] * len(part), task.position + len(part))

    def _parts(self, values: Sequence[Any]) -> Iterator[Sequence[Any]]:
        cuts = [self._chance.randrange(len(values) + 1) for _ in range(self._chance.choice((0, 1, 4)))]
        return (part for part in pieces(values, cuts) if part)

    def _record(self) -> tuple[Value, int, bytes]:
        """Return a label: of some prediction, one that is to come, or none."""
        chance = self._chance
        key = f"p-{max(self._number - chance.choice((-50, 1, 10, 1_000)) * chance.randrange(1, 4), 0)}"
        event = {"event_id": key, "model": chance.choice(MODELS), **chance.choice(KINDS)}
        tree: Pairs = read(json.dumps(event).encode())
        value = None if chance.random() < 0.02 else self._mutator.event(tree)
        stamp = -1 if chance.random() < 0.005 else self._time - chance.choice((0, 0, 3_000, 60_000))
        return value, stamp, b"\xff" if chance.random() < 0.005 else key.encode()

    def _read(self, values: Sequence[Value], stamps: Sequence[int], keys: Sequence[bytes]) -> None:
        reader, plain = self._readers
        batch = reader.read(values, np.array(stamps), keys.__getitem__)
        got = facts(batch, list(reader.models), list(reader.kinds))
        for at, found in enumerate(got):
            wanted = plain.read(values[at], stamps[at], keys[at])
            if found != wanted:
                raise LabelsDiffer(f"{found}, expected {wanted}, of {values[at]!r}, {stamps[at]}, {keys[at]!r}")
        self.fates.update(str(found[0]) if len(found) == 1 else "accepted" for found in got)

    def _join(self, values: Sequence[Value], stamps: Sequence[int], keys: Sequence[bytes]) -> None:
        """Give both tasks the labels; one of them is restored at times."""
        sent = []
        for number, task in enumerate(self._tasks):
            at = 0
            for part in self._parts(values):
                own = keys[at : at + len(part)]
                task.label(part, stamps[at : at + len(part)], own.__getitem__)
                at += len(part)
            sent.append([record.encode() for record in task.emit()])
            if number and self._chance.random() < 0.2:
                self._store(task)
        if sent[0] != sent[1]:
            raise LabelsDiffer(f"{len(sent[0])} and {len(sent[1])} records were sent, and they are not the same")
        for task in self._tasks:
            found = task.labelling
            assert found is not None
            if found.consumed != _ends(found):
                raise LabelsDiffer(f"{found.consumed} labels consumed, and {_ends(found)} accounted for")

    def _store(self, task: Summarise) -> None:
        for name, blob in task.checkpoint().items():
            if blob is None:
                self._stored.pop(name, None)
            else:
                self._stored[name] = blob
        self._tasks[1] = self._fresh()
        self._tasks[1].restore(self._stored)


def _ends(found: Labelling) -> int:
    return sum(found.fates.values()) + sum(found.rejected.values()) + found.waiting
