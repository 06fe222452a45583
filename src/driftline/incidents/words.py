"""Incidents in words: what moved, from where to where, in units that a person knows."""

from collections.abc import Mapping, Sequence

from driftline.incidents.incident import Kind, Signal, Subject

KIND_WORDS = {
    Kind.DATA_DRIFT: "inputs moved away from the reference",
    Kind.PREDICTION_DRIFT: "predictions moved away from the reference",
    Kind.DATA_QUALITY: "data quality changed",
    Kind.VOLUME: "the number of events changed",
    Kind.THRESHOLD: "a threshold that you set was passed",
    Kind.DEAD_LETTERS: "many records cannot be read",
    Kind.CAPACITY: "a limit was reached: what is beyond is counted, not watched",
}
_SHARES = {
    "null": "null",
    "missing": "missing",
    "other_kind": "of another type",
    "out_of_range": "out of range",
    "unseen": "never seen before",
}
MOST_PARTS = 3


def summarise_incident(subject: Subject, kind: Kind, signals: Sequence[Signal]) -> str:
    """Return one sentence that a person understands at 3 a.m."""
    parts = [describe(signal, kind) for signal in signals]
    more = f"; and {len(parts) - MOST_PARTS} more" if len(parts) > MOST_PARTS else ""
    tail = ": " + "; ".join(parts[:MOST_PARTS]) + more if parts else ""
    return f"{subject}: {KIND_WORDS[kind]}{tail}."


def describe(signal: Signal, kind: Kind) -> str:
    """Return what happened to one signal.

    >>> describe(Signal("features.age", 9.0, {"mean_before": 34.0, "mean_after": 51.0, "psi": 0.8}), Kind.DATA_DRIFT)
    'age mean 34 → 51 (PSI 0.8)'
    """
    name = signal.name.removeprefix("features.")
    effects = signal.effects
    if kind is Kind.VOLUME:
        return f"{name} {number(effects.get('events_before', 0))} → {number(effects.get('events_after', 0))} a window"
    if kind in (Kind.DEAD_LETTERS, Kind.CAPACITY):
        return f"{name} {number(effects.get('count', 0))}"
    if kind is Kind.DATA_QUALITY:
        return f"{name} {_largest_share(effects)}"
    size = f" (PSI {number(effects['psi'])})" if "psi" in effects else ""
    if "mean_before" in effects and "mean_after" in effects:
        return f"{name} mean {number(effects['mean_before'])} → {number(effects['mean_after'])}{size}"
    return f"{name} has another mix of values{size}"


def _largest_share(effects: Mapping[str, float]) -> str:
    moved = [
        (abs(effects[f"{share}_after"] - effects.get(f"{share}_before", 0.0)), share)
        for share in _SHARES
        if f"{share}_after" in effects
    ]
    if not moved:
        return "changed"
    _, share = max(moved)
    before, after = effects.get(f"{share}_before", 0.0), effects[f"{share}_after"]
    return f"{percent(before)} → {percent(after)} {_SHARES[share]}"


def number(value: float) -> str:
    """Return a number with three significant digits.

    >>> number(0.12345), number(1234567.0), number(12.0)
    ('0.123', '1,230,000', '12')
    """
    if value and abs(value) < 1e-3:
        return f"{value:.2e}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.0123), percent(0.0)
    ('1.2 %', '0 %')
    """
    return f"{float(f'{share * 100:.2g}'):g} %"
