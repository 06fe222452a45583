"""`python -m driftline.detection`: measure what is found and how often wrongly, and write the page about it."""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from driftline.detection import (
    categories,
    concept_drift,
    cost,
    estimates,
    followed,
    lengths,
    matrix,
    power,
    published,
    real,
)
from driftline.detection.page import page_of
from driftline.detection.report import Given, Made, ReportSection

_TABLES: Final = ("tables", "estimates")
PARTS: Final = (*_TABLES, "matrix", "power", "real", "lengths", "cost", "categories", "concept", "followed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for. Returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m driftline.detection", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, in a minute: its figures are rough")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these; others stay on the page")
    parser.add_argument("--output", type=Path, help="the page to write; else it is printed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--data", type=Path, help="only write the tables of (d) there, and how to backtest them")
    given = parser.parse_args(arguments)
    if given.data is not None:
        print(*real.write_data(given.data), sep="\n")
        return 0
    began = time.monotonic()
    # Spawned, not forked: a fork that happens while polars' threads hold a lock waits for ever.
    with ProcessPoolExecutor(given.workers, multiprocessing.get_context("spawn")) as pool:

        def spread(work: Callable[[Given], Made], items: list[Given]) -> Iterator[Made]:
            for number, made in enumerate(pool.map(work, items), 1):
                print(f"{time.monotonic() - began:6.0f} s  {work.__name__} {number}/{len(items)}", file=sys.stderr)
                yield made

        sections = list(_sections(given.parts, given.quick, spread))
    anew = given.output is None or given.quick or not given.output.exists() or set(given.parts) == set(PARTS)
    page = page_of(sections, quick=given.quick, earlier="" if anew else given.output.read_text())
    if given.output is None:
        print(page)
    else:
        given.output.write_text(page)
    missed = [name for section in sections for name, met in section.targets.items() if not met]
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


def _sections(parts: Iterable[str], quick: bool, spread: Callable[..., Iterator[Any]]) -> Iterator[ReportSection]:
    if "matrix" in parts:
        yield matrix.run(quick, spread)
    if "power" in parts:
        yield power.run(quick, spread)
    if "tables" in parts:
        yield from published.run(quick, spread)
    if "real" in parts:
        yield real.run(quick, spread)
    if "lengths" in parts:
        yield lengths.run(quick, spread)
    if "cost" in parts:
        yield cost.run(quick, spread)
    if "categories" in parts:
        yield categories.run(quick, spread)
    if "concept" in parts:
        yield concept_drift.run(quick, spread)
    if "followed" in parts:
        yield followed.run(quick, spread)
    if "estimates" in parts:
        yield estimates.run(quick, spread)


if __name__ == "__main__":
    sys.exit(main())
