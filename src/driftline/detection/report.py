"""The page's parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
Spread = Callable[[Callable[[Given], Made], list[Given]], Iterator[Made]]
"""Maps over pieces of work, on as many cores as there are; in order."""


@dataclass(frozen=True, slots=True)
class ReportSection:
    """One part of the page: what was measured, and which targets it met."""

    title: str
    text: str
    targets: Mapping[str, bool] = field(default_factory=dict)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
