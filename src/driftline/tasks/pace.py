"""How often events of a model usually come, and the longest pause between two of them."""

import msgspec
import numpy as np

from driftline.evidence.volume import Totals


class Usual(msgspec.Struct, frozen=True, array_like=True):
    """What the reference says of a model's pace."""

    pause_ms: int
    """The longest time without an event, to the pane."""
    per_minute: float | None
    """None where that is not known: of a sample."""


def usual_pace(totals: Totals, *, complete: bool = True) -> Usual:
    """Return how often events came while all was well, and the longest pause between two of them.

    A sample has longer pauses than its stream, and says nothing of how often events come.
    """
    starts, pane_ms = totals.starts, totals.pane_ms
    pause = int(np.diff(starts).max()) - pane_ms if len(starts) > 1 else 0
    span = int(starts[-1]) - int(starts[0]) + pane_ms
    return Usual(pause, totals.events / span * 60_000 if complete else None)
