"""Stored state made hostile: values, arrays and names changed under a right checksum, blobs lost, swapped and renamed.

What a task makes of it is one of two things: it refuses it as `StateCorrupt`, with a message that says what is wrong
and what to do; or it takes it up, and then works on without a fault, and what it stores next can be read again.
"""

import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np

from driftline.codec import pack, unpack
from driftline.columns.shape import Limits
from driftline.errors import StateCorrupt
from driftline.labels.book import Rule
from driftline.panes.records import Watermark
from driftline.tasks.judge import Judge
from driftline.tasks.labelling import LabelSettings
from driftline.tasks.summarise import Summarise, SummariseSettings
from tests.fuzz import producers
from tests.fuzz.mutations import Pairs, write
from tests.fuzz.worlds import PANE_MS, START, judge_settings

Blobs: TypeAlias = dict[str, bytes]

_PREFIX = 9
_HOSTILE: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 255, 2**14, 2**31, 2**40, 2**53, 2**62, 2**63 - 1, -(2**63), 2**64 - 1, 1_787_302_800_000),
    *(
        None,
        True,
        False,
        0.5,
        float("nan"),
        float("inf"),
        -1e308,
        1e308,
        "",
        "x",
        "\x00",
        "events",
        "m",
        b"",
        b"x" * 40,
    ),
    *([], {}, [[]], {"": 0}, [None] * 3, {0: 0}, "__class__", "../../etc/passwd", "x" * 70_000),
)


def seal(body: bytes) -> bytes:
    """Return what follows the checksum with the right checksum before it."""
    return b"DRFT\x01" + struct.pack("<I", zlib.crc32(body)) + body


def header_of(blob: bytes) -> tuple[list[Any], bytes]:
    """Return (kind, version, value, table), and the arrays' bytes."""
    length = int.from_bytes(blob[_PREFIX : _PREFIX + 4], "little")
    start = _PREFIX + 4
    return msgspec.msgpack.decode(blob[start : start + length]), blob[start + length :]


def sealed(header: Any, arrays: bytes) -> bytes:
    """Undo `header_of`, for whatever the header has become."""
    encoded = msgspec.msgpack.encode(header)
    return seal(struct.pack("<I", len(encoded)) + encoded + arrays)


def hostile(chance: random.Random, blobs: Mapping[str, bytes]) -> Blobs:
    """Return stored state with one or a few things changed."""
    found = dict(blobs)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not found:
            break
        name = _any_name(chance, found)
        kind = chance.random()
        if kind < 0.72:
            found[name] = _changed(chance, found[name])
        elif kind < 0.78:
            del found[name]
        elif kind < 0.84:
            other = _any_name(chance, found)
            found[name], found[other] = found[other], found[name]
        elif kind < 0.90:
            found[chance.choice((f"{name}x", name[:-1], "task", "shapes", "subject/x"))] = found[name]
        else:
            found[name] = _damaged(chance, found[name])
    return found


def _any_name(chance: random.Random, blobs: Mapping[str, bytes]) -> str:
    """Return the name of a blob: each kind of blob as often as any other."""
    kinds = sorted({name.split("/")[0] for name in blobs})
    kind = chance.choice(kinds)
    return chance.choice(sorted(name for name in blobs if name.split("/")[0] == kind))


def _changed(chance: random.Random, blob: bytes) -> bytes:
    """Change a value in the header, or the arrays, under a right checksum."""
    try:
        header, arrays = header_of(blob)
        unpack(blob, header[0], [header[1]])
    except (StateCorrupt, LookupError, TypeError, UnicodeDecodeError, msgspec.MsgspecError):
        return _damaged(chance, blob)  # it was changed before, or is no blob of the codec
    if chance.random() < 0.25 and header[3]:
        return _with_arrays(chance, blob)
    root: list[Any] = [header[2]] if chance.random() < 0.85 else [header]
    container, key = chance.choice(list(_places(root)))
    _replace(chance, container, key)
    changed = root[0] if root else None  # the root itself may have gone
    return sealed(changed if changed is header else [*header[:2], changed, *header[3:]], arrays)


def _with_arrays(chance: random.Random, blob: bytes) -> bytes:
    """Change one array, and store it well."""
    header, _ = header_of(blob)
    arrays = unpack(blob, header[0], [header[1]]).arrays
    name = chance.choice(sorted(arrays))
    array = arrays[name]
    change = chance.randrange(8)
    if change < 4 and array.size:
        at = chance.randrange(array.size)
        if array.dtype.kind == "f":
            array[at] = chance.choice((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e308, -1e308))
        else:
            limits = np.iinfo(array.dtype)
            hard = (0, -1, 1, 2**14, 2**31, 2**40, 2**53, 2**62, limits.min, limits.max, int(array[at]) + 1)
            array[at] = min(max(chance.choice(hard), limits.min), limits.max)
    elif change == 4:
        arrays[name] = array[: chance.randrange(array.size + 1)]
    elif change == 5:
        arrays[name] = np.concatenate([array, array[-1:]])
    elif change == 6:
        arrays[name] = array.view(np.int64) if array.dtype == np.float64 else array.astype(np.float64)
    else:
        del arrays[name]
    return pack(header[0], header[1], header[2], arrays)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) below a plain value."""
    found: list[tuple[Any, Any]] = []
    keys: Any = range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    for key in keys:
        found.append((value, key))
        found.extend(_places(value[key]))
    return found


def _replace(chance: random.Random, container: Any, key: Any) -> None:
    value = container[key]
    kind = chance.randrange(10)
    if kind < 5:
        container[key] = chance.choice(_HOSTILE)
    elif kind == 5 and isinstance(value, int):
        container[key] = value + chance.choice((-1, 1, -1000, 60_000))
    elif kind == 6:
        del container[key]
    elif kind == 7 and isinstance(container, list):
        container.insert(key, value)
    elif kind == 8 and isinstance(container, dict):
        container[chance.choice(("x", 0, -1, 2**40))] = container.pop(key)
    elif isinstance(value, list) and value:
        chance.shuffle(value)
    else:
        container[key] = chance.choice(_HOSTILE)


def _damaged(chance: random.Random, blob: bytes) -> bytes:
    """Change bytes; half the time the checksum is made right again."""
    data = bytearray(blob)
    for _ in range(chance.choice((1, 3))):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.3:
        del data[chance.randrange(len(data) + 1) :]
    return seal(bytes(data[_PREFIX:])) if chance.random() < 0.5 else bytes(data)


def taken_or_refused(task: "Restored", blobs: Mapping[str, bytes]) -> str:
    """Restore a task from these blobs and work on. Returns "taken", or the refusal's message; else it raises."""
    try:
        go_on = task(blobs)
    except StateCorrupt as refusal:
        if isinstance(refusal.__cause__, MemoryError):
            raise
        message = str(refusal)
        assert 60 < len(message) < 1_000, f"the refusal does not say what is wrong, or too much: {message[:2_000]!r}"
        return message
    task(go_on())
    return "taken"


Restored: TypeAlias = Callable[[Mapping[str, bytes]], Callable[[], Blobs]]
"""Takes stored blobs up, and returns what works on and returns all that is stored then."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A task in the middle of its work: how it is restored, and what was stored of it."""

    name: str
    restored: Restored
    blobs: Blobs


def samples(chance: random.Random) -> list[Sample]:
    """Return tasks of both stages that hold something of everything: open panes, references, windows, incidents."""
    tags = ("tenant",)
    settings = SummariseSettings(5_000, 600_000, None, Limits(), lambda model: PANE_MS, lambda model: tags)
    usual, rare = producers.workload(chance, models=1, segments=3), producers.every_kind(chance)
    trees = [next(rare) if at % 50 == 0 else _narrow(next(usual)) for at in range(2_500)]
    values = [_at(tree, START + 100 * at) for at, tree in enumerate(trees)]
    values[1_500:] = [value.replace(b'"city-', b'"town-') for value in values[1_500:]]
    stamps = [START + 100 * at for at in range(len(values))]
    cut, end = 2_400, 2_450
    summarise = Summarise(settings, 0, 1)
    stored: Blobs = {}
    panes: list[bytes] = []
    for start in range(0, cut, 400):
        summarise.process(values[start : start + 400], stamps[start : start + 400], start + 400)
        panes.extend(record.encode() for record in summarise.emit())
        keep(stored, summarise.checkpoint())

    def summarise_again(blobs: Mapping[str, bytes]) -> Callable[[], Blobs]:
        task = Summarise(settings, 0, 1)
        task.restore(blobs)

        def go_on() -> Blobs:
            task.process(values[cut:end], stamps[cut:end], end)
            for record in task.emit():
                record.encode()
            after = keep(dict(blobs), task.checkpoint())
            task.end()
            for record in task.emit():
                record.encode()
            return keep(after, task.checkpoint())

        return go_on

    judging = judge_settings()
    judge, judged = Judge(judging), 0
    held: Blobs = {}
    for judged, record in enumerate(panes, start=1):
        judge.process([record])
        if judged % 20 == 0:
            keep(held, judge.checkpoint())
        if judged > len(panes) * 0.9 and judge.open_incidents():
            break
    keep(held, judge.checkpoint())
    later = Watermark(0, 1, START + 3_600_000, False, 10_000).encode()

    def judge_again(blobs: Mapping[str, bytes]) -> Callable[[], Blobs]:
        task = Judge(judging)
        task.restore(blobs)

        def go_on() -> Blobs:
            task.process([*panes[judged:], later])
            task.emit()
            return keep(dict(blobs), task.checkpoint())

        return go_on

    return [Sample("summarise", summarise_again, stored), Sample("judge", judge_again, held), _with_labels()]


def _with_labels() -> Sample:
    """Return a task that joins labels: predictions wait, labels wait, some are corrected, and outcomes are open."""
    rule = Rule(awaits=120_000, early=20_000, pane_ms=PANE_MS, cohort_ms=60_000)
    settings = SummariseSettings(
        5_000, 600_000, None, Limits(), lambda model: PANE_MS, lambda model: ("tenant",),
        labels=LabelSettings(lambda model: rule, rule),
    )  # fmt: skip
    answers, said = [], []
    for at in range(900):
        event = {"event_id": f"p-{at}", "event_time": START + 100 * at, "model": "m", "segment": {"tenant": "a"}}
        answer = {"label": "yes", "proba": {"yes": 0.8, "no": 0.2}} if at % 2 else 0.5
        answers.append(json.dumps({**event, "prediction": answer}).encode())
        label = {"event_id": f"p-{at + 40 * (at % 3 - 1)}", "model": "m", "revision": at % 2, "weight": 1 + at % 3}
        said.append(json.dumps({**label, "label": ["yes", 1, None][at % 7 % 3], "kind": "click"}).encode())

    def fed(task: Summarise, start: int, stop: int) -> None:
        stamps = [START + 100 * at for at in range(start, stop)]
        task.process(answers[start:stop], stamps, stop)
        task.label(said[start:stop], stamps, lambda at: b"")
        for record in task.emit():
            record.encode()

    stored: Blobs = {}
    task = Summarise(settings, 0, 1)
    for start in range(0, 800, 100):
        fed(task, start, start + 100)
        keep(stored, task.checkpoint())

    def again(blobs: Mapping[str, bytes]) -> Callable[[], Blobs]:
        task = Summarise(settings, 0, 1)
        task.restore(blobs)

        def go_on() -> Blobs:
            fed(task, 800, 900)
            return keep(dict(blobs), task.checkpoint())

        return go_on

    return Sample("summarise with labels", again, stored)


def _narrow(tree: Pairs) -> Pairs:
    """Return an event with fewer features: what is fuzzed is the form of state, and less of it is quicker."""
    wanted = (b'"age"', b'"utilisation"', b'"balance"', b'"city"')
    for at, (name, value) in enumerate(tree):
        if name == b'"features"' and isinstance(value, Pairs):
            tree[at] = (name, Pairs(field for field in value if field[0] in wanted))
    return tree


def keep(stored: Blobs, writes: Mapping[str, bytes | None]) -> Blobs:
    """Store what a checkpoint writes."""
    for name, blob in writes.items():
        if blob is None:
            stored.pop(name, None)
        else:
            stored[name] = blob
    return stored


def _at(tree: Pairs, time: int) -> bytes:
    return write(Pairs((name, str(time).encode() if name == b'"event_time"' else value) for name, value in tree))
