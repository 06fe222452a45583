"""`driftline profile`: build reference profiles from tables, look into them, compare two, calibrate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.columns import mapping_options
from driftline.cli.options import ConfigOption, JsonOption
from driftline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driftline.config import Settings
    from driftline.evidence.projection import Projection
    from driftline.evidence.reference import Reference
    from driftline.tables import ColumnMapping, Table

app = typer.Typer(
    help="Build reference profiles from tables, look into them, compare two.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BARS = " ▁▂▃▄▅▆▇█"
BAR_COUNT = 16
MOST_CATEGORIES = 10
"""Categories listed by name in JSON."""
DISTANCES = ("psi", "jensen_shannon", "kolmogorov_smirnov", "wasserstein")

ProfileFile = Annotated[Path, typer.Argument(metavar="PROFILE", help="A profile file.", show_default=False)]
SegmentOption = Annotated[
    str, typer.Option("--segment", metavar="TAG=VALUE", help="A segment's reference; else that of all events.")
]


@app.command()
@mapping_options
def build(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The profile to write.", show_default=False)
    ],
    mapping: "ColumnMapping",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Build a profile from a table of predictions made while all was well, such as the validation set.

    The columns are named as for `driftline publish`. Then name the file in the configuration:

    \b
    $ driftline profile build train.parquet --model churn --time-column at -o churn.profile
    $ driftline profile show churn.profile
    """
    from driftline.cli.terminal import out, print_json
    from driftline.config import load
    from driftline.tables import open_table

    references = _built(load(config), open_table(table), mapping)
    _write(output, references)
    whole = references[0]
    if json:
        print_json({"file": str(output), "references": [_head(reference) for reference in references]})
        return
    segments = f", and for {len(references) - 1} segments" if len(references) > 1 else ""
    out().print(
        f"{output}: {whole.model} version {whole.version or '(none)'}, {whole.events:,} events, "
        f"{len(whole.summary.signals) - 1} signals{segments}"
    )


def _built(settings: "Settings", table: "Table", mapping: "ColumnMapping") -> "list[Reference]":
    from driftline.cli.terminal import progress
    from driftline.runtime.local import build_references

    with progress() as shown:
        task = shown.add_task("reading", total=table.rows)
        return build_references(settings, table, mapping, progress=lambda events: shown.update(task, completed=events))


def _write(output: Path, references: "Sequence[Reference]") -> None:
    from driftline.evidence.profile import encode_profile

    try:
        output.write_bytes(encode_profile(references))
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}; name another file with --output") from None


@app.command()
@mapping_options
def calibrate(
    table: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON.", metavar="TABLE", show_default=False)],
    mapping: "ColumnMapping",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the profile with what was measured.", show_default=False
        ),
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="How often the table is shuffled and replayed.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed shuffles in the same way.")] = 1,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how often a table of good times would raise a false alarm, beside the budget that was set.

    Half of its blocks of time, shuffled, become the reference; the other half, shuffled, is judged as `driftline run`
    would; again and again. Where windows depend on one another by more than the budget covers, it says so and what
    helps, and alerts carry the measured rate if the profile that was written is used.

    \b
    $ driftline profile calibrate train.parquet --model churn --time-column at
    $ driftline profile calibrate train.parquet --model churn --time-column at -o churn.profile
    """
    from dataclasses import replace

    from driftline.cli.calibrated import as_json, as_text
    from driftline.cli.terminal import out, print_json, progress
    from driftline.config import load
    from driftline.runtime.calibration import calibrate as replay
    from driftline.tables import open_table

    if mapping.time_column is None:
        raise InputError("--time-column: name the column that holds the events' times; a rate is over time")
    settings, opened = load(config), open_table(table)
    references = _built(settings, opened, mapping)
    with progress() as shown:
        bar = shown.add_task("replaying", total=passes)
        found = replay(
            settings,
            opened,
            mapping,
            references,
            passes=passes,
            seed=seed,
            progress=lambda done: shown.update(bar, completed=done),
        )
    if output is not None:
        _write(output, [replace(reference, calibration=found.calibration) for reference in references])
    if json:
        print_json({"file": None if output is None else str(output), **as_json(found)})
    else:
        out().print(as_text(found))


@app.command()
def show(profile: ProfileFile, segment: SegmentOption = "", json: JsonOption = False) -> None:
    """Show what a profile knows of each signal: its values, how many are missing, how they are watched.

    \b
    $ driftline profile show churn.profile
    """
    from driftline.cli.terminal import out, print_json
    from driftline.evidence.projection import Projection

    reference = read(profile, segment)
    projection = Projection(reference)
    signals = describe(reference, projection)
    if json:
        print_json({**_head(reference), "signals": signals})
        return
    from rich.table import Table

    from driftline.cli.terminal import utc

    grid = Table("signal", "watched as", "values", "missing", "null", "mean ± sd", "distribution")
    for name in ("values", "missing", "null", "mean ± sd"):
        next(column for column in grid.columns if column.header == name).justify = "right"
    for each in signals:
        mean = f"{each['mean']:.4g} ± {each['sd']:.3g}" if "mean" in each else ""
        rates = [f"{each[name]:.2%}" if each[name] else "0" for name in ("missing", "null")]
        grid.add_row(each["name"], each["nature"], f"{each['values']:,}", *rates, mean, _drawn(each))
    console = out()
    console.print(
        f"{reference.model} version {reference.version or '(none)'} {segment or 'all events'}: "
        f"{reference.events:,} events, {utc(reference.first)} to {utc(reference.last + reference.pane_ms)}"
    )
    console.print(grid)
    console.print(reference.address, style="dim")


@app.command()
def diff(before: ProfileFile, after: ProfileFile, segment: SegmentOption = "", json: JsonOption = False) -> None:
    """Compare two profiles signal by signal, the greatest distance first; the first one gives the bins.

    \b
    $ driftline profile diff churn-2.profile churn-3.profile
    """
    from driftline.cli.terminal import out, print_json
    from driftline.evidence.distances import effects
    from driftline.evidence.projection import Projection

    old, new = read(before, segment), read(after, segment)
    projection = Projection(old)
    measured = effects(projection, projection.project(new.summary))
    rows: list[dict[str, Any]] = [
        {"name": name, **measured.of(slot)} for slot, name in enumerate(projection.signals) if slot
    ]
    rows.sort(key=lambda row: (-row.get("psi", -1.0), row["name"]))
    gone = sorted(set(old.summary.signals) - set(new.summary.signals))
    come = sorted(set(new.summary.signals) - set(old.summary.signals))
    if json:
        print_json(
            {"before": _head(old), "after": _head(new), "signals": rows, "only_before": gone, "only_after": come}
        )
        return
    from rich.table import Table

    grid = Table("signal")
    for header in ("PSI", "JS", "KS", "Wasserstein", "mean", "missing"):
        grid.add_column(header, justify="right")
    for row in rows:
        distances = [f"{row[name]:.3f}" if name in row else "" for name in DISTANCES]
        mean = f"{row['mean_before']:.4g} → {row['mean_after']:.4g}" if "mean_after" in row else ""
        grid.add_row(str(row["name"]), *distances, mean, f"{row['missing_before']:.2%} → {row['missing_after']:.2%}")
    console = out()
    console.print(grid)
    for names, where in ((gone, before), (come, after)):
        if names:
            console.print(f"only in {where}: {', '.join(names)}")


def read(path: Path, segment: str) -> "Reference":
    """Return one reference of a profile file. Raises `InputError`."""
    from driftline.runtime.rules import read_profile

    references = read_profile(path)
    if segment not in references:
        known = ", ".join(name or "(all events)" for name in sorted(references))
        raise InputError(
            f"{path}: holds no reference of segment {segment!r}; it holds {known}: choose one by --segment"
        )
    return references[segment]


def describe(reference: "Reference", projection: "Projection") -> list[dict[str, Any]]:
    """Return what is known of each signal, in plain values."""
    from driftline.evidence.bins import Quality
    from driftline.sketches.summary import Role

    quality = projection.quality(projection.reference)
    means = projection.means(projection.reference)
    found = []
    for slot, name in enumerate(projection.signals):
        if slot == 0:
            continue
        counts = quality[slot]
        held = int(counts[Quality.EXPECTED] + counts[Quality.OUT_OF_RANGE] + counts[Quality.UNSEEN])
        row: dict[str, Any] = {
            "name": name,
            "family": str(projection.families[slot]),
            "nature": str(reference.natures[slot]),
            "values": held,
            "missing": float(counts[Quality.MISSING]) / reference.events,
            "null": float(counts[Quality.NULL]) / reference.events,
            "other_kinds": float(counts[Quality.OTHER_KIND]) / reference.events,
        }
        bins = projection.bins.get(slot)
        if bins is not None and bins.role is Role.NUMBERS:
            row |= {"mean": float(means[slot]), "sd": float(projection.deviations[slot])}
            row["histogram"] = _histogram(reference, slot)
        elif bins is not None:
            start = int(projection.fine_bounds[slot])
            fine = projection.reference[start : start + bins.fine_bins].tolist()
            shares = [(label, count / held) for label, count in zip(bins.labels, fine, strict=True) if count]
            row["categories"] = dict(shares[:MOST_CATEGORIES])
        found.append(row)
    return found


def _histogram(reference: "Reference", slot: int) -> dict[str, Any]:
    """Return counts in bars of equal width between the 1 % and 99 % quantiles; the outer ones hold what lies beyond."""
    import numpy as np

    from driftline.evidence.projection import bucket_means
    from driftline.sketches.summary import ROLES, Role

    at = np.flatnonzero(reference.summary.cells.ids == slot * ROLES + Role.NUMBERS)
    cell = reference.summary.cells.take(at)
    values, counts = bucket_means(cell), cell.counts
    below = np.cumsum(counts) / counts.sum()
    low, high = values[np.searchsorted(below, 0.01)], values[np.searchsorted(below, 0.99)]
    if not high > low:
        return {"low": float(low), "high": float(high), "counts": [int(counts.sum())]}
    place = np.clip((values / 2 - low / 2) / (high / 2 - low / 2) * BAR_COUNT, 0, BAR_COUNT - 1).astype(np.int64)
    bars = np.zeros(BAR_COUNT, dtype=np.int64)
    np.add.at(bars, place, counts)
    return {"low": float(low), "high": float(high), "counts": bars.tolist()}


def _drawn(signal: dict[str, Any]) -> str:
    if "histogram" in signal:
        held = signal["histogram"]
        return f"{held['low']:.3g} {_bars(held['counts'])} {held['high']:.3g}"
    return ", ".join(f"{name} {share:.0%}" for name, share in list(signal.get("categories", {}).items())[:3])


def _bars(counts: list[int]) -> str:
    """Draw one bar a count.

    >>> _bars([0, 1, 4, 8])
    ' ▁▄█'
    """
    top = max(counts, default=0) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in counts)


def _head(reference: "Reference") -> dict[str, Any]:
    return {
        "address": reference.address,
        "model": reference.model,
        "version": reference.version,
        "segment": reference.segment,
        "events": reference.events,
        "first": reference.first,
        "last": reference.last,
        "pane_ms": reference.pane_ms,
    }
