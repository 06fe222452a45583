"""What the join gives: outcomes, and what became of labels. Both are events, with a time and a place in panes."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from driftline.columns.labels import LabelColumns
from driftline.sketches.keys import Floats, Ints

NOT_FIRST: Final = -1
"""Stands for the delay of a label that is not the first one of its prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Predictions of one model with their labels, as columns.

    A correction is two rows of one time: what was counted, with the sign -1, and what is to be counted.
    """

    model: str
    ids: Ints
    """Of the predictions, as numbers."""
    times: Ints
    """When both were there: the later of the prediction's time and the label's arrival."""
    cohorts: Ints
    """The prediction's own time."""
    signs: Ints
    """1 or -1."""
    delays: Ints
    """Milliseconds from the prediction to its first label's `label_time`, or arrival; NOT_FIRST for other rows."""
    names: list[str]
    """Of versions and segments."""
    versions: Ints
    """Codes in `names`."""
    tags: dict[str, Ints]
    """By segment tag, codes in `names`."""
    predicted: Ints
    """Key of the predicted label; `NO_KEY` of `columns.categories` where there is none."""
    numbers: dict[str, Floats]
    """What else was predicted, such as `prediction.value` and `prediction.proba.yes`; NaN where it was not."""
    forms: NDArray[np.uint8]
    """Whether the truth is a NUMBER or a CATEGORY; NOTHING where no label has come."""
    truths: Floats
    """The number, or the category's key."""
    weights: Floats
    values: Floats
    kinds: Ints
    """Codes, as the labels' reader gave them."""

    def take(self, rows: Ints) -> "Outcomes":
        """Return some of them."""
        changed: dict[str, Any] = {}
        for each in fields(self):
            held = getattr(self, each.name)
            if isinstance(held, np.ndarray):
                changed[each.name] = held[rows]
            elif isinstance(held, dict):
                changed[each.name] = {name: column[rows] for name, column in held.items()}
        return replace(self, **changed)


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """What became of labels of one model (of tombstones: ""), at times that are never late for their panes."""

    model: str
    times: Ints
    fates: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Said(LabelColumns):
    """Labels, in the order of their log."""

    rows: Ints
    """Of each the prediction that it met, NOBODY for none."""
    arrivals: Ints
    times: Ints
    """Their `label_time`, or their arrival."""

    def at(self, chosen: Ints, rows: Ints | None = None) -> "Said":
        """Return some of them, perhaps of other predictions."""
        found = Said(*(getattr(self, each.name)[chosen] for each in fields(self)))
        return found if rows is None else replace(found, rows=rows)
