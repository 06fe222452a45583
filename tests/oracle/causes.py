"""Which findings have the same cause, and are told as one incident, once more from all that was ever found of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from driftline.incidents.incident import Incident
from tests.oracle.judge import alert_name, name

ORDER = ["mix", "data_quality", "data_drift", "threshold", "volume", "prediction_drift", "performance"]
URGENT = ["info", "warning", "critical"]


@dataclass(frozen=True)
class Told:
    """An alert, as far as it is decided here."""

    id: str
    key: str
    status: str
    opened: int
    time: int
    parts: frozenset[tuple[str, str]]
    """Id and status of each; none where there is one."""


@dataclass
class _Story:
    found: list[Incident]
    """All changes of all its parts, in order."""
    told: list[Told] = field(default_factory=list)
    scope: object = None
    shown: Incident | None = None
    """The lead's part as it was when it was told last."""

    @property
    def lead(self) -> Incident:
        return self.found[0]

    def latest(self) -> list[Incident]:
        """Each part as it is now."""
        return list({each.fingerprint: each for each in self.found}.values())

    def names(self) -> set[str]:
        return {signal for each in self.found for signal in names(each)}


def grouped(steps: Iterable[tuple[int, Sequence[Incident]]], longest: Callable[[str], int]) -> list[Told]:
    """Return what is to be told of what changed until some times."""
    stories: list[_Story] = []
    found: list[Told] = []
    for time, changed in steps:
        rest = list(changed)
        while rest:
            keys = [each.fingerprint for each in rest]
            cut = next((at for at, key in enumerate(keys) if key in keys[:at]), len(rest))
            found += _step(stories, rest[:cut], time, longest)
            rest = rest[cut:]
    return found


def _step(stories: list[_Story], batch: list[Incident], time: int, longest: Callable[[str], int]) -> list[Told]:
    places: dict[int, tuple[int, _Story | Incident]] = {}
    for each in sorted(batch, key=_first):
        at = batch.index(each)
        story = next((one for one in stories if any(each.fingerprint == part.fingerprint for part in one.found)), None)
        if story is None and each.kind in ORDER and each.status == "firing":
            story = _joined(stories, each, batch, longest(each.subject.model))
            if story is None:
                stories.append(_Story([each]))
                places[id(stories[-1])] = at, stories[-1]
                continue
        if story is None:
            places[id(each)] = at, each
            continue
        story.found.append(each)
        places[id(story)] = min(at, places.get(id(story), (at, story))[0]), story
    told = []
    for _, one in sorted(places.values(), key=lambda place: place[0]):
        if isinstance(one, Incident):
            told.append(_alert(one, one.status, one.opened, one.changed, []))
            continue
        told += _tell(one, [each for each in batch if each in one.found], time)
        if all(each.status != "firing" for each in one.latest()):
            stories.remove(one)
    return told


def _first(each: Incident) -> tuple[int, int, int, object]:
    alone = each.subject.segment != "" and each.alone == each.subject.segment
    order = ORDER.index(each.kind) if each.kind in ORDER else len(ORDER)
    return order, 0 if alone else 1, 1 if each.subject.segment else 0, each.subject


def names(each: Incident) -> set[str]:
    return set() if each.kind == "volume" else {signal.name for signal in each.signals}


def began(each: Incident) -> int:
    if each.update is not None and each.update.began is not None:
        return each.update.began
    return each.window.start if each.began is None else each.began


def _joined(stories: list[_Story], each: Incident, batch: list[Incident], longest: int) -> _Story | None:
    def of_the_same(other: Incident) -> bool:
        versions = {other.subject.version, each.subject.version}
        return other.subject.model == each.subject.model and (len(versions) == 1 or "" in versions)

    def asked_for(other: Incident) -> bool:
        return other.kind == "threshold"

    stories = [one for one in stories if of_the_same(one.lead) and asked_for(one.lead) == asked_for(each)]
    together = [
        one
        for one in stories
        if any(
            abs(began(part) - began(each)) <= max(longest, part.opened - began(part), each.opened - began(each))
            for part in one.latest()
        )
    ]
    moved = {
        part.subject.segment
        for part in [*(part for one in stories for part in one.found), *filter(of_the_same, batch)]
        if names(part) & names(each)
    }
    for one in stories:
        if one.names() & names(each):
            return one
    for one in together:
        if any(_swapped(a.effects, b.effects) for a in (one.shown or one.lead).signals for b in each.signals):
            return one
    for one in stories:
        lag = 12 * max((one.shown or one.lead).window.size, each.window.size)
        if all(abs(began(part) - began(each)) > lag for part in one.latest()):
            continue
        segments = {one.lead.subject.segment, each.subject.segment} - {""}
        abouts = {about for part in one.found for about in _about(part)}, _about(each)
        for mine, other in (abouts, abouts[::-1]):
            follows = (mine == {"output"} and "inputs" in other) or (
                mine == {"performance"} and ("inputs" in other or "output" in other)
            )
            if len(segments) < 2 and follows:
                return one
    for one in together:
        mixes = [part for part in (each, *one.found) if part.kind == "mix"]
        new = {
            f"{s.name.removeprefix('segment.')}={value}" for part in mixes for s in part.signals for value in s.named
        }
        if each.kind == "mix" and {part.subject.segment for part in one.found} <= {"", *new}:
            return one
        if each.kind != "mix" and mixes and (each.kind == "volume" or {*moved, each.subject.segment} <= {"", *new}):
            return one
    for one in stories:
        lead = one.shown or one.lead
        if lead.kind == "mix" and each.kind == "volume" and any(_adds_up(s.named, s.gone, each) for s in lead.signals):
            return one
    return None


def _adds_up(named: dict[str, float], gone: dict[str, float], each: Incident) -> bool:
    effects = each.signals[0].effects
    stays, old = 1 - min(sum(gone.values()), 1.0), 1 - min(sum(named.values()), 1.0)
    if each.subject.segment:
        stays, old = old, stays
    expected = effects.get("events_before", 0.0) * stays / old if old else 0.0
    surprise = abs(effects.get("events_after", 0.0) - expected)
    return abs(expected - effects.get("events_before", 0.0)) > 0.1 * effects.get("events_before", 0.0) and (
        surprise <= 0.1 * expected
    )


def _about(each: Incident) -> set[str]:
    if each.kind == "performance":
        return {"performance"}
    found = set()
    for signal in names(each):
        if signal.startswith("features."):
            found.add("inputs")
        else:
            found.add("output" if signal == "prediction" or signal.startswith("prediction.") else "else")
    return found


def _swapped(a: dict[str, float], b: dict[str, float]) -> bool:
    for one, other in ((a, b), (b, a)):
        if not ("mean_before" in one and "mean_after" in one and "mean_before" in other):
            return False
        if abs(one["mean_after"] - other["mean_before"]) > 0.1 * abs(one["mean_before"] - other["mean_before"]):
            return False
    return True


def _tell(one: _Story, changed: list[Incident], time: int) -> list[Told]:
    parts = one.latest()
    firing = [part for part in parts if part.status == "firing"]
    signals = {
        each for part in firing for past in one.found if past.fingerprint == part.fingerprint for each in names(past)
    }
    worst = max(URGENT.index(past.severity) for past in one.found)
    scope = {part.kind for part in firing}, {part.subject.segment for part in firing} - {""}, signals, worst
    own = [each for each in changed if each.fingerprint == one.lead.fingerprint]
    more_of_the_lead = any(each.update is not None for each in own)
    if len(parts) > 1 and scope == one.scope and not more_of_the_lead:
        return []
    one.scope, one.shown = scope, own[-1] if own else one.shown
    if len(parts) == 1:
        told = _alert(own[-1], own[-1].status, own[-1].opened, own[-1].changed, [])
    elif not one.told:
        told = _alert(one.lead, "firing", one.lead.opened, one.lead.changed, parts)
    else:
        at = max(time, one.told[-1].time + 1)
        told = _alert(one.lead, "firing" if firing else "resolved", one.lead.opened, at, parts)
    one.told.append(told)
    return [told]


def _alert(lead: Incident, status: str, opened: int, time: int, parts: Sequence[Incident]) -> Told:
    subject = lead.subject
    key = name(lead.group, subject.model, subject.version, subject.segment, lead.kind)
    return Told(
        alert_name(key, opened, status, time),
        key,
        str(status),
        opened,
        time,
        frozenset((part.id, str(part.status)) for part in parts),
    )
