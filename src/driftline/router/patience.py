"""How long an incident must last to be told, and what becomes of one that nobody looks after, or that comes back.

Times are those of the clock on the wall, in epoch milliseconds: of when an incident's changes were published, and of
when people heard of it. So a stream that is replayed or late does not count its own past as somebody's neglect.
"""

from collections import defaultdict
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from driftline.config import format_duration
from driftline.events import rfc3339
from driftline.incidents.alerts import TYPE_PREFIX, Alert
from driftline.incidents.incident import BY_HAND, Status, digest
from driftline.incidents.severity import SEVERITIES, urgency


class Held(msgspec.Struct):
    """An incident: its changes that some sink has not heard of, and the last one."""

    changes: list[Alert]
    arrived: int
    """When the last change was published, in epoch milliseconds."""
    since: int = 0
    """When the first one was."""
    told: int | None = None
    """When a sink heard of it whose route escalates."""
    raised: bool = False
    """Whether it is more severe by one than it says, because nobody acknowledged it."""
    counted: bool = False
    """Whether its end says how often it came."""

    @property
    def latest(self) -> Alert:
        """The incident as it stands."""
        return self.changes[-1]

    def lasted(self, now: int) -> int:
        """Return how long it has been known to fire, or was."""
        return (now if self.latest.firing else self.arrived) - self.since

    def escalate(self, after: int) -> None:
        """Raise its severity by one from now on, and say so in a change of its own."""
        said = f"{self.latest.data.summary} Nobody acknowledged it for {format_duration(after)}."
        data = replace(self.latest.data, summary=said)
        change = replace(self.latest, id=digest(self.latest.id, "escalated"), data=data)
        self.changes.append(more_severe(change))
        self.raised = True

    def end_before(self, newer: Alert, published: int) -> None:
        """Have it over, as one of its kind and subject that opened later shows, though nobody read its end."""
        change = _with(self.latest, f"Its end was not seen; the next one opened at {newer.data.opened}.")
        data = replace(change.data, status=Status.RESOLVED, resolved=newer.data.opened, update=None)
        self.changes.append(
            replace(
                change,
                id=digest(change.id, "its end was not seen"),
                type=TYPE_PREFIX + Status.RESOLVED,
                time=newer.data.opened,
                data=data,
            )
        )
        self.arrived = published


def more_severe(alert: Alert) -> Alert:
    """Return an alert whose severity is the next higher one, if there is one: info, warning, critical."""
    return replace(alert, severity=SEVERITIES[max(urgency(alert.severity) - 1, 0)])


@dataclass(frozen=True, slots=True)
class Limit:
    """So many incidents of one kind and subject are told one by one if they open within a span (milliseconds).

    The last of them flaps: its sinks hear that it is over once fewer opened in the span before.
    """

    times: int
    within: int


class Returns:
    """Which incidents are the same one that comes back. Without a limit, each is told."""

    def __init__(self, limit: Limit | None) -> None:
        self._limit = limit
        self._opened: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        """By fingerprint, when each of its incidents was first published, and when it opened."""

    def note(self, alert: Alert, since: int) -> None:
        """Note an incident."""
        self._opened[alert.partitionkey].setdefault(alert.data.incident, (since, alert.opened))

    def alike(self, alert: Alert) -> list[str]:
        """Return the incidents of an alert's kind and subject."""
        return list(self._opened.get(alert.partitionkey, ()))

    def forget(self, alert: Alert) -> None:
        """Let go of an incident."""
        held = self._opened.get(alert.partitionkey, {})
        held.pop(alert.data.incident, None)
        if not held:
            self._opened.pop(alert.partitionkey, None)

    def too_often(self, held: Held, now: int) -> bool:
        """Tell whether so many came within the span before now that this one is not told unless it outlasts it."""
        return self._limit is not None and len(self._came(held, now, held.since)) > self._limit.times

    def flaps(self, held: Held, now: int) -> bool:
        """Tell whether so many came within the span before now that one which is over may come back.

        What a person ended is over.
        """
        limit = self._limit
        if limit is None or limit.times == 1 or BY_HAND in held.latest.data.summary:
            return False
        return len(self._came(held, now, now)) >= limit.times

    def remarked(self, alert: Alert, held: Held) -> Alert:
        """Return an alert that opens an incident, with how often it came back if that was too often."""
        limit = self._limit
        came = [] if limit is None else self._came(held, held.since, held.since)
        if limit is None or limit.times == 1 or len(came) < limit.times:
            return alert
        said = f"It keeps coming back: {len(came)} times since {rfc3339(min(came))}."
        if len(came) == limit.times:
            said += (
                " From now on it counts as one that goes on, until it came fewer than"
                f" {limit.times} times within {format_duration(limit.within)}."
            )
        return _with(alert, said)

    def count(self, held: Held) -> bool:
        """Have an incident that flapped say at its end how often it came back. Returns whether that is new."""
        limit = self._limit
        if limit is None or held.counted or limit.times == 1:
            return False
        came = sorted(self._came(held, held.since, 1 << 62))
        if len(came) <= limit.times:
            return False
        held.changes[-1] = _with(held.latest, f"It came {len(came)} times since {rfc3339(came[0])}.")
        held.counted = True
        return True

    def _came(self, held: Held, now: int, until: int) -> list[int]:
        """Return when those of its kind and subject opened that were published from a span before now until then."""
        assert self._limit is not None
        opened = self._opened.get(held.latest.partitionkey, {}).values()
        return [when for since, when in opened if now - self._limit.within < since <= until]


def _with(alert: Alert, said: str) -> Alert:
    data = replace(alert.data, summary=f"{alert.data.summary} {said}")
    return replace(alert, data=data)
