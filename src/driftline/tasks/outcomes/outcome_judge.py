"""Outcomes in Judge: from records of the panes topic to what is said of performance.

Outcomes have a clock of their own, that of both logs, and it may be behind that of predictions by as much as labels are
read later. So nothing is asked of the other half but what held at a time that both have passed. Each slice goes to all
watchers of outcomes (`watchers.OF_OUTCOMES`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from driftline.codec import LAST, Mark, Time, pack, unpack
from driftline.incidents.incident import Incident, Kind, Status, Subject
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord
from driftline.tasks import watchers
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.outcomes.costs import Cost
from driftline.tasks.outcomes.slices import ModelOutcomes, OutcomeMerger, OutcomeReader, OutcomeSlice
from driftline.tasks.views import OutcomesView, PerformanceView
from driftline.tasks.watcher import OutcomeContext, OutcomeWatcher

VERSION: Final = 1
BLOB: Final = "outcomes"
KIND: Final = "judged outcomes"
REMEMBERED: Final = 8
"""Drifts of a subject's inputs of which it is known when they were open."""


OF_INPUTS: Final = (Kind.DATA_DRIFT, Kind.DATA_QUALITY)
"""What says that inputs are not as before: broken ones are not, either."""


class OutcomeJudge:
    """See the module's head.

    Args:
        rules: how each model is judged.
        watched: whether a subject has a place within the limits.
    """

    def __init__(self, rules: Callable[[str], ModelRules], watched: Callable[[Subject], bool]) -> None:
        self._merger = OutcomeMerger()
        self._reader = OutcomeReader()
        context = OutcomeContext(rules, watched, self._inputs_moved)
        self.watchers: Sequence[OutcomeWatcher] = [each.begin(context) for each in watchers.OF_OUTCOMES]
        self._moved: dict[Subject, dict[Time, Time]] = {}
        """By subject, when drifts of its inputs opened, and when they were over."""
        self._now: int = self._merger.mark
        self._weighed = False

    def take(self, record: OutcomeRecord | OutcomeMark) -> list[Incident]:
        """Take in a record. Returns the incidents that changed."""
        changed: list[Incident] = []
        if self._merger.take(record):
            for time, slices in self._merger.advance(self._next_deadline):
                self._now = time
                deadline = self._next_deadline()
                self._weighed |= deadline is not None and deadline <= time
                for piece in slices:
                    changed += self._hand_out(self._reader.read(piece))
                for watcher in self.watchers:
                    changed += watcher.close(time)
        for piece in self._merger.overdue():
            changed += self._hand_out(self._reader.read(piece))
        return changed

    def _hand_out(self, piece: OutcomeSlice) -> list[Incident]:
        return [incident for watcher in self.watchers for incident in watcher.take(piece)]

    def _next_deadline(self) -> int | None:
        deadlines = (watcher.deadline for watcher in self.watchers)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def finish(self) -> list[Incident]:
        """Weigh the last windows, which the end of a table cuts off. Returns the incidents that changed."""
        changed: list[Incident] = []
        while (time := self._next_deadline()) is not None:
            self._now, self._weighed = time, True
            for watcher in self.watchers:
                changed += watcher.close(time, whole=False)
        return changed

    def note(self, changed: Sequence[Incident]) -> None:
        """Note when inputs are not as before."""
        for incident in changed:
            if incident.kind in OF_INPUTS and incident.subject.model:
                held = self._moved.setdefault(incident.subject, {})
                begin = incident.opened + OF_INPUTS.index(incident.kind)  # so that the end of one is not the other's
                held[begin] = LAST if incident.status is Status.FIRING else incident.window.end
                while len(held) > REMEMBERED:
                    del held[min(held)]

    def _inputs_moved(self, subject: Subject) -> bool:
        """Tell whether a subject's inputs were not as before at the end of the window that is weighed."""
        return any(opened <= self._now < over for opened, over in self._moved.get(subject, {}).items())

    def weighed_windows(self) -> bool:
        """Tell whether windows were weighed since this was asked last."""
        weighed, self._weighed = self._weighed, False
        return weighed

    def cost(self, subject: Subject, began: int, opened: int) -> Cost | None:
        """Return what a drift of a subject costs, by all windows that were weighed; None where that is not known."""
        costs = (watcher.cost(subject, began, opened) for watcher in self.watchers)
        return next((cost for cost in costs if cost is not None), None)

    def forget(self, subjects: Sequence[Subject], models: Collection[str]) -> list[Incident]:
        """Let go of subjects and models whose places others have now. Returns the incidents that this closes."""
        for subject in subjects:
            self._moved.pop(subject, None)
        for model in models:
            self._reader.forget(model)
        return [incident for watcher in self.watchers for incident in watcher.forget(subjects, models)]

    def forget_sent(self, before: int) -> None:
        """Forget what sources sent last of models that were silent since."""
        self._merger.forget(before)

    @property
    def open(self) -> list[Incident]:
        """What is open about performance and labels."""
        return [incident for watcher in self.watchers for incident in watcher.open]

    def view(self) -> dict[str, OutcomesView]:
        """Return what is known of outcomes, by model."""
        return {
            model: OutcomesView(known.labelled, known.waiting) for model, known in sorted(self._reader.models.items())
        }

    def performances(self) -> list[PerformanceView]:
        """Return how well versions and segments work."""
        return [view for watcher in self.watchers for view in watcher.performances()]

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        if not self._merger.counters.records:
            return {}
        merger, writes = self._merger.checkpoint()
        for watcher in self.watchers:
            writes.update(watcher.checkpoint())
        moved = [[subject, held] for subject, held in sorted(self._moved.items())]
        state = [merger, self._reader.models, moved, self._now]
        writes[BLOB] = pack(KIND, VERSION, state, {})
        return writes

    def restore(self, blobs: Mapping[str, bytes]) -> list[Incident]:
        """Take up a checkpoint; there is none where no labels are awaited. Returns the incidents that other settings
        close. Raises `StateCorrupt`.
        """
        if BLOB not in blobs:
            return []
        state = msgspec.convert(unpack(blobs[BLOB], KIND, (VERSION,)).value, _Stored)
        merger, self._reader.models, moved, self._now = state
        self._moved = dict(moved)
        self._merger.restore(merger, blobs)
        return [incident for watcher in self.watchers for incident in watcher.restore(blobs)]


_Stored = tuple[Any, dict[str, ModelOutcomes], list[tuple[Subject, dict[Time, Time]]], Mark]
