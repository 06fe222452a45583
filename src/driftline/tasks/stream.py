"""The stream itself under judgement: too many records refused, or limits reached.

Summarise counts every record's fate in panes of their own, under the model name "" (see `tasks.summarise`). Nothing
here is random, so nothing here spends the false-alarm budget: a share above the configured limit opens an incident.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from driftline.codec import Count, Time
from driftline.columns.reasons import Reason
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.level import Facts, name_level
from driftline.incidents.words import summarise_incident
from driftline.sketches.keys import category_key
from driftline.sketches.summary import Role, Summary

FEWEST = 20
"""Refused records in a window below which no incident opens, whatever their share."""


class StreamJudge:
    """Counts fates in tumbling windows of event time, and opens incidents about them."""

    def __init__(self, group: str, window_ms: int, dead_letter_share: float) -> None:
        self.subject = Subject("", "", "")
        self.incidents: dict[Kind, Incident] = {}
        self._group = group
        self._window_ms = window_ms
        self._share = dead_letter_share
        self._windows: dict[int, dict[str, int]] = {}

    def take(self, start: int, summary: Summary) -> None:
        """Take in a slice of the stream's own panes."""
        window = self._windows.setdefault(start - start % self._window_ms, {})
        window["records"] = window.get("records", 0) + summary.events
        for slot, name in enumerate(summary.signals):
            for key, count in summary.counts(slot, Role.STRINGS).items():
                fact = f"{name}:{summary.categories.get(key) or _LABELS.get(key, 'unknown')}"
                window[fact] = window.get(fact, 0) + count

    def supplement(self, start: int, summary: Summary, mark: int) -> bool:
        """Take in what came for a slice that was taken before. Returns False where its window was judged."""
        if start - start % self._window_ms + self._window_ms <= mark:
            return False
        self.take(start, summary)
        return True

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return min(self._windows) + self._window_ms if self._windows else None

    def close(self, time: int) -> list[Incident]:
        """Judge the windows that end now. Returns the incidents that changed."""
        changed: list[Incident] = []
        for start in sorted(start for start in self._windows if start + self._window_ms <= time):
            facts = self._windows.pop(start)
            records = facts.get("records", 0)
            window = Window(start, start + self._window_ms, records)
            refused = {
                name.removeprefix("fate:"): count
                for name, count in facts.items()
                if name.startswith("fate:") and name != f"fate:{Reason.ACCEPTED.label}"
            }
            lost = sum(refused.values())
            bad = refused if lost >= FEWEST and lost > self._share * records else {}
            changed.extend(self._decide(Kind.DEAD_LETTERS, window, bad))
            beyond = {name: count for name, count in facts.items() if name.startswith("beyond_limits:")}
            models = refused.get(Reason.TOO_MANY_MODELS.label, 0) + refused.get(Reason.TOO_MANY_VERSIONS.label, 0)
            if models:
                beyond["models or versions"] = models
            named = {name.removeprefix("beyond_limits:"): count for name, count in beyond.items()}
            changed.extend(self._decide(Kind.CAPACITY, window, named))
        return changed

    def _decide(self, kind: Kind, window: Window, counts: Mapping[str, int]) -> list[Incident]:
        incident = self.incidents.get(kind)
        if counts and incident is None:
            ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            signals = [Signal(name, 0.0, {"count": float(count)}) for name, count in ranked]
            level, reason = name_level(Facts(kind=kind, output_only=False))
            incident = Incident(
                subject=self.subject,
                kind=kind,
                status=Status.FIRING,
                opened=window.end,
                window=window,
                signals=signals,
                reference="",
                summary=summarise_incident(self.subject, kind, signals, level=level, reason=reason),
                level=level,
                reason=reason,
                group=self._group,
            )
            self.incidents[kind] = incident
            return [incident]
        if incident is not None and not counts:
            incident.status, incident.window, incident.resolved = Status.RESOLVED, window, window.end
            incident.summary = f"{self.subject}: {kind.replace('_', ' ')} are over."
            del self.incidents[kind]
            return [incident]
        return []

    def snapshot(self) -> Any:
        """Return plain values."""
        return [self._windows, list(self.incidents.values())]

    def restore(self, value: Any) -> None:
        """Take up a snapshot."""
        self._windows, incidents = msgspec.convert(value, tuple[dict[Time, dict[str, Count]], list[Incident]])
        self.incidents = {held.kind: held for held in incidents}


_LABELS = {category_key(reason.label): reason.label for reason in Reason}
