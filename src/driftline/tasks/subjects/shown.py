"""The window that was judged last, for people to look at: `driftline show`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from driftline.events import rfc3339
from driftline.evidence.news import News
from driftline.evidence.portraits import Portrait, portraits
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Subject, Window
from driftline.sketches.keys import Ints
from driftline.tasks.subjects.mean_path import MeanPath
from driftline.tasks.subjects.prepared_reference import PreparedReference


@dataclass(frozen=True, slots=True)
class Counted:
    """What a window held."""

    window: Window
    vector: Ints
    """In the layout of the reference's projection."""
    news: News


@dataclass(frozen=True, slots=True)
class Shown:
    """A subject's last window beside its reference."""

    subject: Subject
    window: Window
    reference: Reference = field(compare=False)  # compares by identity; what differs shows in the portraits
    portraits: list[Portrait]
    path: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """(end in epoch milliseconds, mean) of the last windows, by signal."""

    @property
    def when(self) -> str:
        """Which window it is, in words."""
        return f"{self.window.count:,} events, {rfc3339(self.window.start)} to {rfc3339(self.window.end)}"


def show(subject: Subject, watched: PreparedReference, last: Counted, path: MeanPath) -> Shown:
    """Compare a window with what it was compared with when it was judged: the same phase of a season."""
    window = last.window
    projection = watched.at(window.start, window.size).projection
    seen = portraits(projection, last.vector, last.news.excess)
    return Shown(subject, window, watched.reference, seen, path.of(projection.signals))
