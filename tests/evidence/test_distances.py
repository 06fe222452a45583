"""Distances from sketches against scipy on the raw data."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from driftline.evidence.distances import effects
from driftline.evidence.projection import Projection
from tests.evidence.columns import reference_of, summarise

RNG = np.random.default_rng(12)
BEFORE = RNG.standard_normal(20_000)


@pytest.fixture(scope="module")
def projection() -> Projection:
    names = [("a", "b", "c")[k] for k in RNG.choice(3, 20_000, p=[0.5, 0.3, 0.2])]
    return Projection(reference_of({"cat": names, "few": RNG.integers(0, 6, 20_000).astype(float), "num": BEFORE}))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (0.0, 0.5), (5.0, 0.1)])
def test_numbers(projection: Projection, shift: float, scale: float) -> None:
    window = RNG.standard_normal(3000) * scale + shift
    found = effects(projection, projection.project(summarise({"num": window}))).of(3)
    assert found["kolmogorov_smirnov"] == pytest.approx(ks_2samp(window, BEFORE).statistic, abs=0.03)
    raw = wasserstein_distance(window, BEFORE) / BEFORE.std()
    assert found["wasserstein"] == pytest.approx(raw, rel=0.05, abs=0.02)
    assert found["mean_after"] == pytest.approx(window.mean(), abs=1e-4)
    assert found["mean_before"] == pytest.approx(BEFORE.mean(), abs=1e-4)
    assert found["shift"] == pytest.approx((window.mean() - BEFORE.mean()) / BEFORE.std(), rel=1e-3, abs=1e-4)


def test_far_tails_count_less_than_they_should(projection: Projection) -> None:
    """Values beyond the reference's extremes stand where its outermost bins do."""
    window = RNG.standard_normal(3000) * 2
    found = effects(projection, projection.project(summarise({"num": window}))).of(3)
    raw = wasserstein_distance(window, BEFORE) / BEFORE.std()
    assert 0.8 * raw < found["wasserstein"] <= raw


def test_few_values_are_exact(projection: Projection) -> None:
    before = projection.evidence(projection.reference)[2, :6]
    window = np.repeat(np.arange(6.0), [40, 30, 20, 10, 5, 1])
    after = np.array([40, 30, 20, 10, 5, 1])
    found = effects(projection, projection.project(summarise({"few": window}))).of(2)
    assert found["jensen_shannon"] == pytest.approx(jensenshannon(after, before, base=2))
    p, q = (before + 0.5) / (before + 0.5).sum(), (after + 0.5) / (after + 0.5).sum()
    assert found["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum())
    raw = chi2_contingency(np.stack([after, before]))
    assert found["chi2"] == pytest.approx(raw.statistic)
    assert found["chi2_p"] == pytest.approx(raw.pvalue)
    values = np.repeat(np.arange(6.0), before)
    assert found["kolmogorov_smirnov"] == pytest.approx(ks_2samp(window, values).statistic)
    assert found["wasserstein"] == pytest.approx(wasserstein_distance(window, values) / values.std())


def test_categories_have_no_order(projection: Projection) -> None:
    window = ["a"] * 10 + ["d"] * 10 + [None] * 20
    found = effects(projection, projection.project(summarise({"cat": window}))).of(1)
    assert "wasserstein" not in found
    assert "kolmogorov_smirnov" not in found
    assert found["unseen_after"] == 0.25
    assert found["null_after"] == 0.5
    before = projection.evidence(projection.reference)[1, :4]
    assert found["jensen_shannon"] == pytest.approx(jensenshannon([10, 0, 0, 10], before, base=2))


def test_disjoint_is_one_and_equal_is_zero(projection: Projection) -> None:
    far = effects(projection, projection.project(summarise({"cat": ["new"] * 5}))).of(1)
    assert far["jensen_shannon"] == pytest.approx(1.0)
    same = effects(projection, projection.reference)
    for name in ("psi", "jensen_shannon", "kolmogorov_smirnov", "wasserstein", "chi2"):
        values = getattr(same, name)
        assert np.nanmax(np.abs(values)) < 1e-6, name


def test_a_window_without_values_has_no_distance(projection: Projection) -> None:
    found = effects(projection, projection.project(summarise({}, events=5)))
    assert set(found.of(3)) == {
        "values", "mean_before", "null_before", "null_after", "missing_before", "missing_after", "other_kind_before",
        "other_kind_after", "out_of_range_before", "out_of_range_after", "unseen_after",
    }  # fmt: skip
    assert found.of(3)["missing_after"] == 1.0
