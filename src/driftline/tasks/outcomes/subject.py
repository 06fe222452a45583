"""The performance of one version or segment: learn a reference, weigh windows of outcomes, tell what changed.

    slices ──► books ──while it learns──► stretches ──span and labels reached──► reference
                 └──a window's end──► evidence ──► signals ──► incident (see `following`)
                            └──► what a metric was estimated and measured to be, window by window (`windows`)

What arrived in a window is weighed once: what it means, and how good it was. Labels of many windows of predictions that
come at once are weighed in the order of these (`books.steps_of`), so that a month that went wrong is found in a
year's labels. What was predicted in a window is estimated at its end. What is told of a metric are the books of the
predictions that most of the labels are about.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from driftline.codec import Count, Mark, Time, corrupt
from driftline.incidents.incident import Incident, Signal, Subject, Window
from driftline.labels.classes import OTHER, class_of
from driftline.performance.foreseen import EvidenceOf
from driftline.performance.outcomes import Series, labelled, of_classes, waiting
from driftline.performance.reference import PerformanceReference
from driftline.performance.selective import come_alike
from driftline.performance.study import Study
from driftline.performance.tally import Tally, empty, merged
from driftline.performance.values import total_value, without_values
from driftline.sketches.keys import Floats
from driftline.tasks.model_rules import LearnRule, ModelRules, PerformanceRules
from driftline.tasks.outcomes.books import MAIN_SHARE, Books, StoredBooks, steps_of
from driftline.tasks.outcomes.evidence import Finding, PerformanceEvidence, ToWeigh
from driftline.tasks.outcomes.following import PerformanceFollowing
from driftline.tasks.outcomes.learning import PerformanceLearner
from driftline.tasks.outcomes.likely_windows import likely_windows
from driftline.tasks.outcomes.signals import UNSIGNED, of_level, of_part
from driftline.tasks.outcomes.stored_windows import windows_of
from driftline.tasks.views import CohortView, PerformanceView, PerformanceWindow

MAX_WINDOWS: Final = 60
"""Windows of which it is kept what metrics were."""


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
        self._has_no_room = False
        """Whether there was enough to learn from, and no room for another reference."""
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

    def view(self, shown: int, cohorts: list[CohortView]) -> PerformanceView:
        """Return what it tells the world, with at most so many windows, and how labels of the model come."""
        return PerformanceView(
            model=self.subject.model,
            version=self.subject.version,
            segment=self.subject.segment,
            numbers=self.series is Series.ERRORS,
            classes=list(self.classes),
            reference=None if self.evidence is None else self.evidence.reference.address,
            given=self._given,
            learned_labels=self.learner.labels,
            sample=self._own.sample,
            has_no_room=self._has_no_room,
            left_out=self._left_out,
            window_ms=self._own.window_ms,
            unmeasured=[]
            if self.evidence is None
            else sorted({*self._own.levels, *self._own.metrics} - self.evidence.yardstick.values.keys()),
            windows=self.windows[-shown:],
            cohorts=cohorts,
        )

    def take(self, start: int, cohort: int, rows: Tally) -> bool:
        """Take in what came in a slice, of one cohort. Returns whether it counts in the slice's window, too."""
        return self.books.take(start, cohort, rows)

    @property
    def deadline(self) -> int | None:
        """When the next window ends of which there is something to weigh."""
        return self.books.deadline

    def likely_windows(self, other: PerformanceEvidence, began: int) -> list[PerformanceWindow]:
        """Return its windows as another's reference foresees them (see the module of this name)."""
        if not self._suits(other.reference):
            return []
        books = {
            start: self._of(without_values(pile.tally), other.reference.classes)
            for start, pile in self.books.books.items()
            if start + self._own.window_ms <= self._heard
        }
        size, least = self._own.window_ms, self._rules.min_events
        return likely_windows(books, other.yardstick, size, began=began, min_events=least)

    def close(self, time: int, *, inputs_moved: bool, has_room: bool = True) -> list[Incident]:
        """Weigh the windows that end at or before this time. Returns the incidents that changed, as they were then.

        `has_room` says whether there is room for another reference: else it goes on learning.
        """
        changed = []
        for window in self.books.due(time):
            parted, about = self.books.close(window)
            came = parted.regrouped(np.zeros(max(len(about), 1), dtype=np.int64))
            self._heard, counted = window + self._own.window_ms, self._counted(parted, len(about))
            evidence, incident = self.evidence, self.incident
            if evidence is not None and incident is not None and incident.reference != evidence.reference.address:
                changed += self.close_incident("the reference changed (file)")
            if self._learning:
                changed += self._learn(window, came, has_room=has_room)
            if evidence is not None and evidence is self.evidence:  # else this window is part of the new reference
                changed += self._judge(evidence, window, counted, list(about), inputs_moved=inputs_moved)
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

    def _counted(self, came: Tally, books: int) -> Tally:
        """Return what metrics count of the labels that arrived, and note how many they leave out."""
        found = self._known(came)
        self._left_out += int((labelled(came, books) - labelled(found, books)).sum())
        return found

    def _learn(self, window: int, came: Tally, *, has_room: bool) -> list[Incident]:
        """Add what arrived to what a reference is made of; once there is enough, compare with it from the next on."""
        is_enough = self.learner.add(window, self._heard, came)
        self._has_no_room = is_enough and not has_room
        if not is_enough or not has_room:
            return []
        tally, stretches = self.learner.finish(self._named)
        alike = self._is_alike(list(self.books.books), max(len(self.classes), 1))
        reference = PerformanceReference(self.series, self.classes, tally, stretches, alike)
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
            metrics=self._own.metrics,
            shown=tuple(self._own.levels),
            min_effect=self._own.min_effect,
            costs=costs_of(self._own, reference.classes),
            budget=budget,
            window_ms=self._own.window_ms,
            allowance=allowance,
        )
        self.windows, self.is_new = [], True

    def _judge(
        self, evidence: PerformanceEvidence, window: int, came: Tally, books: Sequence[int], *, inputs_moved: bool
    ) -> list[Incident]:
        """Weigh one window, and tell what it says. `came` has a group for each window of predictions."""
        own, study = self._book(window), evidence.yardstick.study
        predictions, about = int(labelled(own, 1)[0] + waiting(own, 1)[0]), labelled(came, len(books)).tolist()
        labels, new, back, over = sum(about), list[tuple[Finding, Tally]](), set[str](), set[str]()
        steps = steps_of(came, dict(zip(books, about, strict=True)))
        for step in steps:
            whole = self._books(step.main) or step.rows
            alike = self._is_alike(step.main, evidence.yardstick.kind.classes)
            weighed = ToWeigh(step.rows, step.latest, alike, len(steps))
            verdict = evidence.weigh(dict.fromkeys((EvidenceOf.MEANING, EvidenceOf.MEASURED), weighed))
            told = {finding.part for finding, _ in new}
            new += [(finding, self._since(finding, step.main) or whole) for finding in verdict.new]
            back |= {part.value for part in verdict.back if part not in told}
            over |= {part.value for part in verdict.back if part in told}
        if predictions >= self._rules.min_events:
            verdict = evidence.weigh({EvidenceOf.ESTIMATED: ToWeigh(own, window)})
            new += [(finding, own) for finding in verdict.new]
            back |= {part.value for part in verdict.back}
        has_levels = bool(self._own.levels) and labels >= self._rules.min_events
        signals, unforeseen = list[Signal](), False
        if new or has_levels:
            main = [book for book, many in zip(books, about, strict=True) if many >= MAIN_SHARE * labels]
            by_labels = study(self._books(main) or merged([step.rows for step in steps]), 1)
            studies = [study(whole, 1) for _, whole in new]
            unforeseen = any(bool(metric.unforeseen[0]) for each in (by_labels, *studies) for metric in each.metrics)
            for (finding, _), found in zip(new, studies, strict=True):
                signals += of_part(finding, found, self.series, inputs_moved=inputs_moved)
            for signal, kept in self._levels(by_labels) if has_levels else []:
                signals += [] if kept else [signal]
                back |= {signal.name} if kept else set()
        self._note(study, sorted({window, *books}))
        change = partial(
            self.following.change,
            self.subject,
            self._rules,
            Window(window, window + self._own.window_ms, max(predictions, labels)),
            reference=evidence.reference.address,
            is_sure=evidence.is_sure,
            inputs_moved=inputs_moved,
            unforeseen=unforeseen,
        )
        began = min((each.began for each, _ in new if each.began is not None), default=window)
        changed = [change(signals, sorted(back), began=began)]
        if over:  # labels of later predictions, which came in the same window, say so
            changed.append(change([], sorted(over), began=None))
        return [each for each in changed if each is not None]

    def _since(self, finding: Finding, windows: Sequence[int]) -> Tally | None:
        """Return what is known of those windows of predictions that are since a change began."""
        return None if finding.began is None else self._books([each for each in windows if each >= finding.began])

    def _is_alike(self, windows: Sequence[int], classes: int) -> bool:
        """Tell whether labels of the predictions of some windows come for all scores alike."""
        held = [self._book(window) for window in windows if window in self.books.books]
        parts = [book.regrouped(np.array([at])) for at, book in enumerate(held)]
        return come_alike(merged(parts), max(len(parts), 1), classes)

    def _books(self, windows: Sequence[int]) -> Tally | None:
        """Return what is known of the predictions of some windows; None where nothing is."""
        held = [self._book(window) for window in windows if window in self.books.books]
        return merged(held) if held else None

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
            low, value, high = real.low[0], real.values[0], real.high[0]
            if metric.name in UNSIGNED and value < 0:
                low, value, high = -high, -value, -low
            below = (high < wanted) if sign == ">=" else (low > wanted)
            meets = (value >= wanted) if sign == ">=" else (value <= wanted)
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
    for cell, worth in rules.costs.items():
        true, predicted = map(class_of, cell)
        if true in at and predicted in at:
            matrix[at[true], at[predicted]] = worth
    return matrix
