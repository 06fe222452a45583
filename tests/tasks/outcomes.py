"""Streams of outcomes for tests: predictions and labels as rows, and as the slices that Judge gets of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from driftline.incidents.budget import AlarmBudget
from driftline.panes.records import Group
from driftline.performance.outcomes import WAITING, Series, classified, regressed
from driftline.performance.tally import Tally
from driftline.performance.values import valued
from driftline.tasks.model_rules import LearnRule, ModelRules, PerformanceRules
from driftline.tasks.outcomes.slices import OutcomeSlice, PredictionKind

HOUR = 3_600_000
DAY = 24 * HOUR
MODEL = "churn"


@dataclass(frozen=True)
class Row:
    """One prediction, with the label that comes for it at some time."""

    time: int
    predicted: float
    score: float
    truth: float
    labelled: int | None
    segment: str = ""
    version: str = "3"
    value: float = np.nan
    scores: tuple[float, ...] = ()
    """Of each class, where there are many."""


def rules(*, window: int = DAY, learn: int = 10 * DAY, awaited: int = 30 * DAY, **own: object) -> ModelRules:
    """Return rules of a model whose labels are awaited."""
    performance = PerformanceRules(window_ms=window, awaited_ms=awaited, **own)  # type: ignore[arg-type]
    return ModelRules(
        windows=((HOUR, HOUR),), pane_ms=HOUR, budget=AlarmBudget(1.0, 30 * DAY, with_labels=True),
        learn=LearnRule(learn, 1_000), min_effect=0.02, min_events=30, segmented=False, performance=performance,
        group="test",
    )  # fmt: skip


def binary(
    rng: np.random.Generator, day: int, rows: int = 500, *, delay: int = 2 * HOUR, lost: float = 0.0,
    skew: float = 1.0, segment: str = "", labels: float = 1.0,
) -> list[Row]:  # fmt: skip
    """Draw a day of a calibrated classifier, of which a share of outcomes is turned round."""
    times = day * DAY + np.sort(rng.integers(0, DAY, rows))
    score = rng.beta(0.6 * skew, 0.9 * skew, rows)
    truth = (rng.random(rows) < score) ^ (rng.random(rows) < lost)
    came = rng.random(rows) < labels
    return [
        Row(int(time), float(each > 0.5), float(each), float(is_), int(time) + delay if has else None, segment)
        for time, each, is_, has in zip(times, score, truth, came, strict=True)
    ]


def numbers(
    rng: np.random.Generator, day: int, rows: int = 500, *, delay: int = 2 * HOUR, bias: float = 0.0
) -> list[Row]:
    """Draw a day of a regression whose errors are a tenth of its answers."""
    times = day * DAY + np.sort(rng.integers(0, DAY, rows))
    guess = rng.gamma(4, 50, rows)
    truth = guess * (1 - bias) + rng.normal(0, 0.1 * guess)
    return [
        Row(int(time), float(each), np.nan, float(is_), int(time) + delay)
        for time, each, is_ in zip(times, guess, truth, strict=True)
    ]


def slices(
    rows: Sequence[Row], *, length: int = HOUR, cohort: int = DAY, series: Series = Series.SCORES,
    classes: tuple[str, ...] = ("no", "yes"),
) -> Iterator[OutcomeSlice]:  # fmt: skip
    """Yield the slices of a model: a prediction waits in its own, and its label is in the one in which it came."""
    events: dict[int, dict[tuple[Group, int], list[tuple[Row, bool, int]]]] = {}
    for row in rows:
        cell = Group(row.version, row.segment), row.time - row.time % cohort
        events.setdefault(row.time // length, {}).setdefault(cell, []).append((row, False, 1))
        if row.labelled is not None:
            held = events.setdefault(row.labelled // length, {}).setdefault(cell, [])
            held += [(row, False, -1), (row, True, 1)]
    for at in sorted(events):
        kind = PredictionKind.NUMBERS if series is Series.ERRORS else PredictionKind.CLASSES
        groups: dict[Group, dict[int, Tally]] = {}
        for (group, start), chosen in sorted(events[at].items()):
            none = np.zeros(len(chosen), dtype=np.int64)
            signs = np.array([sign for _, _, sign in chosen])
            truth = np.array([row.truth if known else np.nan for row, known, _ in chosen])
            guess = np.array([row.predicted for row, _, _ in chosen])
            if series is Series.ERRORS:
                tally = regressed(none, guess, truth, signs=signs)
            else:
                score = np.array([row.scores or row.score for row, _, _ in chosen])
                codes = np.where(np.isnan(truth), WAITING, np.nan_to_num(truth)).astype(np.int64)
                tally = classified(none, guess.astype(np.int64), codes, score, signs=signs)
            worth = np.array([row.value if known else np.nan for row, known, _ in chosen])
            groups.setdefault(group, {})[start] = tally + valued(none, worth, signs)
        yield OutcomeSlice(MODEL, at * length, (at + 1) * length, kind, series, classes, groups, {}, {})
