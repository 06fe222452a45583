"""Incidents of several models that tell the same: their cause is upstream of all of them.

Each Judge task sees some of the models, so only who reads all incidents can find that. Two incidents tell the same if

- they are of different models, with the same values of the labels that the configuration names (the team),
- they are of the same kind, one whose cause may be upstream, and share a signal,
- the times in which they were found overlap or touch: each from when its change began to when it opened.

The first incident of a route, by when its change began, is told where it belongs, and the others with it. What overlaps
with another one than the first does not count, so a story does not grow with each that follows.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import TypeAlias

from driftline.events import rfc3339
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.matching import Labels
from driftline.incidents.text import listed, short

WHAT = {
    Kind.DATA_DRIFT: "data drift of {}",
    Kind.DATA_QUALITY: "changed data quality of {}",
    Kind.MIX: "a changed mix of segments by {}",
    Kind.VOLUME: "a changed number of events",
    Kind.SILENCE: "no events",
    Kind.LABELS: "labels that stop or come late",
}
"""The kinds whose cause may be upstream of models, and what is said of several that tell the same.

It is not in the kinds' definitions, because the router would import the worker's tasks and a compiler for six phrases.
`tests/router/test_across.py` asks of each new kind whether it belongs here.
"""
MAX_SAID = 3
"""Sentences about what models share."""

Fact: TypeAlias = tuple[str, ...]
"""What an incident must have in common with another one: kind, signal, and values of labels."""
Span: TypeAlias = tuple[int, int]
Order: TypeAlias = tuple[Span, str]


def facts(alert: Alert, labels: Labels, equal: Sequence[str]) -> list[Fact]:
    """Return what others may have in common with an incident; nothing where its cause is not upstream."""
    if alert.data.kind not in WHAT or not alert.data.model:
        return []
    owner = [labels.get(name, "") for name in equal]
    return [(alert.data.kind, name, *owner) for name in dict.fromkeys(signal.name for signal in alert.data.signals)]


def span(alert: Alert) -> Span:
    """Return from when to when an incident was found (epoch milliseconds): its change began, and it opened."""
    began = alert.data.began
    if began is None:
        return alert.opened - alert.data.window.size_ms, alert.opened
    return round(datetime.fromisoformat(began).timestamp() * 1000), alert.opened


def meet(one: Span, other: Span) -> bool:
    """Tell whether two spans overlap or touch.

    >>> meet((0, 10), (10, 20)), meet((0, 10), (11, 20))
    (True, False)
    """
    return one[0] <= other[1] and other[0] <= one[1]


def order(alert: Alert) -> Order:
    """Return by what incidents are put in order: when their changes began, when they opened, and their names."""
    return span(alert), alert.data.incident


class Across:
    """The open incidents, by what others may have in common with them.

    Args:
        equal: labels of which models must have the same values; None where each incident is told by itself.
    """

    def __init__(self, equal: Sequence[str] | None) -> None:
        self._equal = equal
        self._held: dict[Fact, list[tuple[Order, str]]] = {}
        """By fact, each incident and its model, in order."""
        self._known: dict[str, tuple[list[Fact], tuple[Order, str]]] = {}

    def note(self, alert: Alert, labels: Labels) -> None:
        """Take in an incident as it is now."""
        if self._equal is None:
            return
        self.forget(alert.data.incident)
        if alert.firing:
            found, held = facts(alert, labels, self._equal), (order(alert), alert.data.model)
            self._known[alert.data.incident] = found, held
            for fact in found:
                insort(self._held.setdefault(fact, []), held)

    def forget(self, incident: str) -> None:
        """Let go of an incident that is over."""
        if incident not in self._known:
            return
        found, held = self._known.pop(incident)
        for fact in found:
            others = self._held[fact]
            del others[bisect_left(others, held)]
            if not others:
                del self._held[fact]

    def like(self, alert: Alert, labels: Labels) -> Iterator[str]:
        """Yield the incidents of other models that fire and tell the same, in order."""
        when = span(alert)
        found = [] if self._equal is None else facts(alert, labels, self._equal)
        for (its, incident), model in merge(*(self._held.get(fact, []) for fact in found)):
            if its[0] > when[1]:
                return
            if model != alert.data.model and meet(when, its):
                yield incident


@dataclass(frozen=True, slots=True)
class Shared:
    """What several models report alike."""

    kind: Kind
    signals: tuple[str, ...]
    models: tuple[str, ...]
    incidents: frozenset[str]
    since: int
    """When the first of these changes began."""
    or_more: bool = False
    """Whether there are incidents that nobody looked at, so that more models may report it."""

    @property
    def what(self) -> str:
        """What they report, and how many they are: `data drift of amount in 3 models`."""
        return f"{self._said} in {self._how_many} models"

    @property
    def sentence(self) -> str:
        """That in a sentence, with since when, which models, and what to do about it."""
        who = listed(self.models)
        return (
            f"{self._how_many} models report the same, since about {rfc3339(self.since)}: {self._said} ({who}). "
            "Look upstream first, at what all of them depend on."
        )

    @property
    def _how_many(self) -> str:
        return f"{len(self.models)} or more" if self.or_more else str(len(self.models))

    @property
    def _said(self) -> str:
        return WHAT[self.kind].format(listed([short(name) for name in self.signals]))


def shared(alerts: Sequence[Alert], *, or_more: bool = False) -> list[Shared]:
    """Return what several models report alike in these alerts: what most models share comes first.

    As in the desk, a story is what overlaps with its first incident. `or_more` says that there are other alerts.
    """
    spans = {alert.data.incident: span(alert) for alert in alerts}
    by_fact: dict[Fact, list[Alert]] = {}
    for alert in sorted(alerts, key=lambda each: (spans[each.data.incident], each.data.incident)):
        for fact in facts(alert, {}, ()):
            by_fact.setdefault(fact, []).append(alert)
    stories: dict[tuple[Kind, frozenset[str]], tuple[list[str], list[Alert]]] = {}
    for (_, signal), found in by_fact.items():
        while found:
            _, end = spans[found[0].data.incident]
            count = bisect_right(found, end, key=lambda each: spans[each.data.incident][0])
            story, found = found[:count], found[count:]
            if len({each.data.model for each in story}) > 1:
                same = story[0].data.kind, frozenset(each.data.incident for each in story)
                stories.setdefault(same, ([], story))[0].append(signal)
    told = [
        Shared(
            kind,
            tuple(signals),
            tuple(sorted({each.data.model for each in story})),
            incidents,
            spans[story[0].data.incident][0],
            or_more,
        )
        for (kind, incidents), (signals, story) in stories.items()
    ]
    return sorted(told, key=lambda each: (-len(each.models), each.since, each.kind, each.signals))
