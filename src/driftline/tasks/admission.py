"""Whom a task of Judge watches, where there is more than the limits allow.

    models                       of the installation: every task hears of all of them by the census, and decides alike
    versions, segments, signals  of a model: all of its panes come to one task
    groups                       (model, version, segment)s of this task: what bounds its memory

A limit bounds what is weighed apart. How many events a model has, which versions answer them, whose they are and
whether it is silent are matters of the model: they are taken of all that came, if the model has a place.

Names get places in order of event time, so nothing depends on which source or record came first, and keep them
(`places`). What is beyond is counted by the limit, and told (`capacity`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from driftline.codec import Time, corrupt, pack, unpack
from driftline.columns.shape import OTHER, Limits
from driftline.columns.signals import is_beside
from driftline.evidence.signals import Family, family_of
from driftline.incidents.incident import Subject, digest
from driftline.panes.merging import Slice
from driftline.panes.mix import with_mix
from driftline.panes.records import Group
from driftline.sketches.group import EVENTS, ROLES, GroupSketch
from driftline.tasks.places import Places
from driftline.tasks.watching.capacity import FEW, Capacity

VERSION = 1
MANY = 1_000
"""Combinations of signals that are remembered: mostly those of a slice are those of the slice before."""
PLACES = "places/"
"""What the names of the blobs begin with that hold the places of a model."""


class _OfModel:
    """The places of one model."""

    def __init__(self, limits: Limits, held: Sequence[dict[str, int]] = ()) -> None:
        versions, segments, signals = held or ({}, {}, {})
        self.versions = Places(limits.versions, limits.keep_ms, versions)
        self.segments = Places(limits.segments, limits.keep_ms, segments)
        self.signals = Places(limits.signals, limits.keep_ms, signals)

    def holds(self, subject: Subject) -> bool:
        """Tell whether a subject's version and segment have places."""
        return subject.version in self.versions and (
            not _has_place(subject.segment) or subject.segment in self.segments
        )

    def stored(self, model: str) -> Any:
        """Return plain values."""
        return [model, self.versions.held, self.segments.held, self.signals.held]


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is watched of a slice, and who lost a place to what is new in it."""

    groups: Mapping[Group, GroupSketch]
    events: Mapping[str, int] = field(default_factory=dict)
    """How many events each version answered, also those that have no place; of a model without one, nothing."""
    unwatched: Collection[str] = ()
    """Signals that came and have no place: nobody knows what a window holds of them."""
    versions: Collection[str] = ()
    segments: Collection[str] = ()
    subjects: Collection[Subject] = ()
    model: str = ""
    models: Collection[str] = ()

    def driven_out(self, subjects: Iterable[Subject]) -> list[Subject]:
        """Return which of these subjects are watched no more."""
        if not (self.versions or self.segments or self.subjects or self.models):
            return []
        return [
            subject
            for subject in subjects
            if subject in self.subjects
            or subject.model in self.models
            or (subject.model == self.model and (subject.version in self.versions or subject.segment in self.segments))
        ]


class Admission:
    """See the module's head.

    Args:
        limits: how many places there are of each kind, and for how long they are kept.
        capacity: is told what is beyond.
    """

    def __init__(self, limits: Limits, capacity: Capacity) -> None:
        self.models = Places[str](limits.models, limits.keep_ms)
        self.groups = Places[Subject](limits.groups, limits.keep_ms)
        self.watched = 0
        """Events that are watched. With those below under models, versions and groups they are all that came."""
        self.unwatched = Counter[str]()
        """By limit: events of models, versions, segments and groups without a place, and values of such signals."""
        self._limits = limits
        self._capacity = capacity
        self._of: dict[str, _OfModel] = {}
        self._touched: set[str] = set()

    def count(self, census: Slice, at: int, *, tell: bool) -> list[str]:
        """Hear of all models of a slice of time; one task is to `tell` which have no place. Returns who lost theirs.

        `at` is the time at which what is beyond the limit counts: the end of the slice, or later if it came later.
        """
        events = {group.version: summary.events for group, summary in census.groups.items()}
        gone = self._hear(events, census.end)
        if tell:
            beyond = {model: count for model, count in events.items() if model not in self.models}
            self._tell("", "models", at, beyond)
        return gone

    def _hear(self, models: Iterable[str], end: int) -> list[str]:
        gone = self.models.take(models, end)
        for model in gone:
            self._of.pop(model, None)
            self._touched.add(model)
        return gone

    def admit(self, piece: Slice, at: int) -> Admitted:
        """Return what of a model's slice is watched. What is not counts at the time `at`."""
        model, end = piece.model, piece.end
        whole = {group.version: summary for group, summary in piece.groups.items() if not group.segment}
        events = {version: summary.events for version, summary in whole.items()}
        answering = [version for version, count in events.items() if count]  # of others all events came too late
        gone: list[str] = []
        if model not in self.models and answering:  # it has no place, or a release that knew no census sent it
            gone = self._hear([model], end)
        if model not in self.models:
            self.unwatched["models"] += sum(events.values())
            return Admitted({}, models=gone)
        self._touched.add(model)
        places = self._of.setdefault(model, _OfModel(self._limits))
        versions = places.versions.take(answering, end)
        segments = places.segments.take(filter(_has_place, {group.segment for group in piece.groups}), end)
        admitted, beyond = {}, {limit: Counter[str]() for limit in ("versions", "segments", "groups")}
        for group, summary in piece.groups.items():
            if group.version not in places.versions:
                if not group.segment:
                    beyond["versions"][group.version] += summary.events
            elif _has_place(group.segment) and group.segment not in places.segments:
                beyond["segments"][group.segment] += summary.events
            else:
                admitted[_subject(model, group)] = group
        subjects = self.groups.take(admitted, end)
        groups = {}
        for subject, group in admitted.items():
            summary = piece.groups[group]
            if subject in self.groups:
                groups[group] = summary
                self.watched += 0 if group.segment else summary.events
            else:
                beyond["groups"][str(subject)] += summary.events
                self.unwatched["segments" if group.segment else "groups"] += summary.events
        for limit, names in beyond.items():
            self._tell(model, limit, at, names)
            self.unwatched[limit] += names.total() if limit != "groups" else 0
        kept, unwatched = self._signals(piece, at, places.signals, whole.values(), groups)
        kept = with_mix(kept, of=piece.groups)
        return Admitted(kept, events, unwatched, versions, segments, subjects, model, gone)

    def _signals(
        self,
        piece: Slice,
        at: int,
        places: Places[str],
        whole: Iterable[GroupSketch],
        groups: Mapping[Group, GroupSketch],
    ) -> tuple[dict[Group, GroupSketch], set[str]]:
        """Return groups without the signals that have no place, and these. What the model answers has a place first."""
        fields = [_fields(summary.signals) for summary in whole]
        for names in (each.answers for each in fields), (each.others for each in fields):
            places.take(frozenset().union(*names), piece.end)
        beyond, unwatched = Counter[str](), set[str]()
        kept = {}
        for group, summary in groups.items():
            extra = [name for name in _fields(summary.signals).all if name not in places]
            kept[group] = summary.without(extra) if extra else summary
            unwatched.update(extra)
            if extra and not group.segment:
                totals, slots = summary.cells.totals(), summary.cells.ids // ROLES
                for name in extra:
                    beyond[name] += int(totals[slots == summary.signals.index(name)].sum())
        self.unwatched["signals"] += beyond.total()
        self._tell(piece.model, "signals", at, beyond)
        return kept, unwatched

    def _tell(self, model: str, limit: str, at: int, beyond: Mapping[str, int]) -> None:
        """Tell how much is beyond a limit, and some of the names, those with the most first."""
        if any(beyond.values()):
            most = sorted(beyond, key=lambda name: (-beyond[name], name))[:FEW]
            self._capacity.note(model, limit, at, sum(beyond.values()), most)

    def forget(self, subject: Subject) -> None:
        """Let go of a subject that is watched no more."""
        self.groups.held.pop(subject, None)

    def checkpoint(self) -> tuple[Any, dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        writes: dict[str, bytes | None] = {}
        for model in sorted(self._touched):
            held = self._of.get(model)
            writes[PLACES + digest(model)] = None if held is None else pack("places", VERSION, held.stored(model), {})
        self._touched.clear()
        return [self.models.held, self.watched, self.unwatched], writes

    def restore(self, described: Any, blobs: Mapping[str, bytes], heard: Mapping[Subject, int]) -> None:
        """Take up a checkpoint, and when each subject was heard of.

        Raises `StateCorrupt`, or what a wrong value causes.
        """
        self.groups.held.update(heard)
        models, self.watched, unwatched = msgspec.convert(described, tuple[dict[str, Time], int, dict[str, int]])
        self.models.held.update(models)
        self.unwatched.update(unwatched)
        for name in sorted(blobs):
            if name.startswith(PLACES):
                model, *held = msgspec.convert(unpack(blobs[name], "places", (VERSION,)).value, _Stored)
                if name != PLACES + digest(model):
                    raise corrupt("places", f"they are those of model {model[:80]!r}, stored in the place of another's")
                self._of[model] = _OfModel(self._limits, held)
        for subject in heard:
            if subject.model not in self.models or not self._of[subject.model].holds(subject):
                raise corrupt("places", f"{str(subject)[:80]} is watched and has none")


_Names = dict[str, Time]
_Stored = tuple[str, _Names, _Names, _Names]


def _subject(model: str, group: Group) -> Subject:
    return Subject(model, group.version, group.segment)


def _has_place(segment: str) -> bool:
    """Tell whether a segment takes a place: all events do not, nor what Summarise counts together."""
    return bool(segment) and not segment.endswith(f"={OTHER}")


class _Fields(NamedTuple):
    """The signals of a slice that take places."""

    all: tuple[str, ...]
    answers: frozenset[str]
    """Those that the model answers."""
    others: frozenset[str]


@lru_cache(maxsize=MANY)
def _fields(signals: tuple[str, ...]) -> _Fields:
    found = tuple(name for name in signals if name != EVENTS and not is_beside(name))
    answers = frozenset(name for name in found if family_of(name) is Family.OUTPUT)
    return _Fields(found, answers, frozenset(found) - answers)
