"""A study of performance on paper: for people, as JSON, as CSV."""

import csv
import sys
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from driftline.cli.performance_documents import MetricFollowed, TablePerformance, WindowMeasured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driftline.performance.study import Followed, Study
    from driftline.sketches.keys import Floats


def days(times: "Sequence[int]") -> list[str]:
    """Return the day of each time; to the minute, where some are of one day."""
    from driftline.events import rfc3339

    written = [rfc3339(time) for time in times]
    found = [time[:10] for time in written]
    return found if len(set(found)) == len(found) else [f"{time[:16]}Z" for time in written]


def print_study(found: "Study", when: list[str], classes: tuple[str, ...], blind: str) -> None:
    """Print a study for people: a table and a picture of each metric, and what became of it."""
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.chart import chart
    from driftline.cli.terminal import out
    from driftline.performance.names import title
    from driftline.performance.telling import marks, written

    console = out()
    for metric in found.metrics:
        console.print(Text.assemble((title(metric.name), "bold"), f": {written(metric.reference)} in the reference"))
        columns = [("estimated", metric.estimated, metric.estimate_left)]
        columns += [("by labels", metric.realised, metric.realised_left)]
        if (metric.together.values == metric.together.values).any():
            columns.append(("together", metric.together, metric.realised_left & False))
        heads = [head for name, *_ in columns for head in (name, "")]
        table = Table("since", "predictions", "labels", *heads, "", box=None, pad_edge=False)
        for at, since in enumerate(when):
            cells = []
            for _, measured, left in columns:
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
    _print_said(found, when, classes)
    console.print()
    console.print(Text(blind, "dim"))


def print_sentences(found: "Study", when: list[str], classes: tuple[str, ...]) -> None:
    """Print what became of each metric in a sentence, and a picture of the first."""
    from rich.text import Text

    from driftline.cli.chart import chart
    from driftline.cli.terminal import out
    from driftline.performance.names import title

    console = out()
    for metric in found.metrics[:1]:
        console.print(Text(title(metric.name), "bold"))
        for line in chart(metric, when[0], when[-1]):
            console.print(line)
        console.print()
    _print_said(found, when, classes)
    console.print()


def _print_said(found: "Study", when: list[str], classes: tuple[str, ...]) -> None:
    from driftline.cli.terminal import out
    from driftline.performance.telling import selections, sentence

    for metric in found.metrics:
        out().print(sentence(metric, when))
    for said in selections(found, when, classes):
        out().print(said)


def document(found: "Study", when: list[str], classes: tuple[str, ...], blind: str) -> TablePerformance:
    """Return a study as programs read it."""
    from driftline.performance.telling import selections, sentence

    return TablePerformance(
        metrics=[
            MetricFollowed(
                metric.name,
                metric.reference,
                sentence(metric, when),
                [window(found, metric, when, at) for at in range(len(when))],
            )
            for metric in found.metrics
        ],
        labels=[each.verdict.name.lower() for each in found.selection],
        said_of_labels=selections(found, when, classes),
        cannot_see=blind,
    )


def window(found: "Study", metric: "Followed", when: list[str], at: int) -> WindowMeasured:
    """Return one window of one metric; what is not known is None."""

    def known(values: "Floats") -> float | None:
        return float(values[at]) if abs(values[at]) < float("inf") else None

    return WindowMeasured(
        since=when[at],
        predictions=int(found.predictions[at]),
        labels=int(found.labels[at]),
        unseen=float(found.unseen[at]),
        band_low=known(metric.low),
        band_high=known(metric.high),
        estimated=known(metric.estimated.values),
        estimated_low=known(metric.estimated.low),
        estimated_high=known(metric.estimated.high),
        realised=known(metric.realised.values),
        realised_low=known(metric.realised.low),
        realised_high=known(metric.realised.high),
        together=known(metric.together.values),
        together_low=known(metric.together.low),
        together_high=known(metric.together.high),
        estimate_left=bool(metric.estimate_left[at]),
        realised_left=bool(metric.realised_left[at]),
        unforeseen=bool(metric.unforeseen[at]),
    )


def write_csv(parts: "Sequence[tuple[Mapping[str, str], Study, list[str]]]") -> None:
    """Print a row for each metric and window of some studies; what each is of comes first."""
    rows = [
        {**of, "metric": metric.name, **asdict(window(found, metric, when, at))}
        for of, found, when in parts
        for metric in found.metrics
        for at in range(len(when))
    ]
    if not rows:
        return
    writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
