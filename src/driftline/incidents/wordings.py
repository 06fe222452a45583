"""Every kind of incident in words: what happened, what is back when it is over, and what moved of a signal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from driftline.incidents.incident import Kind, Signal
from driftline.incidents.performance_words import describe_performance
from driftline.incidents.quality_words import describe_quality
from driftline.incidents.text import gone, number, percent, readable, short, times


def describe_values(signal: Signal) -> str:
    """Return how a signal's values moved.

    >>> describe_values(Signal("features.age", 9.0, {"mean_before": 34.0, "mean_after": 51.0, "psi": 0.8}))
    'age mean 34 → 51 (PSI 0.8)'
    """
    name, effects = short(signal.name), signal.effects
    size = f" (PSI {number(effects['psi'])})" if "psi" in effects else ""
    if signal.what:
        joint = ":" if signal.after.endswith("%") else ""
        what = readable(signal.what)
        moved = f"{what}{joint} {signal.before} → {signal.after}"
        if signal.after == percent(1.0):
            moved = f"always {what} (was {signal.before})"
        return f"{name} {moved}{times(signal)}{gone(signal)}{size}"
    if "mean_before" in effects and "mean_after" in effects:
        return f"{name} mean {number(effects['mean_before'])} → {number(effects['mean_after'])}{size}"
    return f"{name} has a different mix of values{size}"


def _volume(signal: Signal) -> str:
    before, after = signal.effects.get("events_before", 0), signal.effects.get("events_after", 0)
    return f"{short(signal.name)} {number(before)} → {number(after)} a window"


def _labels(signal: Signal) -> str:
    return f"{signal.what} {signal.after} of them have one, usually {signal.before} at least"


def _release(signal: Signal) -> str:
    return f"{signal.what}: {signal.before} → {signal.after}"


def _skipped(signal: Signal) -> str:
    count = signal.effects.get("count")
    known = f"{count:,.0f} known records" if count else "an unknown number"
    return f"{known}, from offset {signal.before} to {signal.after}"


def _counted(signal: Signal) -> str:
    some = f" ({signal.what})" if signal.what else ""
    return f"{short(signal.name)} {number(signal.effects.get('count', 0))}{some}"


def _rejected(signal: Signal) -> str:
    of = f" ({'models' if ', ' in signal.what else 'model'} {signal.what})" if signal.what else ""
    return f"{short(signal.name)} {number(signal.effects.get('count', 0))}{of}"


@dataclass(frozen=True, slots=True)
class Wording:
    """How incidents of a kind are told."""

    happened: str
    back: str = ""
    """What is back to normal when its signals are; "" where whoever ends it says why."""
    describe: Callable[[Signal], str] = describe_values
    """What happened to one of its signals."""


WORDINGS: Final[Mapping[Kind, Wording]] = {
    Kind.DATA_DRIFT: Wording("inputs have drifted from the reference", back="inputs"),
    Kind.PREDICTION_DRIFT: Wording("predictions have drifted from the reference", back="predictions"),
    Kind.DATA_QUALITY: Wording("data quality has changed", back="data quality", describe=describe_quality),
    Kind.VOLUME: Wording("the number of events has changed", describe=_volume),
    Kind.MIX: Wording("the mix of segments has changed", back="the mix of segments"),
    Kind.PERFORMANCE: Wording("performance has changed", back="performance", describe=describe_performance),
    Kind.LABELS: Wording("labels have stopped, or come later than before", back="labels", describe=_labels),
    Kind.RELEASE: Wording("the versions that answer have changed", describe=_release),
    Kind.SILENCE: Wording("no events"),
    Kind.THRESHOLD: Wording("a distance has passed the threshold that you set", back="distances"),
    Kind.DEAD_LETTERS: Wording("Driftline cannot read many of the records", describe=_rejected),
    Kind.CAPACITY: Wording(
        "a limit is reached, and Driftline counts the excess without watching it", describe=_counted
    ),
    Kind.SKIPPED: Wording("an operator skipped records, which stay uncounted", describe=_skipped),
}
