"""Where alerts would go, and why, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from driftline.incidents.alerts import Alert
from driftline.incidents.matching import Labels
from driftline.incidents.responses import Silence, silencing
from driftline.router.across import Across, Shared, order, shared
from driftline.router.routes import Route, Routing


@dataclass(frozen=True, slots=True)
class Planned:
    """One alert at one route."""

    labels: Labels
    route: Route
    held_back: bool
    muted: bool
    silenced: bool = False
    shares: Shared | None = None
    """What it and incidents of other models report alike, for which it is told with the first of these."""
    first: Labels = field(default_factory=dict)
    """The labels of that."""

    @property
    def group(self) -> dict[str, str]:
        """The labels of those with which it is told."""
        return self.route.group(self.first or self.labels)

    @property
    def because(self) -> str:
        """The matchers that led here, or that nothing else took it."""
        return " and ".join(map(str, self.route.matchers)) or "no other route takes it"

    @property
    def now(self) -> str:
        """What would happen now."""
        if self.silenced:
            return "held back by a silence"
        if self.held_back:
            return "held back by an inhibition"
        return "waiting: the route is muted" if self.muted else "goes out"

    def as_row(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        named = [self.labels.get(name, "") for name in ("severity", "model", "segment", "kind")]
        group = ", ".join(f"{name}={value or '(none)'}" for name, value in self.group.items()) or "everything"
        group += f", because of {self.shares.what}" if self.shares else ""
        where = " ".join(filter(None, named)) or "(no labels)"
        return where, self.route.sink, self.route.path, self.because, group, self.now

    def in_words(self) -> str:
        """Say where it would go, and why."""
        group = " and ".join(f"{name} {value}" for name, value in self.group.items())
        together = f"with other incidents of {group}" if group else "with all others"
        together += f", as both report the same ({self.shares.what})" if self.shares else ""
        return f"to {self.route.sink}, {together}, because {self.because}: it {self.now}"


def planned(
    routing: Routing, alerts: Sequence[Labels | Alert], now: int, silences: Sequence[Silence] = ()
) -> list[Planned]:
    """Return for alerts that fire together, or labels of some, each route that would take them.

    `now` is in epoch milliseconds. Labels alone do not tell what an incident has in common with those of other models.
    """
    given = [(routing.labels_of(each), each) if isinstance(each, Alert) else (each, None) for each in alerts]
    held_back, silenced = routing.holding_back([labels for labels, _ in given]), silencing(silences)
    leading = _leading(routing, [(alert, labels) for labels, alert in given if alert is not None])
    found = []
    for labels, alert in given:
        for route in routing.taken_by(labels):
            plan = Planned(labels, route, held_back(labels), route.muted(now), silenced(labels))
            if alert is not None and (route.path, alert.data.incident) in leading:
                first, its = leading[route.path, alert.data.incident]
                plan = replace(plan, shares=shared([first, alert])[0], first=its)
            found.append(plan)
    return found


_Known: TypeAlias = tuple[Alert, Labels]


def _leading(routing: Routing, alerts: Sequence[_Known]) -> dict[tuple[str, str], _Known]:
    """Return by route and incident the one of another model with which it is told, where there is one."""
    across, found = Across(routing.across), dict[tuple[str, str], _Known]()
    own: dict[tuple[str, str], _Known] = {}
    for alert, labels in sorted(alerts, key=lambda each: order(each[0])):
        for route in routing.taken_by(labels):
            like = across.like(alert, labels) if route.shares else ()
            first = next((own[route.path, each] for each in like if (route.path, each) in own), None)
            if first is None:
                own[route.path, alert.data.incident] = alert, labels
            else:
                found[route.path, alert.data.incident] = first
        across.note(alert, labels)
    return found
