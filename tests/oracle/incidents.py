"""When incidents open, which signals are theirs, and when they resolve, once more in plain Python."""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from tests.oracle.bins import EXPECTED, MISSING, NULL, OTHER_KIND, OUT_OF_RANGE, QUALITIES, UNSEEN
from tests.oracle.evidence import Evidence, log_mean
from tests.oracle.judge import Subject, alert_name, name
from tests.oracle.recovery import Recovery

SHARES = {"data_drift": 0.4, "prediction_drift": 0.3, "data_quality": 0.2, "volume": 0.05, "mix": 0.05}
NOTABLE = 3.0
MAX_SIGNALS = 10
MOSTLY_LOST = 0.5
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
    places: Mapping[str, Sequence[int | str]]
    """What the counts are of."""
    lost: Callable[[str], bool]
    """Whether so much of a signal is lost that it is critical."""
    free: Callable[[str], bool]
    """Whether a signal has no range that is right."""


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
    others: int = 0
    update: tuple[tuple[str, ...], tuple[str, ...], int | None] | None = None
    """What joined, what came back, and since when the change of what joined goes on."""


@dataclass
class _Open:
    kind: str
    opened: int
    began: int | None
    size: int
    signals: list[str]
    """Those that alerts list."""
    members: list[str] = field(default_factory=list)
    recovery: Recovery = field(default_factory=Recovery)
    quiet: dict[str, int] = field(default_factory=dict)
    told: dict[str, set[int | str]] = field(default_factory=dict)
    """The sorts of fault that were told of each signal."""
    critical: bool = False
    update: tuple[tuple[str, ...], tuple[str, ...], int | None] | None = None


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

    def weigh(self, weighed: Mapping[str, Weighed]) -> None:
        """Take what the evidence says of a window, by kind."""
        elsewhere = told_elsewhere(weighed, {kind: set(held.members) for kind, held in self.open.items()})
        for kind, seen in weighed.items():
            held = self.open.get(kind)
            silent = elsewhere[kind] - set(held.members if held is not None else ())
            for each in silent:
                seen.evidence.signals[each].forget()
            if held is None:
                if seen.broken or seen.evidence.log_m >= seen.log_c:
                    self._begin(seen, silent)
            elif held.size != seen.window.size:
                seen.evidence.forget()
            else:
                self._follow(held, seen, silent)

    def compare(self, window: Window, passed: Sequence[str]) -> None:
        """Take the signals that passed a fixed threshold in a window."""
        held = self.open.get("threshold")
        if held is None and passed:
            signals = list(passed[:MAX_SIGNALS])
            self.open["threshold"] = _Open("threshold", window.end, window.start, window.size, signals, signals)
            self._say("threshold", "firing", window)
        elif held is not None and held.size == window.size:
            joining = [each for each in passed[:] if each not in held.signals][: MAX_SIGNALS - len(held.signals)]
            if joining:
                held.signals = held.members = [*joining, *held.signals]
                held.update = tuple(joining), (), window.start
                self._say("threshold", "firing", window)
            elif not passed:
                self._finish(held, window)

    def close(self, window: Window | None) -> None:
        """End all: the reference changed. `window` is the last one that was judged."""
        for kind in sorted(self.open):
            assert window is not None
            self._finish(self.open[kind], window)

    def _begin(self, seen: Weighed, silent: set[str]) -> None:
        log_r = {name: each for name, each in seen.evidence.log_r.items() if name not in silent}
        strongest = max(log_r, key=lambda each: log_r[each])
        held = _Open(seen.kind, seen.window.end, seen.evidence.signals[strongest].began, seen.window.size, [])
        chosen = self._chosen(seen, log_r, seen.broken)
        most = max(log_r.values())
        whole = sum(math.exp(each - most) for each in log_r.values())
        shares = {each: round(math.exp(log_r[each] - most) / whole, 2) for each in chosen}
        held.signals = sorted(chosen[:MAX_SIGNALS], key=lambda each: (-shares[each], -seen.effect(each), each))
        self._join(held, seen, chosen)
        held.critical = any(seen.lost(each) for each in held.signals)
        for evidence in seen.all_sizes:
            evidence.forget()
        self.open[seen.kind] = held
        self._say(seen.kind, "firing", seen.window)

    def _join(self, held: _Open, seen: Weighed, names: Sequence[str]) -> None:
        for each in names:
            held.members.append(each)
            held.recovery.join(each, seen.evidence.signals[each])
            held.quiet[each] = 0
            if seen.kind == "data_quality":
                moved = _moved(seen, each)
                most = max(moved, key=lambda place: abs(moved[place]), default=None)
                held.told[each] = too_many(seen, each, set(), NOTABLE) | ({most} if most is not None else set())
                counts = dict(zip(seen.places[each], seen.counts[each], strict=True))
                lost = sum(counts.get(place, 0) for place in (NULL, MISSING, OTHER_KIND))
                if each in seen.broken or (lost and lost >= MOSTLY_LOST * sum(counts.values())):
                    held.told[each].add(EXPECTED)

    def _chosen(self, seen: Weighed, log_r: Mapping[str, float], broken: Set[str]) -> list[str]:
        """Return the signals of an alert: what is broken, and what has the most evidence or speaks by itself."""
        highest = min(log_r[each] for each in broken) if broken else max(log_r.values())
        places = {each: place for place, each in enumerate(log_r)}
        chosen = [
            each
            for each in log_r
            if each in broken or log_r[each] > highest - math.log(100) or seen.evidence.log_e[each] > NOTABLE
        ]
        return sorted(chosen, key=lambda each: (each not in broken, -log_r[each], places[each]))

    def _follow(self, held: _Open, seen: Weighed, silent: set[str]) -> None:
        log_r, signals = seen.evidence.log_r, seen.evidence.signals
        members = list(held.members)
        speaking = [each for each in members if log_r[each] > NOTABLE]
        for each in members:
            held.recovery.take(each, signals[each], seen.counts[each], each in speaking)
            held.quiet[each] = 0 if each in speaking else held.quiet[each] + 1
        back = [
            each
            for each in members
            if held.recovery.is_gone(each)
            and held.quiet[each] >= QUIET_WINDOWS
            and log_r[each] <= math.log(held.quiet[each])
        ]
        others = {each: r for each, r in log_r.items() if each not in members and each not in silent}
        broken = seen.broken - set(members)
        joining: list[str] = []
        if broken or log_mean([others.get(each, -math.inf) for each in log_r]) >= seen.log_c:
            joining = self._chosen(seen, others, broken)
            began = signals[joining[0]].began
            self._join(held, seen, joining)
            seen.evidence.forget()
        else:
            began = seen.window.start
            for each in speaking:
                signals[each].forget()
        changed = self._with_more_to_tell(held, seen)
        if len(back) == len(members) and not joining:
            for each in members:
                signals[each].forget()
                signals[each].rise = 0.0
            self._finish(held, seen.window)
            return
        gone = [each for each in back if speaking and each not in changed]
        fresh = [*joining, *changed]
        if not fresh and not gone:
            return
        for each in gone:
            held.members.remove(each)
            held.recovery.leave(each)
            signals[each].rise = 0.0
        staying = [each for each in held.signals if each not in (*fresh, *gone)]
        held.signals = [*fresh, *staying][:MAX_SIGNALS]
        held.critical = any(seen.lost(each) for each in held.signals)
        held.update = tuple(fresh[:MAX_SIGNALS]), tuple(gone[:MAX_SIGNALS]), began if fresh else None
        self._say(seen.kind, "firing", seen.window)

    def _with_more_to_tell(self, held: _Open, seen: Weighed) -> list[str]:
        """Return the signals with a fault of a sort that was not told, or so large by now that it is critical."""
        if seen.kind != "data_quality":
            return []
        found = []
        for each in held.members:
            level = seen.log_c + math.log(len(seen.evidence.signals))
            sorts = too_many(seen, each, held.told[each] - {EXPECTED}, level)
            if each in seen.broken and EXPECTED not in held.told[each]:
                sorts.add(EXPECTED)
            held.told[each] |= sorts
            if sorts or (not held.critical and _is_grave(seen, each)):
                found.append(each)
        return found

    def _finish(self, held: _Open, window: Window) -> None:
        held.update = None
        self._say(held.kind, "resolved", window)
        del self.open[held.kind]

    def _say(self, kind: str, status: str, window: Window) -> None:
        held = self.open[kind]
        key = name(self.group, *self.subject, kind)
        alert = alert_name(key, held.opened, status, window.end)
        others = len(held.members) - len(held.signals)
        signals = tuple(held.signals)
        self.tell(Change(alert, key, kind, status, window, held.opened, held.began, signals, others, held.update))


def told_elsewhere(weighed: Mapping[str, Weighed], members: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return by kind the signals whose change is told by another: by that which has more evidence of it.

    Only what moves values out of the range, or to ones never seen, is of two kinds. What an open incident told of it is
    not told again, but for a tenth or more of the values out of range, or a drift of which these are less than half.
    """
    found: dict[str, set[str]] = {kind: set() for kind in weighed}
    quality = weighed.get("data_quality")
    for kind in ("data_drift", "prediction_drift"):
        drift = weighed.get(kind)
        if quality is None or drift is None:
            continue
        for signal in [each for each in drift.counts if each in quality.counts]:
            moved = _moved(quality, signal)
            most = max(moved, key=lambda place: moved[place], default=EXPECTED)
            if most not in (OUT_OF_RANGE, UNSEEN) or moved[most] <= 0:
                continue
            of_quality, of_drift = quality.evidence.log_r[signal], drift.evidence.log_r[signal]
            free, grave = quality.free(signal), moved.get(OUT_OF_RANGE, 0.0) >= 0.1
            strange = sum(max(moved.get(place, 0.0), 0.0) for place in (OUT_OF_RANGE, UNSEEN))
            told = signal in members.get("data_quality", ()) and strange >= 0.5 * _in_other_bins(drift, signal)
            if (not told and of_drift > NOTABLE and (free or 0.8 * of_drift > of_quality)) or (
                signal in members.get(kind, ()) and (free or not grave)
            ):
                found["data_quality"].add(signal)
            elif of_quality > NOTABLE or signal in members.get("data_quality", ()):
                found[kind].add(signal)
    return found


def _in_other_bins(drift: Weighed, signal: str) -> float:
    """Return the share of a signal's values that is in other bins than before, by more than chance explains."""
    known = drift.evidence.signals[signal].known
    counts = [count / known.dispersion for count in drift.counts[signal]]
    n = max(sum(counts), 1e-9)
    moved = sum(max(count / n - share, 0.0) for count, share in zip(counts, known.shares, strict=True))
    return moved - sum(0.4 * math.sqrt(share * (1 - share) / n) for share in known.shares)


def _moved(seen: Weighed, signal: str) -> dict[int | str, float]:
    """Return by how much the share of each fault of a signal rose; of equal ones the first in QUALITIES is first."""
    counts, places, known = seen.counts[signal], seen.places[signal], seen.evidence.signals[signal].known
    rises = {
        place: count / max(sum(counts), 1) - share
        for place, count, share in zip(places, counts, known.shares, strict=True)
    }
    return {place: rises[place] for place in QUALITIES if place in rises and place != EXPECTED}


def _is_grave(seen: Weighed, signal: str) -> bool:
    """Tell whether more than a tenth of a signal's values is lost, by more than chance."""
    moved, n = _moved(seen, signal), sum(seen.counts[signal]) / seen.evidence.signals[signal].known.dispersion
    if signal == "latency_ms":
        moved.pop(OUT_OF_RANGE, None)
    moved.pop(UNSEEN, None)
    return n * above(sum(max(rise, 0.0) for rise in moved.values()), 0.1) >= NOTABLE


def above(s: float, most: float) -> float:
    """Return the divergence of a share from a lower one; 0 if that is higher."""
    if s <= most:
        return 0.0
    return s * math.log(s / most) + ((1 - s) * math.log((1 - s) / (1 - most)) if s < 1 else 0.0)


def too_many(seen: Weighed, signal: str, told: set[int | str], level: float) -> set[int | str]:
    """Return the faults of which there are more than any distribution in the ball explains, at e^-level a signal.

    By Chernoff's bound, given that an event has none of the faults that were told.
    """
    evidence = seen.evidence.signals[signal]
    rest = [
        (place, count / evidence.known.dispersion, share)
        for place, count, share in zip(seen.places[signal], seen.counts[signal], evidence.known.shares, strict=True)
        if place not in told
    ]
    n, whole = sum(count for _, count, _ in rest), sum(share for _, _, share in rest)
    found: set[int | str] = set()
    for place, count, share in rest:
        p = share / whole
        most = p + math.sqrt(evidence.radius / whole * p * (1 - p))
        if place != EXPECTED and n and most < 1 and n * above(count / n, most) >= level + math.log(len(QUALITIES)):
            found.add(place)
    return found
