import json
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from driftline.errors import InputError
from driftline.tables import Table, open_table


def values(table: Table) -> dict[str, list[Any]]:
    """What events say of each column."""
    batch = table.frame.collect()
    return {
        name: json.loads(msgspec.json.Encoder(decimal_format="number").encode(table.column(name).form(batch)))
        for name in table.columns
    }


FRAME = pl.DataFrame({"name": ["a", "b", None], "size": [1, None, 3], "share": [0.5, 1.0, 2.0]})


@pytest.mark.parametrize("name", ["t.parquet", "t.pq", "t.csv", "t.ndjson", "t.jsonl", "t.CSV"])
def test_each_format_gives_the_same_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    match path.suffix.lower():
        case ".parquet" | ".pq":
            FRAME.write_parquet(path)
        case ".csv":
            FRAME.write_csv(path)
        case _:
            FRAME.write_ndjson(path)

    table = open_table(path)

    assert (table.rows, table.columns, table.stem) == (3, ["name", "size", "share"], "t")
    assert values(table) == FRAME.to_dict(as_series=False)


def test_types_are_inferred_from_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("a\n" + "1\n" * 20_000 + "1.5\n")

    assert open_table(path).schema["a"] == pl.Float64


def test_codes_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("zip,count,size\n00501,10,0\n10001,2,0\n")

    assert values(open_table(path)) == {"zip": ["00501", "10001"], "count": [10, 2], "size": [0, 0]}


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("t.xlsx", b"", r'"\.xlsx" is not the ending of a known format; known are \.csv'),
        ("t.cvs", b"", r"did you mean \.csv\?"),
        ("noending", b"", "is not the ending of a known format"),
        ("empty.csv", b"", "is empty"),
        ("list.ndjson", b'[{"a": 1}]', "line 1: it is a list; write its objects a line each"),
        ("broken.parquet", b"not parquet at all", "cannot be read"),
        ("broken.ndjson", b'{"a": 1}\n{"a": \n', "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, data: bytes, complaint: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)

    with pytest.raises(InputError, match=complaint):
        open_table(path)


def test_a_file_that_is_not_there_is_named_with_the_one_that_may_be_meant(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text("a\n1\n")

    with pytest.raises(InputError, match=r"laons\.csv: no such file; did you mean loans\.csv\?"):
        open_table(tmp_path / "laons.csv")
