import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.errors import InputError
from driftline.tables import ColumnMapping, EncodedEvents, Table, iter_events

NEW_YEAR = 1_514_764_800_000  # 2018-01-01T00:00:00Z


def table(columns: dict[str, Any]) -> Table:
    frame = pl.DataFrame(columns, strict=False)
    return Table(Path("loans.parquet"), frame.lazy(), frame.schema, frame.height)


def events(columns: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return decoded(list(iter_events(table(columns), ColumnMapping.build(model="m", **options), batch_rows=2)))


def decoded(batches: list[EncodedEvents]) -> list[dict[str, Any]]:
    found = [json.loads(value) for batch in batches for value in batch.values]
    assert [event["event_id"].encode() for event in found] == [key for batch in batches for key in batch.keys]
    return found


def predictions(columns: dict[str, Any], **options: Any) -> list[Any]:
    return [event["prediction"] for event in events(columns, **options)]


def test_a_row_becomes_the_event_that_a_service_would_have_published() -> None:
    columns = {"id": [7], "when": ["2018-01-01"], "age": [34], "city": ["Oslo"], "tenant": ["acme"], "p": ["yes"]}

    assert events(
        columns,
        model_version="3",
        id_column="id",
        time_column="when",
        prediction_column="p",
        segment_columns=("tenant",),
    ) == [
        {
            "event_id": "7",
            "event_time": NEW_YEAR,
            "model": "m",
            "model_version": "3",
            "features": {"age": 34, "city": "Oslo"},
            "prediction": "yes",
            "segment": {"tenant": "acme"},
        }
    ]


def test_without_ids_and_times_events_are_named_by_their_row_and_have_no_time() -> None:
    assert events({"a": [1, 2, 3]}) == [
        {"event_id": f"loans-{row}", "model": "m", "features": {"a": row}} for row in (1, 2, 3)
    ]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_events_come_in_order_of_time_and_rows_of_one_time_in_order(times: list[int]) -> None:
    found = events({"when": [NEW_YEAR + time for time in times], "row": list(range(len(times)))}, time_column="when")

    assert [event["features"]["row"] for event in found] == sorted(range(len(times)), key=times.__getitem__)
    assert [event["event_id"] for event in found] == [f"loans-{event['features']['row'] + 1}" for event in found]


def test_arrival_times_go_with_their_events_and_are_no_feature() -> None:
    columns = {
        "when": [NEW_YEAR + 3, NEW_YEAR + 1, NEW_YEAR + 2],
        "sent": ["2018-01-01 00:00:03", "2018-01-01 00:00:01.5", "2018-01-01"],
        "x": [1, 2, 3],
    }
    mapping = ColumnMapping.build(model="m", time_column="when", arrival_column="sent")
    batches = list(iter_events(table(columns), mapping, batch_rows=2))
    assert [batch.arrived for batch in batches] == [[NEW_YEAR + 1_500, NEW_YEAR], [NEW_YEAR + 3_000]]
    assert [event["features"] for event in decoded(batches)] == [{"x": 2}, {"x": 3}, {"x": 1}]
    assert [batch.arrived for batch in iter_events(table(columns), ColumnMapping.build(model="m"))] == [None]
    with pytest.raises(InputError, match='--arrival-column: "flag" holds Boolean'):
        events({"flag": [True], "x": [1]}, arrival_column="flag")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, None),
        (math.inf, None),
        (None, None),
        (True, True),
        (Decimal("1.5"), 1.5),
        (2**63 - 1, 2**63 - 1),
        ([1, 2], [1, 2]),
        ({"b": 1}, {"b": 1}),
        (b"\xff", "/w=="),
    ],
)
def test_every_type_of_column_has_a_form_in_json(value: object, written: object) -> None:
    assert events({"a": [value], "x": [1]})[0]["features"]["a"] == written


def test_names_of_columns_may_hold_nearly_any_character() -> None:
    names = ["a [b]", "[/c]", "é", "class", "field_0", "1", "a.b", " ", "model"]

    assert events({name: [1] for name in names})[0]["features"] == dict.fromkeys(names, 1)


def test_a_segment_without_a_value_is_left_out() -> None:
    found = events({"a": [1, 2], "tenant": [3, None]}, segment_columns=("tenant",))

    assert [event["segment"] for event in found] == [{"tenant": "3"}, {}]


def test_a_missing_id_is_refused() -> None:
    with pytest.raises(InputError, match="row 2 has no id"):
        events({"id": ["a", None], "x": [1, 2]}, id_column="id")


def test_a_prediction_alone_stands_as_it_is() -> None:
    assert predictions({"x": [1, 1, 1], "p": [0.5, math.nan, None]}, prediction_column="p") == [0.5, None, None]
    assert predictions({"x": [1], "p": [True]}, prediction_column="p") == [True]


def test_a_score_alone_is_a_value() -> None:
    assert predictions({"x": [1, 1], "s": [0.5, None]}, score_column="s") == [{"value": 0.5}, None]


@pytest.mark.parametrize(
    ("labels", "scores", "positive"),
    [
        ([0, 1], [0.1, 0.9], "1"),
        ([0.0, 1.0], [0.1, 0.9], "1"),
        ([0, 0], [0.1, 0.2], "1"),
        ([False, True], [0.1, 0.9], "true"),
        ([False, False], [0.1, 0.2], "true"),
        (["no", "yes"], [0.9, 0.1], "yes"),
        (["good", "bad"], [0.1, 0.9], "bad"),
    ],
)
def test_of_two_classes_the_score_is_that_of_the_positive_one(
    labels: list[Any], scores: list[float], positive: str
) -> None:
    found = predictions({"x": [1, 1], "p": labels, "s": scores}, prediction_column="p", score_column="s")

    assert [prediction["proba"] for prediction in found] == [{positive: score} for score in scores]
    assert all(isinstance(prediction["label"], str) for prediction in found)


def test_of_many_classes_the_score_is_that_of_the_predicted_one() -> None:
    found = predictions({"x": [1] * 3, "p": [1, 2, 3], "s": [0.5] * 3}, prediction_column="p", score_column="s")

    assert found == [{"label": name, "proba": {name: 0.5}} for name in "123"]


def test_half_of_a_prediction_is_kept() -> None:
    found = predictions(
        {"x": [1] * 4, "p": [1, None, 0, None], "s": [None, 0.5, math.nan, None]},
        prediction_column="p",
        score_column="s",
    )

    assert found == [{"label": "1"}, {"proba": {"1": 0.5}}, {"label": "0"}, None]


def test_a_score_beside_a_quantity_is_refused() -> None:
    columns = {"x": [1] * 200, "p": [row / 7 for row in range(200)], "s": [0.5] * 200}

    with pytest.raises(InputError, match="has 200 different numbers"):
        events(columns, prediction_column="p", score_column="s")


def test_labels_are_neither_features_nor_published() -> None:
    found = events({"x": [1.0], "truth": [0]}, label_column="truth")

    assert [(event["features"], "label" in event) for event in found] == [({"x": 1.0}, False)]


def test_models_and_versions_may_stand_in_columns() -> None:
    columns = {"m": ["a", "a", "b"], "v": [1.0, None, 2.0], "x": [1, 2, 3]}

    assert [
        (event["model"], event.get("model_version"), event["features"])
        for event in decoded(
            list(iter_events(table(columns), ColumnMapping.build(model_column="m", version_column="v")))
        )
    ] == [("a", "1", {"x": 1}), ("a", None, {"x": 2}), ("b", "2", {"x": 3})]


def test_one_model_or_version_of_several_may_be_chosen() -> None:
    columns = {"when": [NEW_YEAR + 2, NEW_YEAR, NEW_YEAR + 1], "m": ["a", "a", "b"], "v": [1, 2, 2]}

    def ids(**options: Any) -> list[str]:
        mapping = ColumnMapping.build(time_column="when", feature_columns=("v",), **options)
        return [event["event_id"] for event in decoded(list(iter_events(table(columns), mapping)))]

    assert ids(model_column="m", model="a") == ["loans-2", "loans-1"]
    assert ids(model="z", version_column="v", model_version="2") == ["loans-2", "loans-3"]
    with pytest.raises(InputError, match='no row has "c" in "m"'):
        ids(model_column="m", model="c")


def test_each_model_of_a_table_has_its_own_positive_class() -> None:
    columns = {"m": ["a", "a", "b", "b"], "p": ["no", "yes", "cat", "dog"], "s": [0.1, 0.9, 0.9, 0.2], "x": [1] * 4}
    mapping = ColumnMapping.build(model_column="m", prediction_column="p", score_column="s")
    found = decoded(list(iter_events(table(columns), mapping)))

    assert [list(event["prediction"]["proba"]) for event in found] == [["yes"], ["yes"], ["cat"], ["cat"]]


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        (["no", "yes"], ["0", "1", "no", "yes"], "yes"),  # labels that are renamed half-way
        (["no", "yes"], ["no", "no"], "yes"),  # nobody was predicted positive
        (["cat", "dog"], ["dog", "dog"], "cat"),
        (["a", "b", "c"], ["a", "b"], None),  # the score of the predicted class, as before
    ],
)
def test_a_score_has_the_name_that_it_had_in_the_table_it_is_compared_with(
    before: list[str], now: list[str], named: str | None
) -> None:
    def scored(classes: list[str]) -> Table:
        return table({"p": classes, "s": [0.9 - number / 10 for number in range(len(classes))]})

    compared = replace(scored(now), like=scored(before))
    mapping = ColumnMapping.build(model="m", prediction_column="p", score_column="s")
    found = decoded(list(iter_events(compared, mapping)))

    assert [list(event["prediction"]["proba"]) for event in found] == [[named or each] for each in now]


@pytest.mark.parametrize(("only", "named"), [("no", "yes"), ("False", "True"), ("0", "1"), ("NEG", "POS")])
def test_where_all_were_predicted_negative_the_score_is_that_of_the_positive_class(only: str, named: str) -> None:
    assert predictions({"p": [only], "s": [0.2]}, prediction_column="p", score_column="s") == [
        {"label": only, "proba": {named: 0.2}}
    ]
