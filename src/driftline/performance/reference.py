"""A reference of performance: outcomes with labels, of a time when the model worked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Final

import msgspec
import numpy as np

from driftline.codec import corrupt, corrupt_if_it_fails, pack, unpack
from driftline.performance.outcome_kinds import Classes, Numbers, OutcomeKind
from driftline.performance.outcomes import Series, labelled
from driftline.performance.tally import Tally, merged, unpacked
from driftline.sketches.keys import Floats

KIND: Final = "performance reference"
VERSION: Final = 1
MAX_STRETCHES: Final = 64
"""Of time, of which the outcomes are kept apart: they tell how much windows vary."""
OF_OUTCOMES: Final = (Series.SCORES, Series.MARGINS, Series.CLASSES, Series.ERRORS)


class _StoredReference(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    series: Series
    classes: tuple[str, ...]
    stretches: Annotated[int, msgspec.Meta(ge=1, le=MAX_STRETCHES)]
    tally: bytes
    alike: bool


@dataclass(frozen=True)
class PerformanceReference:
    """See the module's head."""

    series: Series
    classes: tuple[str, ...]
    """Names by code; none where numbers are predicted."""
    tally: Tally
    """All with labels; its groups are stretches of time, one after the other."""
    stretches: int
    alike: bool = True
    """Whether its labels stand for all predictions: else only metrics of some answers can be compared."""

    @cached_property
    def labels(self) -> int:
        """How many outcomes it holds."""
        return int(labelled(self.whole, 1)[0])

    @cached_property
    def whole(self) -> Tally:
        """All outcomes as one group."""
        return self.tally.regrouped(np.zeros(self.stretches, dtype=np.int64))

    @cached_property
    def address(self) -> str:
        """What is in it, in one word: `sha256:` and the hash of its encoding."""
        return f"sha256:{sha256(self.encode()).hexdigest()}"

    def kind(self, costs: Floats | None = None) -> OutcomeKind:
        """Return what is predicted; `costs` are what an outcome is worth, by true and predicted class."""
        return kind_of(self.series, self.classes, costs)

    def encode(self) -> bytes:
        """Return it as bytes."""
        return pack(
            KIND,
            VERSION,
            _StoredReference(self.series, self.classes, self.stretches, self.tally.packed(), self.alike),
            {},
        )

    @classmethod
    def decode(cls, data: bytes) -> "PerformanceReference":
        """Read what `encode` wrote. Raises `StateCorrupt`."""
        with corrupt_if_it_fails(KIND):
            stored = msgspec.convert(unpack(data, KIND, (VERSION,)).value, _StoredReference)
            found = cls(stored.series, stored.classes, unpacked(stored.tally), stored.stretches, stored.alike)
            beyond = int(found.tally.groups.max(initial=0)) >= stored.stretches
            if beyond or stored.series not in OF_OUTCOMES or (stored.series is Series.ERRORS) == bool(stored.classes):
                raise corrupt(KIND, "its outcomes are of no stretch of its time, or of no class")
        return found


def kind_of(series: Series, classes: Sequence[str], costs: Floats | None = None) -> OutcomeKind:
    """Return what a model predicts."""
    return Numbers() if series is Series.ERRORS else Classes(tuple(classes), series, costs)


def joined(stretches: Sequence[Tally]) -> tuple[Tally, int]:
    """Return tallies of one stretch of time each as one, with its number of stretches: neighbours join above the limit.

    >>> from driftline.performance.tally import empty
    >>> joined([empty()] * 100)[1]
    50
    """
    each = -(-len(stretches) // MAX_STRETCHES)
    placed = [
        part.regrouped(np.full(int(part.groups.max(initial=0)) + 1, at // each))
        for at, part in enumerate(stretches)
        if len(part)
    ]
    return merged(placed), max(-(-len(stretches) // each), 1) if stretches else 1
