"""How urgent an incident is: by its kind and by its size.

critical   records are rejected or skipped; no events come, or twice as many, or half
           data quality, where a tenth of the values of a signal or more is lost: null, missing, of another type,
           or out of range (late or repeated, of events); or half of a signal's values were never seen
warning    drift of inputs or outputs, thresholds, limits that were reached
           data quality, where less is lost, where only new fields or values came, or only the service's own
           measures are out of range
performance  critical, where a service level is not kept, or labels say that a tenth or more of what the metric was is
             lost; warning, where something is lost for sure, or is estimated to be; else information: the interval
             holds what the metric was, or it is better
"""

from collections.abc import Mapping
from math import log
from typing import Final

from driftline.incidents.incident import Incident, Kind
from driftline.sketches.group import EVENTS

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
SEVERITIES: Final = (CRITICAL, WARNING, INFO)
"""Most urgent first."""
PAGES: Final = frozenset({Kind.DEAD_LETTERS, Kind.SILENCE, Kind.SKIPPED})
"""Kinds that page whatever their size."""
MAX_OF_THEM: Final = 2.0
"""Times as many events, or as few, from which on their number pages."""
LOSS: Final = 0.1
"""Share of a signal's values that is lost, above the reference's, from which on that pages."""
LOSSES: Final = ("null", "missing", "other_kind", "out_of_range")
ALL_NEW: Final = 0.5
"""Share of a signal's values that were never seen, from which on that pages: they are written another way."""
SERVICE: Final = ("latency_ms",)


def severity_of(incident: Incident) -> str:
    """Return one of SEVERITIES."""
    if incident.kind is Kind.VOLUME:
        return CRITICAL if _factor(incident) >= MAX_OF_THEM else WARNING
    if incident.kind is Kind.PERFORMANCE:
        return _of_performance(incident)
    if incident.kind is Kind.RELEASE:
        return INFO
    if incident.kind is Kind.DATA_QUALITY:
        return CRITICAL if any(lost(signal.name, signal.effects) for signal in incident.signals) else WARNING
    return CRITICAL if incident.kind in PAGES else WARNING


def _of_performance(incident: Incident) -> str:
    """Return how urgent it is by the loss: what labels say pages, and an estimate warns."""
    signals = incident.signals
    by_labels = [signal.effects for signal in signals if signal.what != "estimated"]
    if any(signal.what == "level" for signal in signals) or any(
        effects.get("sure", 0.0) > 0 and effects.get("loss", 0.0) >= LOSS for effects in by_labels
    ):
        return CRITICAL
    return WARNING if any(signal.effects.get("sure", 0.0) > 0 for signal in signals) else INFO


def urgency(severity: str) -> int:
    """Return 0 for the most urgent severity, and more for others.

    >>> sorted(["info", "critical", "warning"], key=urgency)
    ['critical', 'warning', 'info']
    """
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def lost(name: str, effects: Mapping[str, float]) -> bool:
    """Tell whether so many of a signal's values are lost that it pages.

    >>> lost("features.age", {"null_before": 0.01, "null_after": 0.5}), lost("events", {"unseen_after": 1.0})
    (True, False)
    """
    rises = {each: effects.get(f"{each}_after", 0.0) - effects.get(f"{each}_before", 0.0) for each in LOSSES}
    if name in SERVICE:
        rises["out_of_range"] = 0.0
    unseen = effects.get("unseen_after", 0.0) - effects.get("unseen_before", 0.0) if name != EVENTS else 0.0
    return sum(max(rise, 0.0) for rise in rises.values()) >= LOSS or unseen >= ALL_NEW


def _factor(incident: Incident) -> float:
    """Return by what factor the number of events rose or fell; without bounds where it is not known."""
    effects = incident.signals[0].effects if incident.signals else {}
    if "events_before" not in effects or "events_after" not in effects:
        return float("inf")
    before, after = effects["events_before"] + 0.5, effects["events_after"] + 0.5  # there may be none
    return float(2.0 ** abs(log(after / before, 2)))
