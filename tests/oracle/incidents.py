"""When incidents open, which signals are theirs, and when they resolve, once more in plain Python."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.oracle.evidence import Evidence
from tests.oracle.judge import Subject, alert_name, name
from tests.oracle.recovery import Recovery

SHARES = {"data_drift": 0.4, "prediction_drift": 0.3, "data_quality": 0.2, "volume": 0.05, "mix": 0.05}
NOTABLE = 3.0
MOST_SIGNALS = 10
QUIET_WINDOWS = 3


@dataclass(frozen=True)
class Window:
    """A window that ended."""

    subject: Subject
    start: int
    end: int
    events: int

    @property
    def size(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Weighed:
    """What the evidence of one kind says of a window; signals by name, in order."""

    kind: str
    window: Window
    evidence: Evidence
    all_sizes: Sequence[Evidence]
    """The evidence of this kind in windows of any size."""
    log_c: float
    """The threshold."""
    counts: Mapping[str, Sequence[int]]
    broken: frozenset[str]
    effect: Callable[[str], float]
    """How far a signal is from the reference, by which the signals of an incident are ranked."""


@dataclass(frozen=True)
class Change:
    """An alert."""

    id: str
    key: str
    kind: str
    status: str
    window: Window
    opened: int
    began: int | None
    signals: tuple[str, ...]


@dataclass
class _Open:
    kind: str
    opened: int
    began: int | None
    size: int
    signals: list[str]
    recovery: Recovery = field(default_factory=Recovery)
    quiet: int = 0


def allowance(count: float, kind: str, sizes: int, segments: bool, rank: int | None) -> float:
    """Return a part of a budget of `count` false alarms, divided as docs/statistics.md says."""
    part = count * SHARES[kind] / sizes
    if segments:
        part /= 2
    if rank is not None:
        part /= rank * (rank + 1)
    return part


def log_threshold(allowed: float, period: int, size: int) -> float:
    """Return log c: windows per period, over the false alarms that are allowed in one."""
    return math.log(max(period / size / allowed, 1.0))


@dataclass
class Incidents:
    """All incidents of one subject."""

    group: str
    subject: Subject
    tell: Callable[[Change], None]
    open: dict[str, _Open] = field(default_factory=dict)

    def weigh(self, seen: Weighed) -> None:
        """Take what the evidence says of a window."""
        held = self.open.get(seen.kind)
        if held is None:
            if seen.broken or seen.evidence.log_m >= seen.log_c:
                self._begin(seen)
        elif held.size != seen.window.size:
            seen.evidence.forget()
        elif self._is_over(held, seen):
            seen.evidence.forget()
            self._finish(held, seen.window)

    def compare(self, window: Window, passed: Sequence[str]) -> None:
        """Take the signals that passed a fixed threshold in a window."""
        held = self.open.get("threshold")
        if held is None and passed:
            signals = list(passed[:MOST_SIGNALS])
            self.open["threshold"] = _Open("threshold", window.end, window.start, window.size, signals)
            self._say("threshold", "firing", window)
        elif held is not None and not passed and held.size == window.size:
            self._finish(held, window)

    def close(self, window: Window | None) -> None:
        """End all: the reference changed. `window` is the last one that was judged."""
        for kind in sorted(self.open):
            assert window is not None
            self._finish(self.open[kind], window)

    def _begin(self, seen: Weighed) -> None:
        log_r = seen.evidence.log_r
        strongest = max(log_r, key=lambda each: log_r[each])
        held = _Open(seen.kind, seen.window.end, seen.evidence.signals[strongest].began, seen.window.size, [])
        held.signals = self._chosen(seen, log_r)
        for each in held.signals:
            held.recovery.join(each, seen.evidence.signals[each])
        for evidence in seen.all_sizes:
            evidence.forget()
        self.open[seen.kind] = held
        self._say(seen.kind, "firing", seen.window)

    def _chosen(self, seen: Weighed, log_r: Mapping[str, float]) -> list[str]:
        """Return the signals of a new incident: what is broken, and what has the most evidence or speaks by itself.

        They come in order of their part of the evidence, in hundredths, and then of how far they are away.
        """
        highest = min(log_r[each] for each in seen.broken) if seen.broken else max(log_r.values())
        places = {each: place for place, each in enumerate(log_r)}
        chosen = [
            each
            for each in log_r
            if each in seen.broken or log_r[each] > highest - math.log(100) or seen.evidence.log_e[each] > NOTABLE
        ]
        chosen.sort(key=lambda each: (each not in seen.broken, -log_r[each], places[each]))
        most = max(log_r.values())
        whole = sum(math.exp(each - most) for each in log_r.values())
        shares = {each: round(math.exp(log_r[each] - most) / whole, 2) for each in chosen}
        return sorted(chosen[:MOST_SIGNALS], key=lambda each: (-shares[each], -seen.effect(each), each))

    def _is_over(self, held: _Open, seen: Weighed) -> bool:
        log_r, log_e, signals = seen.evidence.log_r, seen.evidence.log_e, seen.evidence.signals
        speaking = [each for each in held.signals if log_r[each] > NOTABLE]
        for each in held.signals:
            held.recovery.take(each, signals[each], seen.counts[each], each in speaking)
        joining = [each for each in log_e if log_e[each] > NOTABLE and each not in held.signals]
        joining = joining[: MOST_SIGNALS - len(held.signals)]
        for each in joining:
            held.signals.append(each)
            held.recovery.join(each, signals[each])
        if joining or speaking:
            held.quiet = 0
            seen.evidence.forget()
            return False
        held.quiet += 1
        other = any(log_r[each] > math.log(held.quiet) for each in held.signals)
        return held.quiet >= QUIET_WINDOWS and not other and held.recovery.back

    def _finish(self, held: _Open, window: Window) -> None:
        self._say(held.kind, "resolved", window)
        del self.open[held.kind]

    def _say(self, kind: str, status: str, window: Window) -> None:
        held = self.open[kind]
        key = name(self.group, *self.subject, kind)
        alert = alert_name(key, held.opened, status, window.end)
        self.tell(Change(alert, key, kind, status, window, held.opened, held.began, tuple(held.signals)))
