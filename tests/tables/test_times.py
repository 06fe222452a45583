from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from driftline.errors import InputError
from driftline.tables import Table
from driftline.tables.times import epoch_milliseconds

NEW_YEAR = 1_514_764_800_000  # 2018-01-01T00:00:00Z


def table(values: list[object], dtype: pl.DataType | None = None) -> Table:
    frame = pl.DataFrame({"when": pl.Series(values, dtype=dtype)})
    return Table(Path("t.parquet"), frame.lazy(), frame.schema, frame.height)


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("2018-01-01", NEW_YEAR),
        ("2018-01-01 00:00:00.000", NEW_YEAR),
        ("2018-01-01T00:00:00", NEW_YEAR),
        (" 2018-01-01T00:00:00Z ", NEW_YEAR),
        ("2018-01-01T02:00:00+02:00", NEW_YEAR),
        ("2017-12-31T19:00:00-0500", NEW_YEAR),
        ("2018-01-01 00:00:00.123456789", NEW_YEAR + 123),
        (date(2018, 1, 1), NEW_YEAR),
        (datetime(2018, 1, 1), NEW_YEAR),
        (datetime(2018, 1, 1, tzinfo=UTC), NEW_YEAR),
        (1_514_764_800, NEW_YEAR),
        (1_514_764_800_001, NEW_YEAR + 1),
        (1_514_764_800_001_999, NEW_YEAR + 1),
        (1_514_764_800_001_999_999, NEW_YEAR + 1),
        (1_514_764_800.5, NEW_YEAR + 500),
    ],
)
def test_every_common_form_of_a_time_is_understood(value: object, milliseconds: int) -> None:
    assert epoch_milliseconds(table([value]), "when").to_list() == [milliseconds]


def test_a_zone_of_a_datetime_column_counts() -> None:
    zoned = pl.Series(["2018-01-01 01:00:00"]).str.to_datetime(time_zone="Europe/Oslo")

    assert epoch_milliseconds(table(zoned.to_list(), zoned.dtype), "when").to_list() == [NEW_YEAR]


def test_small_numbers_among_milliseconds_are_milliseconds_too() -> None:
    assert epoch_milliseconds(table([0, 1_514_764_800_001]), "when").to_list() == [0, 1_514_764_800_001]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["2018-01-01", "1.1.2018"], r"row 2 has '1\.1\.2018', which is not a time"),
        (["2018-01-01", None], "row 2 has no time in column"),
        (["2018-02-30"], "row 1 has '2018-02-30'"),
        (["1969-12-31"], "row 1 has '1969-12-31'"),
        ([5, -1], "row 2 has -1"),
        ([True], "holds Boolean, which is not a time"),
        ([float("nan")], "row 1 has nan"),
    ],
)
def test_a_time_that_is_none_is_named_with_its_row(values: list[object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        epoch_milliseconds(table(values), "when")
