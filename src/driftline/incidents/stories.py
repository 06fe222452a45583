"""Incidents of several parts in words: what else the cause moved and in how many segments."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Part, Status
from driftline.incidents.severity import INFO, WARNING, urgency
from driftline.incidents.text import listed

Defined: TypeAlias = Callable[[Kind], Definition]
"""Returns what there is to say of a kind."""


def opening(lead: Incident, parts: Sequence[Part], segments: Sequence[str], defined: Defined) -> str:
    """Return the sentences of an incident that opens with several parts, the lead's first.

    `segments` are those that are compared with a reference.
    """
    return f"{lead.summary}{_also(parts[:1], parts, defined)}{_where(lead, [], parts, segments)}"


def updating(
    lead: Incident,
    own: Incident | None,
    said: Sequence[Part],
    parts: Sequence[Part],
    segments: Sequence[str],
    defined: Defined,
) -> str:
    """Return the sentences of an open incident of which some parts changed.

    Args:
        lead: what leads it.
        own: the lead's own part, if it is among what changed.
        said: all parts as they were told last.
        parts: all parts.
        segments: those that are compared with a reference.
        defined: what there is to say of their kinds.
    """
    told = own.summary if own is not None else f"{lead.subject}: the incident goes on: {parts[0].what}."
    still = _kinds(parts)
    over = own is not None and own.status is Status.RESOLVED
    if over:
        told += "".join(f" Still: {what}." for what in still.values())
    also, where = _also(said, parts, defined), _where(lead, said, parts, segments)
    back = [defined(kind).back for kind in _kinds(said) if kind not in still and not (over and kind is lead.kind)]
    back += sorted(_moved(said) - _moved(parts))
    return f"{told}{also}{f' Back to normal: {listed(back)}.' if back else ''}{where}{_urgent(said, parts)}"


def ending(own: str) -> str:
    """Return the sentences of an incident of which the last part is over, by those of the lead's own part."""
    return f"{own} So is all else that had this cause."


def what_moved(incident: Incident, how: Definition) -> str:
    """Return in words what moved most."""
    return how.describe(incident.signals[0]) if incident.signals else how.happened


def _kinds(parts: Sequence[Part]) -> dict[Kind, str]:
    """Return what moved most by kind, where it still does."""
    firing = [part for part in parts if part.status is Status.FIRING]
    return {part.kind: part.what for part in reversed(firing)}


def _moved(parts: Sequence[Part]) -> set[str]:
    """Return the segments in which something moves."""
    return {part.segment for part in parts if part.segment and part.status is Status.FIRING}


def _also(said: Sequence[Part], parts: Sequence[Part], defined: Defined) -> str:
    """Say what is new by kind, and what more of a kind moved that is not the lead's: of that its own sentences tell."""
    fresh = _kinds([part for part in parts if _is_news(part, said, parts[0].kind)])
    return "".join(f" {defined(kind).too}: {what}." for kind, what in reversed(fresh.items()))


def _is_news(part: Part, said: Sequence[Part], lead: Kind) -> bool:
    """Tell whether a part is of a kind that was not told, or of another than the lead's and more of it moved."""
    if part.kind not in _kinds(said):
        return True
    before = next((each for each in said if each.id == part.id), None)
    return before is not None and part.kind is not lead and not set(part.signals) <= set(before.signals)


def _urgent(said: Sequence[Part], parts: Sequence[Part]) -> str:
    """Say how urgent the incident is, if it became more so."""
    before, now = (min((part.severity for part in some), key=urgency, default=INFO) for some in (said, parts))
    if urgency(now) >= urgency(before):
        return ""
    return " It is a warning now." if now == WARNING else f" It is {now} now."


def _where(lead: Incident, said: Sequence[Part], parts: Sequence[Part], segments: Sequence[str]) -> str:
    """Say of each tag in how many of its segments something moved, if that is new."""
    moved = _moved(parts)
    if moved == _moved(said) or moved == {lead.subject.segment}:  # whose name is said already
        return ""
    among = _by_tag({*segments, *moved})
    return "".join(
        f" Seen so far in {len(values)} of {len(among[tag])} segments by {tag}: {listed(values)}."
        for tag, values in _by_tag(moved).items()
    )


def _by_tag(segments: set[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for segment in sorted(segments):
        tag, _, value = segment.partition("=")
        found[tag].append(value)
    return found
