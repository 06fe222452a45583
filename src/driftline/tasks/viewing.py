"""What Judge knows of a subject and of an incident, as the views that it stores show it."""

from driftline.incidents.incident import Incident
from driftline.tasks.subjects.subject import SubjectJudge
from driftline.tasks.views import IncidentView, SignalView, SubjectView, WindowView


def subject_view(judge: SubjectJudge, shown: int, incidents: list[IncidentView]) -> SubjectView:
    """Return a subject's view, with at most so many of its signals."""
    subject, window = judge.subject, judge.last_window
    return SubjectView(
        model=subject.model,
        version=subject.version,
        segment=subject.segment,
        reference=judge.watched.reference.address if judge.watched else None,
        learned_events=judge.learner.events,
        history=list(judge.history),
        window=None if window is None else WindowView(window.start, window.end, window.count),
        signals=[SignalView(each.name, each.evidence, dict(each.effects)) for each in judge.measured()[:shown]],
        incidents=incidents,
    )


def incident_view(incident: Incident, model: str = "", part_of: str = "") -> IncidentView:
    """Return an incident's view; `model` is empty where the stream itself is meant."""
    return IncidentView(
        model=model,
        id=incident.id,
        kind=incident.kind.value,
        opened=incident.opened,
        signals=[signal.name for signal in incident.signals],
        summary=incident.summary,
        part_of=part_of,
    )
