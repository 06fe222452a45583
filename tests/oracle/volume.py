"""How many events a model has, and which versions answer them, once more in plain Python. See docs/statistics.md."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from tests.oracle.evidence import FADING, log_mean, log_sum
from tests.oracle.incidents import Change, Window, log_threshold
from tests.oracle.judge import alert_name, name

MIN_WINDOWS, MIN_DAYS = 30, 10
DAY = 86_400_000
MAX_WINDOWS = 20_000
MAX_SLICES = 4_096
MAX_MISSING = 1_000
PARTS = (0.5, 0.75, 0.9, 1.0)
GONE = 12


@dataclass(frozen=True)
class Limit:
    """A total that a window may be beyond, and how an alternative sees that."""

    above: bool
    at: float
    often: float
    """u: no more often than so, by the reference."""
    alternative: float


class Volume:
    """What windows of one size hold in good times."""

    def __init__(self, panes: Mapping[int, int], pane_ms: int, size: int, minded: float, allowance: float) -> None:
        """`panes` are the events in each pane of good times that had any, by start."""
        end = max(panes) + pane_ms
        begin = max(-(-min(panes) // size) * size, (end // size - MAX_WINDOWS) * size)
        sums: Counter[int] = Counter()
        for start, count in panes.items():
            sums[start // size * size] += count
        places = list(range(begin, end - size + 1, size))
        for edge in (0, -1):  # the reference may have begun, or ended, within a pane
            if len(places) > 1 and sums[places[edge]] < min(sums[place] for place in places if place != places[edge]):
                del places[edge]
        totals = sorted(sums[start] for start in places)
        self.enough = len(totals) >= (MIN_DAYS if size >= DAY else MIN_WINDOWS) and size % pane_ms == 0
        self._minded = 1 + minded
        if not self.enough:
            return
        self.median, self._least, self._most = float(median(totals)), totals[0], totals[-1]
        self._side = len(totals) // 2
        self.limits = _limits(totals, allowance)
        self.powers = [1.0] * len(self.limits)
        runs = [self._worst(number, [sums[start] for start in places]) for number in range(len(self.limits))]
        self.powers = [1 / max(run / 3, 1.0) for run in runs]

    def _worst(self, number: int, totals: Sequence[int]) -> float:
        """Return the most that a run of the reference's own windows says, which may go on from its end to its start."""
        best = rise = 0.0
        for total in [*totals, *totals]:
            rise = max(rise + self._says(number, total), 0.0)
            best = max(best, rise)
        return best

    def _says(self, number: int, total: float) -> float:
        limit = self.limits[number]
        beyond = total / self._minded > limit.at if limit.above else total * self._minded < limit.at
        if beyond:
            return math.log(limit.alternative / limit.often)
        return math.log1p(-limit.alternative) - math.log1p(-limit.often)

    def gains(self, events: int) -> list[float]:
        """Return log L of each alternative."""
        return [self._says(number, events) * power - FADING for number, power in enumerate(self.powers)]

    def is_usual(self, events: int) -> bool:
        return self._least / self._minded <= events <= self._most * self._minded

    def is_steep(self, events: int) -> bool:
        far = math.log((events + 0.5) / (self.median + 0.5))
        edge = self._most if far >= 0 else self._least
        times = next(k for k in range(3, 100) if math.comb(self._side + k, k) >= 250)
        return abs(far) >= max(times * abs(math.log((edge + 0.5) / (self.median + 0.5))), 0.4 + math.log(self._minded))


def _limits(totals: Sequence[int], allowance: float) -> list[Limit]:
    often, almost = [], []
    for above in (True, False):
        for part in PARTS:
            place = min(int(part * len(totals)), len(totals) - 1)
            at = float(totals[place] if above else totals[-1 - place])
            beyond = sum(total > at if above else total < at for total in totals)
            bound = min(upper_bound(beyond, len(totals), min(allowance / (10 * 2 * len(PARTS)), 0.05)), 1 - 1e-6)
            often.append(Limit(above, at, bound, math.sqrt(bound)))
            almost.append(Limit(above, at, bound, max(0.95, (1 + bound) / 2)))
    return often + almost


def upper_bound(hits: int, trials: int, tail: float) -> float:
    """Return the share of which so few hits, or fewer, have the probability `tail` (Clopper and Pearson 1934)."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        fewer = math.fsum(
            math.exp(math.log(math.comb(trials, k)) + k * math.log(middle) + (trials - k) * math.log1p(-middle))
            for k in range(hits + 1)
        )
        low, high = (middle, high) if fewer > tail else (low, middle)
    return high


@dataclass
class _Weighed:
    volume: Volume
    log_r: list[float] = field(default_factory=lambda: [-math.inf] * (4 * len(PARTS)))
    rise: float = 0.0
    left: int = 0

    def update(self, events: int, start: int) -> None:
        gained = self.volume.gains(events)
        self.log_r = [log_sum(0.0, held) + gain for held, gain in zip(self.log_r, gained, strict=True)]
        self.left = self.left if self.rise > 0 else start
        self.rise = max(self.rise + log_mean(gained) + FADING, 0.0)

    def forget(self) -> None:
        self.log_r = [-math.inf] * len(self.log_r)


@dataclass
class _Open:
    opened: int
    began: int | None
    size: int
    before: float
    after: int
    quiet: int = 0


class Traffic:
    """The number of events of one model."""

    def __init__(self, rules: "Rules", tell: Callable[[Change], None]) -> None:
        self._rules, self._tell = rules, tell
        self._learned: dict[int, int] = {}
        self._slice = rules.pane
        self._learning = True
        self._since = 0
        self._heard = 0
        self._counts: dict[int, Counter[int]] = {}
        """By size and start what windows hold that are not complete."""
        self._next: dict[int, int] = {}
        self._evidence: dict[int, _Weighed] = {}
        self._open: _Open | None = None
        self.longest_pause: int | None = None

    def take(self, start: int, end: int, events: int) -> None:
        """Take a slice: judge what is complete by it."""
        if self._rules.silence == 0 and start - self._heard >= min(self._rules.sizes):
            self.forget(start)
        for size in self._evidence:
            begin = start // size * size
            self._counts[size][begin] += events
            self._next[size] = max(self._next.get(size, begin), begin - MAX_MISSING * size)
        self._heard = max(self._heard, end)
        for size in sorted(self._evidence):
            while self._next[size] + size <= self._heard:
                begin = self._next[size]
                self._next[size] += size
                events_in = self._counts[size].pop(begin, 0)
                if begin >= self._since:
                    self._judge(size, begin, events_in)
        if self._learning:
            self._note(start, events)
            span = self._rules.span
            if self.longest_pause is not None:  # too few windows were learned from
                shortest = min(self._rules.sizes)
                span = max(span, (12 if shortest >= DAY else 32) * shortest)
            if end - min(self._learned) >= span and sum(self._learned.values()) >= self._rules.events:
                self._adopt()

    def supplement(self, start: int, end: int, events: int) -> None:
        """Take what came late for a slice, where its windows are not complete."""
        for size in self._evidence:
            begin = start // size * size
            if begin >= self._next.get(size, self._heard // size * size):
                self._counts[size][begin] += events
        self._heard = max(self._heard, end)
        if self._learning and start >= min(self._learned, default=start):
            self._note(start, events)

    def forget(self, back: int) -> None:
        """Say nothing of the windows up to the one in which events are back."""
        self._next = {}
        self._counts = {size: Counter() for size in self._rules.sizes}
        self._since = max(self._since, back)

    def _note(self, start: int, events: int) -> None:
        self._learned[start // self._slice * self._slice] = (
            self._learned.get(start // self._slice * self._slice, 0) + events
        )
        assert len(self._learned) <= MAX_SLICES, "longer slices are not redone"

    def _adopt(self) -> None:
        if self._open is not None:
            self._finish(Window(self._rules.subject, self._heard, self._heard, 0))
        rules, starts = self._rules, sorted(self._learned)
        self.longest_pause = max((after - before - rules.pane for before, after in pairwise(starts)), default=0)
        self._evidence = {}
        for size in rules.sizes:
            volume = Volume(self._learned, rules.pane, size, rules.minded, rules.allowance)
            if volume.enough:
                self._evidence[size] = _Weighed(volume)
        if min(rules.sizes) in self._evidence:
            self._learned, self._learning = {}, rules.renewed
        self._since = self._heard
        self._next, self._counts = {}, {size: Counter() for size in rules.sizes}

    def _judge(self, size: int, start: int, events: int) -> None:
        weighed, window = self._evidence[size], Window(self._rules.subject, start, start + size, events)
        weighed.update(events, start)
        held = self._open
        if held is None:
            steep = weighed.volume.is_steep(events)
            if steep or log_mean(weighed.log_r) >= log_threshold(self._rules.allowance, self._rules.period, size):
                began = weighed.left if weighed.rise > 0 else start if steep else None
                self._open = _Open(window.end, began, size, weighed.volume.median, events)
                self._forget_evidence()
                self._say("firing", window)
        elif held.size != size:
            weighed.forget()
        else:
            change = math.log((held.after + 0.5) / (held.before + 0.5))
            left = math.log((events + 0.5) / (weighed.volume.median + 0.5))
            nearer = left * math.copysign(1, change) <= abs(change) / 2
            held.quiet = held.quiet + 1 if weighed.volume.is_usual(events) and nearer else 0
            if held.quiet == 3:
                self._finish(window)

    def _finish(self, window: Window) -> None:
        self._say("resolved", window)
        self._open = None
        self._forget_evidence()

    def _forget_evidence(self) -> None:
        for weighed in self._evidence.values():
            weighed.forget()

    def _say(self, status: str, window: Window) -> None:
        held = self._open
        assert held is not None
        key = name(self._rules.group, *self._rules.subject, "volume")
        alert = alert_name(key, held.opened, status, window.end)
        self._tell(Change(alert, key, "volume", status, window, held.opened, held.began, ("events",)))


@dataclass(frozen=True)
class Rules:
    """How the number of a model's events is judged. Durations in milliseconds."""

    group: str
    subject: tuple[str, str, str]
    pane: int
    sizes: Sequence[int]
    span: int
    events: int
    renewed: bool
    minded: float
    """`min_volume_change`."""
    allowance: float
    period: int
    silence: int | None


class Releases:
    """Which versions answer a model's events, by its shortest windows."""

    def __init__(self, rules: Rules, longest: int, tell: Callable[[Change], None]) -> None:
        self._rules, self._tell, self._longest, self._size = rules, tell, longest, min(rules.sizes)
        self.ended = 0
        """How many releases are over."""
        self._seen: dict[str, int] = {}
        self._before: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._start: int | None = None
        self._open: tuple[int, tuple[str, ...], int] | None = None

    @property
    def answering(self) -> Collection[str]:
        """The versions that are not gone."""
        return self._seen

    def take(self, start: int, end: int, events: Mapping[str, int]) -> None:
        """Take a slice."""
        begin = start // self._size * self._size
        if self._start is not None and begin > self._start:
            self._judge()
            self._start = begin
        self._start = begin if self._start is None else self._start
        self._counts.update(+Counter(events))
        if end >= self._start + self._size:
            self._judge()
            self._start += self._size

    def _judge(self) -> None:
        counts, before, start = self._counts, self._before, self._start
        assert start is not None
        self._counts = Counter()
        if not counts:
            return
        first, total = not self._seen, sum(counts.values())
        new = set(counts) - set(self._seen)
        self._seen |= dict.fromkeys(counts, start)
        gone = {version for version, last in self._seen.items() if start - last >= GONE * self._longest}
        self._seen = {version: last for version, last in self._seen.items() if version not in gone}
        self._before = counts
        window = Window(self._rules.subject, start, start + self._size, total)
        if self._open is not None:
            if len(self._seen) == 1:
                self._say("resolved", window)
                self._open = None
                self.ended += 1
        elif new and not first:
            self._open = window.end, ("model_version",) * min(len({*counts, *before}), 10), start
            self._say("firing", window)

    def _say(self, status: str, window: Window) -> None:
        assert self._open is not None
        opened, signals, began = self._open
        key = name(self._rules.group, *self._rules.subject, "release")
        self._tell(
            Change(alert_name(key, opened, status, window.end), key, "release", status, window, opened, began, signals)
        )
