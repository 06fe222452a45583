"""Incidents in words: what moved, from where to where, in units that a person knows."""

from collections.abc import Mapping, Sequence
from math import log

from driftline.columns.signals import DELAY, REPEATED
from driftline.events import rfc3339
from driftline.incidents.incident import Basis, FalseAlarms, Incident, Kind, Signal, Status, Subject, Update
from driftline.incidents.performance_words import describe_performance
from driftline.sketches.group import EVENTS

KIND_WORDS = {
    Kind.DATA_DRIFT: "inputs have drifted from the reference",
    Kind.PREDICTION_DRIFT: "predictions have drifted from the reference",
    Kind.DATA_QUALITY: "data quality has changed",
    Kind.VOLUME: "the number of events has changed",
    Kind.MIX: "the mix of segments has changed",
    Kind.PERFORMANCE: "performance has changed",
    Kind.LABELS: "labels have stopped, or come later than before",
    Kind.RELEASE: "the versions that answer have changed",
    Kind.SILENCE: "no events",
    Kind.THRESHOLD: "a distance has passed the threshold that you set",
    Kind.DEAD_LETTERS: "Driftline cannot read many of the records",
    Kind.CAPACITY: "a limit is reached, and Driftline counts the excess without watching it",
    Kind.SKIPPED: "an operator skipped records, which stay uncounted",
}
BACK_WORDS = {
    Kind.DATA_DRIFT: "inputs",
    Kind.PREDICTION_DRIFT: "predictions",
    Kind.DATA_QUALITY: "data quality",
    Kind.MIX: "the mix of segments",
    Kind.PERFORMANCE: "performance",
    Kind.LABELS: "labels",
    Kind.THRESHOLD: "distances",
}
"""What is back to normal when an incident is resolved."""
OTHER_TYPE, OUT_OF_RANGE, NEVER_SEEN = "of another type", "out of range", "never seen before"
_SHARES = {
    "null": "null",
    "missing": "missing",
    "other_kind": OTHER_TYPE,
    "out_of_range": OUT_OF_RANGE,
    "unseen": NEVER_SEEN,
}
_ARRIVALS = {
    DELAY: {"out_of_range": "late", "null": "without an event time"},
    REPEATED: {"out_of_range": "repeated"},
}
"""Names for the shares of bad values of signals that describe how events arrive."""
_AHEAD = "dated in the future"
MAX_PARTS = 3
NEARLY_ALL = 0.99
NOTEWORTHY = 0.05
"""A second fault of a signal is reported if it takes at least this share of the values."""
TIMES = "\N{MULTIPLICATION SIGN}"


def sentence(incident: Incident) -> str:
    """Return the last change of an incident in a sentence that is clear at 3 a.m."""
    if incident.status is Status.RESOLVED:
        names = ", ".join(_short(signal.name) for signal in incident.signals[:MAX_PARTS])
        more = len(incident.signals) + incident.others - MAX_PARTS
        return f"{incident.subject}: back to normal: {BACK_WORDS[incident.kind]} ({names}{_more(more)})."
    if incident.update is not None:
        return _summarise_update(incident, incident.update)
    return summarise_incident(
        incident.subject,
        incident.kind,
        incident.signals,
        others=incident.others,
        began=incident.began,
        level=incident.level,
        reason=incident.reason,
        false_alarms=incident.false_alarms,
    )


def summarise_incident(
    subject: Subject,
    kind: Kind,
    signals: Sequence[Signal],
    *,
    others: int = 0,
    began: int | None = None,
    level: str | None = None,
    reason: str = "",
    false_alarms: FalseAlarms | None = None,
) -> str:
    """Return what moved, since when, and what that points to."""
    tail = f": {_parts(signals, kind, others)}" if signals else ""
    since = "" if began is None else f" since about {rfc3339(began)}"
    return f"{subject}: {KIND_WORDS[kind]}{since}{tail}.{_why(level, reason)}{_caution(false_alarms)}"


def _summarise_update(incident: Incident, update: Update) -> str:
    """Return what joined an open incident, what is back to normal, and what continues."""
    told = []
    if update.joined:
        since = "" if update.began is None else f" since about {rfc3339(update.began)}"
        new = incident.signals[: len(update.joined)]
        told.append(f"{KIND_WORDS[incident.kind]}; new{since}: {_parts(new, incident.kind)}.")
    if update.back:
        told.append(f"Back to normal: {', '.join(_short(name) for name in update.back)}.")
    still = incident.signals[len(update.joined) :]
    if still:
        told.append(f"Still: {_parts(still, incident.kind, incident.others)}.")
    why = _why(incident.level, incident.reason) if update.joined else ""
    return f"{incident.subject}: {' '.join(told)}{why}"


def _parts(signals: Sequence[Signal], kind: Kind, others: int = 0) -> str:
    parts = [describe(signal, kind) for signal in signals[:MAX_PARTS]]
    more = len(signals) + others - MAX_PARTS
    return "; ".join([*parts, f"and {more} more"] if more > 0 else parts)


def _why(level: str | None, reason: str) -> str:
    return f" {level.capitalize() if level else 'Level unknown'}: {reason}." if reason else ""


def _short(name: str) -> str:
    """Return the name of a signal, or a value, so that a person sees where it begins and ends.

    >>> print(_short("features.age"), _short("Oslo "), _short("Oslo\\x85"))
    age "Oslo " Oslo\\x85
    """
    return _readable(name.removeprefix("features.").removeprefix("segment."))


def _readable(text: str) -> str:
    seen = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return seen if seen.strip() == seen and seen else f'"{seen}"'


def _more(number_of: int) -> str:
    return f" and {number_of} more" if number_of > 0 else ""


def summarise_silence(subject: Subject, since: int, usual: str, *, level: str | None, reason: str) -> str:
    """Return a silence in a sentence.

    >>> summarise_silence(Subject("churn", "", ""), 0, "10 a minute", level="environment", reason="no model is up")
    'churn: no events since 1970-01-01T00:00:00Z; usually 10 a minute. Environment: no model is up.'
    """
    often = f"; usually {usual}" if usual else ""
    why = f" {level.capitalize()}: {reason}." if level else ""
    return f"{subject}: no events since {rfc3339(since)}{often}.{why}"


def pace(per_minute: float) -> str:
    """Return how often events come, per minute, hour or day: the shortest of these in which at least one comes.

    >>> pace(10.0), pace(0.1), pace(0.001)
    ('10 a minute', '6 an hour', '1.44 a day')
    """
    if per_minute >= 1:
        return f"{number(per_minute)} a minute"
    return f"{number(per_minute * 60)} an hour" if per_minute * 60 >= 1 else f"{number(per_minute * 1_440)} a day"


def _caution(promised: FalseAlarms | None) -> str:
    if promised is None or promised.basis is Basis.GUARANTEED:
        return ""
    if promised.rate is None:
        return (
            " The false-alarm budget is not guaranteed here: "
            "the reference's windows depend on one another, or are too few to tell."
        )
    period, allowed = span(promised.period_ms), number(promised.count)
    return f" Measured on the reference: {number(promised.rate)} false alarms in {period}, where {allowed} is allowed."


def span(length_ms: int) -> str:
    """Return a length of time in the largest unit that divides it.

    >>> span(30 * 86_400_000), span(86_400_000), span(5_400_000)
    ('30 days', '1 day', '90 minutes')
    """
    units = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond"))
    size, unit = next((size, unit) for size, unit in units if length_ms % size == 0)
    number_of = length_ms // size
    return f"{number_of} {unit}" if number_of == 1 else f"{number_of} {unit}s"


def describe(signal: Signal, kind: Kind) -> str:
    """Return what happened to one signal.

    >>> describe(Signal("features.age", 9.0, {"mean_before": 34.0, "mean_after": 51.0, "psi": 0.8}), Kind.DATA_DRIFT)
    'age mean 34 → 51 (PSI 0.8)'
    """
    name = _short(signal.name)
    effects = signal.effects
    if kind is Kind.PERFORMANCE:
        return describe_performance(signal)
    if kind is Kind.LABELS:
        return f"{signal.what} {signal.after} of them have one, usually {signal.before} at least"
    if kind is Kind.RELEASE:
        return f"{signal.what}: {signal.before} → {signal.after}"
    if kind is Kind.VOLUME:
        return f"{name} {number(effects.get('events_before', 0))} → {number(effects.get('events_after', 0))} a window"
    if kind is Kind.SKIPPED:
        known = f"{effects['count']:,.0f} known records" if effects.get("count") else "an unknown number"
        return f"{known}, from offset {signal.before} to {signal.after}"
    if kind in (Kind.DEAD_LETTERS, Kind.CAPACITY):
        some = f" ({signal.what})" if signal.what else ""
        return f"{name} {number(effects.get('count', 0))}{some}"
    if kind is Kind.DATA_QUALITY:
        before, after, what = largest_share(signal.name, effects)
        if signal.name in _ARRIVALS:
            name = "events"
        if signal.name == EVENTS and signal.named:
            return f"new {'fields' if len(signal.named) > 1 else 'field'}: {_names(signal)}"
        what = _called(signal, signal.what or what)
        told = f"{_by(signal, what)}{_times(signal)}"
        told += f": {_names(signal)}" if signal.named else ""
        return f"{name} {before} → {after} {what}{told}{_gone(signal)}{_also(signal)}" if what else f"{name} changed"
    size = f" (PSI {number(effects['psi'])})" if "psi" in effects else ""
    if signal.what:
        joint = ":" if signal.after.endswith("%") else ""
        what = _readable(signal.what)
        moved = f"{what}{joint} {signal.before} → {signal.after}"
        if signal.after == percent(1.0):
            moved = f"always {what} (was {signal.before})"
        return f"{name} {moved}{_times(signal)}{_gone(signal)}{size}"
    if "mean_before" in effects and "mean_after" in effects:
        return f"{name} mean {number(effects['mean_before'])} → {number(effects['mean_after'])}{size}"
    return f"{name} has a different mix of values{size}"


def _names(signal: Signal) -> str:
    """Return names with their shares, the most frequent first."""
    told = [f"{_short(name)} ({percent(share)})" for name, share in signal.named.items()]
    return ", ".join(told[:MAX_PARTS]) + _more(len(told) - MAX_PARTS)


def _times(signal: Signal) -> str:
    """Return the factor by which numbers were multiplied or divided, and the share of them."""
    if signal.factor is None:
        return ""
    told = f"{TIMES} {number(signal.factor)}" if signal.factor >= 1 else f"÷ {number(1 / signal.factor)}"
    few = signal.multiplied is not None and signal.multiplied < NEARLY_ALL
    return f", {told} in {percent(signal.multiplied or 0.0)} of them" if few else f", {told}"


def _gone(signal: Signal) -> str:
    """Return the categories that no longer occur."""
    told = [f"{_short(name)} (was {percent(share)})" for name, share in signal.gone.items()]
    return f", gone: {', '.join(told[:MAX_PARTS])}{_more(len(told) - MAX_PARTS)}" if told else ""


def _called(signal: Signal, what: str) -> str:
    """Return the name of a share. For another type, name both types."""
    return signal.became if what == OTHER_TYPE and signal.became else what


def _also(signal: Signal) -> str:
    """Return further faults of a signal that are frequent enough to matter."""
    told = max(_moved_shares(signal.effects))[1]
    rises = [(rise, share) for rise, share in _risen_shares(signal.effects) if share != told and rise >= NOTEWORTHY]
    parts = [
        f"{percent(signal.effects[f'{share}_after'])} {_called(signal, _SHARES[share])}"
        for _, share in sorted(rises, reverse=True)
    ]
    return f", and {', '.join(parts)}" if parts and signal.name not in _ARRIVALS else ""


def _by(signal: Signal, what: str) -> str:
    """Return the mean if values are out of range, or the mean delay of all events if some are late.

    Delays are rounded down to a power of two.
    """
    mean = signal.effects.get("mean_after")
    if what == OUT_OF_RANGE and mean is not None and "mean_before" in signal.effects:
        return f" (mean {number(signal.effects['mean_before'])} → {number(mean)})"
    if mean is None or what not in (_ARRIVALS[DELAY]["out_of_range"], _AHEAD):
        return ""
    return f" (mean {'lead' if mean < 0 else 'delay'} {number(abs(mean))} s or more)"


def largest_share(name: str, effects: Mapping[str, float]) -> tuple[str, str, str]:
    """Return (before, after, what) of the share of bad values that moved most; empty texts if none is known.

    >>> largest_share(DELAY, {"out_of_range_before": 0.002, "out_of_range_after": 0.31})
    ('0.2%', '31%', 'late')
    """
    moved = _moved_shares(effects)
    if not moved:
        return "", "", ""
    _, share = max(moved)
    what = _ARRIVALS.get(name, _SHARES).get(share, _SHARES[share])
    if name == DELAY and share == "out_of_range" and effects.get("mean_after", 0.0) < 0:
        what = _AHEAD
    return percent(effects.get(f"{share}_before", 0.0)), percent(effects[f"{share}_after"]), what


def _risen_shares(effects: Mapping[str, float]) -> list[tuple[float, str]]:
    return [
        (effects[f"{share}_after"] - effects.get(f"{share}_before", 0.0), share)
        for share in _SHARES
        if f"{share}_after" in effects
    ]


def _moved_shares(effects: Mapping[str, float]) -> list[tuple[float, str]]:
    return [(abs(rise), share) for rise, share in _risen_shares(effects)]


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


def worst_share(effects: Mapping[str, float]) -> float:
    """Return by how much the share of bad values moved that moved most.

    >>> worst_share({"null_before": 0.25, "null_after": 0.5, "psi": 3.0})
    0.25
    """
    return max((moved for moved, _ in _moved_shares(effects)), default=0.0)


def number(value: float) -> str:
    """Return a number with three significant digits.

    >>> number(0.12345), number(1234567.0), number(12.0), number(2e28)
    ('0.123', '1,230,000', '12', '2e+28')
    """
    if value and not 1e-3 <= abs(value) < 1e15:
        return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2e}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.0123), percent(0.0)
    ('1.2%', '0%')
    """
    return f"{float(f'{share * 100:.2g}'):g}%"
