"""Judge: the panes of one partition of the panes topic, in offset order, to incidents and alerts.

A pure function of (state, records) like Summarise. Slices of event time come out of the merger complete and in order;
each goes to the subjects that it is about (`roster`) and to all who watch models as wholes or the stream (`watchers`),
and then the windows that end at that time are judged. So the same panes give the same alerts, whatever the sources'
pace and wherever the task was restarted.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from driftline.codec import Count, corrupt_if_it_fails, pack, unpack
from driftline.errors import StateCorrupt, StateOtherRelease
from driftline.evidence.detectors import RIVER
from driftline.incidents.incident import Incident, Kind, Subject
from driftline.panes.census import is_census
from driftline.panes.merging import PaneMerger, Slice
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord, decode_outcomes, is_of_outcomes
from driftline.panes.records import Command, PaneRecord, Rebase, Resolve, Watermark, decode_command
from driftline.tasks import watchers
from driftline.tasks.admission import Admission, Admitted
from driftline.tasks.causes import Causes
from driftline.tasks.kinds import defined
from driftline.tasks.model_rules import JudgeSettings, ModelRules
from driftline.tasks.outcomes.outcome_judge import OutcomeJudge
from driftline.tasks.pace import Usual
from driftline.tasks.roster import Roster
from driftline.tasks.stream_panes import STREAM
from driftline.tasks.subjects.shown import Shown
from driftline.tasks.telling import Telling, Told
from driftline.tasks.viewing import subject_view
from driftline.tasks.views import JudgeView, PaneCounters, PerformanceView, SourceView
from driftline.tasks.watcher import Context, Watcher
from driftline.tasks.watching.capacity import Capacity

VERSION = 1
MAX_SHOWN = 20_000
"""Signals that `status` shows of one task: some 6 MB, written with each checkpoint."""
DETECTORS = "detectors"
"""The blob that says which release of river fed the detectors."""
DETECTORS_VERSION = 1


class Judge:
    """The task of one partition of the panes topic. See the module's head.

    Feed it with `process`, take out what is to be told with `emit`, and store what `checkpoint` returns: a new one that
    takes it up with `restore` goes on as if nothing had happened. Times are event times in epoch milliseconds.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._rules: dict[str, ModelRules] = {}
        self._merger = PaneMerger(settings.topics)
        self._roster = Roster(self._model_rules)
        context = Context(settings, self._model_rules, self._pace, self._roster.close_all_but)
        self._admission = Admission(settings.limits, context.the(Capacity))
        self._of_stream: Sequence[Watcher] = [context.the(each) for each in watchers.OF_STREAM]
        self._of_models: Sequence[Watcher] = [context.the(each) for each in watchers.OF_MODELS]
        self._watchers = (*self._of_stream, *self._of_models)
        self._outcomes = OutcomeJudge(self._model_rules, self._roster.subjects.__contains__)
        causes = Causes(
            lambda model: self._model_rules(model).longest_window, self._roster.segments, self._outcomes.cost
        )
        self._telling = Telling(settings.group, causes, self._found)
        self._tells_of_models = False
        """Whether the panes of the stream itself come to this task, so that it says which models are beyond."""
        self._unreadable = 0
        self._late = 0
        self._forgot = 0
        self._river = ""
        """The release of river that the last checkpoint names."""

    def process(self, values: Sequence[bytes | PaneRecord | OutcomeRecord | Watermark | None]) -> list[tuple[int, str]]:
        """Take in records in offset order. Returns (position, reason) of those that cannot be read.

        Where both stages are one process, what Summarise made comes as it is, and needs not be written to be read.
        Raises `StateOtherRelease` for one that a later release wrote, which counts: nothing behind it may be judged
        without it.
        """
        unreadable = []
        for at, value in enumerate(values):
            try:
                record = b"" if value is None else value
                if isinstance(record, bytes) and is_of_outcomes(record):
                    record = decode_outcomes(record)
                command = decode_command(record) if isinstance(record, bytes) else None
                if command is not None:
                    self._obey(command)
                elif isinstance(record, OutcomeRecord | OutcomeMark):
                    self._tell(self._outcomes.take(record))
                elif self._merger.take(record):
                    self._advance()
                for piece in self._merger.overdue():
                    self._supplement(piece)
                self._put_together(self._merger.mark)
            except StateOtherRelease:
                raise
            except StateCorrupt as error:
                self._unreadable += 1
                unreadable.append((at, str(error)))
        return unreadable

    def input_ends(self, newest: int) -> None:
        """Say that there is nothing after this time, and no clock that would tell how long nothing came.

        A table ends so, a stream never does. Call it ahead of the panes that the end cut off.
        """
        for watcher in self._watchers:
            watcher.input_ends(newest)

    def finish(self) -> None:
        """Judge what the end of a table cuts off, after its last panes: the last windows of performance."""
        self._tell(self._outcomes.finish())
        self._put_together(self._merger.mark)

    def _advance(self) -> None:
        for time, slices in self._merger.advance(self._next_deadline):
            self._forget_the_silent(time)
            for piece in slices:
                self._take(piece)
            idle = self._merger.is_idle(time)
            for watcher in self._of_stream:
                self._tell(watcher.close(time, idle=idle))
            self._tell(self._roster.close(time))
            for watcher in self._of_models:
                self._tell(watcher.close(time, idle=idle))
            self._put_together(time)
            self._telling.wake(time)

    def _next_deadline(self) -> int | None:
        of_watchers = (watcher.deadline for watcher in self._watchers)
        deadlines = [self._roster.deadline, self._telling.deadline, *of_watchers]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _forget_the_silent(self, time: int) -> None:
        """Forget, now and then, which panes came last of models that were not heard of for long."""
        keep = self._settings.limits.keep_ms
        if time // keep > self._forgot:
            self._forgot = time // keep
            self._merger.forget(time - keep)
            self._outcomes.forget_sent(time - keep)

    def _tell(self, changed: Sequence[Incident]) -> None:
        self._outcomes.note(changed)
        self._telling.note(changed)

    def _put_together(self, time: int) -> None:
        self._telling.put_together(time, weighed=self._outcomes.weighed_windows())

    def _take(self, piece: Slice) -> None:
        if piece.model == STREAM:
            self._tells_of_models = True
            for watcher in self._of_stream:
                self._tell(watcher.take(piece, {}))
            return
        if is_census(piece.model):
            self._count(piece, piece.end)
            return
        admitted = self._admit(piece, piece.end)
        self._tell(self._roster.take(piece, admitted.groups, admitted.unwatched))
        if events := admitted.events:
            for watcher in self._of_models:
                self._tell(watcher.take(piece, events))

    def _supplement(self, piece: Slice) -> None:
        """Take in what came for a slice that was taken before: it counts in the windows that are still open.

        What is beyond limits counts now, in the windows in which that is told next.
        """
        mark, whole = self._merger.mark, True
        watchers, events = self._of_stream, Admitted({}).events
        if is_census(piece.model):
            self._count(piece, mark + 1)
            return
        if piece.model != STREAM:
            admitted = self._admit(piece, mark + 1)
            whole = self._roster.supplement(piece, admitted.groups, mark, admitted.unwatched)
            events = admitted.events
            watchers = self._of_models if events else ()
        self._late += not whole
        for watcher in watchers:
            self._tell(watcher.supplement(piece, events, mark))

    def _count(self, census: Slice, at: int) -> None:
        """Hear which models there are, of all partitions; what is beyond the limit counts at this time."""
        gone = self._admission.count(census, at, tell=self._tells_of_models)
        subjects = [subject for subject in self._roster.subjects if subject.model in gone] if gone else []
        self._let_go(subjects, gone)

    def _admit(self, piece: Slice, at: int) -> Admitted:
        """Return what is watched of a slice; those whose places it takes are let go. See `_count`."""
        admitted = self._admission.admit(piece, at)
        self._let_go(admitted.driven_out(self._roster.subjects), admitted.models)
        return admitted

    def _let_go(self, subjects: Sequence[Subject], models: Collection[str]) -> None:
        """Forget subjects and models whose places others have now."""
        if not (subjects or models):
            return
        self._tell([*self._roster.let_go(subjects), *self._outcomes.forget(subjects, models)])
        for subject in subjects:
            self._admission.forget(subject)
        for model in models:
            self._rules.pop(model, None)
        for watcher in self._of_models:
            self._tell(watcher.forget(subjects, models, self._merger.mark))

    def _obey(self, command: Command) -> None:
        if isinstance(command, Resolve):
            self._telling.obey(command, self._merger.mark)
            return
        if isinstance(command, Rebase):
            self._tell(self._roster.obey(command))
        for watcher in self._watchers:
            self._tell(watcher.obey(command, self._merger.mark))

    def _pace(self, model: str) -> Usual | None:
        """Return how often events of a model usually come: as learned, else by the reference of its newest version."""
        learned = (watcher.pace(model) for watcher in self._of_models)
        return next((pace for pace in learned if pace is not None), None) or self._roster.pace(model)

    def _model_rules(self, model: str) -> ModelRules:
        if model not in self._rules:
            self._rules[model] = self._settings.rules(model)
        return self._rules[model]

    def emit(self) -> list[Told]:
        """Take out the changes that are to be told, in order."""
        return self._telling.emit()

    @property
    def mark(self) -> int:
        """All slices that end at or before this event time were judged."""
        return self._merger.mark

    @property
    def counters(self) -> PaneCounters:
        """What became of the records."""
        counters = self._merger.counters
        return PaneCounters(
            panes=counters.records + self._unreadable,
            repeated=counters.repeated,
            supplements=counters.supplements,
            late=self._late,
            unreadable=self._unreadable,
            windows=self._roster.windows,
        )

    @property
    def events(self) -> dict[str, int]:
        """Events that are watched, and what came beyond each limit. See `Admission`."""
        return {"watched": self._admission.watched, **self._admission.unwatched}

    def open_incidents(self) -> Counter[tuple[str, Kind]]:
        """Count what fires, by model ("" is the stream itself) and kind."""
        return self._telling.open_incidents()

    def _found(self) -> Iterator[Incident]:
        """Yield what is open for those who judge."""
        for judge in self._roster.subjects.values():
            yield from judge.following.open.values()
        for watcher in self._watchers:
            yield from watcher.open
        yield from self._outcomes.open

    def view(self) -> JudgeView:
        """Return what it tells the world: of many subjects the signals with the most evidence."""
        subjects, sources, tell = self._roster.subjects, self._merger.sources, self._telling
        shown = max(MAX_SHOWN // max(len(subjects), 1), 1)
        open_as: dict[str, list[Incident]] = {"silences": [], "traffic": []}
        for watcher in self._of_models:
            open_as[watcher.SHOWN_AS] += watcher.open
        return JudgeView(
            mark=self._merger.mark,
            counters=self.counters,
            sources={str(number): SourceView(sources[number].time, sources[number].idle) for number in sorted(sources)},
            subjects=[
                subject_view(subjects[each], shown, tell.views(subjects[each].following.open.values()))
                for each in sorted(subjects)
            ],
            events=self.events,
            silences=tell.views(open_as["silences"]),
            stream=tell.views_of_stream(each for watcher in self._of_stream for each in watcher.open),
            traffic=tell.views(open_as["traffic"]),
            performance=tell.views(self._outcomes.open),
            outcomes=self._outcomes.view(),
        )

    def shown(self) -> list[Shown]:
        """Return the window that was judged last of each model and version, beside its reference."""
        return self._roster.shown()

    def performances(self) -> list[PerformanceView]:
        """Return how well each version and segment works, of models whose labels are awaited."""
        return self._outcomes.performances()

    @property
    def river(self) -> tuple[str, str]:
        """The releases of river that fed the detectors before the last checkpoint ("" if unknown), and that do now."""
        return self._river, RIVER

    @property
    def detectors(self) -> int:
        """How many online detectors there are."""
        return sum(judge.detectors for judge in self._roster.subjects.values())

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        merger, writes = self._merger.checkpoint()
        admission, places = self._admission.checkpoint()
        roster, subjects = self._roster.checkpoint()
        writes.update(places)
        writes.update(subjects)
        for watcher in self._watchers:
            writes.update(watcher.checkpoint())
        writes.update(self._telling.checkpoint())
        writes.update(self._outcomes.checkpoint())
        state = [merger, admission, roster, [self._unreadable, self._late], self._tells_of_models]
        writes["task"] = pack("judge", VERSION, state, {})
        if self._river != RIVER:
            writes[DETECTORS] = pack(DETECTORS, DETECTORS_VERSION, RIVER, {})
            self._river = RIVER
        writes[JudgeView.NAME] = msgspec.json.encode(self.view())
        return writes

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`."""
        if not blobs:
            return
        with corrupt_if_it_fails("judge"):
            state = msgspec.convert(unpack(blobs["task"], "judge", (VERSION,)).value, _Stored)
            merger, admission, roster, (self._unreadable, self._late), self._tells_of_models = state
            self._river = msgspec.convert(unpack(blobs[DETECTORS], DETECTORS, (DETECTORS_VERSION,)).value, str)
            self._merger.restore(merger, blobs)
            self._roster.restore(roster, blobs)
            self._admission.restore(
                admission, blobs, {subject: judge.heard for subject, judge in self._roster.subjects.items()}
            )
            for watcher in self._watchers:
                watcher.restore(blobs)
            self._telling.restore(blobs)
            ended = self._outcomes.restore(blobs)
            for found in self._found():
                defined(found.kind)
            self._tell(ended)
            self._put_together(self._merger.mark)


_Stored = tuple[Any, Any, Any, tuple[Count, Count], bool]
