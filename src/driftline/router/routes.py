"""Where an alert goes, and why: a tree of routes as in Alertmanager.

An alert enters at the root. It goes on to the first child whose matchers it meets, and to the next ones too where that
child says `continue`. Where no child takes it, the route's own sink does. What a route leaves out it takes from its
parent.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from driftline.incidents.alerts import Alert
from driftline.incidents.matching import Labels, Matcher, all_match, configured, labels_of
from driftline.router.patience import Limit


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of each week: on these days (0 is Monday) from one minute of the day until before another."""

    days: frozenset[int]
    begin: int
    end: int
    zone: str

    def holds(self, now: int) -> bool:
        """Tell whether a time (epoch milliseconds) is in it.

        >>> night = Hours(frozenset(range(7)), 22 * 60, 6 * 60, "UTC")
        >>> night.holds(23 * 3_600_000), night.holds(5 * 3_600_000), night.holds(12 * 3_600_000)
        (True, True, False)
        """
        zone: tzinfo = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
        local = datetime.fromtimestamp(now / 1000, zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the tree, with what it took from its parent. Times in milliseconds."""

    path: str
    """Where it is in the tree, such as `route.routes[1]`: for people, and part of the key of its groups."""
    sink: str
    matchers: tuple[Matcher, ...]
    group_by: tuple[str, ...]
    group_wait: int
    group_interval: int
    repeat_interval: int | None
    mute: tuple[Hours, ...]
    goes_on: bool
    pending: int = 0
    """An incident that was over before it had lasted so long is not told."""
    escalate_after: int | None = None
    """What this route's sink was told of and nobody acknowledged for so long is more severe by one from then on."""
    children: tuple["Route", ...] = ()

    def muted(self, now: int) -> bool:
        """Tell whether nothing may go out now."""
        return any(hours.holds(now) for hours in self.mute)

    def group(self, labels: Labels) -> dict[str, str]:
        """Return the labels by which alerts are put together here; `incident` puts each by itself."""
        return {name: labels.get(name, "") for name in self.group_by}

    @property
    def shares(self) -> bool:
        """Whether incidents of several models that report the same are told together here."""
        return "incident" not in self.group_by

    def walk(self) -> Iterator["Route"]:
        """Yield this route and all below."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Inhibition:
    """An alert like `source` that fires keeps those like `target` back, where the labels in `equal` are the same."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def reach(self, firing: Iterable[Labels]) -> frozenset[tuple[str, ...]]:
        """Return what the targets must have in `equal` to be kept back by those that fire."""
        sources = (each for each in firing if all_match(self.source, each) and not all_match(self.target, each))
        return frozenset(self._alike(each) for each in sources)

    def holds_back(self, target: Labels, reach: frozenset[tuple[str, ...]]) -> bool:
        """Tell whether an alert is kept back."""
        return bool(reach) and self._alike(target) in reach and all_match(self.target, target)

    def _alike(self, labels: Labels) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.equal)


@dataclass(frozen=True, slots=True)
class Routing:
    """All that decides where an alert goes."""

    root: Route
    inhibitions: tuple[Inhibition, ...]
    labels: Mapping[str, Mapping[str, str]]
    """Configured labels by model; `*` is for all others."""
    across: tuple[str, ...] | None = None
    """Labels that models must have in common to be told together where they report the same; None: they never are."""
    returns: Limit | None = None
    """When what keeps coming back is told no more."""

    def owned(self, model: str) -> Mapping[str, str]:
        """Return the labels that are configured for a model."""
        return configured(self.labels, model)

    def labels_of(self, alert: Alert) -> Labels:
        """Return all labels of an alert."""
        return labels_of(alert, self.owned(alert.data.model))

    def holding_back(self, firing: Collection[Labels]) -> Callable[[Labels], bool]:
        """Return what tells of an alert whether one of those that fire keeps it back."""
        reaches = [(each, each.reach(firing)) for each in self.inhibitions]
        return lambda labels: any(each.holds_back(labels, reach) for each, reach in reaches)

    def taken_by(self, labels: Labels) -> list[Route]:
        """Return the routes that take an alert with these labels, in order; there is always one.

        >>> common = (("model",), 0, 0, None, ())
        >>> pager = Route("route.routes[0]", "pager", (Matcher.parse('severity="critical"'),), *common, goes_on=False)
        >>> root = Route("route", "chat", (), *common, goes_on=False, children=(pager,))
        >>> [Routing(root, (), {}).taken_by({"severity": each})[0].sink for each in ("critical", "info")]
        ['pager', 'chat']
        """
        return list(_taken_by(self.root, labels))


def _taken_by(route: Route, labels: Labels) -> Iterator[Route]:
    taken = False
    for child in route.children:
        if all_match(child.matchers, labels):
            taken = True
            yield from _taken_by(child, labels)
            if not child.goes_on:
                return
    if not taken:
        yield route
