from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.config import ModelSettings, Settings, WindowSettings, format_duration
from driftline.config.panes import MAX_LENGTH, MIN_LENGTH, USUAL_LENGTH, pane_length


def model(**settings: object) -> ModelSettings:
    return ModelSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("windows", "pane_ms"),
    [
        (["10m", "1h"], 60_000),
        (["1m"], 6_000),
        (["90s", "1h"], 9_000),
        ([{"size": "1h", "every": "5m"}], 30_000),
        (["1h"], 60_000),
        (["6h"], 360_000),
        (["1d", "7d"], 24 * 60_000),
        (["30d"], 3_600_000),
        (["1s"], 1_000),
        (["7s"], 1_000),
    ],
)
def test_a_pane_is_the_longest_that_suits_the_windows(windows: list[object], pane_ms: int) -> None:
    assert model(windows=windows).pane_ms == pane_ms


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=4))
def test_a_derived_pane_divides_every_window_and_no_longer_one_would_do(seconds: list[int]) -> None:
    windows = [WindowSettings.model_validate(f"{size}s") for size in seconds]

    pane = pane_length(windows, None)

    common, least = gcd(*(window.size for window in windows)), min(window.size for window in windows)
    limit = max(MIN_LENGTH, min(least // 10, USUAL_LENGTH if least <= 60 * USUAL_LENGTH else least // 60))
    assert common % pane == 0
    assert MIN_LENGTH <= pane <= MAX_LENGTH
    assert not any(common % longer == 0 for longer in range(pane + 1000, limit + 1, 1000))


def test_a_given_pane_that_does_not_fit_is_refused_with_the_nearest_that_does() -> None:
    with pytest.raises(ValueError, match=r"7m does not divide 10m .*; the nearest that divides .* is 5m"):
        _ = model(windows=["10m", "1h"], pane="7m").pane_ms


@pytest.mark.parametrize("pane", ["10m", "30s", "250ms"])
def test_a_given_pane_that_fits_is_taken(pane: str) -> None:
    assert format_duration(model(windows=["10m", "1h"], pane=pane).pane_ms) == pane


def test_windows_that_no_pane_of_a_second_divides_are_refused() -> None:
    with pytest.raises(ValueError, match="no pane of 1s or more divides 1500ms"):
        _ = model(windows=["1500ms"]).pane_ms


def test_a_model_takes_from_the_common_settings_what_it_does_not_set_itself() -> None:
    settings = Settings.model_validate(
        {"models": {"*": {"windows": ["5m"], "min_events": 7}, "churn": {"windows": ["1h"], "segments": ["tenant"]}}}
    )

    churn, other = settings.model("churn"), settings.model("never heard of")

    assert (churn.windows[0].size, churn.min_events, churn.segments) == (3_600_000, 7, ("tenant",))
    assert (other.windows[0].size, other.min_events, other.segments) == (300_000, 7, ())
    assert settings.model("churn") is churn
    assert settings.model("unknown too") is other


def test_a_model_can_set_what_is_the_default_against_the_common_settings() -> None:
    settings = Settings.model_validate({"models": {"*": {"min_events": 7}, "churn": {"min_events": 30}}})

    assert settings.model("churn").min_events == 30
