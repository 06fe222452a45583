"""Outcomes of several partitions in Judge, and once more by the oracle of the join."""

import random
from collections import Counter
from collections.abc import Sequence

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from driftline.incidents.incident import Incident, Kind, Status, Subject, Window
from driftline.labels.book import Rule
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord
from driftline.performance.outcomes import labelled, waiting
from driftline.tasks.outcomes.outcome_judge import OutcomeJudge
from driftline.tasks.outcomes.slices import OutcomeMerger, OutcomeReader, OutcomeSlice
from driftline.tasks.summarise import Summarise
from tests.oracle import labels as oracle
from tests.tasks import test_labelling
from tests.tasks.outcomes import rules
from tests.tasks.streams import START
from tests.tasks.test_labelling import HOUR, RULE, Record, answer, in_parts, label, settings
from tests.tasks.test_outcome_slices import ALL, Sent, binary, proba, same, total

DAY = 86_400_000
PARTITIONS = 3
"""Partitions of the two logs."""


def partition(source: int, seed: int) -> list[OutcomeRecord | OutcomeMark]:
    """Return what one partition sends: some in time, some corrected, then it falls idle and wakes up again."""
    rng = random.Random(seed)
    task = Summarise(settings(), source, PARTITIONS)
    sent: list[OutcomeRecord | OutcomeMark] = []

    def feed(predictions: list[Record], labels: list[Record]) -> None:
        if predictions:
            test_labelling.predicted(task, predictions)
        test_labelling.labelled(task, labels)
        sent.extend(each for each in task.emit() if isinstance(each, OutcomeRecord | OutcomeMark))

    now = START
    for _ in range(8):
        numbers = [rng.randrange(1_000) for _ in range(6)]
        times = sorted(now + rng.randrange(30_000) for _ in numbers)
        said = [(rng.choice(numbers), rng.choice(["yes", "no"]), now + rng.randrange(40_000)) for _ in range(5)]
        feed(
            [answer(n, at, prediction=proba(rng.random())) for n, at in zip(numbers, times, strict=True)],
            [label(n, at, word) for n, word, at in sorted(said, key=lambda each: each[2])],
        )
        now += 30_000
        if rng.random() < 0.3:
            task.idle = frozenset({"predictions", "labels"})
            task.rest(now + 60_000, 60_000)
            feed([], [])
            task.idle = frozenset()
    task.end(now + HOUR)
    sent.extend(each for each in task.emit() if isinstance(each, OutcomeRecord | OutcomeMark))
    return sent


SOURCES = [partition(source, source + 1) for source in range(PARTITIONS)]


def interleaved(rng: random.Random) -> list[OutcomeRecord | OutcomeMark]:
    """Return the panes log: each source's records in their order, some of them twice."""
    left = [list(records) for records in SOURCES]
    log: list[OutcomeRecord | OutcomeMark] = []
    while any(left):
        source = rng.choice([held for held in left if held])
        log.append(source.pop(0))
        if rng.random() < 0.2:
            log.append(rng.choice([each for each in log if each.source == log[-1].source]))
    return log


def judged(log: Sequence[OutcomeRecord | OutcomeMark], restarts: random.Random | None) -> object:
    judge = OutcomeJudge(lambda model: rules(), lambda subject: True)
    blobs: dict[str, bytes] = {}
    for record in log:
        judge.take(record)
        if restarts is not None and restarts.random() < 0.2:
            for name, blob in judge.checkpoint().items():
                if blob is None:
                    del blobs[name]
                else:
                    blobs[name] = blob
            judge = OutcomeJudge(lambda model: rules(), lambda subject: True)
            judge.restore(blobs)
    return judge.view()


def test_what_judge_knows_does_not_depend_on_how_sources_interleave() -> None:
    expected = judged(interleaved(random.Random(0)), None)
    assert expected
    for seed in range(1, 6):
        assert judged(interleaved(random.Random(seed)), random.Random(seed)) == expected


def test_all_that_sources_counted_comes_out_of_the_merger_once() -> None:
    merger, reader = OutcomeMerger(), OutcomeReader()
    found: list[OutcomeSlice] = []
    for record in interleaved(random.Random(7)):
        if merger.take(record):
            found.extend(reader.read(raw) for _, raws in merger.advance(lambda: None) for raw in raws)
        found.extend(map(reader.read, merger.overdue()))
    fates = Counter[str]()
    for record in {id(each): each for records in SOURCES for each in records}.values():
        if isinstance(record, OutcomeRecord):
            fates.update(record.fates)
    assert fates == sum((Counter(piece.fates) for piece in found), Counter())
    assert labelled(total(found), 1)[0] == reader.models["m"].labelled > 0
    assert waiting(total(found), 1)[0] == reader.models["m"].waiting > 0


@st.composite
def simple_logs(draw: st.DrawFn) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, str | None, int]]]:
    """Predictions (number, time, score) and labels (number, arrival, said, revision), in the order of their times."""
    steps = st.sampled_from([0, 1_000, 20_000, HOUR, 3 * HOUR])
    predictions, labels, now = [], [], START
    for number in range(draw(st.integers(1, 10))):
        now += draw(steps)
        predictions.append((number, now, draw(st.sampled_from([0.25, 0.5, 0.75]))))
    now = START
    for _ in range(draw(st.integers(0, 12))):
        now += draw(steps)
        said = draw(st.sampled_from(["yes", "no", None]))
        labels.append((draw(st.integers(0, 9)), now, said, draw(st.integers(0, 2))))
    return predictions, labels


@hypothesis.settings(max_examples=40)
@given(simple_logs(), st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.booleans()), max_size=12))
def test_every_prediction_counts_as_what_the_oracle_says_it_has_come_to(
    both: tuple[list[tuple[int, int, float]], list[tuple[int, int, str | None, int]]],
    plan: list[tuple[bool, int, bool]],
) -> None:
    predictions, labels = both
    sent = Sent()
    answers = [answer(number, time, prediction=proba(score)) for number, time, score in predictions]
    records = [label(number, arrival, said, revision=revision) for number, arrival, said, revision in labels]
    for restart in in_parts(sent, answers, records, [*plan, (True, 99, True), (False, 99, False)]):
        if restart:
            sent.restart()
    found = sent.end().slices()
    joined = oracle.join(
        [oracle.Answer("m", f"p-{number}", time, (score,)) for number, time, score in predictions],
        [
            oracle.Label("m", f"p-{number}", arrival, arrival, revision, None if said is None else (said,))
            for number, arrival, said, revision in labels
        ],
        {"m": span_of(RULE)},
        2**50,
    )
    stands: Counter[tuple[str, str]] = Counter()
    for row, number in joined.rows.items():
        stands[row.event_id, row.says[0]] += row.sign * number
    said_of = {event_id: said for (event_id, said), number in stands.items() if number}
    states: dict[int, list[tuple[float, int | None]]] = {}
    for number, time, score in predictions:
        said = said_of.get(f"p-{number}")
        states.setdefault(time - time % DAY, []).append((score, None if said is None else int(said == "yes")))
    cohorts = {cohort for piece in found for cohort in piece.groups.get(ALL, {})}
    assert cohorts == states.keys()
    for cohort, each in states.items():
        mine = [
            piece.__class__(
                piece.model, piece.start, piece.end, piece.kind, piece.series, piece.classes,
                {ALL: {cohort: piece.groups[ALL][cohort]}}, {}, {},
            )
            for piece in found
            if cohort in piece.groups.get(ALL, {})
        ]  # fmt: skip
        assert same(total(mine), binary(each))
    fates = sum((Counter(piece.fates) for piece in found), Counter[str]())
    expected = Counter[int]()
    for (_, _, fate), number in joined.fates.items():
        expected[fate] += number
    assert fates["joined"] == expected[oracle.JOINED]
    assert fates["duplicate"] == expected[oracle.DUPLICATE]
    assert fates["expired"] == expected[oracle.EXPIRED]


def span_of(rule: Rule) -> oracle.Span:
    return oracle.Span(rule.awaits, rule.early, rule.pane_ms)


def test_inputs_are_not_as_before_while_a_drift_or_a_fault_of_theirs_is_open() -> None:
    """Both opened in the same window: that one is over does not end the other."""
    judge = OutcomeJudge(lambda model: rules(), lambda subject: True)
    subject = Subject("churn", "3", "")

    def told(kind: Kind, status: Status, end: int) -> Incident:
        return Incident(
            subject=subject, group="test", kind=kind, status=status, opened=DAY, window=Window(end - DAY, end, 100),
            signals=[], reference="", summary="", began=0, false_alarms=None,
        )  # fmt: skip

    judge.note([told(Kind.DATA_DRIFT, Status.FIRING, DAY), told(Kind.DATA_QUALITY, Status.FIRING, DAY)])
    judge.note([told(Kind.DATA_DRIFT, Status.RESOLVED, 2 * DAY), told(Kind.PREDICTION_DRIFT, Status.FIRING, DAY)])
    for now, moved in ((DAY - 1, False), (DAY, True), (3 * DAY, True)):
        judge._now = now
        assert judge._inputs_moved(subject) is moved
    judge.note([told(Kind.DATA_QUALITY, Status.RESOLVED, 4 * DAY)])
    judge._now = 5 * DAY
    assert not judge._inputs_moved(subject)
