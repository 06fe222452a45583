"""Time columns of any common kind, to epoch milliseconds. A column is read in one form, which all of its rows have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
import polars as pl

from driftline.columns.times import LATEST
from driftline.errors import InputError
from driftline.tables.table import Table, input_errors

STRAYS: Final = 1_000
"""One in so many rows may have a time far from all others."""
BATCHES: Final = 0.1
"""If rows come in so few of the hours, they come in batches."""
MIN_BATCHES: Final = 4
HOUR_MS: Final = 3_600_000
MIN_ROWS: Final = 30
"""Rows from which on it is asked whether some are far from all others."""

_CLOCK = (
    r"(?:[Tt ,]\s*(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([AaPp]\.?[Mm]\.?)?"
    r"\s*([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?(?:\s*(?:UTC|GMT))?)?(?:\[[\w/+-]+\])?)?$"
)
_WEEKDAY = r"(?:[A-Za-z]{3,9},?\s+)?"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class _Written:
    """One way to write a date in text."""

    what: str
    example: str
    pattern: str
    order: str
    """Which of year, month and day the groups are."""


_WRITTEN = (
    _Written("ISO 8601", "2026-03-12T09:30:00.125+01:00", r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _CLOCK, "ymd"),
    _Written("day first", "13/03/2026 09:30", r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})" + _CLOCK, "dmy"),
    _Written("month first", "03/13/2026 9:30 AM", r"^(\d{1,2})/(\d{1,2})/(\d{4})" + _CLOCK, "mdy"),
    _Written(
        "named month",
        "12 Mar 2026 09:30",
        rf"^{_WEEKDAY}(\d{{1,2}})[ -]([A-Za-z]{{3}})[a-z]*[ -](\d{{4}})" + _CLOCK,
        "dmy",
    ),
    _Written(
        "compact",
        "20260312T093000Z",
        r"^(\d{4})(\d\d)(\d\d)" + _CLOCK.replace(r"\d{1,2}):(\d\d)(?::(", r"\d\d)(\d\d)(?:("),
        "ymd",
    ),
)


@dataclass(frozen=True, slots=True)
class _Number:
    """One way to write a time as a number: where such numbers lie, and what they are in milliseconds."""

    what: str
    example: str
    least: float
    most: float
    milliseconds: Callable[[pl.Expr], pl.Expr]
    digits: int = 0
    """Digits of a date without marks between them; 0 for a measure of time."""


def _scaled(numerator: int, denominator: int = 1) -> Callable[[pl.Expr], pl.Expr]:
    def milliseconds(raw: pl.Expr) -> pl.Expr:
        # Whole arithmetic where it is whole: a double does not hold nanoseconds.
        whole = raw.cast(pl.Int64, strict=False) * numerator // denominator
        exact = raw.cast(pl.Float64) == raw.cast(pl.Int64, strict=False).cast(pl.Float64)
        return pl.when(exact).then(whole).otherwise((raw.cast(pl.Float64) * numerator / denominator).floor())

    return milliseconds


def _excel(raw: pl.Expr) -> pl.Expr:
    return ((raw.cast(pl.Float64) - 25_569) * 86_400_000).round()


def _digits(width: int) -> Callable[[pl.Expr], pl.Expr]:
    def milliseconds(raw: pl.Expr) -> pl.Expr:
        text = (raw.cast(pl.Int64, strict=False).cast(pl.String) + "0101000000"[width - 4 :]).str.slice(0, 14)
        return text.str.to_datetime("%Y%m%d%H%M%S", time_unit="ms", strict=False).dt.epoch("ms")

    return milliseconds


_NUMBERS = (
    _Number("YYYYMMDD", "20260312", 19700101, 21000101, _digits(8), 8),
    _Number("YYYYMMDDhh", "2026031209", 1970010100, 2100010100, _digits(10), 10),
    _Number("YYYYMMDDhhmm", "202603120930", 197001010000, 210001010000, _digits(12), 12),
    _Number("YYYYMMDDhhmmss", "20260312093000", 19700101000000, 21000101000000, _digits(14), 14),
    _Number("seconds since 1970", "1773307800", 1e8, 4_102_444_800, _scaled(1_000)),
    _Number("milliseconds since 1970", "1773307800125", 1e11, 4_102_444_800_000, _scaled(1)),
    _Number("microseconds since 1970", "1773307800125000", 1e14, 4_102_444_800_000_000, _scaled(1, 1_000)),
    _Number("nanoseconds since 1970", "1773307800125000000", 1e17, 4_102_444_800_000_000_000, _scaled(1, 1_000_000)),
    _Number("days of a spreadsheet", "46093.395833", 25_569, 73_051, _excel),
)
"""Tried in this order, and taken if it fits all rows. Between 1973 and 2100 the ranges of the measures lie apart."""

_USUAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ")
"""How most programs write times: read at a tenth of the cost, and the same."""

ACCEPTED = "\n".join(f"  {form.example:<30}  {form.what}" for form in (*_WRITTEN, *_NUMBERS))


def epoch_milliseconds(
    table: Table, column: str, option: str = "--time-column", needed: pl.Series | None = None
) -> pl.Series:
    """Return a time column, all of it, as int64 epoch milliseconds, rounded down.

    Understood are datetimes and dates, text and numbers in the forms of `ACCEPTED`; what names no zone is UTC. All rows
    of a column have one form. A date such as 03/04/2026 is read only if other rows tell whether its day or its month
    comes first. Raises InputError, naming the row, where a time is missing, cannot be read, or lies outside the years
    1970 to 9998; where no row can be read it names the forms. `needed` tells which rows must have one; else all.
    """
    if column not in table.times:
        table.times[column] = _read_column(table, column, option)
    times = table.times[column]
    wrong = times.is_null() | ~times.is_between(0, LATEST)
    wrong = (wrong if needed is None else wrong & needed).arg_true()
    if wrong.len():
        raw = _raw(table, column)
        _refuse(table, column, wrong[0], raw[wrong[0]], none=times.null_count() == times.len() > raw.null_count())
    return times


def _raw(table: Table, column: str) -> pl.Series:
    with input_errors(table.path):
        return table.frame.select(table.column(column).value.alias("raw")).collect()["raw"]


def _read_column(table: Table, column: str, option: str) -> pl.Series:
    """Return the times of a column; null where one is missing or cannot be read."""
    held = table.column(column)
    dtype = held.dtype
    known = dtype == pl.Date or isinstance(dtype, pl.Datetime)
    text = dtype in (pl.String, pl.Categorical, pl.Enum)
    if not known and not text and not dtype.is_numeric():
        raise InputError(f'{option}: "{column}" holds {dtype}, which is not a time')
    raw = _raw(table, column)
    if not raw.len():
        return raw.cast(pl.Int64)
    if known:
        return raw.cast(pl.Datetime("ms") if dtype == pl.Date else dtype).dt.epoch("ms")
    return _from_text(raw.cast(pl.String), column, option) if text else _from_numbers(raw)


def _from_text(raw: pl.Series, column: str, option: str) -> pl.Series:
    text = raw.str.strip_chars()
    if text.drop_nulls().str.contains(r"^[+-]?\d+(\.\d*)?$").all():
        whole = not text.drop_nulls().str.contains(".", literal=True).any()
        return _from_numbers(text.cast(pl.Int64 if whole else pl.Float64, strict=False))
    for form in _USUAL:
        times = text.str.to_datetime(form, time_unit="ms", strict=False)
        if times.null_count() == text.null_count():
            return times.dt.epoch("ms")
    found = [_read(text, _WRITTEN[0])]
    if found[0].null_count() == text.null_count():  # nearly always
        return found[0]
    found += [_read(text, form) for form in _WRITTEN[1:]]
    best = min(found, key=pl.Series.null_count)
    day_first, month_first = found[1], found[2]
    either = month_first.null_count() == day_first.null_count() < text.len()
    if best is day_first and either and not (day_first == month_first).all():
        example = text.filter(day_first != month_first)[0]
        raise InputError(
            f'{option}: "{column}" has dates such as {example!r}, and no row shows whether the day or the month comes '
            "first; write them as 2026-03-12"
        )
    return best


def _read(text: pl.Series, form: _Written) -> pl.Series:
    """Return epoch milliseconds, null where the text does not have this form or is no date."""
    names = ("first", "second", "third", "hour", "minute", "second_of", "fraction", "half", "zone")
    part = {name: pl.col("text").str.extract(form.pattern, at) for at, name in enumerate(names, start=1)}
    date = dict(zip(form.order, (part["first"], part["second"], part["third"]), strict=True))
    month = date["m"].str.to_lowercase().replace({name: str(at) for at, name in enumerate(_MONTHS, start=1)})
    half = part["half"].str.slice(0, 1).str.to_lowercase()
    hour = part["hour"].cast(pl.Int64).fill_null(0)
    hour = pl.when(half.is_null()).then(hour).when(hour.is_between(1, 12)).then(hour % 12 + 12 * (half == "p"))
    zone = part["zone"].fill_null("Z").str.extract(r"([+-]\d\d(?::?\d\d)?)", 1).str.replace(":", "", literal=True)
    zone = pl.when(zone.is_null()).then(pl.lit("+0000")).otherwise((zone + "00").str.slice(0, 5))
    written = pl.format(
        "{}-{}-{}T{}:{}:{}.{}{}",
        date["y"],
        month.str.zfill(2),
        date["d"].str.zfill(2),
        hour.cast(pl.String).str.zfill(2),
        part["minute"].fill_null("00"),
        part["second_of"].fill_null("00"),
        (part["fraction"].fill_null("") + "000").str.slice(0, 3),
        zone,
    )
    moment = written.str.to_datetime("%Y-%m-%dT%H:%M:%S%.3f%z", time_unit="ms", time_zone="UTC", strict=False)
    return text.to_frame("text").select(moment.dt.epoch("ms")).to_series()


def _from_numbers(raw: pl.Series) -> pl.Series:
    """Return epoch milliseconds, null where a number does not have the form that most numbers have."""
    frame = raw.to_frame("raw")
    found = []
    for form in _NUMBERS:
        number = pl.col("raw")
        fits = number.is_between(form.least, form.most)
        if form.digits and raw.dtype.is_float():
            fits &= number == number.floor()
        found.append(
            frame.select(pl.when(fits).then(form.milliseconds(number).cast(pl.Int64, strict=False))).to_series()
        )
    return min(found, key=pl.Series.null_count)


def _refuse(table: Table, column: str, index: int, value: object, *, none: bool) -> NoReturn:
    where = f'in column "{column}"'
    if value is None:
        raise InputError(f"{table.path}: row {index + 1} has no time {where}; correct or remove the row")
    if none:
        raise InputError(
            f"{table.path}: row {index + 1} has {value!r} {where}, and no row has a time that is understood. "
            f"All rows have one of these forms (UTC, where they name no zone):\n{ACCEPTED}"
        )
    raise InputError(
        f"{table.path}: row {index + 1} has {value!r}, which is not a time from 1970 to 9998 {where}, or not written "
        "like the other rows; correct or remove the row"
    )


@dataclass(frozen=True, slots=True)
class Extent:
    """From when to when a table's rows are, in epoch milliseconds, but for rows that are far from all others."""

    first: int
    last: int
    strays: tuple[int, ...] = ()
    """The times of those rows, ascending."""
    every_ms: int = 0
    """How often a batch of rows comes, if rows come in batches; else 0."""

    @property
    def span_ms(self) -> int:
        """How long that is."""
        return self.last - self.first


def extent(table: Table, column: str) -> Extent:
    """Return from when to when a table's rows are. Raises InputError."""
    return extent_of(epoch_milliseconds(table, column))


def extent_of(moments: pl.Series) -> Extent:
    """Return from when to when some times are.

    One in STRAYS at either end, but always one, may be far away: if without them all others take less than half as
    long, their clocks are wrong, and they do not say how long it is.
    """
    times = np.sort(moments.to_numpy())
    if not len(times):
        return Extent(0, 0)
    few = -(-len(times) // STRAYS)
    first, last = int(times[0]), int(times[-1])
    if len(times) < MIN_ROWS or 2 * (times[-1 - few] - times[few]) >= last - first:
        return Extent(first, last, every_ms=_every(times))
    inner = times[few:-few]
    near = inner[-1] - inner[0]
    kept = times[(times >= inner[0] - near) & (times <= inner[-1] + near)]
    strays = times[(times < kept[0]) | (times > kept[-1])]
    return Extent(int(kept[0]), int(kept[-1]), tuple(strays.tolist()), _every(kept))


def _every(times: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> int:
    """Return how long it usually takes from one batch to the next; 0 unless most hours are without any row.

    `times` ascend. A batch is what comes without an hour between in which nothing does.

    >>> days = np.arange(10)[:, None] * 86_400_000
    >>> _every((days + np.arange(600) * 1_000).reshape(-1)) / 86_400_000, _every(np.arange(600) * 60_000)
    (1.0, 0)
    """
    hours = np.unique(times // HOUR_MS)
    whole = int(hours[-1] - hours[0]) + 1
    starts = hours[np.diff(hours, prepend=hours[0] - 2) > 1]
    if len(hours) > BATCHES * whole or len(starts) < MIN_BATCHES:
        return 0
    return int(np.median(np.diff(starts))) * HOUR_MS
