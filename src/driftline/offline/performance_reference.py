"""A reference of performance from a table whose rows have labels."""

import numpy as np

from driftline.config import Settings
from driftline.config.settings import ALL_MODELS
from driftline.errors import InputError
from driftline.performance.outcome_kinds import Classes
from driftline.performance.outcomes import Series
from driftline.performance.reference import MAX_STRETCHES, PerformanceReference
from driftline.tables import ColumnMapping, Table
from driftline.tables.outcomes import read_outcomes

MIN_LABELS = 200
"""Fewer say too little of what is usual."""


def build_performance_reference(
    settings: Settings, table: Table, mapping: ColumnMapping
) -> tuple[PerformanceReference, tuple[str, ...]]:
    """Return what a table's labels say, and what a person should know of rows that were left out. Raises `InputError`.

    Outcomes are kept apart by the windows of performance: so it is known how much these vary.
    """
    read = read_outcomes(table, table, mapping)
    outcomes, kind = read.reference.outcomes, read.kind
    if len(outcomes) < MIN_LABELS:
        raise InputError(
            f"{table.path}: has labels in {len(outcomes):,} rows; a reference of performance takes {MIN_LABELS} or more"
        )
    length = settings.model(mapping.model or ALL_MODELS).performance_ms
    if outcomes.times is None:
        stretch = np.arange(len(outcomes)) * MAX_STRETCHES // len(outcomes)
    else:
        _, stretch = np.unique(outcomes.times // length, return_inverse=True)
    each = -(-(int(stretch[-1]) + 1) // MAX_STRETCHES)
    stretch = (stretch // each).astype(np.int64)
    series = kind.series if isinstance(kind, Classes) else Series.ERRORS
    classes = kind.names if isinstance(kind, Classes) else ()
    found = PerformanceReference(series, classes, kind.tally(outcomes, stretch), int(stretch[-1]) + 1)
    return found, read.reference.notes
