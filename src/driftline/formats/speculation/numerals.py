"""Decimal numerals to the nearest float64, compiled; the same bits as Python's `float`.

A numeral is w * 10^q. Where w and 10^|q| are exact in a float64, one operation rounds once, and is right (Clinger,
"How to read floating point numbers accurately", PLDI 1990). Else w is multiplied with the 128 highest bits of 5^q,
which decides nearly always (Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51,
2021, algorithm 1). Where it does not, or the result is subnormal or infinite, the answer is "not decided".
"""

from typing import Final

import numpy as np

from driftline.compiled import Word, inlined, signed

_MIN_EXPONENT, _MAX_POWER_OF_TEN = -342, 308
"""Exponents outside are zeros and infinities."""
_EXACT_POWERS: Final = np.array([float(10**power) for power in range(23)])
_EXACT_INTEGER: Final = np.uint64(1 << 53)


def _powers_of_five() -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Return for each exponent the 128 highest bits of 5^q as (high, low); reciprocals are rounded up."""
    rows = []
    for exponent in range(_MIN_EXPONENT, _MAX_POWER_OF_TEN + 1):
        power = 5 ** abs(exponent)
        if exponent >= 0:
            bits = power.bit_length()
            value = power << (128 - bits) if bits <= 128 else power >> (bits - 128)
        else:
            digits = (power - 1).bit_length()
            value = (1 << (digits + 127 if exponent >= -27 else 2 * digits + 128)) // power + 1
            value >>= max(value.bit_length() - 128, 0)
        rows.append((value >> 64, value & (2**64 - 1)))
    return np.array(rows, dtype=np.uint64)


_FIVES: Final = _powers_of_five()
_U = np.uint64
_HALF: Final = _U(0xFFFFFFFF)
_ALL: Final = _U(0xFFFFFFFFFFFFFFFF)
_IMPLICIT: Final = _U(1 << 52)


@inlined
def _product(a: Word, b: Word) -> tuple[Word, Word]:
    """Return (high, low) of the 128-bit product."""
    a1, a0, b1, b0 = a >> _U(32), a & _HALF, b >> _U(32), b & _HALF
    low, middle, other = a0 * b0, a1 * b0, a0 * b1
    carry = (low >> _U(32)) + (middle & _HALF) + (other & _HALF)
    return a1 * b1 + (middle >> _U(32)) + (other >> _U(32)) + (carry >> _U(32)), a * b


@inlined
def _leading_zeros(word: Word) -> int:
    count = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> _U(64 - step) == _U(0):
            word <<= _U(step)
            count += step
    return count


@inlined
def exact_float(digits: Word, exponent: int) -> float:
    """Return digits * 10^exponent where float64 arithmetic gives it rightly rounded, else -1."""
    if digits <= _EXACT_INTEGER:
        if exponent == 0:
            return float(digits)
        if -22 <= exponent < 0:
            return float(float(digits) / _EXACT_POWERS[-exponent])
        if 0 < exponent <= 22:
            return float(float(digits) * _EXACT_POWERS[exponent])
    return -1.0


@inlined
def nearest_float_bits(digits: Word, exponent: int) -> Word:
    """Return the bits of the float64 nearest to digits * 10^exponent (digits > 0); 0 if that is not decided here."""
    if exponent < -342 or exponent > 308:
        return _U(0)
    zeros = _leading_zeros(digits)
    w = digits << _U(zeros)
    high, low = _product(w, _FIVES[exponent + 342, 0])
    if high & _U(0x1FF) == _U(0x1FF):  # the bits that the truncated power leaves open might carry
        further, _ = _product(w, _FIVES[exponent + 342, 1])
        low += further
        if further > low:
            high += _U(1)
    if low == _ALL and (exponent < -27 or exponent > 55):
        return _U(0)
    upper = signed(high >> _U(63))
    shift = _U(upper + 9)
    mantissa = high >> shift
    power = ((217706 * exponent) >> 16) + 63 + upper - zeros + 1023
    if power <= 0:
        return _U(0)
    if low <= _U(1) and -4 <= exponent <= 23 and mantissa & _U(3) == _U(1) and mantissa << shift == high:
        mantissa &= ~_U(1)  # exactly half-way: to even
    mantissa = (mantissa + (mantissa & _U(1))) >> _U(1)
    if mantissa >= _U(1 << 53):
        mantissa = _IMPLICIT
        power += 1
    if power >= 0x7FF:
        return _U(0)
    return (mantissa & ~_IMPLICIT) | (_U(power) << _U(52))
