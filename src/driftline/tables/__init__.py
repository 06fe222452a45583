"""Tables of past predictions as the events that a service would have published."""

from driftline.tables.events import BATCH_ROWS, EncodedEvents, iter_events
from driftline.tables.labels import Labels, iter_labels, read_labels, refuse_other_kind
from driftline.tables.mapping import ColumnMapping
from driftline.tables.reading import open_table
from driftline.tables.subjects_of_rows import group_sizes
from driftline.tables.table import Table
from driftline.tables.times import Extent, extent
from driftline.tables.watching import features_of, remarks

__all__ = [
    "BATCH_ROWS",
    "ColumnMapping",
    "EncodedEvents",
    "Extent",
    "Labels",
    "Table",
    "extent",
    "features_of",
    "group_sizes",
    "iter_events",
    "iter_labels",
    "open_table",
    "read_labels",
    "refuse_other_kind",
    "remarks",
]
