"""The windows that a group judged last, from what its workers stored."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from driftline.codec import corrupt_if_it_fails, unpack
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Subject, digest
from driftline.pipeline.rebasing import stored_references
from driftline.pipeline.stage_names import JUDGE
from driftline.state.api import Store, TaskId
from driftline.tasks.subjects.mean_path import MeanPath
from driftline.tasks.subjects.prepared_reference import PreparedReference
from driftline.tasks.subjects.shown import Shown, show
from driftline.tasks.subjects.stored import SUBJECT_VERSION, StoredSubject, last_counted
from driftline.tasks.views import SubjectView


def last_windows(store: Store, group: str, subjects: Sequence[SubjectView]) -> list[Shown]:
    """Return the last window of each of these subjects that has one. Raises `StateCorrupt`."""
    references = stored_references(store, group, {each.reference for each in subjects if each.reference})
    found = []
    for task in _judges(store, group):
        for each in subjects:
            shown = _shown(store, task, Subject(each.model, each.version, each.segment), references.get)
            found += [] if shown is None else [shown]
    return sorted(found, key=lambda each: each.subject)


def last_window(store: Store, group: str, subject: Subject) -> Shown | None:
    """Return the last window of one subject, if it has one; reads nothing of others. Raises `StateCorrupt`."""
    found = (_shown(store, task, subject, partial(_reference, store, task)) for task in _judges(store, group))
    return next(filter(None, found), None)


def _judges(store: Store, group: str) -> list[TaskId]:
    return [info.task for info in store.tasks(group) if info.task.stage == JUDGE]


def _reference(store: Store, task: TaskId, address: str) -> Reference | None:
    return next(map(Reference.decode, store.read(task, f"reference/{address}").values()), None)


def _shown(store: Store, task: TaskId, subject: Subject, reference: Callable[[str], Reference | None]) -> Shown | None:
    """Return what a task stored of a subject's last window, if it did; `reference` finds one by its address."""
    for blob in store.read(task, f"subject/{digest(subject.model, subject.version, subject.segment)}").values():
        with corrupt_if_it_fails("subject"):
            held = unpack(blob, "subject", (SUBJECT_VERSION,))
            stored = msgspec.convert(held.value, StoredSubject)
            found = reference(stored.reference) if stored.reference else None
            if found is not None:
                watched = PreparedReference.of(found)
                last = last_counted(stored, held.arrays, watched)
                path = MeanPath.restored(held.arrays, len(watched.projection.signals))
                return None if last is None else show(stored.subject, watched, last, path)
    return None
