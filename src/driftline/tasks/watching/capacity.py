"""Incidents about limits: which one was reached, how much was beyond it, and some of the names.

One incident a model, or of the stream itself (""), for as long as anything of it is beyond a limit in each window.
Nothing here is random, so nothing here spends the false-alarm budget.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Self

import msgspec

from driftline.codec import Count, Time, pack, unpack
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Signal, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.text import number, short
from driftline.incidents.words import begin
from driftline.tasks.watcher import Context, Watcher

BLOB = "capacity"
"""The blob."""
VERSION = 1
FEW = 3
"""Names that are told of each limit."""


def _describe(signal: Signal) -> str:
    some = f" ({signal.what})" if signal.what else ""
    return f"{short(signal.name)} {number(signal.effects.get('count', 0))}{some}"


CAPACITY = Definition(
    kind=Kind.CAPACITY,
    happened="a limit is reached, and Driftline counts the excess without watching it",
    describe=_describe,
    level=(Level.ENVIRONMENT, "there is more to watch than before"),
)


class BeyondLimit(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What was beyond one limit."""

    count: Count = 0
    names: Annotated[list[str], msgspec.Meta(max_length=FEW)] = []


class Capacity(Watcher):
    """See the module's head. Windows are tumbling, of event time.

    Args:
        group: the consumer group, which is part of what incidents are known by.
        window_of: length of the windows of a model.
    """

    KINDS = (CAPACITY,)

    def __init__(self, group: str, window_of: Callable[[str], int]) -> None:
        self.incidents: dict[str, Incident] = {}
        """By model."""
        self._group = group
        self._window_of = window_of
        self._windows: dict[tuple[int, str], dict[str, BeyondLimit]] = {}
        """By end and model: what was beyond each limit."""

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one. Excess is told in the shortest windows of its model, or in those of the stream."""
        settings, rules = context.settings, context.rules
        return cls(settings.group, lambda model: rules(model).windows[0][0] if model else settings.stream_window_ms)

    def note(self, model: str, limit: str, at: int, count: int, names: Iterable[str] = ()) -> None:
        """Count what was beyond a limit until a time, in the window that it is in or ends."""
        size = self._window_of(model)
        window = self._windows.setdefault((-(-at // size) * size, model), {})
        beyond = window.setdefault(limit, BeyondLimit(0, []))
        beyond.count += count
        for name in names:
            if len(beyond.names) == FEW:
                break
            if name not in beyond.names:
                beyond.names.append(name)

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return min(self._windows)[0] if self._windows else None

    def close(self, time: int, *, idle: bool) -> list[Incident]:
        """Judge the windows that end now. Returns the incidents that changed."""
        changed: list[Incident] = []
        while self._windows and min(self._windows)[0] <= time:
            end, model = min(self._windows)
            changed.extend(self._decide(model, end, self._windows.pop((end, model))))
            if model in self.incidents:  # it is over when a window has nothing
                self._windows.setdefault((end + self._window_of(model), model), {})
        return changed

    def _decide(self, model: str, end: int, beyond: Mapping[str, BeyondLimit]) -> list[Incident]:
        subject = Subject(model, "", "")
        window = Window(end - self._window_of(model), end, sum(held.count for held in beyond.values()))
        ranked = sorted(beyond.items(), key=lambda item: (-item[1].count, item[0]))
        signals = [
            Signal(limit, 0.0, {"count": float(held.count)}, what=", ".join(held.names)) for limit, held in ranked
        ]
        incident = self.incidents.get(model)
        if signals and incident is None:
            self.incidents[model] = begin(CAPACITY, subject, window, signals, group=self._group)
            return [self.incidents[model]]
        if incident is not None and not signals:
            return [self.incidents.pop(model).over(window, "everything is within the limits again")]
        return []

    @property
    def open(self) -> list[Incident]:
        """What fires."""
        return [*self.incidents.values()]

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blob."""
        state = [[[*key, window] for key, window in self._windows.items()], self.open]
        return {BLOB: pack(BLOB, VERSION, state, {})}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        windows, incidents = msgspec.convert(unpack(blobs[BLOB], BLOB, (VERSION,)).value, _Stored)
        self._windows = {(end, model): window for end, model, window in windows}
        self.incidents = {held.subject.model: held for held in incidents}


_Stored = tuple[list[tuple[Time, str, dict[str, BeyondLimit]]], list[Incident]]
