"""The windows that a group judged last, from what its workers stored."""

from collections.abc import Sequence

import msgspec

from driftline.codec import corrupt_if_it_fails, unpack
from driftline.incidents.incident import digest
from driftline.runtime.rebasing import stored_references
from driftline.runtime.stage_names import JUDGE
from driftline.state.api import Store
from driftline.tasks.judge import SUBJECT_VERSION
from driftline.tasks.prepared_reference import PreparedReference
from driftline.tasks.shown import Shown, show
from driftline.tasks.stored import StoredSubject, last_counted
from driftline.tasks.views import SubjectView


def last_windows(store: Store, group: str, subjects: Sequence[SubjectView]) -> list[Shown]:
    """Return the last window of each of these subjects that has one. Raises `StateCorrupt`."""
    references = stored_references(store, group, {each.reference for each in subjects if each.reference})
    found = []
    for info in store.tasks(group):
        for each in subjects if info.task.stage == JUDGE else ():
            name = digest(each.model, each.version, each.segment)
            for blob in store.read(info.task, f"subject/{name}").values():
                with corrupt_if_it_fails("subject"):
                    held = unpack(blob, "subject", (SUBJECT_VERSION,))
                    stored = msgspec.convert(held.value, StoredSubject)
                    if stored.reference in references:
                        watched = PreparedReference.of(references[stored.reference])
                        last = last_counted(stored, held.arrays, watched)
                        if last is not None:
                            found.append(show(stored.subject, watched, last))
    return sorted(found, key=lambda each: each.subject)
