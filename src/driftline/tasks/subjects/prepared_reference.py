"""A reference made ready to compare windows with: what of a window's vector each kind of incident looks at."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from driftline.evidence.baseline import Sizes
from driftline.evidence.evalues import Evidence
from driftline.evidence.projection import Projection, Quality
from driftline.evidence.rare import RareBins
from driftline.evidence.reference import Reference
from driftline.evidence.scores import Scores
from driftline.incidents.incident import Kind
from driftline.sketches.keys import Bools, Ints
from driftline.tasks.checks import listed
from driftline.tasks.checks.check import Check

ALWAYS = 0.99
"""Share of the reference's events from which on a field is one that is always there."""
METRICS = {
    "psi": ("psi",),
    "js": ("jensen_shannon",),
    "ks": ("kolmogorov_smirnov",),
    "wasserstein": ("wasserstein",),
    "chi2": ("chi2",),
    "missing_rate": ("missing_after", "null_after"),
}
"""The metrics that may have a fixed threshold, each the sum of some effects."""


@dataclass(frozen=True, slots=True)
class PreparedReference:
    """A reference made ready: computed once, shared by all subjects that are compared with it."""

    reference: Reference
    projection: Projection
    scores: Scores
    rows: Mapping[Kind, Ints]
    phase: tuple[int, int] = (0, 0)
    """(first slot, number of slots) of the season that this is a view of; (0, 0) for the whole."""
    _views: dict[tuple[int, int], "PreparedReference"] = field(default_factory=dict)

    @classmethod
    def of(cls, reference: Reference) -> "PreparedReference":
        """Prepare a reference."""
        projection = Projection(reference)
        rows = {check.kind: check.rows(projection) for check in listed.CHECKS}
        return cls(reference, projection, Scores(projection, reference.value_dispersion(1)), rows)

    def at(self, start: int, size: int) -> "PreparedReference":
        """Return what a window is compared with: the same phase of the reference's season, if it has one."""
        reference = self.reference
        if not reference.season_ms:
            return self
        slots = len(reference.phases)
        phase = reference.season.slots_of(start, size, reference.pane_ms, slots)
        if phase not in self._views:
            chosen = np.arange(phase[0], sum(phase)) % slots
            projection = self.projection.compared_with(reference.phases[chosen].sum(axis=0))
            scores = Scores(projection, reference.value_dispersion(1))
            self._views[phase] = replace(self, projection=projection, scores=scores, phase=phase)
        return self._views[phase]

    def sizes(self, vector: Ints) -> dict[str, Sizes]:
        """Return how many values of each signal a pane's score is made from, and how many it is compared with."""
        panes, references = self.projection.totals(vector).tolist(), self.scores.reference_totals
        return {
            name: Sizes(pane, reference, self.phase)
            for name, pane, reference in zip(self.projection.signals, panes, references, strict=True)
        }

    def names(self, kind: Kind) -> list[str]:
        """Return the signals that a kind of incident is about, in the order of its counts."""
        return [self.projection.signals[slot] for slot in self.rows[kind].tolist()]

    def evidence(self, check: Check, size: int, allowance: float, min_effect: float) -> Evidence | None:
        """Return fresh evidence for windows of a size; None where the reference says nothing about this check."""
        reference, projection = self.reference, self.projection
        rows = self.rows[check.kind]
        if not len(rows):
            return None
        panes = max(1, round(size / reference.pane_ms))
        if check.by_quality:
            shares, sizes = projection.quality_shares, projection.quality_sizes
            dispersion, rare = reference.quality_dispersion(panes), RareBins.none(projection.quality_shares.shape)
        else:
            shares, sizes = projection.shares, projection.sizes
            dispersion, rare = reference.value_dispersion(panes), projection.rare
        return Evidence(
            shares[rows],
            sizes[rows],
            dispersion=dispersion[rows],
            allowance=allowance,
            min_effect=min_effect,
            rare=rare.take(rows),
        )

    def independent(self, names: Collection[str], size: int) -> bool:
        """Tell whether the reference shows that windows of these signals are as independent as the budget needs."""
        dependent = self.reference.dependent(max(1, round(size / self.reference.pane_ms)))
        if dependent is None:
            return False
        return not any(dependent[self.projection.signals.index(name)] for name in names)

    def counts(self, check: Check, vector: Ints) -> Ints:
        """Return what the evidence of a check is fed: shape (signals, bins)."""
        counts = self.projection.quality(vector) if check.by_quality else self.projection.evidence(vector)
        return np.ascontiguousarray(counts[self.rows[check.kind]])

    def broken(self, check: Check, counts: Ints) -> Bools:
        """Mark the signals that are no longer what they always were: gone, null or of another type in every event.

        That is no chance, whatever the budget and however events depend on one another: at 99 % a field is absent from
        30 independent events once in 10^60 times. Counts as `counts` returns them.
        """
        if not check.by_quality:
            return np.zeros(len(counts), dtype=np.bool_)
        always = self.projection.quality_shares[self.rows[check.kind], Quality.EXPECTED] >= ALWAYS
        known = counts[:, [Quality.EXPECTED, Quality.OUT_OF_RANGE, Quality.UNSEEN]].sum(axis=1)
        return np.asarray(always & (known == 0) & (counts.sum(axis=1) > 0))


def rounded(evidence: float) -> float:
    """Return six significant digits; 0 for what is not finite."""
    return float(f"{evidence:.6g}") if math.isfinite(evidence) else 0.0


def rounded_all(found: Mapping[str, float]) -> dict[str, float]:
    """Return six significant digits of what is finite."""
    return {key: float(f"{value:.6g}") for key, value in found.items() if math.isfinite(value)}


def metric(found: Mapping[str, float], name: str) -> float:
    """Return one of METRICS from a signal's effects."""
    return sum(found.get(effect, 0.0) for effect in METRICS[name])
