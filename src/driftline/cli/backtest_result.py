"""What `driftline backtest` found, as programs read it."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from driftline.cli.performance_model import document as of_version
from driftline.cli.result_documents import Backtested, ChangeTold, IncidentFound, PartFound, WindowShown
from driftline.cli.show import compared
from driftline.events import rfc3339
from driftline.incidents.incident import Incident, Part
from driftline.offline.backtest import Backtest
from driftline.tasks.subjects.shown import Shown


def document(result: Backtest, chosen: dict[str, dict[str, Any]], shown: Sequence[Shown] | None = None) -> Backtested:
    """Return what --json prints; of labels and performance nothing if no labels were read."""
    judged = [of_version(view, named=True) for view in result.performances if view.windows]
    labelled = bool(result.labels or result.performances)
    return Backtested(
        events=result.events,
        windows=result.windows,
        counters=dict(result.counters),
        incidents=[
            found(incident, [change for change in result.incidents if change.id == incident.id])
            for incident in result.latest
        ],
        labels=dict(result.labels) if labelled else UNSET,
        performance=judged if labelled else UNSET,
        chosen=chosen,
        shown=UNSET if shown is None else [compared(each) for each in shown],
    )


def found(incident: Incident, changes: Sequence[Incident] = ()) -> IncidentFound:
    """Return an incident as programs read it."""
    window = incident.window
    return IncidentFound(
        id=incident.id,
        model=incident.subject.model,
        version=incident.subject.version or None,
        segment=incident.subject.segment or None,
        kind=incident.kind.value,
        opened=rfc3339(incident.opened),
        resolved=None if incident.resolved is None else rfc3339(incident.resolved),
        window=WindowShown(rfc3339(window.start), rfc3339(window.end), window.count),
        began=None if incident.began is None else rfc3339(incident.began),
        level=incident.level,
        reason=incident.reason or None,
        summary=incident.summary,
        signals=incident.signals,
        parts=[_part(part) for part in incident.parts],
        changes=[
            ChangeTold(
                time=rfc3339(change.changed),
                what=change.status.value if change.update is None else "updated",
                severity=change.severity,
                summary=change.summary,
            )
            for change in changes
        ],
    )


def _part(part: Part) -> PartFound:
    """Return a part of an incident as programs read it."""
    return PartFound(
        id=part.id,
        version=part.version or None,
        segment=part.segment or None,
        kind=part.kind.value,
        status=part.status.value,
        severity=part.severity,
        opened=rfc3339(part.opened),
        began=rfc3339(part.began),
        signals=part.signals,
        what=part.what,
    )
