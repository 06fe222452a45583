"""Rows of a table as encoded events, in event-time order."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec
import polars as pl

from driftline.errors import InputError
from driftline.tables.mapping import ColumnMapping
from driftline.tables.predictions import prediction_of
from driftline.tables.subjects_of_rows import Names
from driftline.tables.table import Table, in_events, input_errors
from driftline.tables.times import epoch_milliseconds, extent
from driftline.tables.watching import features_of

BATCH_ROWS = 8_192
"""Rows turned into events at once: large enough for polars, small enough that their objects stay in the cache."""

_ROW, _TIME, _ARRIVED = "driftline row", "driftline time", "driftline arrival"


@dataclass(frozen=True, slots=True)
class EncodedEvents:
    """Consecutive events as parallel lists, ready to be produced or decoded."""

    keys: list[bytes]
    """The event ids."""
    values: list[bytes]
    """Native events, JSON."""
    times: list[int] | None
    """Event times in epoch milliseconds, in order; None if the table has no times, so that each event's time is that
    of its record."""
    arrived: list[int] | None = None
    """When the records were sent, in epoch milliseconds; None if the table does not say."""


def iter_events(table: Table, mapping: ColumnMapping, batch_rows: int = BATCH_ROWS) -> Iterator[EncodedEvents]:
    """Yield the table's prediction events in event-time order; rows of one time keep their order.

    A table that is in order already is streamed; any other is sorted in memory. Rows that are dated far before all
    others (see `extent`) come last: as the first ones they would say when the table begins, and so they come late.
    NaN and infinities become null. Without an id column an event is named `<file stem>-<row>`, the first row being 1.
    Raises InputError.
    """
    features = features_of(table, mapping)
    predicted = prediction_of(table, mapping)
    named = Names.of(table, mapping)
    feature_record = record_type(features)
    segment_record = record_type(mapping.segment_columns)
    columns = [table.column(name) for name in features]

    def fields(batch: _Batch) -> dict[str, Sequence[object]]:
        found: dict[str, Sequence[object]] = {"event_id": batch.ids}
        if batch.times is not None:
            found["event_time"] = batch.times
        found["model"] = named.models(batch.frame)
        if named.versioned:
            found["model_version"] = named.versions(batch.frame)
        if features:
            found["features"] = list(map(feature_record, *in_events(columns, batch.frame)))
        if predicted:
            found["prediction"] = predicted(batch.frame)
        if mapping.segment_columns:
            found["segment"] = list(map(segment_record, *named.segments(batch.frame)))
        return found

    for batch in _batches(table, mapping, named, batch_rows):
        keys = [key.encode() for key in batch.ids]
        yield EncodedEvents(keys, _encoded(fields(batch)), batch.times, batch.arrived)


def iter_labels(table: Table, mapping: ColumnMapping, batch_rows: int = BATCH_ROWS) -> Iterator[EncodedEvents]:
    """Yield the table's label events; rows without a label have none yet. The mapping's times are those of labels.

    Ids are those that `iter_events` gives the same rows. Raises InputError.
    """
    if mapping.label_column is None:
        raise InputError("--label-column: is missing; name the column of the true labels")
    named = Names.of(table, mapping)
    label = table.column(mapping.label_column).form
    for batch in _batches(table, mapping, named, batch_rows):
        fields: dict[str, Sequence[object]] = {
            "event_id": batch.ids,
            "model": named.models(batch.frame),
            "label": label(batch.frame),
        }
        if batch.times is not None:
            fields["label_time"] = batch.times
        known = [at for at, said in enumerate(fields["label"]) if _says(said)]
        fields = {name: [held[at] for at in known] for name, held in fields.items()}
        keys = [str(key).encode() for key in fields["event_id"]]
        times = None if batch.times is None else [batch.times[at] for at in known]
        yield EncodedEvents(keys, _encoded(fields), times)


def _says(label: object) -> bool:
    """Tell whether a row has a label: what becomes null would withdraw one."""
    if isinstance(label, float):
        return math.isfinite(label)
    return label is not None and label is not msgspec.UNSET


@dataclass(frozen=True, slots=True)
class _Batch:
    frame: pl.DataFrame
    ids: list[str]
    times: list[int] | None
    arrived: list[int] | None


def _batches(table: Table, mapping: ColumnMapping, named: Names, batch_rows: int) -> Iterator[_Batch]:
    frame = table.frame.with_row_index(_ROW, offset=1)
    columns = {_TIME: mapping.time_column, _ARRIVED: mapping.arrival_column}
    options = {_TIME: "--time-column", _ARRIVED: "--arrival-column"}
    moments = [
        epoch_milliseconds(table, column, options[name]).alias(name) for name, column in columns.items() if column
    ]
    if moments:
        frame = pl.concat([pl.DataFrame(moments).lazy(), frame], how="horizontal")
    if named.wanted is not None:
        frame = frame.filter(named.wanted)
    if mapping.time_column:
        lies = extent(table, mapping.time_column)
        if min(lies.strays, default=lies.first) < lies.first or not moments[0].is_sorted():
            frame = frame.sort(pl.col(_TIME) < lies.first, _TIME, maintain_order=True)
    with input_errors(table.path):
        for rows in frame.collect_batches(chunk_size=batch_rows, maintain_order=True):
            if rows.height:
                times, arrived = (rows[name].to_list() if column else None for name, column in columns.items())
                yield _Batch(rows, _ids(table, mapping, rows), times, arrived)


def _ids(table: Table, mapping: ColumnMapping, rows: pl.DataFrame) -> list[str]:
    if mapping.id_column is None:
        return rows.select(pl.lit(f"{table.stem}-") + pl.col(_ROW).cast(pl.String)).to_series().to_list()
    ids = rows.select(table.column(mapping.id_column).written).to_series()
    if ids.null_count():
        row = rows.filter(ids.is_null())[_ROW][0]
        raise InputError(
            f'{table.path}: row {row} has no id in column "{mapping.id_column}"; correct it, or name no id column'
        )
    return ids.to_list()


def _encoded(fields: Mapping[str, Sequence[object]]) -> list[bytes]:
    return list(map(_encode, map(record_type(tuple(fields)), *fields.values())))


_encode = msgspec.json.Encoder(decimal_format="number").encode


@cache
def record_type(names: tuple[str, ...]) -> Callable[..., object]:
    """Return what makes a JSON object of these fields from their values, in order. UNSET leaves a field out.

    A msgspec struct, which is twice as fast to make and to encode as a dictionary, and which the garbage collector
    does not walk.
    """
    renamed = {f"field_{position}": name for position, name in enumerate(names)}
    return msgspec.defstruct("Record", [(field, object) for field in renamed], rename=renamed, gc=False)
