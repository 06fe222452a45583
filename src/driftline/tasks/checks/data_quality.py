"""Values that are null, missing, of another type, out of range or never seen, more often than in the reference.

critical   a tenth of the values of a signal or more is lost: null, missing, of another type, or out of range (late or
           repeated, of events); or half of a signal's values were never seen
warning    less is lost, only new fields or values came, or only the service's own measures are out of range
"""

from collections.abc import Mapping, Sequence
from typing import Final

from driftline.incidents.definition import Layer
from driftline.incidents.incident import Kind, Signal
from driftline.incidents.quality_words import describe_quality
from driftline.incidents.severity import CRITICAL, WARNING
from driftline.sketches.group import EVENTS
from driftline.tasks.checks.check import Check

LOSS: Final = 0.1
"""Share of a signal's values that is lost, above the reference's, from which on that pages."""
LOSSES: Final = ("null", "missing", "other_kind", "out_of_range")
ALL_NEW: Final = 0.5
"""Share of a signal's values that were never seen, from which on that pages: they are written another way."""
SERVICE: Final = ("latency_ms",)


def _severity(signals: Sequence[Signal]) -> str:
    return CRITICAL if any(lost(signal.name, signal.effects) for signal in signals) else WARNING


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


DATA_QUALITY = Check(
    kind=Kind.DATA_QUALITY,
    happened="data quality has changed",
    back="data quality",
    describe=describe_quality,
    too="Data quality has changed too",
    layer=Layer.QUALITY,
    moved="the quality of the inputs changed",
    severities=(WARNING, CRITICAL),
    share=0.2,
    rows=lambda projection: projection.quality_rows,
    severity=_severity,
    by_quality=True,
)
