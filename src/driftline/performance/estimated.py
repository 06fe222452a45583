"""What a classifier's metrics are likely to be before the labels come, from its scores alone (CBPE).

A calibrated score says how probable the class is, so a prediction counts in part as right and in part as wrong:
TP = Σ p ŷ, FP = Σ (1 - p) ŷ, FN = Σ p (1 - ŷ), TN = Σ (1 - p)(1 - ŷ). For what goes by score, a prediction counts as p
outcomes that are the class and 1 - p that are not, at its raw score. (NannyML, "Confidence-based performance
estimation", docs of 0.13, "How it works"; Białek and others 2024, arXiv 2401.08348.) The metrics are then those of
outcomes, by the same functions.

Of many classes each is calibrated against the rest. NannyML makes each row's probabilities sum to 1; a tally holds each
class's scores by itself, so the sum is made 1 for each predicted class instead. (Measured: see the tests.)

Bands reach 3 standard errors, as NannyML's do. They hold the sampling error of the outcomes to come and that of the
calibration, for which the reference counts as so many outcomes as it has near the scores (`ScoreCalibration.size_at`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from driftline.performance import classification
from driftline.performance.by_score import curve, curve_of
from driftline.performance.calibration import ScoreCalibration, calibrated
from driftline.performance.intervals import Measured, less
from driftline.performance.outcomes import (
    GRIDS,
    IS,
    NO_SCORE,
    POSITIVE,
    UNKNOWN,
    Series,
    all_scored,
    bucket_of,
    effective,
    first_of,
    labelled,
    moments,
    second_of,
    series_of,
    share_of,
    truth_of,
    waiting,
    with_any,
    without_labels,
)
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats

BAND: Final = 0.9973002
"""The confidence of 3 standard errors."""
NEAR: Final = 1e-6
"""Parts by which means of scores are rounded, and more."""
BLIND: Final = (
    "An estimate takes for granted that a score means what it meant in the reference. It sees other inputs, and what "
    "they do to performance; it cannot see that the same inputs now have other outcomes (concept drift), nor vouch for "
    "scores that the reference hardly holds. Only labels can."
)
"""What an estimate cannot see, for people."""


def calibrations(reference: Tally, series: Series = Series.SCORES, classes: int = 2) -> tuple[ScoreCalibration, ...]:
    """Learn from a reference's outcomes, of one group: of two classes that of class 1, of more those of each."""
    if series is Series.CLASSES and np.isnan(all_scored(reference, 1, classes)[0]):
        raise ValueError("an estimate needs the score of each class: some classes have none for many outcomes")
    return tuple(
        calibrated(curve(reference, 1, series, each), always=series is Series.MARGINS)
        for each in classes_of(series, classes)
    )


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def estimated(
    tally: Tally,
    groups: int,
    known: Sequence[ScoreCalibration],
    *,
    series: Series = Series.SCORES,
    arrived: bool = False,
    costs: Floats | None = None,
    confidence: float = BAND,
) -> Mapping[str, Measured]:
    """Return the metrics to expect of each group, by the names that `classification.measured` gives them.

    Args:
        tally: of `classified`, with labels or without.
        groups: the number of groups.
        known: of `calibrations`.
        series: what scores are: SCORES, MARGINS, or CLASSES.
        arrived: whether outcomes whose label has come count as they are: the book in flight. Else all is estimated.
        costs: see `classification.business_value`.
        confidence: of the bands.

    >>> from driftline.performance.outcomes import WAITING, classified
    >>> score = np.linspace(0.02, 0.98, 49)
    >>> waits = classified(np.zeros(49, dtype=np.int64), (score > 0.5).astype(int), np.full(49, WAITING), score)
    >>> as_it_is = ScoreCalibration(score, score, np.arange(49), np.ones(49), True)
    >>> float(estimated(waits, 1, [as_it_is])["accuracy"].values[0].round(4))
    0.7449
    """
    tally = with_any(tally, labelled(tally, groups) + waiting(tally, groups))
    keys = tally.keys
    scored = all_scored(tally, groups, max(len(known), 2))
    rows = tally.take((series_of(keys) == series) & (bucket_of(keys) != NO_SCORE))
    if not arrived:
        rows = without_labels(rows)
    which = classes_of(series, len(known))
    parts = [rows.take(first_of(rows.keys) == each) for each in which]
    sampled = effective(tally, groups)
    worths = [_worth(part, groups, series, each, sampled) for part, each in zip(parts, known, strict=True)]
    curves = [curve_of(p, groups, series, w, each) for p, w, each in zip(parts, worths, known, strict=True)]
    table, worth = _table(parts, groups, series, known) + scored[:, None, None], np.min(worths, axis=0)
    found = classification.by_table(table, worth, costs, confidence)
    if series is Series.CLASSES:
        return found | classification.by_many_scores(curves, worth, scored, confidence)
    return found | classification.by_one_score(curves[0], series, confidence)


def unknown_share(tally: Tally, groups: int, known: Sequence[ScoreCalibration], series: Series) -> Floats:
    """Return the share of each group's predictions whose score is below or above all of the reference's.

    Of many classes the score of the one that was predicted.
    """
    keys, found = tally.keys, np.zeros(groups)
    for each, calibration in zip(classes_of(series, len(known)), known, strict=True):
        mine = (series_of(keys) == series) & (first_of(keys) == each) & (bucket_of(keys) != NO_SCORE)
        one = mine if series is not Series.CLASSES else mine & (second_of(keys) == each)
        rows = tally.take(one)
        ends = calibration.scores[[0, -1]]
        low, high = GRIDS[series].buckets(ends)[0].tolist()
        bucket, (_, score, _) = bucket_of(rows.keys), moments(rows, GRIDS[series])
        near = np.abs(score[:, None] - ends).min(axis=1) <= NEAR * (1 + np.abs(score))
        outside = ((bucket < low) | (bucket > high)) & ~near
        found += share_of(rows, outside, groups) * share_of(tally.take(mine), one[mine], groups)
    return found


def gap(
    tally: Tally,
    groups: int,
    known: Sequence[ScoreCalibration],
    *,
    series: Series = Series.SCORES,
    costs: Floats | None = None,
    confidence: float = BAND,
) -> Mapping[str, Measured]:
    """Return estimated less realised, both of the outcomes whose labels have come.

    The interval holds 0 while a score means what it meant in the reference: where it does not, the concept has changed.
    For arguments see `estimated`. (For evidence within a budget see `concept`.)
    """
    came = tally.take(truth_of(tally.keys) <= IS)
    likely = estimated(came, groups, known, series=series, costs=costs, confidence=confidence)
    real = classification.measured(came, groups, max(len(known), 2), costs=costs)
    return {name: less(each, real[name]) for name, each in likely.items()}


def classes_of(series: Series, classes: int) -> Sequence[int]:
    """Return which classes have a score of their own."""
    return range(classes) if series is Series.CLASSES else (POSITIVE,)


def _worth(rows: Tally, groups: int, series: Series, known: ScoreCalibration, sampled: Floats) -> Floats:
    """Return how many independent outcomes a unit of weight is worth: 1/n is the sample's 1/n and the calibration's."""
    weight, score, _ = moments(rows, GRIDS[series])
    total = np.bincount(rows.groups, weight, groups)
    waits = truth_of(rows.keys) == UNKNOWN
    unknown = np.bincount(rows.groups[waits], weight[waits], groups)
    size = known.size_at(score[waits], weight[waits], rows.groups[waits], groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_calibration = np.where(unknown > 0, (unknown / total) ** 2 * total / size, 0)
    return np.asarray(1 / (1 / sampled + by_calibration))


def _table(parts: Sequence[Tally], groups: int, series: Series, known: Sequence[ScoreCalibration]) -> Floats:
    """Return the weight to expect of outcomes by true and predicted class (shape: groups, true, predicted)."""
    classes = max(len(known), 2)
    sure, likely = np.zeros((2, groups, classes, classes))
    for which, rows, each in zip(classes_of(series, len(known)), parts, known, strict=True):
        weight, score, _ = moments(rows, GRIDS[series])
        truth, predicted, waits = truth_of(rows.keys), second_of(rows.keys), truth_of(rows.keys) == UNKNOWN
        np.add.at(likely, (rows.groups[waits], which, predicted[waits]), (weight * each(score))[waits])
        if series is not Series.CLASSES:
            np.add.at(likely, (rows.groups[waits], 1 - which, predicted[waits]), (weight * (1 - each(score)))[waits])
            np.add.at(sure, (rows.groups[~waits], truth[~waits], predicted[~waits]), weight[~waits])
            continue
        is_class = truth == IS
        np.add.at(sure, (rows.groups[is_class], which, predicted[is_class]), weight[is_class])
        if which == 0:
            counted = np.zeros((groups, classes))
            np.add.at(counted, (rows.groups[waits], predicted[waits]), weight[waits])
    if series is Series.CLASSES:
        sums = likely.sum(axis=1)
        likely = likely * np.divide(counted, sums, out=np.zeros_like(sums), where=sums > 0)[:, None]
    return np.asarray(sure + likely)
