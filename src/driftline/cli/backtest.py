"""`driftline backtest`: the same two stages over a table, in this process."""

import time
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.columns import mapping_options
from driftline.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.incidents.incident import Incident
    from driftline.offline.backtest import Backtest
    from driftline.tables import ColumnMapping, Extent, Labels, Table
    from driftline.tasks.model_rules import JudgeSettings


@mapping_options
def backtest(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    mapping: "ColumnMapping",
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Table with the same columns to compare with (default: as configured).",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Table of the labels, with the same ids (--id-column); default: they are in TABLE.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Also show each signal of the last window beside the reference.")
    ] = False,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="The --reference holds all events of its time, not a sample, so it says how many to expect.",
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Find out what would have fired on a table of past predictions, without Kafka or Redis.

    Does the same work as `driftline run`, and gives incidents the same ids. If you configure no windows and panes, it
    chooses some that suit the table, and prints them; if you configure some that do not suit it, it says so first. Try
    settings on the past before they page somebody. With --label-column it also says whether the model still worked:

    \b
    $ driftline backtest loans.csv --model loans --time-column at --reference train.csv
    $ driftline backtest loans.csv --mapping loans.yaml --label-column repaid --label-delay 30d
    $ DRIFTLINE_MODELS='{"*": {windows: [1d], pane: 6h}}' driftline backtest loans.csv --mapping loans.yaml
    """
    from driftline.cli.backtest_result import document
    from driftline.cli.show import print_shown
    from driftline.cli.terminal import note, print_json, progress
    from driftline.config import load
    from driftline.offline.backtest import backtest as run_backtest
    from driftline.offline.backtest import still_firing
    from driftline.tables import Extent, extent, iter_events, iter_labels

    settings, inputs = load(config), _opened(table, reference, labels, mapping)
    mapping = inputs.mapping
    lies = Extent(0, 0) if mapping.time_column is None else extent(inputs.table, mapping.time_column)
    if lies.strays:
        note(_stray(table, lies))
    settings, chosen = _suited(settings, inputs, lies)
    joined = None if inputs.labels is None or not settings.awaits_labels else iter_labels(inputs.labels)
    judging = None if inputs.reference is None else _judging_by(settings, inputs, complete=complete)
    started = time.process_time()
    with progress() as shown:
        bar = shown.add_task(table.name, total=inputs.table.rows)
        result = run_backtest(
            settings,
            iter_events(inputs.table, mapping),
            labels=joined,
            judging=judging,
            progress=lambda events: shown.update(bar, completed=events),
        )
    spent = time.process_time() - started
    if json:
        print_json(document(result, chosen, result.shown if show else None))
    else:
        _print(result, lies)
        for each in result.shown if show else ():
            print_shown(each, {signal.name for incident in still_firing(result) for signal in incident.signals})
    note(f"{spent:.1f} s of CPU, {result.events / spent:,.0f} events a second")


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The tables of a backtest, and their columns."""

    table: "Table"
    mapping: "ColumnMapping"
    labels: "Labels | None"
    reference: "Table | None"
    of_reference: "ColumnMapping"


def _opened(path: Path, reference: Path | None, labels: Path | None, mapping: "ColumnMapping") -> _Inputs:
    """Open all tables, and say what a person should know of how they are read. Raises `InputError`."""
    from driftline.cli.backtest_labels import opened_labels
    from driftline.cli.columns import remarked
    from driftline.tables import open_table

    like, before, own = None, mapping, mapping
    if reference is not None:
        like = open_table(reference)
        before = mapping.without_labels(like.columns)
        remarked(like, before)
    table = replace(open_table(path, None if like is None else like.schema), like=like)
    if labels is not None or (like is not None and mapping.label_column in like.columns):
        own = mapping.without_labels(table.columns)
    remarked(table, own)
    if like is not None:
        _compare_columns((table, own), (like, before))
    return _Inputs(table, own, opened_labels(labels, table, own if labels is None else mapping), like, before)


def _suited(settings: "Settings", inputs: _Inputs, lies: "Extent") -> "tuple[Settings, dict[str, dict[str, Any]]]":
    """Choose what suits the tables and is not configured. Returns the settings, and what was chosen.

    Says what that is, and what is configured that does not suit them.
    """
    from driftline.cli.terminal import age, note
    from driftline.config import ALL_MODELS
    from driftline.config.doubts import doubts, of_labels, of_reference, unwatched
    from driftline.config.suiting import as_models, awaiting, suited
    from driftline.tables import group_sizes

    mapping, rows, lasts = inputs.mapping, inputs.table.rows, lies.span_ms
    about = mapping.model or ALL_MODELS
    columns = [tag for tag in mapping.segment_columns if tag in settings.model(about).segments]
    columns += [mapping.version_column] if mapping.version_column is not None else []
    settings, chosen = suited(settings, rows, lasts, group_sizes(inputs.table, columns), lies.every_ms)
    what, written = "windows and panes", as_models(chosen)
    if inputs.labels is not None:
        settings, awaited = awaiting(settings, about, inputs.labels.delays)
        what = f"{what}, and how long labels are awaited," if chosen else "how long labels are awaited and the like"
        written = as_models(chosen, awaited)
    if written:
        note(
            f"{what} are chosen for {rows:,} events in {age(lasts)}. For the same in `driftline run`: "
            f"DRIFTLINE_MODELS='{dumps(written)}'"
        )
    found = doubts(settings, about, rows, lasts, learned=inputs.reference is None)
    found += [] if inputs.reference is None else of_reference(inputs.reference.rows)
    found += [] if inputs.labels is None else of_labels(settings, about, inputs.labels.delays, lasts)
    for doubt in [*found, *unwatched(settings, about, mapping.segment_columns)]:
        note(doubt)
    return settings, written


def _stray(table: Path, lies: "Extent") -> str:
    """Say that some rows are dated far from all others."""
    from driftline.events import rfc3339

    some = "1 row is" if len(lies.strays) == 1 else f"{len(lies.strays):,} rows are"
    return (
        f"{table.name}: {some} dated far from all others, which lie from {rfc3339(lies.first)} to "
        f"{rfc3339(lies.last)}: {rfc3339(lies.strays[-1])}. Look at the clock that wrote it"
    )


def _compare_columns(table: "tuple[Table, ColumnMapping]", reference: "tuple[Table, ColumnMapping]") -> None:
    """Say which features one of two tables does not have."""
    from driftline.cli.terminal import note
    from driftline.tables import features_of

    here, there = features_of(*table), features_of(*reference)
    new, gone = ([name for name in some if name not in others] for some, others in ((here, there), (there, here)))
    if new:
        note(f"{reference[0].path.name} does not have: {', '.join(new)}")
    if gone:
        note(
            f"{table[0].path.name} does not have: {', '.join(gone)}. Name the labels of a reference with "
            "--label-column, and the inputs with --feature-columns if there is more in it"
        )


def _judging_by(settings: "Settings", inputs: _Inputs, *, complete: bool) -> "JudgeSettings":
    from driftline.cli.backtest_labels import outcome_references
    from driftline.cli.terminal import progress
    from driftline.offline.backtest import build_references
    from driftline.pipeline.task_settings import judge_settings, with_references

    table, mapping = inputs.reference, inputs.of_reference
    assert table is not None
    with progress() as shown:
        bar = shown.add_task(f"{table.path.name} (reference)", total=table.rows)
        references = build_references(
            settings,
            table,
            mapping,
            complete=complete,
            progress=lambda events: shown.update(bar, completed=events),
        )
    outcomes = {} if inputs.labels is None else outcome_references(settings, table, mapping, references)
    return with_references(judge_settings(settings), references, outcomes)


def _print(result: "Backtest", lies: "Extent") -> None:
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.backtest_labels import print_performance
    from driftline.cli.terminal import note, out
    from driftline.cli.timeline import timeline
    from driftline.events import rfc3339
    from driftline.incidents.severity import CRITICAL

    console = out()
    incidents = result.latest
    if incidents:
        table = Table("told", "resolved", "kind", "what happened", box=None, pad_edge=False)
        told: dict[str, list[Incident]] = {}
        for change in result.incidents:
            told.setdefault(change.id, []).append(change)
        for incident in incidents:
            style = "red" if incident.severity == CRITICAL else "yellow"
            resolved = "" if incident.resolved is None else rfc3339(incident.resolved)
            opening, *later = told[incident.id]
            table.add_row(rfc3339(incident.opened), resolved, Text(incident.kind.value, style), opening.summary)
            for change in later:
                if change.update is not None:
                    table.add_row(rfc3339(change.changed), "", Text("updated", style), change.summary)
        console.print(table)
        console.print()
        console.print(timeline(incidents, lies.first, lies.last))
        console.print()
    print_performance(result)
    rejected = result.counters["consumed"] - result.counters["accepted"]
    noun = "incident" if len(incidents) == 1 else "incidents"
    console.print(
        f"{result.events:,} events, {result.windows:,} windows, {len(incidents)} {noun}"
        + (f", {rejected:,} events rejected" if rejected else "")
    )
    for reason, count in sorted(result.counters.items()):
        if reason not in ("consumed", "accepted"):
            note(f"rejected: {count:,} {reason}")
    if not result.windows:
        note("nothing to report: no reference was complete, or the events end within the first window")
