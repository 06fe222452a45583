"""Rows of a table as encoded events, in event-time order."""

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
from driftline.tables.times import epoch_milliseconds, extent_of
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

    def fields(batch: EventRows) -> dict[str, Sequence[object]]:
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

    times = None if mapping.time_column is None else epoch_milliseconds(table, mapping.time_column)
    arrived = None
    if mapping.arrival_column is not None:
        arrived = epoch_milliseconds(table, mapping.arrival_column, "--arrival-column")
    for batch in batches(table, mapping, named.wanted, batch_rows, times, arrived):
        keys = [key.encode() for key in batch.ids]
        yield EncodedEvents(keys, encoded(fields(batch)), batch.times, batch.arrived)


@dataclass(frozen=True, slots=True)
class EventRows:
    """Some rows of a table, with the times of their events and when these were sent, as far as the table says."""

    frame: pl.DataFrame
    ids: list[str]
    times: list[int] | None
    arrived: list[int] | None


def batches(
    table: Table,
    mapping: ColumnMapping,
    wanted: pl.Expr | None,
    batch_rows: int,
    times: pl.Series | None,
    arrived: pl.Series | None = None,
) -> Iterator[EventRows]:
    """Yield the rows that are wanted (None: all), in the order of their times (see `iter_events`).

    Rows whose time is null are not wanted.
    """
    frame = table.frame.with_row_index(_ROW, offset=1)
    moments = {name: held for name, held in ((_TIME, times), (_ARRIVED, arrived)) if held is not None}
    if moments:
        columns = pl.DataFrame([held.alias(name) for name, held in moments.items()])
        frame = pl.concat([columns.lazy(), frame], how="horizontal")
    if wanted is not None:
        frame = frame.filter(wanted)
    if times is not None:
        known = times.drop_nulls()
        if len(known) < len(times):
            frame = frame.filter(pl.col(_TIME).is_not_null())
        lies = extent_of(known)
        if min(lies.strays, default=lies.first) < lies.first or not known.is_sorted():
            frame = frame.sort(pl.col(_TIME) < lies.first, _TIME, maintain_order=True)
    with input_errors(table.path):
        for rows in frame.collect_batches(chunk_size=batch_rows, maintain_order=True):
            if rows.height:
                found = (rows[name].to_list() if name in moments else None for name in (_TIME, _ARRIVED))
                yield EventRows(rows, _ids(table, mapping, rows), *found)


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


def encoded(fields: Mapping[str, Sequence[object]]) -> list[bytes]:
    """Return events as JSON, given their fields as columns."""
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
