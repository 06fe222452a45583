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


@dataclass(slots=True, eq=False)
class LabelBatch:
    """What a batch of records says. Positions are those of the records in the batch."""

    reasons: NDArray[np.uint8]
    details: dict[int, str]
    """For people, for some of the rejected records."""
    models: Ints
    """Codes, as the reader gave them; or EVERY_MODEL (a tombstone), UNAWAITED, NO_MODEL (rejected)."""
    ids: Ints
    times: Ints
    """`label_time`, NO_TIME where there is none."""
    revisions: Ints
    forms: NDArray[np.uint8]
    truths: Floats
    """A number, or a category's key, by the form."""
    weights: Floats
    values: Floats
    """What the outcome is worth; NaN where nobody said."""
    kinds: Ints
    """Codes, as the reader gave them."""
