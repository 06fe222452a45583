"""Metrics of labels that come for some scores only are mended where they can be, and refused where they cannot."""

import numpy as np
import pytest

from driftline.performance import classification, regression
from driftline.performance.outcomes import WAITING, classified, labelled, regressed
from driftline.performance.selective import SelectionVerdict, completeness, judged, reweighted, strata
from driftline.performance.tally import Tally
from driftline.sketches.keys import Bools, Floats, Ints

ALL = frozenset({"accuracy", "precision", "recall", "f1", "auroc"})


def _world(seed: int, rows: int = 40_000) -> tuple[Ints, Ints, Floats, Floats]:
    """Return predicted, truths, scores and a number each, to decide by whether its label comes."""
    rng = np.random.default_rng(seed)
    rate = rng.beta(1.2, 1.8, rows)
    return (rate > 0.4).astype(np.int64), (rng.random(rows) < rate).astype(np.int64), rate, rng.random(rows)


def _tally(world: tuple[Ints, Ints, Floats, Floats], comes: Bools) -> Tally:
    predicted, truths, scores, _ = world
    return classified(0 * predicted, predicted, np.where(comes, truths, WAITING), scores)


def test_labels_that_come_for_high_scores_more_often_are_weighted() -> None:
    world = _world(1)
    _, truths, scores, chance = world
    tally = _tally(world, chance < 0.05 + 0.9 * scores)
    found = judged(strata(tally, 1), ALL)[0]
    assert found.verdict is SelectionVerdict.WEIGHTED
    assert not found.unknowable
    real = classification.measured(_tally(world, truths >= 0), 1)
    biased, mended = classification.measured(tally, 1), classification.measured(reweighted(tally, 1), 1)
    for name in ("accuracy", "recall", "f1", "auroc", "brier"):
        assert abs(mended[name].values[0] - real[name].values[0]) < 0.012, name
        assert mended[name].low[0] <= real[name].values[0] <= mended[name].high[0], name
    assert not biased["recall"].low[0] <= real["recall"].values[0] <= biased["recall"].high[0]
    assert not biased["f1"].low[0] <= real["f1"].values[0] <= biased["f1"].high[0]
    width, before = ((each["recall"].high - each["recall"].low)[0] for each in (mended, biased))
    assert width > before


def test_intervals_of_weighted_outcomes_hold_the_truth_as_often_as_they_say() -> None:
    """200 samples: .95 is missed by 10 on the mean; 24 and more come once in 20,000."""
    sure = _world(0, 400_000)
    truth = classification.measured(_tally(sure, sure[1] >= 0), 1)
    missed = dict.fromkeys(("accuracy", "precision", "recall", "auroc"), 0)
    for seed in range(200):
        world = _world(seed + 1, 1_500)
        mended = classification.measured(reweighted(_tally(world, world[3] < 0.1 + 0.8 * world[2]), 1), 1)
        for name in missed:
            missed[name] += not mended[name].low[0] <= truth[name].values[0] <= mended[name].high[0]
    assert max(missed.values()) < 24, missed


def test_where_labels_come_alike_nothing_is_changed() -> None:
    world = _world(2)
    tally = _tally(world, world[3] < 0.3)
    assert judged(strata(tally, 1), ALL)[0].verdict is SelectionVerdict.ALIKE
    plain, mended = classification.measured(tally, 1), classification.measured(reweighted(tally, 1), 1)
    assert mended["auroc"].values[0] == pytest.approx(plain["auroc"].values[0], abs=3e-3)
    for name in ("accuracy", "auroc"):
        width, expected = ((each[name].high - each[name].low)[0] for each in (mended, plain))
        assert width == pytest.approx(expected, rel=0.02)


def test_a_complete_book_is_measured_as_it_is() -> None:
    world = _world(2, 2_000)
    tally = _tally(world, world[1] >= 0)
    plain, mended = classification.measured(tally, 1), classification.measured(reweighted(tally, 1), 1)
    for name, each in plain.items():
        for column in ("values", "low", "high"):
            assert getattr(mended[name], column)[0] == pytest.approx(getattr(each, column)[0], abs=1e-9), name


def test_no_recall_where_only_predicted_positives_are_labelled() -> None:
    world = _world(3)
    found = judged(strata(_tally(world, world[0] == 1), 1), ALL)[0]
    assert found.verdict is SelectionVerdict.PARTLY
    assert found.unknowable == ALL - {"precision"}
    assert found.reason.startswith("no labels come for what was predicted as class 0 (")


def test_nothing_holds_where_some_predicted_positives_have_no_labels() -> None:
    world = _world(3)
    found = judged(strata(_tally(world, world[2] < 0.8), 1), ALL)[0]
    assert found.verdict is SelectionVerdict.PARTLY
    assert found.unknowable == ALL
    assert "some scores predicted as class 1" in found.reason


def test_a_few_labels_say_nothing() -> None:
    world = _world(3)
    found = judged(strata(_tally(world, np.arange(40_000) < 5), 1), ALL)[0]
    assert (found.verdict, found.unknowable) == (SelectionVerdict.NONE, ALL)


def test_each_prediction_is_in_one_stratum() -> None:
    world = _world(4)
    tally = _tally(world, world[3] < 0.3)
    found = strata(tally, 1)
    assert int(found.labelled.sum()) == labelled(tally, 1)[0]
    assert int(found.waiting.sum()) == 40_000 - labelled(tally, 1)[0]
    assert found.coverage().values[0] == pytest.approx(0.3, abs=0.01)


def test_many_classes_are_weighted_by_the_predicted_one() -> None:
    rng = np.random.default_rng(5)
    scores = rng.dirichlet([0.8, 1.0, 1.5], 30_000)
    truths = (rng.random(30_000)[:, None] > np.cumsum(scores, axis=1)).sum(axis=1).clip(0, 2)
    predicted = scores.argmax(axis=1)
    comes = rng.random(30_000) < np.array([0.1, 0.5, 0.9])[predicted]
    tally = classified(0 * predicted, predicted, np.where(comes, truths, WAITING), scores)
    assert judged(strata(tally, 1, 3))[0].verdict is SelectionVerdict.WEIGHTED
    real = classification.measured(classified(0 * predicted, predicted, truths, scores), 1, 3)
    plain, mended = (classification.measured(each, 1, 3) for each in (tally, reweighted(tally, 1, 3)))
    for name in ("recall_macro", "accuracy"):
        assert mended[name].low[0] <= real[name].values[0] <= mended[name].high[0]
    assert not plain["recall_macro"].low[0] <= real["recall_macro"].values[0] <= plain["recall_macro"].high[0]


def test_numbers_are_weighted_by_the_prediction() -> None:
    rng = np.random.default_rng(6)
    guess = rng.gamma(4, 50, 40_000)
    truth = guess + rng.normal(0, 0.1 * guess)
    comes = rng.random(40_000) < np.clip(100 / guess, 0, 1)
    tally = regressed(0 * guess.astype(np.int64), guess, np.where(comes, truth, np.nan))
    assert judged(strata(tally, 1, classes=1))[0].verdict is SelectionVerdict.WEIGHTED
    plain, mended = (regression.measured(each, 1) for each in (tally, reweighted(tally, 1, classes=1)))
    real = float(np.abs(truth - guess).mean())
    assert mended["mae"].low[0] <= real <= mended["mae"].high[0]
    assert not plain["mae"].low[0] <= real <= plain["mae"].high[0]
    assert np.isnan(mended["r2"].values[0])


def test_groups_are_weighted_by_themselves() -> None:
    world = _world(7, 4_000)
    predicted, truths, scores, chance = world
    groups = np.arange(4_000) % 2
    truths = np.where(chance < np.where(groups == 1, scores, 0.5), truths, WAITING)
    both = classification.measured(reweighted(classified(groups, predicted, truths, scores), 2), 2)
    for group in (0, 1):
        own = groups == group
        alone = reweighted(classified(0 * groups[own], predicted[own], truths[own], scores[own]), 1)
        assert both["auroc"].values[group] == pytest.approx(
            classification.measured(alone, 1)["auroc"].values[0], abs=1e-6
        )


def test_completeness_by_age_takes_cohorts_that_reached_it() -> None:
    found = completeness(np.array([100, 200, 400]), np.array([[10, 50, 90], [20, 100, -1], [40, -1, -1]]))
    assert found.values.tolist() == [0.1, 0.5, 0.9]
    assert found.low[0] > 0.07
    assert found.high[2] < 0.95


def test_a_stratum_in_which_nothing_waits_is_known_however_few_labels_it_has() -> None:
    guess = np.array([1] * 3 + [0] * 97)
    truths = np.where(np.arange(100) < 60, guess, WAITING)
    rows = classified(0 * guess, guess, truths, np.where(guess == 1, 0.9, 0.2))
    assert judged(strata(rows, 1, bins=1))[0].verdict in (SelectionVerdict.ALIKE, SelectionVerdict.WEIGHTED)
