"""Labels of a table: which rows have one, when it was known, and how long after its prediction that was."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from driftline.config.nearest import nearest
from driftline.errors import InputError
from driftline.labels.classes import class_of
from driftline.labels.yes_no import NO, YES
from driftline.sketches.keys import Ints
from driftline.tables.events import BATCH_ROWS, EncodedEvents, batches, encoded
from driftline.tables.mapping import ColumnMapping, refuse_missing
from driftline.tables.subjects_of_rows import Names
from driftline.tables.table import Table, class_name, input_errors
from driftline.tables.times import epoch_milliseconds

MAX_NAMED: Final = 4


@dataclass(frozen=True, slots=True)
class Labels:
    """The rows of a table that have a label."""

    table: Table
    mapping: ColumnMapping
    """Its columns."""
    wanted: pl.Expr
    """Tells which rows they are."""
    known: pl.Series
    """The same of each row."""
    predicted: pl.Series | None
    """The times of the predictions (epoch ms), null where there is none of the same id; None if nothing says them."""
    times: pl.Series | None
    """When labels were known; null where there is no label, None if nothing says when."""

    def __len__(self) -> int:
        return int(self.known.sum())

    @property
    def delays(self) -> Ints:
        """How long after their predictions labels were known, in milliseconds, in order."""
        if self.times is None or self.predicted is None:
            return np.zeros(0, dtype=np.int64)
        return np.sort((self.times - self.predicted).filter(self.known).drop_nulls().to_numpy())


def read_labels(table: Table, mapping: ColumnMapping, predictions: Table | None = None) -> Labels:
    """Find out which rows have a label, and when it was known. Raises InputError.

    A label is known when its column of times says, or else so long after its prediction as `label_delay`. One that is
    null, empty, NaN or infinite is none yet.

    Args:
        table: with the labels.
        mapping: the columns of the predictions, and of labels.
        predictions: their table, if labels have one of their own; ids tell what belongs together.
    """
    own = mapping if predictions is None else _of_labels(table, mapping)
    _look_up(table, own)
    wanted, predicted = _wanted(table, own), None
    with input_errors(table.path):
        known = table.frame.select(wanted.fill_null(False)).collect().to_series()
    if predictions is not None:
        predicted = _times_by_id(table, own, predictions, mapping)
    elif mapping.time_column in table.columns:
        predicted = epoch_milliseconds(table, mapping.time_column or "")
    times = None
    if own.label_time_column is not None:
        times = epoch_milliseconds(table, own.label_time_column, "--label-time-column", known)
    elif own.label_delay is not None and predicted is None:
        raise InputError("--time-column: is missing; --label-delay is counted from the time of the prediction")
    elif own.label_delay is not None and predicted is not None:
        # One of an unknown id counts as unknown, whenever it comes.
        times = predicted.fill_null(predicted.min()).fill_null(0) + own.label_delay
    if times is not None:
        times = times.to_frame("time").select(pl.when(known).then("time")).to_series()
    return Labels(table, own, wanted, known, predicted, times)


def _of_labels(table: Table, mapping: ColumnMapping) -> ColumnMapping:
    """Return the columns of a table that holds labels alone."""
    if mapping.id_column is None:
        raise InputError("--id-column: is missing; it says which label of --labels belongs to which prediction")
    if mapping.model_column is not None and mapping.model_column not in table.columns and mapping.model is None:
        raise InputError(
            f'--model-column: {table.path.name} has no column "{mapping.model_column}"'
            f"{nearest(mapping.model_column, table.columns)}; or name the model of all its labels with --model"
        )
    names = ("id_column", "label_column", "label_time_column", "label_delay", "model")
    held = {name: getattr(mapping, name) for name in names}
    if mapping.model_column in table.columns:
        held["model_column"] = mapping.model_column
    return ColumnMapping.model_construct(**held)


def _look_up(table: Table, mapping: ColumnMapping) -> None:
    if mapping.label_column is None:
        raise InputError("--label-column: is missing; name the column of the true labels")
    wanted = {
        "--id-column": mapping.id_column,
        "--label-column": mapping.label_column,
        "--label-time-column": mapping.label_time_column,
        "--model-column": mapping.model_column,
        "--version-column": None if mapping.model_version is None else mapping.version_column,
    }
    refuse_missing(wanted.items(), table.columns, table.path.name)
    held = table.schema[mapping.label_column]
    if held.is_nested():
        raise InputError(
            f'--label-column: "{mapping.label_column}" in {table.path.name} holds {held}; a label is a number, text or '
            "a boolean"
        )


def _wanted(table: Table, mapping: ColumnMapping) -> pl.Expr:
    """Tell which rows have a label, of the model that is asked for."""
    held = table.column(mapping.label_column or "")
    there = held.value.is_not_null()
    if held.dtype.is_float():
        there &= held.value.is_finite()
    elif held.dtype == pl.String:
        there &= held.value != ""
    chosen = Names.of(table, mapping).wanted
    return there if chosen is None else there & chosen


def _times_by_id(table: Table, own: ColumnMapping, predictions: Table, mapping: ColumnMapping) -> pl.Series | None:
    """Return for each label the time of the prediction with its id; null where there is none."""
    if mapping.time_column is None:
        return None
    wanted = Names.of(predictions, mapping).wanted
    column = epoch_milliseconds(predictions, mapping.time_column).alias("driftline time")
    frame = pl.concat([column.to_frame().lazy(), predictions.frame], how="horizontal")
    frame = frame if wanted is None else frame.filter(wanted)
    ids = predictions.column(mapping.id_column or "").written.alias("id")
    with input_errors(predictions.path):
        times = frame.select(ids, pl.col("driftline time").alias("time")).unique("id", keep="first")
        asked = table.frame.select(table.column(own.id_column or "").written.alias("id")).collect()
        return asked.lazy().join(times, on="id", how="left", maintain_order="left").collect()["time"]


def iter_labels(labels: Labels, batch_rows: int = BATCH_ROWS) -> Iterator[EncodedEvents]:
    """Yield label events, in the order in which they were known. Ids are those that `iter_events` gives the same rows.

    Raises InputError.
    """
    table, mapping = labels.table, labels.mapping
    named, label = Names.of(table, mapping), table.column(mapping.label_column or "").form
    for batch in batches(table, mapping, labels.wanted, batch_rows, labels.times):
        fields = {"event_id": batch.ids, "model": named.models(batch.frame), "label": label(batch.frame)}
        if batch.times is not None:
            fields["label_time"] = batch.times
        yield EncodedEvents([key.encode() for key in batch.ids], encoded(fields), batch.times)


def refuse_other_kind(labels: Labels, predictions: Table, mapping: ColumnMapping) -> None:
    """Raise InputError where labels say another kind of thing than predictions, so that none can be compared."""
    column = labels.mapping.label_column or ""
    held, where = labels.table.column(column), f'--label-column: "{column}" in {labels.table.path.name} holds '
    with input_errors(labels.table.path):
        frame = labels.table.frame.filter(labels.wanted)
        said = set(frame.select(class_name(held.value, held.dtype).unique()).collect().to_series().to_list())
    if not said:
        return
    classes = _classes(predictions, mapping)
    if classes is None:
        if not held.dtype.is_numeric() and held.dtype != pl.Boolean and not {each.lower() for each in said} & _YES_NO:
            raise InputError(
                f"{where}{_listed(said)}, and the model predicts numbers; write labels as numbers, or as yes and no of "
                "a probability, or name the column of predicted classes: --prediction-column"
            )
    elif classes and not _meant(said) & _meant(classes) and len(_meant(said | classes)) > 2:
        raise InputError(
            f"{where}{_listed(said)}, and the model predicts {_listed(classes)}; write labels as the model answers"
        )


_YES_NO: Final = {*YES, *NO}


def _classes(table: Table, mapping: ColumnMapping) -> set[str] | None:
    """Return the classes that a table predicts; None if it predicts numbers, nothing if that is not plain."""
    if mapping.prediction_column is None:
        return None
    held = table.column(mapping.prediction_column)
    if held.dtype.is_nested():
        return set()
    if held.dtype.is_numeric() and mapping.score_column is None:
        return None
    with input_errors(table.path):
        found = table.frame.select(class_name(held.value, held.dtype).unique()).collect().to_series()
    return set(found.drop_nulls().to_list())


def _meant(names: set[str]) -> set[str]:
    return {class_of(name) for name in names}


def _listed(names: set[str]) -> str:
    some = ", ".join(f'"{name}"' for name in sorted(names)[:MAX_NAMED])
    return some + (f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else "")
