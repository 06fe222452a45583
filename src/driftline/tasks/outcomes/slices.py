"""Slices of outcomes as Judge reads them: what a model predicts, and one code for a class in all of them.

A source counts a row in each form that it may be needed in (`labels.tallies`), under the names of its classes. Here all
that came of a model is seen, in an order that every replay agrees on: so its classes get codes, in the order in which
they come first, and it is decided whether it predicts one of some classes, or a number.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np

from driftline.labels.classes import OTHER, PLAIN
from driftline.labels.yes_no import NO, positive
from driftline.panes.merging import Merger
from driftline.panes.outcomes import OutcomeGroup, OutcomeRecord, decode_outcomes, recoded
from driftline.panes.records import Group
from driftline.panes.sources import FIRST_TOPIC
from driftline.performance.outcomes import (
    GRIDS,
    IS,
    MAX_CLASSES,
    NO_SCORE,
    NOT,
    UNKNOWN,
    Series,
    bucket_of,
    first_of,
    key,
    labelled,
    second_of,
    series_of,
    truth_of,
    waiting,
)
from driftline.performance.tally import Tally, merged
from driftline.sketches.keys import Bools, Ints

DELAY_GRID: Final = GRIDS[Series.DELAYS]
_PLAIN, _OTHER = 0, 1
"""Codes of these names, everywhere."""
NAMELESS: Final = MAX_CLASSES - 1
"""The code of all classes without a name, where there are more than two."""
_OF_NUMBERS: Final = (Series.ERRORS, Series.TRUTHS, Series.RELATIVE, Series.PENDING, Series.WEIGHTS)


class PredictionKind(StrEnum):
    """What a model predicts."""

    CLASSES = "classes"
    NUMBERS = "numbers"


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeSlice:
    """What came of a model's predictions and labels over [start, end), in epoch milliseconds.

    A prediction counts as waiting at its own time. Its label takes that away, and adds the outcome, at the time when
    both were there; a correction takes away what the label before it added. So a slice may hold counts below 0.
    Both lie in the *cohort* of the prediction's own time: what arrived in a slice are the labelled rows of all cohorts,
    and the book of a cohort is the sum of all slices.
    """

    model: str
    start: int
    end: int
    kind: PredictionKind
    series: Series
    """By what outcomes are counted: SCORES, MARGINS, CLASSES, or ERRORS."""
    classes: tuple[str, ...]
    """Names, by code; of two, scores are of the second. None for numbers."""
    groups: Mapping[Group, Mapping[int, Tally]]
    """By cohort, which is the start of the window in which the predictions were made."""
    delays: Mapping[Group, Tally]
    """How long after their predictions first labels came, in buckets of DELAY_GRID (milliseconds)."""
    fates: Mapping[str, int]
    """How many labels became what."""


@dataclass(frozen=True, slots=True, eq=False)
class RawSlice:
    """A slice as its sources sent it."""

    model: str
    start: int
    end: int
    records: Sequence[OutcomeRecord]


class OutcomeMerger(Merger[OutcomeRecord, RawSlice]):
    """Puts the outcomes of all sources together."""

    def __init__(self) -> None:
        super().__init__(decode_outcomes, RawSlice, "outcomes", (FIRST_TOPIC,))


class ModelOutcomes(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What is known of a model's outcomes; part of the checkpoint."""

    codes: dict[str, int] = msgspec.field(default_factory=lambda: {PLAIN: _PLAIN, OTHER: _OTHER})
    """Of the names of classes, in the order in which they came."""
    pair: list[str] = msgspec.field(default_factory=list)
    """The first two classes: scores are of the second. OTHER stands for one that has not come yet."""
    counts: dict[int, int] = msgspec.field(default_factory=dict)
    """Labelled outcomes of all events, by series; of plain numbers these may differ."""
    numbers: int = 0
    """Plain numbers that wait, and how many of them are between 0 and 1."""
    probable: int = 0
    labelled: int = 0
    waiting: int = 0

    @property
    def names(self) -> list[str]:
        """The names of classes, those of the pair first."""
        found = [*self.pair, *(name for name in self.codes if name not in (*self.pair, PLAIN))]
        return [name for name in found if name != OTHER]


class OutcomeReader:
    """See the module's head."""

    def __init__(self) -> None:
        self.models: dict[str, ModelOutcomes] = {}

    def read(self, raw: RawSlice) -> OutcomeSlice:
        """Return a slice as it is to be taken; slices come in order."""
        known = self.models.setdefault(raw.model, ModelOutcomes())
        groups, tally = _together(raw.records, known)
        whole = np.array([not group.segment for group in groups], dtype=np.bool_)
        _note(known, tally.take(whole[tally.groups]))
        delays, tally = _apart(tally, series_of(tally.keys) == Series.DELAYS)
        values, tally = _apart(tally, series_of(tally.keys) == Series.VALUES)
        kind, series, classes, tally = _read(known, tally)
        tally = merged([tally, values])
        for_all = tally.take(whole[tally.groups])
        known.labelled += int(labelled(for_all, len(groups)).sum())
        known.waiting += int(waiting(for_all, len(groups)).sum())
        found: dict[Group, dict[int, Tally]] = {}
        for group, part in _by_group(groups, tally):
            found.setdefault(Group(group.version, group.segment), {})[group.cohort] = part
        late: dict[Group, list[Tally]] = {}
        for group, part in _by_group(groups, delays):
            late.setdefault(Group(group.version, group.segment), []).append(part)
        fates: Counter[str] = Counter()
        for record in raw.records:
            fates.update(record.fates)
        merged_delays = {group: merged(parts) for group, parts in late.items()}
        return OutcomeSlice(raw.model, raw.start, raw.end, kind, series, classes, found, merged_delays, fates)

    def forget(self, model: str) -> None:
        """Let go of a model."""
        self.models.pop(model, None)


def _together(records: Sequence[OutcomeRecord], known: ModelOutcomes) -> tuple[list[OutcomeGroup], Tally]:
    """Return all groups, in order, and the rows of all records with these groups and the model's codes."""
    for name in sorted({name for record in records for name in record.classes}):
        known.codes.setdefault(name, len(known.codes))
    groups = sorted({group for record in records for group in record.groups})
    place = {group: at for at, group in enumerate(groups)}
    parts = []
    for record in records:
        codes: Ints = np.array([known.codes[name] for name in record.classes] or [0], dtype=np.int64)
        ranks: Ints = np.array([place[group] for group in record.groups] or [0], dtype=np.int64)
        parts.append(recoded(record.tally.regrouped(ranks), codes))
    return groups, merged(parts)


def _note(known: ModelOutcomes, tally: Tally) -> None:
    """Note what all events of a slice say about what the model predicts."""
    series, truth, first = series_of(tally.keys), truth_of(tally.keys), first_of(tally.keys)
    plain = first == _PLAIN
    for each, chosen in (
        (Series.ERRORS, series == Series.ERRORS),
        (Series.SCORES, (series == Series.SCORES) & plain & (truth != UNKNOWN)),
        (Series.MARGINS, (series == Series.MARGINS) & (truth != UNKNOWN)),
    ):
        known.counts[each] = known.counts.get(each, 0) + int(tally.counts[chosen].sum())
    known.numbers += int(tally.counts[series == Series.PENDING].sum())
    known.probable += int(tally.counts[(series == Series.SCORES) & plain & (truth == UNKNOWN)].sum())
    scored = set(first[(series == Series.SCORES) & ~plain].tolist())
    _find_pair(known, [name for name in known.codes if known.codes[name] in scored])


def _find_pair(known: ModelOutcomes, scored: Sequence[str]) -> None:
    """Decide which of the first two classes scores are of; one that came alone keeps its place."""
    two = [name for name in known.codes if name not in (PLAIN, OTHER)][:2]
    if not two or (known.pair and OTHER not in known.pair):
        return
    if known.pair:
        known.pair = [two[1] if name == OTHER and len(two) > 1 else name for name in known.pair]
    elif len(two) == 1:
        known.pair = [OTHER, two[0]] if scored or two[0].lower() not in NO else [two[0], OTHER]
    else:
        one = positive([name for name in two if name in scored] or two)
        known.pair = [next(name for name in two if name != one), one]


def _read(known: ModelOutcomes, tally: Tally) -> tuple[PredictionKind, Series, tuple[str, ...], Tally]:
    """Return what the model predicts, by what it is counted, its classes, and the rows that say so."""
    names = known.names
    if len(names) > 2:
        return PredictionKind.CLASSES, Series.CLASSES, tuple(names), _of_many(tally, _codes(known, names))
    if names:
        return PredictionKind.CLASSES, Series.SCORES, tuple(known.pair), _of_two(tally, known.codes[known.pair[1]])
    margins, scores = known.counts[Series.MARGINS], known.counts[Series.SCORES]
    if known.counts[Series.ERRORS] > scores or (scores + margins == 0 and known.numbers > known.probable):
        rows = tally.take(np.isin(series_of(tally.keys), _OF_NUMBERS))
        return PredictionKind.NUMBERS, Series.ERRORS, (), rows
    series = Series.MARGINS if margins > scores else Series.SCORES
    return PredictionKind.CLASSES, series, ("0", "1"), _of_plain(tally, series)


def _codes(known: ModelOutcomes, names: Sequence[str]) -> Ints:
    """Return the code of each class that came; those without a name have one that no name can get later."""
    codes = np.full(len(known.codes), NAMELESS, dtype=np.int64)
    for at, name in enumerate(names):
        codes[known.codes[name]] = at
    return codes


def _of_many(tally: Tally, codes: Ints) -> Tally:
    """Return rows of each class; what waits and has no scores counts under the first class."""
    series = series_of(tally.keys)
    rows = recoded(tally.take((series == Series.CLASSES) | (series == Series.WEIGHTS)), codes)
    keys = rows.keys
    bare = (truth_of(keys) == UNKNOWN) & (bucket_of(keys) == NO_SCORE) & (first_of(keys) == second_of(keys))
    bare &= series_of(keys) == Series.CLASSES
    first = np.where(bare, 0, first_of(keys))
    moved = key(Series.CLASSES, first, second_of(keys), truth_of(keys), bucket_of(keys))
    return rows.rekeyed(np.where(bare, moved, keys))


def _of_two(tally: Tally, one: int) -> Tally:
    """Return rows by the score of one class; those that have none of it without a score."""
    series, keys = series_of(tally.keys), tally.keys
    scored = tally.take((series == Series.SCORES) & (first_of(keys) == one))
    scored = _by_score(Series.SCORES, scored, second_of(scored.keys) == one, truth_of(scored.keys))
    pairs = tally.take(series == Series.CLASSES)
    truth = np.where(truth_of(pairs.keys) == UNKNOWN, UNKNOWN, np.where(first_of(pairs.keys) == one, IS, NOT))
    pairs = _bare(_by_score(Series.SCORES, pairs, second_of(pairs.keys) == one, truth))
    return merged([scored, pairs - _bare(scored), tally.take(series == Series.WEIGHTS)])


def _of_plain(tally: Tally, series: Series) -> Tally:
    """Return rows by the plain number that was predicted."""
    every, keys = series_of(tally.keys), tally.keys
    rows = tally.take((every == series) & (first_of(keys) == _PLAIN))
    parts = [_by_score(series, rows, second_of(rows.keys) == _PLAIN, truth_of(rows.keys))]
    if series is Series.MARGINS:  # those that wait were counted as numbers, in the same buckets
        rows = tally.take(every == Series.PENDING)
        unknown = np.full(len(rows), UNKNOWN, dtype=np.int64)
        parts.append(_by_score(series, rows, bucket_of(rows.keys) >= 0, unknown))
    return merged([*parts, tally.take(every == Series.WEIGHTS)])


def _by_score(series: Series, rows: Tally, predicted: Bools, truth: Ints) -> Tally:
    """Return rows by the score of class 1 of two."""
    ones = np.ones(len(rows), dtype=np.int64)
    return rows.rekeyed(key(series, ones, predicted.astype(np.int64), truth, bucket_of(rows.keys)))


def _bare(rows: Tally) -> Tally:
    """Return the same rows without their scores."""
    none = np.zeros(len(rows), dtype=np.int64)
    keys = key(Series.SCORES, first_of(rows.keys), second_of(rows.keys), truth_of(rows.keys), none + NO_SCORE)
    return replace(rows, firsts=none, seconds=none).rekeyed(keys)


def _apart(tally: Tally, chosen: Bools) -> tuple[Tally, Tally]:
    return tally.take(chosen), tally.take(~chosen)


def _by_group(groups: Sequence[OutcomeGroup], tally: Tally) -> Iterator[tuple[OutcomeGroup, Tally]]:
    """Yield each group's rows, as group 0."""
    cuts = np.searchsorted(tally.groups, np.arange(len(groups) + 1)).tolist()
    for at, group in enumerate(groups):
        if cuts[at] < cuts[at + 1]:
            rows = tally.take(np.arange(cuts[at], cuts[at + 1]))
            yield group, replace(rows, groups=np.zeros(len(rows), dtype=np.int64))
