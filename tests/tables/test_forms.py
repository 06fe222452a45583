"""Values keep their form on the way from a table to an event, and what an event says is what the stream counts."""

import datetime as dt
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.columns.labels import NOTHING
from driftline.columns.shape import Limits
from driftline.config import Settings
from driftline.errors import InputError
from driftline.formats.labels import LabelReader
from driftline.formats.native import NativeDecoder
from driftline.offline.backtest import rehearse
from driftline.sketches.group import ROLES
from driftline.tables import ColumnMapping, Table, iter_events, iter_labels, open_table, read_labels, remarks

MAPPING = ColumnMapping.build(model="m")
AWAITING = Settings.model_validate({"models": {"*": {"awaits_labels": "30d"}}})
UTC = dt.UTC


def table(frame: pl.DataFrame) -> Table:
    return Table(Path("t.parquet"), frame.lazy(), frame.schema, frame.height)


def written(held: Table, mapping: ColumnMapping = MAPPING) -> list[bytes]:
    return [value for batch in iter_events(held, mapping) for value in batch.values]


def features(held: Table) -> list[dict[str, Any]]:
    return [json.loads(value)["features"] for value in written(held)]


FORMS = [
    (pl.Int128(), 2**100, 2**100),
    (pl.UInt64(), 2**64 - 1, 2**64 - 1),
    (pl.Decimal(38, 2), Decimal("123456789012345678.25"), 123456789012345678.25),
    (pl.Decimal(38, 0), Decimal(2**80 + 1), 2**80 + 1),
    (pl.Date(), dt.date(2026, 3, 12), "2026-03-12"),
    (pl.Time(), dt.time(9, 30), "09:30:00"),
    (pl.Datetime("us"), dt.datetime(2026, 3, 12, 9), "2026-03-12T09:00:00"),
    (pl.Datetime("ns", "UTC"), dt.datetime(2026, 3, 12, 9, tzinfo=UTC), "2026-03-12T09:00:00Z"),
    (pl.Duration("us"), dt.timedelta(seconds=1.5), 1_500),
    (pl.Duration("ns"), dt.timedelta(days=1), 86_400_000),
    (pl.Categorical(), "a", "a"),
    (pl.Enum(["a", "b"]), "b", "b"),
    (pl.Binary(), b"\xff", "/w=="),
    (pl.Boolean(), True, True),
    (pl.Float64(), float("nan"), None),
    (pl.Float64(), float("-inf"), None),
    (pl.String(), "NA", "NA"),
    (pl.Null(), None, None),
]


@pytest.mark.parametrize(("dtype", "value", "form"), FORMS)
def test_a_type_has_one_form_at_every_depth(tmp_path: Path, dtype: pl.DataType, value: Any, form: Any) -> None:
    nested = {
        "flat": pl.Series([value], dtype=dtype),
        "list": pl.Series([[value, None]], dtype=pl.List(dtype)),
        "array": pl.Series([[value, value]], dtype=pl.Array(dtype, 2)),
        "struct": pl.Series([{"a": {"b": value}}], dtype=pl.Struct({"a": pl.Struct({"b": dtype})})),
        "deep": pl.Series([[{"a": [value]}]], dtype=pl.List(pl.Struct({"a": pl.List(dtype)}))),
    }
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame(nested)
    held = table(frame)
    if dtype not in (pl.Null(),):
        frame.write_parquet(path)
        held = open_table(path)

    assert features(held) == [
        {
            "flat": form,
            "list": [form, None],
            "array": [form, form],
            "struct": {"a": {"b": form}},
            "deep": [{"a": [form]}],
        }
    ]


LINES = """{"a": 1, "b": {"c": [1, "x", 18446744073709551617, 1.50]}, "s": "q\\"z"}
{"a": "x", "b": null, "s": null}
{"a": true, "d": 1e3, "s": "1"}
{"a": [1], "b": {"c": NaN}}
"""


@pytest.mark.parametrize("name", ["t.ndjson", "t.jsonl", "t.ndjson.gz"])
def test_json_stays_as_it_is_written_and_what_is_missing_stays_missing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES.encode()) if name.endswith("gz") else LINES.encode())

    assert features(open_table(path)) == [json.loads(line.replace("NaN", "null")) for line in LINES.splitlines()]
    assert b"1.50" in written(open_table(path))[0]


def test_json_gives_times_ids_versions_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    line = '{"at": "2026-03-12 09:30", "id": 18446744073709551617, "v": 3, "p": true, "s": 0.5, "seg": 1.0, "x": 1}\n'
    path.write_text(line)
    mapping = ColumnMapping.build(
        model="m",
        time_column="at",
        id_column="id",
        version_column="v",
        prediction_column="p",
        score_column="s",
        segment_columns=("seg",),
    )

    assert json.loads(written(open_table(path), mapping)[0]) == {
        "event_id": "18446744073709551617",
        "event_time": 1_773_307_800_000,
        "model": "m",
        "model_version": "3",
        "features": {"x": 1},
        "prediction": {"label": "true", "proba": {"true": 0.5}},
        "segment": {"seg": "1"},
    }


def test_a_list_is_no_prediction(tmp_path: Path) -> None:
    held = table(pl.DataFrame({"x": [1], "p": [[0.1, 0.9]]}))
    with pytest.raises(InputError, match='--prediction-column: "p" holds lists'):
        written(held, ColumnMapping.build(model="m", prediction_column="p"))


@pytest.mark.parametrize(
    ("columns", "left", "remark"),
    [
        ({'a"b': [1], "x": [1]}, ["x"], "holds a quote"),
        ({"a\\b": [1], "x": [1]}, ["x"], "holds a quote, a backslash"),
        ({"a\nb": [1], "x": [1]}, ["x"], "control character"),
        ({"n" * 300: [1], "x": [1]}, ["x"], "longer than 256"),
        ({"": [1], "x": [1]}, ["x"], "its name is empty"),
        ({"__index_level_0__": [1], "x": [1]}, ["x"], "is pandas' index"),
        ({"Unnamed: 0": [1], "x": [1]}, ["x"], "is pandas' index"),
        ({"a": [{"b": 1}], "a.b": [2]}, ["a"], "'a' gives a signal of the same name"),
        ({"a": [[1]], "a.length": [2]}, ["a"], "'a' gives a signal of the same name"),
        ({"a": [[1.0] * 3], "x": [1]}, ["a", "x"], "Driftline watches only the length of lists"),
        ({"a": [{"b": [1]}], "x": [1]}, ["a", "x"], "Driftline watches only the length of lists (a.b)"),
        ({"a": [{'q"': 1, "b": 1}], "x": [1]}, ["a", "x"], 'a.q" is not watched: the name holds a quote'),
    ],
)
def test_what_cannot_be_watched_is_said_by_name(columns: dict[str, Any], left: list[str], remark: str) -> None:
    held = table(pl.DataFrame(columns))

    assert list(features(held)[0]) == left
    assert any(remark in each for each in remarks(held, MAPPING))
    unwatched = [name for name in columns if name not in left and not name.startswith(("__", "Unnamed"))]
    if unwatched:
        with pytest.raises(InputError, match="cannot be watched"):
            written(held, ColumnMapping.build(model="m", feature_columns=tuple(columns)))


@pytest.mark.parametrize(("name", "chosen"), [('a"', None), ("a", ())])
def test_a_table_of_which_nothing_is_watched_is_rejected(name: str, chosen: tuple[str, ...] | None) -> None:
    with pytest.raises(InputError, match="neither features nor a prediction"):
        written(table(pl.DataFrame({name: [1]})), ColumnMapping.build(model="m", feature_columns=chosen))


scalars = {
    pl.Float64(): st.floats(),
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.UInt64(): st.integers(0, 2**64 - 1),
    pl.Int128(): st.integers(-(2**127), 2**127 - 1),
    pl.String(): st.text(max_size=8),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    pl.Datetime("us"): st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
    pl.Duration("ms"): st.timedeltas(dt.timedelta(-9_999), dt.timedelta(9_999)),
    pl.Binary(): st.binary(max_size=8),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.integers(1, 6))
    names = draw(
        st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=1, max_size=4, unique=True)
    )
    columns = {}
    for name in names:
        dtype = draw(st.sampled_from(list(scalars)))
        values: Any = draw(st.lists(st.none() | scalars[dtype], min_size=rows, max_size=rows))
        depth = draw(st.sampled_from(["flat", "flat", "list", "struct"]))
        if depth == "list":
            columns[name] = pl.Series([[value] for value in values], dtype=pl.List(dtype))
        elif depth == "struct":
            columns[name] = pl.Series([{"b": value} for value in values], dtype=pl.Struct({"b": dtype}))
        else:
            columns[name] = pl.Series(values, dtype=dtype)
    return pl.DataFrame(columns)


@given(frames())
def test_what_a_dry_run_accepts_the_stream_accepts_and_counts_alike(frame: pl.DataFrame) -> None:
    held = table(frame)
    mapping = ColumnMapping.build(model="m")
    try:
        events = written(held, mapping)
    except InputError:
        return
    found = rehearse(Settings(), iter_events(held, mapping), now_ms=1_773_307_800_000)
    assert (found.events, found.rejected, found.beyond_limits) == (frame.height, {}, 0)
    batch = NativeDecoder(Limits(), lambda model: ()).decode(events)
    assert not batch.reasons.any()
    assert not batch.ignored
    assert counted(batch.models) == expected([json.loads(event)["features"] for event in events])


@given(frames())
def test_what_a_dry_run_of_labels_accepts_the_stream_accepts(frame: pl.DataFrame) -> None:
    """Each row with a label gives one: null, empty text and NaN are none, and never withdraw what was said."""
    held, name = table(frame), frame.columns[0]
    mapping = ColumnMapping.build(model="m", label_column=name)
    column = frame[name]
    if column.dtype.is_nested():
        with pytest.raises(InputError, match="a label is a number, text or a boolean"):
            read_labels(held, mapping)
        return
    batches = list(iter_labels(read_labels(held, mapping)))
    found = rehearse(AWAITING, batches, now_ms=1_773_307_800_000, labels=True)
    values = [value for batch in batches for value in batch.values]
    reader = LabelReader(Limits(), lambda model: True)
    batch = reader.read(values, np.full(len(values), 1_773_307_800_000), lambda at: None)
    assert found.events == len(values)
    assert sum(number for number, _, _ in found.rejected.values()) == batch.reasons.astype(bool).sum()
    assert (batch.forms[batch.reasons == 0] != NOTHING).all()
    said = column.drop_nulls()
    there = said.is_finite() if said.dtype.is_float() else said != "" if said.dtype == pl.String else said.is_not_null()
    assert len(values) == there.sum()
    assert not found.rejected


def test_a_gap_in_a_column_of_labels_is_no_label_and_withdraws_none() -> None:
    held = table(pl.DataFrame({"y": [1.0, float("nan"), float("inf"), None, 0.0]}))
    labels = read_labels(held, ColumnMapping.build(model="m", label_column="y"))
    said = [json.loads(value)["label"] for batch in iter_labels(labels) for value in batch.values]
    assert said == [1.0, 0.0]


def counted(models: list[Any]) -> dict[str, int]:
    """How many values of each signal the stream counts, nulls and lists included."""
    found: dict[str, int] = {}
    for columns in models:
        names = list(columns.shape.signals)
        for slot, numbers in zip(columns.number_slots.tolist(), columns.numbers, strict=True):
            found[names[slot]] = found.get(names[slot], 0) + int((np.isfinite(numbers)).sum())
        for cell, keys in zip(columns.category_cells.tolist(), columns.categories, strict=True):
            found[names[cell // ROLES]] = found.get(names[cell // ROLES], 0) + int((keys >= 0).sum())
        for slot in columns.oddity_slots.tolist():
            found[names[slot]] = found.get(names[slot], 0) + 1
    return {name: number for name, number in found.items() if number}


def expected(rows: list[dict[str, Any]]) -> dict[str, int]:
    """The same from the events as JSON, without the stream."""
    found: dict[str, int] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, below in value.items():
                add(f"{path}.{name}", below)
            return
        found[path] = found.get(path, 0) + 1
        if isinstance(value, list):
            found[f"{path}.length"] = found.get(f"{path}.length", 0) + 1

    for row in rows:
        add("features", row)
    return found
