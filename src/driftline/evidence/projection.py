"""A summary counted into the bins of a reference: one int64 vector, the same layout for every pane of a group.

    [ fine bins of all signals | quality: 6 columns a signal | value sums, one a signal ]

All that the checks need of a window is in its vector, and a window's vector is the plain sum of its panes' vectors:
exact, in any order. All signals are counted in one go (see `counting`).
"""

from collections.abc import Collection, Mapping
from copy import copy
from hashlib import sha256
from typing import Protocol

import numpy as np

from driftline.evidence.bins import QUALITIES, Bins, Quality, bins_of, is_named
from driftline.evidence.counting import add_up, add_up_means, bucket_means, count_cells, count_missing
from driftline.evidence.fields import is_length, most_new
from driftline.evidence.rare import RareBins
from driftline.evidence.signals import Family, Nature, expected_kinds, expected_oddities, family_of, weighted_moments
from driftline.sketches.group import ROLES, GroupSketch, Oddity, SignalRole
from driftline.sketches.keys import KEY_BITS, Bools, Floats, Ints

SUM_BITS = 20
"""Value sums count in units of the reference's standard deviation (rounded down to a power of two) x 2^-20."""
LARGEST = float(np.finfo(np.float64).max)


class Profiled(Protocol):
    """What a projection needs of a reference."""

    @property
    def summary(self) -> GroupSketch: ...
    @property
    def natures(self) -> tuple[Nature, ...]: ...
    @property
    def alone(self) -> Bools:
        """Marks the buckets of the summary that one part of the reference alone held (see `novelty`)."""
        ...


class Projection:
    """The layout of vectors for one reference, and views on them.

    A row of every matrix is a slot of `signals`; slot 0 is EVENTS. Views take vectors of shape (..., width).
    """

    def __init__(self, reference: Profiled) -> None:
        summary, natures = reference.summary, reference.natures
        self.signals = summary.signals
        self.natures = natures
        self.families = tuple(family_of(name) for name in self.signals)
        arrivals = np.array([family is Family.ARRIVAL for family in self.families])
        kinds = self._kinds = expected_kinds(summary)
        self.oddities = expected_oddities(summary)
        """By slot the list or object that is expected where there are no values; else -1."""
        self.bins: Mapping[int, Bins] = {
            slot: bins_of(summary, slot, SignalRole(int(kinds[slot])), nature, reference.alone)
            for slot, nature in enumerate(natures)
            if nature not in (Nature.EMPTY, Nature.IDENTIFIER)
        }
        signals = len(self.signals)
        self.nameless: Mapping[int, Bools] = {
            slot: np.array([not is_named(label) for label in bins.labels])
            for slot, bins in self.bins.items()
            if bins.role is not SignalRole.NUMBERS
        }
        """By slot of categories, marks the fine bins that hold some without a name."""
        self.partly_named = np.zeros(signals, dtype=np.bool_)
        """Marks signals that have such bins, beside that of values never seen."""
        for slot, unnamed in self.nameless.items():
            self.partly_named[slot] = unnamed[: self.bins[slot].unseen].any()
        self.of_many_sizes = frozenset(
            name for name, nature in zip(self.signals, natures, strict=True) if nature is Nature.NUMBERS
        )
        """Signals whose numbers hardly repeat."""
        self._slots = {name: slot for slot, name in enumerate(self.signals)}
        lengths = np.array([is_length(name, summary) for name in self.signals])
        self._beside = arrivals | lengths
        """Marks how events arrived, of which not every one tells, and lengths of lists: their fields tell where none
        is."""
        fine_sizes = np.array([self.bins[s].fine_bins if s in self.bins else 0 for s in range(signals)], dtype=np.int64)
        self.fine_bounds = np.concatenate(([0], np.cumsum(fine_sizes))).astype(np.int64)
        """Where each signal's fine bins begin in a vector, and where the last one's end."""
        self._quality_at = int(self.fine_bounds[-1])
        self._sums_at = self._quality_at + QUALITIES * signals
        self.width = self._sums_at + signals

        self._lay_intervals(kinds, arrivals)
        self._lay_evidence()
        self._lay_sums(summary)
        self.reference = self.project(summary, as_seen_by_others=True)
        """The reference's own vector, as each of its parts looks to the others."""
        self._estimate_shares()
        self._represent(summary)
        self._find_rare()

    # -- counting ---------------------------------------------------------------------------------------------------

    def project(
        self, summary: GroupSketch, unwatched: Collection[str] = (), *, as_seen_by_others: bool = False
    ) -> Ints:
        """Return the vector of a summary (shape: width).

        Fields that the reference does not know are counted in row EVENTS, but for those beside the events' content.
        A list's length is no field.

        `unwatched` are signals that came and were not counted, for a limit: of these nothing is known, and none is
        missing.

        `as_seen_by_others` is for the reference itself and for its panes: what one of its parts alone held counts as
        never seen, as it would for a reference without that part.
        """
        slots = np.array([self._slots.get(name, -1) for name in summary.signals], dtype=np.int64)
        vector = np.zeros(self.width + 1, dtype=np.int64)  # the last place takes what nobody asks for
        cells, targets = summary.cells, self._targets_of_others if as_seen_by_others else self._targets
        count_cells(
            (cells.ids, cells.shifts, cells.sizes),
            (cells.keys, cells.counts, cells.offsets),
            slots,
            (self._edges, self._edges_of_cells, targets),
            self._seen,
            (self._units, self._centres),
            self._sums_at,
            vector,
        )
        events = count_missing(vector[self._quality_at : self._sums_at], self._beside)
        quality = self.quality(vector)
        if unwatched:
            quality[[self._slots[name] for name in unwatched if name in self._slots], Quality.MISSING] = 0
        if slots.min(initial=0) < 0:
            moved = min(most_new(summary, slots < 0), events)
            quality[0, Quality.EXPECTED] -= moved
            quality[0, Quality.UNSEEN] += moved
        return vector[:-1]

    def compared_with(self, vector: Ints) -> "Projection":
        """Return the same layout with another vector in the place of the reference's: that of one slot of a season."""
        view = copy(self)
        view.reference = vector
        view._estimate_shares()
        return view

    @property
    def layout(self) -> str:
        """What is counted where, in one word: vectors of two projections with the same one can be added."""
        return sha256(self._edges.tobytes() + self._targets.tobytes()).hexdigest()[:32]

    # -- views ------------------------------------------------------------------------------------------------------

    def fine(self, vectors: Ints) -> Ints:
        """Return the fine bins of all signals side by side (..., fine_bounds[-1])."""
        return vectors[..., : self._quality_at]

    def evidence(self, vectors: Ints) -> Ints:
        """Return the evidence bins (..., signals, K), padded with zeros where `shares` is 0."""
        out = np.zeros((*vectors.shape[:-1], len(self.signals), self.shares_width), dtype=np.int64)
        if len(self._evidence_starts):
            flat = out.reshape(*vectors.shape[:-1], -1)
            flat[..., self._evidence_cells] = np.add.reduceat(self.fine(vectors), self._evidence_starts, axis=-1)
        return out

    def quality(self, vectors: Ints) -> Ints:
        """Return the quality counts (..., signals, 6), see `Quality`; each row adds up to the events.

        But for how events arrived: those rows add up to the events of which that is known.
        """
        part = vectors[..., self._quality_at : self._sums_at]
        return part.reshape(*vectors.shape[:-1], len(self.signals), QUALITIES)

    def events(self, vector: Ints) -> int:
        """Return the number of events counted."""
        return int(vector[self._quality_at : self._quality_at + QUALITIES].sum())

    def totals(self, vectors: Ints) -> Ints:
        """Return the number of values in the bins of each signal (..., signals)."""
        totals = np.empty((*vectors.shape[:-1], len(self.signals)), dtype=np.int64)
        add_up(vectors.reshape(-1, vectors.shape[-1]), self.fine_bounds, totals.reshape(-1, len(self.signals)))
        return totals

    def means(self, vectors: Ints) -> Floats:
        """Return the mean of each signal's numbers (..., signals); NaN where it is not numeric or had none."""
        units, centres = self._units[int(SignalRole.NUMBERS) :: ROLES], self._centres[int(SignalRole.NUMBERS) :: ROLES]
        means = np.empty((*vectors.shape[:-1], len(self.signals)))
        rows = vectors.reshape(-1, vectors.shape[-1]), means.reshape(-1, len(self.signals))
        add_up_means(rows[0], self.fine_bounds, self._sums_at, units, centres, rows[1])
        return means

    def rows(self, family: Family) -> Ints:
        """Return the slots of a family whose values are compared with the reference."""
        return np.array([slot for slot in self.bins if self.families[slot] is family], dtype=np.int64)

    def role_of(self, slot: int) -> SignalRole | None:
        """Return the cell that held most of a signal's values; None where there were none."""
        return SignalRole(int(self._kinds[slot])) if self._kinds[slot] >= 0 else None

    @property
    def quality_rows(self) -> Ints:
        """The slots whose quality is compared with the reference: all but tags and segments, and what it does not know.

        EVENTS is for fields never seen.
        """
        tags = np.array([family in (Family.TAGS, Family.MIX) for family in self.families])
        return np.flatnonzero(~tags & (self.quality_sizes > 0))

    # -- layout -----------------------------------------------------------------------------------------------------

    def _lay_intervals(self, kinds: Ints, arrivals: Bools) -> None:
        """Cut the keys of every cell into intervals; each has a fine bin and a quality column, or goes to waste."""
        edges, fine, quality, hidden, as_unseen = [], [], [], [], []
        waste = self.width
        for slot in range(len(self.signals)):
            columns = self._quality_at + slot * QUALITIES
            for role in SignalRole:
                bins = self.bins.get(slot)
                alone = np.zeros(1, dtype=np.bool_)
                if role is SignalRole.ODDITIES:
                    first = Quality.EXPECTED if slot == 0 else waste - columns
                    starts, kind = _odd_intervals(first, int(self.oddities[slot]))
                    places = np.full(len(starts), waste, dtype=np.int64)
                elif bins is not None and role is bins.role:
                    starts, kind, places = bins.starts, bins.quality, self.fine_bounds[slot] + bins.fine
                    alone = bins.alone
                else:
                    starts, places = np.zeros(1, dtype=np.int64), np.full(1, waste, dtype=np.int64)
                    as_expected = role == kinds[slot] or arrivals[slot]
                    kind = np.array([Quality.EXPECTED if as_expected else Quality.OTHER_KIND], dtype=np.int64)
                edges.append(((slot * ROLES + int(role)) << KEY_BITS) | starts)
                fine.append(places)
                quality.append(columns + kind)
                unseen = None if bins is None else bins.unseen
                hidden.append(places if unseen is None else np.where(alone, self.fine_bounds[slot] + unseen, places))
                as_unseen.append(np.where(alone, columns + Quality.UNSEEN, columns + kind))
        end = np.array([len(self.signals) * ROLES << KEY_BITS], dtype=np.int64)
        self._edges = np.concatenate([*edges, end])
        self._edges_of_cells = np.cumsum([0, *map(len, edges)], dtype=np.int64)
        self._targets = np.concatenate([*fine, *quality])
        self._targets_of_others = np.concatenate([*hidden, *as_unseen])

    def _lay_evidence(self) -> None:
        self.shares_width = max((len(bins.evidence) for bins in self.bins.values()), default=1)
        starts = [self.fine_bounds[slot] + bins.evidence for slot, bins in self.bins.items()]
        places = [slot * self.shares_width + np.arange(len(bins.evidence)) for slot, bins in self.bins.items()]
        none = np.zeros(0, dtype=np.int64)
        self._evidence_starts = np.concatenate([none, *starts])
        self._evidence_cells = np.concatenate([none, *places])

    def _lay_sums(self, summary: GroupSketch) -> None:
        self._units = np.zeros(len(self.signals) * ROLES)
        self._centres = np.zeros(len(self.signals) * ROLES)
        self.deviations = np.full(len(self.signals), np.nan)
        """Standard deviation of each numeric signal in the reference."""
        seen: list[Ints] = []
        sizes = np.zeros(len(self.signals) * ROLES + 1, dtype=np.int64)
        for slot, bins in self.bins.items():
            at = slot * ROLES + bins.role
            part = summary.slice(slot, bins.role)
            keys = summary.cells.keys[part]
            frequent_first = np.argsort(-summary.cells.counts[part], kind="stable")
            kept = keys[:1] if self.natures[slot] is Nature.NUMBERS else keys[frequent_first]
            sizes[at + 1] = len(kept)
            seen.append(kept)
            if bins.role is SignalRole.NUMBERS:
                mean, deviation = self._moments(summary, slot)
                self.deviations[slot] = deviation
                self._centres[at], self._units[at] = _fixed_point(mean, deviation)
        shifts = np.zeros(len(self.signals) * ROLES, dtype=np.int64)
        shifts[summary.cells.ids] = summary.cells.shifts
        self._seen = shifts, np.cumsum(sizes), np.concatenate([np.zeros(0, dtype=np.int64), *seen])

    def _moments(self, summary: GroupSketch, slot: int) -> tuple[float, float]:
        at = int(np.searchsorted(summary.cells.ids, slot * ROLES + SignalRole.NUMBERS))
        cell = summary.cells.take(np.array([at], dtype=np.int64))
        return weighted_moments(bucket_means(cell.keys, cell.counts, cell.offsets), cell.counts)

    def _estimate_shares(self) -> None:
        """Estimate what share of values each bin has where the reference came from.

        Half a value is added to each bin (Krichevsky and Trofimov 1981). A bin that cannot be has share 0.
        """
        pseudo = np.zeros((len(self.signals), self.shares_width))
        for slot, bins in self.bins.items():
            pseudo[slot, : len(bins.evidence)] = 0.5
        self.shares, self.sizes = _smoothed(self.evidence(self.reference), pseudo)
        pseudo = np.full((len(self.signals), QUALITIES), 0.5)
        for slot in range(len(self.signals)):
            found = self.bins.get(slot)
            numeric = found is not None and found.role is SignalRole.NUMBERS
            pseudo[slot, Quality.OUT_OF_RANGE] = 2.0 if numeric else 0.0  # one new extreme at either end
            pseudo[slot, Quality.UNSEEN] = 0.5 if found is not None and found.can_be_unseen else 0.0
        pseudo[0] = 0.0
        pseudo[0, [Quality.EXPECTED, Quality.UNSEEN]] = 0.5
        self.quality_shares, self.quality_sizes = _smoothed(self.quality(self.reference), pseudo)
        self.usual_means = self.means(self.reference)

    def _find_rare(self) -> None:
        """Find the bins of one value each that are rare; in any phase of a season the same."""
        single, lasting = np.zeros(self.shares.shape, dtype=np.bool_), np.zeros(self.shares.shape, dtype=np.bool_)
        for slot, bins in self.bins.items():
            single[slot, : len(bins.evidence)] = self.natures[slot] is not Nature.NUMBERS
            lasting[slot, : len(bins.evidence) - (bins.unseen is not None)] = self.natures[slot] is not Nature.NUMBERS
        self.rare = RareBins.of(self.shares, may_rise=single, may_fall=lasting)
        """Those of the evidence bins. Of qualities none: what is out of range beside a drift would be told twice."""

    def _represent(self, summary: GroupSketch) -> None:
        """Find what stands for each fine bin: for numbers the standardised mean of the reference's values in it."""
        self.representatives = np.full(self._quality_at, np.nan)
        """Mean of the reference's values in each fine bin, in standard deviations from its mean; NaN for categories."""
        for slot, bins in self.bins.items():
            if bins.role is not SignalRole.NUMBERS:
                continue
            at = int(np.searchsorted(summary.cells.ids, slot * ROLES + SignalRole.NUMBERS))
            cell = summary.cells.take(np.array([at], dtype=np.int64))
            means = bucket_means(cell.keys, cell.counts, cell.offsets)
            mean, deviation = weighted_moments(means, cell.counts)
            fine = bins.fine[np.searchsorted(bins.starts, cell.keys, side="right") - 1]
            standard = (means / (deviation or 1.0)) - mean / (deviation or 1.0)
            sums = np.bincount(fine, weights=standard * cell.counts, minlength=bins.fine_bins)
            counts = np.bincount(fine, weights=cell.counts, minlength=bins.fine_bins)
            start = self.fine_bounds[slot]
            self.representatives[start : start + bins.fine_bins] = sums / counts


def _odd_intervals(first: int, expected: int) -> tuple[Ints, Ints]:
    """Return where the intervals of an oddities cell begin, and their quality; `first` is that of what counts events.

    All that is neither a value nor null is of another kind, but for the list or object that is expected.
    """
    starts, kinds = [int(Oddity.EVENT), int(Oddity.NULL), int(Oddity.NULL) + 1], [first, Quality.NULL]
    if expected > Oddity.NULL:
        starts = sorted({*starts, expected, expected + 1})
    kinds += [Quality.EXPECTED if start == expected else Quality.OTHER_KIND for start in starts[2:]]
    return np.array(starts, dtype=np.int64), np.array(kinds, dtype=np.int64)


def _fixed_point(mean: float, deviation: float) -> tuple[float, float]:
    """Return centre and unit of value sums; the centre on a coarse grid, where differing last bits of a sum agree."""
    spread = 2.0 ** np.floor(np.log2(max(deviation, abs(mean) * 2.0**-40) or 1.0))
    with np.errstate(over="ignore"):
        centre = np.clip(np.rint(mean / spread * 16) / 16 * spread, -LARGEST, LARGEST)
    return float(centre), float(max(spread * 2.0**-SUM_BITS, 2.0**-1000))


def _smoothed(counts: Ints, pseudo: Floats) -> tuple[Floats, Ints]:
    """Return (shares, sizes) of the counts per row; rows without counts and pseudo-counts have shares of 0."""
    weights = np.where(pseudo > 0, counts + pseudo, 0.0)
    total = weights.sum(axis=-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), counts.sum(axis=-1)


__all__ = ["Projection", "Quality"]
