"""What a person is shown of a signal first."""

import numpy as np
import pytest

from driftline.evidence.contrast import Contrast, contrast
from driftline.evidence.projection import Projection
from tests.evidence.columns import Column, reference_of, summarise


def of(before: Column, after: Column) -> Contrast | None:
    projection = Projection(reference_of({"x": before}))
    return contrast(projection, projection.project(summarise({"x": after})), 1)


def normal(mean: float, deviation: float) -> Column:
    return np.random.default_rng(1).normal(mean, deviation, 4_000)


def test_a_mean_that_moved_is_told_as_a_mean() -> None:
    found = of(normal(10, 2), normal(11, 2))
    assert found is not None
    assert (found.what, found.share) == ("mean", False)
    assert found.before == pytest.approx(10, abs=0.1)
    assert found.after == pytest.approx(11, abs=0.1)


def test_else_the_part_of_the_range_that_moved_is_named() -> None:
    found = of(normal(10, 2), normal(10, 4))
    assert found is not None
    assert found.share
    assert found.what.startswith(("below", "from"))
    assert abs(found.after - found.before) > 0.05


def test_of_categories_and_values_the_one_that_moved_most_is_named() -> None:
    cities: Column = ["Oslo"] * 50 + ["Rome"] * 40 + ["Lyon"] * 10
    assert of(cities, ["Oslo"] * 20 + ["Rome"] * 45 + ["Lyon"] * 35) == Contrast("Lyon", 0.1, 0.35, share=True)
    assert of(cities, ["Oslo"] * 50 + ["Rome"] * 10 + ["Bonn"] * 40) == Contrast(
        "(unseen)", 0.0, 0.4, share=True, is_named=False
    )
    stars: Column = [0.0, 5.0] * 40 + [2.0, 3.0] * 20
    assert of(stars, [0.0, 5.0] * 20 + [2.0] * 60 + [3.0] * 20) == Contrast("2", 20 / 120, 60 / 120, share=True)


def test_where_there_are_no_values_there_is_nothing_to_name() -> None:
    assert of(["a", "b"] * 30, [...] * 60) is None
    assert of([None] * 60, ["a"] * 60) is None


def test_of_many_categories_none_is_named_that_moved_most_by_chance() -> None:
    chance = np.random.default_rng(3)
    before = [f"d{number}" for number in chance.integers(0, 25, 12_000)]
    after = [f"d{number}" for number in chance.integers(0, 25, 60)]
    assert of(before, after) is None
    found = of(before, [*after, *["d3"] * 9])
    assert found is not None
    assert found.what == "d3"
