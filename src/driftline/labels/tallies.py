"""Outcomes, and predictions that wait, as tallies: see `performance.outcomes`.

What a model predicts is not known here: the next stage sees all of it, and decides. So a row counts in each form that
it may be needed in, by what it says itself and by nothing else:

    of a class                 CLASSES: predicted and true, or still waiting; with three scores or more, each class's
    with one score, or two     SCORES of one of them, too
    a number                   ERRORS, TRUTHS, RELATIVE, or PENDING
    from 0 to 1                SCORES of the class PLAIN, too, where the truth is 0 or 1, or waited for
    its label is a class       SCORES, if from 0 to 1, and MARGINS of the class PLAIN, by whether the label says yes
"""

from dataclasses import replace
from typing import Final

import numpy as np

from driftline.columns.labels import CATEGORY, NOTHING, NUMBER
from driftline.labels.classes import OTHER, PLAIN, Came, ClassNames, keys_of
from driftline.labels.outcomes import Outcomes
from driftline.labels.yes_no import NO, YES, positive
from driftline.performance.outcomes import (
    GRIDS,
    IS,
    NO_SCORE,
    NOT,
    UNKNOWN,
    WAITING,
    Series,
    bucket_of,
    classified,
    key,
    regressed,
    series_of,
    squares,
    truth_of,
)
from driftline.performance.tally import WEIGHT_UNIT, Tally, counted, empty, merged, units
from driftline.sketches.keys import Bools, Floats, Ints, category_key

VALUE: Final = "prediction.value"
LABEL: Final = "prediction.label"
PROBA: Final = "prediction.proba."
HALF: Final = 0.5
_YES, _NO = (
    np.array([category_key(spelt) for word in words for spelt in sorted({word, word.title(), word.upper()})])
    for words in (YES, NO)
)
"""What labels of plain numbers say."""
MANY: Final = 3
"""Scores of a row from which on each class is counted by its own."""


def tally_of(outcomes: Outcomes, groups: Ints, classes: ClassNames) -> Tally:
    """Count outcomes, each in its group; and take their predictions from those that wait, or put them back.

    A correction takes one out and puts one in, so it leaves those that wait as they are. A plain number whose label
    says neither yes nor no goes on waiting.
    """
    said = _says(outcomes)
    readable = np.flatnonzero(~_plain(outcomes) | (outcomes.forms == NUMBER) | (said >= 0))
    outcomes, groups = outcomes.take(readable), groups[readable]
    size = len(groups)
    waiting = replace(
        outcomes, signs=-outcomes.signs, forms=np.full(size, NOTHING, dtype=np.uint8), weights=np.ones(size)
    )
    return merged([_Rows(each, groups, classes).counted() for each in (outcomes, waiting)])


def waiting_tally(outcomes: Outcomes, groups: Ints, classes: ClassNames) -> Tally:
    """Count predictions that begin to wait: their labels say nothing."""
    return _Rows(outcomes, groups, classes).counted()


def _says(outcomes: Outcomes) -> Ints:
    """Return 1 where a label that is a class says yes, 0 for no, else -1."""
    keys = np.where(outcomes.forms == CATEGORY, outcomes.truths, -1).astype(np.int64)
    return np.where(np.isin(keys, _YES), 1, np.where(np.isin(keys, _NO), 0, -1))


def _scores(outcomes: Outcomes) -> tuple[list[str], Floats]:
    """Return the classes that have scores, in order of their names, and the scores (shape: rows, classes)."""
    names = sorted(name.removeprefix(PROBA) for name in outcomes.numbers if name.startswith(PROBA))
    columns = [outcomes.numbers[f"{PROBA}{name}"] for name in names]
    return names, np.stack(columns, axis=1) if columns else np.zeros((len(outcomes.signs), 0))


def _plain(outcomes: Outcomes) -> Bools:
    """Tell which predictions are a number and no more."""
    nothing = np.full(len(outcomes.signs), np.nan)
    value, label = outcomes.numbers.get(VALUE, nothing), outcomes.numbers.get(LABEL, nothing)
    scored = np.isfinite(_scores(outcomes)[1]).any(axis=1)
    return np.asarray(np.isfinite(value) & (outcomes.predicted < 0) & ~np.isfinite(label) & ~scored)


class _Rows:
    """Outcomes as what is needed to count them."""

    def __init__(self, outcomes: Outcomes, groups: Ints, classes: ClassNames) -> None:
        self._classes, self._groups, self._signs = classes, groups, outcomes.signs
        self._names, self._scores = _scores(outcomes)
        self._there = np.isfinite(self._scores)
        self._value = outcomes.numbers.get(VALUE, np.full(len(groups), np.nan))
        self._waits = outcomes.forms == NOTHING
        self._units = units(outcomes.weights)
        self._predicted = self._predictions(outcomes)
        self._true = self._true_classes(outcomes)
        self._number = np.where(outcomes.forms == NUMBER, outcomes.truths, np.nan)
        self._said = _says(outcomes)
        plain = _plain(outcomes)
        self._plain, self._of_class = np.flatnonzero(plain), np.flatnonzero(~plain & (self._predicted >= 0))

    def _predictions(self, outcomes: Outcomes) -> Ints:
        """Return the class that each predicted, or that has the highest score; -1 where there is none."""
        found = self._classes.codes_of(Came.PREDICTED, outcomes.predicted)
        number = outcomes.numbers.get(LABEL)
        if number is not None:
            given = (found < 0) & np.isfinite(number)
            found[given] = self._classes.codes_of(Came.PREDICTED_NUMBER, keys_of(number[given]))
        left = np.flatnonzero((found < 0) & self._there.any(axis=1))
        if len(left):
            scores = np.where(self._there[left], self._scores[left], -np.inf)
            codes = np.array([self._classes.code(name) for name in self._names], dtype=np.int64)
            unlikely = (self._there[left].sum(axis=1) == 1) & (scores.max(axis=1) < HALF)
            found[left] = np.where(unlikely, self._classes.codes[OTHER], codes[scores.argmax(axis=1)])
        return found

    def _true_classes(self, outcomes: Outcomes) -> Ints:
        """Return the class that each label says; WAITING where it says nothing."""
        found = np.full(len(self._groups), WAITING)
        named, number = outcomes.forms == CATEGORY, outcomes.forms == NUMBER
        found[named] = self._classes.codes_of(Came.TRUE, outcomes.truths[named].astype(np.int64))
        if (self._predicted >= 0).any():
            found[number] = self._classes.codes_of(Came.TRUE_NUMBER, keys_of(outcomes.truths[number]))
        return found

    def counted(self) -> Tally:
        """Count all rows."""
        few = self._there[self._of_class].sum(axis=1) < MANY
        some, many = self._of_class[few], self._of_class[~few]
        return merged([self._pairs(some), self._all_classes(many), *self._scored(some), *self._numbers(self._plain)])

    def _count(self, at: Ints, keys: Ints, offsets: Ints | None = None) -> Tally:
        none = np.zeros(len(at), dtype=np.int64)
        return counted(self._groups[at], keys, none if offsets is None else offsets, self._units[at], self._signs[at])

    def _squares(self, at: Ints) -> Tally:
        labelled = at[~self._waits[at]]
        return squares(self._groups[labelled], self._units[labelled], self._signs[labelled])

    def _pairs(self, at: Ints) -> Tally:
        """Count predicted and true class."""
        predicted, waits = self._predicted[at], self._waits[at]
        true, truth = np.where(waits, predicted, self._true[at]), np.where(waits, UNKNOWN, IS)
        keys = key(Series.CLASSES, true, predicted, truth, np.full(len(at), NO_SCORE))
        return merged([self._count(at, keys), self._squares(at)])

    def _all_classes(self, at: Ints) -> Tally:
        """Count each class of rows that score many; a class without a score counts where it is true."""
        if not len(at):
            return empty()
        codes = [self._classes.code(name) for name in self._names]  # some may be new: none was predicted or true yet
        scores = np.full((len(at), len(self._classes.codes)), np.nan)
        scores[:, codes] = self._scores[at]
        found = classified(
            self._groups[at], self._predicted[at], self._true[at], scores,
            weights=self._units[at] / WEIGHT_UNIT, signs=self._signs[at],
        )  # fmt: skip
        keys = found.keys
        counts = (bucket_of(keys) != NO_SCORE) | (truth_of(keys) == IS) | (series_of(keys) != Series.CLASSES)
        return found.take(counts)

    def _scored(self, at: Ints) -> list[Tally]:
        """Count rows with one score or two once more, by the score of one class; one part for each such class."""
        at = at[self._there[at].any(axis=1)]
        if not len(at):
            return []
        parts = []
        which = self._there[at] @ (1 << np.arange(len(self._names)))
        for pattern in np.unique(which).tolist():
            chosen = at[which == pattern]
            name = positive([name for column, name in enumerate(self._names) if pattern >> column & 1])
            code, scores = self._classes.code(name), self._scores[chosen, self._names.index(name)]
            truths = np.where(self._true[chosen] == code, IS, NOT)
            parts.append(self._by_score(Series.SCORES, code, chosen, scores, truths))
        return parts

    def _by_score(self, series: Series, code: int, at: Ints, scores: Floats, truths: Ints) -> Tally:
        grid = GRIDS[series]
        good = (scores >= 0) & (scores <= 1) if grid.probabilities else np.isfinite(scores)
        buckets, offsets = grid.buckets(np.where(good, scores, 0.0))
        plain = np.where(scores >= (HALF if grid.probabilities else 0), code, self._classes.codes[OTHER])
        predicted = np.where(self._predicted[at] >= 0, self._predicted[at], plain)
        truths = np.where(self._waits[at], UNKNOWN, truths)
        keys = key(series, np.full(len(at), code), predicted, truths, np.where(good, buckets, NO_SCORE))
        return self._count(at, keys, np.where(good, offsets, 0))

    def _numbers(self, at: Ints) -> list[Tally]:
        """Count plain numbers, in all forms that they may be needed in."""
        if not len(at):
            return []
        code, value, number, said, waits = (
            self._classes.codes[PLAIN], self._value[at], self._number[at], self._said[at], self._waits[at],
        )  # fmt: skip
        known = waits | ~np.isnan(number)
        some = at[known]
        weights = self._units[some] / WEIGHT_UNIT
        truths = np.where((number == 1) | (said == 1), IS, NOT)
        binary = (value >= 0) & (value <= 1) & (waits | np.isin(number, (0.0, 1.0)) | (said >= 0))
        named = said >= 0
        return [
            regressed(self._groups[some], value[known], number[known], weights=weights, signs=self._signs[some]),
            self._by_score(Series.SCORES, code, at[binary], value[binary], truths[binary]),
            self._by_score(Series.MARGINS, code, at[named], value[named], truths[named]),
            self._squares(at[named]),
        ]
