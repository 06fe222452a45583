"""Performance in the stream: what is told of it, when, and that it is the same after a restart."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from driftline.incidents.alerts import alert_of
from driftline.incidents.incident import Incident, Kind, Status, Subject
from driftline.incidents.severity import CRITICAL, INFO, WARNING
from driftline.performance.foreseen import EvidenceOf
from driftline.performance.outcomes import Series
from driftline.performance.reference import PerformanceReference
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.outcomes import performance
from driftline.tasks.outcomes.learning import MIN_STRETCHES
from driftline.tasks.outcomes.performance import PerformanceJudge
from driftline.tasks.outcomes.slices import OutcomeSlice
from tests.tasks.outcomes import DAY, HOUR, Row, binary, numbers, rules, slices


def fed(judge: PerformanceJudge, pieces: Iterable[OutcomeSlice]) -> list[Incident]:
    """Feed slices as Judge does: what ends before a slice is closed before it."""
    told = []
    for piece in pieces:
        while judge.deadline is not None and judge.deadline <= piece.start:
            told += judge.close(judge.deadline)
        told += judge.take(piece)
    return told


def days(first: int, last: int, seed: int = 1, **changes: object) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [row for day in range(first, last) for row in binary(rng, day, **changes)]  # type: ignore[arg-type]


def judged(held: ModelRules) -> PerformanceJudge:
    return PerformanceJudge(lambda model: held)


def test_concept_drift_is_told_as_what_it_is() -> None:
    judge = judged(rules())
    told = fed(judge, slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25)]))
    (opened,) = [each for each in told if each.kind is Kind.PERFORMANCE][:1]
    assert opened.status is Status.FIRING
    assert 20 * DAY < opened.opened <= 23 * DAY
    assert "the inputs are as before, but their meaning has changed: AUROC is 0." in opened.summary
    assert "estimated for the same predictions (95% interval 0." in opened.summary
    assert opened.level == "model"
    assert opened.severity == CRITICAL
    assert opened.began is not None
    assert opened.began == 20 * DAY


def test_what_is_as_ever_is_not_told() -> None:
    judge = judged(rules())
    assert fed(judge, slices(days(0, 60))) == []
    (held,) = judge.subjects.values()
    assert held.evidence is not None
    assert len(held.windows) > 40
    assert {each.name for each in held.windows[-3].metrics} == {"auroc", "accuracy"}


def test_harder_cases_are_told_before_labels_come() -> None:
    judge = judged(rules(awaited=60 * DAY))
    early = days(0, 20, delay=2 * HOUR)
    told = fed(judge, slices([*early, *days(20, 26, seed=2, skew=8.0, delay=20 * DAY)]))
    opened = next(each for each in told if each.kind is Kind.PERFORMANCE)
    assert opened.opened <= 23 * DAY
    assert "is estimated to have fallen from" in opened.summary
    assert "0 of 500 predictions have labels" in opened.summary
    assert opened.level == "data"
    assert opened.severity == WARNING
    later = [each for each in told if each.update is not None and each.update.joined]
    assert any("accuracy.measured" in each.update.joined for each in later if each.update is not None)


def test_a_change_that_is_over_is_told_as_over() -> None:
    judge = judged(rules())
    told = fed(judge, slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25), *days(26, 60, seed=3)]))
    assert [each.status for each in told if each.update is None] == [Status.FIRING, Status.RESOLVED]
    assert told[-1].opened < told[-1].window.end <= 40 * DAY
    assert "back to normal: performance" in told[-1].summary


def test_a_service_level_is_told_where_the_interval_is_below_it() -> None:
    judge = judged(rules(levels={"auroc": (">=", 0.95), "log_loss": ("<=", 5.0)}))
    told = fed(judge, slices(days(0, 20)))
    assert [each.signals[0].name for each in told] == ["auroc.level"]
    assert "below the 0.95 that you set" in told[0].summary
    assert told[0].false_alarms is None
    assert told[0].severity == CRITICAL


def test_a_service_level_that_is_kept_is_not_told() -> None:
    judge = judged(rules(levels={"auroc": (">=", 0.8), "accuracy": (">=", 0.7)}))
    assert fed(judge, slices(days(0, 30))) == []


def test_money_is_told_where_costs_are_known() -> None:
    judge = judged(rules(costs={("yes", "no"): -100.0, ("no", "yes"): -20.0}))
    told = fed(judge, slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25)]))
    said = [signal for each in told for signal in each.signals if signal.name == "value.measured"]
    assert said
    assert said[0].effects["money"] > 2_000  # of one day
    assert any(" less in total)" in each.summary for each in told)


def ranked(rng: np.random.Generator, day: int, *, apart: float) -> list[Row]:
    """Draw a day of a model that is always right as often: `apart` says how much surer it is of what is right."""
    rows = []
    for at in range(500):
        truth, right = rng.random() < 0.5, rng.random() < 0.8
        guess = truth == right
        score = 0.5 + (0.1 + rng.random() * 0.1 + (apart if right else 0.0)) * (1 if guess else -1)
        time = day * DAY + at * DAY // 500
        rows.append(Row(time, float(guess), score, float(truth), time + 2 * HOUR))
    return rows


def test_a_loss_of_ranking_alone_is_told() -> None:
    rng = np.random.default_rng(1)
    rows = [row for day in range(28) for row in ranked(rng, day, apart=0.2 if day < 20 else 0.0)]
    told = [each for each in fed(judged(rules()), slices(rows)) if "auroc.measured" in str(each.signals)]
    assert 20 * DAY < told[0].window.end <= 22 * DAY
    assert "AUROC fell from 0.9" in str(told[0].summary)
    by_accuracy = fed(judged(rules(metrics=("accuracy",))), slices(rows))
    assert not any("measured" in str(each.signals) for each in by_accuracy)


def test_an_incident_follows_the_metrics_that_the_user_chose() -> None:
    rows = [*days(0, 20), *days(20, 26, seed=2, lost=0.25)]
    told = fed(judged(rules(metrics=("recall", "brier"))), slices(rows))
    names = {signal.name.partition(".")[0] for each in told for signal in each.signals}
    assert names == {"recall", "brier"}


def test_what_cannot_be_measured_is_named_and_the_accuracy_is_followed() -> None:
    judge = judged(rules(metrics=("auroc_macro",)))
    fed(judge, slices(days(0, 15)))
    assert [each.unmeasured for each in judge.view().models] == [["auroc_macro"]]
    (held,) = judge.subjects.values()
    assert held.evidence is not None
    assert held.evidence._parts[EvidenceOf.MEASURED].metrics == ("accuracy",)


@pytest.mark.parametrize("worse", [9, 19])
def test_a_month_that_went_wrong_is_found_in_the_labels_of_a_year(worse: int) -> None:
    """Labels come all at once, so that most that arrive are as ever."""
    rng = np.random.default_rng(3)
    rows = [row for day in range(12) for row in binary(rng, day)]
    for day in range(12, 32):
        rows += [replace(row, labelled=32 * DAY) for row in binary(rng, day, lost=0.3 if day == 12 + worse else 0.0)]
    rows += binary(rng, 33)
    told = [each for each in fed(judged(rules(awaited=40 * DAY)), slices(rows)) if each.kind is Kind.PERFORMANCE]
    assert told[0].began == (12 + worse) * DAY
    assert "all 500 predictions have labels" in told[0].summary
    assert [each.status for each in told[1:]] == ([Status.RESOLVED] if worse == 9 else [])


def test_references_are_bounded_who_has_none_goes_on_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "MAX_KNOWN", 1)
    judge = judged(rules())
    fed(judge, slices([*days(0, 30), *days(0, 30, seed=2, segment="tenant=a")]))
    known = {subject.segment: held.evidence is not None for subject, held in judge.subjects.items()}
    assert known == {"": True, "tenant=a": False}
    assert [each.segment for each in judge.performances() if each.has_no_room] == ["tenant=a"]
    judge.forget([Subject("churn", "3", "")], [])
    fed(judge, slices(days(30, 32, seed=3, segment="tenant=a")))
    assert [held.evidence is not None for held in judge.subjects.values()] == [True]


def test_a_segment_without_labels_has_a_cost_as_its_version_reads_scores() -> None:
    rng, held = np.random.default_rng(4), rules()
    rows = days(0, 26)
    for day in range(26):
        some = binary(rng, day, 300, skew=1.0 if day < 20 else 6.0, segment="tenant=a", labels=0.0)
        rows += some
    judge = judged(held)
    fed(judge, slices(rows))
    segment = Subject("churn", "3", "tenant=a")
    assert judge.subjects[segment].evidence is None
    cost = judge.cost(segment, began=20 * DAY, opened=20 * DAY + HOUR)
    assert cost is not None
    assert cost.severity == CRITICAL
    assert judge.cost(segment, began=15 * DAY, opened=15 * DAY + HOUR).start >= 20 * DAY  # type: ignore[union-attr]
    calm = judged(held)
    fed(calm, slices([row for row in rows if row.time < 20 * DAY]))
    assert calm.cost(segment, began=15 * DAY, opened=15 * DAY + HOUR).severity == INFO  # type: ignore[union-attr]


def test_regressions_are_told_likewise() -> None:
    rng = np.random.default_rng(4)
    rows = [row for day in range(26) for row in numbers(rng, day, bias=0.1 if day >= 20 else 0.0)]
    judge = judged(rules())
    told = fed(judge, slices(rows, series=Series.ERRORS, classes=()))
    opened = next(each for each in told if each.kind is Kind.PERFORMANCE)
    assert opened.opened <= 23 * DAY
    assert "MAE is" in opened.summary or "RMSE is" in opened.summary
    assert opened.severity == CRITICAL


def test_better_is_information() -> None:
    judge = judged(rules())
    told = fed(judge, slices([*days(0, 20, lost=0.3), *days(20, 26, seed=2)]))
    assert told
    assert {each.severity for each in told if each.kind is Kind.PERFORMANCE} == {INFO}


def test_a_segment_alone_is_of_the_environment() -> None:
    rows = [*days(0, 20, segment="tenant=acme"), *days(20, 26, seed=2, lost=0.25, segment="tenant=acme")]
    judge = judged(rules())
    told = fed(judge, slices(rows))
    assert told[0].subject == Subject("churn", "3", "tenant=acme")
    assert told[0].level == "environment"


def test_where_the_inputs_moved_too_it_is_of_the_data() -> None:
    held = rules()
    judge = PerformanceJudge(lambda model: held, inputs_moved=lambda subject: True)
    told = fed(judge, slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25)]))
    assert told[0].level == "data"
    assert "the inputs moved, and their meaning has changed too: AUROC is 0." in told[0].summary
    assert "the inputs are as before" not in told[0].summary


def test_labels_for_positives_alone_are_no_incident_and_hide_what_they_hide() -> None:
    rows = [row if row.predicted else Row(row.time, row.predicted, row.score, row.truth, None) for row in days(0, 40)]
    judge = judged(rules())
    told = fed(judge, slices(rows))
    assert [each for each in told if each.kind is Kind.PERFORMANCE] == []
    (held,) = judge.subjects.values()
    assert held.windows[-3].selection == "partly"


def test_labels_that_stop_are_told_and_that_they_are_back() -> None:
    rows = [*days(0, 20), *days(20, 26, seed=2, labels=0.0), *days(26, 36, seed=3)]
    judge = judged(rules())
    told = [each for each in fed(judge, slices(rows)) if each.kind is Kind.LABELS]
    assert [each.status for each in told] == [Status.FIRING, Status.RESOLVED]
    assert 21 * DAY < told[0].opened <= 24 * DAY
    assert "none since 1970-01-21" in told[0].summary
    assert told[0].severity == WARNING


def test_labels_that_come_later_are_told() -> None:
    rows = [*days(0, 20), *days(20, 30, seed=2, delay=3 * DAY)]
    judge = judged(rules())
    told = [each for each in fed(judge, slices(rows)) if each.kind is Kind.LABELS]
    assert told[0].status is Status.FIRING
    assert "of them have one, usually" in told[0].summary


def test_monthly_dumps_of_labels_are_usual() -> None:
    rows = [
        Row(row.time, row.predicted, row.score, row.truth, (row.time // (30 * DAY) + 1) * 30 * DAY + HOUR)
        for row in days(0, 150, rows=60)
    ]
    held = rules(awaited=40 * DAY)
    told = fed(judged(held), slices(rows, length=6 * HOUR))
    assert [each for each in told if each.kind is Kind.LABELS] == []


@pytest.mark.parametrize("cut", [100, 300, 520, 570])
def test_a_restart_changes_nothing(cut: int) -> None:
    held = rules()
    pieces = [*slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25), *days(26, 30, seed=3)])]
    whole = judged(held)
    expected = fed(whole, pieces)
    one, other = judged(held), judged(held)
    told = fed(one, pieces[: cut // 2])
    blobs = {name: blob for name, blob in one.checkpoint().items() if blob is not None}
    told += fed(one, pieces[cut // 2 : cut])
    for name, blob in one.checkpoint().items():
        if blob is None:
            blobs.pop(name, None)
        else:
            blobs[name] = blob
    other.restore(blobs)
    assert other.deadline == one.deadline
    told += fed(other, pieces[cut:])
    assert [alert_of(each, group="test").encode() for each in told] == [
        alert_of(each, group="test").encode() for each in expected
    ]
    assert sorted(_all(other)) == sorted(_all(whole))


def _all(judge: PerformanceJudge) -> list[bytes]:
    return [msgspec.json.encode(each.windows) for each in judge.subjects.values()]


def test_what_comes_late_counts_in_the_book_of_its_predictions() -> None:
    judge = judged(rules())
    pieces = [*slices(days(0, 15))]
    fed(judge, pieces[:-1])
    (held,) = judge.subjects.values()
    before = held.books.counts(3 * DAY)
    judge.take(pieces[3 * 24])
    assert judge.late > 0
    assert held.books.counts(3 * DAY)[0] > before[0]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, "MAX_ROWS", 3_000)
    judge = judged(rules())
    fed(judge, slices(days(0, 30)))
    (held,) = judge.subjects.values()
    assert held.books.rows <= 3_000
    blobs = {name: blob for name, blob in judge.checkpoint().items() if blob is not None}
    assert sum(name.startswith("performance/book/") for name in blobs) == len(held.books.books)


def test_what_references_are_learned_from_is_bounded_and_they_lose_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    held = rules(window=6 * HOUR, learn=30 * DAY)
    rows = [*days(0, 40, rows=200), *days(0, 40, seed=2, rows=50, segment="tenant=a")]

    def learned(most: int) -> tuple[PerformanceJudge, int]:
        monkeypatch.setattr(performance, "MAX_LEARNING", most)
        judge, longest = judged(held), 0
        for piece in slices(rows):
            fed(judge, [piece])
            longest = max(longest, sum(each.learner.bytes for each in judge.subjects.values()))
        return judge, longest

    free, size = learned(1 << 40)
    tight, less = learned(size // 3)
    assert less <= size // 3
    for subject, judge in tight.subjects.items():
        other = free.subjects[subject]
        assert judge.evidence is not None
        assert other.evidence is not None
        assert judge.evidence.reference.whole.packed() == other.evidence.reference.whole.packed()
        assert MIN_STRETCHES <= judge.evidence.reference.stretches <= other.evidence.reference.stretches


def test_what_is_open_ends_with_a_word_where_labels_are_not_awaited_any_more() -> None:
    judge = judged(rules())
    fed(judge, slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25), *days(26, 29, seed=3, labels=0.0)]))
    assert {each.kind for each in judge.open} == {Kind.PERFORMANCE, Kind.LABELS}
    blobs = {name: blob for name, blob in judge.checkpoint().items() if blob is not None}
    other = judged(replace(rules(), performance=None))
    ended = other.restore(blobs)
    assert other.open == []
    assert {(each.id, each.status) for each in ended} == {(each.id, Status.RESOLVED) for each in judge.open}
    assert all("closed: its labels are not awaited any more" in each.summary for each in ended)
    gone = {name for name, blob in other.checkpoint().items() if blob is None}
    assert {name for name in blobs if name not in ("performance/labels", "view/performance")} <= gone


def test_who_is_forgotten_leaves_nothing() -> None:
    judge = judged(rules())
    fed(judge, slices([*days(0, 20), *days(20, 26, seed=2, lost=0.25)]))
    blobs = {name for name, blob in judge.checkpoint().items() if blob is not None}
    (closed,) = judge.forget([Subject("churn", "3", "")], ["churn"])
    assert closed.status is Status.RESOLVED
    gone = judge.checkpoint()
    kept = ("performance/labels", "view/performance")
    assert {name for name in blobs if name not in kept} <= {name for name, blob in gone.items() if blob is None}
    assert judge.open == []


def test_a_file_that_takes_the_place_of_what_was_learned_closes_what_is_open() -> None:
    one = judged(rules())
    fed(one, slices([*days(0, 20), *days(20, 24, seed=2, lost=0.3)]))
    (incident,) = one.open
    (held,) = one.subjects.values()
    assert held.evidence is not None
    known = held.evidence.reference
    given = PerformanceReference(known.series, known.classes, known.tally + known.tally, known.stretches)
    other = judged(rules(reference=lambda version, segment: given))
    other.restore({name: blob for name, blob in one.checkpoint().items() if blob is not None})
    told = fed(other, slices([row for row in days(25, 30, seed=3) if row.time >= 25 * DAY]))
    assert (told[0].id, told[0].status) == (incident.id, Status.RESOLVED)
    assert "the reference changed (file)" in told[0].summary
    assert other.open == []
    assert other.view().models[0].given


@pytest.mark.parametrize("metric", ["log_loss", "precision_macro", "recall_macro", "f1_macro", "brier"])
def test_what_users_name_is_weighed_and_told_in_that_metric(metric: str) -> None:
    judge = judged(rules(metrics=(metric,)))
    told = fed(judge, slices([*days(0, 20), *days(20, 30, seed=2, lost=0.25)]))
    told = [each for each in told if each.kind is Kind.PERFORMANCE]
    assert told[0].opened > 20 * DAY
    names = {signal.name for each in told for signal in each.signals}
    assert {f"{metric}.measured"} <= names <= {f"{metric}.{part}" for part in EvidenceOf}


@pytest.mark.parametrize("metric", ["mae", "rmse", "mape", "bias", "quantile_0.9"])
def test_numbers_are_weighed_and_told_in_the_metric_that_users_name(metric: str) -> None:
    rng = np.random.default_rng(5)
    rows = [row for day in range(30) for row in numbers(rng, day, bias=0.1 if day >= 20 else 0.0)]
    judge = judged(rules(metrics=(metric,)))
    told = fed(judge, slices(rows, series=Series.ERRORS, classes=()))
    told = [each for each in told if each.kind is Kind.PERFORMANCE]
    assert 20 * DAY < told[0].opened <= 23 * DAY
    names = {signal.name for each in told for signal in each.signals}
    assert {f"{metric}.measured"} <= names <= {"large_errors.meaning", *(f"{metric}.{part}" for part in EvidenceOf)}


@pytest.mark.parametrize("sort", ["classes", "numbers"])
def test_metrics_that_are_named_stay_quiet_while_nothing_changes(sort: str) -> None:
    rng, of_classes = np.random.default_rng(6), sort == "classes"
    named = ("log_loss", "brier", "precision_macro", "recall_macro", "f1_macro")
    named = named if of_classes else ("mae", "rmse", "mape", "bias", "quantile_0.9")
    rows = days(0, 50) if of_classes else [row for day in range(50) for row in numbers(rng, day)]
    series, classes = (Series.SCORES, ("no", "yes")) if of_classes else (Series.ERRORS, ())
    assert fed(judged(rules(metrics=named)), slices(rows, series=series, classes=classes)) == []


def test_a_service_level_of_the_bias_holds_to_either_side() -> None:
    rng = np.random.default_rng(5)
    for bias in (0.1, -0.1):
        rows = [row for day in range(24) for row in numbers(rng, day, bias=bias if day >= 20 else 0.0)]
        told = fed(judged(rules(levels={"bias": ("<=", 10.0)})), slices(rows, series=Series.ERRORS, classes=()))
        assert any(signal.name == "bias.level" for each in told for signal in each.signals)
