"""What went wrong with values, in words: null, missing, of another type, out of range, never seen."""

from collections.abc import Mapping

from driftline.columns.signals import DELAY, REPEATED
from driftline.incidents.incident import Outside, Signal
from driftline.incidents.text import gone, names, number, percent, short, times
from driftline.sketches.group import EVENTS

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
NOTEWORTHY = 0.05
"""A second fault of a signal is reported if it takes at least this share of the values."""
FEW = 0.02
"""Of numbers out of range, so few on one side are not worth a word."""


def describe_quality(signal: Signal) -> str:
    """Return what happened to one signal's values."""
    before, after, what = largest_share(signal.name, signal.effects)
    name = "events" if signal.name in _ARRIVALS else short(signal.name)
    if signal.name == EVENTS and signal.named:
        return f"new {'fields' if len(signal.named) > 1 else 'field'}: {names(signal)}"
    what = signal.what or what
    told = f"{_by(signal, what)}{times(signal)}"
    told += f": {names(signal)}" if signal.named else ""
    called = _called(signal, what)
    return f"{name} {before} → {after} {called}{told}{gone(signal)}{_also(signal)}" if what else f"{name} changed"


def _called(signal: Signal, what: str) -> str:
    """Return the name of a share. For another type, name both types; for numbers out of range, say on which side."""
    if what == OUT_OF_RANGE and signal.outside is not None:
        return _outside(signal.outside, far=not signal.named and signal.factor is None)
    return signal.became if what == OTHER_TYPE and signal.became else what


def _outside(found: Outside, *, far: bool) -> str:
    """Say on which side of the range numbers are, and how far, unless what they are is said anyway.

    >>> _outside(Outside(18.0, 79.0, 0.2, 0.0, -61.0, -2.0), far=True)
    'below 18, down to -61'
    >>> _outside(Outside(18.0, 79.0, 0.0625, 0.125, -61.0, 110.0), far=True)
    'out of range (6.2% below 18, down to -61; 12% above 79, up to 110)'
    """
    sides = (
        (found.below, "below", found.low, "down to", found.least),
        (found.above, "above", found.high, "up to", found.most),
    )
    told = [
        (share, f"{side} {number(edge)}{f', {as_far} {number(end)}' if far and number(end) != number(edge) else ''}")
        for share, side, edge, as_far, end in sides
        if share > FEW * (found.below + found.above)
    ]
    both = "; ".join(f"{percent(share)} {text}" for share, text in told)
    return told[0][1] if len(told) == 1 else f"{OUT_OF_RANGE} ({both})"


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


def worst_share(effects: Mapping[str, float]) -> float:
    """Return by how much the share of bad values moved that moved most.

    >>> worst_share({"null_before": 0.25, "null_after": 0.5, "psi": 3.0})
    0.25
    """
    return max((moved for moved, _ in _moved_shares(effects)), default=0.0)
