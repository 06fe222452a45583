"""A window beside what it is compared with: what the evidence is fed of it, and what an alert says of it."""

import math
from dataclasses import dataclass

from driftline.evidence.contrast import Contrast, contrast
from driftline.evidence.distances import Effects, effects
from driftline.evidence.volume import VolumeBins
from driftline.incidents.incident import Kind, Signal, Window
from driftline.incidents.words import effect_size, largest_share, number, percent
from driftline.sketches.keys import Ints
from driftline.tasks.watched import Watched, rounded, rounded_all


@dataclass(frozen=True, slots=True)
class Seen:
    """What one window held.

    Args:
        view: what it is compared with.
        volume: the same for the number of its events.
        vector: what was counted in it, in the projection's layout.
        window: when, and how many events.
        held: how many windows before it held no event of the model at all, and are weighed with it.
    """

    view: Watched
    volume: VolumeBins
    vector: Ints
    window: Window
    held: int = 0

    def counts(self, kind: Kind) -> Ints:
        """Return what the evidence of a kind is fed: shape (signals, bins)."""
        if kind is Kind.VOLUME:
            return self.volume.counts(self.window.count, self.window.start)
        return self.view.counts(kind, self.vector)

    def effects(self) -> Effects:
        """Return how far every signal is from the reference."""
        return effects(self.view.projection, self.vector)

    def signal(self, kind: Kind, name: str, evidence: float) -> Signal:
        """Return a signal's part in an incident."""
        if kind is Kind.VOLUME:
            mean = self.window.count / (self.held + 1)
            found = {"events_before": self.volume.usual(self.window.start), "events_after": mean}
            usual = found["events_before"]
            before = number(usual) if math.isfinite(usual) else ""
            return Signal(name, rounded(evidence), rounded_all(found), what="events", before=before, after=number(mean))
        projection = self.view.projection
        slot = projection.signals.index(name)
        found = rounded_all(self.effects().of(slot))
        if kind is Kind.DATA_QUALITY:
            before, after, what = largest_share(name, found)
        else:
            before, after, what = _moved(contrast(projection, self.vector, slot))
        return Signal(name, rounded(evidence), found, what=what, before=before, after=after)

    def excess(self, kind: Kind, name: str) -> float:
        """Return a signal's effect size less what chance alone gives on average: for PSI (K - 1)(1/n + 1/m)."""
        size = effect_size(self.signal(kind, name, 0.0))
        if kind in (Kind.VOLUME, Kind.DATA_QUALITY):
            return size
        projection = self.view.projection
        slot = projection.signals.index(name)
        n, m = int(projection.totals(self.vector)[slot]), int(projection.sizes[slot])
        chance = (int((projection.shares[slot] > 0).sum()) - 1) * (1 / max(n, 1) + 1 / max(m, 1))
        return max(size - chance, 0.0)


def _moved(found: Contrast | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    text = percent if found.share else number
    return text(found.before), text(found.after), found.what
