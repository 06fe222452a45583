"""A check: one sort of evidence, and the kind of incident that it opens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from driftline.evidence.projection import Projection
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Signal
from driftline.incidents.severity import WARNING
from driftline.sketches.keys import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Definition):
    """What is looked at in each window, and what that may cost."""

    share: float
    """Its part of the model's false-alarm budget."""
    rows: Callable[[Projection], Ints]
    """The slots of the signals that it is about."""
    severity: Callable[[Sequence[Signal]], str] = lambda signals: WARNING
    """How urgent an incident of these signals is."""
    by_quality: bool = False
    """Whether it weighs what is wrong with values (null, missing, of another type, …), or else what they are."""
    of_segments: bool = True
    """Whether segments have it too, or all events alone."""
    shown: bool = False
    """Whether its signals are measured for `status`, those with the strongest evidence first."""
