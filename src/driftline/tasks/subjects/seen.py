"""A window beside what it is compared with: what the evidence is fed of it, and what an alert says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from driftline.evidence.bins import UNSEEN
from driftline.evidence.contrast import Contrast, contrast, vanished
from driftline.evidence.distances import Effects, effects
from driftline.evidence.news import MOSTLY, OFTEN, News, factor_of, usual_kind, usual_range
from driftline.evidence.signals import Nature, cell_shift
from driftline.incidents.incident import Kind, Outside, Signal, Window
from driftline.incidents.quality_words import NEVER_SEEN, OUT_OF_RANGE, largest_share, worst_share
from driftline.incidents.text import number, percent
from driftline.incidents.words import effect_size
from driftline.sketches.group import EVENTS, SignalRole
from driftline.sketches.keys import Ints, category_key, number_keys
from driftline.tasks.checks.check import Check
from driftline.tasks.subjects.prepared_reference import PreparedReference, rounded, rounded_all

MAX_NAMED = 10
"""Names in an alert."""
REPEATED = 0.05
"""Share from which on a number is named that many of the values are, where numbers hardly repeat."""
NAMELESS = "some of its rarer values"
"""Values of a group or a bucket of which no window has the names."""
RISEN = 2.0
"""Times its share in the reference from which on a category is named that has no bin of its own."""


@dataclass(frozen=True, slots=True)
class SeenWindow:
    """What one window held.

    Args:
        view: what it is compared with.
        vector: what was counted in it, in the projection's layout.
        window: when, and how many events.
        news: what the vector cannot say.
    """

    view: PreparedReference
    vector: Ints
    window: Window
    news: News = field(default_factory=News)

    def counts(self, check: Check) -> Ints:
        """Return what the evidence of a check is fed: shape (signals, bins)."""
        return self.view.counts(check, self.vector)

    def effects(self) -> Effects:
        """Return how far every signal is from the reference."""
        return effects(self.view.projection, self.vector, self.news.excess)

    def effects_of(self, kind: Kind) -> dict[str, dict[str, float]]:
        """Return the effects of each signal of a kind, by name."""
        found, projection = self.effects(), self.view.projection
        return {projection.signals[slot]: found.of(slot) for slot in self.view.rows[kind].tolist()}

    def signal(self, kind: Kind, name: str, evidence: float) -> Signal:
        """Return a signal's part in an incident."""
        projection = self.view.projection
        slot = projection.signals.index(name)
        found = rounded_all(self.effects().of(slot))
        named: dict[str, float] = {}
        became = ""
        factor, multiplied = self._factor(slot)
        gone = rounded_all(vanished(projection, self.vector, slot))
        if kind is Kind.DATA_QUALITY:
            before, after, what = largest_share(name, found)
            if name == EVENTS:
                named = self._shares(self.news.fields)
            elif what in (NEVER_SEEN, OUT_OF_RANGE):
                named = self._shares(self._new_values(name))
            if name in self.news.kinds:
                came = self.news.kinds[name]
                became = f"{usual_kind(projection, slot)} → {max(came, key=lambda kind: came[kind])}"
            if what != OUT_OF_RANGE:
                factor = None
        else:
            moved = contrast(projection, self.vector, slot, self.news.excess.get(name, 0.0))
            before, after, what = self._one_number(slot, name) or _moved(moved)
            if moved is not None and not moved.is_named:
                values = int(projection.totals(self.vector)[slot])
                shares = {value: count / values for value, count in self.news.values.get(name, {}).items()}
                risen = {value: n for value, n in shares.items() if n > RISEN * self._before(slot, value)[0]}
                named = {value: rounded(share) for value, share in list(risen.items())[:MAX_NAMED]}
                if named:
                    what, share = next(iter(named.items()))
                    before, after = self._before(slot, what)[1], percent(share)
                elif moved.what != UNSEEN:
                    what = NAMELESS
            elif repeated := self._repeated_number(slot, name, what):
                named = repeated
            elif moved is not None and moved.share and sum(gone.values()) > moved.after - moved.before > 0:
                what, share = next(iter(gone.items()))  # it made room for the one that moved most
                before, after = percent(share), percent(0.0)
        return Signal(
            name,
            rounded(evidence),
            found,
            what=what,
            before=before,
            after=after,
            named=named,
            became=became,
            gone=gone,
            factor=factor,
            multiplied=None if factor is None else multiplied,
            outside=self._outside(slot, found) if kind is Kind.DATA_QUALITY else None,
        )

    def _outside(self, slot: int, found: Mapping[str, float]) -> Outside | None:
        """Return on which side of the reference's range numbers are, and how far, if that is known."""
        projection = self.view.projection
        beyond = self.news.beyond.get(projection.signals[slot])
        if beyond is None:
            return None
        low, high = usual_range(projection, slot)
        out = found["out_of_range_after"] / (beyond.below.values + beyond.above.values)
        below, above = (rounded(side.values * out) for side in (beyond.below, beyond.above))
        return Outside(low, high, below, above, rounded(beyond.least), rounded(beyond.most))

    def _new_values(self, name: str) -> Mapping[str, int]:
        """Return values never seen, or out of range, with their counts: of numbers those of which there are many."""
        values, projection = self.news.values.get(name, {}), self.view.projection
        far = self.news.far.get(name)
        if far is None:
            return values
        few = 0.0 if projection.natures[projection.signals.index(name)] is Nature.VALUES else OFTEN
        return {value: count for value, count in values.items() if count >= max(2, few * far.values)}

    def _shares(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Return the shares of the window's events that the most frequent names had."""
        return {name: rounded(count / max(self.window.count, 1)) for name, count in list(counts.items())[:MAX_NAMED]}

    def _one_number(self, slot: int, name: str) -> tuple[str, str, str] | None:
        """Return (before, after, number) where most numbers are the same one; None where they are not."""
        number_of, share = self._most_repeated(slot, name)
        if share <= MOSTLY:
            return None
        before, told = self._share_of_number(slot, number_of)
        return (told, percent(share), number_of) if share > RISEN * before else None

    def _repeated_number(self, slot: int, name: str, what: str) -> dict[str, float]:
        """Return a number that became frequent, with its share at least: a limit that cuts others off, a default."""
        number_of, share = self._most_repeated(slot, name)
        new = number_of != what and share >= REPEATED and share > RISEN * self._share_of_number(slot, number_of)[0]
        return {number_of: rounded(share)} if new else {}

    def _most_repeated(self, slot: int, name: str) -> tuple[str, float]:
        """Return the number that came most often where numbers hardly repeat, and its share at least; ("", 0) if none.

        Slices that held few of it did not note it.
        """
        values = int(self.view.projection.totals(self.vector)[slot])
        number_of, count = max(self.news.same.get(name, {}).items(), key=lambda each: each[1], default=("", 0))
        return number_of, count / max(values, 1)

    def _share_of_number(self, slot: int, number_of: str) -> tuple[float, str]:
        key = int(number_keys(np.array([float(number_of)]))[0])
        return self._share_of(slot, key, SignalRole.NUMBERS)

    def _before(self, slot: int, category: str) -> tuple[float, str]:
        """Return the share of the reference's values that a category had at most, that of its bucket; and in words."""
        return self._share_of(slot, category_key(category), self.view.projection.bins[slot].role)

    def _share_of(self, slot: int, key: int, role: SignalRole) -> tuple[float, str]:
        summary = self.view.reference.summary
        shift, counts = cell_shift(summary, slot, role), summary.counts(slot, role)
        share = counts.get(key >> shift << shift, 0) / max(sum(counts.values()), 1)
        return share, f"at most {percent(share)}" if share and shift else percent(share)

    def _factor(self, slot: int) -> tuple[float | None, float]:
        """Return by what a signal's numbers were multiplied, if they were, and the share of them."""
        projection = self.view.projection
        name = projection.signals[slot]
        if name not in self.news.logs and name not in self.news.far:
            return None, 1.0
        values = int(projection.totals(self.vector)[slot])
        found = factor_of(self.view.reference.summary, slot, self.news, name, values)
        return (None, 1.0) if found is None else (rounded(found[0]), rounded(found[1]))

    def excess(self, kind: Kind, name: str) -> float:
        """Return a signal's effect size less what chance alone gives on average: for PSI (K - 1)(1/n + 1/m)."""
        signal = self.signal(kind, name, 0.0)
        if kind is Kind.DATA_QUALITY:
            return worst_share(signal.effects)
        size = effect_size(signal)
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
