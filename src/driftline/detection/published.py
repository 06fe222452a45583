"""Tables A, B and C: figures that others published, and what the same gives here."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from driftline.detection.abrupt import abrupt_stream
from driftline.detection.control import control_charts
from driftline.detection.friedman import friedman
from driftline.detection.report import ReportSection, Spread

SMALL: Final = 1
"""Seeds or trials of a small run."""
TABLES: Final[Mapping[str, Callable[[bool], ReportSection]]] = {
    "B": lambda quick: friedman(SMALL) if quick else friedman(),
    "A": lambda quick: abrupt_stream(SMALL) if quick else abrupt_stream(),
    "C": lambda quick: control_charts(),
}
"""The longest first."""


def make(wanted: tuple[str, bool]) -> ReportSection:
    """Make one table, in full or of a small run."""
    name, quick = wanted
    return TABLES[name](quick)


def run(quick: bool, spread: Spread[tuple[str, bool], ReportSection]) -> Iterator[ReportSection]:
    """Make all tables."""
    return spread(make, [(name, quick) for name in TABLES])
