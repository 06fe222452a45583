"""A metric over time, drawn with characters: the estimate, the labels, and the band of the reference.

0.980 │
0.971 │━━━●━━━●━━━●····
0.962 │············━━━━
      └────────────────
"""

from collections.abc import Iterator, Sequence

from rich.text import Text

from driftline.performance.study import Followed
from driftline.performance.telling import written

WIDTH, HEIGHT = 60, 9
BAND, ESTIMATE, LABELS = "·", "━", "●"


def chart(found: Followed, begin: str, end: str, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Text]:
    """Yield lines, none where nothing is known. Windows have about the same width; what left the band is red."""
    extent = _extent(found)
    if extent is None:
        return
    low, high = extent
    step = (high - low) / (height - 1)
    cells: list[list[tuple[str, str]]] = [[(" ", "")] * width for _ in range(height)]

    def row(value: float) -> int:
        return height - 1 - round((value - low) / step)

    many = len(found.low)
    for at in range(many):
        left = at * width // many
        right = max((at + 1) * width // many, left + 1)
        if found.low[at] == found.low[at]:
            for within in range(row(found.high[at]), row(found.low[at]) + 1):
                cells[within][left:right] = [(BAND, "dim")] * (right - left)
        if (estimate := found.estimated.values[at]) == estimate:
            style = "red" if found.estimate_left[at] else "cyan"
            cells[row(estimate)][left:right] = [(ESTIMATE, style)] * (right - left)
        if (truth := found.realised.values[at]) == truth:
            cells[row(truth)][(left + right - 1) // 2] = (LABELS, "red" if found.realised_left[at] else "green")
    labels = [written(high - step * line) for line in range(height)]
    margin = max(map(len, labels))
    for label, line in zip(labels, cells, strict=True):
        yield Text.assemble((f"{label:>{margin}} │", "dim"), *line)
    yield Text(f"{'':>{margin}} └{'─' * width}", "dim")
    yield Text(f"{'':>{margin}}  {begin}{end:>{max(width - len(begin), 1)}}", "dim")
    yield Text(f"{'':>{margin}}  {ESTIMATE} estimated   {LABELS} by labels   {BAND} as in the reference", "dim")


def _extent(found: Followed) -> tuple[float, float] | None:
    """Return the lowest and highest value to draw; None where none is known."""
    shown: Sequence[float] = [
        value
        for column in (found.low, found.high, found.estimated.values, found.realised.values, [found.reference])
        for value in column
        if abs(value) < float("inf")
    ]
    if not shown:
        return None
    low, high = min(shown), max(shown)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
