"""Rare bins: what counts as a change of them, and that alternatives about them are e-values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.evidence.evalues import Evidence
from driftline.evidence.rare import Rare, RareBins, relative_change
from driftline.sketches.keys import Floats

FRAUD = np.array([[0.998, 0.002]])


def _evidence(min_effect: float = 0.02, *, rare: bool = True, shares: Floats = FRAUD) -> Evidence:
    return Evidence(
        shares, np.array([86_400]), dispersion=np.ones(1), allowance=0.3, min_effect=min_effect,
        rare=RareBins.of(shares) if rare else None,
    )  # fmt: skip


def _days_until_told(share: float, evidence: Evidence, seed: int, most: int = 20) -> float:
    """Return after how many days of 24 windows of 257 events it is told, with one false alarm in 2,400 windows."""
    chance = np.random.default_rng(seed)
    for window in range(1, most * 24 + 1):
        fraud = chance.binomial(257, share)
        evidence.update(np.array([[257 - fraud, fraud]]))
        if evidence.log_m >= np.log(2_400):
            return window / 24
    return np.inf


def test_a_share_that_trebles_from_rare_is_told_in_days_and_one_that_vanishes_too() -> None:
    assert np.median([_days_until_told(0.006, _evidence(), seed) for seed in range(15)]) <= 3
    assert np.median([_days_until_told(0.012, _evidence(), seed) for seed in range(15)]) <= 1
    assert _days_until_told(0.0, _evidence(), 0) <= 10
    assert _days_until_told(0.006, _evidence(rare=False), 0) == np.inf


@pytest.mark.parametrize("share", [0.002, 0.0027, 0.0015])
def test_less_than_half_as_much_again_is_no_change(share: float) -> None:
    assert sum(_days_until_told(share, _evidence(), seed) < np.inf for seed in range(10)) <= 1


@given(
    counts=st.lists(st.integers(0, 3_000), min_size=2, max_size=8),
    effect=st.sampled_from([0.0, 0.005, 0.02, 0.3]),
    phi=st.sampled_from([1.0, 4.2]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_within_the_bounds_no_alternative_gains_on_average(
    counts: list[int], effect: float, phi: float, seed: int
) -> None:
    weights = np.array([counts]) + 0.5
    shares, size = weights / weights.sum(), np.array([max(sum(counts), 1)])
    everything = np.ones(shares.shape, dtype=np.bool_)
    rare = Rare(RareBins(everything, everything), shares, size, np.array([phi]), 0.01, effect)
    chance = np.random.default_rng(seed)
    for _ in range(5):
        true = shares * np.exp(np.clip(chance.normal(0, 0.3, shares.shape), -0.4, 0.4))
        true /= true.sum()
        one_event = np.exp(np.stack([rare.gains(np.eye(shares.shape[1])[k][None, :]) for k in range(shares.shape[1])]))
        mean = true[0] @ one_event
        up, down = rare.bounds
        within = np.concatenate([true[0] <= up, true[0] <= up, true[0] >= down])
        assert (mean[within] <= 1 + 1e-9).all()


def test_how_much_more_counts_follows_min_effect() -> None:
    assert relative_change(0.02) == 1.5
    assert relative_change(0.0) == 1.0
    assert np.isfinite(_days_until_told(0.0029, _evidence(0.0), 1, most=60))


def test_bins_that_are_not_rare_lose_nothing_and_the_others_little() -> None:
    shares = np.array([[0.7, 0.3]])
    plain, both = _evidence(rare=False, shares=shares), _evidence(shares=shares)
    assert plain.update(np.array([[60, 40]])).total == both.update(np.array([[60, 40]])).total


def test_what_they_know_is_stored() -> None:
    one, other = _evidence(), _evidence()
    one.update(np.array([[250, 7]]))
    other.restore(one.snapshot())
    assert other.update(np.array([[250, 7]])).total == one.update(np.array([[250, 7]])).total
    with pytest.raises(ValueError, match="reshape"):
        other.restore({**one.snapshot(), "rare": np.zeros(1)})


def test_an_incident_remembers_what_was_believed_of_a_rare_value_not_the_last_window() -> None:
    evidence = _evidence()
    for _ in range(24):
        evidence.update(np.array([[254, 3]]))
    evidence.update(np.array([[257, 0]]))
    assert evidence.lately(np.array([0]))[0, 1] > 2
