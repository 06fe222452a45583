"""Incidents that a person ended: over for everybody who reads alerts, whatever the evidence says.

    told ──Resolve──► resolved ──cooldown of event time──► does it go on? then a new incident, with an id of its own
                          └─ it ends by itself meanwhile: there is nothing to tell

Those who judge know nothing of it: what they say of such an incident is left out here, or told under the new id. So a
person's word holds alike for all kinds, and takes nothing from what is known of the signals.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from driftline.codec import Span, Time, pack, unpack
from driftline.incidents.incident import BY_HAND, Incident, Status, Window
from driftline.incidents.text import span
from driftline.panes.records import Resolve

BLOB = "resolved"
VERSION = 1


class Ended(msgspec.Struct):
    """What a person said of an incident that still goes on."""

    by: str
    cooldown: Span
    until: Time
    """Nothing is told of it before this event time."""
    anew: Time | None = None
    """When it was told as another incident; None while it rests."""


class Resolved:
    """See the module's head.

    Args:
        open_now: returns the incidents that are open, for those who judge.
    """

    def __init__(self, open_now: Callable[[], Iterable[Incident]]) -> None:
        self._open_now = open_now
        self._ended: dict[str, Ended] = {}
        """By the id that an incident has for those who judge."""
        self._changed = False

    def obey(self, command: Resolve, mark: int) -> list[Incident]:
        """End the incident that a person names, as it was told. Returns nothing where it is not open here."""
        for incident in self._open_now():
            told = self.seen(incident)
            if told is not None and told.id == command.incident:
                self._ended[incident.id] = Ended(command.by, command.cooldown, mark + command.cooldown)
                self._changed = True
                return [_over(told, command, mark)]
        return []

    def tell(self, changed: Sequence[Incident]) -> list[Incident]:
        """Return what is to be told of these changes."""
        told = self.left(changed)
        for incident in changed:
            if incident.status is Status.RESOLVED and self._ended.pop(incident.id, None) is not None:
                self._changed = True
        return told

    def left(self, incidents: Iterable[Incident]) -> list[Incident]:
        """Return incidents as people know them, without those that rest."""
        return [each for each in map(self.seen, incidents) if each is not None]

    def seen(self, incident: Incident) -> Incident | None:
        """Return an incident as people know it; None while it rests."""
        ended = self._ended.get(incident.id)
        if ended is None:
            return incident
        return None if ended.anew is None else msgspec.structs.replace(incident, opened=ended.anew)

    @property
    def deadline(self) -> int | None:
        """When the next cooldown is over."""
        return min((ended.until for ended in self._ended.values() if ended.anew is None), default=None)

    def wake(self, time: int) -> list[Incident]:
        """Return what goes on after its cooldown, as incidents that open now."""
        told = []
        for incident in self._open_now() if self.deadline is not None and self.deadline <= time else ():
            ended = self._ended.get(incident.id)
            if ended is not None and ended.anew is None and ended.until <= time:
                ended.anew = time
                self._changed = True
                told.append(_again(incident, ended))
        return sorted(told, key=lambda each: (each.subject, each.kind))

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blob to write if anything changed since the last checkpoint (None: delete)."""
        if not self._changed:
            return {}
        self._changed = False
        return {BLOB: pack(BLOB, VERSION, self._ended, {}) if self._ended else None}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        if BLOB in blobs:
            self._ended = msgspec.convert(unpack(blobs[BLOB], BLOB, (VERSION,)).value, dict[str, Ended])


def _over(incident: Incident, command: Resolve, mark: int) -> Incident:
    """Return an incident that a person ended."""
    end = max(mark, incident.window.end)
    why = f": {command.why.rstrip('.')}" if command.why else ""
    return msgspec.structs.replace(
        incident,
        status=Status.RESOLVED,
        window=Window(incident.window.start, end, incident.window.count),
        resolved=end,
        update=None,
        summary=f"{incident.subject}{BY_HAND}{command.by}{why}. "
        f"If it continues, a new incident opens after {span(command.cooldown)}.",
    )


def _again(incident: Incident, ended: Ended) -> Incident:
    """Return an incident that goes on, as one that opens now."""
    assert ended.anew is not None
    return msgspec.structs.replace(
        incident,
        opened=ended.anew,
        window=Window(incident.window.start, max(ended.anew, incident.window.end), incident.window.count),
        update=None,
        summary=f"{incident.summary} {ended.by} resolved it {span(ended.cooldown)} ago, but it continues.",
    )
