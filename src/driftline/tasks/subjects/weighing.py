"""What speaks against a reference: the evidence that windows of a version or a segment gather, by size and check."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from driftline.codec import corrupt
from driftline.evidence.evalues import Evidence, WindowEvidence
from driftline.evidence.onset import Onset
from driftline.evidence.seasons import carried
from driftline.incidents.incident import Kind
from driftline.sketches.keys import Bools, Ints
from driftline.tasks.checks import listed
from driftline.tasks.checks.check import Check
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.subjects.prepared_reference import PreparedReference
from driftline.tasks.subjects.seen import SeenWindow
from driftline.tasks.subjects.stored import under

NOTABLE = 3.0
"""Log e-value (e^3 = 20): of one window, it makes a signal part of an incident that opens with it; of the windows since
one last spoke, it says that a signal has not come back."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the evidence of one check says of a window.

    Args:
        check: whose evidence.
        found: its e-values and R.
        broken: marks signals that are no longer what they always were.
        evidence: what was weighed with.
        onset: since when it speaks.
        log_c: the threshold of log M.
    """

    check: Check
    found: WindowEvidence
    broken: Bools
    evidence: Evidence
    onset: Onset
    log_c: float

    def without(self, rows: Ints) -> "Weighed":
        """Return the same if some signals say nothing, whose evidence begins anew."""
        self.evidence.reset(rows)
        window, total = self.found.window.copy(), self.found.total.copy()
        window[rows], total[rows] = -np.inf, -np.inf
        return replace(self, found=WindowEvidence(window, total))


class Weighing:
    """See the module's head.

    Args:
        rules: how the model is judged.
        rank: 1 for the model's first segment, and so on; None for all events.
    """

    def __init__(self, rules: ModelRules, rank: int | None) -> None:
        self._rules = rules
        self._rank = rank
        self._watched: PreparedReference | None = None
        self._evidence: dict[tuple[int, Kind], Evidence] = {}
        self._onsets: dict[tuple[int, Kind], Onset] = {}
        self.turned: dict[int, int] = {}
        """By window size, the start of the window whose phase of the season evidence was weighed with last."""

    def begin(self, watched: PreparedReference | None) -> None:
        """Begin anew, with another reference or none."""
        self._watched = watched
        self._evidence, self._onsets, self.turned = {}, {}, {}
        if watched is None:
            return
        for size, _ in self._rules.windows:
            for check in listed.CHECKS:
                evidence = self._fresh(check, size, watched)
                if evidence is not None:
                    self._evidence[size, check.kind] = evidence
                    self._onsets[size, check.kind] = Onset(len(watched.names(check.kind)))

    def _fresh(self, check: Check, size: int, view: PreparedReference) -> Evidence | None:
        if self._rank is not None and not check.of_segments:
            return None
        return view.evidence(check, size, self._allowance(check), self._rules.min_effect)

    def _allowance(self, check: Check) -> float:
        rules = self._rules
        return rules.budget.allowance(
            check.share, sizes=len(rules.windows), segment_rank=self._rank, segmented=rules.segmented
        )

    def turn(self, size: int, start: int) -> PreparedReference:
        """Return what the window that starts at `start` is compared with: the phase of the season that it is in."""
        assert self._watched is not None
        view = self._watched.at(start, size)
        before = self._watched.at(self.turned[size], size) if size in self.turned else self._watched
        self.turned[size] = start
        for check in listed.CHECKS if view is not before else ():
            held, fresh = self._evidence.get((size, check.kind)), self._fresh(check, size, view)
            if held is not None and fresh is not None:
                self._evidence[size, check.kind] = carried(held, fresh)
        return view

    def weigh(self, seen: SeenWindow) -> dict[Kind, Weighed]:
        """Add a window to the evidence of each check."""
        size = seen.window.size
        return {
            check.kind: self._weighed(check, seen, self._evidence[size, check.kind])
            for check in listed.CHECKS
            if (size, check.kind) in self._evidence
        }

    def _weighed(self, check: Check, seen: SeenWindow, evidence: Evidence) -> Weighed:
        size, onset = seen.window.size, self._onsets[seen.window.size, check.kind]
        counts = seen.counts(check)
        found, broken = evidence.update(counts), seen.view.broken(check, counts)
        onset.add(found.window, seen.window.start)
        threshold = self._rules.budget.log_threshold(self._allowance(check), size)
        return Weighed(check, found, broken, evidence, onset, threshold)

    def is_notable(self, kind: Kind) -> bool:
        """Tell whether windows of any size speak of this kind."""
        return any(evidence.log_m >= NOTABLE for (_, other), evidence in self._evidence.items() if other is kind)

    def of(self, size: int, kind: Kind) -> Evidence | None:
        """Return the evidence of a kind in windows of a size, if there is any."""
        return self._evidence.get((size, kind))

    def onset(self, size: int, kind: Kind) -> Onset | None:
        """Return since when that speaks."""
        return self._onsets.get((size, kind))

    def reset(self, kind: Kind) -> None:
        """Begin to gather evidence of a kind anew, in windows of all sizes."""
        for (_, other), evidence in self._evidence.items():
            if other is kind:
                evidence.reset()

    def snapshot(self) -> dict[str, Any]:
        """Return arrays; `turned` is stored beside them."""
        arrays: dict[str, Any] = {
            f"evidence/{size}/{kind}/{name}": array
            for (size, kind), evidence in self._evidence.items()
            for name, array in evidence.snapshot().items()
        }
        for (size, kind), onset in self._onsets.items():
            arrays.update({f"onset/{size}/{kind}/{name}": held for name, held in onset.snapshot().items()})
        return arrays

    def restore(self, turned: Mapping[int, int], arrays: Mapping[str, Any]) -> None:
        """Take up a snapshot after `begin`; sizes that are no longer asked for are let go. Raises `StateCorrupt`."""
        for size, start in turned.items():
            if size in {each for each, _ in self._rules.windows}:
                self.turn(size, start)
        for (size, kind), evidence in self._evidence.items():
            held = under(f"evidence/{size}/{kind}/", arrays)
            if any(array.dtype != np.float64 or not (array < np.inf).all() for array in held.values()):
                raise corrupt("subject", "its evidence holds a value that is not a number")
            if (held.get("past", np.zeros(1)) < 0).any():
                raise corrupt("subject", "its evidence remembers less than nothing")
            if held:
                evidence.restore(held)
                self._onsets[size, kind].restore(under(f"onset/{size}/{kind}/", arrays))
