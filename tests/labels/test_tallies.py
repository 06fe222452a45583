"""Outcomes as tallies: what a label says of a prediction's weight."""

from dataclasses import replace

import numpy as np

from driftline.columns.categories import CategoryKeys
from driftline.columns.labels import CATEGORY, NUMBER
from driftline.labels.classes import Came, ClassNames
from driftline.labels.outcomes import NOT_FIRST, Outcomes
from driftline.labels.tallies import tally_of
from driftline.performance.classification import confusion
from driftline.performance.outcomes import NO_SCORE, UNKNOWN, Series, bucket_of, first_of, series_of, truth_of
from driftline.performance.tally import WEIGHT_UNIT, Tally

KEYS = CategoryKeys()
NONE = np.zeros(4, dtype=np.int64)


def outcomes(weights: list[float], *, numbers: bool) -> Outcomes:
    """Four outcomes of different weights: of the class that was predicted, or of a plain number."""
    yes = KEYS["yes"]
    return Outcomes(
        model="m", ids=NONE, times=NONE, cohorts=NONE, signs=NONE + 1, delays=NONE + NOT_FIRST, names=[""],
        versions=NONE, tags={}, predicted=NONE + (-1 if numbers else yes),
        numbers={"prediction.value": np.full(4, 7.0)} if numbers else {},
        forms=np.full(4, NUMBER if numbers else CATEGORY, dtype=np.uint8),
        truths=np.full(4, 9.0 if numbers else float(yes)), weights=np.array(weights), values=np.full(4, np.nan),
        kinds=NONE,
    )  # fmt: skip


def weighs(tally: Tally, series: Series) -> tuple[int, float]:
    """Return how many outcomes are labelled in a series, and what they weigh."""
    chosen = tally.take((series_of(tally.keys) == series) & (truth_of(tally.keys) != UNKNOWN))
    return int(chosen.counts.sum()), float(chosen.weights.sum() / WEIGHT_UNIT)


def test_an_outcome_counts_with_its_weight_and_is_taken_out_with_it() -> None:
    classes = ClassNames()
    for came in (Came.PREDICTED, Came.TRUE):
        classes.meet(came, np.array([KEYS["yes"]]), KEYS.names)
    for numbers, series in ((False, Series.CLASSES), (True, Series.ERRORS)):
        once = tally_of(outcomes([1.0, 2.5, 1 / 256, 256.0], numbers=numbers), NONE, classes)
        assert weighs(once, series) == (4, 259.5 + 1 / 256)
        equal = tally_of(outcomes([1.0] * 4, numbers=numbers), NONE, classes)
        assert weighs(equal, series) == (4, 4.0)
        assert len(once - tally_of(outcomes([256.0, 1 / 256, 1.0, 2.5], numbers=numbers), NONE, classes)) == 0


def test_a_model_that_answers_true_is_right_where_a_label_says_one() -> None:
    classes, rows = ClassNames(), outcomes([1.0] * 4, numbers=False)
    answers, labels = (np.array([KEYS[name] for name in names]) for names in (("true", "false", "True", "1"), "1001"))
    for came, keys in ((Came.PREDICTED, answers), (Came.TRUE, labels)):
        classes.meet(came, keys, KEYS.names)
    found = tally_of(replace(rows, predicted=answers, truths=labels.astype(np.float64)), NONE, classes)
    names = list(classes.codes)
    table = confusion(found, 1, len(names))[0]
    at = [names.index(name) for name in ("0", "1")]
    assert table[np.ix_(at, at)].tolist() == [[1, 1], [0, 2]]


def test_classes_that_have_scores_before_any_was_predicted_or_true_are_counted() -> None:
    """The first predictions of a model are all of one class; their probabilities are of four."""
    classes, rows = ClassNames(), outcomes([1.0] * 4, numbers=False)
    classes.meet(Came.PREDICTED, np.array([KEYS["yes"]]), KEYS.names)
    shares = {"yes": 0.4, "a": 0.3, "b": 0.2, "c": 0.1}
    numbers = {f"prediction.proba.{name}": np.full(4, share) for name, share in shares.items()}
    found = tally_of(replace(rows, numbers=numbers), NONE, classes)
    assert {*shares} <= {*classes.codes}
    known = (truth_of(found.keys) != UNKNOWN) & (bucket_of(found.keys) != NO_SCORE)
    scored = found.take((series_of(found.keys) == Series.CLASSES) & known)
    counts = {name: int(scored.counts[first_of(scored.keys) == classes.code(name)].sum()) for name in shares}
    assert counts == dict.fromkeys(shares, 4)
