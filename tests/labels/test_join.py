"""Any interleaving of the two logs, in any batches, with restarts anywhere, gives what the oracle says."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.columns.categories import CategoryKeys
from driftline.columns.labels import CATEGORY
from driftline.columns.shape import Limits
from driftline.formats.labels import LabelReader
from driftline.formats.speculation.identities import identities
from driftline.labels.book import Answers, Rule
from driftline.labels.join import Fate, Join, JoinSettings
from tests.labels.stores import Stored
from tests.oracle import labels as oracle

DISORDER = 6
NEVER = -(2**62)
SPANS = {"a": oracle.Span(20, 5, 4), "b": oracle.Span(40, 0, 7)}
RULES = {name: Rule(span.awaits, span.early, span.pane) for name, span in SPANS.items()}
IDS = ["p", "q", "r"]
ID_OF = dict(zip(identities(IDS).tolist(), IDS, strict=True))
VERSIONS, TENANTS = ["1", "2", "3"], ["tenant=a", "tenant=b"]
KEYS = CategoryKeys()
SETTINGS = JoinSettings(RULES.get, Rule(40, max(s.early + s.pane for s in SPANS.values()), 0))


@dataclass
class Driven:
    """A join, and what came out of it."""

    join: Join = field(default_factory=lambda: Join(SETTINGS))
    reader: LabelReader = field(default_factory=lambda: LabelReader(Limits(), SPANS.__contains__))
    store: Stored = field(default_factory=Stored)
    rows: Counter[oracle.Row] = field(default_factory=Counter)
    fates: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    marks: list[int] = field(default_factory=lambda: [NEVER, NEVER])

    def predict(self, answers: Sequence[oracle.Answer], mark: int) -> None:
        for model in dict.fromkeys(answer.model for answer in answers):
            mine = [answer for answer in answers if answer.model == model]
            columns = list(zip(*(answer.facts for answer in mine), strict=True))
            self.join.predictions(
                model,
                Answers(
                    identities([answer.event_id for answer in mine]),
                    np.array([answer.time for answer in mine]),
                    np.array(columns[0]),
                    {"tenant": np.array(columns[1])},
                    VERSIONS,
                    TENANTS,
                    np.array(columns[2]),
                    {"prediction.value": np.array(columns[3])},
                ),
            )
        self.marks[0] = mark
        self.settle()

    def label(self, records: Sequence[tuple[bytes, bytes | None]], labels: Sequence[oracle.Label], mark: int) -> None:
        stamps = np.array([label.arrival for label in labels])
        batch = self.reader.read([value for _, value in records], stamps, lambda at: records[at][0])
        assert not batch.reasons.any()
        self.join.labels(batch, stamps, self.reader.models)
        self.marks[1] = mark
        self.settle()

    def settle(self) -> None:
        self.join.settle(*self.marks)
        joined = self.join.take()
        fates = joined.fates
        for found in joined.outcomes:
            for at, identity in enumerate(found.ids.tolist()):
                truth = found.truths[at]
                says = (
                    found.forms[at] == CATEGORY,
                    truth,
                    found.weights[at],
                    None if np.isnan(found.values[at]) else found.values[at],
                    found.kinds[at],
                )
                facts = (
                    VERSIONS.index(found.names[found.versions[at]]),
                    TENANTS.index(found.names[found.tags["tenant"][at]]),
                    found.predicted[at],
                    found.numbers["prediction.value"][at],
                )
                self.rows[
                    oracle.Row(
                        *(
                            found.model,
                            ID_OF[identity],
                            int(found.times[at]),
                            int(found.cohorts[at]),
                            int(found.signs[at]),
                        ),
                        *(int(found.delays[at]), facts, says),
                    )
                ] += 1
        for told in fates:
            self.fates.update((told.model, time, fate) for time, fate in zip(told.times, told.fates, strict=True))

    def restart(self) -> None:
        state = self.store.take(*self.join.checkpoint())
        assert set(self.store.blobs) == {*state.early.blobs, *(name for book in state.books for name in book.blobs)}
        self.join = Join(SETTINGS)
        self.join.restore(state, self.store.blobs)


def marks_of(times: Sequence[int]) -> list[int]:
    """Return the watermark after each event."""
    newest, marks = NEVER, list[int]()
    for time in times:
        newest = max(newest, time)
        marks.append(newest - DISORDER)
    return marks


@st.composite
def answers(draw: st.DrawFn) -> list[oracle.Answer]:
    """Predictions that count: their panes have not ended at the watermark before them."""
    found: list[oracle.Answer] = []
    newest = NEVER
    now = 0
    for number in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 1, 2, 9, 30]))
        time = max(0, now - draw(st.integers(0, 2 * DISORDER)))
        model = draw(st.sampled_from(["a", "b"]))
        pane = SPANS[model].pane
        if time - time % pane + pane <= newest - DISORDER:
            continue
        newest = max(newest, time)
        facts = (number % 3, number % 2, KEYS[draw(st.sampled_from(["yes", "no"]))], number / 2)
        found.append(oracle.Answer(model, draw(st.sampled_from(IDS)), time, facts))
    return found


@st.composite
def labels(draw: st.DrawFn) -> list[oracle.Label]:
    """Labels with the times when they arrived: none before the watermark of those before it."""
    found = []
    newest, now = NEVER, 0
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 1, 2, 9, 30]))
        arrival = max(0, now - draw(st.integers(0, 2 * DISORDER)), newest - DISORDER)
        newest = max(newest, arrival)
        model = draw(st.sampled_from(["a", "b", "", "c"]))
        says = draw(
            st.none()
            | st.tuples(
                st.sampled_from(["yes", "no", 1.0, 0.5]),
                st.sampled_from([1.0, 2.0]),
                st.sampled_from([None, -3.5]),
                st.sampled_from([0, 1]),
            )
        )
        said_at = arrival - draw(st.integers(0, 10))
        found.append(
            oracle.Label(
                *(model, draw(st.sampled_from(IDS)), arrival, max(said_at, 0) if model else arrival),
                *(draw(st.integers(0, 2)), says if model else None),
            )
        )
    return found


def record(label: oracle.Label) -> tuple[bytes, bytes | None]:
    """Return key and value of a label's record."""
    if not label.model:
        return label.event_id.encode(), None
    event = {"event_id": label.event_id, "model": label.model, "revision": label.revision, "label_time": label.said_at}
    says = label.says or (None, 1.0, None, 0)
    event.update(label=says[0], weight=says[1], value=says[2], kind="chargeback" if says[3] else None)
    return label.event_id.encode(), json.dumps(event).encode()


def as_counted(says: tuple[object, ...] | None) -> tuple[object, ...] | None:
    """Return what a label says as it comes out."""
    if says is None:
        return None
    return (isinstance(says[0], str), KEYS[says[0]] if isinstance(says[0], str) else says[0], *says[1:])


@given(answers(), labels(), st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.booleans()), max_size=60))
def test_the_result_is_a_function_of_the_two_logs(
    answers: list[oracle.Answer], labels: list[oracle.Label], plan: list[tuple[bool, int, bool]]
) -> None:
    driven = Driven()
    answer_marks, label_marks = (marks_of([a.time for a in answers]), marks_of([each.arrival for each in labels]))
    done = [0, 0]
    for side, size, restart in [*plan, (True, 99, False), (False, 99, True)]:
        start, stop = done[side], done[side] + size
        if side:
            if labels[start:stop]:
                part = labels[start:stop]
                driven.label([record(label) for label in part], part, label_marks[:stop][-1])
        elif answers[start:stop]:
            driven.predict(answers[start:stop], answer_marks[:stop][-1])
        done[side] = min(stop, len(labels if side else answers))
        if restart:
            driven.restart()
    come = answer_marks[-1] if answers else NEVER
    said = [
        oracle.Label(*(each.model, each.event_id, each.arrival, each.said_at, each.revision, as_counted(each.says)))
        for each in labels
    ]
    wanted = oracle.join(answers, said, SPANS, come)
    assert driven.rows == wanted.rows
    assert driven.fates == wanted.fates
    assert driven.join.waiting == wanted.waiting
    assert driven.join.fates[Fate.UNAWAITED] == wanted.unawaited
    assert sum(driven.join.fates.values()) + driven.join.waiting == len(labels)


def test_a_prediction_keeps_its_version_though_the_code_is_given_to_another() -> None:
    driven = Driven()
    for number, (event_id, version) in enumerate([("p", "old"), ("q", "new")]):
        none = np.zeros(1, dtype=np.int64)
        answers = Answers(identities([event_id]), none + number, none, {}, [version], [], none, {})
        driven.join.predictions("a", answers)
        driven.restart()
    said = [oracle.Label("a", event_id, 2, 2, 0, ("yes", 1.0, None, 0)) for event_id in ("p", "q")]
    stamps = np.array([2, 2])
    batch = driven.reader.read([record(label)[1] for label in said], stamps, lambda at: None)
    driven.join.labels(batch, stamps, driven.reader.models)
    (outcomes,) = driven.join.take().outcomes
    assert [outcomes.names[code] for code in outcomes.versions.tolist()] == ["old", "new"]


def test_what_a_label_can_still_reach_is_kept() -> None:
    driven = Driven()
    driven.predict([oracle.Answer("a", "p", 0, (1, 1, KEYS["yes"], 0.5))], 20)
    other = [oracle.Label("c", "r", 26, 26, 0, None)]
    driven.label([record(each) for each in other], other, 20)
    driven.restart()
    said = [oracle.Label("a", "p", 20, 20, 0, ("no", 1.0, None, 0))]
    driven.label([record(each) for each in said], said, 20)
    assert [row.facts for row in driven.rows] == [(1, 1, KEYS["yes"], 0.5)]


def test_a_label_that_waited_to_its_end_behind_another_is_told_once() -> None:
    driven = Driven()
    said = [oracle.Label(model, "p", 100, 100, 0, None) for model in ("a", "b")]
    driven.label([record(label) for label in said], said, 94)
    for mark in (107, 108, 109):  # that of b is over at 107, that of a, which came first, at 109
        driven.predict([], mark)
        driven.restart()
    assert driven.fates == {("b", 107, Fate.UNKNOWN): 1, ("a", 109, Fate.UNKNOWN): 1}


def test_state_of_a_model_that_awaits_no_labels_any_more_is_let_go_of() -> None:
    driven = Driven()
    driven.predict([oracle.Answer("a", "p", 1, (0, 0, KEYS["yes"], 0.5))], 0)
    driven.restart()
    assert driven.store.blobs
    state, _ = driven.join.checkpoint()
    other = Join(JoinSettings(lambda model: None, SETTINGS.widest))
    other.restore(state, driven.store.blobs)
    driven.store.take(*other.checkpoint())
    assert not driven.store.blobs


@pytest.mark.parametrize(
    "second",
    [("no", 1.0, -3.5, 0), ("yes", 2.0, -3.5, 0), ("yes", 1.0, 4.0, 0), ("yes", 1.0, None, 0), ("yes", 1.0, -3.5, 1)],
    ids=["another label", "another weight", "another value", "no value", "another kind"],
)
def test_a_label_that_differs_in_one_respect_is_a_correction(second: tuple[str, float, float | None, int]) -> None:
    driven = Driven()
    driven.predict([oracle.Answer("a", "p", 0, (1, 1, KEYS["yes"], 0.5))], 1)
    first = ("yes", 1.0, -3.5, 0)
    for revision, says in enumerate([first, first, second]):
        said = [oracle.Label("a", "p", 2 + revision, 2, revision, says)]
        driven.label([record(each) for each in said], said, 2 + revision)
    told = Counter((sign, as_counted(says)) for sign, says in [(1, first), (-1, first), (1, second)])
    assert Counter((row.sign, row.says) for row in driven.rows.elements()) == told
    assert driven.join.fates[Fate.DUPLICATE] == 1
