"""Judge once more, in plain Python, up to what it says of models: slices that are put together from panes, what is told
of the stream itself, and what an alert is called. The rest is in `watching`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from tests.oracle.limits import Most, Places
from tests.oracle.summarise import ROLES, Content, category_key, sketch
from tests.oracle.tally import Tally, tally_of, together

NEVER = -(2**62)
TOPIC = 1 << 20

MIN_REFUSED = 20
CAPACITY = {"too-many-models": "models", "too-many-versions": "versions"}
CENSUS = "\x01"

Subject = tuple[str, str, str]
"""Model, version, segment."""


@dataclass(frozen=True)
class Mark:
    """A source's word of how far it has come."""

    source: int
    sources: int
    time: int
    idle: bool
    position: int
    heard: int = NEVER
    """How far its events had come."""


@dataclass(frozen=True)
class Slice:
    """All that was seen of a model over [start, end)."""

    end: int
    start: int
    model: str
    tallies: dict[Subject, Tally]
    """Of those that have places."""
    events: dict[str, int]
    """By version, of all that came."""
    mark: int | None = None
    """Of a supplement: how far all windows had been judged when it came. It comes after all that happens until then."""


@dataclass(frozen=True)
class Told:
    """An alert, as far as it is decided here."""

    id: str
    key: str
    kind: str
    status: str
    opened: int
    start: int
    end: int
    counts: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Rules:
    """What Judge knows of the stream, and of limits."""

    group: str
    stream_window_ms: int
    dead_letter_share: float
    most: Most
    window_ms: Callable[[str], int]
    """Length of a model's windows in which it is told what is beyond limits."""
    topics: tuple[int, ...] = (0,)
    """The numbers of the topics of predictions: the upper digits of their sources' numbers."""


def name(*parts: str) -> str:
    """Return 32 hexadecimal digits that name these texts."""
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def alert_name(key: str, opened: int, status: str, end: int) -> str:
    """Return the id that an alert of this key must have."""
    return name(name(key, str(opened)), status, str(end))


def with_mix(watched: dict[Subject, Tally], came: Mapping[Subject, Tally]) -> dict[Subject, Tally]:
    """Return what is watched of a model, with whose events came beside the version that had the most of them."""
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for (_, _, segment), tally in came.items():
        if segment:
            tag, _, value = segment.partition("=")
            values[tag][value] += tally.events
    wholes = [subject for subject in watched if not subject[2]]
    if not wholes:
        return watched
    most = max(wholes, key=lambda subject: (watched[subject].events, subject[1]))
    for tag, counts in values.items():
        seen: Counter[int] = Counter()
        for value, count in counts.items():
            seen[category_key(value)] += count
        shift, buckets = sketch(seen)
        held = watched[most]
        mixed = {(f"segment.{tag}", ROLES["string"]): (shift, Counter({key: n for key, n, _ in buckets}))}
        watched[most] = Tally({*held.signals, f"segment.{tag}"}, {**held.cells, **mixed})
    return watched


@dataclass
class _Source:
    time: int = NEVER
    position: int = 0
    idle: bool = False
    rested: bool = False
    heard: int = NEVER
    sent: dict[str, tuple[int, int, int]] = field(default_factory=dict)


@dataclass
class Oracle:
    """What should come of one partition of the panes log."""

    rules: Rules
    sources: dict[int, _Source] = field(default_factory=lambda: defaultdict(_Source))
    expected: Counter[int] = field(default_factory=Counter)
    """Sources by the number of their topic."""
    mark: int = NEVER
    counters: Counter[str] = field(default_factory=Counter)
    waiting: dict[tuple[int, int, str], list[Content]] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    """All that is complete, in order."""
    steps: list[tuple[int, float]] = field(default_factory=list)
    """How far time has come, and events of sources that were all idle then: for ever if one was not."""
    told: list[Told] = field(default_factory=list)
    """What was told of the stream itself."""
    _stream: dict[int, Counter[str]] = field(default_factory=dict)
    places: Places = field(init=False)
    _tells: bool = False
    """Whether anything came of the stream itself: so it is here that models beyond the limit are told."""
    _beyond: dict[tuple[int, str], Counter[str]] = field(default_factory=dict)
    """By end of a window, and model."""
    _open: dict[tuple[str, str], int] = field(default_factory=dict)
    """By kind and model when it opened."""

    def __post_init__(self) -> None:
        """Begin with all places free."""
        self.places = Places(self.rules.most)

    def take(self, record: Content | Mark) -> None:
        """Take in one record of the log."""
        self.counters["panes"] += 1
        topic = record.source // TOPIC
        self.expected[topic] = max(self.expected[topic], record.sources)
        source = self.sources[record.source]
        if isinstance(record, Mark):
            if (record.time, record.position, record.idle) <= (source.time, source.position, source.rested):
                self.counters["repeated"] += 1
                return
            source.time, source.position, source.idle, source.rested = (
                record.time,
                record.position,
                record.idle,
                record.idle,
            )
            source.heard = record.heard
            self._advance()
            return
        place = record.flushes, record.start, record.part
        if source.sent.get(record.model, (0, NEVER, 0)) >= place:
            self.counters["repeated"] += 1
            return
        source.sent[record.model] = place
        source.idle = False
        end = record.start + record.length
        if end <= self.mark:
            self._supplement((end, record.start, record.model), record)
        else:
            self.waiting.setdefault((end, record.start, record.model), []).append(record)

    def _supplement(self, key: tuple[int, int, str], record: Content) -> None:
        """What comes for a slice that is complete counts in what is still open. See `watching` for models."""
        self.counters["supplements"] += 1
        if record.model == "":
            window = record.start - record.start % self.rules.stream_window_ms
            judged = window + self.rules.stream_window_ms <= self.mark
            self._count_stream(replace(record, start=self.mark, length=1) if judged else record)
            return
        self._complete(key, [record], self.mark)

    def _advance(self) -> None:
        counts = {topic: self.expected[topic] for topic in self.rules.topics}
        numbers = [topic * TOPIC + at for topic, count in counts.items() for at in range(count)]
        if not all(counts.values()) or any(number not in self.sources for number in numbers):
            return
        busy = [source.time for source in self.sources.values() if not source.idle]
        limit = last = min(busy) if busy else max(source.time for source in self.sources.values())
        if not busy and limit == NEVER:  # nothing ever counted: how records were rejected comes out by the clock
            last = max((end for end, _, _ in self.waiting), default=NEVER)
        self.steps.append((limit, math.inf if busy else max(source.heard for source in self.sources.values())))
        while True:
            ends = [end for end, _, _ in self.waiting]
            ends += [start + self.rules.stream_window_ms for start in self._stream]
            ends += [end for end, _ in self._beyond]
            if not ends or min(ends) > last:
                break
            time = min(ends)
            for key in sorted(key for key in self.waiting if key[0] == time):
                self._complete(key, self.waiting.pop(key))
            self._judge_stream(time, idle=not busy and all(source.heard < time for source in self.sources.values()))
        self.mark = max(self.mark, limit)

    def _complete(self, key: tuple[int, int, str], records: list[Content], mark: int | None = None) -> None:
        end, start, model = key
        at = end if mark is None else mark + 1
        if model == "":
            for record in records:
                self._count_stream(record)
            return
        if model[:1] == CENSUS:
            heard: Counter[str] = Counter()
            for record in records:
                heard.update({name: tally_of(record, rank).events for rank, (name, _) in enumerate(record.groups)})
            beyond = self.places.hear(heard)
            self._note("", at if self._tells else None, {"models": beyond})
            return
        parts: dict[Subject, list[Tally]] = defaultdict(list)
        for record in records:
            for rank, (version, segment) in enumerate(record.groups):
                parts[model, version, segment].append(tally_of(record, rank))
        tallies = {subject: together(held) for subject, held in sorted(parts.items())}
        watched, more = self.places.admit(model, tallies)
        self._note(model, at, more)
        if model in self.places.models:
            events = {version: tally.events for (_, version, segment), tally in tallies.items() if not segment}
            self.slices.append(Slice(end, start, model, with_mix(watched, tallies), events, mark))

    def _note(self, model: str, at: int | None, beyond: Mapping[str, int]) -> None:
        """Count what is beyond limits until a time, in the window that it is in or ends."""
        if at is not None and any(beyond.values()):
            size = self._window_of(model)
            self._beyond.setdefault((-(-at // size) * size, model), Counter()).update(beyond)

    def _window_of(self, model: str) -> int:
        return self.rules.window_ms(model) if model else self.rules.stream_window_ms

    def _count_stream(self, record: Content) -> None:
        self._tells = True
        window = self._stream.setdefault(record.start - record.start % self.rules.stream_window_ms, Counter())
        window["records"] += tally_of(record, 0).events
        for _, slot, _, _, buckets in record.cells:
            for key, count, _ in buckets if slot else ():
                assert category_key(record.categories[key]) == key
                signal, what = record.signals[slot], record.categories[key]
                if signal == "fate":
                    window[f"{signal}:{what}"] += count
                limit = what if signal == "beyond_limits" else CAPACITY.get(what) if signal == "fate" else None
                if limit is not None:
                    self._note("", record.start + record.length, {limit: count})

    def _judge_stream(self, time: int, *, idle: bool) -> None:
        for start in sorted(self._stream):
            end = start + self.rules.stream_window_ms
            if end > time:  # told as far as it has come, where nothing comes any more and nothing of it counted
                counted = self._stream[start]["fate:accepted"]
                if not idle or counted or ("dead_letters", "") in self._open or start >= time:
                    continue
                window, end = self._stream[start], time
            else:
                window = self._stream.pop(start)
            fates = {fact[5:]: n for fact, n in window.items() if fact.startswith("fate:") and fact != "fate:accepted"}
            fires = ("dead_letters", "") in self._open
            many = sum(fates.values()) > self.rules.dead_letter_share * window["records"]
            enough = fires or sum(fates.values()) >= MIN_REFUSED
            if not fires or end > self._open["dead_letters", ""]:
                self._decide("dead_letters", "", start, end, fates if many and enough else {})
        for end, model in sorted(key for key in self._beyond if key[0] <= time):
            size = self._window_of(model)
            self._decide("capacity", model, end - size, end, self._beyond.pop((end, model)))
            if ("capacity", model) in self._open:
                self._beyond.setdefault((end + size, model), Counter())

    def _decide(self, kind: str, model: str, start: int, end: int, counts: Mapping[str, int]) -> None:
        if bool(counts) == ((kind, model) in self._open):
            return
        status = "firing" if counts else "resolved"
        opened = self._open.setdefault((kind, model), end)
        if not counts:
            del self._open[kind, model]
        ranked = tuple((what, float(n)) for what, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        key = name(self.rules.group, model, "", "", kind)
        alert = alert_name(key, opened, status, end)
        self.told.append(Told(alert, key, kind, status, opened, start, end, ranked))
