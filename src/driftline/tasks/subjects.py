"""One (model, version, segment) under judgement: learn a reference, fill windows, weigh evidence, keep incidents.

    slices ──while it learns──► learner ──span and events reached──► reference (which one: see `references`)
       │
       └──projected on the reference──► open windows ──end──► evidence by kind ──► incidents
                 └──► detectors, slice by slice (when did it begin?)

A slice becomes one vector of integers, and a window is a sum of such vectors: exact, in any order.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
import numpy as np

from driftline.codec import Count, Span, Time, corrupt
from driftline.evidence.detectors import Fed, Replayed
from driftline.evidence.distances import effects
from driftline.evidence.evalues import Evidence, Found
from driftline.evidence.onset import Onset
from driftline.evidence.projection import Bools
from driftline.evidence.recovery import Recovery
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import carried
from driftline.evidence.volume import VolumeBins
from driftline.incidents.budget import KIND_SHARES
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.words import effect_size, summarise_incident
from driftline.panes.windows import window_starts
from driftline.sketches.keys import Ints
from driftline.sketches.summary import Summary, is_beside
from driftline.tasks.adoption import MOST_ADOPTIONS, MOST_OF_A_SEGMENT, Adoption, Origin
from driftline.tasks.codes import CodeVersions
from driftline.tasks.learning import Learner
from driftline.tasks.promise import promise
from driftline.tasks.rules import LearnRule, ModelRules
from driftline.tasks.watched import Watched, metric, rounded, rounded_all

MOST_SILENT = 1_000
"""Windows without events in a row that are judged: after that, nothing new can be learned from silence."""
QUIET_WINDOWS = 3
"""Windows in a row that must not speak against the reference before an incident resolves, whatever their evidence."""
NOTABLE = 3.0
"""Log e-value (e^3 = 20): of one window, it makes a signal part of an incident that is open already; of the windows
since one last spoke, it says that a signal has not come back."""
MOST_SIGNALS = 10
SHOWN = (Kind.DATA_DRIFT, Kind.PREDICTION_DRIFT)
"""Kinds whose signals are measured for `status`, strongest evidence first."""
MOST_SHOWN = 50


class SubjectJudge:
    """See the module's head.

    Args:
        subject: who is judged.
        rules: how.
        rank: 1 for the model's first segment, and so on; None for all events.
    """

    def __init__(self, subject: Subject, rules: ModelRules, rank: int | None) -> None:
        self.subject = subject
        self.rank = rank
        self.incidents: dict[Kind, Incident] = {}
        self.last_window: Window | None = None
        self.learner = Learner(rules)
        self.learning = True
        """Whether slices are collected for a reference of its own."""
        self.history: list[Adoption] = []
        """The audit trail of its references, oldest first; the last one is in force."""
        self.given = ""
        """Address of the file's reference that was in force, or overruled by a command."""
        self.codes = CodeVersions(rules.longest_window)
        self.heard = 0
        """The end of the newest slice."""
        self.watched: Watched | None = None
        self._view: Watched | None = None
        self._turned: dict[int, int] = {}
        self._last_vector: Ints | None = None
        self._totals: dict[str, float] = {}
        self._measured: list[Signal] | None = []
        self._rules = rules
        self._since = 0
        self._windows: dict[tuple[int, int, int], Ints] = {}
        self._silent: dict[int, int] = {}
        self._evidence: dict[tuple[int, Kind], Evidence] = {}
        self._onsets: dict[tuple[int, Kind], Onset] = {}
        self._recoveries: dict[Kind, Recovery] = {}
        self._volumes: dict[int, VolumeBins] = {}
        self._detectors: list[Replayed] = []

    def adopt(self, watched: Watched | None, adoption: Adoption) -> list[Incident]:
        """Compare with another reference, or with none while one is learned; the audit trail says since when and why.

        Returns the incidents that were open: compared with the reference before, they are over.
        """
        closed = []
        for kind in sorted(self.incidents):
            incident = self.incidents[kind]
            assert self.last_window is not None
            self._resolve(incident, self.last_window)
            incident.summary = f"{self.subject}: closed, because the reference changed ({adoption.origin})."
            closed.append(incident)
        self.history = [*self.history, adoption][-(MOST_OF_A_SEGMENT if self.subject.segment else MOST_ADOPTIONS) :]
        self._measured, self._totals = [], {}
        if watched is None:
            self.watched = None
            self._windows, self._evidence, self._detectors = {}, {}, []
        else:
            self.watch(watched, adoption.at)
        return closed

    @property
    def origin(self) -> Origin:
        """Where the reference in force comes from."""
        return self.history[-1].origin if self.history else Origin.LEARNING

    def watch(self, watched: Watched, since: int) -> None:
        """Compare with this reference all slices that start at or after `since`."""
        self.watched = self._view = watched
        self._turned = {}
        self._since = since
        self._evidence, self._windows, self._volumes, self._silent, self._onsets = {}, {}, {}, {}, {}
        self._recoveries = {}
        for size, _ in self._rules.windows:
            self._volumes[size] = VolumeBins(watched.reference, size)
            for kind in KIND_SHARES:
                evidence = self._fresh_evidence(kind, size, watched)
                if evidence is not None:
                    self._evidence[size, kind] = evidence
                    self._onsets[size, kind] = Onset(len(watched.names(kind)))
        if not self.subject.segment:
            signals = np.concatenate([watched.rows[Kind.DATA_DRIFT], watched.rows[Kind.PREDICTION_DRIFT]])
            self._detectors = self._make_detectors([watched.projection.signals[slot] for slot in signals.tolist()], {})

    def _make_detectors(self, signals: Sequence[str], fed: Mapping[tuple[str, str], Fed]) -> list[Replayed]:
        """Return the detectors that the rules name for these signals, fed what they were fed before."""
        rules = self._rules
        others = rules.detectors.get("*", {})
        chosen = [
            (name, signal, make) for signal in signals for name, make in rules.detectors.get(signal, others).items()
        ]
        run_length = rules.budget.run_length(len(chosen), rules.pane_ms)
        return [
            Replayed(name, signal, partial(make, run_length), fed.get((name, signal))) for name, signal, make in chosen
        ]

    def _fresh_evidence(self, kind: Kind, size: int, view: Watched) -> Evidence | None:
        if kind is Kind.VOLUME and self.origin.borrowed:
            return None
        return view.evidence(kind, self._volumes[size], size, self._allowance(kind), self._rules.min_effect)

    def _turn(self, size: int, start: int) -> None:
        """Compare with the phase of the season that the window which starts at `start` is in."""
        assert self.watched is not None
        view = self._view = self.watched.at(start, size)
        before = self.watched.at(self._turned[size], size) if size in self._turned else self.watched
        self._turned[size] = start
        if view is before:
            return
        for kind in KIND_SHARES:
            held, fresh = self._evidence.get((size, kind)), self._fresh_evidence(kind, size, view)
            if held is not None and fresh is not None and kind is not Kind.VOLUME:
                self._evidence[size, kind] = carried(held, fresh)

    def _allowance(self, kind: Kind) -> float:
        rules = self._rules
        return rules.budget.allowance(kind, sizes=len(rules.windows), segment_rank=self.rank, segmented=rules.segmented)

    def take(self, start: int, end: int, summary: Summary) -> Reference | None:
        """Take in a slice. Returns the reference if this slice completed its learning: then call `adopt`."""
        self.heard = end
        self.codes.take(start, summary)
        learned = None
        if self.learning and self.learner.take(start, end, summary):
            learned = self.learner.finish(self.subject)
            self.learner.rule = self._rules.learn  # a command's rule was for this once
            self.learning = self._rules.learn.renewed
        if self.watched is None:
            return learned
        vector = self.watched.projection.project(summary)
        for index, (size, every) in enumerate(self._rules.windows):
            for window in window_starts(start, end, size, every):
                key = (window + size, index, window)
                held = self._windows.get(key)
                self._windows[key] = vector if held is None else held + vector
        if self._detectors:
            view = self.watched.at(start, end - start)
            scores = dict(zip(view.projection.signals, view.scores.of(vector).tolist(), strict=True))
            for detector in self._detectors:
                score = scores[detector.signal]
                if math.isfinite(score):
                    detector.update(score, start)
        return learned

    def moved(self, kind: Kind) -> bool:
        """Tell whether an incident of this kind is open, or the evidence for one is notable."""
        notable = (evidence.log_m >= NOTABLE for (_, other), evidence in self._evidence.items() if other is kind)
        return kind in self.incidents or any(notable)

    def effect(self, kind: Kind, name: str, end: int) -> float:
        """Return how far a signal was from the reference in the window that ended now, by more than chance explains.

        0 where this subject had none: what it was like before is not part of its state.
        """
        if self._view is None or self._last_vector is None or self.last_window is None or self.last_window.end != end:
            return 0.0
        if kind is not Kind.VOLUME and name not in self._view.projection.signals:
            return 0.0
        volume = self._volumes[self.last_window.size]
        return self._view.excess(kind, name, volume, self._last_vector, self.last_window)

    def quality(self) -> dict[str, dict[str, float]]:
        """Return the effects of each signal in the window judged last."""
        assert self._view is not None
        assert self._last_vector is not None
        projection = self._view.projection
        found = effects(projection, self._last_vector)
        return {projection.signals[slot]: found.of(slot) for slot in self._view.rows[Kind.DATA_QUALITY].tolist()}

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return min(self._windows)[0] if self._windows else None

    def close(self, time: int, heard: int) -> list[Incident]:
        """Judge the windows that end now. Returns the incidents that changed.

        `heard` is the end of the newest slice of any version of the model: one version is not silent while another,
        perhaps its successor, speaks.
        """
        changed: list[Incident] = []
        for key in sorted(key for key in self._windows if key[0] <= time):
            vector = self._windows.pop(key)
            size, _ = self._rules.windows[key[1]]
            _, index, start = key
            if self.heard <= start < heard:
                continue
            changed.extend(self._judge(vector, start, size))
            if start % size == 0 and (size, Kind.VOLUME) in self._evidence:
                self._await_next(index, start + size, size)
        return changed

    def _await_next(self, index: int, start: int, size: int) -> None:
        """Open the window after the one just judged, though no event may come: silence is judged, too."""
        assert self.watched is not None
        assert self.last_window is not None
        silent = self._silent[size] = 0 if self.last_window.count else self._silent.get(size, 0) + 1
        told = silent > 0 and Kind.VOLUME in self.incidents
        if silent < MOST_SILENT and not told:
            nothing: Ints = np.zeros(self.watched.projection.width, dtype=np.int64)
            self._windows.setdefault((start + size, index, start), nothing)

    def _judge(self, vector: Ints, start: int, size: int) -> list[Incident]:
        assert self.watched is not None
        events = self.watched.projection.events(vector)
        window = Window(start, start + size, events)
        self._turn(size, start)
        assert self._view is not None
        self.last_window = window
        self._last_vector, self._measured = vector, None
        changed: list[Incident] = []
        if start % size == 0:  # of hopping windows only those that do not overlap add evidence
            for kind in KIND_SHARES:
                evidence = self._evidence.get((size, kind))
                if evidence is None or (kind is Kind.VOLUME and start < self._since):
                    continue
                if kind is not Kind.VOLUME and events < self._rules.min_events:
                    continue
                counts = self._view.counts(kind, self._volumes[size], vector, window)
                found, broken = evidence.update(counts), self._view.broken(kind, counts)
                self._onsets[size, kind].add(found.window, start)
                if kind in SHOWN:
                    self._totals.update(zip(self._view.names(kind), found.total.tolist(), strict=True))
                incident = self.incidents.get(kind)
                if incident is None:
                    threshold = self._rules.budget.log_threshold(self._allowance(kind), size)
                    if evidence.log_m >= threshold or broken.any():
                        changed.append(self._open(kind, window, vector, found, broken))
                elif incident.window.size != size:
                    evidence.reset()
                elif self._follow(incident, window, vector, found, evidence):
                    changed.append(incident)
        if self._rules.thresholds and events >= self._rules.min_events:
            changed.extend(self._check_thresholds(window, vector))
        return changed

    @property
    def detectors(self) -> int:
        """How many online detectors there are."""
        return len(self._detectors)

    def measured(self) -> list[Signal]:
        """Return the watched signals as the last window had them, with the evidence so far. Not for segments."""
        if self._measured is None:
            assert self._view is not None
            assert self._last_vector is not None
            self._measured = []
            if not self.subject.segment:
                projection = self._view.projection
                found = effects(projection, self._last_vector)
                strongest = sorted(self._totals.items(), key=lambda held: (-held[1], held[0]))[:MOST_SHOWN]
                self._measured = [
                    Signal(name, rounded(total), rounded_all(found.of(projection.signals.index(name))))
                    for name, total in strongest
                ]
        return self._measured

    def _open(self, kind: Kind, window: Window, vector: Ints, found: Found, broken: Bools) -> Incident:
        """Open an incident of the signals with the most evidence; what is broken comes first."""
        highest = found.total[broken].min() if broken.any() else found.total.max()
        chosen = np.flatnonzero((found.total > highest - math.log(100)) | (found.window > NOTABLE) | broken)
        chosen = chosen[np.lexsort((chosen, -found.total[chosen], ~broken[chosen]))][:MOST_SIGNALS]
        assert self._view is not None
        names = self._view.names(kind)
        shares = np.exp(found.total - np.logaddexp.reduce(found.total))
        signals = []
        for at in chosen.tolist():
            total, volume = float(found.total[at]), self._volumes[window.size]
            signal = self._view.signal(kind, names[at], total, volume, vector, window)
            signals.append(msgspec.structs.replace(signal, share=rounded(float(shares[at]))))
        signals.sort(key=lambda signal: (-round(signal.share, 2), -effect_size(signal), signal.name))
        incident = self._start(kind, window, signals, self._onsets[window.size, kind].of(int(found.total.argmax())))
        self._recoveries[kind] = Recovery(self._evidence[window.size, kind].lately(self._part(incident)))
        if broken.any():  # nothing random: there is no rate to promise
            incident.false_alarms = None
        return incident

    def _start(self, kind: Kind, window: Window, signals: list[Signal], began: int | None) -> Incident:
        for (_, other), evidence in self._evidence.items():
            if other is kind:
                evidence.reset()
        assert self.watched is not None
        incident = Incident(
            subject=self.subject,
            kind=kind,
            status=Status.FIRING,
            opened=window.end,
            window=window,
            signals=signals,
            reference=self.watched.reference.address,
            summary=summarise_incident(self.subject, kind, signals),
            detections=self._detections(signals, window),
            began=began,
            false_alarms=promise(self.watched, self._rules, kind, self._volumes[window.size], window.size, signals),
        )
        self.incidents[kind] = incident
        return incident

    def _detections(self, signals: list[Signal], window: Window) -> list[dict[str, str | int]]:
        """Return what detectors of these signals found not long before the window's end: when it began."""
        names = {signal.name for signal in signals}
        recent = window.end - 20 * window.size
        return [
            {"detector": detector.name, "signal": detector.signal, "at": detector.detected_at}
            for detector in self._detectors
            if detector.signal in names and detector.detected_at >= recent
        ]

    def _follow(self, incident: Incident, window: Window, vector: Ints, found: Found, evidence: Evidence) -> bool:
        """Look at a further window of an open incident. Returns whether it resolved."""
        assert self._view is not None
        kind, volume = incident.kind, self._volumes[window.size]
        part = self._part(incident)
        recovery = self._recoveries.setdefault(kind, Recovery(evidence.lately(part)))
        speaks = found.total[part] > NOTABLE
        counts = evidence.tempered(self._view.counts(kind, volume, vector, window))
        recovery.take(evidence.shares[part], counts[part], evidence.lately(part), speaks)
        names, room = self._view.names(kind), MOST_SIGNALS - len(incident.signals)
        joining = [row for row in np.flatnonzero(found.window > NOTABLE).tolist() if row not in part][:room]
        for row in joining:
            total = float(found.window[row])
            incident.signals.append(self._view.signal(kind, names[row], total, volume, vector, window))
            recovery.join(evidence.lately(np.array([row]))[0])
        if joining or speaks.any():
            incident.quiet = 0
            evidence.reset()
            return False
        incident.quiet += 1
        other = found.total[part] > math.log(incident.quiet)  # within the ball E[R] is at most the number of windows
        if incident.quiet < QUIET_WINDOWS or other.any() or not recovery.back.all():
            return False
        evidence.reset()
        self._resolve(incident, window)
        return True

    def _part(self, incident: Incident) -> Ints:
        """Return the rows of an incident's signals, less those that the present reference does not know."""
        assert self.watched is not None
        rows = {name: row for row, name in enumerate(self.watched.names(incident.kind))}
        return np.array([rows[signal.name] for signal in incident.signals if signal.name in rows], dtype=np.int64)

    def _resolve(self, incident: Incident, window: Window) -> None:
        incident.status = Status.RESOLVED
        incident.window = window
        incident.resolved = window.end
        incident.summary = f"{self.subject}: back within the reference after {incident.kind.replace('_', ' ')}."
        del self.incidents[incident.kind]
        self._recoveries.pop(incident.kind, None)

    def _check_thresholds(self, window: Window, vector: Ints) -> list[Incident]:
        assert self._view is not None
        projection = self._view.projection
        measured = effects(projection, vector)
        passed: list[Signal] = []
        for slot, name in enumerate(projection.signals):
            common = {} if is_beside(name) else self._rules.thresholds.get("*", {})
            limits = {**common, **self._rules.thresholds.get(name, {})}
            found = measured.of(slot) if limits else {}
            if any(metric(found, name) > limit for name, limit in limits.items()):
                passed.append(self._view.signal(Kind.THRESHOLD, name, 0.0, self._volumes[window.size], vector, window))
        incident = self.incidents.get(Kind.THRESHOLD)
        if incident is None:
            return [self._start(Kind.THRESHOLD, window, passed[:MOST_SIGNALS], window.start)] if passed else []
        if passed or incident.window.size != window.size:
            return []
        self._resolve(incident, window)
        return [incident]

    def snapshot(self) -> tuple[Any, dict[str, Ints | np.ndarray[Any, np.dtype[np.float64]]]]:
        """Return (plain values, arrays). Slices being learned are stored apart: see `Learner.changed`."""
        arrays: dict[str, Any] = {}
        for number, vector in enumerate(self._windows.values()):
            arrays[f"window/{number}"] = vector
        for held, recovery in self._recoveries.items():
            for name, array in recovery.snapshot().items():
                arrays[f"recovery/{held}/{name}"] = array
        for (size, kind), evidence in self._evidence.items():
            for name, array in evidence.snapshot().items():
                arrays[f"evidence/{size}/{kind}/{name}"] = array
        for (size, kind), onset in self._onsets.items():
            arrays.update({f"onset/{size}/{kind}/{name}": held for name, held in onset.snapshot().items()})
        address = self.watched.reference.address if self.watched else ""
        value = StoredSubject(
            self.subject,
            self.rank,
            address,
            self._since,
            self.learner.slice_ms,
            sorted(self.learner.slices),
            list(self._windows),
            list(self.incidents.values()),
            self.last_window,
            [(detector.name, detector.signal, detector.snapshot()) for detector in self._detectors],
            self._silent,
            self.heard,
            Trail(
                self.history,
                self.given,
                self.learning,
                self.learner.rule,
                self.codes.since,
                dict(self._turned),
                self.codes.last,
            ),
        )
        return value, arrays

    def restore(self, stored: "StoredSubject", arrays: Mapping[str, Any], watched: Watched | None) -> None:
        """Take up a snapshot. `watched` is the reference it names, or another one: then evidence starts anew.

        Windows and evidence of sizes that are no longer asked for are let go. Raises `StateCorrupt`, or what a wrong
        value causes.
        """
        self.learner.slice_ms = stored.slice_ms
        if stored.trail is not None:
            trail = stored.trail
            self.history, self.given, self.learning = trail.history, trail.given, trail.learning
            self.learner.rule = trail.rule
            self.codes = CodeVersions(self._rules.longest_window, trail.codes, trail.codes_last)
        else:  # of a release that kept no trail
            self.learning = not stored.reference
            if watched is not None:
                origin = Origin.LEARNED if watched.reference.learned else Origin.FILE
                reference = watched.reference
                self.history = [Adoption(stored.since, origin, reference.address, reference.events)]
        self.incidents = {held.kind: held for held in stored.incidents}
        self.last_window, self.heard = stored.last_window, stored.heard
        if watched is None:
            return
        self.watch(watched, stored.since)
        if watched.reference.address != stored.reference:
            return
        self._silent = dict(stored.silent)
        for number, key in enumerate(stored.windows):
            vector: Ints = arrays[f"window/{number}"]
            if vector.dtype != np.int64 or len(vector) != watched.projection.width:
                raise corrupt("subject", f"a window of {self.subject} does not fit its reference")
            if self._is_asked_for(key):
                self._windows[key] = vector
        for size, start in (stored.trail.turned if stored.trail is not None else {}).items():
            if size in self._volumes:
                self._turn(size, start)
        for (size, kind), evidence in self._evidence.items():
            self._onsets[size, kind].restore(_under(f"onset/{size}/{kind}/", arrays))
            held = _under(f"evidence/{size}/{kind}/", arrays)
            if any(array.dtype != np.float64 or not (array < np.inf).all() for array in held.values()):
                raise corrupt("subject", f"the evidence of {self.subject} holds what is no number")
            if (held.get("past", np.zeros(1)) < 0).any():
                raise corrupt("subject", f"the evidence of {self.subject} remembers less than nothing")
            if held:
                evidence.restore(held)
        self._restore_recoveries(arrays)
        fed = {(name, signal): held for name, signal, held in stored.detectors}
        self._detectors = self._make_detectors(list(dict.fromkeys(held.signal for held in self._detectors)), fed)

    def _restore_recoveries(self, arrays: Mapping[str, Any]) -> None:
        for kind, incident in self.incidents.items():
            evidence = self._evidence.get((incident.window.size, kind))
            held = _under(f"recovery/{kind}/", arrays)
            if evidence is not None and held:
                self._recoveries[kind] = Recovery(evidence.lately(self._part(incident)))
                self._recoveries[kind].restore(held)

    def _is_asked_for(self, window: tuple[int, int, int]) -> bool:
        """Tell whether a stored window is one of those that the rules of today make."""
        end, index, start = window
        if index >= len(self._rules.windows):
            return False
        size, every = self._rules.windows[index]
        return end - start == size and start % every == 0


class Trail(msgspec.Struct, frozen=True):
    """Where a subject's reference comes from, and what else is known of its past."""

    history: list[Adoption]
    given: str
    learning: bool
    rule: LearnRule
    codes: dict[str, Time]
    turned: dict[int, Time] = {}
    codes_last: dict[str, Time] = {}


class StoredSubject(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The plain values of a snapshot."""

    subject: Subject
    rank: Annotated[int, msgspec.Meta(ge=1, le=2**32)] | None
    reference: str
    """Its address; empty while it is being learned."""
    since: Time
    slice_ms: Span
    slices: list[Time]
    windows: list[tuple[Time, Count, Time]]
    incidents: list[Incident]
    last_window: Window | None
    detectors: list[tuple[str, str, Fed]]
    silent: dict[int, Count]
    heard: Time
    trail: Trail | None = None


def _under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
