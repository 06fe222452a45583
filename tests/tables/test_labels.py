"""Labels of a table: which rows have one, when it was known, and what cannot be a label."""

from collections.abc import Mapping
from typing import Any

import pytest

from driftline.errors import InputError
from driftline.tables import ColumnMapping, iter_events, iter_labels, read_labels, refuse_other_kind
from tests.tables.test_events import NEW_YEAR, decoded, table

MINUTE = 60_000
TIMES = [NEW_YEAR, NEW_YEAR + MINUTE, NEW_YEAR + 2 * MINUTE]
OWN = {"id": ["c", "a", "d"], "y": [1, 0, 1]}
"""A table of labels; nothing was predicted for d."""


def mapped(**options: Any) -> ColumnMapping:
    return ColumnMapping.build(model="m", time_column="at", prediction_column="p", label_column="y", **options)


def columns(labels: list[Any], **more: list[Any]) -> dict[str, Any]:
    return {"id": ["a", "b", "c"], "at": TIMES, "p": [0.1, 0.9, 0.5], "y": labels, **more}


def labelled(held: Mapping[str, Any], apart: Mapping[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
    read = table(dict(held))
    found = read_labels(
        read if apart is None else table(dict(apart)), mapped(**options), None if apart is None else read
    )
    return decoded(list(iter_labels(found, batch_rows=2)))


def test_each_row_with_a_label_gives_one_with_the_id_of_its_prediction() -> None:
    found = labelled(columns(["yes", None, "no"]))
    assert found == [
        {"event_id": "loans-1", "model": "m", "label": "yes"},
        {"event_id": "loans-3", "model": "m", "label": "no"},
    ]
    ids = [event["event_id"] for event in decoded(list(iter_events(table(columns(["yes", None, "no"])), mapped())))]
    assert [label["event_id"] for label in found] == [ids[0], ids[2]]


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_what_says_nothing_is_no_label_and_withdraws_none(missing: float | None) -> None:
    assert [label["label"] for label in labelled(columns([1.0, missing, 0.0]))] == [1.0, 0.0]


def test_a_label_was_known_so_long_after_its_prediction() -> None:
    found = labelled(columns([1, None, 0]), label_delay="1h")
    assert [label["label_time"] for label in found] == [TIMES[0] + 60 * MINUTE, TIMES[2] + 60 * MINUTE]


def test_labels_come_in_the_order_in_which_they_were_known_and_only_they_need_a_time() -> None:
    held = columns([1, None, 0], known=[NEW_YEAR + 9 * MINUTE, None, NEW_YEAR + 5 * MINUTE])
    found = labelled(held, label_time_column="known", id_column="id")
    assert [(label["event_id"], label["label_time"]) for label in found] == [
        ("c", NEW_YEAR + 5 * MINUTE),
        ("a", NEW_YEAR + 9 * MINUTE),
    ]
    assert read_labels(table(held), mapped(label_time_column="known")).delays.tolist() == [3 * MINUTE, 9 * MINUTE]
    with pytest.raises(InputError, match='row 3 has no time in column "known"'):
        labelled(columns([1, 1, 1], known=[NEW_YEAR, NEW_YEAR, None]), label_time_column="known")


def test_a_table_of_labels_goes_by_ids() -> None:
    held = {name: values for name, values in columns([]).items() if name != "y"}
    found = labelled(held, OWN, id_column="id", label_delay="1m")
    assert {(label["event_id"], label["label_time"] - MINUTE) for label in found} == {
        ("a", TIMES[0]),
        ("c", TIMES[2]),
        ("d", TIMES[0]),  # nobody knows it, whenever it comes
    }
    own = table(OWN | {"known": [NEW_YEAR + 3 * MINUTE, NEW_YEAR, NEW_YEAR]})
    read = read_labels(own, mapped(id_column="id", label_time_column="known"), table(held))
    assert read.delays.tolist() == [0, MINUTE]


def test_of_a_table_of_several_models_only_labels_of_the_one_that_is_asked_for_count() -> None:
    held = columns([1, 1, 0], name=["m", "other", "m"])
    assert [label["event_id"] for label in labelled(held, model_column="name")] == ["loans-1", "loans-3"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"label_delay": "1h", "label_time_column": "known"}, "--label-delay: excludes --label-time-column"),
        ({"label_column": None, "label_delay": "1h"}, "--label-column: is missing"),
        ({"label_delay": "7"}, "--label-delay: .*not a duration"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        ColumnMapping.build(**{"model": "m", "label_column": "y", **options})


@pytest.mark.parametrize(
    ("apart", "options", "complaint"),
    [
        (OWN, {}, "--id-column: is missing; it says which label"),
        ({"id": ["a"], "Y": [1]}, {"id_column": "id"}, '--label-column: loans.parquet has no column "y"; did you mean'),
        (OWN, {"id_column": "id", "label_time_column": "knwon"}, "--label-time-column: loans.parquet has no column"),
        ({"id": ["a"], "y": [[1]]}, {"id_column": "id"}, "a label is a number, text or a boolean"),
    ],
)
def test_a_table_of_labels_that_does_not_fit_is_refused(
    apart: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        labelled(columns([1, 1, 1]), apart, **options)


@pytest.mark.parametrize(
    ("predicted", "labels", "score", "complaint"),
    [
        ([0.1, 0.9, 0.5], ["repaid", "lost", None], False, 'holds "lost", "repaid", and the model predicts numbers'),
        (["yes", "no", "no"], ["1", "0", "1"], False, 'holds "0", "1", and the model predicts "no", "yes"'),
        ([1, 0, 0], ["won", "lost", "won"], True, 'and the model predicts "0", "1"; write labels as the model answers'),
        ([0.1, 0.9, 0.5], ["yes", "no", None], False, ""),
        ([0.1, 0.9, 0.5], [True, False, None], False, ""),
        ([1, 0, 0], [1.0, None, 0.0], True, ""),
        ([True, False, False], [1, 0, 0], True, ""),
        ([1, 0, 0], ["true", "False", "true"], True, ""),
        (["a", "b", "c"], ["c", "c", "d"], False, ""),
        (["no", "no", "no"], ["yes", None, "yes"], False, ""),
        ([0.1, 0.9, 0.5], [None, None, None], False, ""),
    ],
)
def test_labels_of_another_kind_than_predictions_are_refused(
    predicted: list[Any], labels: list[Any], score: bool, complaint: str
) -> None:
    read = table({"at": TIMES, "p": predicted, "y": labels, "score": [0.1, 0.9, 0.5]})
    mapping = mapped(score_column="score" if score else None)
    found = read_labels(read, mapping)
    if complaint:
        with pytest.raises(InputError, match=complaint):
            refuse_other_kind(found, read, mapping)
    else:
        refuse_other_kind(found, read, mapping)
