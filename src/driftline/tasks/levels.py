"""What changed, in which level: the facts that `incidents.level` goes by, gathered where an incident opens."""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from driftline.columns.signals import DELAY
from driftline.evidence.news import News
from driftline.evidence.signals import Family, family_of
from driftline.incidents.incident import Incident, Kind
from driftline.incidents.level import Facts, name_level
from driftline.incidents.words import worded
from driftline.sketches.group import EVENTS
from driftline.tasks.kinds import defined
from driftline.tasks.subjects.adoption import Origin
from driftline.tasks.subjects.subject import SubjectJudge

SCHEMA = 0.5
"""Share of the events that must hold a field no more, newly, or with another type, before the schema is said to have
changed: some missing values are a matter of data."""
GONE = 0.01
ALONE = 3.0
NEARLY_ALL = 0.9
EXPECTED = 5
"""Bad values that the other segments would have, if theirs were as bad, from which on they say something."""
MAX_FIELDS = 3
"""Changes of the schema that are named."""


def name_change(incident: Incident, judge: SubjectJudge, segments: Sequence[SubjectJudge]) -> Incident:
    """Return an incident that opened, or that others joined, with its level, the reason, and its sentence.

    `segments` are those of the same model and version that are compared with a reference.
    """
    if incident.update is None or incident.update.joined:
        facts = _facts(incident, judge, segments)
        level, reason = name_level(facts)
        level_name = None if level is None else level.value
        incident = replace(incident, level=level_name, reason=reason, alone=facts.alone)
    return worded(incident, defined(incident.kind))


def _facts(incident: Incident, judge: SubjectJudge, segments: Sequence[SubjectJudge]) -> Facts:
    assert judge.watched is not None
    how, subject, reference = defined(incident.kind), incident.subject, judge.watched.reference
    alone = _alone(incident, judge, segments)
    families = {
        family_of(name)
        for signal in incident.signals
        for name in (signal.named if signal.name == EVENTS else [signal.name])  # fields that are new
    }
    since = incident.began if incident.update is None else incident.update.began
    began = incident.window.start if since is None else since
    other_version = judge.origin is Origin.VERSION_BEFORE or reference.version not in ("", subject.version)
    return Facts(
        always=how.level,
        moved=how.moved,
        output_only=families == {Family.OUTPUT},
        service_only=families == {Family.SERVICE},
        arrival_only=families == {Family.ARRIVAL},
        inputs_watched=len(judge.watched.rows[Kind.DATA_DRIFT]) > 0,
        inputs_moved=judge.moved(Kind.DATA_DRIFT),
        code_version=judge.codes.came_in(began - incident.window.size, incident.window.end),
        schema=tuple(_schema_changes(judge.quality(), judge.news, _at_that_time(incident, judge, began))),
        version=subject.version,
        version_before=(reference.version or "(none)") if other_version else "",
        unlike_model=judge.origin is Origin.MODEL,
        alone=alone if subject.segment in ("", alone) else "",
    )


def _alone(incident: Incident, whole: SubjectJudge, segments: Sequence[SubjectJudge]) -> str:
    """Return the one of several segments that moved, by ALONE times as much as the others did on average; else "".

    Evidence alone would not do: where all move, one of them is the first for which it is notable. Where segments are
    too small to have any, it is the one that has what is wrong of all events.
    """
    moved = [judge for judge in segments if judge.moved(incident.kind)]
    if not moved and incident.kind is Kind.DATA_QUALITY:
        moved = [judge for judge in segments if _has_all(judge, whole, incident)]
    if len(moved) != 1 or len(segments) == 1:
        return ""
    name, end = incident.signals[0].name, incident.window.end
    others = [judge.effect(incident.kind, name, end) for judge in segments if judge is not moved[0]]
    if moved[0].effect(incident.kind, name, end) <= ALONE * sum(others) / len(others):
        return ""
    return moved[0].subject.segment


def _has_all(segment: SubjectJudge, whole: SubjectJudge, incident: Incident) -> bool:
    """Tell whether nearly all that is wrong is in one segment, though the others are large enough to show it, too."""
    name, end = incident.signals[0].name, incident.window.end
    shares = [judge.effect(incident.kind, name, end) for judge in (segment, whole)]
    events = [judge.count(end) for judge in (segment, whole)]
    if shares[0] * (events[1] - events[0]) < EXPECTED:
        return False
    return shares[0] * events[0] >= NEARLY_ALL * shares[1] * events[1]


def _at_that_time(incident: Incident, judge: SubjectJudge, began: int) -> Callable[[str], bool]:
    """Return what tells whether a signal's quality changed when the incident's did: only then it may be the reason."""
    about = {signal.name for signal in incident.signals} if incident.kind is Kind.DATA_QUALITY else set()
    size = incident.window.size

    def changed(name: str) -> bool:
        since = judge.bad_since(name, size)
        return name in about or (since is not None and abs(since - began) <= size)

    return changed


def _schema_changes(
    quality: Mapping[str, Mapping[str, float]], news: News, at_that_time: Callable[[str], bool]
) -> Sequence[str]:
    """Return what changed of the schema, given each signal's effects in the window, and what came of another kind."""
    found = []
    for name, effects in quality.items():
        if not at_that_time(name):
            continue
        short = name.removeprefix("features.")
        missing = effects.get("missing_after", 0.0)
        if name == DELAY:
            if effects.get("null_before", 1.0) <= 1 - SCHEMA and effects.get("null_after", 0.0) >= 1 - GONE:
                found.append("event_time is gone")
        elif name == "events":
            if effects.get("unseen_after", 0.0) >= SCHEMA:
                new = [field.removeprefix("features.") for field in news.fields]
                found += [f"{field} is new" for field in new] or ["a field is new"]
        elif effects.get("missing_before", 1.0) <= 1 - SCHEMA and missing >= 1 - GONE:
            found.append(f"{short} is gone")
        elif effects.get("other_kind_after", 0.0) - effects.get("other_kind_before", 0.0) >= SCHEMA:
            kinds = news.kinds.get(name, {})
            found.append(
                f"{short} became {max(kinds, key=lambda kind: kinds[kind])}" if kinds else f"{short} has another type"
            )
    return found[:MAX_FIELDS]
