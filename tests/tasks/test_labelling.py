"""Labels through Summarise: what they give is a function of the two logs, whatever way these interleave."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.columns.categories import CategoryKeys
from driftline.columns.reasons import Reason
from driftline.labels.book import Rule
from driftline.labels.join import Fate
from driftline.tasks.labelling import LABELS, PREDICTIONS, STEP, Labelling, LabelSettings
from driftline.tasks.summarise import Rejection, Summarise, SummariseSettings
from tests.tasks.streams import START, event, stored, summarise_settings

HOUR = 3_600_000
RULE = Rule(awaits=4 * HOUR, early=HOUR // 2, pane_ms=10_000)
Record = tuple[bytes, bytes | None, int]
"""Key, value and timestamp."""
Then = TypeVar("Then")


def settings(rule: Rule = RULE, **more: object) -> SummariseSettings:
    labels = LabelSettings(lambda model: rule if model == "m" else None, rule, **more)  # type: ignore[arg-type]
    return replace(summarise_settings(tags=lambda model: ("tenant",)), labels=labels)


def answer(number: int, time: int = START, **others: object) -> Record:
    return f"p-{number}".encode(), event(number, time=time, **others), time  # type: ignore[arg-type]


def label(number: int, arrival: int = START, said: object = "yes", **others: object) -> Record:
    value = {"event_id": f"p-{number}", "model": "m", "label": said, **others}
    return f"p-{number}".encode(), json.dumps(value).encode(), arrival


def tombstone(number: int, arrival: int = START) -> Record:
    return f"p-{number}".encode(), None, arrival


def predicted(task: Summarise, records: Sequence[Record]) -> None:
    """Give a task its next predictions."""
    values, stamps = [value for _, value, _ in records], [stamp for *_, stamp in records]
    task.process(values, stamps, task.position + len(values))


def labelled(task: Summarise, records: Sequence[Record]) -> Sequence[Rejection]:
    """Give a task its next labels."""
    values, stamps = [value for _, value, _ in records], [stamp for *_, stamp in records]
    return task.label(values, stamps, lambda at: records[at][0])


@dataclass
class Both:
    """A task that reads two logs, and all that came out."""

    settings: SummariseSettings = field(default_factory=settings)
    blobs: dict[str, bytes] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    told: list[tuple[object, ...]] = field(default_factory=list)
    fates: Counter[tuple[str, int, Fate]] = field(default_factory=Counter)
    rejections: list[Rejection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task = Summarise(self.settings, 0, 1)

    @property
    def labelling(self) -> Labelling:
        assert self.task.labelling is not None
        return self.task.labelling

    def predictions(self, *records: Record) -> "Both":
        predicted(self.task, records)
        return self._collect()

    def labels(self, *records: Record) -> "Both":
        self.rejections += labelled(self.task, records)
        return self._collect()

    def restart(self) -> "Both":
        self.task.emit()
        stored(self.blobs, self.task)
        self.task = Summarise(self.settings, 0, 1)
        self.task.restore(self.blobs)
        return self

    def _collect(self) -> "Both":
        joined = self.labelling.count()
        for found in joined.outcomes:
            columns = [found.ids, found.times, found.cohorts, found.signs, found.delays, found.truths, found.predicted]
            rows = list(zip(*(column.tolist() for column in columns), strict=True))
            for at, row in enumerate(rows):
                numbers = {name: held[at] for name, held in sorted(found.numbers.items()) if not np.isnan(held[at])}
                groups = [found.names[codes[at]] for codes in (found.versions, *found.tags.values())]
                self.rows[f"{row} {numbers} {groups}"] += 1
            self.told.extend(row[1:] for row in rows)
        for told in joined.fates:
            named = map(Fate, told.fates.tolist())
            self.fates.update((told.model, time, fate) for time, fate in zip(told.times.tolist(), named, strict=True))
        return self

    @property
    def summed(self) -> dict[Fate, int]:
        return dict(self.labelling.fates)


def test_a_label_meets_its_prediction_whichever_comes_first() -> None:
    for both in (
        Both().predictions(answer(1, prediction=0.7)).labels(label(1, START + HOUR)),
        Both().labels(label(1, START + HOUR)).predictions(answer(1, prediction=0.7)),
    ):
        assert both.fates == {("m", START + HOUR, Fate.JOINED): 1}
        assert both.rows.total() == 1
        assert both.labelling.waiting == 0


def test_label_times_of_a_wrong_clock_move_no_time_beyond_what_the_log_stamped() -> None:
    task = Summarise(settings(clock="label_time"), 0, 1)
    assert task.labelling is not None
    seconds = range(START, START + 40_000, 1_000)
    ahead = [label(number, second, label_time=second + 100 * HOUR) for number, second in enumerate(seconds)]
    task.label([value for _, value, _ in ahead], seconds, lambda at: None, stamped_by_log=True)
    assert task.labelling.newest == seconds[-1]
    labelled(task, ahead)
    assert task.labelling.newest > START + 100 * HOUR, "a producer's timestamps prove nothing"


def test_a_monthly_dump_counts_when_it_comes_and_label_time_says_how_long_the_truth_took() -> None:
    both = Both().predictions(answer(1)).labels(label(1, START + 3 * HOUR, label_time=START + HOUR))
    assert both.fates == {("m", START + 3 * HOUR, Fate.JOINED): 1}
    assert [row[:4] for row in both.told] == [(START + 3 * HOUR, START, 1, HOUR)]


def test_the_user_may_choose_the_other_clock() -> None:
    both = Both(settings(clock="label_time"))
    both.predictions(answer(1)).labels(label(1, START + 100 * HOUR, label_time=START + HOUR))
    assert both.fates == {("m", START + HOUR, Fate.JOINED): 1}


@pytest.mark.parametrize("after", [4 * HOUR + 1, 8 * HOUR])
def test_a_label_that_comes_too_late_is_expired_wherever_it_is_read(after: int) -> None:
    for both in (
        Both().predictions(answer(1)).labels(label(1, START + after)),
        Both().labels(label(1, START + after)).predictions(answer(1)),
        Both().predictions(answer(1)).restart().labels(label(1, START + after)),
    ):
        assert both.summed == {Fate.EXPIRED: 1}


def test_a_label_is_unknown_once_no_prediction_of_it_can_come() -> None:
    later = [answer(100 + at, START + at * 1_000) for at in range(0, 4 * 3_600, 60)]
    both = Both().labels(label(1, START))
    both.predictions(*(each for each in later if each[2] < START + HOUR // 2))
    assert both.labelling.waiting == 1
    both.predictions(*(each for each in later if each[2] >= START + HOUR // 2))
    assert both.summed == {Fate.UNKNOWN: 1}
    assert both.labelling.waiting == 0


def test_a_correction_takes_the_old_outcome_out_and_the_highest_revision_wins() -> None:
    both = Both().predictions(answer(1))
    both.labels(label(1, said="yes", revision=2), label(1, said="no", revision=1), label(1, said="maybe", revision=3))
    both.labels(label(1, said="maybe", revision=3))
    assert both.summed == {Fate.JOINED: 2, Fate.DUPLICATE: 2}
    stands: Counter[object] = Counter()
    for _, _, sign, _, truth, _ in both.told:
        stands[truth] += sign  # type: ignore[operator]
    assert both.rows.total() == 3
    assert {truth for truth, number in stands.items() if number} == {float(CategoryKeys()["maybe"])}


def test_a_correction_without_a_revision_is_one_that_says_something_else_later() -> None:
    both = Both().predictions(answer(1)).labels(label(1, said=1), label(1, said=1.0), label(1, said=0))
    assert both.summed == {Fate.JOINED: 2, Fate.DUPLICATE: 1}


@pytest.mark.parametrize("withdrawal", [tombstone(1), label(1, said=None, revision=1)])
def test_a_withdrawal_takes_the_outcome_out(withdrawal: Record) -> None:
    both = Both().predictions(answer(1)).labels(label(1, said="yes"), withdrawal)
    assert both.rows.total() == 2
    other = Both().labels(label(1, said="yes"), withdrawal).predictions(answer(1))
    assert both.rows == other.rows


def test_what_is_no_label_is_told_and_counted() -> None:
    both = Both().labels((b"k", b"{", START), (b"k", b'{"model": "m", "label": 1}', START), label(1))
    assert [(each.at, each.reason) for each in both.rejections] == [(0, Reason.NOT_JSON), (1, Reason.MISSING_EVENT_ID)]
    assert both.labelling.rejected == {"not-json": 1, "missing-event-id": 1}
    assert both.labelling.consumed == 3


def test_labels_of_other_models_are_counted_apart() -> None:
    assert Both().labels(label(1, model="other")).summed == {Fate.UNAWAITED: 1}


def test_a_sample_chooses_predictions_and_labels_alike() -> None:
    both = Both(settings(replace(RULE, share=0.3)))
    both.predictions(*(answer(number) for number in range(1_000))).labels(*(label(number) for number in range(1_000)))
    assert both.labelling.held == both.summed[Fate.JOINED]
    assert both.summed[Fate.JOINED] + both.summed[Fate.UNSAMPLED] == 1_000
    assert 240 < both.labelling.held < 360


def test_predictions_are_let_go_of_by_event_time() -> None:
    both = Both()
    for at in range(48):
        both.predictions(*(answer(1_000 * at + each, START + at * HOUR // 2) for each in range(20)))
        both.labels(*(label(0, START + at * HOUR // 2 + each * 1_000) for each in range(20)))
        both.restart()
    assert both.labelling.held <= 20 * 14
    assert len(both.blobs) < 60


def test_a_silent_side_holds_nothing_back() -> None:
    both = Both()
    both.task.idle = frozenset({LABELS})
    for at in range(48):
        both.predictions(*(answer(1_000 * at + each, START + at * HOUR // 2) for each in range(20)))
    assert both.labelling.held <= 20 * 14


def test_the_log_that_is_ahead_waits_for_the_other() -> None:
    both = Both()
    both.predictions(*(answer(each, START + each * 1_000) for each in range(40)))
    assert both.task.ahead == PREDICTIONS
    both.labels(*(label(each, START + each * 1_000) for each in range(40)))
    assert both.task.ahead == ""
    both.labels(*(label(each, START + STEP + each * 2_000) for each in range(60)))
    assert both.task.ahead == LABELS


@pytest.mark.parametrize(("after", "fate"), [(4 * HOUR, Fate.JOINED), (4 * HOUR + 1, Fate.EXPIRED)])
def test_a_prediction_is_kept_to_the_last_millisecond_in_which_its_label_counts(after: int, fate: Fate) -> None:
    both = Both()
    for at in range(0, 600, 20):
        times = [START + (at + each) * 60_000 for each in range(20)]
        both.predictions(*(answer(at + each, time) for each, time in enumerate(times))).restart()
        both.labels(*(label(at + each, time + after) for each, time in enumerate(times))).restart()
    assert both.summed == {fate: 600}


def test_a_label_is_never_late_but_moved_to_where_its_log_has_come() -> None:
    both = Both().predictions(answer(1))
    both.labels(*(label(100 + at, START + HOUR + at * 1_000) for at in range(30)), label(1, START))
    assert ("m", START + HOUR + 24_000, Fate.JOINED) in both.fates


def test_a_revision_that_says_nothing_new_is_remembered() -> None:
    both = Both().predictions(answer(1)).labels(label(1, said="yes")).restart()
    both.labels(label(1, said="yes", revision=3)).restart().labels(label(1, said="no", revision=2))
    assert both.summed == {Fate.JOINED: 1, Fate.DUPLICATE: 2}


def test_the_first_of_two_predictions_of_one_id_counts_however_they_are_written() -> None:
    plain, whole = "yes", {"label": "no", "proba": {"no": 0.6, "yes": 0.4}}
    warm = [answer(100 + at, prediction=(plain, whole)[at % 2]) for at in range(20)]
    for first, second in ((plain, whole), (whole, plain)):
        pair = [answer(1, prediction=first), answer(1, prediction=second)]
        found = []
        for batches in ([pair], [[each] for each in pair]):
            both = Both().predictions(*warm)
            for batch in batches:
                both.predictions(*warm[:3], *batch)
            found.append(both.labels(label(1)).rows)
        assert found[0] == found[1] != {}


def test_labels_may_be_awaited_from_some_time_on_and_no_more() -> None:
    plain = replace(settings(), labels=None)
    task, blobs = Summarise(plain, 0, 1), dict[str, bytes]()
    task.process([event(1, time=START)], [START], 1)
    task.emit()
    stored(blobs, task)
    before = set(blobs)
    both = Both(blobs=blobs)
    both.task.restore(blobs)
    both.predictions(answer(2)).labels(label(1), label(2)).restart()
    assert both.summed == {Fate.JOINED: 1}
    assert set(blobs) > before
    task = Summarise(plain, 0, 1)
    task.restore(blobs)
    stored(blobs, task)
    assert not [name for name in blobs if name.startswith("labels")]


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Record], list[Record]]:
    """Predictions in two layouts, some late, some twice; labels of them, in no order."""
    steps = st.sampled_from([0, 1_000, 20_000, HOUR, 3 * HOUR])
    predictions, labels, now = [], [], START
    for _ in range(draw(st.integers(0, 15))):
        now += draw(steps)
        prediction = draw(st.sampled_from([0.5, "yes", {"label": "no", "proba": {"no": 0.6, "yes": 0.4}}]))
        time = now - draw(st.sampled_from([0, 3_000, 30_000]))
        predictions.append(answer(draw(st.integers(0, 4)), time, prediction=prediction, segment={"tenant": "a"}))
    now = START
    for _ in range(draw(st.integers(0, 15))):
        now += draw(steps)
        number, arrival = draw(st.integers(0, 4)), now - draw(st.sampled_from([0, 3_000, 30_000]))
        said = draw(st.sampled_from(["yes", "no", 1, 0.5, None]))
        one = label(number, arrival, said, revision=draw(st.integers(0, 2)))
        labels.append(draw(st.sampled_from([one, one, one, tombstone(number, arrival), (b"k", b"{", arrival)])))
    return predictions, labels


class ReadsBoth(Protocol):
    def predictions(self, *records: Record) -> object: ...
    def labels(self, *records: Record) -> object: ...


def in_parts(
    task: ReadsBoth, predictions: Sequence[Record], labels: Sequence[Record], plan: Iterable[tuple[bool, int, Then]]
) -> Iterator[Then]:
    """Give a task its logs part by part: of labels or not, how many records, and what to do then, which is yielded."""
    done = [0, 0]
    for side, size, then in plan:
        log = labels if side else predictions
        part = log[done[side] : done[side] + size]
        done[side] += len(part)
        if part:
            (task.labels if side else task.predictions)(*part)
        yield then


@given(logs(), st.lists(st.tuples(st.booleans(), st.integers(1, 5), st.booleans()), max_size=40))
def test_interleaving_batches_and_restarts_do_not_show(
    both_logs: tuple[list[Record], list[Record]], plan: list[tuple[bool, int, bool]]
) -> None:
    predictions, labels = both_logs
    plain = Both()
    for record in predictions:
        plain.predictions(record)
    for record in labels:
        plain.labels(record)
    other = Both()
    for restart in in_parts(other, predictions, labels, [*plan, (True, 99, False), (False, 99, True)]):
        if restart:
            other.restart()
    assert other.rows == plain.rows
    assert other.fates == plain.fates
    assert other.labelling.consumed == len(labels)
    for each in (plain, other):
        found = each.labelling
        assert found.consumed == sum(found.fates.values()) + sum(found.rejected.values()) + found.waiting


def test_labels_are_counted_by_their_kind_and_a_correction_may_be_of_another() -> None:
    both = Both().predictions(*(answer(number) for number in range(4)))
    both.labels(
        label(0, START + 1, kind="review"), label(1, START + 1, kind="chargeback"), label(2, START + 1),
        label(0, START + 2, kind="chargeback"), label(9, START + 2, kind="review"),
    )  # fmt: skip
    assert +both.labelling.by_kind == {"chargeback": 2}
    both.restart().labels(tombstone(1, START + 3), label(3, START + 3, kind="review"))
    assert +both.labelling.by_kind == {"chargeback": 1, "review": 1}
