"""The stream itself under judgement: too many records rejected.

Summarise counts every record's fate in panes of their own, under the model name "" (see `tasks.summarise`). Nothing
here is random, so nothing here spends the false-alarm budget: a share above the configured limit opens an incident.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import msgspec

from driftline.codec import Count, Time, pack, unpack
from driftline.columns.reasons import EXPLANATIONS, Reason
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Signal, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.severity import CRITICAL
from driftline.incidents.text import number, short
from driftline.incidents.words import begin
from driftline.panes.merging import Slice
from driftline.sketches.group import GroupSketch, SignalRole
from driftline.sketches.keys import category_key
from driftline.tasks.watcher import Context, Watcher
from driftline.tasks.watching.capacity import FEW, Capacity

BLOB = "dead_letters"
"""The blob."""
VERSION = 1
MIN_LOST = 20
"""Rejected records in a window below which no incident opens, whatever their share."""


def _describe(signal: Signal) -> str:
    of = f" ({'models' if ', ' in signal.what else 'model'} {signal.what})" if signal.what else ""
    return f"{short(signal.name)} {number(signal.effects.get('count', 0))}{of}"


DEAD_LETTERS = Definition(
    kind=Kind.DEAD_LETTERS,
    happened="Driftline rejects many of the records",
    describe=_describe,
    severities=(CRITICAL,),
    level=(Level.CODE, "unreadable records come from the code that sends them"),
)


OF_TIME = (Reason.LATE, Reason.EVENT_TIME_AHEAD, Reason.EVENT_TIME_BEHIND)
"""Reasons that lie with clocks and delays, not with the code that writes records."""


def _level(fate: str) -> tuple[Level, str] | None:
    """Return what most rejected records point to, and what is wrong with them."""
    reason = next((reason for reason in EXPLANATIONS if reason.label == fate), None)
    if reason is None:  # a format's own
        return DEAD_LETTERS.level
    return Level.ENVIRONMENT if reason in OF_TIME else Level.CODE, EXPLANATIONS[reason]


class StreamJudge(Watcher):
    """Counts fates in tumbling windows of event time, and opens incidents about them.

    Args:
        group: the consumer group, which is part of what incidents are known by.
        window_ms: length of the windows.
        dead_letter_share: share of rejected records above which an incident opens.
        capacity: what it tells of limits that were reached before any model was known.
    """

    KINDS = (DEAD_LETTERS,)

    def __init__(self, group: str, window_ms: int, dead_letter_share: float, capacity: Capacity) -> None:
        self.incident: Incident | None = None
        self._group = group
        self._window_ms = window_ms
        self._share = dead_letter_share
        self._capacity = capacity
        self._windows: dict[int, dict[str, int]] = {}

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one."""
        how = context.settings
        return cls(how.group, how.stream_window_ms, how.dead_letter_share, context.the(Capacity))

    def take(self, piece: Slice, events: Mapping[str, int]) -> list[Incident]:
        """Take in a slice of the stream's own panes."""
        for summary in piece.groups.values():
            self._count(piece.start, piece.end, summary)
        return []

    def _count(self, start: int, end: int, summary: GroupSketch) -> None:
        window = self._windows.setdefault(start - start % self._window_ms, {})
        window["records"] = window.get("records", 0) + summary.events
        facts: dict[str, list[tuple[str, int]]] = {name: [] for name in summary.signals}
        for slot, name in enumerate(summary.signals):
            for key, count in summary.counts(slot, SignalRole.STRINGS).items():
                facts[name].append((summary.categories.get(key) or _LABELS.get(key, "unknown"), count))
        for fate, count in facts.get("fate", []):
            window[f"fate:{fate}"] = window.get(f"fate:{fate}", 0) + count
            if fate in _LIMITS:
                self._capacity.note("", _LIMITS[fate], end, count)
        for limit, count in facts.get("beyond_limits", []):
            self._capacity.note("", limit, end, count)
        for name, count in sorted(facts.get("beyond_names", []), key=lambda fact: (-fact[1], fact[0])):
            limit, _, named = name.partition(": ")
            if limit in _REASONS:
                window[f"of:{name}"] = window.get(f"of:{name}", 0) + count
            else:
                self._capacity.note("", limit, end, 0, [named])

    def supplement(self, piece: Slice, events: Mapping[str, int], mark: int) -> list[Incident]:
        """Take in what came for a slice that was taken before. If its window was judged, it counts in the one of now.

        An idle partition notes rejected records at the time that was told last, while time goes on without it.
        """
        judged = piece.start - piece.start % self._window_ms + self._window_ms <= mark
        return self.take(replace(piece, start=mark, end=mark + 1) if judged else piece, events)

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return min(self._windows) + self._window_ms if self._windows else None

    def close(self, time: int, *, idle: bool) -> list[Incident]:
        """Judge the windows that end now, and while nothing comes, also as far as they have come. Returns what changed.

        A window that is still open only opens an incident, and only if nothing in it counts: where a service began by
        sending what cannot be read, and stopped, no time goes on that would ever end it.

        Only a window that is later than the one that opened it ends an incident: before any event counts windows are
        those of the clock, and the first event may be of the past.
        """
        changed: list[Incident] = []
        for start, facts in sorted(self._windows.items()):
            if start + self._window_ms <= time:
                del self._windows[start]
            elif not (idle and self.incident is None and start < time) or f"fate:{Reason.ACCEPTED.label}" in facts:
                continue
            records = facts.get("records", 0)
            window = Window(start, min(start + self._window_ms, time), records)
            rejected = {
                name.removeprefix("fate:"): count
                for name, count in facts.items()
                if name.startswith("fate:") and name != f"fate:{Reason.ACCEPTED.label}"
            }
            lost = sum(rejected.values())
            many = lost > self._share * records
            if many and lost >= MIN_LOST and self.incident is None:
                ranked = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
                signals = [
                    Signal(name, 0.0, {"count": float(count)}, what=_models(name, facts)) for name, count in ranked
                ]
                self.incident = self._begin(window, signals)
                changed.append(self.incident)
            elif self.incident is not None and not many and window.end > self.incident.window.end:
                changed.append(self.incident.over(window, "few records are rejected again"))
                self.incident = None
        return changed

    def _begin(self, window: Window, signals: list[Signal]) -> Incident:
        return begin(
            replace(DEAD_LETTERS, level=_level(signals[0].name)),
            Subject("", "", ""),
            window,
            signals,
            group=self._group,
        )

    @property
    def open(self) -> list[Incident]:
        """What fires."""
        return [self.incident] if self.incident is not None else []

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blob."""
        return {BLOB: pack(BLOB, VERSION, [self._windows, self.incident], {})}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        self._windows, self.incident = msgspec.convert(
            unpack(blobs[BLOB], BLOB, (VERSION,)).value,
            tuple[dict[Time, dict[str, Count]], Incident | None],
        )


_LIMITS = {Reason.TOO_MANY_MODELS.label: "models", Reason.TOO_MANY_VERSIONS.label: "versions"}
"""What a record was rejected for, and the limit that this means."""
_REASONS = {reason.label for reason in Reason}
_LABELS = {category_key(reason.label): reason.label for reason in Reason}


def _models(reason: str, facts: Mapping[str, int]) -> str:
    """Return the models of which most records were rejected for a reason, as far as that is known."""
    of = f"of:{reason}: "
    held = {name.removeprefix(of): count for name, count in facts.items() if name.startswith(of)}
    return ", ".join(sorted(held, key=lambda model: (-held[model], model))[:FEW])
