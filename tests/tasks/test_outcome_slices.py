"""Outcomes through both stages: exact counts of what each prediction has come to, whatever way the logs interleave."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.incidents.incident import Subject
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord, decode_outcomes
from driftline.panes.records import Group
from driftline.performance.outcomes import Series, classified, labelled, of_classes, regressed, waiting
from driftline.performance.tally import Tally, merged
from driftline.performance.values import total_value
from driftline.tasks.model_rules import LearnRule
from driftline.tasks.outcomes.performance import PerformanceJudge
from driftline.tasks.outcomes.slices import OutcomeMerger, OutcomeReader, OutcomeSlice, PredictionKind
from driftline.tasks.summarise import Summarise
from tests.tasks import test_labelling
from tests.tasks.outcomes import rules
from tests.tasks.streams import START, stored
from tests.tasks.test_labelling import HOUR, Record, answer, in_parts, label, logs, settings, tombstone

MINUTE = 60_000
ALL = Group("", "")


@dataclass
class Sent:
    """A task that reads both logs, and the outcomes that it sent."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    records: list[OutcomeRecord] = field(default_factory=list)
    marks: list[OutcomeMark] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task = Summarise(settings(), 0, 1)

    def predictions(self, *records: Record) -> "Sent":
        test_labelling.predicted(self.task, records)
        return self

    def labels(self, *records: Record) -> "Sent":
        test_labelling.labelled(self.task, records)
        return self

    def emit(self) -> "Sent":
        for record in self.task.emit():
            if isinstance(record, OutcomeRecord):
                again = decode_outcomes(record.encode())
                assert isinstance(again, OutcomeRecord)
                assert again.encode() == record.encode()
                self.records.append(again)
            elif isinstance(record, OutcomeMark):
                assert decode_outcomes(record.encode()) == record
                self.marks.append(record)
        return self

    def restart(self) -> "Sent":
        self.emit()
        stored(self.blobs, self.task)
        self.task = Summarise(settings(), 0, 1)
        self.task.restore(self.blobs)
        return self

    def end(self) -> "Sent":
        self.task.end()
        return self.emit()

    def slices(self) -> list[OutcomeSlice]:
        reader, merger = OutcomeReader(), OutcomeMerger()
        found: list[OutcomeSlice] = []
        sent: list[OutcomeRecord | OutcomeMark] = [*self.records, *self.marks]
        for record in sent:
            if merger.take(record):
                for _, raw in merger.advance(lambda: None):
                    found.extend(map(reader.read, raw))
        return found


def total(slices: Sequence[OutcomeSlice], group: Group = ALL) -> Tally:
    return merged([rows for piece in slices for rows in piece.groups.get(group, {}).values()])


def same(one: Tally, other: Tally) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Tally.__slots__)


def groups(rows: Iterable[object]) -> np.ndarray:
    return np.zeros(len(list(rows)), dtype=np.int64)


def binary(states: Sequence[tuple[float, int | None]]) -> Tally:
    """Count (score of class 1, label), None for none."""
    scores = np.array([np.float32(score) for score, _ in states], dtype=np.float64)
    truths = np.array([-1 if said is None else said for _, said in states])
    return classified(groups(states), (scores >= 0.5).astype(np.int64), truths, scores)


def proba(score: float) -> dict[str, object]:
    return {"label": "yes" if np.float32(score) >= 0.5 else "no", "proba": {"yes": score, "no": 1 - score}}


SCORES = [0.9, 0.2, 0.7, 0.5, 0.1]


def test_scores_of_two_classes_count_with_their_labels_and_those_that_wait_without() -> None:
    sent = Sent().predictions(*(answer(at, START, prediction=proba(score)) for at, score in enumerate(SCORES)))
    sent.labels(label(0, START, "yes"), label(1, START, "yes"), label(2, START + 90_000, "no"))
    found = sent.restart().end().slices()
    assert {(piece.kind, piece.series, piece.classes) for piece in found} == {
        (PredictionKind.CLASSES, Series.SCORES, ("no", "yes"))
    }
    assert same(total(found), binary(list(zip(SCORES, [1, 1, 0, None, None], strict=True))))
    assert labelled(total(found), 1) == 3
    assert waiting(total(found), 1) == 2


@pytest.mark.parametrize("yes_no", [(1, 0), (True, False), ("Yes", "no"), (1.0, 0.0)])
def test_a_number_from_0_to_1_is_the_probability_of_yes(yes_no: tuple[object, object]) -> None:
    yes, no = yes_no
    sent = Sent().predictions(*(answer(at, START, prediction=score) for at, score in enumerate(SCORES)))
    sent.labels(label(0, START, yes), label(1, START, yes), label(2, START, no)).restart()
    found = sent.end().slices()
    assert {(piece.kind, piece.classes) for piece in found} == {(PredictionKind.CLASSES, ("0", "1"))}
    scores = np.array(SCORES)
    truths = np.array([1, 1, 0, -1, -1])
    assert same(total(found), classified(groups(SCORES), (scores >= 0.5).astype(np.int64), truths, scores))


def test_numbers_count_with_their_errors() -> None:
    values, truths = np.array([10.0, 0.5, -3.0, 7.0]), np.array([12.0, 0.7, 1.0, np.nan])
    sent = Sent().predictions(*(answer(at, START, prediction=value) for at, value in enumerate(values.tolist())))
    sent.labels(*(label(at, START, truth) for at, truth in enumerate(truths[:3].tolist())))
    found = sent.restart().end().slices()
    assert {(piece.kind, piece.series, piece.classes) for piece in found} == {
        (PredictionKind.NUMBERS, Series.ERRORS, ())
    }
    assert same(total(found), regressed(groups(values), values, truths))


def test_scores_that_are_no_probabilities_go_by_the_classes_of_their_labels() -> None:
    values = np.array([2.5, -1.5, 0.25, -7.0])
    sent = Sent().predictions(*(answer(at, START, prediction=value) for at, value in enumerate(values.tolist())))
    found = sent.labels(label(0, START, "yes"), label(1, START, "no"), label(2, START, "no")).end().slices()
    assert found[-1].series is Series.MARGINS
    truths = np.array([1, 0, 0, -1])
    expected = classified(groups(values), (values >= 0).astype(np.int64), truths, values, probabilities=False)
    assert same(total(found), expected)


def test_several_classes_count_each_by_its_own_score() -> None:
    scored = [{"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.125, "b": 0.75, "c": 0.125}, {"a": 0.25, "b": 0.25, "c": 0.5}]
    predictions = [{"label": max((score, name) for name, score in each.items())[1], "proba": each} for each in scored]
    sent = Sent().predictions(*(answer(at, START, prediction=each) for at, each in enumerate(predictions)))
    found = sent.labels(label(0, START, "a"), label(1, START, "c")).restart().end().slices()
    classes = found[-1].classes
    assert found[-1].series is Series.CLASSES
    assert sorted(classes) == ["a", "b", "c"]
    code = {name: at for at, name in enumerate(classes)}
    scores = np.full((3, 3), np.nan)
    for at, each in enumerate(scored):
        for name, score in each.items():
            scores[at, code[name]] = score
    expected = classified(
        groups(scored), np.array([code["a"], code["b"], code["c"]]), np.array([code["a"], code["c"], -1]), scores
    )
    bare = (expected.keys & ((1 << 26) - 1)) == 0  # a class that nobody scores has no rows
    assert same(total(found), expected.take(~bare))
    assert labelled(total(found), 1) == 2
    assert waiting(total(found), 1) == 1


def test_labels_alone_count_as_right_or_wrong() -> None:
    said = ["cat", "dog", "cat", "dog"]
    sent = Sent().predictions(*(answer(at, START, prediction=each) for at, each in enumerate(said)))
    found = sent.labels(label(0, START, "cat"), label(1, START, "cat"), label(2, START, "dog")).end().slices()
    assert found[-1].classes == ("cat", "dog")
    expected = classified(groups(said), np.array([0, 1, 0, 1]), np.array([0, 0, 1, -1]))
    assert same(total(found), expected)


def test_what_a_label_corrects_or_withdraws_is_taken_out() -> None:
    sent = Sent().predictions(*(answer(at, START, prediction=proba(score)) for at, score in enumerate(SCORES)))
    sent.labels(*(label(at, START + at, "yes") for at in range(5))).restart()
    sent.labels(label(0, START + MINUTE, "no", revision=1), tombstone(1, START + MINUTE), label(2, START + 1, "no"))
    found = sent.labels(tombstone(3, START + MINUTE), label(3, START + 2 * MINUTE, "no", revision=3)).end().slices()
    assert same(total(found), binary(list(zip(SCORES, [0, None, 0, 0, 1], strict=True))))
    assert {fate: sum(piece.fates.get(fate, 0) for piece in found) for fate in ("joined", "duplicate")} == {
        "joined": 8,
        "duplicate": 0,
    }


def test_outcomes_are_told_apart_by_segment_and_by_when_they_were_predicted() -> None:
    day = 86_400_000
    cohort = START - START % day
    late = cohort + day - START
    sent = Sent()
    sent.predictions(answer(0, START, prediction=proba(0.9), segment={"tenant": "a"}))
    sent.labels(label(0, START, "yes"), label(1, START + late, "yes"))
    sent.predictions(answer(1, START + late, prediction=proba(0.8), segment={"tenant": "b"}))
    found = sent.end().slices()
    assert {group for piece in found for group in piece.groups} == {
        ALL,
        Group("", "tenant=a"),
        Group("", "tenant=b"),
    }
    by_cohort = {at: rows for piece in found for at, rows in piece.groups[ALL].items()}
    assert by_cohort.keys() == {cohort, cohort + day}
    assert same(total(found, Group("", "tenant=b")), binary([(0.8, 1)]))


def test_delays_of_first_labels_are_counted() -> None:
    sent = Sent().predictions(answer(0, START, prediction=0.5), answer(1, START, prediction=0.5))
    found = sent.labels(label(0, START + MINUTE, 1), label(0, START + 2 * MINUTE, 0)).end().slices()
    delays = merged([piece.delays[ALL] for piece in found if ALL in piece.delays])
    assert delays.counts.tolist() == [1]


def test_outcomes_leave_once_both_logs_have_passed() -> None:
    sent = Sent().predictions(*(answer(at, START + at * 1_000, prediction=0.5) for at in range(60))).emit()
    assert sent.records == []
    sent.labels(*(label(at, START + at * 1_000, 1) for at in range(30))).emit()
    assert {record.end for record in sent.records} == {START + 10_000, START + 20_000}
    assert sent.marks[-1].time == START + 24_000
    assert not sent.marks[-1].idle


def encoded(sent: Sent) -> list[bytes]:
    return sorted(record.encode() for record in sent.records)


@hypothesis.settings(max_examples=40)
@given(logs(), st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.integers(0, 2)), max_size=20))
def test_interleaving_batches_and_restarts_do_not_show_in_what_is_sent(
    both_logs: tuple[list[Record], list[Record]], plan: list[tuple[bool, int, int]]
) -> None:
    predictions, labels = both_logs
    plain = Sent()
    for record in predictions:
        plain.predictions(record)
    for record in labels:
        plain.labels(record)
    plain.end()
    other = Sent()
    for after in in_parts(other, predictions, labels, [*plan, (True, 99, 1), (False, 99, 2)]):
        if after == 1:
            other.emit()
        elif after == 2:
            other.restart()
    other.end()
    assert encoded(other) == encoded(plain)
    fates = [number for record in plain.records for number in record.fates.values()]
    assert sum(fates) <= len(labels)


def forty_classes() -> list[OutcomeSlice]:
    """Predictions name the first 32 of 40 classes, and labels, which come later, the last 32: each log has its list."""
    names = [f"c{at:02}" for at in range(40)]
    sent = Sent().predictions(*(answer(at, START, prediction={"label": name}) for at, name in enumerate(names)))
    sent.emit().labels(*(label(at, START + 2 * MINUTE, names[at]) for at in reversed(range(40))))
    return sent.end().slices()


def test_a_class_that_is_named_later_does_not_take_the_code_of_those_without_a_name() -> None:
    first, *_, last = found = forty_classes()
    assert (len(first.classes), len(last.classes)) == (32, 40)
    rows = total(found)
    assert (rows.counts > 0).all()
    assert (labelled(rows, 1)[0], waiting(rows, 1)[0]) == (40, 0)
    assert labelled(of_classes(rows, 40), 1)[0] == 24  # eight were predicted and eight are true without a name


def test_it_is_told_how_many_labels_no_metric_counts() -> None:
    judge = PerformanceJudge(lambda model: rules(window=10 * MINUTE, awaited=HOUR))
    for piece in forty_classes():
        judge.take(piece)
    assert judge.deadline is not None
    judge.close(judge.deadline)
    blobs = {name: blob for name, blob in judge.checkpoint().items() if blob is not None}
    other = PerformanceJudge(lambda model: rules(window=10 * MINUTE, awaited=HOUR))
    other.restore(blobs)
    assert [each.view().models[0].left_out for each in (judge, other)] == [16, 16]


def test_values_of_labels_add_up_with_corrections_and_withdrawals() -> None:
    sent = Sent().predictions(*(answer(at, START, prediction=proba(score)) for at, score in enumerate(SCORES)))
    sent.labels(*(label(at, START, "yes", value=10.0 * at) for at in range(4)), label(4, START, "no"))
    sent.emit().restart()
    sent.labels(label(1, START + MINUTE, "yes", value=-7.5, revision=1), label(2, START + MINUTE, None, revision=1))
    found = total(sent.end().slices())
    labels, worth = total_value(found)
    assert labels == 3
    assert worth == pytest.approx(0.0 - 7.5 + 30.0, rel=1e-6)
    assert (labelled(found, 1)[0], waiting(found, 1)[0]) == (4, 1)


def test_a_reference_that_is_renewed_knows_the_classes_that_came_since() -> None:
    rule = replace(rules(window=10 * MINUTE, awaited=HOUR), learn=LearnRule(10 * MINUTE, 40, renewed=True))
    judge, labels = PerformanceJudge(lambda model: rule), []
    for shift, named in ((0, 20), (HOUR, 40)):
        for piece in forty_classes():
            moved = replace(piece, start=piece.start + shift, end=piece.end + shift, classes=piece.classes[:named])
            judge.take(moved)
        assert judge.deadline is not None
        judge.close(judge.deadline)
        evidence = judge.subjects[Subject("m", "", "")].evidence
        assert evidence is not None
        labels.append((len(evidence.reference.classes), evidence.reference.labels))
    assert labels == [(20, 12), (40, 24)]
