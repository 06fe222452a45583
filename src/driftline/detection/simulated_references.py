"""References of many simulated signals at once, by the code that makes a model's: sketches, bins, shares."""

from dataclasses import dataclass

import numpy as np

from driftline.evidence.bins import Quality
from driftline.evidence.novelty import seen_once
from driftline.evidence.projection import Projection
from driftline.evidence.rare import RareBins
from driftline.evidence.signals import Nature, natures_of
from driftline.sketches.cells import from_buckets
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, SignalRole
from driftline.sketches.keys import Bools, Floats, Ints, category_key, key_numbers, number_keys


@dataclass(frozen=True, slots=True)
class SimulatedReferences:
    """Bins and shares of signals (shapes: signals, K and signals)."""

    edges: Floats
    """For numbers: the lower edges of all bins but the first, ascending; inf where a signal has fewer bins.
    For categories: the bin of each code (shape: signals, codes)."""
    shares: Floats
    sizes: Ints
    beyond: Floats
    """Shares expected within and beyond what the reference held (shape: signals, 2): what data quality watches."""
    categories: bool
    rare: RareBins

    @property
    def width(self) -> int:
        """K."""
        return int(self.shares.shape[1])

    def bins_of_one(self, values: Floats) -> Ints:
        """Return the bins of values (any shape) by the first signal's edges."""
        return np.searchsorted(self.edges[0], values, side="right")

    def counts(self, values: Floats) -> Ints:
        """Count values (shape: signals, n) into the bins: shape (signals, K). Missing values are NaN, and left out."""
        signals = np.arange(len(values))[:, None]
        known = ~np.isnan(values)
        if self.categories:
            place = self.edges[signals, np.where(known, values, 0).astype(np.int64)].astype(np.int64)
        else:
            place = np.zeros(values.shape, dtype=np.int64)
            for edge in self.edges.T:  # a comparison a bin is many times faster than a search
                place += values >= edge[:, None]
        flat = (signals * self.width + place)[known]
        return np.bincount(flat, minlength=len(values) * self.width).reshape(len(values), self.width)


@dataclass(frozen=True, slots=True)
class _Plain:
    summary: GroupSketch
    natures: tuple[Nature, ...]
    alone: Bools


def rows_of(values: Floats) -> SimulatedReferences:
    """Make the reference of signals of numbers (shape: signals, m); NaN is missing."""
    return _rows(projection_of(values), None)


def projection_of(values: Floats) -> Projection:
    """Return the layout and the bins of signals of numbers (shape: signals, m); NaN is missing."""
    signals, m = values.shape
    cell, at = np.nonzero(~np.isnan(values))
    keys = number_keys(np.ascontiguousarray(values[cell, at]))
    return _projection(signals, m, cell.astype(np.int64), keys, SignalRole.NUMBERS, {})


def category_rows(codes: Ints, names: int) -> SimulatedReferences:
    """Make the reference of signals of categories, given as codes below `names` (shape: signals, m)."""
    return _rows(category_projection_of(codes, names), np.array(list(_categories(names)), dtype=np.int64))


def category_projection_of(codes: Ints, names: int) -> Projection:
    """Return the layout and the bins of signals of categories, given as codes below `names` (shape: signals, m)."""
    signals, m = codes.shape
    categories = _categories(names)
    key_of = np.array(list(categories), dtype=np.int64)
    cell = np.repeat(np.arange(signals, dtype=np.int64), m)
    return _projection(signals, m, cell, key_of[codes].reshape(-1), SignalRole.STRINGS, categories)


def _categories(names: int) -> dict[int, str]:
    """Return the category of each code, by its key, in the order of the codes."""
    return {category_key(text): text for text in (f"category {code}" for code in range(names))}


def _projection(
    signals: int, m: int, cell: Ints, keys: Ints, role: SignalRole, categories: dict[int, str]
) -> Projection:
    ids = np.concatenate(([0], np.arange(1, signals + 1) * ROLES + role)).astype(np.int64)
    counts = np.concatenate(([m], np.ones(len(keys), dtype=np.int64)))
    cells = from_buckets(
        ids,
        np.zeros(len(ids), dtype=np.int64),
        np.concatenate(([0], cell + 1)),
        np.concatenate(([0], keys)),
        counts,
        np.zeros(len(counts), dtype=np.int64),
    )
    names = (EVENTS, *(f"s{number:05}" for number in range(signals)))
    summary = GroupSketch(names, cells, categories)
    return Projection(_Plain(summary, natures_of(summary, []), seen_once(summary)))


def _rows(projection: Projection, codes: Ints | None) -> SimulatedReferences:
    """Return the evidence bins; `codes` are the categories' keys, by code."""
    edges = []
    for slot in range(1, len(projection.signals)):
        bins = projection.bins[slot]
        evidence = np.searchsorted(bins.evidence, bins.fine, side="right") - 1
        if codes is not None:
            edges.append(evidence[np.searchsorted(bins.starts, codes, side="right") - 1].astype(np.float64))
            continue
        begins = np.flatnonzero(np.diff(evidence)) + 1
        own = key_numbers(bins.starts[begins])
        edges.append(np.concatenate((own, np.full(projection.shares_width - 1 - len(own), np.inf))))
    every = np.arange(1, len(projection.signals))
    outside = Quality.OUT_OF_RANGE if codes is None else Quality.UNSEEN
    beyond = projection.quality_shares[1:, [Quality.EXPECTED, outside]]
    beyond = beyond / beyond.sum(axis=1, keepdims=True)
    return SimulatedReferences(
        np.array(edges),
        projection.shares[1:],
        projection.sizes[1:],
        beyond,
        codes is not None,
        projection.rare.take(every),
    )
