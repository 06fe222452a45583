"""What a reference of performance is learned from: outcomes as they arrived, in stretches of time in their order."""

from collections.abc import Callable, Sequence
from typing import Final

from driftline.performance.outcomes import labelled
from driftline.performance.reference import joined
from driftline.performance.tally import Tally, merged, unpacked
from driftline.tasks.model_rules import LearnRule

MAX_LEARNED: Final = 200
"""Windows that are kept apart while learning: more are added up in pairs."""
MIN_STRETCHES: Final = 8
"""Stretches of time, at least, that a reference is learned from where memory is short."""


class PerformanceLearner:
    """See the module's head.

    Args:
        rule: how much is enough.
    """

    def __init__(self, rule: LearnRule) -> None:
        self.rule = rule
        self.began: int | None = None
        """Start of the first window."""
        self.labels = 0
        """How many were collected."""
        self.stretches: list[bytes] = []
        """What arrived in each window, packed: they are many, and each checkpoint stores them."""

    def add(self, start: int, end: int, came: Tally) -> bool:
        """Take in what arrived in a window. Returns whether there is enough by its end: then call `finish`."""
        if not len(came):
            return False
        self.began = start if self.began is None else self.began
        self.stretches.append(came.packed())
        self.labels += int(labelled(came, 1)[0])
        if len(self.stretches) > MAX_LEARNED:
            self.join()
        return end - self.began >= self.rule.span_ms and self.labels >= self.rule.events

    def finish(self, known: Callable[[Tally], Tally]) -> tuple[Tally, int]:
        """Return what is known of all outcomes, and of how many stretches; then begin anew."""
        found = joined([known(stretch) for stretch in self._unpacked()])
        self.forget()
        return found

    def forget(self) -> None:
        """Let go of what was collected."""
        self.stretches, self.began, self.labels = [], None, 0

    def restore(self, rule: LearnRule, began: int | None, stretches: Sequence[bytes]) -> None:
        """Take up a snapshot. Raises `StateCorrupt`."""
        self.rule, self.began, self.stretches = rule, began, list(stretches)
        self.labels = sum(int(labelled(stretch, 1)[0]) for stretch in self._unpacked())

    @property
    def bytes(self) -> int:
        """How much it holds."""
        return sum(map(len, self.stretches))

    @property
    def can_join(self) -> bool:
        """Whether it may learn from fewer, longer stretches."""
        return len(self.stretches) > MIN_STRETCHES

    def join(self) -> None:
        """Make one of each two stretches: fewer, and less of them."""
        held = self._unpacked()
        self.stretches = [merged(held[at : at + 2]).packed() for at in range(0, len(held), 2)]

    def _unpacked(self) -> list[Tally]:
        return [unpacked(stretch) for stretch in self.stretches]
