"""Judge once more, in plain Python, as far as no statistics decide: what is put together, which windows end with how
many events, what is told of the stream itself, and what an alert is called.

Not redone is what the evidence says of a window (bins, e-values, effect sizes): tests/evidence holds that to formulas
and published figures. So this holds whichever formula is in force.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from tests.oracle.summarise import Content, category_key

NEVER = -(2**62)
FEWEST_REFUSED = 20
CAPACITY = ("too-many-models", "too-many-versions")

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


@dataclass(frozen=True)
class Window:
    """A window that ended, with events in it."""

    subject: Subject
    start: int
    end: int
    events: int


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
    """What Judge knows of the configuration."""

    windows: Callable[[str], Sequence[tuple[int, int]]]
    learn: Callable[[str], tuple[int, int]]
    """Span in milliseconds and events after which a model's reference is complete."""
    stream_window_ms: int
    dead_letter_share: float


def name(*parts: str) -> str:
    """Return 32 hexadecimal digits that name these texts."""
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def alert_name(subject: Subject, kind: str, opened: int, status: str, end: int) -> str:
    """Return the id that an alert must have."""
    return name(name(name(*subject, kind), str(opened)), status, str(end))


@dataclass
class _Source:
    time: int = NEVER
    position: int = 0
    idle: bool = False
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Oracle:
    """What should come of one partition of the panes log."""

    rules: Rules
    sources: dict[int, _Source] = field(default_factory=lambda: defaultdict(_Source))
    expected: int = 0
    mark: int = NEVER
    counters: Counter[str] = field(default_factory=Counter)
    waiting: dict[tuple[int, int, str], list[Content]] = field(default_factory=dict)
    slices: list[tuple[int, int, str, dict[Subject, int]]] = field(default_factory=list)
    """End, start and model of all that is complete, in order, with the events of each subject."""
    told: list[Told] = field(default_factory=list)
    """What was told of the stream itself."""
    _stream: dict[int, Counter[str]] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=dict)

    def take(self, record: Content | Mark) -> None:
        """Take in one record of the log."""
        self.counters["panes"] += 1
        self.expected = max(self.expected, record.sources)
        source = self.sources[record.source]
        if isinstance(record, Mark):
            place, held = (record.time, record.position), (source.time, source.position)
            if place < held or (place == held and source.sent):
                self.counters["repeated"] += 1
                return
            source.time, source.position, source.idle = record.time, record.position, record.idle
            self._advance()
            return
        if source.sent.get(record.model, (NEVER, 0)) >= (record.start, record.part):
            self.counters["repeated"] += 1
            return
        source.sent[record.model] = (record.start, record.part)
        source.idle = False
        end = record.start + record.length
        if end <= self.mark:
            self.counters["late"] += 1
        else:
            self.waiting.setdefault((end, record.start, record.model), []).append(record)

    def _advance(self) -> None:
        if any(number not in self.sources for number in range(self.expected)):
            return
        busy = [source.time for source in self.sources.values() if not source.idle]
        limit = min(busy) if busy else max(source.time for source in self.sources.values())
        while True:
            ends = [end for end, _, _ in self.waiting]
            ends += [start + self.rules.stream_window_ms for start in self._stream]
            if not ends or min(ends) > limit:
                break
            time = min(ends)
            for key in sorted(key for key in self.waiting if key[0] == time):
                self._complete(key, self.waiting.pop(key))
            self._judge_stream(time)
        self.mark = max(self.mark, limit)

    def _complete(self, key: tuple[int, int, str], records: list[Content]) -> None:
        end, start, model = key
        events: Counter[Subject] = Counter()
        for record in records:
            for group, slot, role, _, buckets in record.cells:
                version, segment = record.groups[group]
                if slot == role == 0:
                    events[model, version, segment] += sum(count for bucket, count, _ in buckets if bucket == 0)
                if model == "" and slot:
                    self._count_fates(start, record.signals[slot], record.categories, buckets)
            if model == "":
                window = self._stream.setdefault(start - start % self.rules.stream_window_ms, Counter())
                window["records"] += events.pop(("", "", ""), 0)
        if model:
            self.slices.append((end, start, model, dict(events)))

    def _count_fates(self, start: int, signal: str, names: dict[int, str], buckets: list[tuple[int, int, int]]) -> None:
        window = self._stream.setdefault(start - start % self.rules.stream_window_ms, Counter())
        for key, count, _ in buckets:
            assert category_key(names[key]) == key
            window[f"{signal}:{names[key]}"] += count

    def _judge_stream(self, time: int) -> None:
        for start in sorted(self._stream):
            end = start + self.rules.stream_window_ms
            if end > time:
                continue
            window = self._stream.pop(start)
            fates = {fact[5:]: n for fact, n in window.items() if fact.startswith("fate:") and fact != "fate:accepted"}
            many = sum(fates.values()) > max(self.rules.dead_letter_share * window["records"], FEWEST_REFUSED - 1)
            self._decide("dead_letters", start, end, fates if many else {})
            beyond = {fact[14:]: n for fact, n in window.items() if fact.startswith("beyond_limits:")}
            if models := sum(fates.get(reason, 0) for reason in CAPACITY):
                beyond["models or versions"] = models
            self._decide("capacity", start, end, beyond)

    def _decide(self, kind: str, start: int, end: int, counts: dict[str, int]) -> None:
        if bool(counts) == (kind in self._open):
            return
        status = "firing" if counts else "resolved"
        opened = self._open.setdefault(kind, end)
        if not counts:
            del self._open[kind]
        ranked = tuple((what, float(n)) for what, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        subject = ("", "", "")
        alert = alert_name(subject, kind, opened, status, end)
        self.told.append(Told(alert, name(*subject, kind), kind, status, opened, start, end, ranked))

    def windows(self) -> list[Window]:
        """Return the windows with events that ended, from the slice after the subject's own reference was complete.

        A segment may be compared with another reference before: that is not decided here.
        """
        first: dict[Subject, int] = {}
        learned: Counter[Subject] = Counter()
        watching: set[Subject] = set()
        events: Counter[tuple[Subject, int, int]] = Counter()
        for end, start, model, found in self.slices:
            span, enough = self.rules.learn(model)
            for subject, count in found.items():
                if subject not in watching:
                    first.setdefault(subject, start)
                    learned[subject] += count
                    if learned[subject] >= enough and end - first[subject] >= span:
                        watching.add(subject)
                    continue
                for size, every in self.rules.windows(model):
                    for begin in range(start - start % every, end - size - 1, -every):
                        if begin <= start and end <= begin + size:
                            events[subject, begin, size] += count
        return sorted(
            (
                Window(subject, begin, begin + size, count)
                for (subject, begin, size), count in events.items()
                if begin + size <= self.mark
            ),
            key=lambda window: (window.end, window.subject, window.start),
        )
