"""How a table's prediction and score columns become an event's `prediction`."""

from collections.abc import Callable
from typing import Any

import polars as pl

from driftline.errors import InputError
from driftline.tables.mapping import ColumnMapping
from driftline.tables.reading import Table, input_errors

MOST_CLASSES = 100
"""Numbers with more distinct values than this are a measured quantity, not the names of classes."""

_POSITIVE_NAMES = ("1", "true", "yes", "y", "t", "positive", "pos")

Prediction = Callable[[pl.DataFrame], list[Any]]
"""From a batch of rows to their predictions."""


def prediction_of(table: Table, mapping: ColumnMapping) -> Prediction | None:
    """Decide, from the columns' types and values, what form predictions take. None if the table has none.

    A prediction with a score beside it is a class: `{"label": "1", "proba": {"1": 0.8}}`, the score being that of the
    positive class (of two classes the one named 1, true, yes or positive, else the one whose mean score is higher), or,
    with more than two classes, that of the predicted one. A prediction alone is a number, text or boolean as it stands;
    a score alone is `{"value": 0.8}`.
    """
    prediction, score = mapping.prediction_column, mapping.score_column
    if prediction is None:
        return None if score is None else _values(score)
    return _plain(prediction) if score is None else _classes(table, prediction, score)


def _plain(column: str) -> Prediction:
    return lambda batch: batch[column].to_list()


def _values(column: str) -> Prediction:
    return lambda batch: [None if _missing(score) else {"value": score} for score in batch[column].to_list()]


def _classes(table: Table, column: str, score_column: str) -> Prediction:
    if not table.schema[score_column].is_numeric():
        raise InputError(f'--score-column: "{score_column}" holds {table.schema[score_column]}; a score is a number')
    name = class_name(table.schema[column], column)
    positive = _positive_class(table, column, score_column)

    def predictions(batch: pl.DataFrame) -> list[Any]:
        labels = batch.select(name)[column].to_list()
        scores = batch[score_column].to_list()
        if positive is not None and None not in labels and batch[score_column].is_finite().all(ignore_nulls=False):
            return [{"label": label, "proba": {positive: score}} for label, score in zip(labels, scores, strict=True)]
        return [_classified(label, score, positive) for label, score in zip(labels, scores, strict=True)]

    return predictions


def _classified(label: str | None, score: float | None, positive: str | None) -> dict[str, Any] | None:
    named = positive if positive is not None else label
    if _missing(score) or named is None:
        return None if label is None else {"label": label}
    return {"proba": {named: score}} if label is None else {"label": label, "proba": {named: score}}


def class_name(dtype: pl.DataType, column: str) -> pl.Expr:
    """Return the expression that names a class as text: 1 and 1.0 are "1", true is "true"."""
    raw = pl.col(column)
    if dtype.is_float() or dtype.is_decimal():
        raw = raw.cast(pl.Float64).fill_nan(None)
        # A column of classes with a gap in it often comes as floats.
        whole = raw.cast(pl.Int64, strict=False)
        return (
            pl.when(whole.cast(pl.Float64) == raw)
            .then(whole.cast(pl.String))
            .otherwise(raw.cast(pl.String))
            .alias(column)
        )
    return raw.cast(pl.String)


def _positive_class(table: Table, column: str, score_column: str) -> str | None:
    """Return the class that the score belongs to; None if it is that of whichever class was predicted."""
    name = class_name(table.schema[column], column)
    score = pl.col(score_column).cast(pl.Float64).fill_nan(None).mean()
    with input_errors(table.path):
        means = table.frame.group_by(name.alias("class")).agg(score.alias("score")).drop_nulls("class").collect()
    if means.height > MOST_CLASSES and table.schema[column].is_numeric():
        raise InputError(
            f'--score-column: "{column}" has {means.height} different numbers, so it is a quantity and not a class; '
            "a score goes with a class: leave one of the two options out"
        )
    classes: list[str] = sorted(means["class"].to_list())
    for known in _POSITIVE_NAMES:
        if len(classes) <= 2 and (found := next((one for one in classes if one.lower() == known), None)):
            return found
    if len(classes) > 2:
        return None
    if set(classes) <= {"0", "false"} and classes:
        return "1" if "0" in classes else "true"
    ranked = means.fill_null(0).sort("score", "class", descending=True)["class"].to_list()
    return ranked[0] if len(ranked) == 2 else None


def _missing(score: float | None) -> bool:
    return score is None or score != score
