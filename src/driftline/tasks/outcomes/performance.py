"""Whether models still work: outcomes of all models of a Judge, in slices of event time.

    slice ──cells──► subjects (a version, a segment: see `subject`) ──window ends──► incidents
       └──all events──► how labels come (see `label_arrivals`)

A pure function of the slices, which come complete and in order. What comes later for a slice counts in the books of its
predictions, and in windows that are still open.
"""

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Self

import msgspec

from driftline.codec import Count, corrupt, pack, unpack
from driftline.incidents.incident import Incident, Subject, Window, digest
from driftline.performance.outcomes import labelled, waiting
from driftline.performance.tally import Tally
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.outcomes.costs import Cost, cost_of
from driftline.tasks.outcomes.following import PERFORMANCE
from driftline.tasks.outcomes.label_arrivals import LABELS, LabelArrivals
from driftline.tasks.outcomes.slices import OutcomeSlice
from driftline.tasks.outcomes.subject import StoredPerformance, SubjectPerformance
from driftline.tasks.views import PerformancesView, PerformanceView
from driftline.tasks.watcher import OutcomeContext, OutcomeWatcher

SUBJECT: Final = "performance/subject"
BOOK: Final = "performance/book"
REFERENCE: Final = "performance/reference"
ARRIVALS: Final = "performance/labels"
VERSION: Final = 1
MAX_ROWS: Final = 4_000_000
"""Of the books and open windows of a task: 200 MB. Beyond that the oldest books go of those who have most."""
MAX_KNOWN: Final = 4_000_000
"""Rows of the references of a task: 200 MB. Beyond that nobody learns another one until somebody is forgotten."""
MAX_LEARNING: Final = 128 << 20
"""Bytes of what a task learns references from. Beyond that those who have most learn from fewer, longer stretches."""
AWAITED_NO_MORE: Final = "its labels are not awaited any more"
MAX_SHOWN: Final = 2_000
"""Windows that `driftline performance` shows of one task: some 1 MB, written where something changed."""


class PerformanceJudge(OutcomeWatcher):
    """See the module's head.

    Args:
        rules: how each model is judged.
        watched: whether a subject has a place within the limits.
        inputs_moved: whether a drift of a subject's inputs is open.
    """

    KINDS = (PERFORMANCE, LABELS)

    def __init__(
        self,
        rules: Callable[[str], ModelRules],
        watched: Callable[[Subject], bool] = lambda subject: True,
        inputs_moved: Callable[[Subject], bool] = lambda subject: False,
    ) -> None:
        self._rules, self._watched, self._inputs_moved = rules, watched, inputs_moved
        self.subjects: dict[Subject, SubjectPerformance] = {}
        self.arrivals: dict[str, LabelArrivals] = {}
        self._closed: dict[str, int] = {}
        """By model, the end of the newest window of which it was said that it is over."""
        self._ranks: dict[tuple[str, str], int] = {}
        self._due: list[tuple[int, Subject]] = []
        self._scheduled: dict[Subject, int] = {}
        self._rows: dict[Subject, int] = {}
        self._total = 0
        """Of all rows."""
        self._of_references: dict[Subject, int] = {}
        """Rows of references, of those who have one."""
        self._known = 0
        """Of all these."""
        self._learning: dict[Subject, int] = {}
        """Bytes of what references are learned from, of those who learn."""
        self.late = 0
        """Outcomes of a subject in a slice that came after its window was weighed. Since the start of the worker."""
        self._touched: set[Subject] = set()
        self._forgotten: list[str] = []

    @classmethod
    def begin(cls, context: OutcomeContext) -> Self:
        """Return a new one."""
        return cls(context.rules, context.watched, context.inputs_moved)

    def take(self, piece: OutcomeSlice) -> list[Incident]:
        """Take in a slice, or what came later for one. Returns the incidents that this closes."""
        if self._rules(piece.model).performance is None:
            return []
        closed: list[Incident] = []
        for group in sorted(piece.groups):
            subject = Subject(piece.model, group.version, group.segment)
            if not self._watched(subject):
                continue
            judge = self._judge(subject, piece, closed)
            for cohort, rows in sorted(piece.groups[group].items()):
                self.late += not judge.take(piece.start, cohort, rows)
                if not group.segment:
                    self._hear(piece, cohort, rows)
            self._note(subject, judge)
        self._keep_small()
        return closed

    def _hear(self, piece: OutcomeSlice, cohort: int, rows: Tally) -> None:
        """Count which predictions came, and which labels."""
        performance = self._rules(piece.model).performance
        assert performance is not None
        came, waits = int(labelled(rows, 1)[0]), int(waiting(rows, 1)[0])
        start = cohort - cohort % performance.window_ms
        self.arrivals.setdefault(piece.model, LabelArrivals()).take(start, piece.end, came + waits, came)

    def _judge(self, subject: Subject, piece: OutcomeSlice, closed: list[Incident]) -> SubjectPerformance:
        """Return who judges a subject: anew, if another sort of thing is predicted now, which closes what is open."""
        judge, rank = self.subjects.get(subject), None
        if judge is not None and judge.series is piece.series:
            judge.meet(piece.classes)
            return judge
        if judge is not None:
            rank = judge.rank
            closed += judge.close_incident("other things are predicted now")
            self._drop_blobs(subject, judge)
        elif subject.segment:
            key = (subject.model, subject.version)
            rank = self._ranks[key] = self._ranks.get(key, 0) + 1
        rules = self._rules(subject.model)
        self.subjects[subject] = SubjectPerformance(subject, rules, rank, piece.series, piece.classes)
        return self.subjects[subject]

    def _note(self, subject: Subject, judge: SubjectPerformance) -> None:
        self._touched.add(subject)
        rows = judge.books.rows
        self._total += rows - self._rows.get(subject, 0)
        self._rows[subject] = rows
        known = 0 if judge.evidence is None else len(judge.evidence.reference.tally)
        self._known += known - self._of_references.get(subject, 0)
        self._of_references[subject] = known
        if learning := judge.learner.bytes:
            self._learning[subject] = learning
        else:
            self._learning.pop(subject, None)
        deadline = judge.deadline
        if deadline is not None and self._scheduled.get(subject) != deadline:
            self._scheduled[subject] = deadline
            heapq.heappush(self._due, (deadline, subject))

    def _keep_small(self) -> None:
        """Let go of books where there is too little memory."""
        while self._total > MAX_ROWS:
            most = max(self._rows, key=lambda subject: (self._rows[subject], subject))
            judge = self.subjects[most]
            if len(judge.books.books) <= 1:
                break
            judge.books.drop_oldest()
            self._note(most, judge)

    def _learn_from_less(self) -> None:
        """Let those learn from fewer stretches who have most, where all together have too much."""
        while sum(self._learning.values()) > MAX_LEARNING:
            large = [subject for subject in self._learning if self.subjects[subject].learner.can_join]
            if not large:
                break
            most = max(large, key=lambda subject: (self._learning[subject], subject))
            self.subjects[most].learner.join()
            self._note(most, self.subjects[most])

    @property
    def deadline(self) -> int | None:
        """When the next window ends."""
        return self._due[0][0] if self._due else None

    def cost(self, subject: Subject, began: int, opened: int) -> Cost | None:
        """Return what a drift costs, by the windows that were weighed; None where that is not known."""
        judge, rules = self.subjects.get(subject), self._rules(subject.model)
        if judge is None or rules.performance is None:
            return None
        size, windows = rules.performance.window_ms, judge.windows
        whole = self.subjects.get(Subject(subject.model, subject.version, "")) if judge.evidence is None else None
        if whole is not None and whole.evidence is not None:
            windows = judge.likely_windows(whole.evidence, began)
        return cost_of(windows, size, began=began, opened=opened, min_events=rules.min_events)

    def close(self, time: int, *, whole: bool = True) -> list[Incident]:
        """Weigh the windows that end at or before this time, subjects in order. Returns the incidents that changed.

        Of windows that are not `whole` it is not asked whether all labels came that usually do.
        """
        due: dict[Subject, None] = {}
        while self._due and self._due[0][0] <= time:
            deadline, subject = heapq.heappop(self._due)
            if self._scheduled.get(subject) == deadline:
                del self._scheduled[subject]
            if subject in self.subjects:
                due[subject] = None
        changed = []
        for subject in sorted(due):
            judge = self.subjects[subject]
            changed += judge.close(time, inputs_moved=self._inputs_moved(subject), has_room=self._known < MAX_KNOWN)
            self._note(subject, judge)
        self._learn_from_less()
        for model in sorted({subject.model for subject in due if not subject.segment}) if whole else ():
            changed += self._close_arrivals(model, time)
        return changed

    def _close_arrivals(self, model: str, time: int) -> list[Incident]:
        rules = self._rules(model)
        assert rules.performance is not None
        size = rules.performance.window_ms
        end = time - time % size
        if end <= self._closed.get(model, end - 1):
            return []
        self._closed[model] = end
        return self.arrivals[model].close(model, rules, end - size)

    def forget(self, subjects: Sequence[Subject], models: Collection[str]) -> list[Incident]:
        """Let go of subjects and models whose places others have now. Returns the incidents that this closes."""
        why, closed = "it was silent for so long that others took its place", []
        for subject in subjects:
            judge = self.subjects.pop(subject, None)
            if judge is None:
                continue
            closed += judge.close_incident(why)
            self._drop_blobs(subject, judge)
            self._touched.discard(subject)
            self._scheduled.pop(subject, None)
            self._total -= self._rows.pop(subject, 0)
            self._known -= self._of_references.pop(subject, 0)
            self._learning.pop(subject, None)
        for model in sorted(models):
            arrivals = self.arrivals.pop(model, None)
            closed += [] if arrivals is None else arrivals.close_incident(self._closed.pop(model, 0), why)
        versions = {(subject.model, subject.version) for subject in self.subjects}
        self._ranks = {key: rank for key, rank in self._ranks.items() if key in versions}
        return closed

    def _drop_blobs(self, subject: Subject, judge: SubjectPerformance) -> None:
        name = _name(subject)
        books = judge.books.changed | judge.books.books.keys()
        self._forgotten += [
            f"{SUBJECT}/{name}",
            f"{REFERENCE}/{name}",
            *(f"{BOOK}/{name}/{at}" for at in sorted(books)),
        ]

    @property
    def open(self) -> list[Incident]:
        """The open incidents."""
        of_subjects = [judge.incident for _, judge in sorted(self.subjects.items()) if judge.incident is not None]
        of_labels = [held.incident for _, held in sorted(self.arrivals.items()) if held.incident is not None]
        return [*of_subjects, *of_labels]

    def view(self) -> PerformancesView:
        """Return what it tells the world: of many subjects the newest windows."""
        shown = max(MAX_SHOWN // max(len(self.subjects), 1), 1)
        return PerformancesView([self._view(judge, shown) for _, judge in sorted(self.subjects.items())])

    def _view(self, judge: SubjectPerformance, shown: int) -> PerformanceView:
        arrivals = None if judge.subject.segment else self.arrivals.get(judge.subject.model)
        return judge.view(shown, [] if arrivals is None else arrivals.view()[-shown:])

    def performances(self) -> list[PerformanceView]:
        """Return how well versions and segments work."""
        return self.view().models

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        writes: dict[str, bytes | None] = dict.fromkeys(self._forgotten)
        self._forgotten = []
        for subject in sorted(self._touched):
            judge, name = self.subjects[subject], _name(subject)
            value, arrays = judge.snapshot()
            writes[f"{SUBJECT}/{name}"] = pack(SUBJECT, VERSION, value, arrays)
            for start in sorted(judge.books.changed):
                pile = judge.books.books.get(start)
                writes[f"{BOOK}/{name}/{start}"] = None if pile is None else pile.tally.packed()
            judge.books.changed.clear()
            if judge.is_new and judge.evidence is not None:
                writes[f"{REFERENCE}/{name}"] = judge.evidence.reference.encode()
                judge.is_new = False
        if self._touched or writes:
            state = [list(self.arrivals.items()), self._closed, [[*key, rank] for key, rank in self._ranks.items()]]
            writes[ARRIVALS] = pack(ARRIVALS, VERSION, state, {})
            writes[PerformancesView.NAME] = msgspec.json.encode(self.view())
        self._touched.clear()
        return writes

    def restore(self, blobs: Mapping[str, bytes]) -> list[Incident]:
        """Take up a checkpoint. Returns what was open of models that await no labels any more. Raises `StateCorrupt`,
        or what a wrong value causes.
        """
        ended: list[Incident] = []
        for name in sorted(blobs):
            if name.startswith(f"{SUBJECT}/"):
                ended += self._restore_subject(name.removeprefix(f"{SUBJECT}/"), blobs)
        if ARRIVALS in blobs:
            state = unpack(blobs[ARRIVALS], ARRIVALS, (VERSION,)).value
            arrivals, self._closed, ranks = msgspec.convert(state, _Stored)
            for model, held in arrivals:
                if self._rules(model).performance is None:
                    ended += held.close_incident(self._closed.pop(model, 0), AWAITED_NO_MORE)
                else:
                    self.arrivals[model] = held
            self._ranks = {(model, version): rank for model, version, rank in ranks}
        return ended

    def _restore_subject(self, name: str, blobs: Mapping[str, bytes]) -> list[Incident]:
        found = unpack(blobs[f"{SUBJECT}/{name}"], SUBJECT, (VERSION,))
        stored = msgspec.convert(found.value, StoredPerformance)
        subject = stored.subject
        if name != _name(subject):
            raise corrupt(SUBJECT, f"it is stored in the place of another than {str(subject)[:80]}")
        rules = self._rules(subject.model)
        if rules.performance is None:
            opened = 0 if stored.following.incident is None else stored.following.incident.opened
            self._forgotten += [f"{SUBJECT}/{name}", f"{REFERENCE}/{name}"]
            self._forgotten += [f"{BOOK}/{name}/{start}" for start in stored.books.books]
            return stored.following.close(Window(opened, max(stored.heard, opened), 0), AWAITED_NO_MORE)
        books = {start: blobs[f"{BOOK}/{name}/{start}"] for start in stored.books.books}
        judge = SubjectPerformance.restored(stored, rules, found.arrays, books, blobs.get(f"{REFERENCE}/{name}"))
        self.subjects[subject] = judge
        self._note(subject, judge)
        self._touched.discard(subject)
        return []


_Stored = tuple[list[tuple[str, LabelArrivals]], dict[str, int], list[tuple[str, str, Count]]]


def _name(subject: Subject) -> str:
    return digest(subject.model, subject.version, subject.segment)
