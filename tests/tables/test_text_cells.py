"""Text files: what people and programs write for numbers, booleans and what is not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.errors import InputError
from driftline.tables import ColumnMapping, Table, iter_events, open_table, remarks
from driftline.tables.delimited import delimiter_of
from driftline.tables.spelling import NULLS, NULLS_OF_NUMBERS, written_out

MAPPING = ColumnMapping.build(model="m")


def csv(tmp_path: Path, text: str, like: Mapping[str, pl.DataType] | None = None) -> Table:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return open_table(path, like)


def features(table: Table) -> list[dict[str, Any]]:
    values = [value for batch in iter_events(table, MAPPING) for value in batch.values]
    return [json.loads(value)["features"] for value in values]


def column(tmp_path: Path, *cells: str, like: pl.DataType | None = None) -> list[Any]:
    text = "x,y\n" + "".join(f'"{cell}",1\n' for cell in cells)
    return [row["x"] for row in features(csv(tmp_path, text, None if like is None else {"x": like}))]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1,234.5", 1234.5),
        ("1 234.5", 1234.5),
        ("1\u00a0234", 1234),
        ("1\u202f234\u202f567", 1_234_567),
        ("1'234.5", 1234.5),
        ("1\u2019234", 1234),
        ("1_000", 1000),
        ("12,34,567", 1_234_567),
        ("12 %", 0.12),
        ("12%", 0.12),
        ("-0.5 %", -0.005),
        ("1e3", 1000),
        ("1E+05", 100_000),
        ("$1,234.50", 1234.5),
        ("-€5", -5),
        ("5 €", 5),
        ("(1,234)", -1234),
        ("5-", -5),
        ("\u22125", -5),
        ("+5", 5),
        (".5", 0.5),
        ("5.", 5),
        (" 7 ", 7),
    ],
)
def test_a_number_is_understood_as_people_write_it(tmp_path: Path, cell: str, number: float) -> None:
    assert column(tmp_path, cell, "1.5") == [number, 1.5]


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1.234,5", 1234.5), ("1 234,5", 1234.5), ("12,5 %", 0.125), (",5", 0.5), ("1.234.567", 1_234_567)],
)
def test_a_decimal_comma_is_understood_where_a_column_has_one(tmp_path: Path, cell: str, number: float) -> None:
    assert column(tmp_path, cell, "0,25", "3") == [number, 0.25, 3]


@pytest.mark.parametrize(
    "cell", ["2026-03-12", "12:30", "1,2,3", "1.2.3.4", "--5", "5 kg", "1,234,5", "(5", "$", "0x1F", "e5"]
)
def test_what_is_no_number_stays_text(tmp_path: Path, cell: str) -> None:
    assert column(tmp_path, cell, cell) == [cell, cell]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30), st.booleans())
def test_plain_spellings_mean_what_they_mean_to_python(number: float, comma: bool) -> None:
    text = str(number).replace(".", ",") if comma else str(number)
    if comma and "e" in text and "," in text:
        return  # an exponent is written by computers, which write a point
    found = pl.select(written_out(pl.lit(text), comma=comma)).item()
    assert float(found) == float(number)


@pytest.mark.parametrize("word", [word for word in NULLS if word])
def test_what_is_written_for_no_value_is_null_in_every_column(tmp_path: Path, word: str) -> None:
    table = csv(tmp_path, f"number,text\n1.5,a\n{word},{word}\n")

    assert features(table) == [{"number": 1.5, "text": "a"}, {"number": None, "text": None}]
    assert any(f'"{word}"' in remark for remark in remarks(table, MAPPING))


CELLS = ["", "0", "-0", "7", "-12", "+5", "007", "00", "0.5", ".5", "5.", "1e3", "1E-05", "nan", "inf", " 7", "7 ", "a"]
CELLS += ["999999999999999", "1000000000000000", "9007199254740993", "1e15", "1e400", "1_0", "0x1F", "9" * 25, "true"]


@given(st.lists(st.sampled_from(CELLS), min_size=1, max_size=6))
def test_a_column_of_plain_numbers_is_read_at_a_glance_and_the_same(cells: list[str]) -> None:
    """A cell that says NA makes each be looked at with care, and changes no other."""
    with TemporaryDirectory() as folder:
        glanced, careful = (column(Path(folder), *cells, *more) for more in ((), ("NA",)))
    assert list(map(repr, glanced)) == list(map(repr, careful[:-1]))


@pytest.mark.parametrize("word", [*NULLS_OF_NUMBERS, "NONE", "Missing"])
def test_in_a_column_of_numbers_more_words_are_null(tmp_path: Path, word: str) -> None:
    assert column(tmp_path, "1.5", word) == [1.5, None]


def test_one_na_among_numbers_changes_no_other_cell(tmp_path: Path) -> None:
    assert column(tmp_path, *["1.5"] * 99, "NA") == [1.5] * 99 + [None]


def test_cells_that_spoil_a_column_of_numbers_stay_text_and_are_named(tmp_path: Path) -> None:
    table = csv(tmp_path, "x,y\n" + "1.5,1\n" * 7 + "oops,1\noops,1\n12 (est.),1\n")

    assert [row["x"] for row in features(table)] == [1.5] * 7 + ["oops", "oops", "12 (est.)"]
    assert remarks(table, MAPPING) == [
        'x: 3 of 10 cells are not a number and stay text: "oops", "12 (est.)" (the first in row 8)'
    ]


def test_a_column_of_which_less_than_half_is_numbers_is_text_unless_the_reference_says_otherwise(
    tmp_path: Path,
) -> None:
    assert column(tmp_path, "12", "A7", "B") == ["12", "A7", "B"]
    assert column(tmp_path, "12", "A7", "B", like=pl.Float64()) == [12, "A7", "B"]


@pytest.mark.parametrize(
    "cell", [str(2**53 + 1), str(2**63), str(2**64 + 1), str(10**37 + 1), str(10**60 + 1), f"-{2**70 + 1}"]
)
def test_no_integer_goes_through_a_float(tmp_path: Path, cell: str) -> None:
    assert column(tmp_path, cell, "1") == [int(cell), 1]
    assert column(tmp_path, cell, "0.5") == [int(cell), 0.5]
    assert column(tmp_path, cell, "0.5", "oops") == [int(cell), 0.5, "oops"]


def test_ids_are_as_they_are_written(tmp_path: Path) -> None:
    written = ["9223372036854775808", "1e5", "007", "1,5", "A", "2026-03-12", "0.10"]
    mapping = ColumnMapping.build(model="m", id_column="id")

    for name in written:
        table = csv(tmp_path, f'id,x\n"{name}",1\n')
        assert [key for batch in iter_events(table, mapping) for key in batch.keys] == [name.encode()]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("TRUE", "false"), [True, False]),
        (("True", "NA"), [True, None]),
        (("yes", "no"), ["yes", "no"]),
        (("0", "1"), [0, 1]),
    ],
)
def test_booleans_are_what_says_so(tmp_path: Path, cells: tuple[str, ...], values: list[Any]) -> None:
    assert column(tmp_path, *cells) == values


@pytest.mark.parametrize("cells", [("yes", "No"), ("0", "1"), ("T", "F"), ("TRUE", "FALSE"), ("on", "off"), ("y", "n")])
def test_a_reference_tells_which_columns_hold_booleans(tmp_path: Path, cells: tuple[str, ...]) -> None:
    first = cells[0].lower() not in ("0", "no", "off")

    assert column(tmp_path, *cells, like=pl.Boolean()) == [first, not first]


def test_a_reference_tells_which_columns_hold_codes(tmp_path: Path) -> None:
    assert column(tmp_path, "10001", "20001", like=pl.String()) == ["10001", "20001"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_each_delimiter_is_understood_with_a_mark_of_byte_order_and_quotes(tmp_path: Path, delimiter: str) -> None:
    rows = [["a", "b, c"], ["1", '"x\ny"'], ["2", '"say ""hi"""']]
    text = (
        "\ufeff" + "\r\n".join(delimiter.join(row) for row in [[f'"{name}"' for name in rows[0]], *rows[1:]]) + "\r\n"
    )

    assert features(csv(tmp_path, text)) == [{"a": 1, "b, c": "x\ny"}, {"a": 2, "b, c": 'say "hi"'}]


def test_a_delimiter_in_quotes_is_none() -> None:
    assert delimiter_of('"a,b,c";d') == ";"


def test_a_column_without_a_name_is_left_out_and_said(tmp_path: Path) -> None:
    table = csv(tmp_path, ",a,\n0,1,x\n1,2,y\n")

    assert features(table) == [{"a": 1}, {"a": 2}]
    assert [remark.split(" is ignored")[0] for remark in remarks(table, MAPPING)] == [
        "the column without a name (number 1)",
        "the column without a name (number 3)",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,b,a\n1,2,3\n", 'columns 1 and 3 are both named "a"'),
        (",\n1,2\n", "no column with a name"),
        ("a,b\n1,2,3\n", "t.csv: line 2 has 3 fields, but the header has 2 names; name every column"),
        ('a;b\n"1\n;";2\n\n3;4\n1;2;3;4\n', "t.csv: line 6 has 4 fields, but the header has 2 names"),
        ("", "t.csv: is empty"),
        ("a,b\n", "t.csv: has no rows"),
        ("a,b\r1,2\r3,4\r", "its lines end with CR alone; write LF for it"),
        ("sep=;\na;b\n1;2\n", 'its first line, "sep=;", is no header; remove it'),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        csv(tmp_path, text)


def test_a_file_that_is_not_utf8_is_told_how_to_become_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("city,x\nTromsø,1\n".encode("latin-1"))

    with pytest.raises(InputError, match="it is not UTF-8; convert it, as with iconv -f latin1 -t utf-8"):
        open_table(tmp_path / "t.csv")
    (tmp_path / "t.tsv").write_text("city\tx\nTromsø\t1\n", encoding="utf-16")
    with pytest.raises(InputError, match="as with iconv -f utf-16 -t utf-8"):
        open_table(tmp_path / "t.tsv")
