"""Evidence that a model works otherwise than in its reference, window by window, within a budget for false alarms.

Of the budget of performance each part has a third (`performance.foreseen`). A part that was told has no evidence until
it is over: so what is told is within the budget, too, whether it opens an incident or joins one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from driftline.evidence.onset import Onset
from driftline.incidents.budget import AlarmBudget
from driftline.performance.concept import Concept, ConceptRecovery
from driftline.performance.foreseen import EvidenceOf, Foreseen, foreseen
from driftline.performance.outcome_kinds import Classes, Estimator, OutcomeKind
from driftline.performance.rates import Seen
from driftline.performance.reference import PerformanceReference
from driftline.performance.study import Yardstick, yardstick
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats
from driftline.tasks.subjects.stored import under

MIN_STRETCHES: Final = 50
"""Stretches of the reference that it takes to know how much windows vary."""

NOTABLE: Final = 3.0
"""Log M from which on the evidence of a part that was told, begun anew, says that it is not over."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A part that speaks against the reference, from now on or no more."""

    part: EvidenceOf
    seen: Seen
    evidence: float
    """Log of its accumulated e-value."""
    began: int | None
    """Start of the predictions with which it most likely began."""


@dataclass(frozen=True, slots=True)
class ToWeigh:
    """What one part weighs."""

    tally: Tally
    start: int
    """When its predictions began."""
    alike: bool = True
    """Whether labels come for all scores alike."""
    steps: int = 1
    """So many make up a window."""


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """What a window says."""

    new: tuple[Finding, ...]
    back: tuple[EvidenceOf, ...]


class PerformanceEvidence:
    """The evidence of one version or segment against one reference.

    Args:
        reference: what is compared with.
        metrics: names of those that are followed; none for the usual ones.
        shown: names of those that are told beside them.
        min_effect: see `Concept`.
        costs: see `Classes`.
        budget: of the model.
        window_ms: length of windows.
        allowance: false alarms allowed a period, of all parts.
    """

    def __init__(
        self,
        reference: PerformanceReference,
        *,
        metrics: tuple[str, ...],
        shown: tuple[str, ...],
        min_effect: float,
        costs: Floats | None,
        budget: AlarmBudget,
        window_ms: int,
        allowance: float,
    ) -> None:
        self.reference = reference
        kind = reference.kind(costs).measuring((*metrics, *shown))
        learned = _learned(kind, reference)
        followed = metrics or kind.usual
        names = (*followed, *shown)
        self.yardstick: Yardstick = yardstick(kind, reference.tally, reference.stretches, names, learned)
        self._parts: Mapping[EvidenceOf, Foreseen] = foreseen(
            reference, kind, learned, followed if isinstance(kind, Classes) else metrics
        )
        share = allowance / len(EvidenceOf)
        self._log_c = budget.log_threshold(share, window_ms)
        self._concepts: dict[EvidenceOf, Concept] = {
            part: each.concept(share, min_effect) for part, each in self._parts.items()
        }
        self._onsets = {part: Onset(len(each.sizes)) for part, each in self._parts.items()}
        self._recoveries: dict[EvidenceOf, ConceptRecovery] = {}

    @property
    def is_sure(self) -> bool:
        """Whether it is known how much windows vary."""
        return self.reference.stretches >= MIN_STRETCHES

    def weigh(self, windows: Mapping[EvidenceOf, ToWeigh]) -> WindowVerdict:
        """Weigh a window of each part, or a step of one; parts that saw nothing are left out."""
        new, back = [], []
        for part in EvidenceOf:
            if part not in windows or part not in self._parts:
                continue
            weighed = windows[part]
            seen = self._parts[part].seen(weighed.tally, alike=weighed.alike)
            concept, onset = self._concepts[part], self._onsets[part]
            concept.update(seen, weighed.steps)
            recovery = self._recoveries.get(part)
            if recovery is not None:
                if concept.log_m >= NOTABLE:  # it still speaks: what is to be over is as it looks now
                    concept.reset()
                    self._recoveries[part] = ConceptRecovery(concept.away)
                    continue
                recovery.update(seen, concept.dispersion)
                if recovery.back:
                    del self._recoveries[part]
                    concept.reset()
                    self._onsets[part] = Onset(len(concept.sizes))
                    back.append(part)
                continue
            onset.add(concept.gained, weighed.start)
            if (found := concept.log_m) >= self._log_c:
                signal = int(concept.log_r.max(axis=0).argmax())
                new.append(Finding(part, seen, found, onset.of(signal)))
                self._recoveries[part] = ConceptRecovery(concept.away)
                concept.reset()
        return WindowVerdict(tuple(new), tuple(back))

    def snapshot(self) -> dict[str, Any]:
        """Return its state as flat arrays."""
        arrays: dict[str, Any] = {}
        for part, concept in self._concepts.items():
            arrays |= {f"{part}/concept/{name}": held for name, held in concept.snapshot().items()}
            arrays |= {f"{part}/onset/{name}": held for name, held in self._onsets[part].snapshot().items()}
        for part, recovery in self._recoveries.items():
            arrays[f"{part}/recovery/away"] = recovery.away.reshape(-1).copy()
            arrays[f"{part}/recovery/total"] = np.array([recovery.total, float(recovery.windows)])
        return arrays

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Take up a snapshot of evidence with the same reference. Raises what a wrong value causes."""
        for part, concept in self._concepts.items():
            concept.restore(under(f"{part}/concept/", arrays))
            if np.isnan(concept.log_r).any() or np.isposinf(concept.log_r).any():
                raise ValueError("its evidence holds a value that is not a number")
            self._onsets[part].restore(under(f"{part}/onset/", arrays))
            held = under(f"{part}/recovery/", arrays)
            if held:
                total, windows = held["total"].tolist()
                self._recoveries[part] = ConceptRecovery(held["away"].reshape(concept.sizes.shape), total, int(windows))


def _learned(kind: OutcomeKind, reference: PerformanceReference) -> Estimator | None:
    try:
        return kind.learned(reference.whole)
    except ValueError:  # no scores: what comes is measured alone
        return None
