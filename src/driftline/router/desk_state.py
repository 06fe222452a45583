"""What the desk holds: incidents, the groups that deliver them, and what people said. It knows which of it to store.

Each incident and each group is a blob. Whoever changes one calls `touch`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from driftline.codec import corrupt_if_it_fails
from driftline.incidents.alerts import Alert
from driftline.incidents.responses import Acknowledgement, Responses, Silence
from driftline.router.groups import AlertGroup, Refused
from driftline.router.patience import Held

MAX_REFUSED = 100


class DeskState:
    """See the module's head."""

    def __init__(self) -> None:
        self.began: int | None = None
        """When the router was first started."""
        self.refused: list[Refused] = []
        """The latest dead letters."""
        self.incidents: dict[str, Held] = {}
        self.groups: dict[str, AlertGroup] = {}
        self.responses = Responses()
        self._by_incident: dict[str, set[str]] = {}
        self._new: defaultdict[str, set[str]] = defaultdict(set)
        self._dirty: set[str] = set()

    def latest(self, incident: str) -> Alert:
        """Return an incident as it stands."""
        return self.incidents[incident].latest

    def groups_of(self, incident: str) -> Iterator[AlertGroup]:
        """Yield the groups that tell of an incident."""
        return (self.groups[name] for name in self.names_of(incident))

    def names_of(self, incident: str) -> set[str]:
        """Return the names of the groups that tell of an incident."""
        return self._by_incident.get(incident, set())

    def new(self, route: str) -> int:
        """Return how many groups of a route wait for their first notification."""
        return len(self._new[route])

    # changes

    def hold(self, incident: str, held: Held) -> None:
        """Write down an incident."""
        self.incidents[incident] = held
        self.touch(incident=incident)

    def add(self, name: str, group: AlertGroup) -> None:
        """Write down a group, and which incidents it tells of."""
        self.groups[name] = group
        for incident in group.members:
            self.join(incident, name)
        if group.count == 0:
            self._new[group.route].add(name)

    def join(self, incident: str, name: str) -> None:
        """Note that a group tells of an incident."""
        self._by_incident.setdefault(incident, set()).add(name)

    def leave(self, incident: str, name: str) -> None:
        """Take an incident out of a group that nobody was told of, and let go of one that is empty then."""
        group = self.groups[name]
        del group.members[incident]
        self.names_of(incident).discard(name)
        self.touch(group=name)
        if not group.members:
            self.drop(name)

    def sent(self, name: str) -> None:
        """Note that a group has its first notification, or another one."""
        self._new[self.groups[name].route].discard(name)
        self.touch(group=name)

    def drop(self, name: str) -> None:
        """Let go of a group."""
        group = self.groups.pop(name)
        self._new[group.route].discard(name)
        for incident in group.members:
            self.names_of(incident).discard(name)
        self.touch(group=name)

    def forget(self, incident: str) -> None:
        """Let go of an incident."""
        del self.incidents[incident]
        self._by_incident.pop(incident, None)
        self.touch(incident=incident)

    def trim(self, incident: str) -> None:
        """Let go of changes of an incident that all sinks have heard of."""
        held = self.incidents[incident]
        known = {group.members[incident] for group in self.groups_of(incident)}
        ids = [alert.id for alert in held.changes]
        first = min((ids.index(change) if change in ids else 0 for change in known), default=len(ids) - 1)
        if first:
            held.changes = held.changes[first:]
            self.touch(incident=incident)

    def refuse(self, letter: Refused) -> None:
        """Keep a dead letter: the latest ones."""
        self.refused = [*self.refused, letter][-MAX_REFUSED:]
        self._dirty.add("desk")

    def begin(self, now: int) -> None:
        """Note when the router was first started."""
        if self.began is None:
            self.began = now
            self._dirty.add("desk")

    def respond(self, word: Acknowledgement | Silence) -> None:
        """Take in what somebody said of incidents."""
        if self.responses.take(word):
            self._dirty.add("responses")

    def forget_responses(self, before: int) -> None:
        """Let go of what people said before a time of incidents that are gone."""
        if self.responses.forget(self.incidents, before):
            self._dirty.add("responses")

    def touch(self, *, incident: str | None = None, group: str | None = None) -> None:
        """Note that an incident or a group is to be stored again."""
        if incident is not None:
            self._dirty.add(f"incident/{incident}")
        if group is not None:
            self._dirty.add(f"group/{group}")

    # what is stored

    def writes(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last call; None deletes one."""
        found: dict[str, bytes | None] = {}
        for name in sorted(self._dirty):
            kind, _, key = name.partition("/")
            held: object = self.incidents.get(key) if kind == "incident" else self.groups.get(key)
            if kind == "desk":
                held = (self.began, self.refused)
            elif kind == "responses":
                held = [*self.responses.acknowledged.values(), *self.responses.silences.values()]
            found[name] = None if held is None else msgspec.json.encode(held)
        self._dirty.clear()
        return found

    def restore(self, blobs: Mapping[str, bytes]) -> dict[str, AlertGroup]:
        """Take up what was stored, except groups: they are returned, for routes may have changed.

        Raises `StateCorrupt`.
        """
        groups: dict[str, AlertGroup] = {}
        with corrupt_if_it_fails("router"):
            for name, blob in sorted(blobs.items()):
                kind, _, key = name.partition("/")
                if kind == "incident":
                    self.incidents[key] = msgspec.json.decode(blob, type=Held)
                elif kind == "group":
                    groups[key] = msgspec.json.decode(blob, type=AlertGroup)
                elif kind == "responses":
                    for word in msgspec.json.decode(blob, type=list[Acknowledgement | Silence]):
                        self.responses.take(word)
                else:
                    self.began, self.refused = msgspec.json.decode(blob, type=tuple[int | None, list[Refused]])
        return groups
