"""All metrics of predictions of a class, from a tally of outcomes.

Precision, recall and F1 are of class 1 where there are two, and means over classes (`macro`) everywhere: as in
scikit-learn, over the classes that were predicted or true, a share of nothing counting as 0.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from driftline.performance import by_score, reliability
from driftline.performance.grid import ROUNDING
from driftline.performance.intervals import CONFIDENCE, Measured, mean_like, share
from driftline.performance.outcomes import (
    IS,
    POSITIVE,
    Series,
    all_scored,
    effective,
    first_of,
    labelled,
    second_of,
    series_of,
    truth_of,
    with_any,
)
from driftline.performance.tally import WEIGHT_UNIT, Tally
from driftline.sketches.keys import Floats

COLUMNS: Final = ("values", "low", "high", "error")


def confusion(tally: Tally, groups: int, classes: int = 2) -> Floats:
    """Return the weight of outcomes by true and predicted class (shape: groups, true, predicted).

    >>> from driftline.performance.outcomes import classified
    >>> rows = classified(np.zeros(4, dtype=np.int64), np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0]))
    >>> confusion(rows, 1)
    array([[[2., 1.],
            [0., 1.]]])
    """
    keys = tally.keys
    series, truth = series_of(keys), truth_of(keys)
    two = ((series == Series.SCORES) | (series == Series.MARGINS)) & (truth <= IS)
    many = (series == Series.CLASSES) & (truth == IS)
    chosen = two | many
    true = np.where(many, first_of(keys), truth)[chosen]
    cell = (tally.groups[chosen] * classes + true) * classes + second_of(keys)[chosen]
    weights = np.bincount(cell, tally.weights[chosen], groups * classes**2) / WEIGHT_UNIT
    return weights.reshape(groups, classes, classes)


def of_class(table: Floats, worth: Floats, which: int, confidence: float = CONFIDENCE) -> dict[str, Measured]:
    """Return precision, recall and F1 of one class.

    F1 = 2J / (1 + J), where J is the share of what is right in all that was predicted or is true (Jaccard's index): so
    its interval is Wilson's for J, carried over. A share of nothing is NaN.

    Args:
        table: see `confusion`.
        worth: how many independent outcomes a unit of weight is worth (shape: groups).
        which: the class.
        confidence: of the intervals.

    >>> found = of_class(np.array([[[50.0, 10.0], [5.0, 35.0]]]), np.ones(1), 1)
    >>> {name: round(metric.values.item(), 3) for name, metric in found.items()}
    {'precision': 0.778, 'recall': 0.875, 'f1': 0.824}
    """
    hits, true, predicted = table[:, which, which], table[:, which].sum(axis=1), table[:, :, which].sum(axis=1)
    either = share(hits, true + predicted - hits, worth, confidence)
    one, low, high = (2 * bound / (1 + bound) for bound in (either.values, either.low, either.high))
    return {
        "precision": share(hits, predicted, worth, confidence),
        "recall": share(hits, true, worth, confidence),
        "f1": Measured(one, low, high, either.error),
    }


def accuracy(table: Floats, worth: Floats, confidence: float = CONFIDENCE) -> Measured:
    """Return the share of predictions that were right, with Wilson's interval.

    >>> accuracy(np.array([[[50.0, 10.0], [5.0, 35.0]]]), np.ones(1)).values.item()
    0.85
    """
    return share(np.trace(table, axis1=1, axis2=2), table.sum(axis=(1, 2)), worth, confidence)


def macro(table: Floats, worth: Floats, confidence: float = CONFIDENCE) -> dict[str, Measured]:
    """Return precision, recall and F1 as means over classes, with intervals by the influence of each kind of outcome.

    Takahashi and others 2022 (Applied Intelligence 52, p. 4961) derive the same for F1 by the delta method.
    """
    classes, total = table.shape[1], table.sum(axis=(1, 2))
    hits, true, predicted = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)
    right, seen = np.eye(classes), np.maximum(((true + predicted) > 0).sum(axis=1), 1)
    found = {}
    for name, of_true, of_predicted in (("precision", 0, 1), ("recall", 1, 0), ("f1", 1, 1)):
        parts = of_true * true + of_predicted * predicted  # a class's metric is the hits, so many times, over this
        times = of_true + of_predicted
        shares = np.divide(times * hits, parts, out=np.zeros_like(parts), where=parts > 0)
        # One outcome more of class t, predicted as p, moves its classes' shares only.
        per = np.divide(1, parts, out=np.zeros_like(parts), where=parts > 0)
        moved = (
            times * right * per[:, :, None]
            - of_true * (shares * per)[:, :, None]
            - of_predicted * (shares * per)[:, None, :]
        ) * (total / seen)[:, None, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = (table * moved**2).sum(axis=(1, 2)) / total
        values = np.where(total > 0, shares.sum(axis=1) / seen, np.nan)
        found[f"{name}_macro"] = mean_like(values, variance, total * worth, confidence, least=0, most=1)
    return found


def business_value(table: Floats, worth: Floats, matrix: Floats, confidence: float = CONFIDENCE) -> Measured:
    """Return what an outcome is worth on the mean; times the outcomes it is what all are worth.

    Args:
        table: see `confusion`.
        worth: how many independent outcomes a unit of weight is worth (shape: groups).
        matrix: what one outcome is worth, or minus what it costs, by true and predicted class.
        confidence: of the interval.

    >>> earned = np.array([[0.0, -300.0], [-2_000.0, 300.0]])
    >>> business_value(np.array([[[50.0, 10.0], [5.0, 35.0]]]), np.ones(1), earned).values.item()
    -25.0
    """
    if matrix.shape != table.shape[1:]:
        raise ValueError(
            f"a cost matrix for {table.shape[1]} classes needs as many rows and columns, not {matrix.shape}"
        )
    total = table.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (table * matrix).sum(axis=(1, 2)) / total
        variance = (table * (matrix - values[:, None, None]) ** 2).sum(axis=(1, 2)) / total
    return mean_like(values, variance, total * worth, confidence)


def by_table(
    table: Floats, worth: Floats, costs: Floats | None = None, confidence: float = CONFIDENCE
) -> dict[str, Measured]:
    """Return what goes by which class was predicted and which is true."""
    found = {"accuracy": accuracy(table, worth, confidence), **macro(table, worth, confidence)}
    if costs is not None:
        found["value"] = business_value(table, worth, costs, confidence)
    return found | (of_class(table, worth, POSITIVE, confidence) if table.shape[1] == 2 else {})


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def measured(
    tally: Tally, groups: int, classes: int = 2, *, costs: Floats | None = None, confidence: float = CONFIDENCE
) -> Mapping[str, Measured]:
    """Return every metric of each group by its name; what cannot be is NaN, or missing where no score is known.

    Args:
        tally: of `classified`; what still waits for its label does not count.
        groups: the number of groups, which are 0 to that.
        classes: how many there are.
        costs: see `business_value`.
        confidence: of the intervals.

    >>> from driftline.performance.outcomes import classified
    >>> truth = np.array([1, 0, 1, 0])
    >>> found = measured(classified(0 * truth, truth, truth, np.array([0.9, 0.2, 0.6, 0.4])), 1)
    >>> found["accuracy"].values, found["brier"].values.round(6), found["auroc"].low.round(2)
    (array([1.]), array([0.0925]), array([0.39]))
    """
    tally = with_any(tally, labelled(tally, groups))
    worth = effective(tally, groups)
    found = by_table(confusion(tally, groups, classes), worth, costs, confidence)
    if classes == 2:
        kinds = set(series_of(tally.keys).tolist())
        series = Series.MARGINS if Series.MARGINS in kinds else Series.SCORES
        curve = by_score.curve(tally, groups, series)
        found |= by_one_score(curve, series, confidence)
        if series is not Series.MARGINS:
            bins = reliability.binned(curve)
            found["calibration_error"] = reliability.calibration_error(bins, confidence)
            found |= reliability.murphy(bins, confidence)
        return found
    came = tally.take(truth_of(tally.keys) <= IS)
    curves = [by_score.curve(tally, groups, Series.CLASSES, each) for each in range(classes)]
    sure = reliability.binned(by_score.confidences(tally, groups, worth))
    return found | {
        **by_many_scores(curves, worth, all_scored(came, groups, classes), confidence),
        "calibration_error": reliability.calibration_error(sure, confidence),
    }


def by_one_score(curve: by_score.Curve, series: Series, confidence: float = CONFIDENCE) -> dict[str, Measured]:
    """Return what goes by the score of one of two classes: ranks, and of probabilities the mean losses."""
    found = {
        "auroc": by_score.auroc(curve, confidence),
        "average_precision": by_score.average_precision(curve, confidence),
    }
    if series is Series.MARGINS:
        return found
    return found | {"log_loss": by_score.log_loss(curve, confidence), "brier": by_score.brier(curve, confidence)}


def by_many_scores(
    curves: Sequence[by_score.Curve], worth: Floats, scored: Floats, confidence: float = CONFIDENCE
) -> dict[str, Measured]:
    """Return what goes by the scores of more than two classes, each against the rest.

    NaN where not all classes have scores (`scored`), as where that of the predicted class alone is known.
    """
    found = {
        "auroc_macro": _mean_of([by_score.auroc(each, confidence) for each in curves]),
        "average_precision_macro": _mean_of([by_score.average_precision(each, confidence) for each in curves]),
        **_losses(curves, worth, confidence),
    }
    return {name: Measured(*(getattr(each, column) + scored for column in COLUMNS)) for name, each in found.items()}


def _mean_of(parts: list[Measured]) -> Measured:
    """Return the mean over classes; at worst all of them err together, so the interval is the mean of theirs."""
    return Measured(*(np.mean([getattr(each, name) for each in parts], axis=0) for name in COLUMNS))


def _losses(curves: Sequence[by_score.Curve], worth: Floats, confidence: float) -> dict[str, Measured]:
    """Return log loss and Brier's score; the latter is the sum over classes, twice that of two classes' one score."""
    total = sum(each.totals[IS] for each in curves)
    logs = [by_score.losses(each) for each in curves]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = [
            sum(c.sums(c.weights[IS] * part[IS]) for c, part in zip(curves, of, strict=True)) / total
            for of in ([loss for loss, _ in logs], [loss**2 for loss, _ in logs], [off for _, off in logs])
        ]
        squares = [by_score.squares(each) for each in curves]
        brier = sum(c.sums(c.weights * part) for c, part in zip(curves, squares, strict=True)) / total
        # A class's part varies so much by itself; at worst all of them do together.
        spread = sum(
            np.sqrt(np.maximum(c.sums(c.weights * part**2) / total - (c.sums(c.weights * part) / total) ** 2, 0))
            for c, part in zip(curves, squares, strict=True)
        )
    n = total * worth
    return {
        "log_loss": mean_like(mean[0], mean[1] - mean[0] ** 2, n, confidence, least=0, error=mean[2]),
        "brier": mean_like(
            brier, spread**2, n, confidence, least=0, most=2, error=np.full(len(n), 2 * len(curves) * ROUNDING)
        ),
    }
