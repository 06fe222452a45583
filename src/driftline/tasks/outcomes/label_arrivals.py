"""Whether labels still come, and as soon as they used to: the labels of one model, by the age of its predictions.

The first windows of predictions that labels were there for say what share of labels had come at each age: the least of
them is what is usual. Where labels come all the time, what is below half of the median does not count: there was an
outage while this was learned. A window is *behind* if it has less than half of what is usual at its age. Two in a row
are told: labels stopped, or come later. By chance alone so few do not come (there would have to be 10 or more), so this
takes nothing of the budget.

    predictions ──►  ─────────────── ····· ├─────── learned from ───────┤ judged ──►
    labels ──►                        began ▲
"""

from itertools import dropwhile, pairwise
from statistics import median
from typing import Final

import msgspec

from driftline.codec import Count, Time
from driftline.events import rfc3339
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Signal, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.text import percent, span
from driftline.incidents.words import back_to_normal, begin
from driftline.performance.names import MAX_WINDOWS
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.subjects.prepared_reference import rounded
from driftline.tasks.views import LABEL_AGES, CohortView

MIN_WINDOWS: Final = 8
"""Windows of predictions that say what is usual."""
AGES: Final = 4
"""They span so many times the age at which labels of theirs still come, so that a monthly dump is seen, too; and no
more than labels are awaited.
"""
MIN_LABELS: Final = 10
"""That had to be there by now, for a window to be behind."""
BEHIND: Final = 0.5
BACK: Final = 0.75
"""Part of what is usual: below the one it is behind, above the other it is as before."""
IN_A_ROW: Final = 2
BEGIN: Final = 10
"""Labels begin where so many times as many come within a window as in any before: somebody may have tried out some."""
STEADY: Final = 0.75
"""Part of the windows that labels came in, from which on a window without any was an outage: not those of a week that
has two days without.
"""
SLACK: Final = 5
"""A window may have its labels later by a fifth of its age: some months have 28 days, and others 31 and a weekend."""


def _describe(signal: Signal) -> str:
    return f"{signal.what} {signal.after} of them have one, usually {signal.before} at least"


LABELS = Definition(
    kind=Kind.LABELS,
    happened="labels have stopped, or come later than before",
    back="labels",
    describe=_describe,
    level=(Level.ENVIRONMENT, "labels come from another system than predictions"),
)


class Cohort(msgspec.Struct, array_like=True):
    """Predictions of one window."""

    predictions: Count = 0
    labels: Count = 0
    by_age: list[Count] = []
    """Labels at the end of its own window, of the next, and so on."""


class LabelArrivals(msgspec.Struct):
    """See the module's head. Part of the state."""

    cohorts: dict[Time, Cohort] = {}
    """By start."""
    usual: list[float] = []
    """The least share of labels that had come, by age in windows; empty while it is learned."""
    first: Time | None = None
    """The first window that was over."""
    began: Time | None = None
    """The first window of predictions whose labels may have come all the time: before it there were none, or few."""
    most: Count = 0
    """Labels that came within one window, of any."""
    newest: Time = 0
    """The end of the newest slice that brought a label."""
    incident: Incident | None = None

    def take(self, start: int, end: int, predictions: int, labels: int) -> None:
        """Take in predictions of the window that begins then, and labels of theirs that came by `end` (or were taken
        back).
        """
        held = self.cohorts.setdefault(start, Cohort())
        held.predictions, held.labels = max(held.predictions + predictions, 0), max(held.labels + labels, 0)
        if labels > 0:
            self.newest = max(self.newest, end)

    def close(self, model: str, rules: ModelRules, window: int) -> list[Incident]:
        """Say that a window is over. Returns the incident that this opens or resolves."""
        assert rules.performance is not None
        size, awaited = rules.performance.window_ms, rules.performance.awaited_ms
        self.first = window if self.first is None else self.first
        came = 0
        for start, cohort in self.cohorts.items():
            came += cohort.labels - [0, *cohort.by_age][-1]
            age = min((window - start) // size, MAX_WINDOWS)  # no label is awaited for longer
            cohort.by_age += [cohort.labels] * max(age + 1 - len(cohort.by_age), 0)
        if came >= max(MIN_LABELS, BEGIN * self.most):
            self.began = window if window == self.first else window + size
        self.most = max(self.most, came)
        counted = [start for start in sorted(self.cohorts) if self.cohorts[start].predictions >= rules.min_events]
        if not self.usual:
            self._learn(counted, size, awaited, window + size)
            changed: list[Incident] = []
        else:
            changed = self._judge(model, rules, [start for start in counted if start <= window], window + size)
        if self.usual:
            kept = sorted(start for start in self.cohorts if start + size + awaited > window)[-MAX_WINDOWS:]
        else:
            newest = {*sorted(self.cohorts)[-MAX_WINDOWS:], *counted[-MAX_WINDOWS:]}
            kept = [start for start in self.cohorts if start in newest]
        self.cohorts = {start: self.cohorts[start] for start in kept}
        return changed

    def view(self) -> list[CohortView]:
        """Return how complete labels are by age, oldest window first."""
        found = []
        for start, cohort in sorted(self.cohorts.items()):
            ages = [cohort.by_age[age - 1] for age in LABEL_AGES if age <= len(cohort.by_age)]
            if ages:
                found.append(CohortView(start, cohort.predictions, ages))
        return found

    def _learn(self, counted: list[int], size: int, awaited: int, end: int) -> None:
        """Learn from the first windows what is usual, once they have gone on for long enough."""
        if self.began is None:
            return
        since = [start for start in counted if start >= self.began]
        used = list(dropwhile(lambda start: self.cohorts[start].labels < MIN_LABELS, since))
        last = 0
        for start in used:
            ages = self.cohorts[start].by_age
            last = max([last, *(age for age in range(len(ages)) if ages[age] - ([0, *ages][age]) > ages[-1] / 100)])
        wanted = min(awaited, AGES * (last + 1) * size, MAX_WINDOWS * size)
        if len(used) < MIN_WINDOWS or end - used[0] < wanted:
            return
        shares = [[came / self.cohorts[start].predictions for came in self.cohorts[start].by_age] for start in used]
        longest = max(map(len, shares))
        by_age = [[each[age] for each in shares if len(each) > age] for age in range(longest)]
        steady = self._is_steady(used, size)
        usual = [rounded(_least(held, steady=steady)) for held in by_age if len(held) >= MIN_WINDOWS // 2]
        if any(usual):  # else none of them has had the time to come
            self.usual = usual

    def _is_steady(self, used: list[int], size: int) -> bool:
        """Tell whether labels came in nearly every window since the first one: not in dumps, and on all days."""
        brought: dict[int, int] = {}
        for start in used:
            ages = self.cohorts[start].by_age
            for age, (before, came) in enumerate(pairwise([0, *ages])):
                brought[start + age * size] = brought.get(start + age * size, 0) + came - before
        since = list(dropwhile(lambda came: came <= 0, (brought[at] for at in sorted(brought))))
        return sum(came > 0 for came in since) >= STEADY * len(since)

    def _judge(self, model: str, rules: ModelRules, starts: list[int], end: int) -> list[Incident]:
        assert rules.performance is not None
        size, awaited = rules.performance.window_ms, rules.performance.awaited_ms
        ripe = []
        for start in starts:
            age = min((end - start) // size - 1, MAX_WINDOWS)
            slack = age // SLACK if (age + 1) * size < awaited else 0  # else they could not come any more
            usual = self.usual[min(age - slack, len(self.usual) - 1)]
            due = usual * self.cohorts[start].predictions
            if due >= MIN_LABELS:
                ripe.append((start, age, usual, self.cohorts[start].by_age[age] / due))
        newest = ripe[-IN_A_ROW:]
        if len(newest) < IN_A_ROW:
            return []
        window = Window(end - size, end, self.cohorts[newest[-1][0]].predictions)
        if self.incident is None and all(part < BEHIND for *_, part in newest):
            self.incident = self._begin(model, rules, newest[0], window)
            return [self.incident]
        if self.incident is not None and all(part >= BACK for *_, part in newest):
            held, self.incident = self.incident, None
            return [held.over(window, back_to_normal(held, LABELS))]
        return []

    def _begin(self, model: str, rules: ModelRules, behind: tuple[int, int, float, float], window: Window) -> Incident:
        start, age, usual, part = behind
        stopped = self.newest <= window.start
        effects = {"before": usual, "after": rounded(part * usual), "age_ms": float((age + 1) * window.size)}
        waited = f"{span((age + 1) * window.size)} after predictions"
        what = f"none since {rfc3339(self.newest)}; {waited}" if stopped else waited
        return begin(
            LABELS,
            Subject(model, "", ""),
            window,
            [Signal("labels", 0.0, effects, what=what, before=percent(usual), after=percent(part * usual))],
            group=rules.group,
            began=self.newest if stopped else start,
        )

    def close_incident(self, time: int, why: str) -> list[Incident]:
        """Close what is open, with the reason."""
        if self.incident is None:
            return []
        held, self.incident = self.incident, None
        return [held.over(Window(held.opened, max(time, held.opened), 0), f"closed: {why}")]


def _least(shares: list[float], *, steady: bool) -> float:
    """Return the least share that is usual: where labels come all the time, what is far below others is an outage."""
    least = BEHIND * median(shares) if steady else 0.0
    return min(share for share in shares if share >= least)
