"""A window beside what it is compared with: what the evidence is fed of it, and what an alert says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftline.evidence.bins import REST, UNSEEN
from driftline.evidence.contrast import Contrast, contrast
from driftline.evidence.distances import Effects, effects
from driftline.evidence.news import KINDS, News, factor_of
from driftline.evidence.signals import cell_shift
from driftline.incidents.incident import Kind, Signal, Window
from driftline.incidents.words import (
    NEVER_SEEN,
    OTHER_TYPE,
    OUT_OF_RANGE,
    effect_size,
    largest_share,
    number,
    percent,
)
from driftline.sketches.keys import Ints, category_key
from driftline.sketches.summary import EVENTS, Role
from driftline.tasks.watched import Watched, rounded, rounded_all

MOST_NAMED = 10
"""Names in an alert."""
RISEN = 2.0
"""Times its share in the reference from which on a category is named that has no bin of its own."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one window held.

    Args:
        view: what it is compared with.
        vector: what was counted in it, in the projection's layout.
        window: when, and how many events.
        news: what the vector cannot say.
    """

    view: Watched
    vector: Ints
    window: Window
    news: News = field(default_factory=News)

    def counts(self, kind: Kind) -> Ints:
        """Return what the evidence of a kind is fed: shape (signals, bins)."""
        return self.view.counts(kind, self.vector)

    def effects(self) -> Effects:
        """Return how far every signal is from the reference."""
        return effects(self.view.projection, self.vector, self.news.excess)

    def signal(self, kind: Kind, name: str, evidence: float) -> Signal:
        """Return a signal's part in an incident."""
        projection = self.view.projection
        slot = projection.signals.index(name)
        found = rounded_all(self.effects().of(slot))
        named: dict[str, float] = {}
        factor = self._factor(slot)
        if kind is Kind.DATA_QUALITY:
            before, after, what = largest_share(name, found)
            if name == EVENTS:
                named = self._shares(self.news.fields, self.window.count)
            elif what == NEVER_SEEN:
                named = self._shares(self.news.values.get(name, {}), self.window.count)
            elif what == OTHER_TYPE and name in self.news.kinds:
                kind_before = KINDS.get(projection.role_of(slot) or Role.ODDITIES, "value")
                what = f"{kind_before} → {max(self.news.kinds[name].items(), key=lambda each: each[1])[0]}"
            if what != OUT_OF_RANGE:
                factor = None
        else:
            moved = contrast(projection, self.vector, slot, self.news.excess.get(name, 0.0))
            before, after, what = _moved(moved)
            if moved is not None and moved.what in (REST, UNSEEN) and moved.after > moved.before:
                values = int(projection.totals(self.vector)[slot])
                shares = {value: count / values for value, count in self.news.values.get(name, {}).items()}
                risen = {value: n for value, n in shares.items() if n > RISEN * self._before(slot, value)[0]}
                named = {value: rounded(share) for value, share in list(risen.items())[:MOST_NAMED]}
                if named:
                    what, share = next(iter(named.items()))
                    before, after = self._before(slot, what)[1], percent(share)
        return Signal(name, rounded(evidence), found, what=what, before=before, after=after, named=named, factor=factor)

    def _shares(self, counts: Mapping[str, int], values: int) -> dict[str, float]:
        return {name: rounded(count / max(values, 1)) for name, count in list(counts.items())[:MOST_NAMED]}

    def _before(self, slot: int, category: str) -> tuple[float, str]:
        """Return the share of the reference's values that a category had at most, that of its bucket; and in words."""
        bins, summary = self.view.projection.bins[slot], self.view.reference.summary
        key, shift = category_key(category), cell_shift(summary, slot, bins.role)
        counts = summary.counts(slot, bins.role)
        share = counts.get(key >> shift << shift, 0) / max(sum(counts.values()), 1)
        return share, f"at most {percent(share)}" if share and shift else percent(share)

    def _factor(self, slot: int) -> float | None:
        projection = self.view.projection
        logs = self.news.logs.get(projection.signals[slot])
        if logs is None:
            return None
        found = factor_of(self.view.reference.summary, slot, logs, int(projection.totals(self.vector)[slot]))
        return None if found is None else rounded(found)

    def excess(self, kind: Kind, name: str) -> float:
        """Return a signal's effect size less what chance alone gives on average: for PSI (K - 1)(1/n + 1/m)."""
        size = effect_size(self.signal(kind, name, 0.0))
        if kind is Kind.DATA_QUALITY:
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
