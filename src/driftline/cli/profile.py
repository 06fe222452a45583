"""`driftline profile`: build reference profiles from tables, look into them, compare two, calibrate."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.columns import NO_DELAY, mapping_options, opened
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.profile_document import Head
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

ProfileFile = Annotated[Path, typer.Argument(metavar="PROFILE", help="A profile file.", show_default=False)]
CompleteOption = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="The table holds all events of its time, not a sample, so it says how many to expect.",
    ),
]
SegmentOption = Annotated[
    str,
    typer.Option("--segment", metavar="TAG=VALUE", help="Show this segment's reference (default: all events)."),
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
    profile also says how well the model worked, which workers compare the performance of the stream with.

    \b
    $ driftline profile build train.parquet --model churn --time-column at -o churn.profile
    $ driftline profile show churn.profile
    """
    from msgspec import to_builtins

    from driftline.cli.terminal import out, print_json
    from driftline.config import load

    settings, rows = load(config), opened(table, mapping)
    references = _built(settings, rows, mapping, complete=complete)
    outcomes = _outcomes(settings, rows, mapping)
    _write(output, references, outcomes)
    whole, labels = references[0], outcomes[""].labels if outcomes else 0
    if json:
        heads = [to_builtins(_head(reference)) for reference in references]
        print_json({"file": str(output), "references": heads, "labels": labels})
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
    from driftline.config.doubts import unwatched
    from driftline.offline.backtest import build_references

    for doubt in unwatched(settings, mapping.model or ALL_MODELS, mapping.segment_columns):
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

    from driftline.cli.calibrated import as_json, as_text
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
        print_json({"file": None if output is None else str(output), **as_json(found)})
    else:
        out().print(as_text(found))


@app.command()
def show(profile: ProfileFile, segment: SegmentOption = "", json: JsonOption = False) -> None:
    """Show each signal of a profile: its values, how many are missing, how it is watched.

    \b
    $ driftline profile show churn.profile
    """
    from msgspec import UNSET, to_builtins
    from msgspec.structs import asdict

    from driftline.cli.histograms import describe, drawn
    from driftline.cli.profile_document import ProfileShown
    from driftline.cli.terminal import out, print_json
    from driftline.evidence.projection import Projection

    reference = read(profile, segment)
    projection = Projection(reference)
    signals = describe(reference, projection)
    if json:
        print_json(to_builtins(ProfileShown(**asdict(_head(reference)), signals=signals)))
        return
    from rich.table import Table

    from driftline.events import rfc3339

    grid = Table("signal", "watched as", "values", "missing", "null", "mean ± sd", "distribution")
    for name in ("values", "missing", "null", "mean ± sd"):
        next(column for column in grid.columns if column.header == name).justify = "right"
    for each in signals:
        mean = "" if each.mean is UNSET else f"{each.mean:.4g} ± {each.sd:.3g}"
        rates = [f"{rate:.2%}" if rate else "0" for rate in (each.missing, each.null)]
        grid.add_row(each.name, each.nature, f"{each.values:,}", *rates, mean, drawn(each))
    console = out()
    console.print(
        f"{reference.model} version {reference.version or '(none)'} {segment or 'all events'}: "
        f"{reference.events:,} events, {rfc3339(reference.first)} to {rfc3339(reference.last + reference.pane_ms)}"
    )
    console.print(grid)
    console.print(reference.address, style="dim")


@app.command()
def diff(before: ProfileFile, after: ProfileFile, segment: SegmentOption = "", json: JsonOption = False) -> None:
    """Compare two profiles signal by signal, the largest distance first, in the bins of the first profile.

    \b
    $ driftline profile diff churn-2.profile churn-3.profile
    """
    from msgspec import UNSET, convert, to_builtins
    from msgspec.structs import replace

    from driftline.cli.histograms import drawn_pair, histogram
    from driftline.cli.profile_document import Histograms, Moved, ProfilesCompared, SignalCompared
    from driftline.cli.terminal import out, print_json
    from driftline.evidence.contrast import contrast
    from driftline.evidence.distances import effects
    from driftline.evidence.projection import Projection

    old, new = read(before, segment), read(after, segment)
    projection = Projection(old)
    vector = projection.project(new.summary)
    measured = effects(projection, vector)
    slots = {name: slot for slot, name in enumerate(new.summary.signals)}
    rows: list[SignalCompared] = []
    for slot, name in enumerate(projection.signals):
        if slot == 0:
            continue
        row = convert({"name": name, **measured.of(slot)}, SignalCompared)
        first = None if row.mean_before is UNSET else histogram(old, slot)
        if first is not None and name in slots:
            second = histogram(new, slots[name], (first.low, first.high))
            row = replace(row, histograms=Histograms(first, second))
        moved = contrast(projection, vector, slot)
        if moved is not None:
            row = replace(row, moved=Moved(moved.what, moved.before, moved.after))
        rows.append(row)
    rows.sort(key=lambda row: (1.0 if row.psi is UNSET else -row.psi, row.name))
    gone = sorted(set(old.summary.signals) - set(new.summary.signals))
    come = sorted(set(new.summary.signals) - set(old.summary.signals))
    if json:
        compared = ProfilesCompared(
            before=_head(old), after=_head(new), signals=rows, only_before=gone, only_after=come
        )
        print_json(to_builtins(compared))
        return
    from rich.table import Table

    grid = Table("signal")
    for header in ("PSI", "JS", "KS", "Wasserstein", "missing"):
        grid.add_column(header, justify="right")
    grid.add_column("what moved most")
    grid.add_column("distribution")
    for row in rows:
        found = (row.psi, row.jensen_shannon, row.kolmogorov_smirnov, row.wasserstein)
        distances = ["" if each is UNSET else f"{each:.3f}" for each in found]
        most = "" if row.moved is UNSET else f"{row.moved.what} {row.moved.before:.4g} → {row.moved.after:.4g}"
        missing = f"{row.missing_before:.2%} → {row.missing_after:.2%}"
        grid.add_row(row.name, *distances, missing, most, drawn_pair(row.histograms))
    console = out()
    console.print(grid)
    for names, where in ((gone, before), (come, after)):
        if names:
            console.print(f"only in {where}: {', '.join(names)}")


def read(path: Path, segment: str) -> "Reference":
    """Return one reference of a profile file. Raises `InputError`."""
    from driftline.pipeline.task_settings import read_profile

    references = read_profile(path)
    if segment not in references:
        known = ", ".join(name or "(all events)" for name in sorted(references))
        raise InputError(
            f"{path}: holds no reference of segment {segment!r}; it holds {known}: choose one with --segment"
        )
    return references[segment]


def _head(reference: "Reference") -> Head:
    return Head(
        address=reference.address,
        model=reference.model,
        version=reference.version,
        segment=reference.segment,
        events=reference.events,
        first=reference.first,
        last=reference.last,
        pane_ms=reference.pane_ms,
        complete=reference.complete,
    )
