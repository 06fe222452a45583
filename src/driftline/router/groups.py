"""Groups: incidents that are told together to one sink, and what is on its way there. All of it is stored as it is."""

from collections.abc import Mapping

import msgspec

from driftline.incidents.incident import digest
from driftline.router.routes import Route

NEVER_TOLD = ""


class Sending(msgspec.Struct):
    """A notification on its way."""

    key: str
    told: dict[str, str]
    """By incident, the change that it tells."""
    changed: list[str]
    more: int
    reminder: bool
    at: int
    attended: bool | None = None
    """Set where its only news is that somebody looks after all of it by now, or that nobody does any more."""
    word: str = ""
    """That in words."""


class AlertGroup(msgspec.Struct):
    """Incidents that are told together to one sink."""

    sink: str
    route: str
    labels: dict[str, str]
    key: str
    """By which its sink knows it, from its first notification to its last, also where the routes change meanwhile."""
    since: int
    """When it began to wait for its first notification."""
    members: dict[str, str] = {}
    """By incident, the id of the change of which the sink heard last."""
    last: int | None = None
    """When the sink heard of it last."""
    count: int = 0
    """Notifications so far, those not delivered included."""
    thread: str = ""
    attended: bool = False
    """Whether the sink knows that somebody looks after all of it."""
    sending: Sending | None = None

    @classmethod
    def begun(cls, route: Route, labels: dict[str, str], since: int) -> "AlertGroup":
        """Return a new group of a route."""
        named = (part for name, value in sorted(labels.items()) for part in (name, value))
        return cls(route.sink, route.path, labels, digest(route.sink, route.path, str(since), *named), since)

    def mend(self, now: int) -> bool:
        """Return whether a clock was ahead that tells now, or told then, and count from now on where it was."""
        ahead = self.since > now or (self.last is not None and self.last > now)
        if ahead:
            self.since, self.last = min(self.since, now), None if self.last is None else min(self.last, now)
        return ahead


class Refused(msgspec.Struct, frozen=True):
    """A notification that a sink will never take: a dead letter."""

    sink: str
    key: str
    title: str
    reason: str
    at: int


def name_of(route: Route, labels: Mapping[str, str]) -> str:
    """Return the name under which a group is stored."""
    return digest(route.path, route.sink, *(part for pair in sorted(labels.items()) for part in pair))
