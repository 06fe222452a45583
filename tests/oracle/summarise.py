"""Summarise once more, one event after the other in plain Python dictionaries: slow, and easy to believe.

Nothing here is the package's own but the enumerations that say how a pane is written. Not redone: the limits on how
many models, versions, segments and signals are remembered (no more of each is assumed than they allow), and the
cutting of very wide panes into several records.
"""

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from typing import Any

from tests.oracle.reading import BadTime, OtherUnit, ignored_in, name_of, read, time_of, usable, values_of

KEPT_BITS = 40
MAX_BUCKETS = 256
ROLES = {"oddity": 0, "number": 1, "string": 2, "boolean": 3}
ODDITIES = {"event": 0, "null": 1, "array": 2, "object": 3}
SHOWN = 80
"""Characters of a category that are kept for people."""

Group = tuple[str, str]
"""Version and segment; segment "" is all events."""
Cell = tuple[str, int]
"""Signal and role."""
Buckets = list[tuple[int, int, int]]
"""Key, number of values and what was cleared of their keys, in order."""


def number_key(value: float) -> int:
    """Return the highest 40 bits of a float64 whose bits were made to sort as the numbers do."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))
    ordered = ~bits & (2**64 - 1) if bits >> 63 else bits | 1 << 63
    return int(ordered >> (64 - KEPT_BITS))


def number_of(key: int) -> float:
    """Return the number nearest zero that has this key."""
    low = 64 - KEPT_BITS
    bits = key << low & ~(1 << 63) if key >> (KEPT_BITS - 1) else ~(key << low | (1 << low) - 1) & (2**64 - 1)
    (value,) = struct.unpack(">d", struct.pack(">Q", bits))
    return float(value)


def category_key(value: str) -> int:
    """Return the first 40 bits of a BLAKE2b hash."""
    return int.from_bytes(blake2b(value.encode("utf-8", "surrogatepass"), digest_size=5).digest(), "big")


def sketch(seen: Counter[int]) -> tuple[int, Buckets]:
    """Return (shift, buckets): as few low bits are cleared as leave 256 different keys."""
    shift = 0
    while len({key >> shift for key in seen}) > MAX_BUCKETS:
        shift += 1
    counts: Counter[int] = Counter()
    cleared: Counter[int] = Counter()
    for key, count in seen.items():
        counts[key >> shift << shift] += count
        cleared[key >> shift << shift] += count * (key & (1 << shift) - 1)
    return shift, [(key, counts[key], cleared[key]) for key in sorted(counts)]


def delay(time: int, stamp: int) -> float:
    """Return the greatest power of two within the seconds by which an event came late; 0 for less than 8."""
    seconds = abs(stamp - time) // 1_000
    if seconds < 8:
        return 0.0
    power = 8.0
    while power * 2 <= seconds:
        power *= 2
    return power if stamp > time else -power


SAMPLED = 256
NAMED = 3


def identity(value: object) -> int:
    """Return the hash of an event's id, 63 bits, written out from its definition."""
    mask = 2**64 - 1
    text = name_of(value, "").encode("utf-8", "surrogatepass")
    mixed = len(text)
    for at in range(0, len(text), 8):
        word = text[at : at + 8]
        if len(word) == 8:
            mixed = (mixed ^ int.from_bytes(word, "little")) * 0x9E3779B97F4A7C15 & mask
            mixed ^= mixed >> 32
        else:
            mixed = (mixed ^ int.from_bytes(word.rjust(8, b"\0"), "little")) * 0x9E3779B97F4A7C15 & mask
    mixed = mixed * 0x9E3779B97F4A7C15 & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ mixed >> 33) * factor & mask
    return (mixed ^ mixed >> 33) >> 1


@dataclass
class Pane:
    """What was counted of a model over [start, start + length)."""

    model: str
    start: int
    length: int
    groups: dict[Group, dict[Cell, Counter[int]]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    ids: dict[str, Counter[int]] = field(default_factory=dict)
    """By version, how often each event id came."""
    named: dict[str, set[str]] = field(default_factory=dict)
    """Of the stream: the first models that had fields beyond the limits, or were rejected, by reason."""

    @property
    def end(self) -> int:
        return self.start + self.length

    def count(self, group: Group, signal: str, kind: str, value: str | float, times: int = 1) -> None:
        """Count a value."""
        cells = self.groups.setdefault(group, {})
        if kind == "number":
            assert isinstance(value, float)
            key = number_key(value)
        elif kind == "oddity":
            key = ODDITIES[str(value)]
        else:
            text = str(value)
            key = category_key(text)
            self.names.setdefault(key, text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")
        cells.setdefault((signal, ROLES[kind]), Counter())[key] += times


@dataclass(frozen=True)
class Content:
    """All that a pane's record says, in plain values: one of them is one encoding."""

    source: int
    sources: int
    model: str
    start: int
    length: int
    part: int
    parts: int
    groups: list[Group]
    signals: list[str]
    cells: list[tuple[int, int, int, int, Buckets]]
    """Group, signal, role, shift, buckets."""
    categories: dict[int, str]
    flushes: int = 0


def content_of(pane: Pane, source: int, sources: int, flushes: int = 0) -> Content:
    """Return what the record of a pane must say."""
    for version, ids in pane.ids.items():
        sample = [ids[least] for least in sorted(ids)[:SAMPLED]]
        pane.count((version, ""), "arrival.repeated", "number", 0.0, len(sample))
        if sum(sample) > len(sample):
            pane.count((version, ""), "arrival.repeated", "number", 1.0, sum(sample) - len(sample))
    groups = sorted(pane.groups)
    seen = {signal for cells in pane.groups.values() for signal, _ in cells} - {"events"}
    signals = ["events", *sorted(seen, key=lambda signal: (signal.startswith(("tags.", "arrival.")), signal))]
    cells = []
    named: set[int] = set()
    for rank, group in enumerate(groups):
        for slot, signal in enumerate(signals):
            for role in sorted(ROLES.values()):
                values = pane.groups[group].get((signal, role))
                if values:
                    shift, buckets = sketch(values)
                    cells.append((rank, slot, role, shift, buckets))
                    if role >= ROLES["string"] and shift == 0:
                        named.update(values)
    categories = {key: pane.names[key] for key in sorted(named)}
    return Content(
        source, sources, pane.model, pane.start, pane.length, 0, 1, groups, signals, cells, categories,
        flushes,
    )  # fmt: skip


CENSUS = "\x01"


def census_of(panes: Sequence[Pane], source: int, sources: int, flushes: int) -> Content | None:
    """Return what is told to every task of Judge: how many events each model has in panes of one slice of time.

    None where no model has any: of some it may only be known how late theirs came.
    """
    first = panes[0]
    events = {pane.model: counted for pane in panes if pane.model and (counted := sum_of_events(pane))}
    if not events:
        return None
    cells = [(rank, 0, 0, 0, [(0, events[model], 0)]) for rank, model in enumerate(sorted(events))]
    groups = [(model, "") for model in sorted(events)]
    name = f"{CENSUS}{first.length}"
    return Content(source, sources, name, first.start, first.length, 0, 1, groups, ["events"], cells, {}, flushes)


def sum_of_events(pane: Pane) -> int:
    """Return how many events were counted, of all versions."""
    whole = (cells for (_, segment), cells in pane.groups.items() if not segment)
    return sum(cells["events", ROLES["oddity"]][0] for cells in whole if ("events", ROLES["oddity"]) in cells)


@dataclass(frozen=True)
class Rules:
    """What Summarise knows of the configuration."""

    max_out_of_orderness: int
    max_ahead: int
    max_age: int | None
    name_length: int
    depth: int
    pane_ms: Callable[[str], int]
    tags: Callable[[str], tuple[str, ...]]
    stream_pane_ms: int


AGREEING = 10


@dataclass
class EventTime:
    """How far time has come: who is far ahead of all others is believed when most of those after it agree, and go on.

    `far` are a time far ahead and those after it that agree with it, in the order in which they came; `against` counts
    those that do not.
    """

    near: int
    newest: int | None = None
    far: list[int] = field(default_factory=list)
    against: int = 0

    def take(self, time: int) -> None:
        """Take in the time of one event."""
        if self.newest is not None and time <= self.newest + self.near:
            self.newest = max(self.newest, time)
        if self.far:
            if time < min(self.far) - self.near:
                self.against += 1
            else:
                self.far.append(time)
            votes = len(self.far) - self.against
            reached, steps = self._reached()
            if self.newest is not None and min(self.far) <= self.newest + self.near:
                self._decide(max(self.newest, min(self.far)))
            elif votes > AGREEING and (reached - min(self.far) >= self.near or 2 * steps >= votes):
                self._decide(reached)
            elif votes <= 0:
                self._decide(self.newest)
        if not self.far and (self.newest is None or time > self.newest + self.near):
            self.far = [time]

    def _reached(self) -> tuple[int, int]:
        """Return how far they went on step by step, and how many were further ahead than a step."""
        reached, steps = self.far[0], 0
        for time in self.far[1:]:
            if time <= reached + self.near:
                reached = max(reached, time)
            else:
                steps += 1
        return reached, steps

    def _decide(self, newest: int | None) -> None:
        self.newest, self.far, self.against = newest, [], 0

    def believe(self) -> None:
        """Nothing more comes, and the clock does not speak against it."""
        if self.far:
            self._decide(self._reached()[0])


@dataclass
class Oracle:
    """What should come of the records of one partition."""

    rules: Rules
    source: int = 0
    sources: int = 1
    position: int = 0
    flushes: int = 0
    told: int = -1
    """How far Judge was told that time has come, at a rest."""
    over: int | None = None
    """When the last pane that was open at its last rest ends."""
    reasons: list[str] = field(default_factory=list)
    without_time: int = 0
    beyond_limits: int = 0
    sent: list[Content] = field(default_factory=list)
    open: dict[tuple[str, int], Pane] = field(default_factory=dict)
    _before: list[tuple[str, int, str]] = field(default_factory=list)
    """Of the records that came before any time was known: fate, how many fields were beyond the limits, and model."""

    def take(self, value: bytes | None, stamp: int, *, by_log: bool = False) -> str:
        """Take in one record, whose timestamp the log wrote or its producer; returns its fate."""
        if not 0 <= stamp <= 253_370_764_799_999:
            stamp = -1
        fate, ignored, model = self._judge(value, stamp, by_log)
        self.reasons.append(fate)
        self.position += 1
        self._count_fate(fate, ignored, model)
        self._send()
        return fate

    def __post_init__(self) -> None:
        self.time = EventTime(self.rules.max_out_of_orderness)

    @property
    def watermark(self) -> int | None:
        """Panes that end until then were sent."""
        return None if self.time.newest is None else self.time.newest - self.rules.max_out_of_orderness

    def rest(self, position: int, told: int | None = None, clock: int | None = None) -> None:
        """Nothing that counts comes any more, for now: send what is open. What comes for it later follows.

        `told` is the time of which Judge hears, `clock` that at which records were read that came before any event.
        """
        self.time.believe()
        self._count_before(clock)
        self.told = max(self.told, self.told if told is None else told)
        self.position = max(self.position, position)
        self.over = max((pane.end for pane in self.open.values()), default=self.over)
        if self.open:
            self._send_those(list(self.open))
            self.flushes += 1

    def _judge(self, value: bytes | None, stamp: int, by_log: bool) -> tuple[str, int, str]:
        reason, event = read(value, self.rules.name_length)
        if reason != "accepted":
            return reason, 0, event.get("model", "")
        return *self._count(event, stamp, by_log), event["model"]

    def _count(self, event: dict[str, Any], stamp: int, by_log: bool) -> tuple[str, int]:
        rules = self.rules
        model = event["model"]
        tags = rules.tags(model)
        ignored = ignored_in(event, tags, rules.name_length, rules.depth)
        version = name_of(event.get("model_version"), "")
        segments = [name_of((event.get("segment") or {}).get(tag), "(none)") for tag in tags]
        chosen = [name for name in segments if name != "(none)"] + ([version] if version else [])
        if event.get("model_version") == "":
            chosen = [name for name in chosen if name]  # an empty version is as good as none
        if not all(usable(name, rules.name_length) for name in chosen):
            return "bad-name", ignored
        try:
            time = time_of(event.get("event_time"))
        except OtherUnit:
            return "event-time-unit", ignored
        except BadTime:
            return "bad-event-time", ignored
        if time is None:
            self.without_time += 1
            if stamp < 0:
                return "bad-event-time", ignored
            time = stamp
        if stamp >= 0 and time >= 10**8 and abs(time * 1_000 - stamp) < stamp - time:
            return "event-time-unit", ignored
        if stamp >= 0 and time > stamp + rules.max_ahead:
            return "event-time-ahead", ignored
        if stamp >= 0 and rules.max_age is not None and time < stamp - rules.max_age:
            return "event-time-behind", ignored
        length = rules.pane_ms(model)
        start = time - time % length
        mark = self.watermark
        self.time.take(min(time, stamp) if by_log and stamp >= 0 else time)  # a wrong clock moves time no further
        if mark is not None and start + length <= mark:
            if stamp >= 0 and event.get("event_time") is not None:  # it is known how late it came
                begin = mark - mark % length
                pane = self.open.setdefault((model, begin), Pane(model, begin, length))
                pane.count((version, ""), "arrival.delay_s", "number", delay(time, stamp))
            return "late", ignored
        pane = self.open.setdefault((model, start), Pane(model, start, length))
        if event.get("event_id") is not None and stamp >= 0:
            pane.ids.setdefault(version, Counter())[identity(event["event_id"])] += 1
        for segment in ("", *(f"{tag}={name}" for tag, name in zip(tags, segments, strict=True))):
            pane.count((version, segment), "events", "oddity", "event")
            for signal, kind, held in values_of(event, rules.name_length, rules.depth):
                pane.count((version, segment), signal, kind, held)
            if event.get("event_time") is None:
                pane.count((version, segment), "arrival.delay_s", "oddity", "null")
            elif stamp >= 0:
                pane.count((version, segment), "arrival.delay_s", "number", delay(time, stamp))
        return "accepted", ignored

    def _count_fate(self, fate: str, ignored: int, model: str) -> None:
        """Count the record in the stream's own pane of the time at which it was read, or else in the first one."""
        self.beyond_limits += ignored
        self._before.append((fate, ignored, model))
        self._count_before()

    def _count_before(self, clock: int | None = None) -> None:
        moment = clock if self.time.newest is None else max(self.time.newest, self.told)
        if moment is None or not self._before:
            return
        length = self.rules.stream_pane_ms
        start = moment - moment % length
        pane = self.open.setdefault(("", start), Pane("", start, length))
        for held, ignored, model in self._before:
            pane.count(("", ""), "events", "oddity", "event")
            pane.count(("", ""), "fate", "string", held)
            if ignored:
                pane.count(("", ""), "beyond_limits", "string", "fields", ignored)
            for what in (["fields"] if ignored else []) + ([held] if model and held != "accepted" else []):
                few = pane.named.setdefault(what, set())
                if model in few or len(few) < NAMED:
                    few.add(model)
                    pane.count(("", ""), "beyond_names", "string", f"{what}: {model}")
        self._before = []

    def _send(self) -> None:
        if self.watermark is None:
            return
        self._send_those([key for key, pane in self.open.items() if pane.end <= self.watermark])

    def _send_those(self, keys: Sequence[tuple[str, int]]) -> None:
        due = sorted((self.open.pop(key) for key in keys), key=lambda pane: (pane.end, pane.start, pane.model))
        for _, same in groupby(due, key=lambda pane: (pane.end, pane.start)):
            panes = list(same)
            census = census_of(panes, self.source, self.sources, self.flushes)
            if census is not None:
                self.sent.append(census)
            self.sent.extend(content_of(pane, self.source, self.sources, self.flushes) for pane in panes)

    @property
    def counters(self) -> dict[str, object]:
        """What the task must have counted."""
        rejected = Counter(reason for reason in self.reasons if reason != "accepted")
        return {
            "consumed": len(self.reasons),
            "accepted": self.reasons.count("accepted"),
            "rejected": dict(rejected),
            "without_time": self.without_time,
            "beyond_limits": self.beyond_limits,
            "panes": sum(content.model[:1] != CENSUS for content in self.sent),
            "events": self.reasons.count("accepted"),
        }


def run(
    rules: Rules,
    values: Sequence[bytes | None],
    stamps: Sequence[int],
    *,
    flush_at: Sequence[int] = (),
    by_log: Callable[[int], bool] = lambda at: False,
) -> Oracle:
    """Return what should come of these records; the partition seems to end before each of the records `flush_at`.

    `by_log` tells of which records the log wrote the timestamp.
    """
    oracle = Oracle(rules)
    flushes = defaultdict(bool, dict.fromkeys(flush_at, True))
    for at, (value, stamp) in enumerate(zip(values, stamps, strict=True)):
        if flushes[at]:
            oracle.rest(at)
            oracle.told = max(oracle.told, oracle.over or -1)
        oracle.take(value, stamp, by_log=by_log(at))
    oracle.rest(len(values))
    return oracle
