"""What there is to say of every incident of a kind. Each kind is a file that holds one of these, and is listed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from driftline.incidents.incident import Kind, Signal
from driftline.incidents.level import Level
from driftline.incidents.severity import WARNING
from driftline.incidents.text import gone, number, percent, readable, short, times


def describe_values(signal: Signal) -> str:
    """Return how a signal's values moved.

    >>> describe_values(Signal("features.age", 9.0, {"mean_before": 34.0, "mean_after": 51.0, "psi": 0.8}))
    'age mean 34 → 51 (PSI 0.8)'
    """
    name, effects = short(signal.name), signal.effects
    exactly = (
        ""
        if signal.what in signal.named
        else "".join(f", at least {percent(share)} exactly {value}" for value, share in signal.named.items())
    )
    size = f" (PSI {number(effects['psi'])})" if "psi" in effects else ""
    if signal.what:
        joint = ":" if signal.after.endswith("%") else ""
        what = readable(signal.what)
        moved = f"{what}{joint} {signal.before} → {signal.after}"
        if signal.after == percent(1.0):
            moved = f"always {what} (was {signal.before})"
        return f"{name} {moved}{exactly}{times(signal)}{gone(signal)}{size}"
    if "mean_before" in effects and "mean_after" in effects:
        return f"{name} mean {number(effects['mean_before'])} → {number(effects['mean_after'])}{exactly}{size}"
    return f"{name} has a different mix of values{size}"


class Layer(IntEnum):
    """Where in a system's stream something changes: what is upstream may be the cause of what is downstream."""

    TRAFFIC = 0
    QUALITY = 1
    INPUTS = 2
    DISTANCES = 3
    VOLUME = 4
    OUTPUT = 5
    PERFORMANCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A kind of incident: its name, its words, how urgent it may be, and what follows from what."""

    kind: Kind
    happened: str
    """What happened, as a sentence without its end."""
    back: str = ""
    """What is back to normal when its signals are; "" where whoever ends it says why."""
    describe: Callable[[Signal], str] = describe_values
    """What happened to one of its signals."""
    severities: tuple[str, ...] = (WARNING,)
    """All that its evidence may give its incidents; the first where nothing else is said."""
    level: tuple[Level, str] | None = None
    """What changed, and the sentence that says so, where it is always the same."""
    layer: Layer | None = None
    """None for a fact of its own, which has no cause in common with others."""
    too: str = ""
    """Said of it where something else leads the incident; all that has a layer has it."""
    moved: str = "the inputs moved"
    """What changed of the inputs, where that is the reason for its level."""
