"""`driftline performance`: whether a model still works, by tables of its predictions."""

import csv as csv_format
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from driftline.cli.columns import mapping_options
from driftline.cli.options import JsonOption

if TYPE_CHECKING:
    from driftline.performance.kinds import Outcomes
    from driftline.performance.study import Followed, Study
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
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    mapping: "ColumnMapping",
    reference: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="Table with the same columns and all labels, from a time when the model worked: test data, not "
            "training data.",
            show_default=False,
        ),
    ],
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
    column may be missing: then all is estimated, which takes what a score meant in the reference for granted.

    \b
    $ driftline performance loans.csv --reference test.csv --label-column repaid
        --time-column at --prediction-column answer --score-column p --window 30d
    $ driftline performance prices.parquet --reference test.parquet
        --prediction-column price --label-column sold_for --metric mae

    What its columns and sentences mean: docs/performance-monitoring.md.
    """
    from driftline.cli.terminal import note, print_json
    from driftline.errors import InputError
    from driftline.performance.study import study
    from driftline.tables import open_table
    from driftline.tables.outcomes import read_outcomes

    if json and csv:
        raise InputError("--csv: excludes --json; leave one of them out")
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
        print_json(_as_json(found, when, classes, both.kind.blind))
    elif csv:
        _write_csv(found, when)
    else:
        _print(found, when, classes, both.kind.blind)


def windows_of(outcomes: "Outcomes", length: str | None) -> "Ints":
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


def _names(outcomes: "Outcomes", windows: "Ints") -> list[str]:
    """Return the day, or the time, at which each window begins; without times the number of its first row."""
    import numpy as np

    from driftline.events import rfc3339

    first = np.searchsorted(windows, np.arange(int(windows[-1]) + 1))
    if outcomes.times is None:
        return [f"row {row + 1:,}" for row in first.tolist()]
    times = [rfc3339(time) for time in outcomes.times[first].tolist()]
    days = [time[:10] for time in times]
    return days if len(set(days)) == len(days) else [f"{time[:16]}Z" for time in times]


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


def _print(found: "Study", when: list[str], classes: tuple[str, ...], blind: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.chart import chart
    from driftline.cli.terminal import out
    from driftline.performance.names import title
    from driftline.performance.telling import marks, selections, sentence, written

    console = out()
    for metric in found.metrics:
        console.print(Text.assemble((title(metric.name), "bold"), f": {written(metric.reference)} in the reference"))
        table = Table("since", "predictions", "labels", "estimated", "", "by labels", "", "", box=None, pad_edge=False)
        for at, since in enumerate(when):
            cells = []
            for measured, left in ((metric.estimated, metric.estimate_left), (metric.realised, metric.realised_left)):
                value, low, high = (column[at] for column in (measured.values, measured.low, measured.high))
                cells.append(Text(written(value), "red" if left[at] else ""))
                cells.append(Text(f"{written(low)} to {written(high)}" if low == low else "", "dim"))
            share = found.labels[at] / found.predictions[at]
            table.add_row(
                since, f"{found.predictions[at]:,}", f"{share:.0%}", *cells, Text(marks(metric, at), "yellow")
            )
        console.print(table)
        console.print()
        for line in chart(metric, when[0], when[-1]):
            console.print(line)
        console.print()
    for metric in found.metrics:
        console.print(sentence(metric, when))
    for said in selections(found, when, classes):
        console.print(said)
    console.print()
    console.print(Text(blind, "dim"))


def _as_json(found: "Study", when: list[str], classes: tuple[str, ...], blind: str) -> dict[str, Any]:
    from driftline.performance.telling import selections, sentence

    return {
        "metrics": [
            {
                "name": metric.name,
                "reference": metric.reference,
                "sentence": sentence(metric, when),
                "windows": [_row(found, metric, when, at) for at in range(len(when))],
            }
            for metric in found.metrics
        ],
        "labels": [each.verdict.name.lower() for each in found.selection],
        "said_of_labels": selections(found, when, classes),
        "cannot_see": blind,
    }


def _row(found: "Study", metric: "Followed", when: list[str], at: int) -> dict[str, Any]:
    """Return one window of one metric; what is not known is None."""
    numbers = {
        "band_low": metric.low, "band_high": metric.high,
        "estimated": metric.estimated.values, "estimated_low": metric.estimated.low,
        "estimated_high": metric.estimated.high,
        "realised": metric.realised.values, "realised_low": metric.realised.low, "realised_high": metric.realised.high,
    }  # fmt: skip
    flags = {
        "estimate_left": metric.estimate_left, "realised_left": metric.realised_left, "unforeseen": metric.unforeseen,
    }  # fmt: skip
    return {
        "since": when[at],
        "predictions": int(found.predictions[at]),
        "labels": int(found.labels[at]),
        **{name: float(column[at]) if abs(column[at]) < float("inf") else None for name, column in numbers.items()},
        **{name: bool(column[at]) for name, column in flags.items()},
    }


def _write_csv(found: "Study", when: list[str]) -> None:
    rows = [
        {"metric": metric.name, **_row(found, metric, when, at)} for metric in found.metrics for at in range(len(when))
    ]
    writer = csv_format.DictWriter(sys.stdout, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
