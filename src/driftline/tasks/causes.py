"""One cause, one incident: findings that one change explains are parts of one incident, and told as one.

Versions and segments are judged by themselves, and so is each kind of finding. A feature that moves is therefore found
in all events, in each segment, and in what the model answers. Here, what has just changed is put together before it is
told. A finding joins an open incident of the same model and version by the first rule that holds for one of them:

    signals   they share a signal; or they began together and two numbers changed places: each is as the other was
    output    one is about inputs and the other about what the model answers to the same events (a segment's are among
              all events), or about how well; and they began within twelve windows: a small effect is dated late
    mix       they began together, and traffic moved between segments: then the number of events may change, and what
              moved may have done so in all events and in the segments that are new, but in no other; or the number
              of events changed by as much as those of the segments that came or went, whenever that is found

Together is within the model's longest window, or within the time that it took to find the one or the other: what is
found late is dated less well. Thresholds that a person set join nothing but each other. What is part of an open
incident stays so, and comes back to it.

An incident is that of its lead: of what is found first, the furthest upstream (whose the events are, data quality,
inputs, how many, output, performance), and of all events, except where one segment alone moved. It is told again when
there is another kind, segment or signal, when one is back to normal, when it is more urgent, and when it is known what
it costs (see `outcomes.costs`). It is over when all its parts are.

It only depends on what changed, in order, and is stored with a checkpoint: so it is the same wherever a task restarts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from driftline.codec import pack, unpack
from driftline.incidents.incident import Incident, Kind, Part, Status, Subject, Update
from driftline.incidents.severity import urgency
from driftline.incidents.stories import ending, opening, updating
from driftline.tasks.cause import Cause, explaining, place, rank
from driftline.tasks.kinds import defined
from driftline.tasks.outcomes.costs import DRIFTS, Cost, priced, with_cost

VERSION = 1
BLOB = "causes"


class Causes:
    """The open incidents of a Judge. See the module's head.

    Args:
        longest: returns the length of a model's longest window.
        segments: returns which segments of a model and version are compared with a reference.
        cost: returns what a drift of a subject costs, that began at one time and was found at another; None while that
            is not known.
    """

    def __init__(
        self,
        longest: Callable[[str], int],
        segments: Callable[[Subject], Sequence[str]],
        cost: Callable[[Subject, int, int], Cost | None] = lambda subject, began, opened: None,
    ) -> None:
        self._longest = longest
        self._segments = segments
        self._cost = cost
        self._open: dict[str, list[Cause]] = {}
        self._changed = True

    @property
    def open(self) -> list[Cause]:
        """All that is open, by model, what opened first first."""
        return [cause for _, causes in sorted(self._open.items()) for cause in causes]

    def of(self, found: Incident) -> Cause | None:
        """Return the incident that a finding is a part of; None where it is not of a kind that has parts."""
        return self._of(found.fingerprint, found)

    def take(self, changed: Sequence[Incident], time: int) -> list[Incident]:
        """Take in what changed until a time, in order. Returns the incidents to tell, with all their parts."""
        told: list[Incident] = []
        batch: dict[str, Incident] = {}
        for found in changed:
            key = found.fingerprint
            if key in batch:
                told += self._take(batch, time)
                batch = {}
            batch[key] = found
        return told + self._take(batch, time)

    def _take(self, batch: Mapping[str, Incident], time: int) -> list[Incident]:
        """Take in changes of which no two are of the same part."""
        order = {key: number for number, key in enumerate(batch)}
        told: dict[int, Incident] = {}
        changes: dict[int, tuple[Cause, dict[str, Incident]]] = {}
        for key, found in sorted(batch.items(), key=lambda each: rank(each[1])):
            cause = self._of(key, found)
            if cause is None and defined(found.kind).layer is not None and found.status is Status.FIRING:
                cause = self._explaining(found, batch.values()) or self._begin(found)
            if cause is None:
                told[order[key]] = found
            else:
                cause.add(key, found)
                changes.setdefault(id(cause), (cause, {}))[1][key] = found
        for cause, found_of in changes.values():
            news = self._tell(cause, found_of, time)
            if news is not None:
                told[min(order[key] for key in found_of)] = news
            if not cause.firing:
                self._end(cause)
        return [told[place] for place in sorted(told)]

    def _of(self, key: str, found: Incident) -> Cause | None:
        return next((cause for cause in self._open.get(found.subject.model, ()) if key in cause.parts), None)

    def _begin(self, found: Incident) -> Cause:
        cause = Cause(found)
        self._open.setdefault(found.subject.model, []).append(cause)
        return cause

    def _end(self, cause: Cause) -> None:
        model = cause.lead.subject.model
        self._open[model] = [other for other in self._open[model] if other is not cause]
        if not self._open[model]:
            del self._open[model]

    def _explaining(self, found: Incident, batch: Collection[Incident]) -> Cause | None:
        model = found.subject.model
        return explaining(found, self._open.get(model, []), batch, self._longest(model))

    def appraise(self) -> list[Incident]:
        """Return the incidents to tell of which it is known by now what they cost, or that they cost more."""
        told = []
        for cause in self.open:
            news = self._news(cause)
            if news is not None:
                told.append(self._tell(cause, {}, news.end))
        return [each for each in told if each is not None]

    def _news(self, cause: Cause) -> Cost | None:
        """Return what an incident costs, if that was not told, or less was: so what is told is the most by now."""
        drift = next(
            (each for each in cause.parts.values() if each.kind in DRIFTS and each.status is Status.FIRING), None
        )
        if drift is None:
            return None
        subject = Subject(cause.lead.subject.model, drift.version, cause.lead.subject.segment)
        cost = self._cost(subject, drift.began, drift.opened)
        more = cost is not None and (cause.cost is None or urgency(cost.severity) < urgency(cause.cost.severity))
        return cost if more else None

    def _tell(self, cause: Cause, changed: Mapping[str, Incident], time: int) -> Incident | None:
        """Return an incident of which parts or the cost changed as it is to be told; None where that is no news."""
        self._changed = True
        news = self._news(cause)
        cause.cost = news or cause.cost
        own, said = changed.get(next(iter(cause.parts))), cause.said
        parts = priced(cause.parts.values(), cause.cost)
        if own is not None:
            cause.own = own.summary
        moved = _scope(parts) != _scope(said) or (own is not None and own.update is not None)
        if len(parts) > 1 and cause.told is not None and news is None and not moved:
            return None
        cause.said = parts
        if len(parts) == 1 and own is not None:
            lead = own if cause.told is None or cause.cost is None else _after(own, cause.told)
            cause.told = lead.changed
        elif cause.told is None:
            cause.told = cause.lead.changed
            summary = opening(cause.lead, parts, self._segments(cause.lead.subject), defined)
            lead = msgspec.structs.replace(cause.lead, parts=parts, severity=_worst(parts), summary=summary)
        else:
            cause.told = max(time, cause.told + 1)  # each change of an incident has a time of its own
            lead = self._changed_lead(cause, own, said, parts, changed)
        cause.lead = with_cost(lead, parts, cause.cost, is_new=news is not None)
        return cause.lead

    def _changed_lead(
        self,
        cause: Cause,
        own: Incident | None,
        said: Sequence[Part],
        parts: list[Part],
        changed: Mapping[str, Incident],
    ) -> Incident:
        """Return an incident that was told before as it is now."""
        assert cause.told is not None
        listed = parts if len(parts) > 1 else []
        lead = msgspec.structs.replace(
            own or cause.lead, opened=cause.lead.opened, severity=_worst(parts), parts=listed
        )
        if not cause.firing:
            return msgspec.structs.replace(
                lead, status=Status.RESOLVED, resolved=cause.told, update=None, summary=ending(cause.own)
            )
        return msgspec.structs.replace(
            lead,
            status=Status.FIRING,
            resolved=None,
            update=_update(own, said if listed else parts, parts, cause.told),
            summary=updating(lead, own, said, parts, self._segments(cause.lead.subject), defined),
            **_level(said, changed),
        )

    def checkpoint(self) -> dict[str, bytes]:
        """Return the blob of what is open, if it changed since the last checkpoint."""
        if not self._changed:
            return {}
        self._changed = False
        return {BLOB: pack(BLOB, VERSION, self.open, {})}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        for cause in msgspec.convert(unpack(blobs[BLOB], BLOB, (VERSION,)).value, list[Cause]):
            self._open.setdefault(cause.lead.subject.model, []).append(cause)
            for part in cause.parts.values():
                defined(part.kind)
        self._changed = False


def _after(found: Incident, told: int) -> Incident:
    """Return a change with a time after that at which the incident was told last: its cost may have been."""
    if found.changed > told:
        return found
    if found.status is Status.RESOLVED:
        return msgspec.structs.replace(found, resolved=told + 1)
    assert found.update is not None
    return msgspec.structs.replace(found, update=msgspec.structs.replace(found.update, at=told + 1))


def _scope(parts: Sequence[Part]) -> tuple[set[Kind], set[str], set[str], str]:
    """Return what a change has to change to be told: which kinds, segments and signals, and how urgent it is."""
    firing = [part for part in parts if part.status is Status.FIRING]
    return (
        {part.kind for part in firing},
        {part.segment for part in firing if part.segment},
        {name for part in firing for name in part.signals},
        _worst(parts),
    )


def _worst(parts: Sequence[Part]) -> str:
    return min((part.severity for part in parts), key=urgency, default="")


def _update(own: Incident | None, said: Sequence[Part], parts: Sequence[Part], at: int) -> Update:
    """Return what is new of an open incident."""
    update = own.update if own is not None and own.update is not None else Update(at, [], [])
    changed = [part for part in parts if part not in said]
    return msgspec.structs.replace(
        update,
        at=at,
        parts=[part.id for part in changed if part.status is Status.FIRING],
        over=[part.id for part in changed if part.status is Status.RESOLVED],
    )


def _level(said: Sequence[Part], changed: Mapping[str, Incident]) -> dict[str, Any]:
    """Return the level of a part further upstream than all that was told."""
    highest = min(place(part.kind) for part in said)
    found = [each for each in changed.values() if each.reason and place(each.kind) < highest]
    return {"level": found[0].level, "reason": found[0].reason} if found else {}
