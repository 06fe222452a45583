"""The published figures that are cheap enough to check each time; `make detection` checks them all."""

from functools import partial

import numpy as np
import pytest
from river.drift import PageHinkley

from driftline.detection.abrupt import Unreset, adwin, by_budget, by_river, episodes, java_doubles, stream
from driftline.detection.control import control_charts
from driftline.detection.rivals import PageHinkleys, kswin_default, kswin_statistics
from driftline.evidence.charts import cusum_arl, ewma_arl, limit_for


def test_control_charts_have_the_published_run_lengths() -> None:
    assert all(control_charts().targets.values())


@pytest.mark.parametrize("arl", [20.0, 5_000.0, 0.9e9])
def test_a_limit_gives_the_run_length_it_was_made_for(arl: float) -> None:
    for run_length in (cusum_arl, ewma_arl):
        assert run_length(limit_for(arl, run_length)) == pytest.approx(arl, rel=1e-3)


def test_limits_end_where_the_equation_does() -> None:
    slow = partial(cusum_arl, slack=0.25)
    assert limit_for(1e300, slow) == limit_for(1e9, slow)
    assert slow(limit_for(1e9, slow)) == pytest.approx(1e9, rel=1e-3)


def test_run_lengths_are_those_of_simulated_charts() -> None:
    chance = np.random.default_rng(1)
    up, down, ran = np.zeros(4000), np.zeros(4000), np.zeros(4000)
    left = np.ones(4000, dtype=np.bool_)
    while left.any():
        x = chance.standard_normal(4000) + 0.5
        up, down = np.maximum(0, up + x - 0.5), np.maximum(0, down - x - 0.5)
        ran += left
        left &= (up <= 4) & (down <= 4)
    assert ran.mean() == pytest.approx(cusum_arl(4.0, shift=0.5), rel=0.05)


def test_the_generator_is_java_util_random() -> None:
    assert java_doubles(1, 2) == [0.7308781907032909, 0.41008081149220166]
    assert sum(stream(1)[:999]) == pytest.approx(200, abs=40)


def test_adwin_detects_where_moa_said_when_it_is_not_reset() -> None:
    reset = [episodes(by_river(adwin, seed)) for seed in (1, 2, 3)]
    kept = [episodes(by_river(lambda: Unreset(delta=0.002), seed)) for seed in (1, 2, 3)]  # type: ignore[no-untyped-call]
    assert [delay for delay, _ in reset] == [delay for delay, _ in kept]
    assert [false for _, false in reset] == [0, 0, 0]
    assert sum(false for _, false in kept) > 0, "its cuts of one change count as alarms"


def test_the_evidence_finds_the_abrupt_change_soon_and_nothing_else() -> None:
    found = [episodes(each) for each in by_budget(10)]
    assert [false for _, false in found] == [0] * 10
    assert np.mean([delay for delay, _ in found]) < 30


def test_many_page_hinkleys_are_rivers() -> None:
    chance = np.random.default_rng(2)
    values = chance.standard_normal((400, 3)) + (np.arange(400) > 200)[:, None]
    many = PageHinkleys(3)
    passed = np.array([many.update(row) > 20.0 for row in values])
    for column in range(3):
        one = PageHinkley(threshold=20.0)
        alarms = []
        for value in values[:, column].tolist():
            one.update(value)  # type: ignore[no-untyped-call]
            alarms.append(one.drift_detected)
        assert alarms.index(True) == int(passed[:, column].argmax())


def test_many_kswins_have_its_statistic() -> None:
    from scipy.stats import ks_2samp

    chance = np.random.default_rng(3)
    window = np.round(chance.standard_normal((50, 100)), 1)  # with ties
    found = kswin_statistics(window, np.random.default_rng(4))
    drawn = np.argpartition(np.random.default_rng(4).random((50, 70)), 30, axis=1)[:, :30]
    for row, statistic in enumerate(found.tolist()):
        assert statistic == pytest.approx(ks_2samp(window[row, drawn[row]], window[row, 70:], method="asymp").statistic)
    assert 0.3 < kswin_default() < 0.6
