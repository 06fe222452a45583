"""`driftline performance`: whether a model still works, by tables of its predictions, or by what workers know."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from driftline.cli.columns import mapping_options
from driftline.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from driftline.performance.outcome_kinds import OutcomeRows
    from driftline.sketches.keys import Ints
    from driftline.tables import ColumnMapping, Table

WINDOWS: Final = 10
"""So many are fitted to a table."""
MIN_EVENTS: Final = 200
"""Events, at least, of a window that is fitted."""
MAX_WINDOWS: Final = 1_000
COLUMNS: Final = (
    *("model", "model_column", "model_version", "version_column"),
    *("time_column", "prediction_column", "score_column", "label_column"),
)


@partial(mapping_options, only=COLUMNS, named=False)
def performance(
    target: Annotated[
        str,
        typer.Argument(
            help="A table (Parquet, CSV or NDJSON) with --reference; else a model that workers watch.",
            metavar="TABLE|MODEL",
            show_default=False,
        ),
    ],
    mapping: "ColumnMapping",
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Table with the same columns and all labels, from a time when the model worked: test data, not "
            "training data.",
            show_default=False,
        ),
    ] = None,
    segment: Annotated[
        str, typer.Option("--segment", metavar="TAG=VALUE", help="Of a model: this segment; else all events.")
    ] = "",
    config: ConfigOption = None,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Length of windows: 7d, or a number of events: 5000 (default: a tenth of the events, at least 200).",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric such as auroc, average_precision, accuracy, precision, recall, f1, brier, log_loss; mae, "
            "rmse, bias. Repeatable (default: auroc and accuracy; mae and rmse).",
            show_default=False,
        ),
    ] = None,
    class_scores: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS=COLUMN,…",
            help="The score of each class, if there are more than two: gold=p_gold,basic=p_basic,none=p_none.",
            show_default=False,
            rich_help_panel="Columns",
        ),
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option(
            metavar="TRUE:PREDICTED=MONEY,…",
            help="What an outcome is worth, by true and predicted class: 0:1=-2000,1:1=300,1:0=-300. Adds the metric "
            "value, the money per prediction.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a row for each metric and window.")] = False,
) -> None:
    """Find out whether a model still works: estimated before labels come, and measured where they are.

    With a column of scores the model predicts a class, without one a number. Labels of TABLE may be empty, or the
    column may be missing: then all is estimated, as if scores still meant what they meant in the reference.

    Without --reference, name a model whose labels workers await (awaits_labels): it shows what their last checkpoint
    knows.

    \b
    $ driftline performance loans.csv --reference test.csv --label-column repaid
        --time-column at --prediction-column answer --score-column p --window 30d
    $ driftline performance prices.parquet --reference test.parquet
        --prediction-column price --label-column sold_for --metric mae
    $ driftline performance churn

    What its columns and sentences mean: docs/performance-monitoring.md.
    """
    from driftline.cli.performance_model import print_performance
    from driftline.cli.performance_report import document, print_study, write_csv
    from driftline.cli.terminal import note, print_json
    from driftline.config import load
    from driftline.errors import InputError
    from driftline.performance.study import study
    from driftline.tables import open_table
    from driftline.tables.outcomes import read_outcomes

    if json and csv:
        raise InputError("--csv: excludes --json; leave one of them out")
    if reference is None:
        print_performance(target, mapping.model_version, segment, metric, load(config), json=json, csv=csv)
        return
    table = Path(target)
    before = open_table(reference)
    after = open_table(table, before.schema)
    both = read_outcomes(before, after, mapping, _class_scores(class_scores), _costs(costs))
    for opened, read in ((before, both.reference), (after, both.table)):
        for said in (*_notes_of(opened, mapping), *read.notes):
            note(f"{opened.path.name}: {said}")
    if mapping.label_column not in after.columns:
        note(f'{table.name}: has no column "{mapping.label_column}": it has no labels yet')
    outcomes = both.table.outcomes
    if not len(outcomes):
        raise InputError(f"{table}: no row has a prediction; look at --prediction-column")
    windows = windows_of(outcomes, window)
    metrics = [*metric, *(["value"] if costs else [])] if metric else None
    try:
        found = study(both.kind, both.reference.outcomes, outcomes, windows, metrics)
    except ValueError as error:
        option = "--metric" if "there is no metric" in str(error) else "--reference"
        raise InputError(f"{option}: {error}") from None
    when = _names(outcomes, windows)
    classes = getattr(both.kind, "names", ())
    if json:
        print_json(document(found, when, classes, both.kind.blind))
    elif csv:
        write_csv([({}, found, when)])
    else:
        print_study(found, when, classes, both.kind.blind)


def windows_of(outcomes: "OutcomeRows", length: str | None) -> "Ints":
    """Return the window of each outcome, from 0 on; windows in which nothing was predicted are left out."""
    import numpy as np

    from driftline.config.durations import parse_duration
    from driftline.errors import InputError

    rows = np.arange(len(outcomes))
    if length is None:
        return rows // max(-(-len(rows) // WINDOWS), MIN_EVENTS)
    number = length.replace("_", "").replace(",", "")
    if number.isdecimal():
        if not int(number):
            raise InputError(
                "--window: must be more than 0; write a number of events such as 5000, or a time such as 7d"
            )
        found = rows // int(number)
    elif outcomes.times is None:
        raise InputError(
            f"--window: {length} needs the times of events: name --time-column, or write a number of events"
        )
    else:
        try:
            lasts = parse_duration(length)
        except ValueError as error:
            raise InputError(f"--window: {error}, or a number of events such as 5000") from None
        if not lasts:
            raise InputError("--window: must be longer than 0; write a time such as 7d")
        _, found = np.unique((outcomes.times - outcomes.times[0]) // lasts, return_inverse=True)
    if (many := int(found[-1]) + 1) > MAX_WINDOWS:
        raise InputError(f"--window: {length} makes {many:,} windows, more than {MAX_WINDOWS:,}; write a longer one")
    return np.asarray(found, dtype=np.int64)


def _names(outcomes: "OutcomeRows", windows: "Ints") -> list[str]:
    """Return the day, or the time, at which each window begins; without times the number of its first row."""
    import numpy as np

    from driftline.cli.performance_report import days

    first = np.searchsorted(windows, np.arange(int(windows[-1]) + 1))
    if outcomes.times is None:
        return [f"row {row + 1:,}" for row in first.tolist()]
    return days(outcomes.times[first].tolist())


def _class_scores(text: str | None) -> dict[str, str] | None:
    from driftline.errors import InputError

    if text is None:
        return None
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if len(parts) < 2 or not all(name.strip() and column.strip() for name, _, column in parts):
        raise InputError(f'--class-scores: "{text}" is not a list of two or more; write CLASS=COLUMN,CLASS=COLUMN,…')
    return {name.strip(): column.strip() for name, _, column in parts}


def _costs(text: str | None) -> dict[tuple[str, str], float] | None:
    from driftline.errors import InputError

    if text is None:
        return None
    found: dict[tuple[str, str], float] = {}
    for part in text.split(","):
        cell, _, money = part.rpartition("=")
        true, _, predicted = cell.partition(":")
        try:
            found[true.strip(), predicted.strip()] = float(money)
        except ValueError:
            true = ""
        if not true.strip() or not predicted.strip():
            raise InputError(f'--costs: "{part}" is not of the form TRUE:PREDICTED=MONEY, such as 0:1=-2000')
    return found


def _notes_of(table: "Table", mapping: "ColumnMapping") -> list[str]:
    """Return what a person should know of how the columns that count were read."""
    columns = (mapping.prediction_column, mapping.score_column, mapping.label_column)
    return [said for said in table.notes if said.partition(":")[0] in columns]
