"""What is said before a backtest that would be slow or senseless, and that what is said to suit the table does."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest

from driftline.config import Settings
from driftline.config.doubts import doubts, of_labels, of_reference, unwatched
from driftline.config.suiting import DAY, HOUR, MINUTE, suited

SPARSE = (52_560, 365 * DAY)
"""A year of an event every ten minutes."""
SUITS = {"windows": ["1w"], "pane": "12h"}


def said(events: int, span_ms: int, models: dict[str, Any] | None = None, *, learned: bool = True) -> list[str]:
    settings, _ = suited(Settings.model_validate({"models": models or {}}), events, span_ms)
    return doubts(settings, "churn", events, span_ms, learned=learned)


def remedy(lines: list[str]) -> dict[str, Any]:
    found = re.fullmatch("these settings suit the table: DRIFTLINE_MODELS='(.*)'", lines[-1])
    assert found
    models: dict[str, Any] = json.loads(found[1])
    return models


@pytest.mark.parametrize("every_ms", [50, 1_000, 20_000, MINUTE, 2 * MINUTE, 10 * MINUTE, 6 * HOUR])
def test_what_is_chosen_leaves_no_doubt(every_ms: int) -> None:
    assert said(366 * DAY // every_ms, 366 * DAY) == []


@pytest.mark.parametrize(
    ("models", "expected", "instead"),
    [
        ({"*": {"windows": ["1h"]}}, "a window of 1h holds 6 events", {"*": SUITS}),
        ({"churn": {"windows": ["2h"]}}, "a window of 2h holds 12 events", {"churn": SUITS}),
        ({"*": {"pane": "10m"}}, "a window of 10m holds 1 events", {"*": SUITS}),
        (
            {"churn": {"windows": [{"size": "1d", "every": "1h"}]}},
            "a pane of 1h holds 6 events",
            {"churn": SUITS},
        ),
        ({"*": {"windows": ["800d"]}}, "a window of 800d is longer than the table", {"*": SUITS}),
    ],
)
def test_what_was_configured_and_does_not_suit(models: dict[str, Any], expected: str, instead: dict[str, Any]) -> None:
    lines = said(*SPARSE, models, learned=False)
    assert lines[0].startswith(expected)
    assert remedy(lines) == instead
    name = next(iter(models))
    assert said(*SPARSE, {**models, name: instead[name]}) == []


def test_a_table_that_ends_before_its_reference_was_learned() -> None:
    lines = said(3_000, 20 * HOUR)
    assert lines[0] == "the reference takes the first 1d to learn: no window is left to compare"
    assert remedy(lines) == {"*": {"reference": "learn 1500 events"}}
    assert said(3_000, 20 * HOUR, remedy(lines)) == []
    assert said(3_000, 20 * HOUR, learned=False) == []  # one is given


def test_windows_that_a_short_table_cannot_fill() -> None:
    lines = said(3_000, HOUR // 2)
    assert lines[0] == "a window of 1h is longer than the table, so no window will be complete"
    assert said(3_000, HOUR // 2, remedy(lines)) == []


def test_a_reference_too_small_to_tell_changes_from_chance() -> None:
    assert of_reference(1_000) == []
    assert of_reference(40) == [
        "a reference of 40 events is small: only large changes can be told from chance. Take 1,000 or more"
    ]


def test_a_sparse_table_that_is_short() -> None:
    lines = said(400, 400 * HOUR)
    assert lines[:2] == [
        f"a window of {length} holds {held} events on average: too few to detect anything, and Driftline "
        "skips windows with fewer than 30"
        for length, held in (("10m", "0.17"), ("1h", "1"))
    ]
    assert remedy(lines) == {"*": {"windows": ["1w"], "pane": "1d", "reference": "learn 200 events"}}
    assert said(400, 400 * HOUR, remedy(lines)) == []
    assert "suits" not in said(100, 2_400 * HOUR)[-1]  # of so few nothing is to be had


def test_without_a_configuration_that_suits_none_is_named() -> None:
    assert said(52_560, 365 * DAY, {"*": {"windows": ["1h"], "season": "day", "timezone": "UTC"}}) == [
        "a window of 1h holds 6 events on average: too few to detect anything, and Driftline skips windows "
        "with fewer than 30"
    ]
    assert said(20, DAY) == []


@pytest.mark.parametrize(
    ("clocks", "told"), [({}, True), ({"timezone": "UTC"}, False), ({"timezone": "Europe/Oslo"}, False)]
)
def test_a_season_without_a_time_zone_is_told_to_go_by_utc(clocks: dict[str, str], told: bool) -> None:
    found = said(8_640_000, 100 * DAY, {"*": {"season": "day"}, "churn": clocks}, learned=False)
    assert [line.startswith("the hours of the season are in UTC") for line in found] == [True] * told


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ({}, 'tenant, region as segments; to do so, write {"segments": ["tenant", "region"]} * "*"'),
        ({"churn": {"segments": ["tenant"]}}, 'region as * {"segments": ["tenant", "region"]} * "churn"'),
        ({"*": {"segments": ["region", "tenant"]}}, None),
        ({"other": {"segments": ["region", "tenant"]}}, None),
    ],
)
def test_tags_that_the_configuration_does_not_name_are_told(models: dict[str, Any], told: str | None) -> None:
    found = unwatched(Settings.model_validate({"models": models}), "churn", ("tenant", "region"))
    assert len(found) == (told is not None)
    for line in found:
        assert fnmatchcase(line, f"Driftline does not watch the values of {str(told).replace('[', '[[]')}")


@pytest.mark.parametrize(
    ("delays", "model", "expected"),
    [
        ([DAY] * 10, {"awaits_labels": "1d"}, []),
        (
            [DAY, 3 * DAY],
            {"awaits_labels": "1d"},
            ["1 of 2 labels come later than awaits_labels .1d. .*write awaits_labels: 3d"],
        ),
        ([*[0] * 5_000, 9 * DAY], {"awaits_labels": "1d"}, ["1 of 5,001 labels come later .*Look at the clock"]),
        (
            [-2 * HOUR, 0],
            {"awaits_labels": "1d"},
            ["1 of 2 labels come earlier than early_labels .1h. .*write early_labels: 2h"],
        ),
        ([0], {"awaits_labels": None}, ["awaits no labels, so they count for nothing"]),
        (
            [0],
            {"awaits_labels": "1d", "performance": {"window": "40d"}},
            ["a window of performance is 40d, longer than"],
        ),
    ],
)
def test_labels_that_would_not_count_are_told_before(
    delays: list[int], model: dict[str, Any], expected: list[str]
) -> None:
    settings = Settings.model_validate({"models": {"churn": model}})
    found = of_labels(settings, "churn", np.array(delays, dtype=np.int64), 30 * DAY)
    assert len(found) == len(expected)
    for line, pattern in zip(found, expected, strict=True):
        assert re.search(pattern, line), line
