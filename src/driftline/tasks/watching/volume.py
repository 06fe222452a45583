"""How many events each model has: in all versions and segments together, for these are shares of it.

    slices ──while it learns──► totals ──span and events reached──► what windows usually hold
       └──summed by window──complete──► steep, or evidence ──► one incident a model

A window is complete once a slice has come that ends with it, or later: so what is missing because a model fell silent
waits for the next event, or for the word of its silence (see `silence`), which tells it better. Then nothing is said
of its volume: neither of the windows without events, nor of those in which they ended and began again.

Of the last window of a table nothing is said either, if the table ends so early in it that this alone may be a change
to mind: only its last event tells how far it goes.

What a table says of volume counts only where it is complete. Otherwise volume is learned from the stream, by the rule
for references, beside a reference of a file too.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from driftline.codec import Count, Span, Time, corrupt, pack, unpack
from driftline.columns.times import LATEST
from driftline.evidence.onset import Onset
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season
from driftline.evidence.volume import Totals, Volume, VolumeEvidence, fewest
from driftline.evidence.zones import zone_names
from driftline.incidents.definition import Definition, Layer
from driftline.incidents.incident import Basis, FalseAlarms, Incident, Kind, Signal, Subject, Window, digest
from driftline.incidents.level import Level
from driftline.incidents.severity import CRITICAL, WARNING
from driftline.incidents.text import number, short, span
from driftline.incidents.words import begin
from driftline.panes.records import Rebase
from driftline.sketches.group import EVENTS
from driftline.tasks.model_rules import LearnRule, ModelRules
from driftline.tasks.pace import Usual, usual_pace
from driftline.tasks.subjects.adoption import MAX_OF_A_SEGMENT, Origin
from driftline.tasks.subjects.prepared_reference import rounded
from driftline.tasks.subjects.stored import under
from driftline.tasks.watching.volume_learning import VolumeLearner, check_series

VERSION = 1
SHARE = 0.05
"""Of the model's false-alarm budget."""
MINUTE = 60_000
MAX_OF_THEM = 2.0
"""Times as many events, or as few, from which on their number pages."""
QUIET_WINDOWS = 3
"""Usual windows in a row, nearer to what was usual than half of the change, after which an incident resolves."""
CUT_OFF = 2
"""Windows that volume is learned from beside those that it needs: the first and the last may be cut off. What else
there is to learn of a model's pace, is learned by then."""
MAX_MISSING = 1_000
"""Windows without events that are weighed when events return: after that, nothing new can be learned from silence."""


def _describe(signal: Signal) -> str:
    before, after = signal.effects.get("events_before", 0), signal.effects.get("events_after", 0)
    size = round(signal.effects.get("window_minutes", 0.0) * MINUTE)
    return f"{short(signal.name)} {number(before)} → {number(after)} {f'in {span(size)}' if size else 'a window'}"


VOLUME = Definition(
    kind=Kind.VOLUME,
    happened="the number of events has changed",
    back="the number of events",
    describe=_describe,
    severities=(WARNING, CRITICAL),
    level=(Level.DATA, "the number of events changed across all versions and segments"),
    layer=Layer.VOLUME,
    too="The number of events has changed too",
)


class Learnt(msgspec.Struct, array_like=True):
    """The plain values of a model's snapshot; `Totals` are arrays beside them."""

    model: str
    learning: bool
    rule: LearnRule
    slice_ms: Span
    pane_ms: Count
    season_ms: Count
    timezone: str
    address: str
    """Of the file's reference that is in force, or was overruled by a command; "" where there is none."""
    version: str
    """The version that it was named for."""
    since: Time
    heard: Time
    commands: list[str]
    open: list[tuple[Span, Time, Count]]
    """Windows that are not complete: size, start, events."""
    incident: Incident | None
    quiet: Count
    """Windows in a row with as many events as usual, while an incident is open."""


class VolumeJudge:
    """The number of events of one model. See the module's head."""

    def __init__(self, model: str, rules: ModelRules) -> None:
        self.model = model
        self.incident: Incident | None = None
        self._rules = rules
        self._season = rules.season
        self._sizes = sorted({size for size, _ in rules.windows})
        self._learner = self._fresh_learner()
        self._totals: Totals | None = None
        self._state = Learnt(model, True, rules.learn, rules.pane_ms, 0, 0, "", "", "", 0, 0, [], [], None, 0)
        self._open: dict[int, dict[int, int]] = {size: {} for size in self._sizes}
        self._evidence: dict[int, VolumeEvidence] = {}
        self._onsets: dict[int, Onset] = {}
        self.pace: Usual | None = None
        """How often events usually come; None while that is being learned."""
        self.input_end = LATEST
        self.came: Mapping[str, float] = {}
        """See `Volumes`."""

    def begin(self, version: str) -> None:
        """Take a given reference's word for how many events there are, if it says so."""
        given = self._rules.reference(version, "")
        if given is not None and given.complete and given.address != self._state.address:
            self._state.address, self._state.version = given.address, version
            self._learner = self._fresh_learner()
            self._compare(given.totals, self._state.heard)
            self._state.learning = self._sizes[0] not in self._evidence

    def _fresh_learner(self) -> VolumeLearner:
        return VolumeLearner(self._rules.pane_ms, self._sizes)

    def _compare(self, totals: Totals | None, since: int) -> None:
        """Compare windows that start at or after `since` with these totals."""
        self._totals, self._state.since = totals, since
        self.pace = None if totals is None else usual_pace(totals)
        self._evidence, self._onsets = {}, {}
        self._open = {size: {} for size in self._sizes}
        if totals is None:
            return
        for size in self._sizes:
            volume = Volume(totals, size, self._rules.min_volume_change, self._allowance)
            if volume.enough:
                self._evidence[size], self._onsets[size] = VolumeEvidence(volume), Onset(1)

    @property
    def _allowance(self) -> float:
        rules = self._rules
        return rules.budget.allowance(SHARE, sizes=len(rules.windows), segment_rank=None, segmented=False)

    def take(self, start: int, end: int, events: int) -> list[Incident]:
        """Take in a slice. Returns the incidents that changed."""
        changed: list[Incident] = []
        if self._rules.silence_ms == 0 and start - self._state.heard >= self._sizes[0]:
            self.forget_silence(start)
        for size in self._evidence:
            held = self._open[size]
            place = start - start % size
            earliest = place - MAX_MISSING * size
            for missing in range(max(max(held, default=place), earliest), place, size):
                held.setdefault(missing, 0)
            for forgotten in [window for window in held if window < earliest]:
                del held[forgotten]
            held[place] = held.get(place, 0) + events
        self._state.heard = max(self._state.heard, end)
        for size in self._evidence:
            complete = sorted(window for window in self._open[size] if window + size <= self._state.heard)
            for window in complete:
                total = self._open[size].pop(window)
                self._open[size].setdefault(window + size, 0)
                if window < self._state.since or self._is_cut_off(size, window):
                    continue
                if (found := self._judge(size, window, total)) is not None:
                    changed.append(found)
        if self._state.learning:
            self._learner.note(start, events)
            least = 0 if self._totals is None else (fewest(self._sizes[0]) + CUT_OFF) * self._sizes[0]
            if self._learner.has_enough(self._state.rule, self._season, end, least):
                changed += self._adopt()
        return changed

    def _is_cut_off(self, size: int, start: int) -> bool:
        """Tell whether so much of a window is behind the end of the input that this alone may be a change to mind."""
        return (self.input_end - start) * (1 + self._rules.min_volume_change) < size

    def supplement(self, start: int, end: int, events: int) -> None:
        """Take in what came for a slice that was taken before, where its windows are not complete."""
        for size in self._evidence:
            place = start - start % size
            if place in self._open[size] or place >= self._state.heard - self._state.heard % size:
                self._open[size][place] = self._open[size].get(place, 0) + events
        self._state.heard = max(self._state.heard, end)
        if self._state.learning:
            self._learner.supplement(start, events)

    def forget_silence(self, back: int) -> None:
        """Say nothing of the windows before and with the time at which events returned after a silence was told."""
        self._open = {size: {} for size in self._sizes}
        self._state.since = max(self._state.since, back)

    def _adopt(self) -> list[Incident]:
        """Compare with what was learned."""
        totals = self._learner.totals(self._season)
        closed = self.close(f"the reference changed ({Origin.LEARNED})")
        self._compare(totals, self._state.heard)
        if self._sizes[0] in self._evidence or self._learner.slice_ms > self._sizes[0]:
            self._learner = self._fresh_learner()
            self._state.learning, self._state.rule = self._rules.learn.renewed, self._rules.learn
        return closed

    def obey(self, command: Rebase) -> list[Incident]:
        """Learn anew, or take a complete profile's word, if a command is about the whole model. It counts once."""
        asked = digest(str(command.issued), command.note)
        if command.version is not None or command.segment or asked in self._state.commands:
            return []
        reference = Reference.decode(command.reference) if command.reference else None
        if reference is not None and not reference.complete:
            return []
        self._state.commands = [*self._state.commands, asked][-MAX_OF_A_SEGMENT:]
        self._learner = self._fresh_learner()
        self._state.learning = reference is None
        if command.learn is not None:
            self._state.rule = LearnRule(*command.learn)
        closed = self.close(f"the reference changed ({Origin.COMMAND if reference else Origin.LEARNING})")
        self._compare(reference.totals if reference else None, self._state.heard)
        return closed

    def close(self, why: str) -> list[Incident]:
        """Close what is open, with the reason."""
        incident = self.incident
        if incident is None:
            return []
        return [self._resolved(incident, Window(self._state.heard, self._state.heard, 0), f"closed: {why}")]

    def _judge(self, size: int, start: int, events: int) -> Incident | None:
        """Judge a complete window. Returns the incident that this opens or resolves."""
        evidence, onset = self._evidence[size], self._onsets[size]
        onset.add(np.array([evidence.update(events, start)]), start)
        incident, window = self.incident, Window(start, start + size, events)
        if incident is None:
            steep = evidence.volume.is_steep(events, start)
            if not steep and evidence.log_m < self._rules.budget.log_threshold(self._allowance, size):
                return None
            return self._open_incident(evidence, onset, window, steep=steep)
        if incident.window.size != size:
            evidence.reset()
            return None
        return self._follow(incident, evidence.volume, window)

    def _open_incident(self, evidence: VolumeEvidence, onset: Onset, window: Window, *, steep: bool) -> Incident:
        volume, rules = evidence.volume, self._rules
        usual = volume.usual(window.start)
        effects = {
            "events_before": rounded(usual),
            "events_after": float(window.count),
            "window_minutes": rounded(window.size / MINUTE),
        }
        signal = Signal(
            EVENTS, rounded(evidence.log_m), effects, 1.0, EVENTS, before=number(usual), after=number(window.count)
        )
        basis = Basis.GUARANTEED if volume.independent else Basis.NOT_GUARANTEED
        promised = None if steep else FalseAlarms(rules.budget.count, rules.budget.period_ms, basis)
        gradual = onset.of(0)  # a steep fall may come after windows that were low already
        began = window.start if steep and gradual is None else gradual
        self._state.quiet = 0
        beside = bool(self.came) and volume.is_usual(round(window.count * (1 - sum(self.came.values()))), window.start)
        factor = _factor(effects["events_before"], window.count)
        self.incident = begin(
            replace(VOLUME, level=(Level.MODEL, _beside(self.came))) if beside else VOLUME,
            Subject(self.model, "", ""),
            window,
            [signal],
            group=rules.group,
            severity=CRITICAL if factor >= MAX_OF_THEM and not beside else WARNING,
            began=began,
            reference=self._state.address,
            false_alarms=promised,
        )
        for held in self._evidence.values():
            held.reset()
        return self.incident

    def _follow(self, incident: Incident, volume: Volume, window: Window) -> Incident | None:
        """Look at a further window of an open incident. Returns it if it resolved."""
        effects = incident.signals[0].effects
        change = np.log((effects["events_after"] + 0.5) / (effects["events_before"] + 0.5))
        left = np.log((window.count + 0.5) / (volume.usual(window.start) + 0.5))
        back = volume.is_usual(window.count, window.start) and left * np.sign(change) <= abs(change) / 2
        self._state.quiet = self._state.quiet + 1 if back else 0
        if self._state.quiet < QUIET_WINDOWS:
            return None
        return self._resolved(incident, window, "the number of events is back to normal")

    def _resolved(self, incident: Incident, window: Window, why: str) -> Incident:
        self.incident = None
        for evidence in self._evidence.values():
            evidence.reset()
        return incident.over(window, why)

    def encode(self) -> bytes:
        """Return its state."""
        state, totals = self._state, self._totals
        state.slice_ms, state.incident = self._learner.slice_ms, self.incident
        state.open = [(size, start, held[start]) for size, held in self._open.items() for start in sorted(held)]
        if totals is not None:
            state.pane_ms, state.season_ms, state.timezone = totals.pane_ms, totals.season.length, totals.season.zone
        arrays: dict[str, Any] = {f"learned/{name}": held for name, held in self._learner.snapshot().items()}
        if totals is not None:
            arrays |= {"starts": totals.starts, "counts": totals.counts}
        for size, evidence in self._evidence.items():
            arrays[f"evidence/{size}"] = evidence.log_r
            arrays |= {f"onset/{size}/{name}": held for name, held in self._onsets[size].snapshot().items()}
        return pack("volume", VERSION, state, arrays)

    @classmethod
    def decode(cls, data: bytes, rules: Callable[[str], ModelRules]) -> "VolumeJudge":
        """Take up a snapshot, with the complete file that the configuration now names. Raises `StateCorrupt`."""
        found = unpack(data, "volume", (VERSION,))
        state, arrays = msgspec.convert(found.value, Learnt), found.arrays
        judge = cls(state.model, rules(state.model))
        judge._state, judge._learner.slice_ms = state, state.slice_ms
        judge._learner.restore(under("learned/", arrays))
        if "starts" in arrays:
            if state.timezone and state.timezone not in zone_names():
                raise corrupt("volume", "its time zone is not known")
            check_series(arrays)
            season = Season(state.season_ms, state.timezone)
            judge._compare(Totals(max(state.pane_ms, 1), arrays["starts"], arrays["counts"], season), state.since)
            for size, evidence in judge._evidence.items():
                if f"evidence/{size}" not in arrays:
                    continue  # windows of this size were not judged until now
                evidence.restore(arrays[f"evidence/{size}"])
                if not (evidence.log_r < np.inf).all():
                    raise corrupt("volume", "its evidence holds a value that is not a number")
                judge._onsets[size].restore(under(f"onset/{size}/", arrays))
        for size, start, events in state.open:
            if size in judge._evidence:
                judge._open[size][start] = events
        judge.incident = state.incident
        judge.begin(state.version)
        return judge


def _beside(came: Mapping[str, float]) -> str:
    """Return why there are more events where the versions before answer as many as ever, as in a shadow deployment.

    >>> _beside({"2": 0.5})
    'version 2 is new and answers beside the others, which have as many events as before'
    """
    one = len(came) == 1
    named = f"version {next(iter(came))} is new and answers" if one else f"{len(came)} versions are new and answer"
    return f"{named} beside the others, which have as many events as before"


def _factor(before: float, after: int) -> float:
    """Return by what factor the number of events rose or fell. There may be none.

    >>> _factor(99.5, 199), _factor(1.0, 0)
    (1.995, 3.0)
    """
    return max((after + 0.5) / (before + 0.5), (before + 0.5) / (after + 0.5))
