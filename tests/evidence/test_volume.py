"""Volume: one observation a window against the reference's own windows."""

from collections.abc import Callable

import numpy as np
import pytest

from driftline.evidence.seasons import Season
from driftline.evidence.volume import MAX_WINDOWS, Totals, Volume, VolumeEvidence, window_totals
from tests.oracle.volume import Volume as PlainVolume

RNG = np.random.default_rng(2)
HOUR = 3_600_000
ALLOWANCE = 0.05
THRESHOLD = np.log(4_320 / ALLOWANCE)
"""Of windows of ten minutes, one false alarm in thirty days."""


def totals_of(counts: list[int], pane_ms: int = 1000) -> Totals:
    held = [(place * pane_ms, count) for place, count in enumerate(counts) if count]
    starts, numbers = (np.array(part, dtype=np.int64) for part in zip(*held, strict=True))
    return Totals(pane_ms, starts, numbers)


def volume(counts: list[int], window_panes: int = 1, min_change: float = 0.25) -> Volume:
    return Volume(totals_of(counts), window_panes * 1000, min_change, ALLOWANCE)


def found_after(usual: Volume, counts: list[int]) -> int | None:
    """Return the number of the window with which a change is found, by one total alone or by evidence."""
    evidence = VolumeEvidence(usual)
    for number, count in enumerate(counts, 1):
        evidence.update(count, 0)
        if usual.is_steep(count, 0) or evidence.log_m >= THRESHOLD:
            return number
    return None


def test_quiet_panes_between_count_as_windows() -> None:
    totals = totals_of([1, 0, 0, 2])
    indices, sums = window_totals(totals, 1000)
    assert indices.tolist() == [0, 1, 2, 3]
    assert sums.tolist() == [1, 0, 0, 2]
    assert window_totals(totals, 2000)[1].tolist() == [1, 2]
    assert window_totals(totals, 3000)[1].tolist() == [1], "only whole windows"
    assert window_totals(totals, 8000)[1].tolist() == []


def test_thirty_windows_are_needed_or_ten_days() -> None:
    assert not volume([5] * 29).enough
    assert volume([5] * 30).enough
    assert not volume([5] * 30, window_panes=2).enough
    assert not volume([5] * 30, window_panes=60).enough
    days = totals_of([5] * 10, pane_ms=86_400_000)
    assert Volume(days, 86_400_000, 0.25, ALLOWANCE).enough
    assert not Volume(totals_of([5] * 9, pane_ms=86_400_000), 86_400_000, 0.25, ALLOWANCE).enough


@pytest.mark.parametrize(
    ("factor", "within"), [(0.0, 1), (0.3, 1), (0.5, 8), (3.0, 1), (1.7, 12), (0.9, None), (1.1, None), (1.02, None)]
)
def test_what_matters_is_found_soon_and_what_nobody_minds_never(factor: float, within: int | None) -> None:
    usual = volume(RNG.poisson(100, 144).tolist())
    found = found_after(usual, RNG.poisson(100 * factor, 2_000).tolist())
    assert found is None if within is None else found is not None and found <= within


@pytest.mark.parametrize(("count", "within"), [(102, None), (120, None), (200, 1), (50, 1), (70, 30), (150, 30)])
def test_a_constant_sender_may_send_a_little_more_or_less(count: int, within: int | None) -> None:
    found = found_after(volume([100] * 144), [count] * 2_000)
    assert found is None if within is None else found is not None and found <= within


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", ["nights", "weekends", "bursts"])
def test_what_the_reference_shows_by_itself_is_no_change(shape: str, seed: int) -> None:
    """A night that comes again, a weekend after a reference of one week, customers in bursts."""
    chance = np.random.default_rng(seed)

    def counts(windows: int) -> list[int]:
        at = np.arange(windows)
        if shape == "nights":
            level = 100 * (0.15 + 0.85 * 0.5 * (1 + np.sin(at / 144 * 2 * np.pi)))
        elif shape == "weekends":
            level = np.where(at // 144 % 7 >= 5, 20.0, 100.0)
        else:
            level = 100 * chance.lognormal(0, 0.5, windows)
        return [int(count) for count in chance.poisson(level)]

    reference = 7 * 144 if shape == "weekends" else 144
    assert found_after(volume(counts(reference)), counts(14 * 144)) is None


def test_a_little_more_is_told_where_all_matters() -> None:
    assert found_after(volume([100] * 144, min_change=0.0), [102] * 40) is not None


def test_the_oracle_has_the_same_limits_and_alternatives() -> None:
    for shape in (RNG.poisson(100, 144).tolist(), [100] * 60, [0, 5, 90] * 30):
        mine = volume(shape)
        plain = PlainVolume({k * 1000: n for k, n in enumerate(shape) if n}, 1000, 1000, 0.25, ALLOWANCE)
        for count in (0, 3, 60, 75, 100, 130, 400):
            assert mine.gains(count, 0).tolist() == pytest.approx(plain.gains(count), abs=1e-6)
            assert mine.is_steep(count, 0) == plain.is_steep(count)
            assert mine.is_usual(count, 0) == plain.is_usual(count)


@pytest.mark.parametrize("cut", [lambda counts: [3, *counts], lambda counts: [*counts, 3]])
def test_a_window_that_a_reference_begins_or_ends_in_hides_no_change(cut: Callable[[list[int]], list[int]]) -> None:
    """Panes are as long as windows, and of the outermost one a part alone was seen."""
    whole = RNG.poisson(100, 144).tolist()
    assert volume(cut(whole)).is_steep(20, 0)
    assert not volume([*whole[:70], 3, *whole[70:]]).is_steep(20, 0), "within it, so few are nothing new"
    plain = PlainVolume({at * 1000: n for at, n in enumerate(cut(whole))}, 1000, 1000, 0.25, ALLOWANCE)
    assert volume(cut(whole)).gains(50, 0).tolist() == pytest.approx(plain.gains(50), abs=1e-6)


def test_windows_that_wander_or_that_are_too_few_are_not_called_independent() -> None:
    """An alert about their number then does not say that its budget is guaranteed."""
    assert volume(RNG.poisson(50, 200).tolist()).independent
    wander = [100.0]
    while len(wander) < 200:
        wander.append(100 + 0.9 * (wander[-1] - 100) + RNG.normal(0, 10))
    assert not volume([round(total) for total in wander]).independent
    assert not volume([round(100 + 80 * np.sin(hour / 24 * 2 * np.pi)) for hour in range(240)]).independent
    assert not volume(RNG.poisson(50, 49).tolist()).independent


def test_the_same_hour_of_clocks_on_the_wall_is_usual() -> None:
    """Busy from 8 to 17 o'clock in Oslo, where clocks are put forward in the night to 29 March."""
    first = 1_772_323_200_000  # 2026-03-01, midnight UTC
    oslo = Season(24 * HOUR, "Europe/Oslo")
    hours = first + np.arange(24 * 21, dtype=np.int64) * HOUR
    busy = np.array([8 <= local % (24 * HOUR) // HOUR < 17 for local in oslo.local(hours, HOUR).tolist()])
    usual = Volume(Totals(HOUR, hours, np.where(busy, 180, 60), oslo), HOUR, 0.25, ALLOWANCE)
    seven = 1_774_767_600_000  # 7:00 UTC of that day, 9:00 in Oslo
    assert [usual.usual(seven - each * HOUR) for each in (0, 1, 2)] == [180, 180, 60]
    assert [usual.usual(seven - each * HOUR) for each in (24, 25)] == [180, 60], "on the day before"


def test_of_a_reference_that_one_wrong_date_makes_fifty_years_long_the_newest_windows_count() -> None:
    year = 365 * 86_400
    starts = np.concatenate([[0], 50 * year * 1000 + np.arange(40) * 1000])
    indices, sums = window_totals(Totals(1000, starts, np.array([1] + [5] * 40)), 1000)
    assert (len(indices), sums[-40:].tolist(), sums[:-40].sum()) == (MAX_WINDOWS, [5] * 40, 0)
