"""Tallies of nothing, and of less than nothing: a correction may come in a window before what it corrects."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from driftline.performance import classification, expected_error, regression
from driftline.performance.by_score import curve
from driftline.performance.estimated import calibrations, estimated, gap
from driftline.performance.intervals import Measured
from driftline.performance.outcomes import WAITING, Series, classified, labelled, regressed
from driftline.performance.rates import rates_by_score, seen_by_score
from driftline.performance.selective import judged, reweighted, strata
from driftline.performance.tally import Tally, empty
from tests.performance.drawn import draw

TWO = draw(1, 300)
THREE = draw(2, 300, classes=3)
NUMBERS = (np.zeros(300, dtype=np.int64), np.linspace(1, 9, 300), np.linspace(1, 9, 300) ** 1.1)
KNOWN = calibrations(classified(TWO.groups, TWO.predicted, TWO.truths, TWO.scores))
KNOWN_CLASSES = calibrations(
    classified(THREE.groups, THREE.predicted, THREE.truths, THREE.scores), Series.CLASSES, classes=3
)
RATES = rates_by_score(curve(classified(TWO.groups, TWO.predicted, TWO.truths, TWO.scores), 1))
ERRORS = expected_error.errors_by_prediction(regressed(*NUMBERS))

READERS: dict[str, tuple[int, Callable[[Tally], Mapping[str, Measured]]]] = {
    "two classes": (2, lambda tally: classification.measured(tally, 2)),
    "many classes": (3, lambda tally: classification.measured(tally, 2, 3)),
    "numbers": (1, lambda tally: regression.measured(tally, 2, [0.9])),
    "estimated": (2, lambda tally: estimated(tally, 2, KNOWN)),
    "in flight": (2, lambda tally: estimated(tally, 2, KNOWN, arrived=True)),
    "gap": (2, lambda tally: gap(tally, 2, KNOWN)),
    "estimated classes": (3, lambda tally: estimated(tally, 2, KNOWN_CLASSES, series=Series.CLASSES)),
    "expected error": (1, lambda tally: expected_error.expected(tally, 2, ERRORS)),
    "weighted": (2, lambda tally: classification.measured(reweighted(tally, 2), 2)),
    "weighted numbers": (1, lambda tally: regression.measured(reweighted(tally, 2, 1), 2)),
}


def _rows(classes: int, chosen: slice, sign: int) -> Tally:
    if classes == 1:
        signs = np.full(len(NUMBERS[0][chosen]), sign)
        groups, predicted, truths = NUMBERS
        return regressed(groups[chosen], predicted[chosen], truths[chosen], signs=signs)
    rows = TWO if classes == 2 else THREE
    signs = np.full(len(rows.groups[chosen]), sign)
    guesses, labels = rows.predicted[chosen], rows.truths[chosen]
    return classified(rows.groups[chosen], guesses, labels, rows.scores[chosen], signs=signs)


@pytest.mark.parametrize("reader", READERS)
def test_nothing_is_not_a_number(reader: str) -> None:
    found = READERS[reader][1](empty())
    assert all(np.isnan(each.values).all() for each in found.values())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("added", [0, 1, 20, 280])
def test_less_than_nothing_raises_nothing(reader: str, added: int) -> None:
    classes, read = READERS[reader]
    tally = _rows(classes, slice(0, added), 1) + _rows(classes, slice(280, 300), -1)
    assert read(tally)


@pytest.mark.parametrize("added", [0, 1, 20, 280])
def test_strata_and_rates_of_less_than_nothing(added: int) -> None:
    tally = _rows(2, slice(0, added), 1) + _rows(2, slice(280, 300), -1)
    assert int(labelled(tally, 1)[0]) == added - 20
    assert judged(strata(tally, 1))
    assert np.isfinite(seen_by_score(curve(tally, 1), RATES).rates).all()


def test_a_book_of_waiting_predictions_has_no_metrics_yet() -> None:
    waits = classified(TWO.groups, TWO.predicted, np.full(300, WAITING), TWO.scores)
    assert np.isnan(classification.measured(waits, 1)["accuracy"].values).all()
    assert judged(strata(waits, 1))[0].reason == "0 labels have come so far: wait for more"
