"""Scores of panes are standard normal while the reference holds, whatever a signal's values look like."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from driftline.evidence.projection import Projection
from driftline.evidence.reference import Reference
from driftline.evidence.scores import MIN_EVENTS, Scores
from driftline.sketches.keys import Floats, Ints
from tests.evidence.columns import Column, reference_of, summarise

SCORES, SIGNALS = 40_000, 20
Draw = Callable[[np.random.Generator, int], Column]
SMOOTH: dict[str, Draw] = {
    "normal": lambda chance, n: chance.standard_normal(n),
    "lognormal": lambda chance, n: np.exp(chance.standard_normal(n)),
    "t3": lambda chance, n: chance.standard_t(3, n),
    "categories": lambda chance, n: [f"c{k}" for k in np.minimum(chance.zipf(1.5, n), 20)],
}


def projection_of(column: Column) -> Projection:
    return Projection(reference_of({"x": column}))


def scores_of(projection: Projection) -> Scores:
    return Scores(projection, np.ones(len(projection.signals)))


def vectors_of(projection: Projection, counts: Ints) -> Ints:
    """Return vectors of panes with these counts in the fine bins of the one signal there is."""
    vectors = np.zeros((len(counts), projection.width), dtype=np.int64)
    vectors[:, projection.fine_bounds[1] : projection.fine_bounds[2]] = counts
    return vectors


def drawn(column: Column, n: int) -> Floats:
    """Return scores of SCORES panes of n values each, drawn from the reference: of SIGNALS that are alike at a time."""
    projection = Projection(reference_of({f"x{number}": column for number in range(SIGNALS)}))
    held = projection.fine(projection.reference)[: projection.fine_bounds[2]]
    counts = np.random.default_rng(n).multinomial(n, held / held.sum(), size=(SCORES // SIGNALS, SIGNALS))
    vectors = np.zeros((len(counts), projection.width), dtype=np.int64)
    vectors[:, : SIGNALS * len(held)] = counts.reshape(len(counts), -1)
    scores = scores_of(projection)
    return np.array([scores.of(vector)[1:] for vector in vectors]).ravel()


@pytest.mark.parametrize("n", [10, 50, 1_000])
@pytest.mark.parametrize("shape", SMOOTH)
def test_they_are_standard_normal_where_values_are_many(shape: str, n: int) -> None:
    found = drawn(SMOOTH[shape](np.random.default_rng(5), 5_000), n)
    assert found.mean() == pytest.approx(0, abs=4 / SCORES**0.5 + 0.01)
    assert found.var() == pytest.approx(1, abs=4 * (2 / SCORES) ** 0.5 + 0.01)
    for limit in (1.0, 2.0, 3.0):
        share = norm.sf(limit)
        deviation = (share / SCORES) ** 0.5
        assert (found > limit).mean() == pytest.approx(share, abs=4 * deviation + 0.05 * share)
        assert (found < -limit).mean() == pytest.approx(share, abs=4 * deviation + 0.05 * share)


@pytest.mark.parametrize(
    ("rate", "n"), [(0.3, 10), (0.3, 50), (0.3, 1_000), (0.01, 10), (0.01, 50), (0.01, 1_000), (0.0001, 100_000)]
)
def test_where_values_are_few_they_are_at_the_middle_of_each_jump(rate: float, n: int) -> None:
    ones = round(200_000 * rate)
    projection = projection_of(np.repeat([0.0, 1.0], [200_000 - ones, ones]))
    k = np.arange(n + 1)[binom.pmf(np.arange(n + 1), n, rate) > 1e-7]
    shares = binom.pmf(k, n, rate)
    scores = scores_of(projection)
    found = np.array([scores.of(vector)[1] for vector in vectors_of(projection, np.stack([n - k, k], axis=1))])
    middle = norm.ppf(binom.cdf(k, n, rate) - shares / 2)
    usual = shares > 1e-5
    assert found[usual] == pytest.approx(middle[usual], abs=0.35 if n * rate < 1 else 0.12)
    mean = (found * shares).sum()
    assert abs(mean) < 0.11
    assert ((found - mean) ** 2 * shares).sum() < 1.01


@given(st.integers(0, 2**32), st.sampled_from([2, 3, 8, 40]), st.integers(MIN_EVENTS, 3_000))
def test_a_score_rises_with_any_value_of_the_pane(seed: int, values: int, n: int) -> None:
    chance = np.random.default_rng(seed)
    held = chance.multinomial(2_000, chance.dirichlet(np.full(values, 0.3))) + 5
    projection = projection_of(np.repeat(np.exp(chance.standard_normal(values)), held))
    bins = projection.fine_bounds[2] - projection.fine_bounds[1]
    pane = chance.multinomial(n, chance.dirichlet(np.full(bins, 0.2)))
    below = chance.choice(np.flatnonzero(pane))
    higher = pane.copy()
    higher[below] -= 1
    higher[chance.integers(below, bins)] += 1
    scores = scores_of(projection)
    before, after = (scores.of(vector)[1] for vector in vectors_of(projection, np.stack([pane, higher])))
    assert before <= after


def test_they_are_the_same_from_a_stored_reference() -> None:
    chance = np.random.default_rng(8)
    reference = reference_of({name: draw(chance, 3_000) for name, draw in SMOOTH.items()})
    again = Reference.decode(reference.encode())
    first, second = (scores_of(Projection(each)) for each in (reference, again))
    for n in (10, 77, 500):
        summary = summarise({name: draw(chance, n) for name, draw in SMOOTH.items()})
        assert np.array_equal(
            first.of(Projection(reference).project(summary)),
            second.of(Projection(again).project(summary)),
            equal_nan=True,
        )


def test_they_move_with_the_signal_and_less_where_panes_vary_more() -> None:
    chance = np.random.default_rng(3)
    columns: dict[str, Column] = {
        "num": chance.standard_normal(20_000),
        "cat": [f"c{k}" for k in chance.geometric(0.4, 20_000)],
    }
    projection = Projection(reference_of(columns))
    moved: dict[str, Column] = {
        "num": chance.standard_normal(50) + 1,
        "cat": [f"c{k}" for k in chance.geometric(0.1, 50)],
    }
    vector = projection.project(summarise(moved))
    found = Scores(projection, np.ones(3)).of(vector)
    assert np.isnan(found[0])
    assert (found[1:] > 3).all()
    assert Scores(projection, np.array([1.0, 4.0, 9.0])).of(vector)[1:] == pytest.approx(found[1:] / [2, 3], abs=1e-5)


def test_what_the_reference_never_saw_counts_as_far_as_its_rarest_or_further() -> None:
    projection = projection_of(["yes"] * 900 + ["no"] * 100)
    scores = scores_of(projection)
    rare, unseen = (
        scores.of(projection.project(summarise({"x": ["yes"] * 10 + [name] * 10})))[1] for name in ("no", "maybe")
    )
    assert 3 < rare <= unseen


def test_a_pane_with_few_values_has_no_score_and_one_of_what_never_varies_has_none_to_speak_of() -> None:
    projection = projection_of(np.random.default_rng(1).standard_normal(500))
    scores = scores_of(projection)
    assert np.isnan(scores.of(projection.project(summarise({"x": [1.0] * (MIN_EVENTS - 1)})))[1])
    assert np.isfinite(scores.of(projection.project(summarise({"x": [1e300] * MIN_EVENTS})))[1])
    constant = projection_of(np.full(500, 3.0))
    assert scores_of(constant).of(constant.project(summarise({"x": [3.0] * MIN_EVENTS})))[1] == 0.0
