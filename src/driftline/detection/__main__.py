"""`python -m driftline.detection`: measure what is found and how often wrongly, and write the page about it."""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from driftline.detection import categories, concept_drift, cost, lengths, matrix, power, published, real
from driftline.detection.report import Given, Made, ReportSection, table

PARTS: Final = ("tables", "matrix", "power", "real", "lengths", "cost", "categories", "concept")
HEAD: Final = """# Detection

What Driftline finds, how soon, and how often it is wrong. Written by `make detection`; every number comes from that
run, and seeds are fixed. {scale}

(a) says what the [budget](statistics.md) for false alarms came to where nothing changes; (b) how soon changes are
found, beside other detectors; (d) what was found in real data; (e) what it costs; (f) how often detectors that date a
change are wrong; (g) that categories with many values, and with new ones, raise no more alarms; (h) how soon outcomes
that change, given the score, are found. Tables A, B and C repeat what others published: they show that the harness
measures what it should.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for. Returns 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m driftline.detection", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, in a minute: its figures are rough")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these parts")
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
    page = _page(sections, given.quick)
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


def _page(sections: Iterable[ReportSection], quick: bool) -> str:
    ordered = sorted(sections, key=lambda section: section.title)
    scale = "**This is a small run: its figures are rough.**" if quick else ""
    targets = [[name, "met" if met else "**missed**"] for part in ordered for name, met in part.targets.items()]
    summary = "## Targets\n\n" + table(["target", ""], targets)
    parts = [f"## {section.title}\n\n{section.text}" for section in ordered]
    return "\n\n".join([HEAD.format(scale=scale).strip().replace(" \n", "\n"), summary, *parts]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
