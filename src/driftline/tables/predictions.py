"""How a table's prediction and score columns become an event's `prediction`."""

from collections.abc import Callable
from typing import Any

import polars as pl

from driftline.errors import InputError
from driftline.labels.yes_no import NO, YES
from driftline.tables.mapping import ColumnMapping
from driftline.tables.table import Table, class_name, input_errors

MAX_CLASSES = 100
"""Numbers with more distinct values than this are a measured quantity, not the names of classes."""

Prediction = Callable[[pl.DataFrame], list[Any]]
"""From a batch of rows to their predictions."""


def prediction_of(table: Table, mapping: ColumnMapping) -> Prediction | None:
    """Decide, from the columns' types and values, what form predictions take. None if the table has none.

    A prediction with a score beside it is a class: `{"label": "1", "proba": {"1": 0.8}}`, the score being that of the
    positive class (of two classes of a model the one named 1, true, yes or positive, else the one whose mean score is
    higher), or, with more than two classes, that of the predicted one. Where the table is compared with another, the
    other one's classes decide, for a signal must have one name in both. A prediction alone is a number, text, boolean
    or object as it stands; a score alone is `{"value": 0.8}`. Raises InputError for lists: they are no prediction.
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
    name, score, model = _read(table, mapping, column, score_column)
    positive = _positive_classes(table, mapping, column, score_column)
    if table.like is not None:
        positive |= _positive_classes(table.like, mapping, column, score_column)

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


def _read(table: Table, mapping: ColumnMapping, column: str, score_column: str) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return the class, the score and the model of each row."""
    held, scored = table.column(column), table.column(score_column)
    model = (
        pl.lit(mapping.model, pl.String) if mapping.model_column is None else table.column(mapping.model_column).written
    )
    return class_name(held.value, held.dtype), scored.value.cast(pl.Float64), model


def _positive_classes(table: Table, mapping: ColumnMapping, column: str, score_column: str) -> dict[object, str | None]:
    """Return by model the class that its scores belong to; None where that is the predicted one."""
    name, score, model = _read(table, mapping, column, score_column)
    with input_errors(table.path):
        means = table.frame.group_by(model.alias("model"), name.alias("class")).agg(
            score.fill_nan(None).mean().alias("score")
        )
        by_model = means.drop_nulls("class").collect().partition_by("model", as_dict=True)
    numbers = table.column(column).dtype.is_numeric()
    return {key[0]: positive_class(found, column, numbers=numbers) for key, found in by_model.items()}


def _classified(label: str | None, score: float | None, positive: str | None) -> dict[str, Any] | None:
    named = positive if positive is not None else label
    if _missing(score) or named is None:
        return None if label is None else {"label": label}
    return {"proba": {named: score}} if label is None else {"label": label, "proba": {named: score}}


def positive_class(means: pl.DataFrame, column: str, *, numbers: bool) -> str | None:
    """Return the class that the score belongs to; None if it is that of whichever class was predicted."""
    if means.height > MAX_CLASSES and numbers:
        raise InputError(
            f'--score-column: "{column}" has {means.height} different numbers, so it is a quantity, not a class; '
            "a score belongs to a class: leave one of the two options out"
        )
    classes: list[str] = sorted(means["class"].to_list())
    if len(classes) > 2:
        return None
    for known in YES:
        if found := next((one for one in classes if one.lower() == known), None):
            return found
    for known, other in zip(YES, NO, strict=True):
        if [one.lower() for one in classes] == [other]:  # none was predicted positive
            return known.upper() if classes[0].isupper() else known.title() if classes[0].istitle() else known
    ranked = means.fill_null(0).sort("score", "class", descending=True)["class"].to_list()
    return ranked[0] if len(ranked) == 2 else None


def _missing(score: Any) -> bool:
    return not isinstance(score, (int, float)) or not -float("inf") < score < float("inf")
