"""All that Judge says of models, once more in plain Python: slices to references, windows, evidence and incidents.

Redone are references that are learned from the stream, once or anew each period; that a segment borrows the model's,
and a version the one before's. Not redone: references from files and commands, seasons, and of fixed thresholds all but
PSI.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.oracle.bins import EXPECTED, MISSING, NULL, OTHER_KIND, OUT_OF_RANGE, UNSEEN
from tests.oracle.counting import Counted, by_quality, counted
from tests.oracle.distances import psi
from tests.oracle.evidence import Evidence
from tests.oracle.incidents import Change, Incidents, Weighed, Window, allowance, log_threshold
from tests.oracle.judge import Slice, Subject, alert_name
from tests.oracle.judge import name as key_of
from tests.oracle.learning import Learner
from tests.oracle.reference import Reference, bins_before_and_after
from tests.oracle.tally import EVENTS, Tally
from tests.oracle.volume import Releases, Traffic
from tests.oracle.volume import Rules as TrafficRules

KINDS = ("data_drift", "prediction_drift", "data_quality", "mix")
"""Of versions and segments; the mix is all events' alone."""
BAD = (NULL, MISSING, OTHER_KIND, OUT_OF_RANGE, UNSEEN)


@dataclass(frozen=True)
class ModelRules:
    """What the configuration says of a model. Durations in milliseconds."""

    group: str
    windows: Sequence[tuple[int, int]]
    """Size, and from one's start to the next one's."""
    pane: int
    span: int
    events: int
    """When a reference is complete."""
    renewed: bool
    compare_versions: bool
    false_alarms: float
    period: int
    segmented: bool
    min_effect: float
    min_volume_change: float
    min_events: int
    most_psi: float | None
    silence: int | None
    """None: twice the longest pause, and at least two windows. 0: never."""


@dataclass(frozen=True)
class Row:
    """What was known of a signal when a window was weighed, and what came of it."""

    shares: Sequence[float]
    dispersion: float
    radius: float
    log_e: float
    log_r: Sequence[float]
    """Of each alternative."""


@dataclass(eq=False)
class Silence:
    """A silence that was told: of which model, since when, and when; and whether nothing has come at all until now."""

    model: str
    since: int
    opened: int
    everywhere: bool


@dataclass
class Watching:
    """All models of one partition of the panes log."""

    rules: Callable[[str], ModelRules]
    changes: list[Change] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    """All that were judged, in order."""
    weighed: dict[tuple[Window, str], dict[str, Row]] = field(default_factory=dict)
    """By window and kind the rows of its evidence."""
    subjects: dict[Subject, "_Watched"] = field(default_factory=dict)
    late: int = 0
    """Supplements that belong to a window which was judged."""
    heard: Counter[str] = field(default_factory=Counter)
    """Until when anything was heard of a model."""
    traffic: dict[str, Traffic] = field(default_factory=dict)
    releases: dict[str, Releases] = field(default_factory=dict)
    away: dict[str, int] = field(default_factory=dict)
    """Models that shared a silence and have not spoken since, and when somebody did."""

    silences: dict[str, Silence] = field(default_factory=dict)
    """By model, told and not over. All silent models share one if nothing comes from anywhere."""

    def run(self, slices: Sequence[Slice], mark: int, steps: Sequence[tuple[int, float]]) -> None:
        """Take slices in the order of their ends, and judge all windows that end until `mark`.

        `steps` say how far time had come, and events of sources that were all idle: for ever if one was not.
        """
        waiting = list(slices)
        while True:
            ends = [min(each.open)[0] for each in self.subjects.values() if each.open]
            ends += [due for model, due in self._due().items() if model not in self.silences]
            first = waiting[0] if waiting else None
            if first is not None and first.mark is not None and min(ends, default=first.mark + 1) > first.mark:
                self._supplement(waiting.pop(0), first.mark)
                continue
            times = [*ends, *([first.end] if first is not None and first.mark is None else [])]
            if not times or min(times) > mark:
                return
            time = min(times)
            while waiting and waiting[0].end == time and waiting[0].mark is None:
                self._take(waiting.pop(0))
            for subject in sorted(self.subjects):
                self.subjects[subject].close(time)
            for model, due in sorted(self._due().items(), key=lambda item: (item[1], item[0])):
                if due <= time and model not in self.silences:
                    self._fall_silent(model, time, next(heard for limit, heard in steps if limit >= time) < time)

    def _due(self) -> dict[str, int]:
        """Return when each model is silent, as far as is known."""
        found = {}
        for model in self.heard:
            rules, heard = self.rules(model), max(self.heard[model], self.away.get(model, 0))
            alike = [each for (name, _, segment), each in self.subjects.items() if name == model and not segment]
            known = [each for each in alike if each.reference is not None]
            last = max(known, key=lambda each: (each.heard, each.subject), default=None)
            pause = self.traffic[model].longest_pause if model in self.traffic else None
            if pause is None and last is not None and last.reference is not None:
                pause = last.reference.longest_pause
            if rules.silence is not None:
                found.update({model: heard + rules.silence} if rules.silence else {})
            elif pause is not None:
                found[model] = heard + 2 * max(min(size for size, _ in rules.windows), pause)
        return found

    def _fall_silent(self, model: str, time: int, everywhere: bool) -> None:
        shared = next((each for each in self.silences.values() if each.everywhere), None)
        if everywhere and shared is not None:
            self.silences[model] = shared
            return
        self.silences[model] = Silence(model, self.heard[model], time, everywhere)
        self._tell(self.silences[model], "firing", time)

    def _speak(self, model: str, end: int, now: int) -> None:
        for other, shared in list(self.silences.items()):
            if shared.everywhere and shared.model != other:
                del self.silences[other]
                self.away[other] = now
        for silence in self.silences.values():
            silence.everywhere = False
        self.away.pop(model, None)
        own = self.silences.pop(model, None)
        if own is not None:
            self._tell(own, "resolved", max(end, own.opened))

    def _tell(self, silence: Silence, status: str, end: int) -> None:
        subject = (silence.model, "", "")
        key = key_of(self.rules(silence.model).group, *subject, "silence")
        window = Window(subject, silence.since, end, 0)
        alert = alert_name(key, silence.opened, status, end)
        self.changes.append(Change(alert, key, "silence", status, window, silence.opened, silence.since, ("events",)))

    def _supplement(self, piece: Slice, mark: int) -> None:
        whole = True
        for subject in sorted(piece.tallies):
            if subject not in self.subjects:
                self._begin(subject, piece.start)
            whole &= self.subjects[subject].supplement(piece.start, piece.end, piece.tallies[subject], mark)
        self.late += not whole
        self.heard[piece.model] = max(self.heard[piece.model], piece.end)
        self._traffic_of(piece).supplement(piece.start, piece.end, sum(piece.events.values()))
        self._speak(piece.model, piece.end, mark)

    def _take(self, piece: Slice) -> None:
        learned = []
        for subject in sorted(piece.tallies):
            if subject not in self.subjects:
                self._begin(subject, piece.start)
            watched = self.subjects[subject]
            if watched.take(piece.start, piece.end, piece.tallies[subject]):
                learned.append(watched)
        for watched in reversed(learned):  # segments first: one that learned its own needs not borrow
            watched.adopt(watched.learned(), piece.end, "learned")
            model, version, segment = watched.subject
            if not segment:
                for other in sorted(self.subjects):
                    borrower = self.subjects[other]
                    if other[:2] == (model, version) and other[2] and borrower.origin in ("", "the model's"):
                        borrower.adopt(watched.reference, watched.since, "the model's")
        self.heard[piece.model] = piece.end
        if piece.model not in self.releases:
            rules = self._traffic_rules(piece.model)
            longest = max(size for size, _ in self.rules(piece.model).windows)
            self.releases[piece.model] = Releases(rules, longest, self.changes.append)
        releases = self.releases[piece.model]
        ended = releases.ended
        releases.take(piece.start, piece.end, piece.events)
        if releases.ended > ended:
            for (model, version, _), watched in sorted(self.subjects.items()):
                if model == piece.model and version not in releases.answering:
                    watched.close_incidents()
        self._traffic_of(piece).take(piece.start, piece.end, sum(piece.events.values()))
        self._speak(piece.model, piece.end, piece.end)

    def _traffic_of(self, piece: Slice) -> Traffic:
        if piece.model not in self.traffic:
            self.traffic[piece.model] = Traffic(self._traffic_rules(piece.model), self.changes.append)
        if piece.model in self.silences or piece.model in self.away:
            self.traffic[piece.model].forget(piece.start)
        return self.traffic[piece.model]

    def _traffic_rules(self, model: str) -> TrafficRules:
        rules = self.rules(model)
        return TrafficRules(
            rules.group,
            (model, "", ""),
            rules.pane,
            sorted({size for size, _ in rules.windows}),
            rules.span,
            rules.events,
            rules.renewed,
            rules.min_volume_change,
            allowance(rules.false_alarms, "volume", len(rules.windows), False, None),
            rules.period,
            rules.silence,
        )

    def _begin(self, subject: Subject, start: int) -> None:
        model, version, segment = subject
        rank = None
        if segment:
            rank = 1 + sum(other[:2] == (model, version) and other[2] != "" for other in self.subjects)
        before = [
            (each.heard, other[1], each)
            for other, each in self.subjects.items()
            if (other[0], other[2]) == (model, segment) and each.reference is not None
        ]
        whole = self.subjects.get((model, version, ""))
        watched = self.subjects[subject] = _Watched(subject, self.rules(model), rank, self)
        if watched.rules.compare_versions and before:
            watched.learning = False
            watched.adopt(max(before, key=lambda each: each[:2])[2].reference, start, "the version before's")
        elif segment and whole is not None and whole.reference is not None:
            watched.adopt(whole.reference, start, "the model's")


class _Watched:
    """One subject."""

    def __init__(self, subject: Subject, rules: ModelRules, rank: int | None, told: Watching) -> None:
        self.subject = subject
        self.rules = rules
        self.learning = True
        self.reference: Reference | None = None
        self.origin = ""
        self.since = 0
        self.heard = 0
        self.open: dict[tuple[int, int, int], Counted] = {}
        """By end, number of the rule, and start: what the windows that have not ended hold."""
        self._rank = rank
        self._told = told
        self._incidents = Incidents(rules.group, subject, told.changes.append)
        self._learner = Learner(rules.pane, [size for size, _ in rules.windows])
        self._evidence: dict[tuple[int, str], Evidence] = {}
        self._last: Window | None = None

    def take(self, start: int, end: int, tally: Tally) -> bool:
        """Take a slice. Returns whether enough is known for a reference."""
        self.heard = end
        complete = False
        if self.learning:
            self._learner.take(start, tally)
            complete = self._learner.is_enough(end, self.rules.span, self.rules.events)
        if self.reference is not None:
            found = counted(tally, self.reference.signals)
            for number, (size, every) in enumerate(self.rules.windows):
                for begin in range(start - start % every, end - size - 1, -every):
                    if begin <= start and end <= begin + size:
                        self.open.setdefault((begin + size, number, begin), Counter()).update(found)
        return complete

    def supplement(self, start: int, end: int, tally: Tally, mark: int) -> bool:
        """Take what came late for a slice. Returns False if a window to which it belongs was judged."""
        self.heard = max(self.heard, end)
        if self.learning and start >= min(self._learner.slices, default=start):
            self._learner.take(start, tally)
        if self.reference is None or start < self.since:
            return True
        found, whole = counted(tally, self.reference.signals), True
        for number, (size, every) in enumerate(self.rules.windows):
            for begin in range(start - start % every, end - size - 1, -every):
                if begin <= start and end <= begin + size:
                    if begin + size <= mark:
                        whole = False
                    else:
                        self.open.setdefault((begin + size, number, begin), Counter()).update(found)
        return whole

    def learned(self) -> Reference:
        """Return a reference of the slices collected so far."""
        self.learning = self.rules.renewed
        return self._learner.finish()

    def adopt(self, reference: Reference | None, since: int, origin: str) -> None:
        """Compare all later slices with another reference."""
        assert reference is not None
        self._incidents.close(self._last)
        self.reference, self.since, self.origin = reference, since, origin
        self.open, self._evidence = {}, {}
        for size, _ in self.rules.windows:
            for kind in KINDS if not self.subject[2] else KINDS[:-1]:
                evidence = reference.evidence(kind, size, self._allowance(kind), self.rules.min_effect)
                if evidence is not None:
                    self._evidence[size, kind] = evidence

    def _allowance(self, kind: str) -> float:
        rules = self.rules
        return allowance(rules.false_alarms, kind, len(rules.windows), rules.segmented, self._rank)

    def close_incidents(self) -> None:
        """Close what is open: the version answers nothing any more."""
        self._incidents.close(self._last)

    def close(self, time: int) -> None:
        """Judge the windows that end now."""
        for key in sorted(key for key in self.open if key[0] <= time):
            end, _, start = key
            found = self.open.pop(key)
            self._judge(Window(self.subject, start, end, found[EVENTS, EXPECTED] + found[EVENTS, UNSEEN]), found)

    def _judge(self, window: Window, found: Counted) -> None:
        assert self.reference is not None
        reference, rules = self.reference, self.rules
        self._last = window
        self._told.windows.append(window)
        if window.start % window.size == 0:  # of those that overlap only some add evidence
            weighed: dict[str, Weighed] = {
                kind: self._weigh(kind, window, found)
                for kind in KINDS
                if (window.size, kind) in self._evidence and window.events >= rules.min_events
            }
            self._incidents.weigh(weighed)
        if rules.most_psi is not None and window.events >= rules.min_events:
            sides = {
                name: bins_before_and_after(reference, found, name)
                for name, signal in reference.signals.items()
                if not signal.beside
            }
            far = [name for name, (old, new) in sides.items() if sum(new) and psi(new, old) > rules.most_psi]
            self._incidents.compare(window, far)

    def _weigh(self, kind: str, window: Window, found: Counted) -> Weighed:
        reference, evidence = self.reference, self._evidence[window.size, kind]
        assert reference is not None
        counts = {name: watched.counts(found) for name, watched in reference.watched[kind].items()}
        for name, signal in evidence.signals.items():
            signal.update(counts[name], window.start)
        self._told.weighed[window, kind] = {
            name: Row(
                signal.known.shares,
                signal.known.dispersion,
                signal.radius,
                signal.log_e,
                [*signal.log_r, *signal.rare_log_r],
            )
            for name, signal in evidence.signals.items()
        }
        return Weighed(
            kind,
            window,
            evidence,
            [each for (_, other), each in self._evidence.items() if other == kind],
            log_threshold(self._allowance(kind), self.rules.period, window.size),
            counts,
            reference.broken(found) if kind == "data_quality" else frozenset(),
            lambda name: effect(reference, found, name),
            {name: watched.places for name, watched in reference.watched[kind].items()},
            lambda name: kind == "data_quality" and lost(reference, found, name),
            lambda name: reference.signals[name].family in ("output", "service"),
        )


def lost(reference: Reference, found: Counted, name: str) -> bool:
    """Tell whether a tenth of a signal's values or more is lost, or half of them were never seen."""
    rises = {quality: after - before for quality, before, after in faults(reference, found, name)}
    if reference.signals[name].family == "service":
        rises.pop(OUT_OF_RANGE, None)
    unseen = rises.pop(UNSEEN, 0.0)
    return sum(max(rise, 0.0) for rise in rises.values()) >= 0.1 or (name != EVENTS and unseen >= 0.5)


def effect(reference: Reference, found: Counted, name: str) -> float:
    """Return a signal's PSI, or if the window had no values that can be compared the share of bad ones that moved most.

    Both to six digits, as alerts have them.
    """
    before, after = bins_before_and_after(reference, found, name)
    if sum(after):
        return _six_digits(psi(after, before))
    return max((abs(after - before) for _, before, after in faults(reference, found, name)), default=0.0)


def faults(reference: Reference, found: Counted, name: str) -> Iterator[tuple[str, float, float]]:
    """Yield each fault with its share of the reference's events, and of a window's."""
    events, events_before = sum(by_quality(found, name)), sum(by_quality(reference.counted, name))
    for quality in BAD if events else ():
        known = events_before and quality != UNSEEN
        before = _six_digits(reference.counted[name, quality] / events_before) if known else 0.0
        yield quality, before, _six_digits(found[name, quality] / events)


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")
