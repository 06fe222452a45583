"""What is measured, estimated and weighed, once more by the oracle: from rows, and from records of both logs.

Of scores, answers and errors there are so few that no bucket holds two of them. Then metrics, their intervals and
estimates agree to 1e-5 and logarithms of evidence to 1e-3: the package keeps scores to 2^-20, and counts with hundreds
of outcomes.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from driftline.incidents.incident import Incident, Kind
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord
from driftline.performance.foreseen import EvidenceOf
from driftline.performance.outcomes import Series
from driftline.tasks.outcomes.outcome_judge import OutcomeJudge
from driftline.tasks.outcomes.performance import PerformanceJudge
from driftline.tasks.outcomes.subject import SubjectPerformance
from driftline.tasks.summarise import Summarise
from tests.oracle import estimates, intervals, performance, shares
from tests.tasks.outcomes import DAY, HOUR, Row, binary, rules, slices
from tests.tasks.streams import START
from tests.tasks.test_labelling import Record, answer, label, labelled, predicted, settings
from tests.tasks.test_performance_stream import AWAITED, MINUTE, RULE, WINDOW

SEEDS = range(3)
ESTIMATE = 1e-5
EVIDENCE = 1e-3


def world(seed: int) -> list[Row]:
    """Labels take up to a day and a half, and some never come; then outcomes change, or inputs, or both."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in range(22):
        changed = day >= 15
        lost, skew = (0.25 if seed != 1 else 0.0, 4.0 if seed else 1.0) if changed else (0.0, 1.0)
        for row in binary(rng, day, 300, lost=lost, skew=skew):
            delay = int(rng.integers(36 * HOUR)) if rng.random() < 0.9 else None
            score = round(min(max(row.score**2 if seed == 2 else row.score, 0.01), 0.99), 2)
            said = None if delay is None else row.time + delay
            rows.append(replace(row, score=score, predicted=float(score > 0.5), labelled=said))
    return rows


def changed(day: int, seed: int) -> tuple[float, bool]:
    """Return which share of outcomes is another on a day, and whether inputs are: outcomes change, inputs, or both."""
    return (0.25 if seed != 1 else 0.0, seed > 0) if day >= 15 else (0.0, False)


def labelled_at(rng: np.random.Generator, time: int) -> int | None:
    return time + int(rng.integers(36 * HOUR)) if rng.random() < 0.9 else None


def moments(seed: int) -> Iterator[tuple[int, float, bool]]:
    """Yield when predictions are made, and what is `changed` then."""
    for day in range(22):
        lost, moved = changed(day, seed)
        for at in range(300):
            yield day * DAY + at * DAY // 300, lost, moved


def many_classes(seed: int) -> list[Row]:
    """Three classes, whose scores are twentieths."""
    rng, rows = np.random.default_rng(seed), []
    for time, lost, harder in moments(seed):
        shares = rng.dirichlet([2.0] * 3 if harder else [0.6] * 3)
        twentieths = 1 + np.diff(np.rint(np.cumsum([0.0, *shares]) * 17)).astype(int)
        scores = tuple(round(each / 20, 2) for each in twentieths.tolist())
        truth = (int(rng.choice(3, p=scores)) + int(rng.random() < 2 * lost)) % 3
        guess = float(int(np.argmax(scores)))
        rows.append(Row(time, guess, np.nan, float(truth), labelled_at(rng, time), scores=scores))
    return rows


def regression(seed: int) -> list[Row]:
    """Answers of ten sizes, whose errors are of few sizes: larger ones for larger answers."""
    rng, rows = np.random.default_rng(seed), []
    for time, lost, larger in moments(seed):
        size = int(rng.integers(6, 11) if larger else rng.integers(1, 11))
        error = 1.375 * 2.0 ** (rng.integers(4) + size // 3 + 2 * (rng.random() < 3 * lost)) * rng.choice([-1, 1])
        rows.append(Row(time, 50.0 * size, np.nan, 50.0 * size - error, labelled_at(rng, time)))
    return rows


SORTS: dict[str, tuple[Callable[[int], list[Row]], Series, tuple[str, ...]]] = {
    shares.BINARY: (world, Series.SCORES, ("no", "yes")),
    shares.MANY: (many_classes, Series.CLASSES, ("a", "b", "c")),
    shares.NUMBERS: (regression, Series.ERRORS, ()),
}


Spoken = dict[EvidenceOf, dict[int, float]]
"""By part and window, what the logarithm of the evidence came to."""


def listen(subject: SubjectPerformance, spoken: Spoken) -> None:
    """Note what the evidence of a subject has come to."""
    if subject.evidence is not None:
        for part in EvidenceOf:
            spoken.setdefault(part, {})[subject._heard - subject._own.window_ms] = subject.evidence._concepts[
                part
            ].log_m


def check(
    subject: SubjectPerformance,
    spoken: Spoken,
    told: list[Incident],
    rows: list[Row],
    span: int,
    period: int,
    sort: str = shares.BINARY,
) -> None:
    """Fail unless each part says in each window what the oracle says, until it is told, and metrics are the same."""
    size, heard = subject._own.window_ms, subject._heard
    expected = performance.parts(rows, size=size, span=span, labels=1_000, period=period, count=1.0, sort=sort)
    for part in EvidenceOf:
        first = next((each.window.start for each in told if any(name.endswith(part) for name in news(each))), None)
        assert first == next((each.window for each in expected[part] if each.fires and each.window < heard), None)
        found = [each for each in expected[part] if each.window in spoken[part] and not each.fires]
        assert len(found) > 3
        for each in found:
            assert spoken[part][each.window] == pytest.approx(each.log_m, abs=EVIDENCE), (part, each)
    known = performance.reference(rows, size=size, span=span, labels=1_000)
    likely = estimates.metrics([row for each in known.values() for row in each], sort)
    for window in subject.windows[:-1]:
        own = [row for row in rows if row.time // size * size == window.start]
        assert window.predictions == len(own)
        by_name = {metric.name: metric for metric in window.metrics}
        for name, value in likely(own).items():
            assert by_name[name].estimated.value == pytest.approx(value, rel=ESTIMATE), name
        came = [row for row in own if row.labelled is not None and row.labelled < heard]
        if window.selection != "alike":
            continue
        for name, (value, low, high) in intervals.measured(came, sort).items():
            realised = by_name[name].realised
            assert (realised.value, realised.low, realised.high) == pytest.approx((value, low, high), rel=ESTIMATE), (
                name
            )


def news(told: Incident) -> list[str]:
    return [signal.name for signal in told.signals] if told.update is None else told.update.joined


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sort", SORTS)
def test_windows_of_outcomes_say_what_the_oracle_says(sort: str, seed: int) -> None:
    make, series, classes = SORTS[sort]
    rows, held, spoken = make(seed), rules(awaited=3 * DAY), Spoken()
    judge, told = PerformanceJudge(lambda model: held), list[Incident]()
    for piece in slices(rows, series=series, classes=classes):
        while judge.deadline is not None and judge.deadline <= piece.start:
            end = judge.deadline
            told += [each for each in judge.close(end) if each.kind is Kind.PERFORMANCE]
            (subject,) = judge.subjects.values()
            listen(subject, spoken)
            books = performance.books(rows, DAY, end)
            for window in subject.windows[-4:]:
                assert (window.predictions, window.labels) == books[window.start]
        judge.take(piece)
    check(subject, spoken, told, rows, 10 * DAY, 30 * DAY, sort)
    assert told


def test_labels_that_come_at_once_are_weighed_in_steps_as_the_oracle_weighs_them() -> None:
    rows = [replace(row, labelled=(row.time // DAY // 5 + 1) * 5 * DAY) for row in world(0) if row.labelled is not None]
    held, spoken = rules(awaited=10 * DAY), Spoken()
    judge, told = PerformanceJudge(lambda model: held), list[Incident]()
    for piece in slices(rows):
        while judge.deadline is not None and judge.deadline <= piece.start:
            told += [each for each in judge.close(judge.deadline) if each.kind is Kind.PERFORMANCE]
            (subject,) = judge.subjects.values()
            listen(subject, spoken)
        judge.take(piece)
    expected = performance.parts(rows, size=DAY, span=10 * DAY, labels=1_000, period=30 * DAY, count=1.0)
    for part in (EvidenceOf.MEANING, EvidenceOf.MEASURED):
        assert any(len(performance.steps(each, DAY)) > 1 for each in arrivals(rows).values())
        first = next(each.window.start for each in told if any(name.endswith(part) for name in news(each)))
        assert first == next(each.window for each in expected[part] if each.fires)
        for each in expected[part]:
            if not each.fires:
                assert spoken[part][each.window] == pytest.approx(each.log_m, abs=EVIDENCE), (part, each)


def arrivals(rows: list[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault((row.labelled or 0) // DAY, []).append(row)
    return found


@pytest.mark.parametrize(
    ("sort", "seed"), [*((shares.BINARY, seed) for seed in SEEDS), (shares.MANY, 1), (shares.NUMBERS, 1)]
)
def test_both_logs_in_any_interleaving_say_what_the_oracle_says(sort: str, seed: int) -> None:
    """A day of the world is a window of ten minutes; the logs are read in steps of any size."""
    begin = START - START % WINDOW
    rows = [
        replace(
            row,
            time=begin + row.time * WINDOW // DAY,
            labelled=None if row.labelled is None else begin + row.labelled * WINDOW // DAY,
        )
        for row in SORTS[sort][0](seed)
    ]
    held, chance = rules(window=WINDOW, learn=10 * WINDOW, awaited=AWAITED), random.Random(seed)
    task, judge = Summarise(settings(RULE), 0, 1), OutcomeJudge(lambda model: held, lambda subject: True)
    performance = judge.watchers[0]
    assert isinstance(performance, PerformanceJudge)
    predictions, labels = logs(rows, sort)
    told, spoken = list[Incident](), Spoken()
    while predictions or labels:
        until = min(log[0][2] for log in (predictions, labels) if log) + chance.randrange(MINUTE)
        for log, give in chance.sample([(predictions, predicted), (labels, labelled)], 2):
            part = [record for record in log if record[2] <= until]
            del log[: len(part)]
            give(task, part)
        for record in task.emit():
            if isinstance(record, OutcomeRecord | OutcomeMark):
                told += judge.take(record)
                for subject in performance.subjects.values():
                    listen(subject, spoken)
    check(subject, spoken, told, rows, 10 * WINDOW, 30 * DAY, sort)


def logs(rows: list[Row], sort: str) -> tuple[list[Record], list[Record]]:
    """Return predictions and labels in the order of their times."""
    predictions, labels = list[Record](), list[Record]()
    for number, row in enumerate(rows):
        names, scores = SORTS[sort][2], row.scores or (1 - row.score, row.score)
        said: object = row.predicted
        if names:
            said = {"label": names[int(row.predicted)], "proba": dict(zip(names, scores, strict=True))}
        predictions.append(answer(number, row.time, prediction=said))
        if row.labelled is not None:
            labels.append(label(number, row.labelled, names[int(row.truth)] if names else row.truth))
    return predictions, sorted(labels, key=lambda record: record[2])
