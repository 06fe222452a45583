"""From records of predictions and labels to what is told of performance, through both stages."""

from collections.abc import Sequence

import numpy as np

from driftline.incidents.incident import Incident, Kind, Subject
from driftline.labels.book import Rule
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord
from driftline.performance.outcomes import Series
from driftline.tasks.outcomes.outcome_judge import OutcomeJudge
from driftline.tasks.outcomes.performance import PerformanceJudge
from driftline.tasks.summarise import Summarise
from tests.tasks.outcomes import rules
from tests.tasks.streams import START
from tests.tasks.test_labelling import Record, answer, label, labelled, predicted, settings

MINUTE = 60_000
WINDOW = 10 * MINUTE
AWAITED = 40 * MINUTE
RULE = Rule(awaits=AWAITED, early=0, pane_ms=10_000, cohort_ms=WINDOW)


def _told(windows: Sequence[tuple[list[float], list[str]]]) -> tuple[OutcomeJudge, list[Incident]]:
    """Send windows of scores with their labels, two minutes later, and return what Judge tells."""
    held = rules(window=WINDOW, learn=5 * WINDOW, awaited=AWAITED)
    task, judge = Summarise(settings(RULE), 0, 1), OutcomeJudge(lambda model: held, lambda subject: True)
    number, told = 0, []
    for at, (scores, truths) in enumerate(windows):
        step = WINDOW // len(scores)
        times = [START - START % WINDOW + at * WINDOW + place * step for place in range(len(scores))]
        predictions: list[Record] = []
        labels: list[Record] = []
        for score, truth, time in zip(scores, truths, times, strict=True):
            said = {"label": "yes" if score >= 0.5 else "no", "proba": {"yes": score, "no": 1 - score}}
            predictions.append(answer(number, time, prediction=said))
            labels.append(label(number, time + 2 * MINUTE, truth))
            number += 1
        predicted(task, predictions)
        labelled(task, labels)
        for record in task.emit():
            if isinstance(record, OutcomeRecord | OutcomeMark):
                told += judge.take(record)
    return judge, told


def _window(rng: np.random.Generator, lost: float = 0.0, rows: int = 250) -> tuple[list[float], list[str]]:
    score = rng.beta(0.6, 0.9, rows)
    truth = (rng.random(rows) < score) ^ (rng.random(rows) < lost)
    return score.tolist(), np.where(truth, "yes", "no").tolist()


def test_outcomes_that_change_are_told_with_how_much_is_lost() -> None:
    rng = np.random.default_rng(1)
    judge, told = _told([_window(rng, lost=0.3 if at >= 14 else 0.0) for at in range(20)])
    assert {each.kind for each in told} == {Kind.PERFORMANCE}
    assert told[0].subject == Subject("m", "", "")
    assert "AUROC fell from 0.872 to 0.674 (95% interval 0.622 to" in told[0].summary
    assert "predictions have labels" in told[0].summary
    assert (told[0].level, "their meaning has changed" in told[0].reason) == ("model", True)
    begin = START - START % WINDOW + 14 * WINDOW
    assert begin < told[0].opened <= begin + 4 * WINDOW
    performance = judge.watchers[0]
    assert isinstance(performance, PerformanceJudge)
    (held,) = [each for each in performance.subjects.values() if not each.subject.segment][:1]
    assert (held.series, held.classes) == (Series.SCORES, ("no", "yes"))
    assert held.windows[10].predictions == held.windows[10].labels == 250


def test_what_is_as_ever_is_not_told() -> None:
    rng = np.random.default_rng(2)
    _, told = _told([_window(rng) for _ in range(20)])
    assert told == []
