"""Values as 40-bit integers: a number by its order, a category by its hash.

A float64's bits, with the sign folded, sort as the numbers do. The highest 40 of them keep the sign, the exponent and
28 bits of the mantissa: a relative resolution of 2^-28, finer than float32. A string's key is 40 bits of BLAKE2b, the
same in every process and release; two of 256 strings collide with probability 2^-25.

Both kinds of key are coarsened in the same way, by clearing low bits (see `cells`): neighbouring numbers fall together,
or categories whose hashes share a prefix.
"""

from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

KEY_BITS = 40
NO_KEY = (1 << KEY_BITS) - 1
"""No value has this key."""
MANTISSA_BITS = 28
"""Mantissa bits that a key keeps: keys that differ only in these lie within one power of two."""
_DROPPED = 64 - KEY_BITS
_NEGATIVE = 1 << (KEY_BITS - 1)  # keys below this are negative numbers
_SIGN = np.int64(-(2**63))
_MAGNITUDE = np.int64(2**63 - 1)

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


def number_keys(values: Floats) -> Ints:
    """Return the order-preserving keys of finite float64 values (any shape); -0.0 counts as 0.0.

    >>> a, b, c = number_keys(np.array([-1.5, 0.0, 1e9]))
    >>> bool(a < b < c)
    True
    """
    bits = (values + 0.0).view(np.int64)
    bits ^= (bits >> 63) & _MAGNITUDE
    bits ^= _SIGN
    return (bits.view(np.uint64) >> np.uint64(_DROPPED)).view(np.int64)


def key_numbers(keys: Ints, fractions: Floats | None = None) -> Floats:
    """Return the value nearest zero that each key stands for; with `fractions`, the value that far on to the next key.

    Within one power of two the step from key to key is constant, so `key_numbers(k, r)` is exact for a mean offset r.

    >>> key_numbers(number_keys(np.array([-3.0, 0.25])))
    array([-3.  ,  0.25])
    """
    low = _from_bits(keys)
    if fractions is None:
        return low
    whole = np.floor(fractions)
    start = _from_bits(keys + whole.astype(np.int64))
    return start + (_from_bits(keys + whole.astype(np.int64) + 1) - start) * (fractions - whole)


def _from_bits(keys: Ints) -> Floats:
    kept = np.clip(keys, _LOWEST, _HIGHEST)
    dropped = np.where(kept < _NEGATIVE, (1 << _DROPPED) - 1, 0)  # ones below a negative number's bits are zeros
    bits = ((kept << _DROPPED) | dropped) ^ _SIGN
    bits ^= (bits >> 63) & _MAGNITUDE
    return bits.view(np.float64)


def category_key(value: str) -> int:
    """Return the key of a category: the first 40 bits of its BLAKE2b hash, less one if all of them are set.

    >>> f"{category_key('Oslo'):010x}", category_key("Oslo") == category_key("oslo")
    ('7fff1bbecd', False)
    """
    hashed = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=KEY_BITS // 8)
    return min(int.from_bytes(hashed.digest(), "big"), NO_KEY - 1)


_LOWEST = int(number_keys(np.array([-np.finfo(np.float64).max]))[0])
_HIGHEST = int(number_keys(np.array([np.finfo(np.float64).max]))[0])
