"""(D) Performance before labels come, of models that others published: estimated from the scores, and realised since.

What a tally allows is beside what the same method gives by rows, where that is another figure.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import scipy

from driftline.detection import outcomes
from driftline.detection.report import ReportSection, Spread, table
from driftline.performance import classification, regression
from driftline.performance.estimated import calibrations, estimated
from driftline.performance.expected_error import errors_by_prediction, expected
from driftline.performance.intervals import Measured
from driftline.performance.outcomes import WAITING, Series, classified, regressed
from driftline.performance.tally import Tally
from driftline.sketches.keys import Bools, Floats, Ints

CAR_LOANS: Final = (0.970744, 0.971011, 0.971407, 0.971091, 0.971123, 0.961090, 0.961825, 0.961073, 0.962533, 0.961316)
"""AUROC of each 5,000 car loans, as NannyML's documentation estimates it."""
CAR_LOANS_REALISED: Final = (0.97096, 0.97025, 0.97628, 0.96772, 0.96989, 0.96005, 0.95853, 0.95904, 0.96309, 0.95756)
DLE: Final = (1067.2, 1063.1, 1054.2, 1060.7, 1055.2, 928.5, 928.9, 927.9, 930.4, 919.4)
"""RMSE of each 6,000 car prices, as NannyML's documentation estimates it by a model of all features."""
TABLES: Final = ("loans", "census", "cards", "prices")
CLOSE: Final = 1e-4
NEAR: Final = 1e-3


def run(quick: bool, spread: Spread[str, ReportSection]) -> ReportSection:
    """Make all tables; they are small."""
    parts = list(spread(make, list(TABLES)))
    text = (
        "Data sets of NannyML 0.13.1 with the answers of a model: one table of before, with labels, and a later one. "
        "An estimate knows the labels of the first only. *Band*: the interval of an estimate, 3 standard errors; the "
        "last column says whether the labels' value lies in it. Where it does not, outcomes have changed given the "
        "score, which no estimate can see.\n\n" + "\n\n".join(part.text for part in parts)
    )
    return ReportSection(
        "D. Performance before labels come", text, {name: met for part in parts for name, met in part.targets.items()}
    )


def make(name: str) -> ReportSection:
    """Make one table."""
    return {"loans": _loans, "census": _census, "cards": _cards, "prices": _prices}[name]()


def tally_of(rows: outcomes.LabelledRows, size: int | None = None, *, labels: bool = True) -> Tally:
    """Return the tally of rows, a group for each `size` of them."""
    number = len(rows.truths)
    groups = np.zeros(number, dtype=np.int64) if size is None else np.arange(number) // size
    return classified(groups, rows.predicted, rows.truths if labels else np.full(number, WAITING), rows.scores)


def _loans() -> ReportSection:
    before, after = outcomes.car_loans()
    found = estimated(tally_of(after, 5_000, labels=False), 10, calibrations(tally_of(before)))["auroc"]
    real = classification.measured(tally_of(after, 5_000), 10)["auroc"]
    text = (
        "**Car loans**, AUROC of each 5,000; dearer cars from the sixth on. Published by NannyML → here:\n\n"
        + table(
            ["chunk", "estimated", "band", "realised", "in the band"],
            [
                [
                    str(at + 1),
                    f"{CAR_LOANS[at]:.6f} → {found.values[at]:.6f}",
                    _band(found, at, 4),
                    f"{CAR_LOANS_REALISED[at]:.5f} → {real.values[at]:.5f}",
                    _yes(_inside(found, real)[at]),
                ]
                for at in range(10)
            ],
        )
    )
    close = np.abs(found.values - CAR_LOANS) <= CLOSE
    return ReportSection("", text, {"table D: 10 of 10 estimates of car loans within 1e-4": int(close.sum()) == 10})


def _census() -> ReportSection:
    before, after = outcomes.census()
    known = calibrations(tally_of(before))
    chance = _by_rows(before.scores, before.truths, after.scores)
    return _against_rows(
        f"**Census**: who has work, {len(before.truths):,} people and {len(after.truths):,} later ones, AUROC and "
        "accuracy of each 17,500. By rows the isotonic regression follows each score of the reference; a tally follows "
        "buckets.",
        estimated(tally_of(after, 17_500, labels=False), 12, known),
        classification.measured(tally_of(after, 17_500), 12),
        {
            "auroc": [_area(after.scores[own], chance[own]) for own in _chunks(after, 17_500)],
            "accuracy": [
                float(np.where(after.predicted[own] == 1, chance[own], 1 - chance[own]).mean())
                for own in _chunks(after, 17_500)
            ],
        },
        "census",
    )


def _cards() -> ReportSection:
    before, after = outcomes.cards()
    known = calibrations(tally_of(before), Series.CLASSES, 3)
    columns = [_by_rows(before.scores[:, k], (before.truths == k) * 1, after.scores[:, k]) for k in range(3)]
    chance = np.stack(columns, axis=1)
    chance /= chance.sum(axis=1, keepdims=True)
    return _against_rows(
        "**Credit cards**, three classes, of each 6,000. By rows the classes' chances are made to sum to 1; a tally "
        "holds each class's scores by itself, so it makes the sums of each predicted class 1.",
        estimated(tally_of(after, 6_000, labels=False), 10, known, series=Series.CLASSES),
        classification.measured(tally_of(after, 6_000), 10, 3),
        {
            "auroc_macro": [
                float(np.mean([_area(after.scores[own, k], chance[own, k]) for k in range(3)]))
                for own in _chunks(after, 6_000)
            ],
            "accuracy": [float(chance[own, after.predicted[own]].mean()) for own in _chunks(after, 6_000)],
        },
        "three classes",
    )


def _prices() -> ReportSection:
    before, after = outcomes.prices()
    none = np.zeros(len(before.truths), dtype=np.int64)
    known = errors_by_prediction(regressed(none, before.predicted, before.truths))
    groups = np.arange(len(after.truths)) // 6_000
    found = expected(regressed(groups, after.predicted, np.full(len(groups), np.nan)), 10, known)
    real = regression.measured(regressed(groups, after.predicted, after.truths), 10)
    rows = [
        [
            str(at + 1),
            f"{DLE[at]:,.1f} → {found['rmse'].values[at]:,.1f}",
            f"{real['rmse'].values[at]:,.1f}",
            f"{found['mae'].values[at]:,.1f}",
            f"{real['mae'].values[at]:,.1f}",
            _yes(_inside(found["mae"], real["mae"])[at]),
        ]
        for at in range(10)
    ]
    text = (
        "**Car prices**, a regression, of each 6,000; other cars from the sixth on. NannyML's DLE fits a model of the "
        "error to all features, and a tally holds the prediction alone: so Driftline foresees a part of what MAE "
        "falls, and of RMSE nothing. Published DLE → here:\n\n"
        + table(["chunk", "RMSE, estimated", "realised", "MAE, estimated", "realised", "in the band"], rows)
    )
    near = np.abs(found["rmse"].values[:5] / np.array(DLE[:5]) - 1) <= 0.004
    return ReportSection("", text, {"table D: RMSE of car prices within 0.4 % before the change": bool(near.all())})


def _against_rows(
    head: str,
    found: Mapping[str, Measured],
    real: Mapping[str, Measured],
    by_rows: Mapping[str, Sequence[float]],
    name: str,
) -> ReportSection:
    rows = []
    for at in range(len(next(iter(by_rows.values())))):
        line = [str(at + 1)]
        for metric, rowwise in by_rows.items():
            line += [
                f"{found[metric].values[at]:.4f}",
                f"{rowwise[at]:.4f}",
                f"{real[metric].values[at]:.4f}",
                _yes(_inside(found[metric], real[metric])[at]),
            ]
        rows.append(line)
    header = ["chunk"]
    for metric in by_rows:
        header += [
            f"{'AUROC' if metric.startswith('auroc') else metric}, estimated",
            "by rows",
            "realised",
            "in the band",
        ]
    off = max(np.abs(found[metric].values - np.array(rowwise)).max() for metric, rowwise in by_rows.items())
    text = f"{head} The largest difference is {off:.5f}.\n\n" + table(header, rows)
    return ReportSection("", text, {f"table D: {name} within 1e-3 of what rows say": bool(off <= NEAR)})


def _chunks(rows: outcomes.LabelledRows, size: int) -> list[Ints]:
    every = np.arange(len(rows.truths))
    return [every[every // size == at] for at in range(len(every) // size + (len(every) % size > 0))]


def _by_rows(scores: Floats, truths: Ints, later: Floats) -> Floats:
    """Return how probable the class is, by an isotonic regression on rows."""
    known, at, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rates = np.bincount(at, truths) / counts
    return np.asarray(np.interp(later, known, scipy.optimize.isotonic_regression(rates, weights=counts).x))


def _area(scores: Floats, chance: Floats) -> float:
    """Return CBPE's AUROC from rows: ordered by the raw score, each counting in part as positive."""
    _, at = np.unique(scores, return_inverse=True)
    positive, negative = np.bincount(at, chance), np.bincount(at, 1 - chance)
    return float((positive * (np.cumsum(negative) - negative / 2)).sum() / positive.sum() / negative.sum())


def _inside(found: Measured, real: Measured) -> Bools:
    return np.asarray((found.low <= real.values) & (real.values <= found.high))


def _band(found: Measured, at: int, digits: int) -> str:
    return f"{found.low[at]:.{digits}f} to {found.high[at]:.{digits}f}"


def _yes(held: bool) -> str:
    return "yes" if held else "no"
