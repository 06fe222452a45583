"""Event ids as numbers: equal ids have equal ones, and others hardly ever (two of a million with probability 10^-7).

An id is hashed where it stands, without being decoded; what needs decoding first is hashed by the same function.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftline.columns.batch import NO_ID
from driftline.columns.shape import plain_name
from driftline.compiled import Bytes, address, compiled, inlined, signed
from driftline.formats.speculation.scanning import ROOM
from driftline.formats.speculation.tokens import hash_of
from driftline.sketches.keys import Ints

_U = np.uint64
_FIRST, _SECOND = _U(0xFF51AFD7ED558CCD), _U(0xC4CEB9FE1A85EC53)


@inlined
def identity(at: int, size: int) -> int:
    """Return 63 bits that depend evenly on all bytes of an id: the end of MurmurHash3 (Appleby 2011)."""
    mixed = hash_of(at, size)
    mixed = (mixed ^ (mixed >> _U(33))) * _FIRST
    mixed = (mixed ^ (mixed >> _U(33))) * _SECOND
    return signed((mixed ^ (mixed >> _U(33))) >> _U(1))


@compiled
def _identities(text: Bytes, bounds: Ints, found: Ints) -> None:
    begin = address(text)
    for index in range(len(found)):
        found[index] = identity(begin + bounds[index], bounds[index + 1] - bounds[index])


def identities(ids: Sequence[Any]) -> Ints:
    """Return the number of each id; NO_ID for None. 7 and 7.0 are "7".

    >>> one, other, none = identities(["p-1", "p-2", None]).tolist()
    >>> one != other, none == NO_ID, identities([7, 7.0, "7"]).tolist() == [one] * 3
    (True, True, False)
    """
    texts = [b"" if value is None else plain_name(value).encode("utf-8", "surrogatepass") for value in ids]
    bounds = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in texts], out=bounds[1:])
    found: Ints = np.empty(len(ids), dtype=np.int64)
    _identities(np.frombuffer(b"".join(texts) + bytes(ROOM), dtype=np.uint8), bounds, found)
    found[[value is None for value in ids]] = NO_ID
    return found
