"""Incidents in sentences that are clear at 3 a.m.: what moved, since when, and what that points to."""

from collections.abc import Sequence
from math import log

from msgspec.structs import replace

from driftline.events import rfc3339
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Basis, FalseAlarms, Incident, Signal, Status, Subject, Update, Window
from driftline.incidents.quality_words import worst_share
from driftline.incidents.text import MAX_PARTS, more, number, short, span


def sentence(incident: Incident, how: Definition) -> str:
    """Return the last change of an open incident in a sentence that is clear at 3 a.m."""
    if incident.update is not None:
        return _summarise_update(incident, incident.update, how)
    since = "" if incident.began is None else f" since about {rfc3339(incident.began)}"
    what = f": {_parts(incident.signals, how, incident.others)}" if incident.signals else ""
    why = _why(incident.level, incident.reason)
    return f"{incident.subject}: {how.happened}{since}{what}.{why}{_caution(incident.false_alarms)}"


def worded(incident: Incident, how: Definition) -> Incident:
    """Return an open incident with the sentence of its last change."""
    return replace(incident, summary=sentence(incident, how))


def begin(
    how: Definition,
    subject: Subject,
    window: Window,
    signals: list[Signal],
    *,
    group: str,
    severity: str | None = None,
    began: int | None = None,
    reference: str = "",
    false_alarms: FalseAlarms | None = None,
) -> Incident:
    """Return an incident that opens with a window, with its sentence and the level that all of its kind have."""
    assert how.level is not None
    level, reason = how.level
    return worded(
        Incident(
            subject=subject,
            kind=how.kind,
            status=Status.FIRING,
            opened=window.end,
            window=window,
            signals=signals,
            reference=reference,
            summary="",
            began=began,
            level=level,
            reason=reason,
            false_alarms=false_alarms,
            group=group,
            severity=severity or how.severities[0],
        ),
        how,
    )


def back_to_normal(incident: Incident, how: Definition) -> str:
    """Return why an incident is over whose signals are all back."""
    names = ", ".join(short(signal.name) for signal in incident.signals[:MAX_PARTS])
    beyond = len(incident.signals) + incident.others - MAX_PARTS
    return f"back to normal: {how.back} ({names}{more(beyond)})"


def _summarise_update(incident: Incident, update: Update, how: Definition) -> str:
    """Return what joined an open incident, what is back to normal, and what continues."""
    told = []
    if update.joined:
        since = "" if update.began is None else f" since about {rfc3339(update.began)}"
        new = incident.signals[: len(update.joined)]
        told.append(f"{how.happened}; new{since}: {_parts(new, how)}.")
    if update.back:
        told.append(f"Back to normal: {', '.join(short(name) for name in update.back)}.")
    still = incident.signals[len(update.joined) :]
    if still:
        told.append(f"Still: {_parts(still, how, incident.others)}.")
    why = _why(incident.level, incident.reason) if update.joined else ""
    return f"{incident.subject}: {' '.join(told)}{why}"


def _parts(signals: Sequence[Signal], how: Definition, others: int = 0) -> str:
    parts = [how.describe(signal) for signal in signals[:MAX_PARTS]]
    beyond = len(signals) + others - MAX_PARTS
    return "; ".join([*parts, f"and {beyond} more"] if beyond > 0 else parts)


def _why(level: str | None, reason: str) -> str:
    return f" {level.capitalize() if level else 'Level unknown'}: {reason}." if reason else ""


def summarise_silence(subject: Subject, since: int, usual: str, *, level: str | None, reason: str) -> str:
    """Return a silence in a sentence.

    >>> summarise_silence(Subject("churn", "", ""), 0, "10 a minute", level="environment", reason="no model is up")
    'churn: no events since 1970-01-01T00:00:00Z; usually 10 a minute. Environment: no model is up.'
    """
    often = f"; usually {usual}" if usual else ""
    why = f" {level.capitalize()}: {reason}." if level else ""
    return f"{subject}: no events since {rfc3339(since)}{often}.{why}"


def _caution(promised: FalseAlarms | None) -> str:
    if promised is None or promised.basis is Basis.GUARANTEED:
        return ""
    if promised.rate is None:
        return (
            " It may be a false alarm more often than the budget allows: the reference's windows depend on one "
            "another, or are too few. Compare with a longer reference, or with longer windows."
        )
    period, allowed = span(promised.period_ms), number(promised.count)
    return f" Measured on the reference: {number(promised.rate)} false alarms in {period}, where {allowed} is allowed."


def effect_size(signal: Signal) -> float:
    """Return how far a signal moved, as one number. The signals of an incident are ranked by it.

    >>> effect_size(Signal("x", 1.0, {"psi": 0.4})), effect_size(Signal("x", 1.0, {"null_after": 0.5}))
    (0.4, 0.5)
    """
    found = signal.effects
    if "psi" in found:
        return found["psi"]
    if "events_after" in found:
        return abs(log((found["events_after"] + 1) / (found.get("events_before", 0.0) + 1)))
    return worst_share(found)
