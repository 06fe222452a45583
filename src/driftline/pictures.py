"""An incident in a picture, as PNG: how the values of its signals lie in the reference and now, and how they got there.

Drawn from the window that was judged last and its reference, as workers store them: an alert stays small.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from driftline.evidence.bins import UNSEEN
from driftline.evidence.portraits import HistogramPair, Portrait
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Signal
from driftline.incidents.quality_words import OTHER_TYPE
from driftline.incidents.text import cut
from driftline.tasks.kinds import defined

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from driftline.tasks.subjects.shown import Shown

MAX_SIGNALS: Final = 3
WIDTH, ROW, TITLE = 8.0, 2.2, 0.5
"""In inches, of 100 pixels."""
BEFORE, NOW = "#8a8f98", "#d1495b"
"""Colours that people who see no red or no green tell apart too: one is much darker."""
DAY: Final = 86_400_000
"""Matplotlib counts days since the epoch."""
MAX_TEXT: Final = 90
FAULTS: Final = {"null": "null", "missing": "missing", OTHER_TYPE: "other_kind"}
"""What values may be that no histogram shows, and what portraits call it."""
OTHERS: Final = "all others"
MANY: Final = 0.1
"""Share of values in an outer bar from which on it says that it holds more than its width."""
MIN_PATH: Final = 3
"""Windows from which on a line says more than a number."""
_drawing = Lock()
"""Matplotlib's settings are the process's own, and a sink's picture is drawn in a thread."""


def picture(alert: Alert, shown: "Shown") -> bytes:
    """Return the picture, a PNG of some 50 kB; nothing where none of the alert's signals has values to show."""
    title = f"{cut(str(shown.subject), MAX_TEXT)}: {shown.when}"
    rows = [
        (defined(alert.data.kind).describe(signal), portrait, _path(signal, shown))
        for signal, portrait in drawable(alert.data.signals, shown)
    ]
    return _png(title, rows, alert.opened) if rows else b""


def sample() -> bytes:
    """Return a picture by which it can be tried whether a sink shows one."""
    moved = HistogramPair(0.0, 4.0, (0.1, 0.2, 0.4, 0.3), (0.4, 0.3, 0.2, 0.1))
    return _png("driftline router check", [("this is a test", Portrait("test", "", "", {}, moved, {}), ())], 0)


def _png(title: str, rows: Sequence[tuple[str, Portrait, Sequence[tuple[int, float]]]], opened: int) -> bytes:
    """Draw rows of (what happened, how values lie, how their mean moved)."""
    with _drawing, rc_context({"text.parse_math": False, "font.size": 9}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name may be written in letters that the font lacks
        figure = Figure(figsize=(WIDTH, TITLE + ROW * len(rows)), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title)
        grid = figure.add_gridspec(len(rows), 2, width_ratios=(3, 2))
        for row, (said, portrait, path) in enumerate(rows):
            over_time = len(path) >= MIN_PATH
            axes = figure.add_subplot(grid[row, 0] if over_time else grid[row, :])
            axes.set_title(cut(said, MAX_TEXT), loc="left", fontsize=9)
            if portrait.histogram is not None:
                _bars(axes, portrait.histogram)
            else:
                _pairs(axes, portrait)
            if row == 0:
                axes.legend(frameon=False)
            if over_time:
                _line(figure.add_subplot(grid[row, 1]), path, portrait.effects.get("mean_before"), opened)
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        written = BytesIO()
        figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def drawable(signals: Sequence[Signal], shown: "Shown") -> list[tuple[Signal, Portrait]]:
    """Return those of an alert's signals that can be drawn, as they are drawn, the most important first."""
    portraits = {each.name: each for each in shown.portraits}
    found = [(signal, _of(signal, portraits[signal.name])) for signal in signals if signal.name in portraits]
    return [(signal, each) for signal, each in found if each.histogram is not None or each.categories][:MAX_SIGNALS]


def _path(signal: Signal, shown: "Shown") -> Sequence[tuple[int, float]]:
    """Return how a signal's mean moved; nothing where that is not what happened."""
    return () if signal.what in FAULTS else shown.path.get(signal.name, ())


def _of(signal: Signal, portrait: Portrait) -> Portrait:
    """Return what shows what happened: of values that are not there, how many; of new categories, their names."""
    if signal.what in FAULTS:
        before, after = (portrait.effects.get(f"{FAULTS[signal.what]}_{when}", 0.0) for when in ("before", "after"))
        shares = {signal.what: (before, after), OTHERS: (1 - before, 1 - after)}
        return replace(portrait, histogram=None, categories=shares)
    called = {UNSEEN: " or ".join(signal.named) or UNSEEN}
    return replace(portrait, categories={called.get(name, name): held for name, held in portrait.categories.items()})


def _bars(axes: "Axes", held: HistogramPair) -> None:
    """Draw numbers; the outer bars hold what lies beyond."""
    edges = np.linspace(held.low, held.high, len(held.before) + 1)
    axes.stairs(held.before, edges, fill=True, color=BEFORE, alpha=0.6, label="reference")
    axes.stairs(held.after, edges, color=NOW, linewidth=1.5, label="now")
    axes.yaxis.set_major_formatter(_percent)
    if max(held.after[end] - held.before[end] for end in (0, -1)) > MANY:
        axes.set_xlabel("the outer bars hold all values beyond", loc="right", fontsize=8, color=BEFORE)


def _pairs(axes: "Axes", portrait: Portrait) -> None:
    """Draw categories, two bars each."""
    names = list(portrait.categories)
    before, after = zip(*portrait.categories.values(), strict=True)
    places = range(len(names))
    axes.bar([place - 0.2 for place in places], before, 0.4, color=BEFORE, alpha=0.6, label="reference")
    axes.bar([place + 0.2 for place in places], after, 0.4, color=NOW, label="now")
    axes.set_xticks(list(places), [cut(name, 14) for name in names])
    axes.yaxis.set_major_formatter(_percent)


def _line(axes: "Axes", path: Sequence[tuple[int, float]], usual: float | None, opened: int) -> None:
    """Draw the mean over time, beside the reference's, and when the incident opened."""
    times = [end / DAY for end, _ in path]
    axes.plot(times, [mean for _, mean in path], color=NOW, linewidth=1.5)
    if usual is not None:
        axes.axhline(usual, color=BEFORE, linestyle="--")
    if times[0] <= opened / DAY <= times[-1]:
        axes.axvline(opened / DAY, color=BEFORE, linewidth=0.8)
    axes.set_title("mean of each window", loc="right", fontsize=8, color=BEFORE)
    days = AutoDateLocator(maxticks=5)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(days)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(days))  # type: ignore[no-untyped-call]


def _percent(share: float, _position: object) -> str:
    return f"{share:.0%}"
