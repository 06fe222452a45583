"""What people see. Results go to standard output, everything said about them to standard error."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

UNBOUNDED = 10_000
"""Columns: wider than any table that is printed."""


def out() -> Console:
    """Return the console for results. In a pipe or a file lines are as long as they need to be.

    No console reads markup: what producers wrote is shown as it is. Style is given by `Text`.
    """
    return _console() if sys.stdout.isatty() else _console(width=UNBOUNDED, soft_wrap=True)


def err() -> Console:
    """Return the console for what is said about the work."""
    return _console(stderr=True, soft_wrap=True)


def _console(**options: Any) -> Console:
    return Console(highlight=False, markup=False, emoji=False, **options)


def print_json(value: object) -> None:
    """Print one JSON document on one line, at once: a struct, or plain values."""
    from msgspec import Struct, to_builtins

    def plain(value: object) -> object:
        return to_builtins(value) if isinstance(value, Struct) else str(value)

    print(json.dumps(value, ensure_ascii=False, default=plain), flush=True)


def print_error(error: Exception) -> None:
    """Print each line of an error's message, in red where there is colour. Lines of a list are indented."""
    console = err()
    for line in str(error).splitlines() or [type(error).__name__]:
        console.print(Text.assemble(("" if line.startswith(" ") else "error: ", "bold red"), (line, "red")))


def note(text: str) -> None:
    """Say something that is neither a result nor an error."""
    err().print(Text(text, style="dim"))


def age(milliseconds: int) -> str:
    """Return a length of time in its two largest units: `3d 4h`, `12m 5s`."""
    seconds = max(milliseconds, 0) // 1000
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2] if number or first == len(parts) - 1)


class RateColumn(ProgressColumn):
    """Events a second, over the last seconds."""

    def render(self, task: Task) -> Text:
        """Return the text of this column."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} events/s", style="cyan")


def progress() -> Progress:
    """Return a progress bar with throughput, on standard error; shown on a terminal only."""
    console = err()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
