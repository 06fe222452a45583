"""When incidents open, which signals are theirs, and when they resolve, once more in plain Python.

What the evidence says of each window is taken as it is: the sums M and R, the window's own e-values, what is broken and
what has come back. That they are right is for tests/evidence; here they are only compared with what the budget and the
rules of an incident make of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.oracle.judge import Subject, alert_name, name

SHARES = {"data_drift": 0.4, "prediction_drift": 0.3, "data_quality": 0.2, "volume": 0.1}
NOTABLE = 3.0
MOST_SIGNALS = 10
QUIET_WINDOWS = 3


@dataclass(frozen=True)
class Weighed:
    """What the evidence of one kind says of a window; signals by name, in order."""

    subject: Subject
    kind: str
    start: int
    end: int
    log_m: float
    log_e: Mapping[str, float]
    log_r: Mapping[str, float]
    broken: frozenset[str]
    back: bool | None
    """Whether all signals of the open incident have come back; None where none is open."""


@dataclass(frozen=True)
class Passed:
    """The signals that passed a fixed threshold in a window."""

    subject: Subject
    start: int
    end: int
    signals: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """An alert, as far as it is decided here."""

    id: str
    key: str
    status: str
    signals: tuple[str, ...]
    """Without order."""


@dataclass
class _Open:
    opened: int
    size: int
    signals: list[str]
    quiet: int = 0


def log_threshold(
    count: float, period: int, kind: str, size: int, sizes: int, segments: bool, rank: int | None
) -> float:
    """Return log c of a part of the budget: `count` false alarms a `period`, divided as docs/statistics.md says."""
    part = count * SHARES[kind] / sizes
    if segments:
        part /= 2
    if rank is not None:
        part /= rank * (rank + 1)
    return math.log(max(period / size / part, 1.0))


@dataclass
class Incidents:
    """All incidents of a partition's models."""

    log_c: Callable[[Subject, str, int], float]
    """The threshold of a subject, kind and window size."""
    changes: list[Change] = field(default_factory=list)
    _open: dict[tuple[Subject, str], _Open] = field(default_factory=dict)

    def weigh(self, seen: Weighed) -> None:
        """Take what the evidence says of a window."""
        held, size = self._open.get((seen.subject, seen.kind)), seen.end - seen.start
        if held is None:
            if seen.broken or seen.log_m >= self.log_c(seen.subject, seen.kind, size):
                self._begin(seen.subject, seen.kind, size, seen.end, self._chosen(seen))
        elif held.size == size and self._is_over(held, seen):
            self._finish(seen.subject, seen.kind, seen.end)

    def compare(self, seen: Passed) -> None:
        """Take what passed a fixed threshold in a window."""
        held = self._open.get((seen.subject, "threshold"))
        if held is None and seen.signals:
            signals = list(seen.signals[:MOST_SIGNALS])
            self._begin(seen.subject, "threshold", seen.end - seen.start, seen.end, signals)
        elif held is not None and not seen.signals and held.size == seen.end - seen.start:
            self._finish(seen.subject, "threshold", seen.end)

    def _chosen(self, seen: Weighed) -> list[str]:
        """Return the signals of a new incident: what is broken, and what has the most evidence or speaks by itself."""
        highest = min(seen.log_r[each] for each in seen.broken) if seen.broken else max(seen.log_r.values())
        places = {each: place for place, each in enumerate(seen.log_r)}
        chosen = [
            each
            for each, log_r in seen.log_r.items()
            if each in seen.broken or log_r > highest - math.log(100) or seen.log_e[each] > NOTABLE
        ]
        chosen.sort(key=lambda each: (each not in seen.broken, -seen.log_r[each], places[each]))
        return chosen[:MOST_SIGNALS]

    def _is_over(self, held: _Open, seen: Weighed) -> bool:
        joining = [each for each, log_e in seen.log_e.items() if log_e > NOTABLE and each not in held.signals]
        joining = joining[: MOST_SIGNALS - len(held.signals)]
        if joining or any(seen.log_r[each] > NOTABLE for each in held.signals):
            held.signals += joining
            held.quiet = 0
            return False
        held.quiet += 1
        other = any(seen.log_r[each] > math.log(held.quiet) for each in held.signals)
        return held.quiet >= QUIET_WINDOWS and not other and seen.back is True

    def _begin(self, subject: Subject, kind: str, size: int, end: int, signals: list[str]) -> None:
        self._open[subject, kind] = _Open(end, size, signals)
        self._tell(subject, kind, "firing", end)

    def _finish(self, subject: Subject, kind: str, end: int) -> None:
        self._tell(subject, kind, "resolved", end)
        del self._open[subject, kind]

    def _tell(self, subject: Subject, kind: str, status: str, end: int) -> None:
        held = self._open[subject, kind]
        alert = alert_name(subject, kind, held.opened, status, end)
        self.changes.append(Change(alert, name(*subject, kind), status, tuple(sorted(held.signals))))
