"""Distances and effect sizes between a window and the reference, for people to read beside the evidence.

Only Kolmogorov-Smirnov and Wasserstein gain from fine bins. The others grow with the number of bins even where nothing
changed (PSI by (K - 1)(1/n + 1/m) on average), so they use the evidence bins, about twelve, for which PSI's usual
thresholds of 0.1 and 0.2 were meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import scipy

from driftline.evidence.bins import Quality
from driftline.evidence.projection import Projection
from driftline.sketches.keys import Floats, Ints

HALF = 0.5
"""Added to every bin on both sides before PSI takes logarithms, so that an empty bin does not make it infinite."""


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Window against reference, one value a signal; NaN where a distance is not defined or the window had no value."""

    values: Floats
    """Values of the expected kind in the window."""
    psi: Floats
    """Σ (q - p) ln(q/p), with half a count added to each bin."""
    jensen_shannon: Floats
    """Square root of the divergence to base 2: 0 (equal) to 1 (disjoint) (Endres and Schindelin 2003)."""
    kolmogorov_smirnov: Floats
    """Greatest difference of the distribution functions at the fine edges; numbers only."""
    wasserstein: Floats
    """Wasserstein-1 over the reference's standard deviation; at least the shift of the mean, which bounds it below."""
    chi2: Floats
    """Pearson's statistic of the table window x bins, over bins that either has."""
    chi2_p: Floats
    """Its p-value. In a large window it is tiny even for changes that do not matter."""
    mean_before: Floats
    mean_after: Floats
    shift: Floats
    """Change of the mean in standard deviations of the reference."""
    null_before: Floats
    null_after: Floats
    missing_before: Floats
    missing_after: Floats
    other_kind_before: Floats
    other_kind_after: Floats
    out_of_range_before: Floats
    out_of_range_after: Floats
    unseen_after: Floats

    def of(self, slot: int) -> dict[str, float]:
        """Return what is defined of one signal, by name."""
        found = {field.name: float(getattr(self, field.name)[slot]) for field in fields(self)}
        return {name: value for name, value in found.items() if not np.isnan(value)}


def effects(projection: Projection, vector: Ints, excess: Mapping[str, float] = {}) -> Effects:
    """Compare a window's vector with the reference's.

    Sources: PSI is the symmetric divergence of Jeffreys (1946, Proceedings of the Royal Society A 186, p. 453);
    Jensen-Shannon is the distance of Endres and Schindelin (2003, IEEE Transactions on Information Theory 49, p. 1858),
    in base 2; χ² is Pearson's test of homogeneity (1911, Biometrika 8, p. 250); Wasserstein-1 is the area between the
    distribution functions (Vallender 1974, Theory of Probability and its Applications 18, p. 784).

    Args:
        projection: the reference's.
        vector: a window's, counted into the same bins.
        excess: what the vector's sums lack, by signal (see `news`).
    """
    reference = projection.reference
    window_bins, reference_bins = projection.evidence(vector), projection.evidence(reference)
    possible = projection.shares > 0
    totals = projection.totals(vector)
    watched = totals > 0
    chi2, chi2_p = _chi2(window_bins, reference_bins)
    ks, wasserstein = _by_order(projection, vector)
    before, after = projection.means(reference), projection.means(vector)
    for name, lacking in excess.items():
        slot = projection.signals.index(name)
        after[slot] += lacking / max(int(totals[slot]), 1)
    with np.errstate(invalid="ignore"):
        shift = (after - before) / np.where(projection.deviations > 0, projection.deviations, np.nan)
    quality_before = _rates(projection.quality(reference))
    quality_after = _rates(projection.quality(vector))

    def where_watched(values: Floats) -> Floats:
        return np.asarray(np.where(watched, values, np.nan))

    return Effects(
        values=totals.astype(np.float64),
        psi=where_watched(_psi(window_bins, reference_bins, possible)),
        jensen_shannon=where_watched(_jensen_shannon(window_bins, reference_bins)),
        kolmogorov_smirnov=where_watched(ks),
        wasserstein=where_watched(np.fmax(wasserstein, np.abs(shift))),
        chi2=where_watched(chi2),
        chi2_p=where_watched(chi2_p),
        mean_before=before,
        mean_after=after,
        shift=shift,
        null_before=quality_before[:, Quality.NULL],
        null_after=quality_after[:, Quality.NULL],
        missing_before=quality_before[:, Quality.MISSING],
        missing_after=quality_after[:, Quality.MISSING],
        other_kind_before=quality_before[:, Quality.OTHER_KIND],
        other_kind_after=quality_after[:, Quality.OTHER_KIND],
        out_of_range_before=quality_before[:, Quality.OUT_OF_RANGE],
        out_of_range_after=quality_after[:, Quality.OUT_OF_RANGE],
        unseen_after=quality_after[:, Quality.UNSEEN],
    )


def _rates(counts: Ints) -> Floats:
    """Divide each row by its sum; NaN for a row without counts."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0))


def _psi(window: Ints, reference: Ints, possible: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    after, before = np.where(possible, window + HALF, 0.0), np.where(possible, reference + HALF, 0.0)
    after /= np.maximum(after.sum(axis=1, keepdims=True), HALF)
    before /= np.maximum(before.sum(axis=1, keepdims=True), HALF)
    logs = np.log(np.where(possible, after, 1.0)) - np.log(np.where(possible, before, 1.0))
    return np.asarray(((after - before) * logs).sum(axis=1))


def _jensen_shannon(window: Ints, reference: Ints) -> Floats:
    after, before = np.nan_to_num(_rates(window)), np.nan_to_num(_rates(reference))
    middle = (after + before) / 2
    entropies = [scipy.special.xlogy(shares, shares).sum(axis=1) for shares in (after, before, middle)]
    divergence = (entropies[0] + entropies[1]) / 2 - entropies[2]
    return np.asarray(np.sqrt(np.maximum(divergence / np.log(2), 0.0)))


def _chi2(window: Ints, reference: Ints) -> tuple[Floats, Floats]:
    """Return statistic and p-value of the 2 x K contingency tables."""
    both = (window + reference).astype(np.float64)
    total = np.maximum(both.sum(axis=1, keepdims=True), 1.0)
    statistic = np.zeros(len(both))
    for side in (window, reference):
        expected = both * side.sum(axis=1, keepdims=True) / total
        gap = np.divide((side - expected) ** 2, expected, out=np.zeros_like(both), where=expected > 0)
        statistic += gap.sum(axis=1)
    freedom = (both > 0).sum(axis=1) - 1
    defined = freedom > 0
    p_value = scipy.special.chdtrc(np.maximum(freedom, 1), statistic)
    return np.where(defined, statistic, np.nan), np.where(defined, p_value, np.nan)


def _by_order(projection: Projection, vector: Ints) -> tuple[Floats, Floats]:
    """Return (Kolmogorov-Smirnov, normed Wasserstein-1) of the numeric signals, NaN for the others.

    A bin's values stand where the reference's mean of that bin is: so a shift within one bin, and beyond the
    reference's extremes, is not seen here.
    """
    bounds = projection.fine_bounds
    sizes = np.diff(bounds)
    columns = np.arange(max(int(sizes.max(initial=1)), 1))
    inside = columns < sizes[:, None]
    at = np.where(inside, bounds[:-1, None] + columns, 0)
    cumulated = []
    for side in (vector, projection.reference):
        counts = np.where(inside, projection.fine(side)[at] if bounds[-1] else 0, 0)
        running = np.cumsum(counts, axis=1)
        cumulated.append(running / np.maximum(running[:, -1:], 1))
    gaps = np.abs(cumulated[0] - cumulated[1])
    places = np.where(inside, projection.representatives[at] if bounds[-1] else 0.0, np.nan)
    steps = np.nan_to_num(np.diff(places, axis=1))
    numeric = ~np.isnan(projection.deviations)
    distance = (gaps[:, :-1] * steps).sum(axis=1)
    return np.where(numeric, gaps.max(axis=1), np.nan), np.where(numeric, distance, np.nan)
