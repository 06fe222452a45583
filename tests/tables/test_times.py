from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.errors import InputError
from driftline.tables import Table
from driftline.tables.times import Extent, epoch_milliseconds, extent

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
        ("1514764800", NEW_YEAR),
        ("1514764800.5", NEW_YEAR + 500),
        ("2018-01-01 00:00", NEW_YEAR),
        ("2018-01-01T00:00Z", NEW_YEAR),
        ("2018-01-01 00:00:00 UTC", NEW_YEAR),
        ("2018-01-01 00:00:00 GMT", NEW_YEAR),
        ("2018-01-01 00:00:00,123", NEW_YEAR + 123),
        ("2018-01-01 00:00:00.5", NEW_YEAR + 500),
        ("2018-01-01 02:00:00 +02", NEW_YEAR),
        ("2018-01-01 05:30:00 +0530", NEW_YEAR),
        ("2018-01-01 00:00:00 +0000 UTC", NEW_YEAR),
        ("2018-01-01T01:00+01:00[Europe/Oslo]", NEW_YEAR),
        ("2018-01-01t00:00:00z", NEW_YEAR),
        ("2018/1/1 0:00", NEW_YEAR),
        ("2018.01.01", NEW_YEAR),
        ("20180101T000000Z", NEW_YEAR),
        ("20180101T000000.125Z", NEW_YEAR + 125),
        ("20180101T0000", NEW_YEAR),
        ("20180101", NEW_YEAR),
        ("20180101000000", NEW_YEAR),
        (20180101, NEW_YEAR),
        (2018010100, NEW_YEAR),
        (201801010000, NEW_YEAR),
        (20180101000000, NEW_YEAR),
        (20180101.0, NEW_YEAR),
        (43101, NEW_YEAR),
        (43101.5, NEW_YEAR + 43_200_000),
        (43101 + 1 / 86_400, NEW_YEAR + 1_000),
        ("31/12/2017 23:59", NEW_YEAR - 60_000),
        ("31.12.2017", NEW_YEAR - 86_400_000),
        ("12/31/2017 11:59 PM", NEW_YEAR - 60_000),
        ("12/31/2017 12:00:00 am", NEW_YEAR - 86_400_000),
        ("1/1/2018", NEW_YEAR),
        ("1 Jan 2018", NEW_YEAR),
        ("01-Jan-2018 00:00:00", NEW_YEAR),
        ("Mon, 01 Jan 2018 00:00:00 GMT", NEW_YEAR),
    ],
)
def test_every_common_form_of_a_time_is_understood(value: object, milliseconds: int) -> None:
    assert epoch_milliseconds(table([value]), "when").to_list() == [milliseconds]


def test_a_zone_of_a_datetime_column_counts() -> None:
    zoned = pl.Series(["2018-01-01 01:00:00"]).str.to_datetime(time_zone="Europe/Oslo")

    assert epoch_milliseconds(table(zoned.to_list(), zoned.dtype), "when").to_list() == [NEW_YEAR]


def test_small_numbers_among_milliseconds_are_milliseconds_too() -> None:
    times: list[object] = [100_000_000_001, 1_514_764_800_001]
    assert epoch_milliseconds(table(times), "when").to_list() == times


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["2018-01-01", "1.1.2018"], r"row 2 has '1\.1\.2018', which is not a time"),
        (["2018-01-01", None], "row 2 has no time in column"),
        (["2018-02-30"], "row 1 has '2018-02-30'"),
        (["1969-12-31"], "row 1 has '1969-12-31'"),
        ([5, -1], r"row 1 has 5 .*no row has a time that is understood"),
        ([1_514_764_800_001, -1], "row 2 has -1"),
        (["2018-01-01", "31/12/2017"], r"row 2 has '31/12/2017'.*not written like the other rows"),
        (["03/04/2018", "04/03/2018"], r"no row shows whether the day or the month comes first"),
        (["13/01/2018", "01/13/2018"], "row 2 has '01/13/2018'"),
        (["2018-01-01 24:00"], "row 1 has"),
        (["2018-01-01 12:60"], "row 1 has"),
        (["2018-01-01 13:00 PM"], "row 1 has"),
        (
            ["tomorrow"],
            r"row 1 has 'tomorrow'(.|\n)*2026-03-12T09:30:00.125\+01:00 +ISO 8601(.|\n)*days of a spreadsheet",
        ),
        ([20_260_312, 20_260_399], "row 2 has 20260399"),
        ([1_514_764_800, 1_514_764_800_000], "row 2 has 1514764800000.*not written like the other rows"),
        ([20_524], "no row has a time that is understood"),
        ([0], "no row has a time that is understood"),
        ([5e18], "no row has a time that is understood"),
        (["9999-12-31"], "row 1 has"),
        ([True], "holds Boolean, which is not a time"),
        ([float("nan")], "row 1 has nan"),
    ],
)
def test_a_time_that_is_none_is_named_with_its_row(values: list[object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        epoch_milliseconds(table(values), "when")


@given(st.datetimes(datetime(1973, 3, 4), datetime(2099, 12, 31)))
def test_a_moment_is_the_same_in_every_form(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    milliseconds = int(moment.timestamp()) * 1000
    forms: list[object] = [moment, moment.isoformat(), str(moment), milliseconds, milliseconds // 1000]
    forms += [milliseconds * 1_000, milliseconds * 1_000_000, float(milliseconds), milliseconds / 1000]
    forms += [int(moment.strftime("%Y%m%d%H%M%S")), (milliseconds / 86_400_000) + 25_569]
    forms += [moment.strftime(form) for form in ("%d %B %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S %Z", "%Y%m%dT%H%M%SZ")]

    for form in forms:
        assert epoch_milliseconds(table([form]), "when").to_list() == [milliseconds], form


USUAL = [NEW_YEAR + 60_000 * minute for minute in range(2_000)]
FIRST, LAST = USUAL[0], USUAL[-1]
YEAR, DAY, HOUR = 365 * 86_400_000, 86_400_000, 3_600_000


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([], Extent(FIRST, LAST)),
        ([LAST + YEAR], Extent(FIRST, LAST, (LAST + YEAR,))),
        ([FIRST - YEAR, LAST + YEAR], Extent(FIRST, LAST, (FIRST - YEAR, LAST + YEAR))),
        ([FIRST - YEAR] * 4, Extent(FIRST - YEAR, LAST)),  # more than one row in a thousand
        ([LAST + 120_000], Extent(FIRST, LAST + 120_000)),
    ],
)
def test_a_row_far_from_all_others_does_not_say_how_long_a_table_is(others: list[int], found: Extent) -> None:
    assert extent(table([*USUAL, *others]), "when") == found


@pytest.mark.parametrize(
    ("moments", "every"),
    [
        ([NEW_YEAR + DAY * day + 3_000 * row for day in range(30) for row in range(600)], DAY),
        (
            [NEW_YEAR + DAY * day + 3_000 * row for day in range(30) if day % 7 < 5 for row in range(600)],
            DAY,
        ),
        (
            [
                NEW_YEAR + DAY * day + HOUR * (2 + 12 * half) + row
                for day in range(9)
                for half in (0, 1)
                for row in range(50)
            ],
            DAY // 2,
        ),
        (
            [
                NEW_YEAR + DAY * day + HOUR * hour + row
                for day in range(9)
                for hour in range(8, 17)
                for row in range(50)
            ],
            0,
        ),  # a shop
        ([NEW_YEAR + DAY * day + row for day in (0, 200, 400) for row in range(50)], 0),  # too few to tell
        (USUAL, 0),
    ],
)
def test_how_often_batches_come_is_seen(moments: list[int], every: int) -> None:
    assert extent(table([*moments]), "when").every_ms == every


@pytest.mark.parametrize("times", [[], [NEW_YEAR], [NEW_YEAR] * 40, [NEW_YEAR, NEW_YEAR + YEAR]])
def test_a_few_rows_are_as_long_as_they_are(times: list[int]) -> None:
    found = extent(table([*times], pl.Int64()), "when")
    assert (found.span_ms, found.strays) == (max(times, default=0) - min(times, default=0), ())
