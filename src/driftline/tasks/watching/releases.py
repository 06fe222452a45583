"""Releases: which versions answer a model's events, and in what shares.

Nothing here is random: that a version comes is a fact, and no fault. So it is information, which costs nothing of the
false-alarm budget, and pages nobody. Whether the new version answers alike is a matter of its own evidence.

    version 1 ██████████████████████▓▓▓▓▓▓▓▓▓▓
    version 2                       ▓▓▓▓▓▓▓▓▓▓██████████████
                                    │ told: 2 came       │ over: version 1 is gone

A rollback ends it likewise, and what fires about a version that is gone is closed with it. Blue and green, a canary
that grows, and a rollback are so one incident each. Versions that are there in a model's first window are no release,
nor is it one that a model goes on after a pause. A version whose events are all too late answers nothing; one that has
no place within the limits answers like any other.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Self

import msgspec

from driftline.codec import Count, Time, pack, unpack
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Signal, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.severity import INFO
from driftline.incidents.text import percent
from driftline.incidents.words import begin
from driftline.panes.merging import Slice
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.watcher import Context, Watcher

RELEASES = "releases"
"""The blob."""
VERSION = 1
VERSION_SIGNAL = "model_version"
MAX_NAMED = 10
"""Versions of which a release tells the shares, the new ones first."""
GONE = 12
"""Longest windows without an answer, while others answer, after which a version is gone: if it comes back, that is a
release. A canary may answer one event in a hundred, and a straggler one now and then."""


def _describe(signal: Signal) -> str:
    return f"{signal.what}: {signal.before} → {signal.after}"


RELEASE = Definition(
    kind=Kind.RELEASE,
    happened="the versions that answer have changed",
    describe=_describe,
    severities=(INFO,),
    level=(Level.MODEL, "another version of the model is answering"),
)


class Answering(msgspec.Struct):
    """Who answers a model's events."""

    seen: dict[str, Time] = {}
    """By version that is not gone, when the newest window started in which it answered."""
    before: dict[str, Count] = {}
    """Events by version in the newest whole window."""
    start: Time = 0
    counts: dict[str, Count] = {}
    """The window that is being counted: when it started, and events by version."""
    incident: Incident | None = None


class Releases(Watcher):
    """The releases of all models of a Judge, by their shortest windows. See the module's head.

    Args:
        rules: how each model is judged.
        close_all_but: closes the incidents of a model's other versions, and returns them.
    """

    KINDS = (RELEASE,)

    def __init__(
        self, rules: Callable[[str], ModelRules], close_all_but: Callable[[str, Collection[str]], list[Incident]]
    ) -> None:
        self.models: dict[str, Answering] = {}
        self._rules = rules
        self._close_all_but = close_all_but

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one."""
        return cls(context.rules, context.close_all_but)

    @property
    def open(self) -> list[Incident]:
        """The releases that go on."""
        return [held.incident for _, held in sorted(self.models.items()) if held.incident is not None]

    def came(self, model: str) -> dict[str, float]:
        """Return the versions that came with the release that goes on, with their shares of the newest whole window."""
        held = self.models.get(model)
        if held is None or held.incident is None:
            return {}
        new = {signal.what for signal in held.incident.signals if not signal.effects["share_before"]}
        total = max(sum(held.before.values()), 1)
        return {version: count / total for version, count in sorted(held.before.items()) if _named(version) in new}

    def take(self, piece: Slice, events: Mapping[str, int]) -> list[Incident]:
        """Take in a slice. Returns the release that begins, or is over."""
        model, start, end = piece.model, piece.start, piece.end
        size = min(size for size, _ in self._rules(model).windows)
        held = self.models.setdefault(model, Answering(start=start - start % size))
        changed = self._judge(model, held, size) if start >= held.start + size else []
        if changed or start >= held.start + size:
            held.start, held.counts = start - start % size, {}
        for version, count in events.items():
            if count:  # a pane may hold nothing but how late some events came
                held.counts[version] = held.counts.get(version, 0) + count
        if end >= held.start + size:
            changed += self._judge(model, held, size)
            held.start, held.counts = held.start + size, {}
        return changed

    def _judge(self, model: str, held: Answering, size: int) -> list[Incident]:
        """Look at a whole window."""
        counts, start, longest = held.counts, held.start, self._rules(model).longest_window
        if not counts:
            return []
        total = sum(counts.values())
        first, before, new = not held.seen, held.before, [version for version in counts if version not in held.seen]
        held.before = counts
        held.seen = {version: last for version, last in held.seen.items() if last > start - GONE * longest}
        held.seen.update(dict.fromkeys(counts, start))
        window = Window(start, start + size, total)
        if held.incident is not None:
            over = len(held.seen) == 1
            return [self._end(held, window), *self._close_all_but(model, held.seen)] if over else []
        return [] if first or not new else [self._begin(model, held, window, new, before)]

    def _begin(
        self, model: str, held: Answering, window: Window, new: list[str], before: Mapping[str, int]
    ) -> Incident:
        after = held.before
        order = sorted({*before, *after}, key=lambda version: (version not in new, -after.get(version, 0), version))
        signals = []
        for version in order[:MAX_NAMED]:
            old, now = (counts.get(version, 0) / sum(counts.values()) for counts in (before, after))
            effects = {"share_before": float(f"{old:.6g}"), "share_after": float(f"{now:.6g}")}
            told = _named(version), percent(old), percent(now)
            signals.append(Signal(VERSION_SIGNAL, 0.0, effects, 0.0, *told))
        held.incident = begin(
            RELEASE,
            Subject(model, "", ""),
            window,
            signals,
            group=self._rules(model).group,
            began=window.start,
        )
        return held.incident

    @staticmethod
    def _end(held: Answering, window: Window) -> Incident:
        incident = held.incident
        assert incident is not None
        (only,) = held.before
        held.incident = None
        return incident.over(window, f"{_named(only)} answers all events now")

    def forget(self, subjects: Sequence[Subject], models: Collection[str], mark: int) -> list[Incident]:
        """Let go of models that are watched no more."""
        for model in models:
            self.models.pop(model, None)
        return []

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blob."""
        return {RELEASES: pack(RELEASES, VERSION, list(self.models.items()), {})}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        held = unpack(blobs[RELEASES], RELEASES, (VERSION,)).value
        self.models = dict(msgspec.convert(held, list[tuple[str, Answering]]))


def _named(version: str) -> str:
    return f"version {version or '(none)'}"
