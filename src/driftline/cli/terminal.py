"""What people see. Results go to standard output, everything said about them to standard error."""

import json
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

UNBOUNDED = 10_000
"""Columns: wider than any table that is printed."""


def out() -> Console:
    """Return the console for results. In a pipe or a file lines are as long as they need to be."""
    return (
        Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=UNBOUNDED, soft_wrap=True)
    )


def err() -> Console:
    """Return the console for what is said about the work."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document on one line, at once."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_error(error: Exception) -> None:
    """Print each line of an error's message, in red where there is colour."""
    console = err()
    for line in str(error).splitlines() or [type(error).__name__]:
        console.print(Text.assemble(("error: ", "bold red"), (line, "red")))


def note(text: str) -> None:
    """Say something that is neither a result nor an error."""
    err().print(Text(text, style="dim"))


def utc(milliseconds: int) -> str:
    """Return `2026-08-21 09:00:00Z`."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
