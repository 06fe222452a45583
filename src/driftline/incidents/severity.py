"""How urgent an incident is: by its kind and by its size."""

from math import log
from typing import Final

from driftline.incidents.incident import Incident, Kind

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
SEVERITIES: Final = (CRITICAL, WARNING, INFO)
"""Most urgent first."""
PAGES: Final = frozenset({Kind.DATA_QUALITY, Kind.DEAD_LETTERS, Kind.SILENCE, Kind.SKIPPED})
"""Broken data and silence page; drift of inputs or outputs, events from others than before, and limits
reached warn; a release is information."""
MOST_OF_THEM: Final = 2.0
"""Times as many events, or as few, from which on their number pages."""


def severity_of(incident: Incident) -> str:
    """Return one of SEVERITIES."""
    if incident.kind is Kind.VOLUME:
        return CRITICAL if _factor(incident) >= MOST_OF_THEM else WARNING
    if incident.kind is Kind.RELEASE:
        return INFO
    return CRITICAL if incident.kind in PAGES else WARNING


def urgency(severity: str) -> int:
    """Return 0 for the most urgent severity, and more for others.

    >>> sorted(["info", "critical", "warning"], key=urgency)
    ['critical', 'warning', 'info']
    """
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _factor(incident: Incident) -> float:
    """Return by what factor the number of events rose or fell; without bounds where it is not known."""
    effects = incident.signals[0].effects if incident.signals else {}
    if "events_before" not in effects or "events_after" not in effects:
        return float("inf")
    before, after = effects["events_before"] + 0.5, effects["events_after"] + 0.5  # there may be none
    return float(2.0 ** abs(log(after / before, 2)))
