"""Label events as columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.sketches.keys import Floats, Ints

NOTHING, NUMBER, CATEGORY = 0, 1, 2
"""What a label says: nothing (it withdraws what was said), a number, or a category's key."""
OUTRANKS = -2
"""Stands for the revision of a withdrawal that gives none: it takes that of what it withdraws."""
EVERY_MODEL = -1
"""Stands for the model of a tombstone."""
NO_MODEL = -2
"""Stands for the model of a record that was rejected."""
UNAWAITED = -3
"""Stands for a model that awaits no labels."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelColumns:
    """What labels say, or what stood before they came, as columns in one order, each of shape (labels)."""

    revisions: Ints
    forms: NDArray[np.uint8]
    """Each a NUMBER or a CATEGORY; NOTHING where nothing is said."""
    truths: Floats
    """A number, or a category's key, by the form."""
    weights: Floats
    """By how many predictions each stands, from 0 on; 1 where nobody said."""
    values: Floats
    """What the outcome is worth; NaN where nobody said."""
    kinds: Ints
    """Codes, as the reader gave them."""

    @property
    def columns(self) -> tuple[Ints, NDArray[np.uint8], Floats, Floats, Floats, Ints]:
        """All of them, in this order."""
        return self.revisions, self.forms, self.truths, self.weights, self.values, self.kinds


def nothing_said(size: int) -> LabelColumns:
    """Return room for so many."""
    return LabelColumns(
        revisions=np.zeros(size, dtype=np.int64),
        forms=np.full(size, NOTHING, dtype=np.uint8),
        truths=np.zeros(size),
        weights=np.ones(size),
        values=np.full(size, np.nan),
        kinds=np.zeros(size, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class LabelBatch(LabelColumns):
    """What a batch of records says. Positions are those of the records in the batch."""

    reasons: NDArray[np.uint8]
    details: dict[int, str]
    """For people, for some of the rejected records."""
    models: Ints
    """Codes, as the reader gave them; or EVERY_MODEL (a tombstone), UNAWAITED, NO_MODEL (rejected)."""
    ids: Ints
    times: Ints
    """`label_time` in epoch milliseconds, NO_TIME where there is none."""
