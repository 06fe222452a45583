"""`driftline profile show` and `driftline profile diff`: what profiles hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import JsonOption
from driftline.cli.profile_document import Head
from driftline.errors import InputError

if TYPE_CHECKING:
    from driftline.evidence.reference import Reference

ProfileFile = Annotated[Path, typer.Argument(metavar="PROFILE", help="A profile file.", show_default=False)]

SegmentOption = Annotated[
    str,
    typer.Option("--segment", metavar="TAG=VALUE", help="Show this segment's reference (default: all events)."),
]


def show(profile: ProfileFile, segment: SegmentOption = "", json: JsonOption = False) -> None:
    """Show each signal of a profile: its values, how many are missing, how it is watched.

    \b
    $ driftline profile show churn.profile
    """
    from msgspec import UNSET
    from msgspec.structs import asdict

    from driftline.cli.histograms import describe, drawn
    from driftline.cli.profile_document import ProfileShown
    from driftline.cli.terminal import out, print_json
    from driftline.evidence.projection import Projection

    reference = read(profile, segment)
    projection = Projection(reference)
    signals = describe(reference, projection)
    if json:
        print_json(ProfileShown(**asdict(head(reference)), signals=signals))
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


def diff(before: ProfileFile, after: ProfileFile, segment: SegmentOption = "", json: JsonOption = False) -> None:
    """Compare two profiles signal by signal, the largest distance first, in the bins of the first profile.

    \b
    $ driftline profile diff churn-2.profile churn-3.profile
    """
    from msgspec import UNSET, convert
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
        compared = ProfilesCompared(before=head(old), after=head(new), signals=rows, only_before=gone, only_after=come)
        print_json(compared)
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


def head(reference: "Reference") -> Head:
    """Return which reference it is."""
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
