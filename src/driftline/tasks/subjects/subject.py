"""One (model, version, segment) under judgement: learn a reference, fill windows, weigh evidence.

    slices ──while it learns──► learner ──span and events reached──► reference (which one: see `reference_choice`)
       │
       └──projected on the reference──► open windows ──end──► evidence by kind ──► incidents (see `following`)
                 └──► detectors, slice by slice (when did it begin?)

A slice becomes one vector of integers, and a window is a sum of such vectors: exact, in any order.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from driftline.evidence.detectors import KNOWN, Fed, Replayed
from driftline.evidence.news import News, news_of
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.sketches.group import GroupSketch
from driftline.sketches.keys import Bools, Ints
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.subjects.adoption import MAX_ADOPTIONS, MAX_OF_A_SEGMENT, Adoption, Origin
from driftline.tasks.subjects.codes import CodeVersions
from driftline.tasks.subjects.following import Following
from driftline.tasks.subjects.mean_path import MeanPath
from driftline.tasks.subjects.overlaps import told_elsewhere
from driftline.tasks.subjects.prepared_reference import PreparedReference, rounded, rounded_all
from driftline.tasks.subjects.reference_learning import Learner
from driftline.tasks.subjects.seen import SeenWindow
from driftline.tasks.subjects.shown import Counted
from driftline.tasks.subjects.stored import StoredSubject, last_counted, under
from driftline.tasks.subjects.weighing import Weighed, Weighing
from driftline.tasks.subjects.windows import Filled, OpenWindows

MAX_SHOWN = 50
RECENT = 20
"""Windows before an incident in which a detection is taken to be of the same change."""


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
        self.following = Following(subject, rules)
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
        self.watched: PreparedReference | None = None
        self._seen: SeenWindow | None = None
        """The window judged last; None after a restart."""
        self.last: Counted | None = None
        """What it held, also after a restart."""
        self.path = MeanPath()
        """Of the shortest windows; empty for a segment."""
        self._totals: dict[str, float] = {}
        self._measured: list[Signal] | None = []
        self._rules = rules
        self._since = 0
        self._windows = OpenWindows(rules.windows)
        self._weighing = Weighing(rules, rank)
        self._detectors: list[Replayed] = []

    def adopt(self, watched: PreparedReference | None, adoption: Adoption) -> list[Incident]:
        """Compare with another reference, or with none while one is learned; the audit trail says since when and why.

        Returns the incidents that were open: compared with the reference before, they are over.
        """
        closed = self.following.close_all(self.last_window, f"the reference changed ({adoption.origin})")
        self.history = [*self.history, adoption][-(MAX_OF_A_SEGMENT if self.subject.segment else MAX_ADOPTIONS) :]
        self._measured, self._totals = [], {}
        if watched is None:
            self.watched = None
            self._windows, self._detectors = OpenWindows(self._rules.windows), []
            self._weighing.begin(None)
        else:
            self.watch(watched, adoption.at)
        return closed

    @property
    def origin(self) -> Origin:
        """Where the reference in force comes from."""
        return self.history[-1].origin if self.history else Origin.LEARNING

    def watch(self, watched: PreparedReference, since: int) -> None:
        """Compare with this reference all slices that start at or after `since`."""
        self.watched = watched
        self.last, self.path = None, MeanPath()
        self._since = since
        self._windows = OpenWindows(self._rules.windows)
        self._weighing.begin(watched)
        self.following.forget()
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

    def take(self, start: int, end: int, summary: GroupSketch, unwatched: Collection[str] = ()) -> Reference | None:
        """Take in a slice. Returns the reference if this slice completed its learning: then call `adopt`.

        `unwatched` are signals that came and are not in the summary, for there is no place for them.
        """
        self.heard = end
        self.codes.take(start, summary)
        learned = None
        if self.learning and self.learner.take(start, end, summary):
            learned = self.learner.finish(self.subject)
            self.learner.rule = self._rules.learn  # a command's rule was for this once
            self.learning = self._rules.learn.renewed
        if self.watched is None:
            return learned
        vector = self.watched.projection.project(summary, unwatched)
        self._windows.fill(start, end, vector, news_of(self.watched.projection, summary, vector))
        if self._detectors:
            self._detect(start, end, vector)
        return learned

    def _detect(self, start: int, end: int, vector: Ints) -> None:
        """Show the detectors how far a slice is from the reference."""
        assert self.watched is not None
        view = self.watched.at(start, end - start)
        found = view.scores.of(vector)
        if np.isnan(found).all():
            return
        scores = dict(zip(view.projection.signals, found.tolist(), strict=True))
        sizes = view.sizes(vector) if any(each.compares_with_reference for each in self._detectors) else {}
        for detector in self._detectors:
            score = scores[detector.signal]
            if math.isfinite(score):
                detector.update(score, start, sizes.get(detector.signal, KNOWN))

    def supplement(
        self, start: int, end: int, summary: GroupSketch, mark: int, unwatched: Collection[str] = ()
    ) -> bool:
        """Take in what came for a slice that was taken before; windows that end at or before `mark` were judged.

        Returns False where it belongs to one of those.
        """
        self.heard = max(self.heard, end)
        if self.learning:
            self.learner.supplement(start, summary)
        if self.watched is None or start < self._since:
            return True
        vector = self.watched.projection.project(summary, unwatched)
        return self._windows.fill(start, end, vector, news_of(self.watched.projection, summary, vector), mark)

    def moved(self, kind: Kind) -> bool:
        """Tell whether an incident of this kind is open, or the evidence for one is notable."""
        return kind in self.following.open or self._weighing.is_notable(kind)

    def effect(self, kind: Kind, name: str, end: int) -> float:
        """Return how far a signal was from the reference in the window that ended now, by more than chance explains.

        0 where this subject had none: what it was like before is not part of its state.
        """
        seen = self._seen
        if seen is None or seen.window.end != end:
            return 0.0
        return seen.excess(kind, name) if name in seen.view.projection.signals else 0.0

    def count(self, end: int) -> int:
        """Return how many events the window held that ended now; 0 where this subject had none."""
        return self._seen.window.count if self._seen is not None and self._seen.window.end == end else 0

    @property
    def news(self) -> News:
        """What the vector of the window judged last does not say."""
        assert self._seen is not None
        return self._seen.news

    def bad_since(self, name: str, size: int) -> int | None:
        """Return the start of the window of this size with which a signal's quality began to change, if it did."""
        assert self._seen is not None
        onset = self._weighing.onset(size, Kind.DATA_QUALITY)
        names = self._seen.view.names(Kind.DATA_QUALITY)
        return onset.of(names.index(name)) if onset is not None and name in names else None

    def quality(self) -> dict[str, dict[str, float]]:
        """Return the effects of each signal in the window judged last."""
        assert self._seen is not None
        return self._seen.effects_of(Kind.DATA_QUALITY)

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return self._windows.deadline

    def close(self, time: int) -> list[Incident]:
        """Judge the windows that end now. Returns the incidents that changed."""
        return [incident for filled in self._windows.ended(time) for incident in self._judge(filled)]

    def _judge(self, filled: Filled) -> list[Incident]:
        assert self.watched is not None
        start, size, vector, news = filled.start, filled.size, filled.vector, filled.news
        window = Window(start, start + size, self.watched.projection.events(vector))
        seen = self._seen = SeenWindow(self._weighing.turn(size, start), vector, window, news)
        self.last, self.last_window, self._measured = Counted(window, vector, news), window, None
        if size == self._rules.windows[0][0] and not self.subject.segment:
            self.path.add(window.end, seen.view.projection.means(vector))
        changed: list[Incident | None] = []
        enough = window.count >= self._rules.min_events
        if enough and start % size == 0:  # of hopping windows only those that do not overlap add evidence
            weighed = self._weighing.weigh(seen)
            for kind, each in weighed.items():
                if each.check.shown:
                    self._totals.update(zip(seen.view.names(kind), each.found.total.tolist(), strict=True))
            elsewhere = told_elsewhere(seen, weighed, self.following.members)
            changed.extend(self._decide(seen, each, elsewhere[kind]) for kind, each in weighed.items())
        if self._rules.thresholds and enough:
            changed.append(self.following.compare(seen))
        return [
            self._dated(incident) if incident.status is Status.FIRING else incident
            for incident in changed
            if incident is not None
        ]

    def _decide(self, seen: SeenWindow, weighed: Weighed, elsewhere: Bools) -> Incident | None:
        """Return the incident that a window opens, changes or resolves; what is told elsewhere joins none."""
        kind = weighed.check.kind
        elsewhere[self.following.members(kind)] = False
        if elsewhere.any():
            weighed = weighed.without(np.flatnonzero(elsewhere))
        incident = self.following.open.get(kind)
        if incident is None:
            if weighed.evidence.log_m >= weighed.log_c or weighed.broken.any():
                return self.following.begin(seen, weighed)
        elif incident.window.size != seen.window.size:
            weighed.evidence.reset()
        else:
            return self.following.follow(incident, seen, weighed)
        return None

    def _dated(self, incident: Incident) -> Incident:
        """Begin to gather evidence anew, and say what detectors of the signals found not long before: when it began."""
        if incident.update is None:
            self._weighing.reset(incident.kind)
        names = {signal.name for signal in incident.signals}
        recent = incident.window.end - RECENT * incident.window.size
        detections: list[dict[str, str | int]] = [
            {"detector": detector.name, "signal": detector.signal, "at": detector.detected_at}
            for detector in self._detectors
            if detector.signal in names and detector.detected_at >= recent
        ]
        return self.following.hold(msgspec.structs.replace(incident, detections=detections))

    @property
    def detectors(self) -> int:
        """How many online detectors there are."""
        return len(self._detectors)

    def measured(self) -> list[Signal]:
        """Return the watched signals as the last window had them, with the evidence so far. Not for segments."""
        if self._measured is None:
            assert self._seen is not None
            self._measured = []
            if not self.subject.segment:
                found, signals = self._seen.effects(), self._seen.view.projection.signals
                strongest = sorted(self._totals.items(), key=lambda held: (-held[1], held[0]))[:MAX_SHOWN]
                self._measured = [
                    Signal(name, rounded(total), rounded_all(found.of(signals.index(name))))
                    for name, total in strongest
                ]
        return self._measured

    def snapshot(self) -> tuple[Any, dict[str, Ints | np.ndarray[Any, np.dtype[np.float64]]]]:
        """Return (plain values, arrays). Slices being learned are stored apart: see `Learner.changed`."""
        windows, vectors = self._windows.snapshot()
        arrays: dict[str, Any] = {**vectors}
        if self.last is not None:
            arrays["last"] = self.last.vector
        arrays.update(self.path.snapshot())
        arrays.update(self.following.snapshot())
        arrays.update(self._weighing.snapshot())
        address = self.watched.reference.address if self.watched else ""
        value = StoredSubject(
            self.subject,
            self.rank,
            address,
            self._since,
            self.learner.slice_ms,
            sorted(self.learner.slices),
            windows,
            list(self.following.open.values()),
            self.last_window,
            None if self.last is None else self.last.news,
            [(detector.name, detector.signal, detector.snapshot()) for detector in self._detectors],
            self.heard,
            self.history,
            self.given,
            self.learning,
            self.learner.rule,
            self.codes.since,
            self.codes.last,
            dict(self._weighing.turned),
            self.watched.projection.layout if self.watched else "",
        )
        return value, arrays

    def restore(self, stored: StoredSubject, arrays: Mapping[str, Any], watched: PreparedReference | None) -> None:
        """Take up a snapshot. `watched` is the reference it names, or another one: then evidence starts anew.

        Windows and evidence of sizes that are no longer asked for are let go. Raises `StateCorrupt`, or what a wrong
        value causes.
        """
        self.history, self.given, self.learning = stored.history, stored.given, stored.learning
        self.learner.slice_ms, self.learner.rule = stored.slice_ms, stored.rule
        self.codes = CodeVersions(self._rules.longest_window, stored.codes, stored.codes_last)
        self.following.open = {held.kind: held for held in stored.incidents}
        self.last_window, self.heard = stored.last_window, stored.heard
        if watched is None:
            return
        self.watch(watched, stored.since)
        if watched.reference.address != stored.reference:
            return
        if stored.layout == watched.projection.layout:
            self._windows.restore(stored.windows, arrays, watched.projection.width)
            self._weighing.restore(stored.turned, arrays)
            for kind, incident in self.following.open.items():
                evidence, seen_since = self._weighing.of(incident.window.size, kind), under(f"recovery/{kind}/", arrays)
                if evidence is not None and seen_since:
                    self.following.restore(kind, evidence, seen_since)
            self.last = last_counted(stored, arrays, watched)
            self.path = MeanPath.restored(arrays, len(watched.projection.signals))
        else:  # counted by a release that had other bins: what is open now is not whole
            self._since = self.heard
        fed = {(name, signal): held for name, signal, held in stored.detectors}
        self._detectors = self._make_detectors(list(dict.fromkeys(held.signal for held in self._detectors)), fed)
