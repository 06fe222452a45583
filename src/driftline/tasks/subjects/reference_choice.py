"""Which reference each subject of a Judge is compared with.

The first that there is:

    a person's command   ── until the configuration names another file
    a given file         ── of this version (`references`) or of any (`reference`), for this segment
    the version before's ── for a new version, where `new_version: compare`; never for its volume
    its own              ── learned from the stream; with `previous 7d`, renewed each period
    the model's          ── for a segment, while its own is being learned; never for its volume

All of it is a function of the panes log: a command is a record there. A reference is stored once, under its address,
for as long as a subject is compared with it.
"""

from collections.abc import Mapping
from typing import Any

from driftline.codec import corrupt
from driftline.errors import StateCorrupt
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Incident, Subject, digest
from driftline.panes.records import Rebase
from driftline.tasks.model_rules import LearnRule, ModelRules
from driftline.tasks.subjects.adoption import Adoption, Origin
from driftline.tasks.subjects.prepared_reference import PreparedReference
from driftline.tasks.subjects.stored import StoredSubject
from driftline.tasks.subjects.subject import SubjectJudge


class References:
    """See the module's head. What changes a reference returns the incidents that this closes.

    Args:
        subjects: all subjects of the Judge, which adds to them.
    """

    def __init__(self, subjects: Mapping[Subject, SubjectJudge]) -> None:
        self.touched: set[Subject] = set()
        """Subjects whose reference changed since the caller last cleared it."""
        self._subjects = subjects
        self._ready: dict[str, PreparedReference] = {}
        self._stored: set[str] = set()
        self._changed = False

    def begin(self, judge: SubjectJudge, rules: ModelRules, start: int) -> list[Incident]:
        """Choose for a subject that is first heard of at `start`."""
        subject = judge.subject
        given = rules.reference(subject.version, subject.segment)
        if given is not None:
            judge.learning, judge.given = False, given.address
            return self._adopt(judge, given, start, Origin.FILE)
        before = self._version_before(subject) if rules.new_version == "compare" else None
        if before is not None:
            judge.learning = False
            return self._adopt(judge, before, start, Origin.VERSION_BEFORE)
        whole = self._subjects.get(Subject(subject.model, subject.version, ""))
        if subject.segment and whole is not None and whole.watched is not None:
            return self._adopt(judge, whole.watched.reference, start, Origin.MODEL)
        return []

    def learned(self, judge: SubjectJudge, reference: Reference, at: int) -> list[Incident]:
        """Take over what a subject has learned."""
        return [*self._adopt(judge, reference, at, Origin.LEARNED), *self._lend(judge)]

    def obey(self, command: Rebase) -> list[Incident]:
        """Do as a person asked, from each subject's next slice on. A command counts once.

        Raises `StateCorrupt` where it cannot be done.
        """
        meant = [self._subjects[subject] for subject in sorted(self._subjects) if _means(command, subject)]
        if not meant:
            raise StateCorrupt(f"a command asks for another reference of {_named(command)}, which is unknown")
        reference = Reference.decode(command.reference) if command.reference else None
        asked = command_id(command)
        closed: list[Incident] = []
        for judge in meant:
            if any(adoption.command == asked for adoption in judge.history):
                continue
            judge.learner.forget()
            judge.learning = reference is None
            if command.learn is not None:
                judge.learner.rule = LearnRule(*command.learn)
            adoption = Adoption(
                at=judge.heard,
                origin=Origin.COMMAND if reference else Origin.LEARNING,
                reference=reference.address if reference else "",
                events=reference.events if reference else 0,
                command=asked,
                issued=command.issued,
                note=command.note,
            )
            closed += judge.adopt(self._prepared(reference) if reference else None, adoption)
            self._note(judge)
            closed += self._lend(judge)
        return closed

    def forget(self, subject: Subject) -> None:
        """Let go of a subject, and in the next checkpoint of what it alone was compared with."""
        self.touched.discard(subject)
        self._changed = True

    def _adopt(self, judge: SubjectJudge, reference: Reference, at: int, origin: Origin) -> list[Incident]:
        self._note(judge)
        adoption = Adoption(at, origin, reference.address, reference.events)
        return judge.adopt(self._prepared(reference), adoption)

    def _lend(self, model: SubjectJudge) -> list[Incident]:
        """Let the segments without a reference of their own borrow the model's."""
        closed: list[Incident] = []
        if model.subject.segment or model.watched is None:
            return closed
        for subject in sorted(self._subjects):
            judge = self._subjects[subject]
            same = (subject.model, subject.version) == (model.subject.model, model.subject.version)
            if same and subject.segment and judge.origin in (Origin.LEARNING, Origin.MODEL):
                closed += self._adopt(judge, model.watched.reference, model.history[-1].at, Origin.MODEL)
        return closed

    def _version_before(self, subject: Subject) -> Reference | None:
        """Return the reference of the version of this model and segment that spoke last."""
        versions = [
            (judge.heard, other.version, judge.watched.reference)
            for other, judge in self._subjects.items()
            if (other.model, other.segment) == (subject.model, subject.segment) and judge.watched is not None
        ]
        return max(versions, key=lambda version: version[:2])[2] if versions else None

    def _note(self, judge: SubjectJudge) -> None:
        self.touched.add(judge.subject)
        self._changed = True

    def _prepared(self, reference: Reference) -> PreparedReference:
        """Return a reference made ready: that costs milliseconds, so all subjects that it serves share it."""
        address = reference.address
        if address not in self._ready:
            self._ready[address] = PreparedReference.of(reference)
        return self._ready[address]

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs to write, and let go of the references that nothing is compared with any more."""
        if not self._changed:
            return {}
        wanted = {judge.watched.reference.address for judge in self._subjects.values() if judge.watched is not None}
        writes: dict[str, bytes | None] = {_blob(address): None for address in sorted(self._stored - wanted)}
        for address in sorted(wanted - self._stored):
            writes[_blob(address)] = self._ready[address].reference.encode()
        self._ready = {address: watched for address, watched in self._ready.items() if address in wanted}
        self._stored, self._changed = wanted, False
        return writes

    def restore(
        self,
        judge: SubjectJudge,
        rules: ModelRules,
        value: StoredSubject,
        arrays: Mapping[str, Any],
        blobs: Mapping[str, bytes],
    ) -> None:
        """Take up a subject's snapshot with its reference, or with the file that the configuration now names."""
        address, overruled = value.reference, value.given
        given = rules.reference(judge.subject.version, judge.subject.segment)
        if given is not None and given.address not in (address, overruled):
            judge.restore(value, arrays, self._prepared(given))
            judge.learner.forget()
            judge.learning, judge.given = False, given.address
            judge.history.append(Adoption(judge.heard, Origin.FILE, given.address, given.events))
            self.touched.add(judge.subject)
        elif not address:
            judge.restore(value, arrays, None)
        elif given is not None and given.address == address:
            judge.restore(value, arrays, self._prepared(given))
        else:
            judge.restore(value, arrays, self._prepared(_stored(address, blobs)))
        self._stored = {name.removeprefix(_blob("")) for name in blobs if name.startswith(_blob(""))}
        self._changed = True


def _stored(address: str, blobs: Mapping[str, bytes]) -> Reference:
    blob = blobs.get(_blob(address))
    if blob is None:
        raise StateCorrupt(f"a subject is compared with the reference {address}, which is not among what was stored")
    reference = Reference.decode(blob)
    if reference.address != address:
        raise corrupt("reference", f"{address[:80]!r} is not what its address says")
    return reference


def _blob(address: str) -> str:
    return f"reference/{address}"


def command_id(command: Rebase) -> str:
    """Return what tells one command from another."""
    return digest(command.model, str(command.version), str(command.segment), str(command.issued), command.note)


def _means(command: Rebase, subject: Subject) -> bool:
    same_version = command.version in (None, subject.version)
    return command.model == subject.model and same_version and command.segment in (None, subject.segment)


def _named(command: Rebase) -> str:
    version = "" if command.version is None else f" version {command.version or '(none)'}"
    segment = "" if command.segment is None else f" segment {command.segment or '(all events)'}"
    return f"model {command.model!r}{version}{segment}"
