"""A column of times is read as one by one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.columns.times import BAD_TIME, LATEST, NO_TIME, parse_time, parse_times

short = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"))
long = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds").rjust(23, "0") + "Z")


def almost(text: str) -> st.SearchStrategy[str]:
    """Text of the same length with one character replaced."""
    return st.tuples(st.integers(0, len(text) - 1), st.sampled_from("0123456789-:TZtz.+ ٣é\x00")).map(
        lambda edit: text[: edit[0]] + edit[1] + text[edit[0] + 1 :]
    )


@given(st.one_of(st.lists(short, max_size=30), st.lists(long, max_size=30)))
def test_a_column_of_one_width_equals_one_by_one(values: list[str]) -> None:
    assert parse_times(values).tolist() == [parse_time(value) for value in values]


@given(st.one_of(st.lists(short.flatmap(almost), min_size=1), st.lists(long.flatmap(almost), min_size=1)))
def test_damaged_columns_equal_one_by_one(values: list[str]) -> None:
    assert parse_times(values).tolist() == [parse_time(value) for value in values]


@given(st.lists(st.one_of(short, long, st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=30))))
def test_mixed_columns_equal_one_by_one(values: list[object]) -> None:
    assert parse_times(values).tolist() == [parse_time(value) for value in values]


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)))
def test_times_are_those_of_the_standard_library(moment: datetime) -> None:
    expected = int((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1000
    assert parse_time(moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")) == expected
    text = f"{moment.isoformat(timespec='milliseconds')}Z"
    assert parse_times([text]).tolist() == [expected + moment.microsecond // 1000]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:01z", 1_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("2024-02-29T12:00:00.5Z", 1_709_208_000_500),
        (1.79e12, 1_790_000_000_000),
        (0, 0),
        (LATEST, LATEST),
        (None, NO_TIME),
    ],
)
def test_times_that_are_understood(value: object, expected: int) -> None:
    assert parse_time(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00",
        "2024-01-01",
        "20240101T000000Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "1970-01-01T00:00:00+23:59",
        "2024-01-01T00:00:00+24:00",
        " 2024-01-01T00:00:00Z",
        "\uff12\uff10\uff12\uff14-01-01T00:00:00Z",
        -1,
        LATEST + 1,
        10**30,
        float("inf"),
        float("nan"),
        True,
        [],
    ],
)
def test_times_that_are_not(value: object) -> None:
    assert parse_time(value) == BAD_TIME
    assert parse_times([value]).tolist() == [BAD_TIME]
