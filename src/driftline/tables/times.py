"""Time columns of any common kind, to epoch milliseconds."""

from typing import NoReturn

import polars as pl

from driftline.errors import InputError
from driftline.tables.reading import Table, input_errors

LATEST = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z in epoch milliseconds, the last time that an event can carry."""

# Numbers are told apart by the largest in the column. 1e11 is the year 5138 in seconds, but 1973-03-03 in milliseconds.
_EPOCH_UNITS = ((1e11, 1_000.0), (1e14, 1.0), (1e17, 1e-3))
_NANOSECONDS = 1e-6
_HAS_TIME = r"^\d{4}-\d\d-\d\d[T ]"
_HAS_ZONE = r"([Zz]|[+-]\d\d:?\d\d)$"


def epoch_milliseconds(table: Table, column: str, option: str = "--time-column") -> pl.Series:
    """Return a time column, all of it, as int64 epoch milliseconds, rounded down.

    Understood are datetimes and dates (taken as UTC where they name no zone), text such as `2018-01-01`,
    `2018-01-01 00:00:00.000` or RFC 3339, and numbers since the epoch: seconds if the column's largest is below 1e11,
    milliseconds below 1e14, microseconds below 1e17, else nanoseconds. Raises InputError, naming the row, where a time
    is missing, cannot be read, or lies outside the years 1970 to 9999.
    """
    raw = pl.col(column)
    dtype = table.schema[column]
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        time = raw.dt.epoch("ms") if isinstance(dtype, pl.Datetime) else raw.cast(pl.Datetime("ms")).dt.epoch("ms")
    elif dtype == pl.String:
        time = _from_text(raw)
    elif dtype.is_numeric():
        time = _from_number(table, column)
    else:
        raise InputError(f'{option}: "{column}" holds {dtype}, which is not a time')
    with input_errors(table.path):
        times = table.frame.select(time.cast(pl.Int64).alias(column)).collect()[column]
    wrong = (times.is_null() | ~times.is_between(0, LATEST)).arg_true()
    if wrong.len():
        _refuse(table, column, wrong[0])
    return times


def _from_text(raw: pl.Expr) -> pl.Expr:
    text = raw.str.strip_chars()
    text = (
        pl.when(text.str.contains(_HAS_TIME))
        .then(text.str.replace(" ", "T", literal=True))
        .otherwise(text + "T00:00:00")
    )
    text = pl.when(text.str.slice(10).str.contains(_HAS_ZONE)).then(text).otherwise(text + "Z")
    return text.str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False).dt.epoch("ms")


def _from_number(table: Table, column: str) -> pl.Expr:
    with input_errors(table.path):
        largest = table.frame.select(pl.col(column).cast(pl.Float64).abs().max()).collect().item()
    factor = next((factor for limit, factor in _EPOCH_UNITS if (largest or 0) < limit), _NANOSECONDS)
    raw = pl.col(column)
    if table.schema[column].is_integer():
        # Whole arithmetic: a double does not hold nanoseconds.
        return raw.cast(pl.Int64) * int(factor) if factor >= 1 else raw.cast(pl.Int64) // round(1 / factor)
    return (raw * factor).floor().cast(pl.Int64, strict=False)


def _refuse(table: Table, column: str, index: int) -> NoReturn:
    with input_errors(table.path):
        value = table.frame.select(pl.col(column)).slice(index, 1).collect().item()
    fault = "has no time" if value is None else f"has {value!r}, which is not a time from 1970 to 9999"
    raise InputError(f'{table.path}: row {index + 1} {fault} in column "{column}"; mend the row, or leave it out')


def time_span(table: Table, column: str) -> int:
    """Return the milliseconds from the earliest to the latest time of a column. Raises InputError."""
    times = epoch_milliseconds(table, column)
    first, last = times.min(), times.max()
    return last - first if isinstance(first, int) and isinstance(last, int) else 0
