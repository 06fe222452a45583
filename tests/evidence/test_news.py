"""What a vector cannot say: names, what came instead, and by what numbers were multiplied."""

import numpy as np
import pytest

from driftline.evidence.distances import effects
from driftline.evidence.news import MAX_NAMES, News, factor_of, news_of, usual_range
from driftline.evidence.projection import Projection
from driftline.sketches.keys import Ints
from tests.evidence.columns import Column, reference_of, summarise

CHANCE = np.random.default_rng(3)
INCOME = CHANCE.lognormal(10, 0.5, 5_000)
REFERENCE = reference_of({"x": INCOME, "city": ["Oslo", "Bergen"] * 2_500})
PROJECTION = Projection(REFERENCE)


def news(columns: dict[str, Column]) -> tuple[News, Ints]:
    summary = summarise(columns)
    vector = PROJECTION.project(summary)
    return news_of(PROJECTION, summary, vector), vector


def test_there_is_none_where_all_is_known() -> None:
    assert not news({"x": INCOME[:100], "city": ["Oslo"] * 100})[0]


def test_new_fields_and_values_are_named_the_most_frequent_first() -> None:
    found, _ = news(
        {"x": INCOME[:10], "city": ["Rome"] * 3 + ["Lyon"] * 7, "a": [1.0] * 2 + [...] * 8, "b": ["z"] * 10}
    )
    assert list(found.fields.items()) == [("b", 10), ("a", 2)]
    assert list(found.values["city"].items()) == [("Lyon", 7), ("Rome", 3)]


def test_a_field_called_length_is_a_field_where_there_is_no_list() -> None:
    found, _ = news({"x": INCOME[:10], "x.length": [1.0] * 10, "box.length": [2.0] * 9 + [...]})
    assert found.fields == {"x.length": 10, "box.length": 9}


def test_names_are_bounded() -> None:
    found, _ = news({"x": INCOME[:100], "city": [f"city {at}" for at in range(100)]})
    assert len(found.add(found).values["city"]) == MAX_NAMES


def test_what_came_instead_of_numbers_is_told() -> None:
    assert news({"x": ["1.5"] * 8 + [True, None], "city": ["Oslo"] * 10})[0].kinds["x"] == {"text": 8, "boolean": 1}


@pytest.mark.parametrize(
    ("factor", "told"), [(1_000, 1_000), (1e-3, 1e-3), (1e7, 1e7), (60, 60), (0.01, 0.01), (12.3, None)]
)
def test_another_unit_is_told_by_its_factor_and_the_mean_is_right(factor: float, told: float | None) -> None:
    values = CHANCE.lognormal(10, 0.5, 900) * factor
    parts = [news({"x": part, "city": ["Oslo"] * 300}) for part in np.split(values, 3)]
    whole, vector = News(), np.zeros_like(parts[0][1])
    for found, held in parts:
        whole, vector = whole.add(found), vector + held
    slot = PROJECTION.signals.index("x")
    mean = effects(PROJECTION, vector, whole.excess).of(slot)["mean_after"]
    assert mean == pytest.approx(values.mean(), rel=1e-4)
    found_factor = factor_of(REFERENCE.summary, slot, whole, "x", 900)
    assert found_factor is not None
    assert found_factor == (told or pytest.approx(factor, rel=0.06), 1.0), "a factor that nobody knows is measured"


def test_a_unit_that_changed_for_some_events_is_told_with_their_share() -> None:
    values = CHANCE.lognormal(10, 0.5, 1_000)
    values[::4] *= 1_000
    found, _ = news({"x": values, "city": ["Oslo"] * 1_000})
    assert factor_of(REFERENCE.summary, PROJECTION.signals.index("x"), found, "x", 1_000) == (1_000, 0.25)


def test_a_changed_unit_is_told_beside_an_outlier_on_the_other_side() -> None:
    values = CHANCE.lognormal(10, 0.5, 40) / 1_000
    values[7] = 3e6
    found, _ = news({"x": values, "city": ["Oslo"] * 40})
    assert factor_of(REFERENCE.summary, PROJECTION.signals.index("x"), found, "x", 40) == (1e-3, 39 / 40)


def test_numbers_out_of_range_are_told_by_side_and_how_far() -> None:
    parts = [news({"x": [*INCOME[:90], *wrong], "city": ["Oslo"] * 95})[0] for wrong in ([-7.0] * 5, [1.0, *[1e9] * 4])]
    beyond = parts[0].add(parts[1]).beyond["x"]
    assert (beyond.below.values, beyond.above.values, beyond.least) == (6, 4, -7)
    assert beyond.most == pytest.approx(1e9)
    low, high = usual_range(PROJECTION, PROJECTION.signals.index("x"))
    assert low == pytest.approx(INCOME.min(), rel=0.05)
    assert high == pytest.approx(INCOME.max(), rel=0.05)
    assert low <= INCOME.min()
    assert high >= INCOME.max()


def test_numbers_of_both_signs_change_their_unit_too() -> None:
    reference = reference_of({"x": CHANCE.normal(0, 1, 5_000)})
    projection, summary = Projection(reference), summarise({"x": CHANCE.normal(0, 1, 500) * 1_000})
    found = news_of(projection, summary, projection.project(summary))
    assert factor_of(reference.summary, projection.signals.index("x"), found, "x", 500) == (1_000, 1.0)


def test_a_sentinel_is_named_and_is_no_factor() -> None:
    values = CHANCE.lognormal(10, 0.5, 400)
    values[::20] = -999
    found, _ = news({"x": values, "city": ["Oslo"] * 400})
    assert found.values["x"] == {"-999": 20}
    assert factor_of(REFERENCE.summary, PROJECTION.signals.index("x"), found, "x", 400) is None


@pytest.mark.parametrize("events", [60, 300, 2_000])
@pytest.mark.parametrize("by", [1.0, 1.8, 3.0, 8.0])
def test_a_shift_of_numbers_of_both_signs_is_no_change_of_unit(events: int, by: float) -> None:
    reference = reference_of({"x": CHANCE.normal(0, 1, 5_000)})
    projection, summary = Projection(reference), summarise({"x": CHANCE.normal(by, 1, events)})
    found = news_of(projection, summary, projection.project(summary))
    assert factor_of(reference.summary, projection.signals.index("x"), found, "x", events) is None


def test_a_shift_is_no_change_of_unit() -> None:
    found, _ = news({"x": INCOME[:500] + 1e7, "city": ["Oslo"] * 500})
    assert factor_of(REFERENCE.summary, PROJECTION.signals.index("x"), found, "x", 500) is None
