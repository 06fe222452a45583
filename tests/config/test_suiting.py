from typing import Any

import numpy as np
import pytest

from driftline.config import Settings
from driftline.config.durations import format_duration
from driftline.config.suiting import DAY, HOUR, MINUTE, as_models, awaiting, suited


def chosen(events: int, span_ms: int, models: dict[str, Any] | None = None) -> dict[str, Any]:
    return as_models(suited(Settings.model_validate({"models": models or {}}), events, span_ms)[1])


@pytest.mark.parametrize(
    ("every_ms", "expected"),
    [
        (50, {}),  # a pane of a minute holds 1,200
        (100, {"pane": "2m"}),
        (1_000, {"pane": "10m"}),  # 600: as long as the shorter window
        (10_000, {"pane": "10m"}),
        (20_000, {"windows": ["1h"], "pane": "1h"}),  # 10m holds 30
        (MINUTE, {"windows": ["1h"], "pane": "1h"}),
        (2 * MINUTE, {"windows": ["1d"], "pane": "2h"}),  # a twelfth of the day that a reference is learned from
        (3 * MINUTE, {"windows": ["1w"], "pane": "3h"}),  # a day holds 480
        (10 * MINUTE, {"windows": ["1w"], "pane": "12h"}),  # of a thousand events, seven days
        (6 * HOUR, {"windows": ["90d"], "pane": "1d"}),  # the longest that fits, though it holds 360
        (30 * DAY, {}),  # none holds 30 and fits
    ],
)
def test_the_rule(every_ms: int, expected: dict[str, Any]) -> None:
    assert chosen(366 * DAY // every_ms, 366 * DAY) == ({"*": expected} if expected else {})


def test_what_is_configured_stays() -> None:
    sparse = (52_560, 365 * DAY)

    assert chosen(*sparse, {"*": {"windows": ["1d"], "pane": "1h"}}) == {}
    assert chosen(*sparse, {"*": {"windows": ["1d"]}}) == {"*": {"pane": "12h"}}
    assert chosen(*sparse, {"*": {"pane": "10m"}}) == {}
    assert chosen(*sparse, {"*": {"season": "week"}}) == {}
    assert chosen(*sparse, {"churn": {"min_effect": 0.1}}) == {"*": {"windows": ["1w"], "pane": "12h"}}
    assert chosen(*sparse, {"churn": {"windows": ["1d"]}}) == {
        "*": {"windows": ["1w"], "pane": "12h"},
        "churn": {"pane": "12h"},
    }


def test_settings_with_what_was_chosen_are_used_as_if_written() -> None:
    settings = Settings.model_validate({"models": {"churn": {"min_effect": 0.1}}})
    assert settings.model("churn").pane_ms == MINUTE  # what is worked out once is not carried over

    found, _ = suited(settings, 52_560, 365 * DAY)

    assert (found.model("churn").pane_ms, found.model("churn").min_effect) == (12 * HOUR, 0.1)
    assert [window.size for window in found.model("any").windows] == [7 * DAY]
    assert found == Settings.model_validate(
        {"models": {"*": {"windows": ["1w"], "pane": "12h"}, "churn": {"min_effect": 0.1}}}
    )


@pytest.mark.parametrize(("every", "windows"), [(0, ["1h"]), (12 * HOUR, ["1d"]), (DAY, ["1d"]), (7 * DAY, ["1w"])])
def test_no_window_is_shorter_than_from_one_batch_to_the_next(every: int, windows: list[str]) -> None:
    found, _ = suited(Settings.model_validate({}), 48_000, 40 * DAY, every_ms=every)
    assert [format_duration(window.size) for window in found.model("m").windows] == windows


@pytest.mark.parametrize(
    ("groups", "windows"),
    [
        ((), ["1h"]),
        ((7_000, 200), ["1h"]),  # the second one has less than 5 %
        ((3_600, 3_600), None),  # a window of an hour holds 50 of each
        ((5_760, 1_440), ["1h", "6h"]),
        ((6_840, 360), ["1h", "6h"]),  # holds 30; those that hold 100 do not fit four times
        ((7_200,), ["1h"]),
    ],
)
def test_segments_and_versions_get_a_window_that_holds_enough_of_them(
    groups: tuple[int, ...], windows: list[str] | None
) -> None:
    found, _ = suited(Settings.model_validate({}), 7_200, 3 * DAY, groups)
    assert [format_duration(window.size) for window in found.model("m").windows] == (windows or ["1h"])


def test_windows_that_are_configured_stay_however_small_segments_are() -> None:
    settings = Settings.model_validate({"models": {"*": {"windows": ["1h"]}}})
    found, _ = suited(settings, 7_200, 3 * DAY, (6_000, 1_200))
    assert [window.size for window in found.model("m").windows] == [HOUR]


@pytest.mark.parametrize(
    ("delays", "model", "expected"),
    [
        ([0] * 10, {}, {"awaits_labels": "1h"}),
        ([30 * DAY] * 10, {}, {"awaits_labels": "30d"}),
        ([*[DAY] * 2_000, 900 * DAY], {}, {"awaits_labels": "1d"}),  # one clock is wrong
        ([*[DAY] * 20, 900 * DAY], {}, {"awaits_labels": "1095d"}),
        ([-9 * HOUR, 5 * DAY], {}, {"awaits_labels": "1w", "early_labels": "1d"}),  # of some only the day is known
        ([-9 * DAY, 5 * DAY], {}, {"awaits_labels": "1w"}),
        ([], {}, {"awaits_labels": "1h"}),
        ([80 * DAY], {"awaits_labels": "7d"}, {}),
        ([80 * DAY], {"performance": {"window": "1d"}}, {"awaits_labels": "64d"}),
    ],
)
def test_labels_are_awaited_until_they_have_come(delays: list[int], model: dict[str, Any], expected: Any) -> None:
    settings = Settings.model_validate({"models": {"*": model}})
    found, chosen = awaiting(settings, "*", np.array(delays, dtype=np.int64))
    assert as_models(chosen) == ({"*": expected} if expected else {})
    assert found == Settings.model_validate({"models": {"*": {**model, **expected}}})
    assert found.model("churn").performance_ms > 0


def test_a_pane_divides_the_windows_of_performance() -> None:
    models = {"*": {"performance": {"window": "6h"}}}
    assert chosen(52_560, 365 * DAY, models) == {"*": {"windows": ["1w"], "pane": "6h"}}
