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


def test_moments_survive_the_largest_numbers() -> None:
    mean, deviation = weighted_moments(np.array([-1.7e308, 1.7e308]), np.array([1, 1]))
    assert mean == 0.0
    assert deviation == pytest.approx(1.7e308)
