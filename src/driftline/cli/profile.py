"""`driftline profile`: build reference profiles from tables, and calibrate them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.columns import NO_DELAY, mapping_options, opened
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.profile_shown import diff, head, show
from driftline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driftline.config import Settings
    from driftline.evidence.reference import Reference
    from driftline.performance.reference import PerformanceReference
    from driftline.tables import ColumnMapping, Table

app = typer.Typer(
    help="Build reference profiles from tables; show, compare and calibrate them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CompleteOption = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="The table holds all events of its time, not a sample, so it says how many to expect.",
    ),
]


@app.command()
@partial(mapping_options, only=NO_DELAY)
def build(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The profile to write.", show_default=False)
    ],
    mapping: "ColumnMapping",
    complete: CompleteOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Build a profile from a table of predictions made while all was well, such as the validation set.

    Name the columns as for `driftline publish`. Then name the profile in the configuration. With --label-column the
    profile also says how well the model worked, and workers compare the stream with that.

    \b
    $ driftline profile build train.parquet --model churn --time-column at -o churn.profile
    $ driftline profile show churn.profile
    """
    from driftline.cli.documents import ProfileBuilt
    from driftline.cli.terminal import out, print_json
    from driftline.config import load

    settings, rows = load(config), opened(table, mapping)
    references = _built(settings, rows, mapping, complete=complete)
    outcomes = _outcomes(settings, rows, mapping)
    _write(output, references, outcomes)
    whole, labels = references[0], outcomes[""].labels if outcomes else 0
    if json:
        print_json(ProfileBuilt(str(output), [head(reference) for reference in references], labels))
        return
    segments = f", and for {len(references) - 1} segments" if len(references) > 1 else ""
    labelled = f", performance by {labels:,} labels" if labels else ""
    out().print(
        f"{output}: {whole.model} version {whole.version or '(none)'}, {whole.events:,} events, "
        f"{len(whole.summary.signals) - 1} signals{segments}{labelled}"
    )


def _outcomes(settings: "Settings", table: "Table", mapping: "ColumnMapping") -> "dict[str, PerformanceReference]":
    """Return the reference of performance of all events, where the table has labels that can be used."""
    from driftline.cli.terminal import note

    if mapping.label_column is None or mapping.prediction_column is None:
        return {}
    from driftline.offline.performance_reference import build_performance_reference

    try:
        found, notes = build_performance_reference(settings, table, mapping)
    except InputError as error:
        note(f"the profile holds no reference of performance: {error}")
        return {}
    for said in notes:
        note(f"{table.path.name}: {said}")
    return {"": found}


def _built(settings: "Settings", table: "Table", mapping: "ColumnMapping", *, complete: bool) -> "list[Reference]":
    from driftline.cli.terminal import note, progress
    from driftline.config import ALL_MODELS
    from driftline.config.doubts import of_reference, unwatched
    from driftline.offline.backtest import build_references

    unnamed = unwatched(settings, mapping.model or ALL_MODELS, mapping.segment_columns)
    for doubt in [*of_reference(table.rows), *unnamed]:
        note(doubt)
    with progress() as shown:
        task = shown.add_task("reading", total=table.rows)
        references = build_references(
            settings,
            table,
            mapping,
            complete=complete,
            progress=lambda events: shown.update(task, completed=events),
        )
    for what, option, held in (
        ("models", "--model", [each.model for each in references]),
        ("versions", "--model-version", [each.version or "(none)" for each in references]),
    ):
        names = sorted(set(held))
        if len(names) > 1:
            raise InputError(
                f"{table.path}: holds the {what} {', '.join(names)}, and a profile describes one: choose with {option}"
            )
    return references


def _write(output: Path, references: "Sequence[Reference]", outcomes: "Mapping[str, PerformanceReference]") -> None:
    from driftline.evidence.profile import encode_profile

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(encode_profile(references, outcomes))
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}; name another file with --output") from None


@app.command()
@partial(mapping_options, only=NO_DELAY)
def calibrate(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    mapping: "ColumnMapping",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the profile, including the measured rate.",
            show_default=False,
        ),
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="How often to shuffle and replay the table.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed for shuffling; the same seed gives the same result.")] = 1,
    complete: CompleteOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how many false alarms a table without changes would raise, and compare that with the budget.

    Cuts the table into blocks of time and shuffles them. One half becomes the reference, the other is judged as
    `driftline run` would; --passes times over. If windows depend on one another by more than the budget covers, it says
    what helps. With the profile that --output writes, alerts carry the measured rate.

    \b
    $ driftline profile calibrate train.parquet --model churn --time-column at
    $ driftline profile calibrate train.parquet --model churn --time-column at -o churn.profile
    """
    from dataclasses import replace

    from driftline.cli.calibrated import as_text, document
    from driftline.cli.terminal import out, print_json, progress
    from driftline.config import load
    from driftline.offline.calibration import calibrate as replay

    if mapping.time_column is None:
        raise InputError("--time-column: is missing; name the column of event times, because a rate needs them")
    settings, read = load(config), opened(table, mapping)
    references = _built(settings, read, mapping, complete=complete)
    with progress() as shown:
        bar = shown.add_task("replaying", total=passes)
        found = replay(
            settings,
            read,
            mapping,
            references,
            passes=passes,
            seed=seed,
            progress=lambda done: shown.update(bar, completed=done),
        )
    if output is not None:
        calibrated = [replace(reference, calibration=found.calibration) for reference in references]
        _write(output, calibrated, _outcomes(settings, read, mapping))
    if json:
        print_json(document(found, output))
    else:
        out().print(as_text(found))


app.command()(show)
app.command()(diff)
