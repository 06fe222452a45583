"""Simulated references count as a model's own projection does."""

import numpy as np

from driftline.detection.simulated_references import category_rows, rows_of
from driftline.evidence.projection import Projection
from tests.evidence.columns import Column, reference_of, summarise


def test_numbers_fall_into_the_bins_of_the_projection() -> None:
    chance = np.random.default_rng(1)
    reference, window = chance.standard_normal((2, 3000)), chance.standard_normal((2, 400)) * 1.5
    reference[1] = np.round(reference[1])  # few values: a bin each
    window[1] = np.round(window[1])
    window[0, :7] = np.nan
    rows = rows_of(reference)
    columns: dict[str, Column] = {"a": reference[0], "b": reference[1]}
    projection = Projection(reference_of(columns))
    assert rows.shares.tolist() == projection.shares[1:].tolist()
    assert rows.sizes.tolist() == [3000, 3000]
    seen: dict[str, Column] = {"a": window[0][~np.isnan(window[0])], "b": window[1]}
    counts = projection.evidence(projection.project(summarise(seen, events=400)))[1:]
    assert rows.counts(window).tolist() == counts.tolist()


def test_categories_fall_into_the_bins_of_the_projection() -> None:
    chance = np.random.default_rng(2)
    codes = chance.geometric(0.3, size=(1, 2000)) - 1
    codes = np.minimum(codes, 19)
    rows = category_rows(codes, 20)
    columns: dict[str, Column] = {"c": [f"category {code}" for code in codes[0].tolist()]}
    projection = Projection(reference_of(columns))
    assert rows.shares.tolist() == projection.shares[1:].tolist()
    window = np.minimum(chance.geometric(0.2, size=(1, 300)) - 1, 19)
    seen: dict[str, Column] = {"c": [f"category {code}" for code in window[0].tolist()]}
    counts = projection.evidence(projection.project(summarise(seen)))[1:]
    assert rows.counts(window.astype(np.float64)).tolist() == counts.tolist()
