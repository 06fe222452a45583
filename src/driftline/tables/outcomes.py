"""Tables of past predictions as outcomes: what was predicted, with its label where one has come."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from driftline.config.nearest import nearest
from driftline.errors import InputError
from driftline.labels.classes import class_of, spelt_twice
from driftline.performance.outcome_kinds import Classes, Numbers, OutcomeKind, OutcomeRows
from driftline.performance.outcomes import WAITING, Series
from driftline.sketches.keys import Floats
from driftline.tables.mapping import ColumnMapping, refuse_missing
from driftline.tables.predictions import positive_class
from driftline.tables.subjects_of_rows import Names
from driftline.tables.table import Table, class_name, input_errors
from driftline.tables.times import epoch_milliseconds

Costs = Mapping[tuple[str, str], float]
"""What an outcome is worth, by true and predicted class; 0 for those that are not named."""

_TIME, _PREDICTION, _LABEL, _SCORE = "time", "prediction", "label", "score"


@dataclass(frozen=True, slots=True)
class Read:
    """Outcomes of a table, and what a person should know of those that are not among them."""

    outcomes: OutcomeRows
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Both:
    """A reference and a table, read in the same way."""

    kind: OutcomeKind
    reference: Read
    table: Read


def read_outcomes(
    reference: Table,
    table: Table,
    mapping: ColumnMapping,
    class_scores: Mapping[str, str] | None = None,
    costs: Costs | None = None,
) -> Both:
    """Read two tables. With scores the model predicts a class, without a number. Raises InputError.

    Args:
        reference: with labels; rows without one are left out.
        table: with labels, with some, or without the column of labels.
        mapping: the columns.
        class_scores: the column of each class's score, by class.
        costs: what outcomes are worth.
    """
    if mapping.prediction_column is None:
        raise InputError("--prediction-column: is missing; name the column of the model's answers")
    if mapping.label_column is None:
        raise InputError("--label-column: is missing; name the reference's column of true labels")
    if mapping.model_column is not None and mapping.model is None:
        raise InputError("--model: is missing; name the model of --model-column whose rows to use")
    if class_scores and mapping.score_column:
        raise InputError("--class-scores: excludes --score-column; leave one of them out")
    scores = dict(class_scores or {})
    if mapping.score_column:
        scores = {"": mapping.score_column}
    frames = [_frame(each, mapping, scores, labels=labels) for each, labels in ((reference, True), (table, False))]
    if not scores:
        if costs:
            raise InputError("--costs: needs classes, but without --score-column the model predicts a number")
        numbers = [_numbers(frame, each, mapping) for frame, each in zip(frames, (reference, table), strict=True)]
        return Both(Numbers(), _labelled(numbers[0], reference), numbers[1])
    kind, frames = _classes(frames, mapping, class_scores, costs)
    found = [_coded(frame, kind) for frame in frames]
    return Both(kind, _labelled(found[0], reference), found[1])


def _frame(table: Table, mapping: ColumnMapping, scores: Mapping[str, str], *, labels: bool) -> pl.DataFrame:
    """Return the columns, by what they are, in the order of time; rows without a prediction are left out later."""
    wanted = {
        "--time-column": mapping.time_column, "--prediction-column": mapping.prediction_column,
        "--model-column": mapping.model_column, "--version-column": mapping.version_column,
        **({"--label-column": mapping.label_column} if labels else {}),
        **{("--class-scores" if name else "--score-column"): column for name, column in scores.items()},
    }  # fmt: skip
    refuse_missing(wanted.items(), table.columns, table.path.name)
    classes = bool(scores)
    columns = [_value(table, mapping.prediction_column or "", "--prediction-column", _PREDICTION, text=classes)]
    if mapping.label_column in table.columns:
        columns.append(_value(table, mapping.label_column or "", "--label-column", _LABEL, text=classes))
    else:
        columns.append(pl.lit(None, pl.String if classes else pl.Float64).alias(_LABEL))
    for name, column in scores.items():
        option = "--class-scores" if name else "--score-column"
        columns.append(_value(table, column, option, f"{_SCORE} {name}", text=False))
    chosen, frame = Names.of(table, mapping).wanted, table.frame
    if mapping.time_column is not None:
        times = epoch_milliseconds(table, mapping.time_column).alias("driftline time")
        frame = pl.concat([times.to_frame().lazy(), frame], how="horizontal")
        columns.append(pl.col("driftline time").alias(_TIME))
    if chosen is not None:
        frame = frame.filter(chosen)
    with input_errors(table.path):
        read = frame.select(columns).collect()
    if not read.height:
        raise InputError(f"{table.path}: has no rows")
    return read.sort(_TIME, maintain_order=True) if _TIME in read.columns else read


def _value(table: Table, name: str, option: str, called: str, *, text: bool) -> pl.Expr:
    column = table.column(name)
    if column.dtype.is_nested():
        raise InputError(f'{option}: "{name}" in {table.path.name} holds {column.dtype}; name a column of plain values')
    if text:
        return class_name(column.value, column.dtype).alias(called)
    empty = not table.frame.select(column.value.is_not_null().any()).collect().item()
    if not column.dtype.is_numeric() and not empty:
        without = "; where the model predicts a class name --score-column, too" if option != "--score-column" else ""
        raise InputError(f'{option}: "{name}" in {table.path.name} holds {column.dtype}, not numbers{without}')
    return column.value.cast(pl.Float64, strict=False).alias(called)


def _times(frame: pl.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]] | None":
    return frame[_TIME].to_numpy().astype(np.int64) if _TIME in frame.columns else None


def _numbers(frame: pl.DataFrame, table: Table, mapping: ColumnMapping) -> Read:
    if frame[_PREDICTION].n_unique() <= 2 and frame[_LABEL].drop_nulls().n_unique() <= 2 and frame.height > 2:
        raise InputError(
            f'--prediction-column: "{mapping.prediction_column}" in {table.path.name} has two values, as of two '
            "classes; name the column of scores: --score-column"
        )
    kept = frame.filter(pl.col(_PREDICTION).is_finite().fill_null(False))
    labels = kept[_LABEL].to_numpy().astype(np.float64)
    labels = np.where(np.isfinite(labels), labels, np.nan)
    outcomes = OutcomeRows(_times(kept), kept[_PREDICTION].to_numpy(), labels)
    return Read(outcomes, _left_out(frame.height - kept.height))


def _left_out(rows: int) -> tuple[str, ...]:
    return (f"{rows:,} rows have no prediction; Driftline ignores them",) if rows else ()


def _classes(
    frames: list[pl.DataFrame], mapping: ColumnMapping, class_scores: Mapping[str, str] | None, costs: Costs | None
) -> tuple[Classes, list[pl.DataFrame]]:
    """Find out which classes there are and what scores are; of two, which one the score is of."""
    both = pl.concat([frame.select(_PREDICTION, _LABEL) for frame in frames])
    seen = {each for name in (_PREDICTION, _LABEL) for each in both[name].unique().to_list() if each is not None}
    if class_scores is None and {class_of(each) for each in seen} <= {"0", "1"}:
        meant = {each: class_of(each) for each in seen}  # one column may say true, the other 1
        frames = [frame.with_columns(pl.col(_PREDICTION, _LABEL).replace(meant)) for frame in frames]
        names: tuple[str, ...] = ("0", "1")
    elif class_scores is None:
        names = _two(seen, frames[0], mapping)
    else:
        names = tuple(class_scores)
        if strange := sorted(seen - set(names)):
            raise InputError(
                f'--class-scores: name no column for "{strange[0]}", which the tables hold{nearest(strange[0], names)}'
            )
    series = Series.SCORES
    if len(names) > 2:
        series = Series.CLASSES
    elif (
        class_scores is None
        and frames[0].select(((pl.col(f"{_SCORE} ") < 0) | (pl.col(f"{_SCORE} ") > 1)).any()).item()
    ):
        series = Series.MARGINS
    return Classes(names, series, None if costs is None else _matrix(costs, names)), frames


def _two(seen: set[str], reference: pl.DataFrame, mapping: ColumnMapping) -> tuple[str, str]:
    if len(seen) != 2:
        listed = ", ".join(f'"{each}"' for each in sorted(seen)[:6])
        if twice := spelt_twice(sorted(seen)):
            one, other = twice[0]
            raise InputError(
                f'--label-column: the tables hold {listed}, of which "{one}" and "{other}" look like one class; write '
                "labels as the model answers"
            )
        raise InputError(
            f"--score-column: is one score of two classes, and the tables hold {len(seen)}: {listed}; "
            "name the score of each class: --class-scores CLASS=COLUMN,…"
        )
    score = pl.col(f"{_SCORE} ").fill_nan(None).mean().alias("score")
    means = reference.drop_nulls(_PREDICTION).group_by(pl.col(_PREDICTION).alias("class")).agg(score)
    positive = positive_class(means, mapping.prediction_column or "", numbers=False)
    if positive not in seen:
        raise InputError(
            f'--prediction-column: the reference predicts "{means["class"].to_list()[0]}" alone, so that nothing tells '
            "which class scores are of; take one that predicts both, or --class-scores NEGATIVE=COLUMN,POSITIVE=COLUMN"
        )
    (negative,) = seen - {positive}
    return negative, positive


def _matrix(costs: Costs, names: tuple[str, ...]) -> Floats:
    matrix = np.zeros((len(names), len(names)))
    for cell, worth in costs.items():
        if strange := [each for each in cell if each not in names]:
            raise InputError(f'--costs: there is no class "{strange[0]}"; there are {", ".join(names)}')
        matrix[names.index(cell[0]), names.index(cell[1])] = worth
    return matrix


def _coded(frame: pl.DataFrame, kind: Classes) -> Read:
    code = {name: at for at, name in enumerate(kind.names)}
    kept = frame.drop_nulls(_PREDICTION)
    coded = kept.with_columns(
        pl.col(_PREDICTION).replace_strict(code, return_dtype=pl.Int64),
        pl.col(_LABEL).replace_strict(code, return_dtype=pl.Int64, default=None).fill_null(WAITING),
    )
    columns = [name for name in coded.columns if name.startswith(f"{_SCORE} ")]
    scores = coded.select(pl.col(columns).fill_null(float("nan"))).to_numpy()
    good = np.isfinite(scores) if kind.series is Series.MARGINS else (scores >= 0) & (scores <= 1)
    bad = int((~good.all(axis=1)).sum())
    notes = _left_out(frame.height - kept.height)
    if bad:
        what = "score" if kind.series is Series.MARGINS else "probability as score"
        notes = (*notes, f"{bad:,} rows have no {what}; they count only for metrics that need no scores")
    predicted, truths = (coded[name].to_numpy().astype(np.int64) for name in (_PREDICTION, _LABEL))
    return Read(OutcomeRows(_times(coded), predicted, truths, scores[:, 0] if len(columns) == 1 else scores), notes)


def _labelled(read: Read, table: Table) -> Read:
    """Return the outcomes that have labels: what a reference teaches by."""
    labelled = read.outcomes.labelled
    many, all_ = int(labelled.sum()), len(labelled)
    if not many:
        raise InputError(f"{table.path}: no row has a label; a reference needs known outcomes")
    if many == all_:
        return read
    note = f"{all_ - many:,} of {all_:,} rows have no label; Driftline ignores them"
    return Read(read.outcomes.take(labelled), (*read.notes, note))
