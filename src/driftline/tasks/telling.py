"""From incidents that were found to what is told of them.

    found ──► put together by cause (`causes`) ──► without what a person ended (`resolved`) ──► alerts
      └─ what is open, and what of it a person should see: counts and views

Those who judge know nothing of this, and it knows nothing of evidence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from driftline.incidents.alerts import Alert, alert_of
from driftline.incidents.incident import Incident, Kind
from driftline.panes.records import Resolve
from driftline.tasks.causes import Causes
from driftline.tasks.resolved import Resolved
from driftline.tasks.viewing import incident_view
from driftline.tasks.views import IncidentView


@dataclass(frozen=True, slots=True)
class Told:
    """An incident that changed, as it was then, and the alert to publish: its key is the incident's fingerprint."""

    incident: Incident
    alert: Alert

    @property
    def key(self) -> bytes:
        """The key of the record to publish."""
        return self.alert.key

    @property
    def value(self) -> bytes:
        """The value of the record to publish."""
        return self.alert.encode()


class Telling:
    """See the module's head.

    Args:
        group: the consumer group, which is part of what incidents are known by.
        causes: puts findings together.
        found: returns what is open for those who judge.
    """

    def __init__(self, group: str, causes: Causes, found: Callable[[], Iterable[Incident]]) -> None:
        self._group = group
        self._causes = causes
        self._found = found
        self._resolved = Resolved(self._open)
        self._changed: list[Incident] = []
        """What is still to be put together by cause, as it was when it changed."""
        self._alerts: list[Told] = []

    def note(self, changed: Sequence[Incident]) -> None:
        """Note incidents that changed; they are told with the next that are put together."""
        self._changed += changed

    def put_together(self, time: int, *, weighed: bool) -> None:
        """Tell what changed until a time, as incidents with all that has their cause, and what they cost.

        What they cost may be known where outcomes were `weighed`, too.
        """
        changed, self._changed = self._changed, []
        if weighed or changed:
            self._publish(self._resolved.tell([*self._causes.take(changed, time), *self._causes.appraise()]))

    def wake(self, time: int) -> None:
        """Tell anew what goes on though a person ended it, where that was so long ago."""
        self._publish(self._resolved.wake(time))

    def obey(self, command: Resolve, mark: int) -> None:
        """End the incident that a person names."""
        self._publish(self._resolved.obey(command, mark))

    @property
    def deadline(self) -> int | None:
        """When there is something to tell anew."""
        return self._resolved.deadline

    def _publish(self, changed: Sequence[Incident]) -> None:
        self._alerts += [Told(incident, alert_of(incident, group=self._group)) for incident in changed]

    def emit(self) -> list[Told]:
        """Take out the changes that are to be told, in order."""
        alerts, self._alerts = self._alerts, []
        return alerts

    def open_incidents(self) -> Counter[tuple[str, Kind]]:
        """Count what fires, by model ("" is the stream itself) and kind."""
        return Counter((incident.subject.model, incident.kind) for incident in self._resolved.left(self._open()))

    def _open(self) -> Iterator[Incident]:
        """Yield the incidents that are open, whether or not a person ended them."""
        for cause in self._causes.open:
            yield cause.lead
        for incident in self._found():
            if self._causes.of(incident) is None:
                yield incident

    def views_of_stream(self, found: Iterable[Incident]) -> list[IncidentView]:
        """Return the views of what is open about the stream, which has no cause in common with models."""
        return [incident_view(each) for each in self._resolved.left(found)]

    def views(self, found: Iterable[Incident]) -> list[IncidentView]:
        """Return the views of what is open for those who judge, without what a person ended."""
        views = []
        for each in found:
            cause = self._causes.of(each)
            told = self._resolved.seen(each if cause is None else cause.lead)
            if told is None:
                continue
            if told.fingerprint == each.fingerprint:
                views.append(incident_view(msgspec.structs.replace(each, opened=told.opened), each.subject.model))
            else:
                views.append(incident_view(each, each.subject.model, told.id))
        return views

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        return {**self._causes.checkpoint(), **self._resolved.checkpoint()}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises what a wrong value causes."""
        self._causes.restore(blobs)
        self._resolved.restore(blobs)
