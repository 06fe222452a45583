"""A window beside its reference, for people."""

import numpy as np
import pytest

from driftline.evidence.portraits import BARS, Portrait, portraits
from driftline.evidence.projection import Projection
from tests.evidence.columns import Column, reference_of, summarise

CHANCE = np.random.default_rng(1)
SIZE = 20_000
REFERENCE: dict[str, Column] = {
    "normal": CHANCE.normal(size=SIZE),
    "few": CHANCE.integers(0, 4, SIZE).astype(np.float64),
    "constant": np.full(SIZE, 7.0),
    "city": ["paris" if at % 4 else "rome" for at in range(SIZE)],
    "same": CHANCE.random(SIZE),
}


def shown(**changed: Column) -> dict[str, Portrait]:
    projection = Projection(reference_of(REFERENCE))
    found = portraits(projection, projection.project(summarise({**REFERENCE, **changed})), {})
    return {each.name: each for each in found}


def middle(low: float, high: float, shares: tuple[float, ...]) -> float:
    return float(np.average(low + (np.arange(BARS) + 0.5) * (high - low) / BARS, weights=shares))


def test_what_did_not_change_looks_the_same() -> None:
    for each in shown().values():
        assert each.effects.get("psi", 0.0) == 0.0
        assert each.histogram is None or each.histogram.before == each.histogram.after
        assert all(before == after for before, after in each.categories.values())


def test_a_histogram_shows_how_numbers_lie() -> None:
    held = shown(normal=CHANCE.normal(0.5, 1, SIZE))["normal"].histogram
    assert held is not None
    assert [held.low, held.high] == pytest.approx([-2.33, 2.33], abs=0.3)
    for shares in (held.before, held.after):
        assert len(shares) == BARS
        assert sum(shares) == pytest.approx(1)
    assert middle(held.low, held.high, held.before) == pytest.approx(0, abs=0.05)
    assert middle(held.low, held.high, held.after) == pytest.approx(0.48, abs=0.06)
    edges = np.linspace(held.low, held.high, BARS + 1)
    counted, _ = np.histogram(np.clip(REFERENCE["normal"], held.low, held.high), edges)  # type: ignore[arg-type]
    assert np.abs(counted / SIZE - held.before).max() < 0.02


def test_few_values_have_bars_of_their_own() -> None:
    held = shown(few=np.full(SIZE, 3.0))["few"].histogram
    assert held is not None
    assert (held.low, held.high) == (0, 3)
    assert [share for share in held.before if share] == pytest.approx([0.25] * 4, abs=0.02)
    assert held.after == (*[0.0] * (BARS - 1), 1.0)
    constant = shown()["constant"].histogram
    assert constant is not None
    assert (constant.low, constant.high, sum(constant.before)) == (7, 7, 1)


def test_categories_are_told_by_name_and_what_moved_most_comes_first() -> None:
    found = shown(city=["rome", "oslo"] * (SIZE // 2))
    assert next(iter(found)) == "city"
    assert found["city"].categories["paris"] == (0.75, 0.0)
    assert found["city"].categories["rome"] == (0.25, 0.5)
    assert found["city"].categories["(unseen)"] == (0.0, 0.5)
    assert found["city"].histogram is None


def test_a_signal_without_values_is_shown_as_gone() -> None:
    found = shown(same=[None] * SIZE, normal=[...] * SIZE)
    assert list(found)[:2] == ["normal", "same"]
    assert found["same"].effects["null_after"] == 1
    assert found["normal"].effects["missing_after"] == 1
    held = found["same"].histogram
    assert held is not None
    assert [sum(held.before), sum(held.after)] == pytest.approx([1, 0])
