"""Incidents over time, drawn with characters.

data_drift        ···············████████████████████
prediction_drift  ·················█████·······██████
                  2018-10-30                2019-08-30
"""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from driftline.events import rfc3339
from driftline.incidents.incident import Incident
from driftline.incidents.severity import CRITICAL

WIDTH = 60


def timeline(incidents: Sequence[Incident], first: int, last: int, width: int = WIDTH) -> Table:
    """Return a line for each subject and kind over [first, last], epoch milliseconds."""
    grid = Table.grid(padding=(0, 2))
    rows: dict[tuple[str, str], list[Incident]] = {}
    for incident in incidents:
        rows.setdefault((str(incident.subject), incident.kind.value), []).append(incident)
    for (subject, kind), held in sorted(rows.items()):
        spans = [(incident.opened, incident.resolved) for incident in held]
        style = "red" if any(each.severity == CRITICAL for each in held) else "yellow"
        grid.add_row(subject, kind, Text(bar(spans, first, last, width), style))
    begin, end = rfc3339(first)[:10], rfc3339(last)[:10]
    grid.add_row("", "", Text(begin + end.rjust(width - len(begin)), "dim"))
    return grid


def bar(spans: Sequence[tuple[int, int | None]], first: int, last: int, width: int) -> str:
    """Return `width` characters for [first, last]: full where any of the spans is; an open one lasts to the end.

    >>> bar([(20, 40), (90, None)], 0, 100, 10)
    '··██·····█'
    """
    length = max(last - first, 1)
    characters = ["·"] * width
    for begin, end in spans:
        left = min(max((begin - first) * width // length, 0), width - 1)
        right = width if end is None else min(max(-((first - end) * width // length), left + 1), width)
        characters[left:right] = "█" * (right - left)
    return "".join(characters)
