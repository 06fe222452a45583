"""Recognising what hardly repeats or only grows."""

import numpy as np
import pytest

from driftline.evidence.signals import Nature, natures_of, weighted_moments
from driftline.sketches.group import combine
from tests.evidence.columns import Column, summarise

RNG = np.random.default_rng(3)


def nature(*panes: Column) -> Nature:
    """Return the nature of one signal that was seen in these panes."""
    summaries = [summarise({"x": pane}) for pane in panes]
    return natures_of(combine(summaries), summaries)[1]


@pytest.mark.parametrize("events", [100, 300, 5000])
def test_strings_that_never_repeat_are_identifiers(events: int) -> None:
    assert nature([f"user-{number}" for number in range(events)]) is Nature.IDENTIFIER


@pytest.mark.parametrize("distinct", [2, 200, 500, 1500])
def test_strings_that_repeat_are_categories_also_when_there_are_many(distinct: int) -> None:
    assert nature([f"c{k}" for k in RNG.integers(0, distinct, 6000)]) is Nature.CATEGORIES


def test_half_distinct_is_about_the_limit() -> None:
    assert nature([f"c{k}" for k in RNG.integers(0, 9000, 3000)]) is Nature.IDENTIFIER
    assert nature([f"c{k}" for k in RNG.integers(0, 1500, 3000)]) is Nature.CATEGORIES


def test_a_few_strings_are_not_judged() -> None:
    assert nature([f"c{k}" for k in range(20)]) is Nature.CATEGORIES


def test_a_row_number_and_a_timestamp_are_identifiers() -> None:
    assert nature(*(np.arange(100.0) + 100 * pane for pane in range(12))) is Nature.IDENTIFIER
    assert nature(*(1.78e9 + 60.0 * pane + 59 * RNG.random(400) for pane in range(12))) is Nature.IDENTIFIER


def test_numbers_that_stay_or_wander_are_not() -> None:
    assert nature(*(RNG.standard_normal(100) for _ in range(12))) is Nature.NUMBERS
    assert nature(*([7.0] * 50 for _ in range(12))) is Nature.VALUES
    assert nature(*(np.arange(100.0) + 50 * pane for pane in range(12))) is Nature.NUMBERS


def test_few_panes_do_not_prove_growth() -> None:
    assert nature(*(np.arange(300.0) + 300 * pane for pane in range(4))) is Nature.NUMBERS


NOW = 1_772_755_200_000
"""2026-03-06."""


def nature_now(*panes: Column) -> Nature:
    summaries = [summarise({"x": pane}) for pane in panes]
    return natures_of(combine(summaries), summaries, NOW)[1]


@pytest.mark.parametrize(
    "days",
    [
        ["2026-03-05", "2026-03-01", "2025-12-24"],
        ["2026-03-04T10:00:00Z", "2026-02-01T00:00:00Z"],
        ["2026-03", "2026-02"],
        ["20260305", "20260301"],
        [20260305.0, 20260301.0, 20251224.0],
        ["2026-04-30", "2026-03-31"],
    ],
)
def test_dates_that_come_up_to_the_present_are_identifiers(days: list[str] | list[float]) -> None:
    assert nature_now(*(days * 20 for _ in range(3))) is Nature.IDENTIFIER


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1985-03-05", "1990-01-01"], Nature.CATEGORIES),
        (["2026-02", "2026-01"], Nature.CATEGORIES),
        (["2026-03-05", "never", "soon"], Nature.CATEGORIES),
        ([20260101.0, 20251224.0], Nature.VALUES),
        ([20260305.0, 4.0, 5.0], Nature.VALUES),
        ([2026.0, 2025.0], Nature.VALUES),
        (["2026-03-05-17", "2026-03-05-18"], Nature.CATEGORIES),
    ],
)
def test_dates_that_stay_in_the_past_and_what_only_looks_like_a_date_are_not(
    values: list[str] | list[float], found: Nature
) -> None:
    assert nature_now(*(values * 20 for _ in range(3))) is found


def test_moments_survive_the_largest_numbers() -> None:
    mean, deviation = weighted_moments(np.array([-1.7e308, 1.7e308]), np.array([1, 1]))
    assert mean == 0.0
    assert deviation == pytest.approx(1.7e308)
