"""Where incidents are told: in which group of each route that takes them.

Incidents of several models that report the same are told where the first of them belongs: the one whose change began
first. Which one that is does not depend on the order in which they came, as long as nobody was told: one that comes
later and began earlier takes the others with it. Who was told stays where it is.
"""

from collections.abc import Container

from driftline.incidents.alerts import Alert
from driftline.router.across import Across, order
from driftline.router.desk_state import DeskState
from driftline.router.groups import NEVER_TOLD, AlertGroup, name_of
from driftline.router.routes import Route, Routing

MAX_WAITING = 50
"""Groups of a route that wait for their first notification. In a storm what comes beyond is told together."""


class Grouping:
    """See the module's head.

    Args:
        routing: where alerts go.
        sinks: those that there are; a route to another one is left out.
        state: has the incidents and groups.
    """

    def __init__(self, routing: Routing, sinks: Container[str], state: DeskState) -> None:
        self._routing = routing
        self._sinks = sinks
        self._state = state
        self._across = Across(routing.across)

    def put(self, alert: Alert, since: int) -> None:
        """Put an incident into a group of each route that takes it as it is now. At a route it stays where it is.

        `since` is when it began to wait (epoch milliseconds).
        """
        incident, labels = alert.data.incident, self._routing.labels_of(alert)
        self._across.note(alert, labels)
        there = {group.route for group in self._state.groups_of(incident)}
        for route in self._routing.taken_by(labels):
            if route.sink in self._sinks and route.path not in there:
                self._put(route, alert, since)
        for name in self._state.names_of(incident):
            self._state.touch(group=name)

    def _put(self, route: Route, alert: Alert, since: int) -> None:
        incident = alert.data.incident
        home = self._first(route, alert)
        name = home or self._group(route, alert, since)
        group = self._state.groups[name]
        group.since = min(group.since, since) if group.count == 0 else group.since
        group.members.setdefault(incident, NEVER_TOLD)
        self._state.join(incident, name)
        if home is None and route.shares:
            for other, waiting in self._later(route, alert):
                self._put(route, self._state.latest(other), waiting)

    def _first(self, route: Route, alert: Alert) -> str | None:
        """Return the group of the first incident that tells the same, of those that are told where they belong."""
        for other in self._across.like(alert, self._routing.labels_of(alert)) if route.shares else ():
            name = self._own(route, other)
            if name in self._state.names_of(other) and self._is_first(name, other, alert):
                return name
        return None

    def _is_first(self, name: str, other: str, alert: Alert) -> bool:
        return self._state.groups[name].count > 0 or order(self._state.latest(other)) < order(alert)

    def _later(self, route: Route, alert: Alert) -> list[tuple[str, int]]:
        """Take those that tell the same as a first one from where they wait, and whoever waits with them for them.

        Returns them in order, each with since when it waits.
        """
        left = dict[str, int]()
        for other in list(self._across.like(alert, self._routing.labels_of(alert))):
            for name in sorted(self._state.names_of(other)):
                group = self._state.groups[name]
                if group.route != route.path or group.count or order(self._state.latest(other)) < order(alert):
                    continue
                guests = [each for each in group.members if self._own(route, each) != name]
                for each in {other: None, **dict.fromkeys(guests)} if self._own(route, other) == name else (other,):
                    left[each] = group.since
                    self._state.leave(each, name)
        return sorted(left.items(), key=lambda each: order(self._state.latest(each[0])))

    def _own(self, route: Route, incident: str) -> str:
        """Return the name of the group in which an incident is told that is told by itself."""
        return name_of(route, route.group(self._routing.labels_of(self._state.latest(incident))))

    def _group(self, route: Route, alert: Alert, since: int) -> str:
        """Return the name of an incident's own group; in a storm of the one for all beyond `MAX_WAITING`."""
        labels = route.group(self._routing.labels_of(alert))
        name = name_of(route, labels)
        if name not in self._state.groups and self._state.new(route.path) >= MAX_WAITING:
            labels, name = {}, name_of(route, {})
        if name not in self._state.groups:
            self._state.add(name, AlertGroup.begun(route, labels, since))
        return name
