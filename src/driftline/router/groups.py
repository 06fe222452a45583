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


class Group(msgspec.Struct):
    """Incidents that are told together to one sink."""

    sink: str
    route: str
    labels: dict[str, str]
    since: int
    """When it began to wait for its first notification."""
    members: dict[str, str] = {}
    """By incident, the id of the change of which the sink heard last."""
    last: int | None = None
    """When the sink heard of it last."""
    count: int = 0
    """Notifications so far, those not delivered included."""
    thread: str = ""
    sending: Sending | None = None

    @property
    def key(self) -> str:
        """The same from the first notification of the group to its last."""
        named = (part for name, value in sorted(self.labels.items()) for part in (name, value))
        return digest(self.sink, self.route, str(self.since), *named)


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
