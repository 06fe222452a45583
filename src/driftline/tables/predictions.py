"""How a table's prediction and score columns become an event's `prediction`."""

from collections.abc import Callable
from typing import Any

import polars as pl

from driftline.errors import InputError
from driftline.tables.mapping import ColumnMapping
from driftline.tables.table import Table, class_name, input_errors

MAX_CLASSES = 100
"""Numbers with more distinct values than this are a measured quantity, not the names of classes."""

_POSITIVE_NAMES = ("1", "true", "yes", "y", "t", "positive", "pos")

Prediction = Callable[[pl.DataFrame], list[Any]]
"""From a batch of rows to their predictions."""


def prediction_of(table: Table, mapping: ColumnMapping) -> Prediction | None:
    """Decide, from the columns' types and values, what form predictions take. None if the table has none.

    A prediction with a score beside it is a class: `{"label": "1", "proba": {"1": 0.8}}`, the score being that of the
    positive class (of two classes of a model the one named 1, true, yes or positive, else the one whose mean score is
    higher), or, with more than two classes, that of the predicted one. A prediction alone is a number, text, boolean or
    object as it stands; a score alone is `{"value": 0.8}`. Raises InputError for lists: they are no prediction.
    """
    prediction, score = mapping.prediction_column, mapping.score_column
    for option, column in (("--prediction-column", prediction), ("--score-column", score)):
        if column is not None and isinstance(table.schema[column], (pl.List, pl.Array)):
            raise InputError(
                f'{option}: "{column}" holds lists; a prediction is a number, text, a boolean, or an object with any '
                "of label, value and proba"
            )
    if prediction is None:
        return None if score is None else _values(table, score)
    return table.column(prediction).form if score is None else _classes(table, mapping, prediction, score)


def _values(table: Table, column: str) -> Prediction:
    form = table.column(column).form
    return lambda batch: [None if _missing(score) else {"value": score} for score in form(batch)]


def _classes(table: Table, mapping: ColumnMapping, column: str, score_column: str) -> Prediction:
    held, scored = table.column(column), table.column(score_column)
    if not scored.dtype.is_numeric():
        raise InputError(f'--score-column: "{score_column}" holds {scored.dtype}; a score is a number')
    if held.dtype.is_nested():
        raise InputError(
            f'--score-column: "{column}" holds {held.dtype}, and a score goes with a class: leave one of the two out'
        )
    name, score = class_name(held.value, held.dtype), scored.value.cast(pl.Float64)
    model = (
        pl.lit(mapping.model, pl.String) if mapping.model_column is None else table.column(mapping.model_column).written
    )
    with input_errors(table.path):
        means = table.frame.group_by(model.alias("model"), name.alias("class")).agg(
            score.fill_nan(None).mean().alias("score")
        )
        by_model = means.drop_nulls("class").collect().partition_by("model", as_dict=True)
    positive = {
        key[0]: positive_class(found, column, numbers=held.dtype.is_numeric()) for key, found in by_model.items()
    }

    def predictions(batch: pl.DataFrame) -> list[Any]:
        models, labels, scores = batch.select(
            model.alias("model"), name.alias("class"), score.alias("score")
        ).get_columns()
        belong = (
            [positive.get(each) for each in models]
            if len(models) == batch.height
            else [positive.get(models[0])] * batch.height
        )
        return [
            _classified(label, score, named)
            for label, score, named in zip(labels.to_list(), scores.to_list(), belong, strict=True)
        ]

    return predictions


def _classified(label: str | None, score: float | None, positive: str | None) -> dict[str, Any] | None:
    named = positive if positive is not None else label
    if _missing(score) or named is None:
        return None if label is None else {"label": label}
    return {"proba": {named: score}} if label is None else {"label": label, "proba": {named: score}}


def positive_class(means: pl.DataFrame, column: str, *, numbers: bool) -> str | None:
    """Return the class that the score belongs to; None if it is that of whichever class was predicted."""
    if means.height > MAX_CLASSES and numbers:
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


def _missing(score: Any) -> bool:
    return not isinstance(score, (int, float)) or not -float("inf") < score < float("inf")
