"""From what the join gives to open panes of outcomes: whose each is, when it was, and of which cohort.

prediction ──► waits, at its own time          label ──► waits no more, and is an outcome, when both were there
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from driftline.codec import LAST
from driftline.labels.book import Rule
from driftline.labels.classes import ClassNames
from driftline.labels.join import Fate
from driftline.labels.outcomes import NOT_FIRST, Fates, Outcomes
from driftline.labels.tallies import tally_of, waiting_tally
from driftline.panes.open_outcomes import OpenOutcomes, OpenState, Slot
from driftline.panes.outcomes import OutcomeGroup, OutcomeMark, OutcomeRecord
from driftline.performance.outcomes import GRIDS, NOT, Series, key
from driftline.performance.tally import WEIGHT_UNIT, Tally, counted, merged
from driftline.performance.values import valued
from driftline.sketches.keys import Ints

BLOBS: Final = "labels/outcomes"
MIXED: Final = 1 << 40
"""Up to so many places are told apart by one number, without sorting for it."""


class CountingState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a checkpoint says of it, beside the chunks."""

    classes: dict[str, ClassNames]
    open: OpenState


class OutcomeCounting:
    """See the module's head.

    Args:
        rule: how a model awaits labels; None: it does not.
        never: stands for a time before any.
    """

    def __init__(self, rule: Callable[[str], Rule | None], never: int) -> None:
        self._rule = rule
        self._classes: dict[str, ClassNames] = {}
        self._open = OpenOutcomes(BLOBS, never)

    def classes(self, model: str) -> ClassNames:
        """Return the names of a model's classes."""
        return self._classes.setdefault(model, ClassNames())

    def wait(self, predictions: Outcomes) -> None:
        """Count predictions that begin to wait."""
        groups, named = self._groups(predictions)
        self._add(waiting_tally(predictions, groups, self.classes(predictions.model)), named)

    def count(self, outcomes: Outcomes) -> None:
        """Count outcomes, how late first labels were, and what outcomes are worth."""
        groups, named = self._groups(outcomes)
        first = np.flatnonzero(outcomes.delays != NOT_FIRST)
        delays = _delays(outcomes.delays[first], groups[first])
        values = valued(groups, outcomes.values, outcomes.signs)
        self._add(merged([tally_of(outcomes, groups, self.classes(outcomes.model)), delays, values]), named)

    def count_fates(self, told: Fates) -> None:
        """Count what became of labels. A tombstone is of no model."""
        rule = self._rule(told.model) if told.model else None
        if rule is None:
            return
        found, numbers = np.unique(
            (told.times // rule.pane_ms) * len(Fate) + (told.fates.astype(np.int64) - 1), return_counts=True
        )
        for code, number in zip(found.tolist(), numbers.tolist(), strict=True):
            pane, fate = divmod(code, len(Fate))
            slot = Slot(told.model, pane * rule.pane_ms, rule.pane_ms)
            self._open.count_fates(slot, {Fate(fate + 1).name.lower(): number})

    def _groups(self, outcomes: Outcomes) -> tuple[Ints, list[tuple[Slot, "_Place"]]]:
        """Return of each row the number of its place, and the places."""
        rule = self._rule(outcomes.model)
        assert rule is not None
        columns = [outcomes.times // rule.pane_ms, outcomes.cohorts // rule.cohort_ms, outcomes.versions]
        columns += outcomes.tags.values()
        mixed, most = np.zeros(len(outcomes.times), dtype=np.int64), 1
        for column in columns:
            least = int(column.min(initial=LAST))
            span = max(int(column.max(initial=least)) - least + 1, 1)
            if most * span > MIXED:
                mixed, most = np.unique(mixed, return_inverse=True)[1], len(mixed)
            mixed, most = mixed * span + (column - least), most * span
        _, one, numbers = np.unique(mixed, return_index=True, return_inverse=True)
        places = []
        for pane, cohort, version, *tags in zip(*(column[one].tolist() for column in columns), strict=True):
            slot = Slot(outcomes.model, pane * rule.pane_ms, rule.pane_ms)
            segments = ("", *(name for tag in tags if (name := outcomes.names[tag])))
            places.append((slot, _Place(outcomes.names[version], segments, cohort * rule.cohort_ms)))
        return numbers, places

    def _add(self, tally: Tally, places: Sequence[tuple[Slot, "_Place"]]) -> None:
        """Count a tally, whose groups are places, for all events and for each segment."""
        if not len(tally):
            return
        for at in range(max(len(place.segments) for _, place in places)):
            there = np.array([at < len(place.segments) for _, place in places])
            handles = [
                self._open.handle(slot, place.group(at)) if at < len(place.segments) else 0 for slot, place in places
            ]
            part = tally if there.all() else tally.take(there[tally.groups])
            self._open.add(part.regrouped(np.array(handles, dtype=np.int64)))

    @property
    def open_to(self) -> int:
        """When the last open pane ends."""
        return self._open.end

    def emit(
        self, until: int, told: int, source: int, sources: int, position: int, *, idle: bool
    ) -> list[OutcomeRecord | OutcomeMark]:
        """Take out the panes that end until then, and how far both logs have come if that is news.

        `idle` says that nothing comes in either.
        """
        names = {model: list(classes.codes) for model, classes in self._classes.items()}
        records: list[OutcomeRecord | OutcomeMark] = [*self._open.close(until, source, sources, names)]
        self._open.flushes += idle
        told = max(told, self._open.told)
        if told > self._open.told or idle:
            records.append(OutcomeMark(source, sources, told, idle, position))
            self._open.told = told
        return records

    def checkpoint(self) -> tuple[CountingState, dict[str, bytes | None]]:
        """Return (plain description, blobs to write; None deletes) of what changed since the last checkpoint."""
        state, writes = self._open.checkpoint()
        return CountingState(self._classes, state), writes

    def restore(self, state: CountingState, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        self._classes = state.classes
        self._open.restore(state.open, blobs)


class _Place(msgspec.Struct, frozen=True):
    """Whose outcomes are, and of which cohort."""

    version: str
    segments: tuple[str, ...]
    cohort: int

    def group(self, at: int) -> OutcomeGroup:
        """Return one of the groups in which they count."""
        return OutcomeGroup(self.version, self.segments[at], self.cohort)


def _delays(delays: Ints, groups: Ints) -> Tally:
    """Count how long after their predictions labels came."""
    none, ones = np.zeros_like(delays), np.ones_like(delays)
    buckets, offsets = GRIDS[Series.DELAYS].buckets(delays.astype(np.float64))
    return counted(groups, key(Series.DELAYS, none, none, NOT, buckets), offsets, WEIGHT_UNIT * ones, ones)
