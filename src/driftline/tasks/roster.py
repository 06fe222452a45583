"""The roster: every version and segment that a task of Judge watches, when its windows end, and what it takes to learn.

Subjects are judged in the order of their names, and only after all of a slice was handed out: so neither the order of
arrival nor that of a dictionary can show.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from driftline.codec import Count, corrupt, pack, unpack
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Incident, Status, Subject, digest
from driftline.panes.merging import Slice
from driftline.panes.records import Group, Rebase
from driftline.sketches.group import GroupSketch
from driftline.tasks.levels import name_change
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.pace import Usual, usual_pace
from driftline.tasks.subjects.reference_choice import References
from driftline.tasks.subjects.reference_learning import MIN_SLICES, Packed
from driftline.tasks.subjects.shown import Shown, show
from driftline.tasks.subjects.stored import SUBJECT_VERSION, StoredSubject
from driftline.tasks.subjects.subject import SubjectJudge

MAX_LEARNING = 512 << 20
"""Bytes of slices from which references are being learned. A busy model's of a day are 6 MB."""


class Roster:
    """See the module's head.

    Args:
        rules: how each model is judged.
    """

    def __init__(self, rules: Callable[[str], ModelRules]) -> None:
        self.subjects: dict[Subject, SubjectJudge] = {}
        self.windows = 0
        """Times at which a subject was judged."""
        self._rules = rules
        self._references = References(self.subjects)
        self._deadlines: list[tuple[int, str, str, str]] = []
        self._scheduled: dict[Subject, int] = {}
        self._ranks: dict[tuple[str, str], int] = {}
        """How many segments of each version there were so far."""
        self._paces: dict[str, Usual] = {}
        """By reference."""
        self._touched: set[Subject] = set()
        self._forgotten: list[str] = []
        """Blobs of subjects that were let go since the last checkpoint."""
        self._learning = 0
        """Bytes of all slices from which references are being learned."""

    def take(
        self, piece: Slice, groups: Mapping[Group, GroupSketch], unwatched: Collection[str] = ()
    ) -> list[Incident]:
        """Take in what is watched of a slice. Returns the incidents that closed: their reference is another one.

        `unwatched` are signals that came and are not in the groups, for there is no place for them.
        """
        learned: list[tuple[SubjectJudge, Reference]] = []
        for group, summary in groups.items():
            judge = self._heard_of(piece, group)
            reference = self._learn(judge, piece, summary, unwatched)
            if reference is not None:
                learned.append((judge, reference))
            self._schedule(judge)
        closed: list[Incident] = []
        for judge, reference in reversed(learned):  # segments first: one that learned its own needs not borrow
            closed += self._references.learned(judge, reference, piece.end)
        return closed

    def supplement(
        self, piece: Slice, groups: Mapping[Group, GroupSketch], mark: int, unwatched: Collection[str] = ()
    ) -> bool:
        """Take in what came for a slice that was taken before. Returns False where a window of it was judged."""
        whole = True
        for group, summary in groups.items():
            judge = self._heard_of(piece, group)
            before = judge.learner.bytes
            whole &= judge.supplement(piece.start, piece.end, summary, mark, unwatched)
            self._learning += judge.learner.bytes - before
            self._schedule(judge)
        return whole

    def _heard_of(self, piece: Slice, group: Group) -> SubjectJudge:
        """Return who judges a group of this slice."""
        subject = Subject(piece.model, group.version, group.segment)
        self._touched.add(subject)
        return self.subjects.get(subject) or self._begin(subject, piece.start)

    def _begin(self, subject: Subject, start: int) -> SubjectJudge:
        rank = None
        if subject.segment:
            key = (subject.model, subject.version)
            rank = self._ranks[key] = self._ranks.get(key, 0) + 1
        rules = self._rules(subject.model)
        judge = self.subjects[subject] = SubjectJudge(subject, rules, rank)
        self._references.begin(judge, rules, start)
        return judge

    def _learn(
        self, judge: SubjectJudge, piece: Slice, summary: GroupSketch, unwatched: Collection[str]
    ) -> Reference | None:
        """Give a subject its slice. If references that are being learned take too much, those that take most take less.

        Returns the reference that this slice completed.
        """
        before = judge.learner.bytes
        reference = judge.take(piece.start, piece.end, summary, unwatched)
        self._learning += judge.learner.bytes - before
        while self._learning > MAX_LEARNING:
            large = [other for other in self.subjects.values() if len(other.learner.slices) > MIN_SLICES]
            if not large:
                break
            most = max(large, key=lambda other: (other.learner.bytes, other.subject))
            before = most.learner.bytes
            most.learner.join_slices()
            self._learning += most.learner.bytes - before
            self._touched.add(most.subject)
        return reference

    def _schedule(self, judge: SubjectJudge) -> None:
        """Note when a subject's next window ends. A time that was noted before stays, and finds nothing to do."""
        deadline, subject = judge.deadline, judge.subject
        if deadline is not None and self._scheduled.get(subject) != deadline:
            self._scheduled[subject] = deadline
            heapq.heappush(self._deadlines, (deadline, *_parts(subject)))

    @property
    def deadline(self) -> int | None:
        """The end of the window that ends next."""
        return self._deadlines[0][0] if self._deadlines else None

    def close(self, time: int) -> list[Incident]:
        """Judge the windows that end now. Returns the incidents that changed."""
        changed: list[Incident] = []
        for subject in self._due(time):
            judge = self.subjects[subject]
            self.windows += 1
            self._touched.add(subject)
            changed.extend(judge.close(time))
            self._schedule(judge)
        return [self._named(incident) if incident.status is Status.FIRING else incident for incident in changed]

    def _named(self, incident: Incident) -> Incident:
        """Say which level changed, after all windows that end now were judged."""
        judge = self.subjects[incident.subject]
        named = name_change(incident, judge, self._segments(incident.subject))
        is_open = judge.following.open.get(incident.kind) is incident  # another window may have ended it
        return judge.following.hold(named) if is_open else named

    def _due(self, time: int) -> list[Subject]:
        """Return the subjects that have windows which end now, in order of their names."""
        found = set()
        while self._deadlines and self._deadlines[0][0] <= time:
            _, model, version, segment = heapq.heappop(self._deadlines)
            subject = Subject(model, version, segment)
            judge = self.subjects.get(subject)
            deadline = judge.deadline if judge is not None else None
            if deadline is not None and deadline <= time:  # else its windows went with its reference, or with it
                found.add(subject)
        return sorted(found)

    def _segments(self, subject: Subject) -> list[SubjectJudge]:
        """Return the segments of the same model and version that are compared with a reference."""
        same = [other for other in self.subjects if other.segment and other.model == subject.model]
        found = [self.subjects[other] for other in sorted(same) if other.version == subject.version]
        return [judge for judge in found if judge.watched is not None]

    def segments(self, subject: Subject) -> list[str]:
        """Return which segments of a model and version are compared with a reference."""
        return [judge.subject.segment for judge in self._segments(subject)]

    def pace(self, model: str) -> Usual | None:
        """Return how often events of a model came, by the reference of its newest version."""
        newest = max(
            (
                (judge.heard, subject.version, judge.watched.reference)
                for subject, judge in self.subjects.items()
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

    def obey(self, command: Rebase) -> list[Incident]:
        """Do as a person asked. Returns the incidents that this closes. Raises `StateCorrupt` if it cannot be done."""
        closed = self._references.obey(command)
        self._learning = sum(judge.learner.bytes for judge in self.subjects.values())
        return closed

    def close_all_but(self, model: str, answering: Collection[str]) -> list[Incident]:
        """Close what fires about a model's versions that answer nothing any more."""
        closed: list[Incident] = []
        for subject, judge in sorted(self.subjects.items()):
            if subject.model == model and subject.version not in answering and judge.following.open:
                closed += judge.following.close_all(judge.last_window, "another version answers now")
                self._touched.add(subject)
        return closed

    def let_go(self, subjects: Iterable[Subject]) -> list[Incident]:
        """Forget subjects whose places others have now. Returns the incidents that this closes."""
        closed: list[Incident] = []
        left = set()
        for subject in subjects:
            judge = self.subjects.pop(subject)
            self._learning -= judge.learner.bytes
            closed += judge.following.close_all(
                judge.last_window, "it was silent for so long that others took its place"
            )
            self._references.forget(subject)
            self._touched.discard(subject)
            self._scheduled.pop(subject, None)
            name = digest(*_parts(subject))
            slices = judge.learner.changed | judge.learner.slices.keys()
            self._forgotten += [f"subject/{name}", *(f"slice/{name}/{start}" for start in sorted(slices))]
            left.add((subject.model, subject.version))
        for model, version in left:
            if not any((other.model, other.version) == (model, version) for other in self.subjects):
                self._ranks.pop((model, version), None)
        return closed

    def shown(self) -> list[Shown]:
        """Return the window that was judged last of each model and version, beside its reference."""
        found = []
        for subject in sorted(self.subjects):
            judge = self.subjects[subject]
            if not subject.segment and judge.watched is not None and judge.last is not None:
                found.append(show(subject, judge.watched, judge.last, judge.path))
        return found

    def checkpoint(self) -> tuple[Any, dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        writes: dict[str, bytes | None] = dict.fromkeys(self._forgotten)
        self._forgotten = []
        for subject in sorted(self._touched | self._references.touched):
            judge = self.subjects[subject]
            name = digest(*_parts(subject))
            value, arrays = judge.snapshot()
            writes[f"subject/{name}"] = pack("subject", SUBJECT_VERSION, value, arrays)
            for start in sorted(judge.learner.changed):
                held = judge.learner.slices.get(start)
                writes[f"slice/{name}/{start}"] = None if held is None else held.data
            judge.learner.changed.clear()
        self._touched.clear()
        self._references.touched.clear()
        writes.update(self._references.checkpoint())
        return [self.windows, [[*key, rank] for key, rank in self._ranks.items()]], writes

    def restore(self, described: Any, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        self.windows, ranks = msgspec.convert(described, tuple[Count, list[tuple[str, str, Count]]])
        self._ranks = {(model, version): rank for model, version, rank in ranks}
        for name in sorted(blobs):
            if name.startswith("subject/"):
                self._restore(name.removeprefix("subject/"), blobs)

    def _restore(self, name: str, blobs: Mapping[str, bytes]) -> None:
        found = unpack(blobs[f"subject/{name}"], "subject", (SUBJECT_VERSION,))
        value = msgspec.convert(found.value, StoredSubject)
        subject = value.subject
        if name != digest(*_parts(subject)):
            raise corrupt("subject", f"it is stored in the place of another than {str(subject)[:80]}")
        rules = self._rules(subject.model)
        judge = self.subjects[subject] = SubjectJudge(subject, rules, value.rank)
        self._references.restore(judge, rules, value, found.arrays, blobs)
        for start in value.slices:
            judge.learner.put(start, Packed.read(blobs[f"slice/{name}/{start}"]))
        judge.learner.changed.clear()
        self._learning += judge.learner.bytes
        self._schedule(judge)


def _parts(subject: Subject) -> tuple[str, str, str]:
    return subject.model, subject.version, subject.segment
