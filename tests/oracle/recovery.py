"""When the signals of an incident have come back, once more in plain Python."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.oracle.evidence import GRID, SignalEvidence

ENOUGH = math.log(100)


@dataclass
class _Change:
    looks: list[float] | None
    """q/p, when the signal last spoke against the reference; None if it had no values."""
    log_b: float = 0.0
    """Page's sum of the evidence that less than half of it is left."""


@dataclass
class Recovery:
    """How far the signals of an incident have come back."""

    changes: dict[str, _Change] = field(default_factory=dict)

    def join(self, name: str, evidence: SignalEvidence) -> None:
        """Add a signal, as it looks now."""
        self.changes[name] = _Change(evidence.lately())

    def take(self, name: str, evidence: SignalEvidence, counts: Sequence[int], speaks: bool) -> None:
        """Take a signal's counts in a window: B <- max(1, B Π (2p/(p + q))^n), from 1 again if it speaks."""
        change = self.changes[name]
        if speaks:
            self.changes[name] = _Change(evidence.lately())
        elif change.looks is not None:
            gained = sum(
                count / evidence.known.dispersion * math.log(2 / (1 + q))
                for count, q in zip(counts, change.looks, strict=True)
            )
            change.log_b = max(change.log_b + round(gained * GRID) / GRID, 0.0)

    def is_gone(self, name: str) -> bool:
        """Tell whether a signal's change is gone; one of which no change is known counts as such."""
        change = self.changes[name]
        return change.looks is None or change.log_b >= ENOUGH

    def leave(self, name: str) -> None:
        """Let go of a signal that is back."""
        del self.changes[name]
