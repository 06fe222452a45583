"""The performance of one version or segment: learn a reference, weigh windows of outcomes, tell what changed.

    slices ──► books ──while it learns──► stretches ──span and labels reached──► reference
                 └──a window's end──► evidence ──► signals ──► incident (see `performance_following`)
                            └──► what a metric was estimated and measured to be, window by window (`windows`)

What arrived in a window is weighed once: what it means, and whether it was right. What was predicted in it is estimated
at its end. What is told of a metric are the books of the predictions that most of the labels are about.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from driftline.codec import Count, Mark, Time, corrupt
from driftline.incidents.incident import Incident, Signal, Subject, Window
from driftline.labels.classes import OTHER
from driftline.performance.foreseen import Part
from driftline.performance.outcomes import Series, labelled, of_classes, waiting
from driftline.performance.reference import PerformanceReference
from driftline.performance.study import Study
from driftline.performance.tally import Tally, empty, merged
from driftline.performance.values import total_value, without_values
from driftline.sketches.keys import Floats
from driftline.tasks.model_rules import LearnRule, ModelRules, PerformanceRules
from driftline.tasks.outcome_books import Books, StoredBooks
from driftline.tasks.performance_evidence import PerformanceEvidence
from driftline.tasks.performance_following import PerformanceFollowing
from driftline.tasks.performance_learning import PerformanceLearner
from driftline.tasks.performance_signals import of_level, of_part
from driftline.tasks.performance_windows import windows_of
from driftline.tasks.views import PerformanceView, PerformanceWindow

MAX_WINDOWS: Final = 60
"""Windows of which it is kept what metrics were."""
MAIN_SHARE: Final = 0.05
"""A book of which so small a part of a window's labels are is not what the window is about."""


class StoredPerformance(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The plain values of a snapshot."""

    subject: Subject
    rank: Count | None
    series: Series
    classes: tuple[str, ...]
    books: StoredBooks
    given: bool
    learning: bool
    rule: LearnRule
    began: Mark | None
    stretches: list[bytes]
    following: PerformanceFollowing
    windows: list[PerformanceWindow]
    heard: Time
    left_out: Count = 0


class SubjectPerformance:
    """See the module's head.

    Args:
        subject: who.
        rules: how the model is judged.
        rank: 1 for the version's first segment, and so on; None for all events.
        series: what scores are.
        classes: names by code.
    """

    def __init__(
        self, subject: Subject, rules: ModelRules, rank: int | None, series: Series, classes: tuple[str, ...]
    ) -> None:
        assert rules.performance is not None
        self.subject, self.rank, self.series, self.classes = subject, rank, series, classes
        self._rules, self._own = rules, rules.performance
        self.books = Books(self._own.window_ms, self._own.awaited_ms)
        self.windows: list[PerformanceWindow] = []
        """Of the newest windows of predictions, oldest first."""
        self.following = PerformanceFollowing()
        self.evidence: PerformanceEvidence | None = None
        self.is_new = False
        """Whether the reference is another one than at the last checkpoint."""
        self._given = False
        self._learning = True
        self.learner = PerformanceLearner(rules.learn)
        self._heard = 0
        self._left_out = 0
        """Labels of classes that no metric counts."""
        self.meet(classes)

    def meet(self, classes: tuple[str, ...]) -> None:
        """Learn which classes there are by now. A file's reference is compared with once it is known to suit them."""
        self.classes = classes
        given = None if self._given else self._own.reference(self.subject.version, self.subject.segment)
        if self.evidence is None and given is not None and self._suits(given):
            self._given, self._learning = True, False
            self.learner.forget()
            self._compare(given)

    def _suits(self, given: PerformanceReference) -> bool:
        """Tell whether a reference is of what is predicted here: classes may come that it does not know."""
        same = all(
            one == other or OTHER in (one, other) for one, other in zip(given.classes, self.classes, strict=False)
        )
        return same and given.series is self.series and len(given.classes) <= len(self.classes)

    @property
    def incident(self) -> Incident | None:
        """What is open."""
        return self.following.incident

    def view(self, shown: int) -> PerformanceView:
        """Return what it tells the world, with at most so many windows."""
        return PerformanceView(
            model=self.subject.model,
            version=self.subject.version,
            segment=self.subject.segment,
            numbers=self.series is Series.ERRORS,
            classes=list(self.classes),
            reference=None if self.evidence is None else self.evidence.reference.address,
            given=self._given,
            learned_labels=self.learner.labels,
            left_out=self._left_out,
            window_ms=self._own.window_ms,
            unmeasured=[]
            if self.evidence is None
            else sorted(self._own.levels.keys() - self.evidence.yardstick.values),
            windows=self.windows[-shown:],
        )

    def take(self, start: int, cohort: int, rows: Tally) -> bool:
        """Take in what came in a slice, of one cohort. Returns whether it counts in the slice's window, too."""
        return self.books.take(start, cohort, rows)

    @property
    def deadline(self) -> int | None:
        """When the next window ends of which there is something to weigh."""
        return self.books.deadline

    def close(self, time: int, *, inputs_moved: bool) -> list[Incident]:
        """Weigh the windows that end at or before this time. Returns the incidents that changed, as they were then."""
        changed = []
        for window in self.books.due(time):
            came, about = self.books.close(window)
            self._heard, counted = window + self._own.window_ms, self._counted(came)
            evidence, incident = self.evidence, self.incident
            if evidence is not None and incident is not None and incident.reference != evidence.reference.address:
                changed += self.close_incident("the reference changed (file)")
            if self._learning:
                changed += self._learn(window, came)
            if evidence is not None and evidence is self.evidence:  # else this window is part of the new reference
                told = self._judge(evidence, window, counted, about, inputs_moved=inputs_moved)
                changed += [] if told is None else [told]
            self.books.let_go(self._heard)
        return changed

    def _known(self, tally: Tally) -> Tally:
        """Return what is of classes that the reference knows."""
        return self._named(tally) if self.evidence is None else self._of(tally, self.evidence.reference.classes)

    def _named(self, tally: Tally) -> Tally:
        """Return what is of classes that have a name by now."""
        return self._of(tally, self.classes)

    def _of(self, tally: Tally, classes: Sequence[str]) -> Tally:
        return of_classes(tally, len(classes)) if self.series is Series.CLASSES else tally

    def _counted(self, came: Tally) -> Tally:
        """Return what metrics count of the labels that arrived, and note how many they leave out."""
        found = self._known(came)
        self._left_out += int(labelled(came, 1)[0] - labelled(found, 1)[0])
        return found

    def _learn(self, window: int, came: Tally) -> list[Incident]:
        """Add what arrived to what a reference is made of; once there is enough, compare with it from the next on."""
        if not self.learner.add(window, self._heard, came):
            return []
        tally, stretches = self.learner.finish(self._named)
        reference = PerformanceReference(self.series, self.classes, tally, stretches)
        self._learning, self.learner.rule = self._rules.learn.renewed, self._rules.learn
        closed = self.close_incident("the reference changed (learned)")
        self._compare(reference)
        return closed

    def close_incident(self, why: str) -> list[Incident]:
        """Close what is open, with the reason."""
        return self.following.close(Window(self._heard - self._own.window_ms, self._heard, 0), why)

    def _compare(self, reference: PerformanceReference) -> None:
        budget = self._rules.budget
        allowance = budget.outcomes.allowance(1.0, sizes=1, segment_rank=self.rank, segmented=self._rules.segmented)
        self.evidence = PerformanceEvidence(
            reference,
            metrics=tuple(self._own.levels),
            costs=costs_of(self._own, reference.classes),
            budget=budget,
            window_ms=self._own.window_ms,
            allowance=allowance,
        )
        self.windows, self.is_new = [], True

    def _judge(
        self, evidence: PerformanceEvidence, window: int, came: Tally, about: Mapping[int, int], *, inputs_moved: bool
    ) -> Incident | None:
        """Weigh one window, and tell what it says."""
        own, labels = self._book(window), int(labelled(came, 1)[0])
        predictions = int(labelled(own, 1)[0] + waiting(own, 1)[0])
        main = [
            book for book, many in sorted(about.items()) if many >= MAIN_SHARE * labels and book in self.books.books
        ]
        weighed: dict[Part, tuple[Tally, int]] = {}
        if labels > 0:
            most = max(main, key=lambda book: (about[book], book), default=window)
            weighed = dict.fromkeys((Part.MEANING, Part.MEASURED), (came, most))
        if predictions >= self._rules.min_events:
            weighed[Part.ESTIMATED] = (own, window)
        verdict = evidence.weigh(weighed)
        study, has_levels = evidence.yardstick.study, bool(self._own.levels) and labels >= self._rules.min_events
        new: list[Signal] = []
        back, unforeseen = [part.value for part in verdict.back], False
        if verdict.new or has_levels:
            by_labels = study(merged([self._book(book) for book in main]) if main else came, 1)
            unforeseen = any(bool(metric.unforeseen[0]) for metric in by_labels.metrics)
            for finding in verdict.new:
                found = study(own, 1) if finding.part is Part.ESTIMATED else by_labels
                new += of_part(finding, found, self.series)
            for signal, kept in self._levels(by_labels) if has_levels else []:
                new += [] if kept else [signal]
                back += [signal.name] if kept else []
        self._note(study, sorted({window, *about}))
        return self.following.change(
            self.subject,
            self._rules,
            Window(window, window + self._own.window_ms, max(predictions, labels)),
            new,
            back,
            began=min((each.began for each in verdict.new if each.began is not None), default=window),
            reference=evidence.reference.address,
            is_sure=evidence.is_sure,
            inputs_moved=inputs_moved,
            unforeseen=unforeseen,
        )

    def _book(self, window: int) -> Tally:
        pile = self.books.books.get(window)
        return empty() if pile is None else self._known(without_values(pile.tally))

    def _levels(self, found: Study) -> list[tuple[Signal, bool]]:
        """Return service levels that are not kept, from now on, and those that are kept again."""
        said = []
        for metric in found.metrics:
            if metric.name not in self._own.levels or not np.isfinite(metric.realised.values[0]):
                continue
            sign, wanted = self._own.levels[metric.name]
            real, told = metric.realised, metric.name in self.following.kept
            below = (real.high[0] < wanted) if sign == ">=" else (real.low[0] > wanted)
            meets = (real.values[0] >= wanted) if sign == ">=" else (real.values[0] <= wanted)
            if not told and below:
                self.following.kept[metric.name] = 0
                said.append((of_level(metric, found, wanted), False))
            elif told and self.following.keeps(metric.name, kept=bool(meets)):
                said.append((of_level(metric, found, wanted), True))
        return said

    def _note(self, study: Callable[[Tally, int], Study], books: Sequence[int]) -> None:
        """Take down what metrics of these windows are by now."""
        held = [book for book in books if book in self.books.books]
        if not held:
            return
        parts = [self._book(book).regrouped(np.array([at])) for at, book in enumerate(held)]
        values = [total_value(self.books.books[book].tally) for book in held]
        rows = {row.start: row for row in (*self.windows, *windows_of(study(merged(parts), len(held)), held, values))}
        self.windows = [rows[start] for start in sorted(rows)[-MAX_WINDOWS:]]

    def snapshot(self) -> tuple[StoredPerformance, dict[str, Any]]:
        """Return plain values and arrays; books and the reference are stored beside them."""
        stored = StoredPerformance(
            self.subject, self.rank, self.series, self.classes, self.books.snapshot(), self._given, self._learning,
            self.learner.rule, self.learner.began, list(self.learner.stretches), self.following, self.windows,
            self._heard, self._left_out,
        )  # fmt: skip
        return stored, {} if self.evidence is None else self.evidence.snapshot()

    @classmethod
    def restored(
        cls,
        stored: StoredPerformance,
        rules: ModelRules,
        arrays: Mapping[str, Any],
        books: Mapping[int, bytes],
        reference: bytes | None,
    ) -> "SubjectPerformance":
        """Take up a snapshot. A file's reference that is another one now takes the place of that which was stored.

        Raises `StateCorrupt`, or what a wrong value causes.
        """
        found = cls(stored.subject, rules, stored.rank, stored.series, stored.classes)
        found.books.restore(stored.books, books)
        found._heard, found._left_out = stored.heard, stored.left_out
        before = None if reference is None else PerformanceReference.decode(reference)
        if found.evidence is not None and (before is None or before.address != found.evidence.reference.address):
            found.following = stored.following  # closed at the next window, for it goes by another reference
            return found
        found._given, found._learning = stored.given, stored.learning
        found.learner.restore(stored.rule, stored.began, stored.stretches)
        if before is not None:
            if not found._suits(before):
                raise corrupt("performance", "its reference is of something else than its outcomes")
            found._compare(before)
            assert found.evidence is not None
            found.evidence.restore(arrays)
        found.windows, found.following, found.is_new = stored.windows, stored.following, False
        return found


def costs_of(rules: PerformanceRules, classes: Sequence[str]) -> Floats | None:
    """Return what an outcome is worth, by true and predicted class; None where nothing is known of that."""
    if not rules.costs:
        return None
    at = {name: code for code, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)))
    for (true, predicted), worth in rules.costs.items():
        if true in at and predicted in at:
            matrix[at[true], at[predicted]] = worth
    return matrix
