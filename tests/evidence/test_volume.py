"""Volume: one observation a window against the reference's own windows."""

from dataclasses import replace

import numpy as np

from driftline.evidence.evalues import Evidence
from driftline.evidence.volume import MOST_WINDOWS, VolumeBins, window_totals
from tests.evidence.columns import reference_of

RNG = np.random.default_rng(2)


def volume(totals: list[int], window_panes: int = 1) -> VolumeBins:
    reference = reference_of(*({"x": [1.0] * total} for total in totals), pane_ms=1000)
    return VolumeBins(reference, window_panes * 1000)


def test_quiet_panes_between_count_as_windows() -> None:
    reference = reference_of({"x": [1.0]}, {"x": []}, {"x": []}, {"x": [1.0, 2.0]}, pane_ms=1000)
    indices, totals = window_totals(reference, 1000)
    assert indices.tolist() == [0, 1, 2, 3]
    assert totals.tolist() == [1, 0, 0, 2]
    assert window_totals(reference, 2000)[1].tolist() == [1, 2]
    assert window_totals(reference, 3000)[1].tolist() == [1], "only whole windows"
    assert window_totals(reference, 8000)[1].tolist() == []


def test_thirty_windows_are_needed() -> None:
    assert not volume([5] * 29).enough
    assert volume([5] * 30).enough
    assert not volume([5] * 30, window_panes=2).enough
    assert not volume([5] * 30, window_panes=60).enough


def test_every_total_has_a_bin_of_its_size() -> None:
    bins = volume(RNG.poisson(50, 200).tolist())
    assert bins.shares.sum() == 1.0
    assert bins.counts(0, 0)[0].tolist() == [1] + [0] * (bins.shares.shape[1] - 1)
    assert bins.counts(10**9, 0)[0, -1] == 1
    assert bins.counts(1, 0)[0, 1] == 1
    assert 40 < bins.usual(0) < 60


def test_silence_is_found_and_the_usual_is_not() -> None:
    bins = volume(RNG.poisson(50, 200).tolist())
    evidence = Evidence(bins.shares, bins.sizes, dispersion=bins.dispersion, allowance=0.1)
    for total in RNG.poisson(50, 100).tolist():
        evidence.update(bins.counts(total, 0))
        assert evidence.log_m < np.log(1000)
    quiet = 0
    while evidence.log_m < np.log(1000):
        evidence.update(bins.counts(0, 0))
        quiet += 1
        assert quiet < 7


def test_windows_that_wander_or_that_are_too_few_are_not_called_independent() -> None:
    """An alert about their number then does not say that its budget is guaranteed."""
    assert volume(RNG.poisson(50, 200).tolist()).independent
    wander = [100.0]
    while len(wander) < 200:
        wander.append(100 + 0.9 * (wander[-1] - 100) + RNG.normal(0, 10))
    assert not volume([round(total) for total in wander]).independent
    assert not volume([round(100 + 80 * np.sin(hour / 24 * 2 * np.pi)) for hour in range(240)]).independent
    assert not volume(RNG.poisson(50, 49).tolist()).independent


def test_a_daily_rhythm_is_dispersion() -> None:
    rhythm = [round(100 + 80 * np.sin(hour / 24 * 2 * np.pi)) for hour in range(240)]
    assert volume(rhythm).dispersion[0] > 2
    assert volume(RNG.permutation(rhythm).tolist()).dispersion[0] < 1.5


def test_of_a_reference_that_one_wrong_date_makes_fifty_years_long_the_newest_windows_count() -> None:
    year = 365 * 86_400
    reference = reference_of({"x": [1.0]}, *[{"x": [1.0] * 5}] * 40, pane_ms=1000)
    longer = replace(reference, pane_starts=np.concatenate([[0], reference.pane_starts[1:] + 50 * year * 1000]))
    indices, totals = window_totals(longer, 1000)
    assert (len(indices), totals[-40:].tolist(), totals[:-40].sum()) == (MOST_WINDOWS, [5] * 40, 0)
