"""Judge: the panes of one partition of the panes topic, in offset order, to incidents and alerts.

A pure function of (state, records) like Summarise. Slices of event time come out of the merger complete and in order;
each goes to the subjects that it is about, and then the windows that end at that time are judged, in order of their
names. So the same panes give the same alerts, whatever the sources' pace and wherever the task was restarted.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from driftline.codec import Count, corrupt, corrupt_if_it_fails, pack, unpack
from driftline.errors import StateCorrupt, StateOtherRelease
from driftline.evidence.detectors import RIVER
from driftline.evidence.reference import Reference
from driftline.incidents.alerts import Alert, alert_of
from driftline.incidents.incident import Incident, Kind, Status, Subject, digest
from driftline.panes.census import is_census
from driftline.panes.merging import PaneMerger, Slice
from driftline.panes.records import Group, PaneRecord, Rebase, Skip, Watermark, decode_command
from driftline.sketches.group import GroupSketch
from driftline.tasks.admission import Admission, Admitted
from driftline.tasks.capacity import Capacity
from driftline.tasks.levels import name_change
from driftline.tasks.model_rules import JudgeSettings, ModelRules
from driftline.tasks.reference_choice import References
from driftline.tasks.reference_learning import MIN_SLICES, Packed
from driftline.tasks.releases import Releases
from driftline.tasks.shown import Shown, show
from driftline.tasks.silence import Silences, Usual, usual_pace
from driftline.tasks.skips import Skips
from driftline.tasks.stored import StoredSubject
from driftline.tasks.stream import StreamJudge
from driftline.tasks.subjects import SubjectJudge
from driftline.tasks.summarise import STREAM
from driftline.tasks.viewing import incident_view, subject_view
from driftline.tasks.views import JudgeView, PaneCounters, SourceView
from driftline.tasks.volume import VolumeJudge, Volumes

VERSION = 1
SUBJECT_VERSION = 1
MAX_SHOWN = 20_000
"""Signals that `status` shows of one task: some 6 MB, written with each checkpoint."""
MAX_LEARNING = 512 << 20
"""Bytes of slices from which references are being learned. A busy model's of a day are 6 MB."""
DETECTORS = "detectors"
"""The blob that says which release of river fed the detectors."""
DETECTORS_VERSION = 1


@dataclass(frozen=True, slots=True)
class Told:
    """An incident that changed, as it was then, and the alert to publish: its key is the incident's fingerprint."""

    incident: Incident
    alert: Alert

    @property
    def key(self) -> bytes:
        """The key of the record to publish."""
        return self.alert.key

    @property
    def value(self) -> bytes:
        """The value of the record to publish."""
        return self.alert.encode()


class Judge:
    """The task of one partition of the panes topic. See the module's head."""

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._merger = PaneMerger(settings.topics)
        self._capacity = Capacity(settings.group, self._window_of)
        self._stream = StreamJudge(
            settings.group, settings.stream_window_ms, settings.dead_letter_share, self._capacity
        )
        self._admission = Admission(settings.limits, self._capacity)
        self._tells_of_models = False
        """Whether the panes of the stream itself come to this task, so that it says which models are beyond."""
        self._skips = Skips(settings.group, settings.stream_window_ms)
        self._subjects: dict[Subject, SubjectJudge] = {}
        self._silences = Silences(self._model_rules)
        self._deadlines: list[tuple[int, str, str, str]] = []
        self._scheduled: dict[Subject, int] = {}
        self._volumes = Volumes(self._model_rules)
        self._releases = Releases(self._model_rules)
        self._paces: dict[str, Usual] = {}
        """By reference."""
        self._rules: dict[str, ModelRules] = {}
        self._references = References(self._subjects)
        self._ranks: dict[tuple[str, str], int] = {}
        self._alerts: list[Told] = []
        self._touched: set[Subject] = set()
        self._forgotten: list[str] = []
        """Blobs of subjects that were let go since the last checkpoint."""
        self._unreadable = 0
        self._late = 0
        self._windows = 0
        self._forgot = 0
        self._learning = 0
        """Bytes of all slices from which references are being learned."""
        self._river = ""
        """The release of river that the last checkpoint names."""

    def process(self, values: Sequence[bytes | PaneRecord | Watermark | None]) -> list[tuple[int, str]]:
        """Take in records in offset order. Returns (position, reason) of those that cannot be read.

        Where both stages are one process, what Summarise made comes as it is, and needs not be written to be read.
        Raises `StateOtherRelease` for one that a later release wrote, which counts: nothing behind it may be judged
        without it.
        """
        unreadable = []
        for at, value in enumerate(values):
            try:
                record = b"" if value is None else value
                command = decode_command(record) if isinstance(record, bytes) else None
                if command is not None:
                    self._obey(command)
                elif self._merger.take(record):
                    self._advance()
                for piece in self._merger.overdue():
                    self._supplement(piece)
            except StateOtherRelease:
                raise
            except StateCorrupt as error:
                self._unreadable += 1
                unreadable.append((at, str(error)))
        return unreadable

    def input_ends(self, newest: int) -> None:
        """Say that there is nothing after the newest event, and no clock that would tell how long nothing came.

        A table ends so, a stream never does. Call it ahead of the panes that the end cut off.
        """
        self._volumes.input_end = newest

    def _advance(self) -> None:
        for time, slices in self._merger.advance(self._next_deadline):
            self._forget_the_silent(time)
            for piece in slices:
                self._take(piece)
            certain = [*self._stream.close(time), *self._capacity.close(time), *self._skips.close(time)]
            changed: list[Incident] = []
            for subject in self._due(time):
                judge = self._subjects[subject]
                self._windows += 1
                self._touched.add(subject)
                changed.extend(judge.close(time))
                self._schedule(judge)
            for incident in changed:
                if incident.status is Status.FIRING:
                    name_change(incident, self._subjects[incident.subject], self._segments(incident.subject))
            changed.extend(self._silences.close(time, all_idle=self._merger.all_idle))
            self._tell([*certain, *changed])

    def _forget_the_silent(self, time: int) -> None:
        """Forget, now and then, which panes came last of models that were not heard of for long."""
        keep = self._settings.limits.keep_ms
        if time // keep > self._forgot:
            self._forgot = time // keep
            self._merger.forget(time - keep)

    def _hear(self, piece: Slice) -> None:
        """Note that a model that is watched spoke: a silence that was told is over."""
        self._tell(self._silences.hear(piece.model, piece.end, self._pace(piece.model)))

    def _pace(self, model: str) -> Usual | None:
        """Return how often events of a model usually come: as learned, else by the reference of its newest version."""
        volume = self._volumes.judges.get(model)
        if volume is not None and volume.pace is not None:
            return volume.pace
        newest = max(
            (
                (judge.heard, subject.version, judge.watched.reference)
                for subject, judge in self._subjects.items()
                if subject.model == model and not subject.segment and judge.watched is not None
            ),
            key=lambda found: found[:2],
            default=None,
        )
        if newest is None:
            return None
        reference = newest[2]
        if reference.address not in self._paces:
            known = reference.learned or reference.complete
            self._paces[reference.address] = usual_pace(reference.totals, complete=known)
        return self._paces[reference.address]

    def _volume_of(self, piece: Slice, versions: Mapping[str, int]) -> VolumeJudge:
        """Return who judges how many events a model has; after a silence that was told it begins with this slice."""
        volume = self._volumes.of(piece.model, min(versions))
        if self._silences.was_told(piece.model):
            volume.forget_silence(piece.start)
        return volume

    def _segments(self, subject: Subject) -> list[SubjectJudge]:
        """Return the segments of the same model and version that are compared with a reference."""
        same = [other for other in self._subjects if other.segment and other.model == subject.model]
        found = [self._subjects[other] for other in sorted(same) if other.version == subject.version]
        return [judge for judge in found if judge.watched is not None]

    def _tell(self, changed: Sequence[Incident]) -> None:
        for incident in changed:
            copy = msgspec.json.decode(msgspec.json.encode(incident), type=Incident)
            self._alerts.append(Told(copy, alert_of(copy, group=self._settings.group)))

    def _schedule(self, judge: SubjectJudge) -> None:
        """Note when a subject's next window ends. A time that was noted before stays, and finds nothing to do."""
        deadline, subject = judge.deadline, judge.subject
        if deadline is not None and self._scheduled.get(subject) != deadline:
            self._scheduled[subject] = deadline
            heapq.heappush(self._deadlines, (deadline, *subject_parts(subject)))

    def _due(self, time: int) -> list[Subject]:
        """Return the subjects that have windows which end now, in order of their names."""
        found = set()
        while self._deadlines and self._deadlines[0][0] <= time:
            _, model, version, segment = heapq.heappop(self._deadlines)
            subject = Subject(model, version, segment)
            judge = self._subjects.get(subject)
            deadline = judge.deadline if judge is not None else None
            if deadline is not None and deadline <= time:  # else its windows went with its reference, or with it
                found.add(subject)
        return sorted(found)

    def _next_deadline(self) -> int | None:
        first = self._deadlines[0][0] if self._deadlines else None
        of_all = self._stream.deadline, self._capacity.deadline, self._skips.deadline, self._silences.deadline
        deadlines = [*of_all, first]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _take(self, piece: Slice) -> None:
        if piece.model == STREAM:
            self._tells_of_models = True
            for summary in piece.groups.values():
                self._stream.take(piece.start, piece.end, summary)
            return
        if is_census(piece.model):
            self._count(piece, piece.end)
            return
        admitted = self._admit(piece, piece.end)
        learned: list[tuple[SubjectJudge, Reference]] = []
        for group, summary in admitted.groups.items():
            judge = self._heard_of(piece, group)
            reference = self._learn(judge, piece, summary)
            if reference is not None:
                learned.append((judge, reference))
            self._schedule(judge)
        for judge, reference in reversed(learned):  # segments first: one that learned its own needs not borrow
            self._tell(self._references.learned(judge, reference, piece.end))
        if versions := admitted.events:
            self._tell(self._releases.take(piece.model, piece.start, piece.end, versions))
            self._tell(self._volume_of(piece, versions).take(piece.start, piece.end, sum(versions.values())))
            self._hear(piece)

    def _count(self, census: Slice, at: int) -> None:
        """Hear which models there are, of all partitions; what is beyond the limit counts at this time."""
        gone = self._admission.count(census, at, tell=self._tells_of_models)
        self._let_go([subject for subject in self._subjects if subject.model in gone] if gone else [], gone)

    def _admit(self, piece: Slice, at: int) -> Admitted:
        """Return what is watched of a slice; those whose places it takes are let go. See `_count`."""
        admitted = self._admission.admit(piece, at)
        self._let_go(admitted.driven_out(self._subjects), admitted.models)
        return admitted

    def _heard_of(self, piece: Slice, group: Group) -> SubjectJudge:
        """Return who judges a group of this slice."""
        subject = Subject(piece.model, group.version, group.segment)
        self._touched.add(subject)
        return self._subjects.get(subject) or self._begin(subject, piece.start)

    def _supplement(self, piece: Slice) -> None:
        """Take in what came for a slice that was taken before: it counts in the windows that are still open.

        What is beyond limits counts now, in the windows in which that is told next.
        """
        mark, taken = self._merger.mark, True
        if is_census(piece.model):
            self._count(piece, mark + 1)
        elif piece.model == STREAM:
            for summary in piece.groups.values():
                taken &= self._stream.supplement(piece.start, piece.end, summary, mark)
        else:
            admitted = self._admit(piece, mark + 1)
            for group, summary in admitted.groups.items():
                judge = self._heard_of(piece, group)
                before = judge.learner.bytes
                taken &= judge.supplement(piece.start, piece.end, summary, mark)
                self._learning += judge.learner.bytes - before
                self._schedule(judge)
            if versions := admitted.events:
                self._volume_of(piece, versions).supplement(piece.start, piece.end, sum(versions.values()))
                self._hear(piece)
        self._late += not taken

    def _learn(self, judge: SubjectJudge, piece: Slice, summary: GroupSketch) -> Reference | None:
        """Give a subject its slice. If references that are being learned take too much, those that take most take less.

        Returns the reference that this slice completed.
        """
        before = judge.learner.bytes
        reference = judge.take(piece.start, piece.end, summary)
        self._learning += judge.learner.bytes - before
        while self._learning > MAX_LEARNING:
            large = [other for other in self._subjects.values() if len(other.learner.slices) > MIN_SLICES]
            if not large:
                break
            most = max(large, key=lambda other: (other.learner.bytes, other.subject))
            before = most.learner.bytes
            most.learner.join_slices()
            self._learning += most.learner.bytes - before
            self._touched.add(most.subject)
        return reference

    def _let_go(self, subjects: Sequence[Subject], models: Collection[str]) -> None:
        """Forget subjects and models whose places others have now."""
        for subject in subjects:
            judge = self._subjects.pop(subject)
            self._learning -= judge.learner.bytes
            self._tell(
                judge.following.close_all(
                    judge.last_window, "others have its place now, for it was not heard of for long"
                )
            )
            self._admission.forget(subject)
            self._references.forget(subject)
            self._touched.discard(subject)
            self._scheduled.pop(subject, None)
            name = digest(*subject_parts(subject))
            slices = judge.learner.changed | judge.learner.slices.keys()
            self._forgotten += [f"subject/{name}", *(f"slice/{name}/{start}" for start in sorted(slices))]
        for model, version in {(subject.model, subject.version) for subject in subjects}:
            if not any((other.model, other.version) == (model, version) for other in self._subjects):
                self._ranks.pop((model, version), None)
        for model in sorted(models):
            self._rules.pop(model, None)
            self._releases.forget(model)
            self._tell(self._volumes.forget(model))
            self._tell(self._silences.forget(model, self._merger.mark) if model in self._silences else [])
        for model in sorted({subject.model for subject in subjects}):
            self._compare_pace(model)

    def _begin(self, subject: Subject, start: int) -> SubjectJudge:
        rank = None
        if subject.segment:
            key = (subject.model, subject.version)
            rank = self._ranks[key] = self._ranks.get(key, 0) + 1
        rules = self._model_rules(subject.model)
        judge = self._subjects[subject] = SubjectJudge(subject, rules, rank)
        self._references.begin(judge, rules, start)
        return judge

    def _obey(self, command: Rebase | Skip) -> None:
        if isinstance(command, Skip):
            self._tell(self._skips.take(command, self._merger.mark))
            return
        self._tell([*self._references.obey(command), *self._volumes.obey(command)])
        self._learning = sum(judge.learner.bytes for judge in self._subjects.values())
        self._compare_pace(command.model)

    def _compare_pace(self, model: str) -> None:
        """Take what is usual for a model anew."""
        if model in self._silences:
            self._silences.compare(model, self._pace(model))

    def _window_of(self, model: str) -> int:
        """Return the length of the windows in which it is told what is beyond limits: of a model, or of the stream."""
        return self._model_rules(model).windows[0][0] if model else self._settings.stream_window_ms

    def _model_rules(self, model: str) -> ModelRules:
        if model not in self._rules:
            self._rules[model] = self._settings.rules(model)
        return self._rules[model]

    def emit(self) -> list[Told]:
        """Take out the changes that are to be told, in order."""
        alerts, self._alerts = self._alerts, []
        return alerts

    @property
    def mark(self) -> int:
        """All slices that end at or before this event time were judged."""
        return self._merger.mark

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        merger, writes = self._merger.checkpoint()
        admission, places = self._admission.checkpoint()
        writes.update(places)
        writes.update(dict.fromkeys(self._forgotten))
        self._forgotten = []
        for subject in sorted(self._touched | self._references.touched):
            judge = self._subjects[subject]
            name = digest(*subject_parts(subject))
            value, arrays = judge.snapshot()
            writes[f"subject/{name}"] = pack("subject", SUBJECT_VERSION, value, arrays)
            for start in sorted(judge.learner.changed):
                held = judge.learner.slices.get(start)
                writes[f"slice/{name}/{start}"] = None if held is None else held.data
            judge.learner.changed.clear()
        self._touched.clear()
        self._references.touched.clear()
        writes.update(self._references.checkpoint())
        writes.update(self._skips.checkpoint())
        writes.update(self._volumes.checkpoint())
        ranks = [[*key, rank] for key, rank in self._ranks.items()]
        state = [
            merger,
            self._stream.snapshot(),
            self._silences.snapshot(),
            ranks,
            [self._unreadable, self._windows, self._late],
            admission,
            self._capacity.snapshot(),
            self._tells_of_models,
            sorted(self._volumes.judges),
            self._releases.snapshot(),
        ]
        writes["task"] = pack("judge", VERSION, state, {})
        if self._river != RIVER:
            writes[DETECTORS] = pack(DETECTORS, DETECTORS_VERSION, RIVER, {})
            self._river = RIVER
        writes[JudgeView.NAME] = msgspec.json.encode(self.view())
        return writes

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
            windows=self._windows,
        )

    @property
    def events(self) -> dict[str, int]:
        """Events that are watched, and what came beyond each limit. See `Admission`."""
        return {"watched": self._admission.watched, **self._admission.unwatched}

    def open_incidents(self) -> Counter[tuple[str, Kind]]:
        """Count what fires, by model ("" is the stream itself) and kind."""
        open_now = [incident for judge in self._subjects.values() for incident in judge.following.open.values()]
        open_now += [*self._certain(), *self._traffic()]
        open_now += (silence.incident for silence in self._silences.open.values())
        return Counter((incident.subject.model, incident.kind) for incident in open_now)

    def _certain(self) -> list[Incident]:
        letters = [self._stream.incident] if self._stream.incident is not None else []
        return [*letters, *self._capacity.incidents.values(), *self._skips.incidents]

    def _traffic(self) -> list[Incident]:
        """Return what is open about models as wholes: how many events they have, and which versions answer."""
        return [*self._volumes.open, *self._releases.open]

    def view(self) -> JudgeView:
        """Return what it tells the world: of many subjects the signals with the most evidence."""
        shown = max(MAX_SHOWN // max(len(self._subjects), 1), 1)
        sources = self._merger.sources
        return JudgeView(
            mark=self._merger.mark,
            counters=self.counters,
            sources={str(number): SourceView(sources[number].time, sources[number].idle) for number in sorted(sources)},
            subjects=[subject_view(self._subjects[subject], shown) for subject in sorted(self._subjects)],
            events=self.events,
            silences=[incident_view(silence.incident, model) for model, silence in self._silences.open.items()],
            stream=[incident_view(incident) for incident in self._certain()],
            traffic=[incident_view(incident, incident.subject.model) for incident in self._traffic()],
        )

    def shown(self) -> list[Shown]:
        """Return the window that was judged last of each model and version, beside its reference."""
        found = []
        for subject in sorted(self._subjects):
            judge = self._subjects[subject]
            if not subject.segment and judge.watched is not None and judge.last is not None:
                found.append(show(subject, judge.watched, judge.last))
        return found

    @property
    def river(self) -> tuple[str, str]:
        """The releases of river that fed the detectors before the last checkpoint ("" if unknown), and that do now."""
        return self._river, RIVER

    @property
    def detectors(self) -> int:
        """How many online detectors there are."""
        return sum(judge.detectors for judge in self._subjects.values())

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`."""
        if not blobs:
            return
        with corrupt_if_it_fails("judge"):
            state = msgspec.convert(unpack(blobs["task"], "judge", (VERSION,)).value, _Stored)
            merger, stream, silences, ranks, counts, admission, capacity, self._tells_of_models, *traffic = state
            self._unreadable, self._windows, self._late = counts
            self._merger.restore(merger, blobs)
            self._stream.restore(stream)
            self._capacity.restore(capacity)
            self._skips.restore(blobs)
            self._river = msgspec.convert(unpack(blobs[DETECTORS], DETECTORS, (DETECTORS_VERSION,)).value, str)
            self._ranks = {(model, version): rank for model, version, rank in ranks}
            for name in sorted(blobs):
                if name.startswith("subject/"):
                    self._restore_subject(name.removeprefix("subject/"), blobs)
            heard = {subject: judge.heard for subject, judge in self._subjects.items()}
            self._admission.restore(admission, blobs, heard)
            self._volumes.restore(traffic[0], blobs)
            self._releases.restore(traffic[1])
            for subject, judge in self._subjects.items():
                if not subject.segment:
                    self._silences.hear(subject.model, judge.heard, self._pace(subject.model))
            self._silences.restore(silences)
            for model in self._volumes.judges:  # one may be heard of though none of its versions has a place
                self._compare_pace(model)

    def _restore_subject(self, name: str, blobs: Mapping[str, bytes]) -> None:
        found = unpack(blobs[f"subject/{name}"], "subject", (SUBJECT_VERSION,))
        value = msgspec.convert(found.value, StoredSubject)
        subject = value.subject
        if name != digest(*subject_parts(subject)):
            raise corrupt("subject", f"it is stored in the place of another than {str(subject)[:80]}")
        rules = self._model_rules(subject.model)
        judge = self._subjects[subject] = SubjectJudge(subject, rules, value.rank)
        self._references.restore(judge, rules, value, found.arrays, blobs)
        for start in value.slices:
            judge.learner.put(start, Packed.read(blobs[f"slice/{name}/{start}"]))
        judge.learner.changed.clear()
        self._learning += judge.learner.bytes
        self._schedule(judge)


_Stored = tuple[Any, Any, Any, list[tuple[str, str, Count]], tuple[Count, Count, Count], Any, Any, bool, list[str], Any]


def subject_parts(subject: Subject) -> tuple[str, str, str]:
    """Return the three names of a subject."""
    return subject.model, subject.version, subject.segment
