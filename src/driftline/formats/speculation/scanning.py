"""JSON strings, numerals and times, read from memory by compiled functions.

Positions are addresses. A record ends at `stop`; a scan may look up to ROOM bytes behind it, for words are read whole,
but takes nothing from there. FAILED stands in place of a position for what needs a careful look.
"""

from typing import Final

import numpy as np

from driftline.columns.times import BAD_TIME
from driftline.compiled import Word, bits_of, byte_at, inlined, signed, word_at
from driftline.formats.speculation.numerals import exact_float, nearest_float_bits

ROOM: Final = 32
FAILED: Final = -1
_U = np.uint64

QUOTE, POINT, MINUS, PLUS, ZERO, NINE = b'".-+09'
_BACKSLASH, _COLON, _E, _Z = b"\\:eZ"
_EIGHTS, _HIGHS = 0x0101010101010101, 0x8080808080808080
_QUOTES, _BACKSLASHES, _BLANKS = _U(QUOTE * _EIGHTS), _U(_BACKSLASH * _EIGHTS), _U(0x20 * _EIGHTS)
_MAX_POWER: Final = 100_000


@inlined
def same(left: int, right: int, size: int) -> bool:
    """Tell whether so many bytes are equal; both have room behind them."""
    while size >= 8:
        if word_at(left) != word_at(right):
            return False
        left += 8
        right += 8
        size -= 8
    if size == 0:
        return True
    return bool((word_at(left) ^ word_at(right)) << _U(64 - 8 * size) == _U(0))


@inlined
def _ends(word: Word) -> Word:
    """Mark the bytes that end or complicate a string, by their highest bits; exact up to the first one marked."""
    quotes, slashes = word ^ _QUOTES, word ^ _BACKSLASHES
    found = (quotes - _U(_EIGHTS)) & ~quotes  # zero bytes
    found |= (slashes - _U(_EIGHTS)) & ~slashes
    found |= (word - _BLANKS) & ~word  # control characters
    return (found | word) & _U(_HIGHS)  # and whatever is not ASCII


@inlined
def _lowest(marks: Word) -> int:
    """Return the position of the lowest byte that is marked."""
    below = (marks & (~marks + _U(1))) - _U(1)  # the mark is a byte's highest bit, so that byte's lowest one is in here
    return signed(((below & _U(_EIGHTS)) * _U(_EIGHTS)) >> _U(56)) - 1


@inlined
def plain_end(at: int, stop: int) -> int:
    """Return the position after a string that begins at `at`, if it is ASCII without escapes; else FAILED."""
    at += 1
    while at < stop:
        marks = _ends(word_at(at))
        if marks:
            at += _lowest(marks)
            return at + 1 if at < stop and byte_at(at) == QUOTE else FAILED
        at += 8
    return FAILED


@inlined
def any_end(at: int, stop: int) -> int:
    """Return the position after a string that begins at `at`, whatever is in it, or FAILED."""
    at += 1
    while at < stop:
        byte = byte_at(at)
        if byte == QUOTE:
            return at + 1
        at += 2 if byte == _BACKSLASH else 1
    return FAILED


@inlined
def numeral(at: int, stop: int) -> tuple[int, bool, Word, int, bool]:
    """Scan a JSON numeral.

    Returns (position after it or FAILED, negative, digits, exponent, whole): its value is digits * 10^exponent, and
    `whole` says that it is written as an integer. FAILED also for more than 19 digits: their sum may overflow.
    """
    failed = (FAILED, False, _U(0), 0, False)
    negative = byte_at(at) == MINUS
    if negative:
        at += 1
    first = at
    digits = _U(0)
    byte = byte_at(at)
    while ZERO <= byte <= NINE:
        digits = digits * _U(10) + _U(byte - ZERO)
        at += 1
        byte = byte_at(at)
    count = at - first
    if count == 0 or (count > 1 and byte_at(first) == ZERO):
        return failed
    exponent, whole = 0, True
    if byte == POINT:
        whole = False
        at += 1
        first = at
        byte = byte_at(at)
        while ZERO <= byte <= NINE:
            digits = digits * _U(10) + _U(byte - ZERO)
            at += 1
            byte = byte_at(at)
        exponent = first - at
        count -= exponent
        if exponent == 0:
            return failed
    if byte | 32 == _E:
        whole = False
        at, power = _power(at + 1)
        exponent += power
    if count > 19 or at == FAILED or at > stop:
        return failed
    return at, negative, digits, exponent, whole


@inlined
def _power(at: int) -> tuple[int, int]:
    """Scan what follows an `e`. Returns (position after it or FAILED, the number)."""
    byte = byte_at(at)
    sign = -1 if byte == MINUS else 1
    if byte == MINUS or byte == PLUS:  # noqa: SIM109 (a tuple is slower)
        at += 1
        byte = byte_at(at)
    power, first = 0, at
    while ZERO <= byte <= NINE:
        power = min(power * 10 + byte - ZERO, _MAX_POWER)
        at += 1
        byte = byte_at(at)
    return (at, sign * power) if at > first else (FAILED, 0)


@inlined
def number_bits(at: int, stop: int) -> tuple[int, int]:
    """Return (position after a JSON numeral or FAILED, the bits of the float64 nearest to it)."""
    end, negative, digits, exponent, _ = numeral(at, stop)
    if end == FAILED:
        return FAILED, 0
    value = exact_float(digits, exponent) if digits else 0.0
    if value >= 0.0:
        return end, bits_of(-value if negative else value)
    bits = nearest_float_bits(digits, exponent)
    if bits == _U(0):
        return FAILED, 0
    return end, signed(bits | (_U(negative) << _U(63)))


@inlined
def _two(at: int) -> int:
    """Return the number that two digits write, or one so low that no sum with it is in any range."""
    tens, ones = byte_at(at) - ZERO, byte_at(at + 1) - ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -1_000_000


@inlined
def moment(at: int, size: int) -> int:
    """Return the epoch milliseconds of `2026-08-21T09:00:00Z` (size 20) or `….123Z` (size 24), or BAD_TIME.

    A subset of what `times.parse_time` takes, with the same result.
    """
    year = _two(at) * 100 + _two(at + 2)
    month, day = _two(at + 5), _two(at + 8)
    hour, minute, second = _two(at + 11), _two(at + 14), _two(at + 17)
    dashes, colons = word_at(at + 4) & _U(0xFF0000FF), word_at(at + 10) & _U(0xFF0000FF)
    if dashes != _U(0x2D00002D) or colons != _U(0x3A000054) or byte_at(at + 16) != _COLON:
        return BAD_TIME
    if year < 1970 or year > 9998 or month < 1 or month > 12 or day < 1 or byte_at(at + size - 1) != _Z:
        return BAD_TIME
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return BAD_TIME
    millis = 0
    if size == 24:
        hundreds, rest = byte_at(at + 20) - ZERO, _two(at + 21)
        if byte_at(at + 19) != POINT or hundreds < 0 or hundreds > 9 or rest < 0:
            return BAD_TIME
        millis = hundreds * 100 + rest
    length = 31
    if month == 2:
        length = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    elif month == 4 or month == 6 or month == 9 or month == 11:
        length = 30
    if day > length:
        return BAD_TIME
    # The civil calendar counted from March, so that a leap day ends its year; 719,468 days lie before 1970.
    shifted = year - 1 if month <= 2 else year
    days = shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719_468
    return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + millis
