"""An incident that is open, and the rules by which a finding joins it: see `causes`."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from driftline.codec import Time
from driftline.evidence.signals import Family, family_of
from driftline.incidents.definition import Layer
from driftline.incidents.incident import Incident, Kind, Part, Signal, Status, Subject
from driftline.incidents.severity import urgency
from driftline.incidents.stories import what_moved
from driftline.tasks.kinds import defined
from driftline.tasks.outcomes.costs import Cost

FOLLOWS: tuple[tuple[set[str], set[str]], ...] = (
    ({Family.OUTPUT}, {Family.INPUTS}),
    ({Kind.PERFORMANCE}, {Family.INPUTS, Family.OUTPUT}),
)
"""What is about nothing but the first may follow from the second."""
LAG = 12
"""Windows between the beginnings of a change of inputs and of what follows of the output, at most."""
ALIKE = 0.1
"""Part of the distance between two means by which each may miss the other's, where two numbers changed places; and of
the number of events by which it may miss what segments that came or went make of it."""


class Cause(msgspec.Struct):
    """An incident that is open, and what it consists of."""

    lead: Incident
    """As it was told last."""
    parts: dict[str, Part] = {}
    """By fingerprint, the lead's first."""
    said: list[Part] = []
    """The parts as they were told last."""
    own: str = ""
    """What was said last of the lead's own part."""
    newcomers: list[str] = []
    """Segments that are new, where traffic moved between segments."""
    told: Time | None = None
    """When it was told last; None before that."""
    cost: Cost | None = None
    """What it was said to cost; None while that is not known."""

    def add(self, key: str, found: Incident) -> None:
        """Take in what a part is like now."""
        self.parts[key] = _part_of(found, self.parts.get(key))
        if found.kind is Kind.MIX:
            self.newcomers = sorted({*self.newcomers, *_newcomers(found)})

    @property
    def firing(self) -> bool:
        """Whether any part is open."""
        return any(part.status is Status.FIRING for part in self.parts.values())

    @property
    def kinds(self) -> set[Kind]:
        """What its parts are about."""
        return {part.kind for part in self.parts.values()}

    @property
    def signals(self) -> set[str]:
        """What moved."""
        return {name for part in self.parts.values() for name in part.signals}

    def began_with(self, found: Incident, longest: int) -> bool:
        """Tell whether a finding began when some part did."""
        began = _began(found)
        return any(
            abs(part.began - began) <= max(longest, part.opened - part.began, found.opened - began)
            for part in self.parts.values()
        )


def explaining(found: Incident, open_now: Sequence[Cause], batch: Collection[Incident], longest: int) -> Cause | None:
    """Return the incident that a finding joins.

    Args:
        found: what was found.
        open_now: the open incidents of its model.
        batch: what else was found at the same time.
        longest: the length of the model's longest window.
    """
    causes = [cause for cause in open_now if _comparable(cause.lead, found)]
    together = [cause for cause in causes if cause.began_with(found, longest)]
    moved = _segments_in_which(_names(found), found.subject, causes, batch)
    by_rule: list[Iterable[Cause]] = [
        (cause for cause in causes if cause.signals & _names(found)),
        (cause for cause in together if _changed_places(cause.lead, found)),
        (cause for cause in causes if _output_follows(cause, found)),
        (cause for cause in together if _mix_explains(cause, found, moved)),
        (cause for cause in causes if _mix_adds_up(cause.lead, found)),
    ]
    return next((cause for those in by_rule for cause in those), None)


def place(kind: Kind) -> int:
    """Return where in the stream a kind is; facts of their own are last."""
    layer = defined(kind).layer
    return len(Layer) if layer is None else layer


def rank(found: Incident) -> tuple[int, bool, bool, Subject]:
    """Return who goes first: what is upstream; what moved alone; all events."""
    subject = found.subject
    return place(found.kind), not (subject.segment and subject.segment == found.alone), bool(subject.segment), subject


def _alike(one: Subject, other: Subject) -> bool:
    """Tell whether two subjects are of the same model and version; what is of all versions is of each."""
    return one.model == other.model and (one.version == other.version or "" in (one.version, other.version))


def _comparable(lead: Incident, found: Incident) -> bool:
    """Tell whether one may explain the other. Thresholds explain nothing but each other: a person asked for each."""
    return _alike(lead.subject, found.subject) and (lead.kind is Kind.THRESHOLD) == (found.kind is Kind.THRESHOLD)


def _began(found: Incident) -> int:
    since = found.began if found.update is None or found.update.began is None else found.update.began
    return found.window.start if since is None else since


def _names(found: Incident) -> set[str]:
    """Return the signals that a finding is about; the number of events is none of an event."""
    return set() if found.kind is Kind.VOLUME else {signal.name for signal in found.signals}


def _part_of(found: Incident, before: Part | None) -> Part:
    severity, names = found.severity, _names(found)
    if before is not None:
        severity = min(severity, before.severity, key=urgency)
        names = names | set(before.signals)
    return Part(
        id=found.id,
        version=found.subject.version,
        segment=found.subject.segment,
        kind=found.kind,
        status=found.status,
        severity=severity,
        opened=found.opened,
        began=_began(found),
        signals=sorted(names),
        what=what_moved(found, defined(found.kind)),
    )


def _newcomers(mix: Incident) -> list[str]:
    """Return the segments that are new."""
    return [f"{signal.name.removeprefix('segment.')}={value}" for signal in mix.signals for value in signal.named]


def _segments_in_which(
    names: set[str], subject: Subject, causes: Iterable[Cause], batch: Iterable[Incident]
) -> set[str]:
    """Return the segments of which it is found that one of these signals moved."""
    moved = {part.segment for cause in causes for part in cause.parts.values() if names & set(part.signals)}
    moved |= {found.subject.segment for found in batch if _alike(found.subject, subject) and names & _names(found)}
    return moved - {""}


def _changed_places(lead: Incident, found: Incident) -> bool:
    """Tell whether a number of one is now as a number of the other was, and the other way round."""
    return any(
        _took_the_place(one, other) and _took_the_place(other, one) for one in lead.signals for other in found.signals
    )


def _took_the_place(one: Signal, other: Signal) -> bool:
    if not {"mean_before", "mean_after"} <= one.effects.keys() or "mean_before" not in other.effects:
        return False
    before, after, aim = one.effects["mean_before"], one.effects["mean_after"], other.effects["mean_before"]
    return abs(after - aim) <= ALIKE * abs(before - aim)


def _output_follows(cause: Cause, found: Incident) -> bool:
    """Tell whether one is about inputs and the other about what the model answers to them."""
    lead, subject, began = cause.lead, found.subject, _began(found)
    if lead.subject.segment and subject.segment and lead.subject.segment != subject.segment:
        return False
    lag = LAG * max(lead.window.size, found.window.size)
    if all(abs(part.began - began) > lag for part in cause.parts.values()):
        return False
    of_cause = {each for part in cause.parts.values() for each in _about(part.kind, part.signals)}
    of_found = _about(found.kind, _names(found))
    return any(
        one <= later and other & earlier
        for one, other in ((of_cause, of_found), (of_found, of_cause))
        for later, earlier in FOLLOWS
        if one
    )


def _about(kind: Kind, names: Iterable[str]) -> set[str]:
    """Return what a finding is about: the families of its signals, or performance."""
    return {kind.value} if kind is Kind.PERFORMANCE else {family_of(name).value for name in names}


def _mix_explains(cause: Cause, found: Incident, moved: set[str]) -> bool:
    """Tell whether traffic that moved between segments explains the other."""
    if found.kind is Kind.MIX:
        segments = {part.segment for part in cause.parts.values()}
        return segments <= {"", *_newcomers(found)}
    if Kind.MIX not in cause.kinds:
        return False
    return found.kind is Kind.VOLUME or {*moved, found.subject.segment} <= {"", *cause.newcomers}


def _mix_adds_up(lead: Incident, found: Incident) -> bool:
    """Tell whether the number of events changed by what segments that came or went make of it, whenever that is found.

    All events are more by the new ones and fewer by those that are gone, or each segment gives to them or takes theirs.
    """
    if lead.kind is not Kind.MIX or found.kind is not Kind.VOLUME:
        return False
    before, after = (found.signals[0].effects.get(name, 0.0) for name in ("events_before", "events_after"))
    for signal in lead.signals:
        came, gone = min(sum(signal.named.values()), 1.0), min(sum(signal.gone.values()), 1.0)
        left, there = (1 - came, 1 - gone) if found.subject.segment else (1 - gone, 1 - came)
        aim = before * left / there if there else 0.0
        if abs(aim - before) > ALIKE * before and abs(after - aim) <= ALIKE * aim:
            return True
    return False
