"""Outcomes of a slice of event time: what came, and of which predictions.

A prediction comes at its own time, as one that waits. Its label comes in the slice in which it arrived: what waited is
taken away, and the outcome added, both in the *cohort* of the prediction's own time. So what arrived in a slice are the
labelled rows of all cohorts, and the book of a cohort is the sum of all slices.
"""

from dataclasses import dataclass
from typing import NamedTuple

from driftline.performance.outcomes import Series
from driftline.performance.tally import Tally


class Cell(NamedTuple):
    """Whose outcomes they are."""

    version: str
    segment: str
    """"" for all events."""
    cohort: int
    """Start of the span of time in which they were predicted (epoch milliseconds)."""


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeSlice:
    """Outcomes of one model, from `start` to `end` of event time."""

    model: str
    start: int
    end: int
    series: Series
    """SCORES, MARGINS or CLASSES; ERRORS of numbers."""
    classes: tuple[str, ...]
    """Names by code; none of numbers. A code means the same in all slices of a model."""
    cells: tuple[Cell, ...]
    """What each group of the tally is."""
    tally: Tally
