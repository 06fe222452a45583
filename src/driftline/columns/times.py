"""Event times: RFC 3339 text or epoch milliseconds, to int64 epoch milliseconds, a column at a time.

The two forms that nearly every producer writes (`…T09:00:00Z`, `…T09:00:00.123Z`) are parsed as one matrix of bytes;
everything else, and everything that fails there, goes through `parse_time`, one by one. `parse_time` alone decides what
is valid: the matrix accepts a subset of it with equal results (a property test holds the two together).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from driftline.events import RFC3339
from driftline.sketches.keys import Ints

BAD_TIME = -(2**62)
"""Stands for a time that cannot be understood."""
NO_TIME = BAD_TIME + 1
"""Stands for a time that is missing or null."""
LATEST = 253_370_764_799_999
"""9998-12-31T23:59:59.999Z: the end of every window can then be written in RFC 3339, too."""

_FIRST_SECONDS = 100_000_000
"""March 1973 in seconds; in milliseconds, the second day of 1970."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(value: object) -> int:
    """Return epoch milliseconds (rounded down), BAD_TIME or NO_TIME.

    >>> parse_time("1970-01-01T00:00:01.5+00:00"), parse_time(1500), parse_time("tomorrow") == BAD_TIME
    (1500, 1500, True)
    """
    if value is None:
        return NO_TIME
    if isinstance(value, str):
        if not RFC3339.fullmatch(value):
            return BAD_TIME
        try:
            moment = datetime.fromisoformat(value.upper())
            millis = (moment - _EPOCH) // timedelta(milliseconds=1)
        except (ValueError, OverflowError):
            return BAD_TIME
        return millis if 0 <= millis <= LATEST else BAD_TIME
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LATEST:
        return int(value)
    return BAD_TIME


def unit_of(value: object) -> str:
    """Return the unit in which a number is a time if it is none in milliseconds; "" for all else.

    >>> unit_of(1_787_302_800_000_000), unit_of(1_787_302_800_000_000_000), unit_of(1_787_302_800_000), unit_of("soon")
    ('microseconds', 'nanoseconds', '', '')
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    if LATEST < value <= LATEST * 1_000:
        return "microseconds"
    return "nanoseconds" if LATEST * 1_000 < value <= LATEST * 1_000_000 else ""


def in_seconds(times: Ints, stamps: Ints) -> NDArray[np.bool_]:
    """Tell which times are nearer to their record's timestamps if they are taken for seconds: 1 second is 1,000 ms.

    That is January and February 1970, less its first hours. Where there is no timestamp (it is negative), none is.

    >>> in_seconds(np.array([1_787_302_800, 1_787_302_800_000]), np.array([1_787_302_801_000] * 2)).tolist()
    [True, False]
    """
    return np.asarray((times >= _FIRST_SECONDS) & (times < 2 * stamps // 1_001))


def stamps_of(timestamps: Sequence[int]) -> Ints:
    """Return records' timestamps in epoch milliseconds; -1 where there is none that may be the time of an event.

    >>> stamps_of([1_787_302_801_000, -1, 2**62]).tolist()
    [1787302801000, -1, -1]
    """
    stamps = np.array(timestamps, dtype=np.int64)
    stamps[(stamps < 0) | (stamps > LATEST)] = -1
    return stamps


def parse_times(values: Sequence[object]) -> Ints:
    """Return `parse_time` of each value.

    >>> parse_times(["1970-01-01T00:00:01Z", 1500, None]).tolist()[:2]
    [1000, 1500]
    """
    if values and isinstance(values[0], str):
        parsed = _parse_column(values)
        if parsed is not None:
            return parsed
    return np.fromiter(map(parse_time, values), dtype=np.int64, count=len(values))


def _parse_column(values: Sequence[object]) -> Ints | None:
    """Parse text of one length, 20 or 24 characters; None if this column is not of that kind."""
    width = len(values[0])  # type: ignore[arg-type]
    if width not in (20, 24):
        return None
    try:
        joined = "".join(values).encode("ascii")  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        return None
    lengths = set(map(len, values))  # type: ignore[arg-type]
    if lengths != {width}:
        return None
    text = np.frombuffer(joined, dtype=np.uint8).reshape(len(values), width).T
    digits = np.ascontiguousarray(text[_DIGITS[width]]) - np.uint8(48)
    sound = (digits <= 9).all(axis=0)
    for position, mark in _MARKS[width]:
        sound &= text[position] == mark
    number = digits.astype(np.int64)
    year = number[0] * 1000 + number[1] * 100 + number[2] * 10 + number[3]
    month, day = number[4] * 10 + number[5], number[6] * 10 + number[7]
    hour, minute, second = number[8] * 10 + number[9], number[10] * 10 + number[11], number[12] * 10 + number[13]
    sound &= (year >= 1970) & (year <= 9998) & (month >= 1) & (month <= 12)
    sound &= (hour <= 23) & (minute <= 59) & (second <= 59)
    table = np.where(sound, month, 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    sound &= (day >= 1) & (day <= _MONTH_DAYS[table] + (leap & (table == 2)))
    earlier = year - 1
    days = (
        earlier * 365
        + earlier // 4
        - earlier // 100
        + earlier // 400
        - _DAYS_TO_1970
        + _DAYS_BEFORE[table]
        + (leap & (table > 2))
        + day
        - 1
    )
    millis: Ints = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000
    if width == 24:
        millis += number[14] * 100 + number[15] * 10 + number[16]
    for index in np.flatnonzero(~sound).tolist():
        millis[index] = parse_time(values[index])
    return millis


def _positions(*ranges: tuple[int, int]) -> NDArray[np.intp]:
    return np.concatenate([np.arange(start, stop) for start, stop in ranges])


_DATE_TIME = ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))
_DIGITS = {20: _positions(*_DATE_TIME), 24: _positions(*_DATE_TIME, (20, 23))}
_SEPARATORS = ((4, ord("-")), (7, ord("-")), (10, ord("T")), (13, ord(":")), (16, ord(":")))
_MARKS = {20: (*_SEPARATORS, (19, ord("Z"))), 24: (*_SEPARATORS, (19, ord(".")), (23, ord("Z")))}
_MONTH_DAYS: Ints = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
_DAYS_BEFORE: Ints = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], dtype=np.int64)
_DAYS_TO_1970 = 719_162
