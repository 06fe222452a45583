"""JSON texts of strings and other short values, numbered: equal bytes are decoded, hashed and looked up once."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.columns.categories import NO_KEY, NULL_KEY, CategoryKeys
from driftline.compiled import Bytes, Word, address, byte_at, compiled, half_at, inlined, signed, word_at
from driftline.formats.speculation.scanning import ROOM, same
from driftline.sketches.keys import Ints

SLOTS: Final = 1 << 18
MAX_TOKENS: Final = 1 << 17
BYTES: Final = 1 << 22
"""Room for tokens; records that bring more in one batch are read by the careful decoder."""
LONGEST: Final = 128
"""Bytes of a token that is remembered, quotes included."""
NO_TOKEN, NULL_TOKEN, TRUE_TOKEN, FALSE_TOKEN = range(4)
_FIXED = (b"", b"null", b"true", b"false")
_UNKNOWN: Final = -1
_UNRESOLVED: Final = -9
_SIZE: Final = (1 << 32) - 1
_MIX = np.uint64(0x9E3779B97F4A7C15)
_U = np.uint64


class TokenTable(NamedTuple):
    """Where tokens are found by their bytes: open addressing, at a load of at most one half."""

    slots: NDArray[np.int32]
    """Numbers of tokens, -1 where there is none."""
    spans: Ints
    """Where a token's bytes begin in `held`, times 2^32, plus how many they are."""
    held: Bytes
    used: Ints
    """The number of tokens, and of bytes held."""
    suspects: Bytes
    """1 for tokens that are new and not plain ASCII: they must be validated."""


@inlined
def hash_of(at: int, size: int) -> Word:
    """Return a hash of so many bytes; its highest bits are the best."""
    mixed = _U(size)
    while size >= 8:
        mixed = (mixed ^ word_at(at)) * _MIX
        mixed ^= mixed >> _U(32)
        at += 8
        size -= 8
    if size:
        mixed = (mixed ^ (word_at(at) << _U(64 - 8 * size))) * _MIX
        mixed ^= mixed >> _U(32)
    return mixed * _MIX


@inlined
def find(at: int, size: int, slots: int, spans: int, held: int) -> tuple[int, int]:
    """Return (a token's number or a negative one, the slot where it is or belongs). The table is given by addresses."""
    slot: int = signed(hash_of(at, size) >> _U(40)) & (SLOTS - 1)
    while True:
        number = half_at(slots + 4 * slot)
        if number < 0:
            return number, slot
        span = signed(word_at(spans + 8 * number))
        if span & _SIZE == size and same(at, held + (span >> 32), size):
            return number, slot
        slot = (slot + 1) & (SLOTS - 1)


@compiled
def enter(at: int, size: int, slot: int, plain: bool, table: TokenTable) -> int:
    """Give a new token a number and return it; a negative one where there is no room."""
    number, start = table.used[0], table.used[1]
    if number >= len(table.spans) or start + size + ROOM > len(table.held):
        return _UNKNOWN
    for index in range(size):
        table.held[start + index] = byte_at(at + index)
    table.spans[number] = start << 32 | size
    table.slots[slot] = number
    table.suspects[number] = not plain
    table.used[0], table.used[1] = number + 1, start + size
    return int(number)


@compiled
def _number(text: Bytes, size: int, table: TokenTable) -> int:
    at = address(text)
    number, slot = find(at, size, address(table.slots), address(table.spans), address(table.held))
    return number if number >= 0 else enter(at, size, slot, True, table)


class Tokens:
    """The tokens seen lately, and the category keys that they stand for. Some 8 MB."""

    def __init__(self) -> None:
        self.table = TokenTable(
            np.empty(SLOTS, dtype=np.int32),
            np.zeros(MAX_TOKENS, dtype=np.int64),
            np.zeros(BYTES, dtype=np.uint8),
            np.zeros(2, dtype=np.int64),
            np.zeros(MAX_TOKENS, dtype=np.uint8),
        )
        self._keys: Ints = np.empty(MAX_TOKENS, dtype=np.int64)
        self.clear()

    def __len__(self) -> int:
        return int(self.table.used[0])

    def clear(self) -> None:
        """Forget all tokens but those with fixed numbers."""
        self.table.slots.fill(-1)
        self.table.used.fill(0)
        self._keys.fill(_UNRESOLVED)
        for text in _FIXED:
            self.number(text)
        self._keys[NO_TOKEN], self._keys[NULL_TOKEN] = NO_KEY, NULL_KEY

    @property
    def crowded(self) -> bool:
        """Whether it is time to `clear`."""
        tokens, size = self.table.used.tolist()
        return bool(tokens > MAX_TOKENS * 3 // 4 or size > BYTES * 3 // 4)

    def number(self, text: bytes) -> int:
        """Return a token's number, a new one if need be; negative where there is no room."""
        if len(text) > LONGEST:
            return _UNKNOWN
        return int(_number(np.frombuffer(text + bytes(ROOM), dtype=np.uint8), len(text), self.table))

    def value(self, number: int) -> Any:
        """Return what a token says, None for NO_TOKEN. Raises `msgspec.MsgspecError` or `UnicodeDecodeError`."""
        start, size = divmod(int(self.table.spans[number]), 1 << 32)
        return msgspec.json.decode(self.table.held[start : start + size].tobytes()) if size else None

    def refused(self, since: int) -> list[int]:
        """Return those of the tokens numbered from `since` on that are not JSON, and forget them."""
        new = since + np.flatnonzero(self.table.suspects[since : len(self)])
        bad = []
        for number in new.tolist():
            try:
                self.value(number)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.table.spans[number] = _SIZE  # no text has this size: it is never found again
                bad.append(number)
        return bad

    def keys_of(self, numbers: Ints, keys: CategoryKeys) -> Ints:
        """Return the category keys of tokens (any shape)."""
        found: Ints = self._keys[numbers]
        if found.size and found.min() == _UNRESOLVED:
            self._resolve(np.unique(numbers[found == _UNRESOLVED]).tolist(), keys)
            found = self._keys[numbers]
        return found

    def _resolve(self, numbers: Iterable[int], keys: CategoryKeys) -> None:
        for number in numbers:
            self._keys[number] = keys[self.value(number)]
