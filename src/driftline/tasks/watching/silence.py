"""Models that have fallen silent: no event of any version for longer than they ever paused.

Time is Judge's own: it goes on with the sources, or with what they tell of the clock where all of them are idle. So a
silence is told at the same place of the panes log in every replay.

    events ……………│                    │ silence is told              │ events return: resolved
                  heard ── patience ──►                              ▼
    patience = `silence`, or twice the longest pause in the reference, and at least two windows

Where all sources are idle, everything is silent for one reason: the model that is due first then is told, and those
that are due after it join it. With the first event of any model that is over: each that stays silent for its own
patience from then on is told by itself, and when nothing comes again, that is told anew.
"""

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Self

import msgspec

from driftline.codec import Time, pack, unpack
from driftline.columns.times import LATEST
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.severity import CRITICAL
from driftline.incidents.text import pace
from driftline.incidents.words import summarise_silence
from driftline.panes.merging import Slice
from driftline.panes.records import Rebase, Skip
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.pace import Usual
from driftline.tasks.watcher import Context, Watcher

SILENCES = "silences"
"""The blob."""
VERSION = 1
PAUSES = 2
"""A silence is so many times as long as the longest pause that is known, and as the model's shortest window."""

SILENCE = Definition(kind=Kind.SILENCE, happened="no events", severities=(CRITICAL,))


class ToldSilence(msgspec.Struct):
    """A silence that was told, and the models that share it."""

    incident: Incident
    of_all: bool
    """Whether nothing came from anywhere when it was told, and nothing has come since."""
    joined: list[str] = []


class Silences(Watcher):
    """See the module's head.

    Args:
        rules: how each model is judged.
        pace: how often events of a model usually come, as far as is known now.
    """

    KINDS = (SILENCE,)
    SHOWN_AS = "silences"

    def __init__(self, rules: Callable[[str], ModelRules], pace: Callable[[str], Usual | None]) -> None:
        self._open: dict[str, ToldSilence] = {}
        """By the model that was due first."""
        self._rules = rules
        self._pace = pace
        self._heard: dict[str, int] = {}
        self._paces: dict[str, Usual] = {}
        self._due: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}
        self._away: dict[str, int] = {}
        """Models that shared a silence and have not spoken since, and when the first event came after it."""
        self._input_end = LATEST
        """The end of the input that is believed: of a table nobody knows whether more was to come after it."""

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one."""
        return cls(context.rules, context.pace)

    def take(self, piece: Slice, events: Mapping[str, int]) -> list[Incident]:
        """Note that a model spoke. Returns the silence that this ends."""
        return self._hear(piece, piece.end)

    def supplement(self, piece: Slice, events: Mapping[str, int], mark: int) -> list[Incident]:
        """Note that a model spoke, though it came late."""
        return self._hear(piece, mark)

    def _hear(self, piece: Slice, now: int) -> list[Incident]:
        model, end = piece.model, piece.end
        self._heard[model] = max(self._heard.get(model, end), end)
        for silence in self._open.values():
            if silence.of_all:
                self._part(silence, now)
        self._away.pop(model, None)
        self._compare(model, self._pace(model) or self._paces.get(model))
        return self._end(model, end, "events are back after a silence")

    def _part(self, silence: ToldSilence, now: int) -> None:
        """Have those who share a silence be told by themselves, if they stay silent from now on."""
        others, silence.joined, silence.of_all = silence.joined, [], False
        for other in others:
            self._away[other] = now
            self._schedule(other)

    def _end(self, model: str, time: int, why: str) -> list[Incident]:
        """Return the silence of a model, resolved. Who shares one leaves it."""
        for silence in self._open.values():
            if model in silence.joined:
                silence.joined.remove(model)
        if model not in self._open:
            return []
        over = self._open.pop(model)
        self._part(over, time)
        incident = over.incident
        return [incident.over(Window(incident.window.start, max(time, incident.opened), 0), why)]

    def forget(self, subjects: Sequence[Subject], models: Collection[str], mark: int) -> list[Incident]:
        """Let go of models that are watched no more. Returns the silences that this ends."""
        over: list[Incident] = []
        for model in sorted(models):
            if self._heard.pop(model, None) is not None:
                self._paces.pop(model, None)
                self._away.pop(model, None)
                self._scheduled.pop(model, None)
                over += self._end(model, mark, "others took its place")
        for model in sorted({subject.model for subject in subjects}):
            self._compare_again(model)
        return over

    def obey(self, command: Rebase | Skip, mark: int) -> list[Incident]:
        """Hear that a model is compared with another reference."""
        if isinstance(command, Rebase):
            self._compare_again(command.model)
        return []

    def _compare_again(self, model: str) -> None:
        """Take a model's usual pace anew: it has another reference, or none."""
        if model in self._heard:
            self._compare(model, self._pace(model))

    def _compare(self, model: str, usual: Usual | None) -> None:
        if usual is not None:
            self._paces[model] = usual
        else:
            self._paces.pop(model, None)
        self._schedule(model)

    def is_silent(self, model: str) -> bool:
        """Tell whether a silence of this model was told and is not over."""
        return model in self._open or any(model in silence.joined for silence in self._open.values())

    def was_told(self, model: str) -> bool:
        """Tell whether a silence of this model was told, by itself or with others, and it has not spoken since."""
        return self.is_silent(model) or model in self._away

    @property
    def deadline(self) -> int | None:
        """When the next model may have been silent for too long."""
        return self._due[0][0] if self._due else None

    def close(self, time: int, *, idle: bool) -> list[Incident]:
        """Return the silences that are told now. `idle` says whether nothing comes from anywhere."""
        told = []
        while self._due and self._due[0][0] <= time:
            due, model = heapq.heappop(self._due)
            if self._scheduled.get(model) == due:
                del self._scheduled[model]
            if self.is_silent(model) or model not in self._heard:
                continue
            deadline = self._deadline(model)
            if deadline is None or deadline > time:
                self._schedule(model)
            elif deadline > self._input_end:
                continue
            elif idle and (shared := next((each for each in self._open.values() if each.of_all), None)):
                shared.joined.append(model)
            else:
                told.append(self._begin(model, time, idle=idle))
        return told

    def _deadline(self, model: str) -> int | None:
        rules, usual = self._rules(model), self._paces.get(model)
        if rules.silence_ms == 0 or (rules.silence_ms is None and usual is None):
            return None
        since = max(self._heard[model], self._away.get(model, 0))
        if rules.silence_ms is not None:
            return since + rules.silence_ms
        assert usual is not None
        return since + PAUSES * max(usual.pause_ms, min(size for size, _ in rules.windows))

    def _schedule(self, model: str) -> None:
        """Note when a model will have been silent for too long. One note a model: what it says may be too early."""
        deadline = self._deadline(model)
        if deadline is not None and self._scheduled.get(model, deadline + 1) > deadline:
            self._scheduled[model] = deadline
            heapq.heappush(self._due, (deadline, model))

    def _begin(self, model: str, time: int, *, idle: bool) -> Incident:
        since, usual = self._heard[model], self._paces.get(model)
        often = None if usual is None else usual.per_minute
        subject = Subject(model, "", "")
        reason = "no model sends events" if idle else "the stream itself continues"
        effects = {"silent_minutes": (time - since) / 60_000}
        if often is not None:
            effects["usual_per_minute"] = float(f"{often:.6g}")
        before = pace(often) if often is not None else ""
        incident = Incident(
            subject=subject,
            group=self._rules(model).group,
            kind=Kind.SILENCE,
            status=Status.FIRING,
            opened=time,
            window=Window(since, time, 0),
            signals=[Signal("events", 0.0, effects, what="events", before=before, after="none")],
            reference="",
            summary=summarise_silence(subject, since, before, level=Level.ENVIRONMENT, reason=reason),
            began=since,
            level=Level.ENVIRONMENT,
            reason=reason,
            severity=CRITICAL,
        )
        self._open[model] = ToldSilence(incident, idle)
        return incident

    def input_ends(self, newest: int) -> None:
        """Say of no silence that lasts beyond the end of a table: nobody knows whether more was to come."""
        self._input_end = newest

    @property
    def open(self) -> list[Incident]:
        """What fires."""
        return [silence.incident for silence in self._open.values()]

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blob: when each model was heard, and what is told. References are not among it."""
        state = [self._heard, list(self._open.items()), self._away]
        return {SILENCES: pack(SILENCES, VERSION, state, {})}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        held = unpack(blobs[SILENCES], SILENCES, (VERSION,)).value
        stored = tuple[dict[str, Time], list[tuple[str, ToldSilence]], dict[str, Time]]
        self._heard, told, self._away = msgspec.convert(held, stored)
        self._open = dict(told)
        for model in self._heard:
            self._compare_again(model)
