"""Where alerts would go, and why, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from driftline.incidents.matching import Labels
from driftline.router.routes import Route, Routing


@dataclass(frozen=True, slots=True)
class Planned:
    """One alert at one route."""

    labels: Labels
    route: Route
    held_back: bool
    muted: bool

    @property
    def because(self) -> str:
        """The matchers that led here, or that nothing else took it."""
        return " and ".join(map(str, self.route.matchers)) or "no other route takes it"

    @property
    def now(self) -> str:
        """What would happen now."""
        if self.held_back:
            return "held back by an inhibition"
        return "waiting: the route is muted" if self.muted else "goes out"

    def as_row(self) -> tuple[str, ...]:
        """Return the cells of a table."""
        named = [self.labels.get(name, "") for name in ("severity", "model", "segment", "kind")]
        group = ", ".join(f"{name}={value}" for name, value in self.route.group(self.labels).items()) or "everything"
        where = " ".join(filter(None, named)) or "(no labels)"
        return where, self.route.sink, self.route.path, self.because, group, self.now

    def in_words(self) -> str:
        """Say where it would go, and why."""
        group = " and ".join(f"{name} {value}" for name, value in self.route.group(self.labels).items())
        together = f"with other incidents of {group}" if group else "with all others"
        return f"to {self.route.sink}, {together}, because {self.because}: it {self.now}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "labels": dict(self.labels),
            "sink": self.route.sink,
            "route": self.route.path,
            "because": self.because,
            "group": self.route.group(self.labels),
            "held_back": self.held_back,
            "muted": self.muted,
        }


def planned(routing: Routing, alerts: Sequence[Labels], now: int) -> list[Planned]:
    """Return for alerts that fire together, given by their labels, each route that would take them.

    `now` is in epoch milliseconds.
    """
    held_back = routing.holding_back(alerts)
    return [
        Planned(labels, route, held_back=held_back(labels), muted=route.muted(now))
        for labels in alerts
        for route in routing.taken_by(labels)
    ]
