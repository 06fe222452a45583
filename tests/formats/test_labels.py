import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.columns.batch import NO_ID
from driftline.columns.categories import CategoryKeys
from driftline.columns.labels import (
    CATEGORY,
    EVERY_MODEL,
    NO_MODEL,
    NOTHING,
    NUMBER,
    OUTRANKS,
    UNAWAITED,
    LabelBatch,
)
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.columns.times import NO_TIME
from driftline.events import MAX_WEIGHT, MIN_WEIGHT
from driftline.formats.labels import LabelReader
from driftline.formats.speculation.identities import identities
from driftline.performance import tally

NOW = 1_787_302_800_000
LEAST = {"event_id": "p-1", "model": "churn", "label": "yes"}


def reader() -> LabelReader:
    return LabelReader(Limits(models=3, name_length=20), lambda model: model != "unwatched")


def read(*values: bytes | None, stamp: int = NOW, key: bytes | None = None) -> LabelBatch:
    return reader().read(values, np.full(len(values), stamp), lambda at: key)


def event(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (LEAST | changes).items() if value is not ...}).encode()


def test_a_label_is_read_whole() -> None:
    batch = read(event(label_time="2026-08-21T09:00:00Z", revision=2, weight=0.5, value=-120, kind="chargeback"))
    assert batch.reasons.tolist() == [0]
    assert (batch.models[0], batch.ids[0]) == (0, identities(["p-1"])[0])
    assert (batch.forms[0], batch.truths[0]) == (CATEGORY, CategoryKeys()["yes"])
    assert (batch.times[0], batch.revisions[0]) == (NOW, 2)
    assert (batch.weights[0], batch.values[0], batch.kinds[0]) == (0.5, -120, 1)


def test_what_is_left_out_has_a_meaning() -> None:
    batch = read(event())
    assert (batch.times[0], batch.revisions[0], batch.weights[0], batch.kinds[0]) == (NO_TIME, 0, 1.0, 0)
    assert np.isnan(batch.values[0])


@pytest.mark.parametrize(
    ("label", "form", "truth"),
    [
        ("yes", CATEGORY, CategoryKeys()["yes"]),
        (True, CATEGORY, CategoryKeys()["true"]),
        (1, NUMBER, 1.0),
        (0.25, NUMBER, 0.25),
        (None, NOTHING, 0.0),
    ],
)
def test_a_label_is_a_category_a_number_or_nothing(label: object, form: int, truth: float) -> None:
    for others in ([], ["no"], [2.5], [None]):
        batch = read(event(label=label), *(event(label=other) for other in others))
        assert (batch.forms[0], batch.truths[0]) == (form, truth)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.EMPTY),
        (None, Reason.EMPTY),
        (b"\xff", Reason.NOT_UTF8),
        (b'{"event_id": NaN}', Reason.NOT_JSON),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b'{"label": ' + b"[" * 100 + b"]" * 100 + b"}", Reason.TOO_DEEP),
        (event(model=...), Reason.MISSING_MODEL),
        (event(model=None), Reason.MISSING_MODEL),
        (event(event_id=...), Reason.MISSING_EVENT_ID),
        (event(event_id=None), Reason.MISSING_EVENT_ID),
        (event(event_id=True), Reason.WRONG_TYPE),
        (event(label=...), Reason.MISSING_LABEL),
        (event(label=[1]), Reason.WRONG_TYPE),
        (event(label={"yes": 1}), Reason.WRONG_TYPE),
        (event(label=10**400), Reason.NUMBER_OUT_OF_RANGE),
        (event(revision=-1), Reason.WRONG_TYPE),
        (event(revision="2"), Reason.WRONG_TYPE),
        (event(weight=-0.5), Reason.WRONG_TYPE),
        (event(weight="2"), Reason.WRONG_TYPE),
        (event(kind=7), Reason.WRONG_TYPE),
        (event(model=""), Reason.BAD_NAME),
        (event(model="x" * 21), Reason.BAD_NAME),
        (event(label_time="yesterday"), Reason.BAD_LABEL_TIME),
        (event(label_time="2026-08-21T09:00:00"), Reason.BAD_LABEL_TIME),
        (event(label_time=NOW // 1000), Reason.BAD_LABEL_TIME),
        (event(label_time=NOW * 1000), Reason.BAD_LABEL_TIME),
    ],
)
def test_what_is_no_label_has_a_reason(value: bytes | None, reason: Reason) -> None:
    for batch in (read(value), read(value, event()), read(event(), value)):
        assert reason in batch.reasons
        assert batch.models[batch.reasons == reason] == NO_MODEL
        assert (batch.reasons == 0).sum() == len(batch.reasons) - 1


@pytest.mark.parametrize("weight", [0, -1, 0.0039, 256.5, 10**300])
def test_a_weight_beyond_what_tallies_hold_is_told_with_what_to_write(weight: float) -> None:
    batch = read(event(weight=weight), event(weight=MIN_WEIGHT), event(weight=MAX_WEIGHT))
    assert batch.reasons.tolist() == [Reason.WRONG_TYPE, 0, 0]
    assert batch.details == {0: f"weight is {weight:g}: write a number from 1/256 to 256 (scale all weights alike)"}
    assert (MIN_WEIGHT, MAX_WEIGHT) == (tally.MIN_WEIGHT, tally.MAX_WEIGHT)


def test_a_label_without_any_time_is_rejected() -> None:
    assert read(event(), stamp=-1).reasons.tolist() == [Reason.BAD_LABEL_TIME]
    assert read(event(label_time=NOW), stamp=-1).reasons.tolist() == [0]


def test_a_tombstone_withdraws_for_every_model() -> None:
    batch = read(None, event(), key=b"p-1")
    assert batch.reasons.tolist() == [0, 0]
    assert (batch.models[0], batch.revisions[0], batch.forms[0]) == (EVERY_MODEL, OUTRANKS, NOTHING)
    assert batch.ids[0] == batch.ids[1]
    assert read(None, key=b"\xff").reasons.tolist() == [Reason.NOT_UTF8]


def test_a_number_and_its_text_are_one_id() -> None:
    batch = read(event(event_id=7), event(event_id="7"), event(event_id=7.0))
    assert len(set(batch.ids.tolist())) == 1


@pytest.mark.parametrize("number", [2**60, 2**64 - 1, 10**30])
def test_a_number_of_any_size_is_an_id_as_it_is_of_a_prediction(number: int) -> None:
    batch = read(event(event_id=number), event(event_id=str(number)))
    assert batch.reasons.tolist() == [0, 0]
    assert batch.ids[0] == batch.ids[1] == identities([number])[0] != NO_ID


def test_bytes_that_are_no_text_are_rejected_wherever_they_stand() -> None:
    value = event(other="x").replace(b"other", b"oth\xefr")
    for batch in (read(value), read(event(), value), read(value, None)):
        assert Reason.NOT_UTF8 in batch.reasons


def test_models_are_limited_and_those_that_await_nothing_are_told_apart() -> None:
    batch = read(*(event(model=name) for name in ("a", "unwatched", "b", "c", "d", "a")))
    assert batch.models.tolist() == [0, UNAWAITED, 1, 2, NO_MODEL, 0]
    assert batch.reasons.tolist() == [0, 0, 0, 0, Reason.TOO_MANY_MODELS, 0]


LABELS = st.builds(
    event,
    event_id=st.sampled_from(["p-1", 7, None, ...]),
    model=st.sampled_from(["churn", "other", "unwatched", ..., 3]),
    label=st.sampled_from(["yes", True, 0.5, None, ..., []]),
    label_time=st.sampled_from([..., NOW, "2026-08-21T09:00:00.5Z", "soon", NOW // 1000]),
    revision=st.sampled_from([..., 3, -1]),
    weight=st.sampled_from([..., 0.5]),
    value=st.sampled_from([..., -3]),
    kind=st.sampled_from([..., "click", ""]),
)


@given(st.lists(LABELS | st.none() | st.sampled_from([b"", b"{", b"{}"]), max_size=12), st.integers(1, 12))
def test_batches_do_not_show(values: list[bytes | None], size: int) -> None:
    def columns(runs: Sequence[Sequence[bytes | None]]) -> list[list[Any]]:
        each = reader()
        found = [each.read(run, np.full(len(run), NOW), lambda at: b"p-1") for run in runs]
        names = ("reasons", "models", "ids", "times", "revisions", "forms", "truths", "weights", "values", "kinds")
        return [[str(value) for batch in found for value in getattr(batch, name).tolist()] for name in names]

    assert columns([values]) == columns([values[at : at + size] for at in range(0, len(values), size)] or [[]])
