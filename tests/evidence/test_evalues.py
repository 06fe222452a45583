"""E-values: valid for every distribution within the ball, quick for those outside, exact over a restart."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from driftline.evidence.alternatives import TILTS, Dirichlets, Fixed, Past, tilts
from driftline.evidence.ball import ball_radius, most_likely
from driftline.evidence.evalues import FADING, Evidence, log_mean_rows
from driftline.sketches.keys import Floats, Ints
from tests.oracle.evidence import likeliest

EDGES = norm.ppf([0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])


def normal_shares(shift: float = 0.0) -> Floats:
    """Return the shares of twelve bins of the standard normal when the mean moves by `shift`."""
    return np.diff(np.concatenate(([0.0], norm.cdf(EDGES - shift), [1.0])))


def learned(chance: np.random.Generator, signals: int, size: int) -> Floats:
    """Return shares as a reference of `size` values estimates them."""
    counts = chance.multinomial(size, normal_shares(), size=signals) + 0.5
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def on_the_ball(shares: Floats, eta2: float) -> Floats:
    """Return the shares of a shift with χ² distance η² from `shares`."""
    away = normal_shares(0.7) / normal_shares() - 1
    away -= (shares * away).sum()
    return np.asarray(shares * (1 + away * np.sqrt(eta2 / (shares * away**2).sum())))


@pytest.mark.parametrize("eta2", [0.0, 0.02, 0.1])
def test_the_mean_e_value_is_at_most_one_on_the_ball(eta2: float) -> None:
    chance = np.random.default_rng(4)
    rows = 20_000
    shares = np.tile(normal_shares(), (rows, 1))
    sizes = np.full(rows, 10**9)
    evidence = Evidence(shares, sizes, dispersion=np.ones(rows), allowance=1.0, min_effect=max(eta2, 1e-9))
    truth = on_the_ball(normal_shares(), eta2)
    for _ in range(3):  # the third window is met with what the first two taught
        found = evidence.update(chance.multinomial(40, truth, size=rows))
    values = np.exp(found.window)
    assert values.mean() <= 1 + 4 * values.std() / np.sqrt(rows)


@pytest.mark.parametrize(("signals", "runs"), [(10, 30), (100, 8)])
def test_false_alarms_stay_within_the_budget(signals: int, runs: int) -> None:
    chance = np.random.default_rng(6)
    windows, budget = 60, 0.5  # half an alarm a run would be allowed
    alarms = 0
    for _ in range(runs):
        sizes = np.full(signals, 2000)
        evidence = Evidence(
            learned(chance, signals, 2000), sizes, dispersion=np.ones(signals), allowance=budget, min_effect=0.0
        )
        for _ in range(windows):
            evidence.update(chance.multinomial(100, normal_shares(), size=signals))
            if evidence.log_m >= np.log(windows / budget):
                alarms += 1
                evidence.reset()
    assert alarms <= budget * runs * 0.2, "the bound is not tight: a fifth of the budget is much already"


def test_windows_that_depend_on_one_another_are_tempered() -> None:
    chance = np.random.default_rng(7)
    signals, phi = 10, 19.0  # AR(.9): (1 + .9)/(1 - .9)
    shares, sizes = np.tile(normal_shares(), (signals, 1)), np.full(signals, 50_000)
    evidence = Evidence(shares, sizes, dispersion=np.full(signals, phi), allowance=0.1)
    bold = Evidence(shares, sizes, dispersion=np.ones(signals), allowance=0.1)
    highest = {"tempered": -np.inf, "bold": -np.inf}
    level = chance.standard_normal(signals)
    for _ in range(100):
        values = np.empty((100, signals))
        for row in values:
            level = 0.9 * level + np.sqrt(1 - 0.81) * chance.standard_normal(signals)
            row[:] = level
        counts = np.stack([np.bincount(np.searchsorted(EDGES, column), minlength=12) for column in values.T])
        for name, each in (("tempered", evidence), ("bold", bold)):
            each.update(counts)
            highest[name] = max(highest[name], each.log_m)
    assert highest["tempered"] < np.log(1000)
    assert highest["bold"] > np.log(1000), "the data would have raised an alarm"


@pytest.mark.parametrize(
    ("shift", "effect", "most"), [(0.25, 0.0, 12), (0.25, 0.02, 34), (0.5, 0.0, 4), (0.5, 0.02, 4), (1.0, 0.02, 1)]
)
@pytest.mark.parametrize("signals", [10, 100])
def test_a_shift_of_one_signal_is_found_soon(shift: float, effect: float, most: int, signals: int) -> None:
    """Windows of 100 events, median of 15 runs. Without tilts the shift by .25 took 43 windows at min_effect .02."""
    chance = np.random.default_rng(9)
    delays = []
    for _ in range(15):
        evidence = Evidence(
            learned(chance, signals, 50_000), np.full(signals, 50_000), dispersion=np.ones(signals), allowance=0.1,
            min_effect=effect,
        )  # fmt: skip
        for window in itertools.count(-5):
            counts = chance.multinomial(100, normal_shares(), size=signals)
            if window >= 0:
                counts[0] = chance.multinomial(100, normal_shares(shift))
            found = evidence.update(counts)
            if evidence.log_m >= np.log(3000):
                break
        assert np.argmax(found.total) == 0
        delays.append(window + 1)
    assert 0 < np.median(delays) <= most


def test_a_value_that_never_was_is_seen_at_once() -> None:
    shares = np.array([[0.999, 0.0005, 0.0005]])
    evidence = Evidence(shares, np.array([10_000]), dispersion=np.ones(1), allowance=0.1)
    evidence.update(np.array([[100, 0, 0]]))
    assert evidence.log_m < 2
    evidence.update(np.array([[60, 40, 0]]))
    assert evidence.log_m > 20


@given(
    st.integers(2, 12), st.sampled_from([1, 5, 30, 200, 3_000]), st.sampled_from([1.0, 4.2]), st.floats(1e-4, 6.0),
    st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=100)
def test_the_denominator_is_above_everything_in_the_ball_and_tight(
    bins: int, size: int, dispersion: float, eta2: float, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.ones(bins)) * 0.999 + 0.001 / bins
    counts = chance.multinomial(size, shares if seed % 2 else chance.dirichlet(np.ones(bins))) / dispersion
    bound = float(most_likely(counts[None, :], shares[None, :], np.array([eta2]))[0])
    for _ in range(20):
        away = chance.standard_normal(bins)
        away -= (shares * away).sum()
        away *= np.sqrt(eta2 / (shares * away**2).sum()) * chance.random()
        inside = shares * (1 + away)
        if (inside > 0).all():
            assert (counts * np.log(inside)).sum() <= bound + 1e-9
    assert -1e-9 <= bound - likeliest(counts.tolist(), shares.tolist(), eta2) <= 1e-4


@pytest.mark.parametrize(
    ("counts", "shares", "eta2"),
    [
        ([1 / 4.2, 4 / 4.2, 0, 0], [0.2445, 0.5363, 0.1065, 0.1127], 0.3),
        ([0, 1, 0, 1, 0, 0], [0.1328, 0.2664, 0.1274, 0.1529, 0.1589, 0.1616], 1.5),
        ([0, 7.143, 4.524, 0.238], [0.0048, 0.596, 0.3947, 0.0045], 0.05),
    ],
    ids=["a step across a = 1", "a bisection", "a long step"],
)
def test_the_denominators_search_does_not_end_with_a_step_that_leads_astray(
    counts: list[float], shares: list[float], eta2: float
) -> None:
    bound = float(most_likely(np.array([counts]), np.array([shares]), np.array([eta2]))[0])
    assert -1e-9 <= bound - likeliest(counts, shares, eta2) <= 1e-5


def test_dirichlet_mixtures_are_probabilities_of_sequences() -> None:
    alphas = np.array([[[0.3, 1.2, 0.5]]])
    total = sum(
        np.exp(Dirichlets(alphas).log_likelihood(np.bincount(sequence, minlength=3)[None, :].astype(float))[0, 0])
        for sequence in itertools.product(range(3), repeat=5)
    )
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("shares", [[0.2, 0.3, 0.5], [0.9, 0.1, 0.0], [0.01, 0.98, 0.01]])
def test_tilts_are_distributions_either_way_whose_mean_e_value_is_at_most_one(shares: list[float]) -> None:
    p, radius = np.array([shares]), np.array([0.05])
    away = tilts(p, radius)
    assert away.shape == (TILTS, 1, 3)
    assert (p * away).sum(axis=-1) == pytest.approx(0.0, abs=1e-12)
    assert (away > -1).all()
    assert away[0, 0, 0] < 0 < away[1, 0, 0], "more of the highest bin, then more of the lowest"
    each = np.array([np.exp(Fixed(away, p, radius).log_ratio(np.eye(3)[k][None, :]))[:, 0] for k in range(3)]).T
    angles = np.linspace(0, 2 * np.pi, 200)
    for direction in _unit_directions(p[0], angles):
        edge = p[0] * (1 + np.sqrt(0.05) * direction)
        if (edge >= 0).all():
            assert (each @ edge).max() <= 1 + 1e-12
    counts = np.array([7.0, 3.0, 0.0])
    deviation = np.sqrt((p[0] * away[:, 0] ** 2).sum(axis=1))
    expected = np.log1p(away[:, 0]) @ counts - 10 * np.log1p(np.sqrt(0.05) * deviation)
    assert Fixed(away, p, radius).log_ratio(counts[None, :])[:, 0] == pytest.approx(expected)


def _unit_directions(p: Floats, angles: Floats) -> list[Floats]:
    """Return directions v of mean 0 and variance 1 under p, all around."""
    first = np.where(p > 0, np.array([1.0, 2.0, 4.0]), 0.0)
    second = np.where(p > 0, np.array([1.0, -1.0, 0.5]), 0.0)
    basis: list[Floats] = []
    for vector in (first, second):
        vector = np.where(p > 0, vector - (p * vector).sum(), 0.0)
        for held in basis:
            vector = vector - (p * vector * held).sum() * held
        size = np.sqrt((p * vector**2).sum())
        if size > 1e-9:
            basis.append(vector / size)
    second = basis[1] if len(basis) > 1 else np.zeros(3)
    return [np.cos(angle) * basis[0] + np.sin(angle) * second for angle in angles]


def test_ratios_of_past_alternatives_have_mean_at_most_one_exactly() -> None:
    """Every sequence of four events, its probability on the ball's edge times its e-value: the sum is the mean."""
    shares = np.array([0.2, 0.3, 0.5])
    radius = np.array([0.05])
    past = Past(shares[None, :], radius)
    past.add(np.array([[50.0, 30.0, 20.0]]))
    direction = np.array([0.5, 0.3, 0.2]) / shares - 1
    d, n = np.sqrt((shares * direction**2).sum()), 100
    part = 1 - np.sqrt(0.05) / d - (3 - 1) / (n * d**2)
    assert part > 0.5
    once = past.log_ratio(np.array([[1.0, 0.0, 0.0]]))
    assert once[:, 0] == pytest.approx(np.log1p(part * direction[0]) - np.log1p(np.sqrt(0.05) * part * d))
    truth = shares * (1 + direction * np.sqrt(0.05 / (shares * direction**2).sum()))
    mean = 0.0
    for sequence in itertools.product(range(3), repeat=4):
        counts = np.bincount(sequence, minlength=3)[None, :].astype(float)
        mean += np.prod(truth[list(sequence)]) * np.exp(past.log_ratio(counts)[0, 0])
    assert mean == pytest.approx(1.0)  # the direction is the worst one, so the bound is met


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=8, max_size=8), min_size=1, max_size=6), st.integers(0, 5))
@settings(deadline=None)
def test_a_restart_changes_no_bit(windows: list[list[int]], cut: int) -> None:
    shares = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.25, 0.25, 0.0]])

    def fresh() -> Evidence:
        return Evidence(shares, np.array([1000, 800]), dispersion=np.array([1.0, 2.5]), allowance=0.1)

    def counts(window: list[int]) -> Ints:
        return np.array(window, dtype=np.int64).reshape(2, 4) * (shares > 0)

    through, stopped = fresh(), fresh()
    for number, window in enumerate(windows):
        if number == cut:
            snapshot = stopped.snapshot()
            stopped = fresh()
            stopped.restore(snapshot)
        through.update(counts(window))
        stopped.update(counts(window))
    assert through.log_m == stopped.log_m
    assert np.isfinite(through.log_m)
    for name, array in through.snapshot().items():
        assert array.tobytes() == stopped.snapshot()[name].tobytes()


def test_a_window_without_values_says_nothing() -> None:
    evidence = Evidence(np.array([[0.5, 0.5]]), np.array([100]), dispersion=np.ones(1), allowance=0.1)
    assert evidence.log_m == -np.inf
    found = evidence.update(np.zeros((1, 2), dtype=np.int64))
    assert found.window.tolist() == pytest.approx([0.0], abs=1e-6)
    assert evidence.log_m == pytest.approx(-1 / FADING, abs=1e-6)
    evidence.reset()
    assert evidence.log_m == -np.inf


def test_windows_that_say_nothing_never_add_up_to_an_alarm() -> None:
    evidence = Evidence(np.array([[0.99998, 1e-5, 1e-5]]), np.array([50_000]), dispersion=np.ones(1), allowance=0.1)
    for _ in range(1000):
        evidence.update(np.array([[100, 0, 0]]))
    assert evidence.log_m < np.log(FADING)


def test_the_ball_covers_sampling_error_effect_and_dispersion() -> None:
    shares = np.tile(normal_shares(), (10, 1))
    sizes = np.full(10, 1000)
    plain = ball_radius(shares, sizes, np.ones(10), 0.1, 0.0)
    assert plain[0] == pytest.approx(0.0312641, rel=1e-3)  # the 99.9 % quantile of χ²(11) is 31.264
    assert ball_radius(shares, sizes, np.full(10, 3.0), 0.1, 0.0)[0] == pytest.approx(3 * plain[0])
    assert ball_radius(shares, np.full(10, 10**7), np.ones(10), 0.1, 0.02)[0] == 0.02


def test_log_means() -> None:
    logs = np.array([[0.0, -np.inf], [np.log(3), -np.inf]])
    assert log_mean_rows(logs).tolist() == pytest.approx([np.log(2), -np.inf])
