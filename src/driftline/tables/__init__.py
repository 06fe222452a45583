"""Tables of past predictions as the events that a service would have published."""

from driftline.tables.events import BATCH_ROWS, EncodedEvents, iter_events
from driftline.tables.mapping import ColumnMapping
from driftline.tables.reading import Table, open_table
from driftline.tables.times import time_span

__all__ = [
    "BATCH_ROWS",
    "ColumnMapping",
    "EncodedEvents",
    "Table",
    "iter_events",
    "open_table",
    "time_span",
]
