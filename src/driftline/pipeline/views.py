"""What the stages last told, read from the store: for `status`, health, probes and all other commands."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from driftline.pipeline.stage_names import JUDGE
from driftline.state.api import Store, TaskId
from driftline.tasks.views import JudgeView, OthersView, PerformancesView, PerformanceView, SubjectView, SummariseView

View = TypeVar("View", SummariseView, JudgeView, PerformancesView, OthersView)


def read_view(store: Store, task: TaskId, kind: type[View]) -> View | None:
    """Return what a task told of this kind; None if nothing yet. Raises `msgspec.DecodeError` or `StateError`."""
    blob = store.read(task, kind.NAME).get(kind.NAME)
    return None if blob is None else msgspec.json.decode(blob, type=kind)


def views(store: Store, group: str, kind: type[View]) -> Iterator[View]:
    """Yield what each task of a group told of this kind."""
    for info in store.tasks(group):
        if (info.task.stage == JUDGE) == (kind is not SummariseView):
            found = read_view(store, info.task, kind)
            if found is not None:
                yield found


def subjects(store: Store, group: str) -> list[SubjectView]:
    """Return what is watched, as the last checkpoints have it, in order of names."""
    found = [subject for view in views(store, group, JudgeView) for subject in view.subjects]
    return sorted(found, key=lambda subject: subject.place)


def performances(store: Store, group: str, model: str) -> list[PerformanceView]:
    """Return how well a model works, by version and segment."""
    found = [each for view in views(store, group, PerformancesView) for each in view.models if each.model == model]
    return sorted(found, key=lambda each: (each.version, each.segment))
