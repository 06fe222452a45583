"""Rows that are appended, amended, and dropped from the front: in arrays in memory, in chunks in the store.

Each row has a number, one more than the row before it. A checkpoint writes the rows that came since the last one as a
chunk, and what was amended since as a chunk of its own, whatever waits beside them:

    rows      0 … 9,999   10,000 … 17,000   17,001 …        three chunks; the newest are written again as one at times
    amended   (row 12: …), (row 17,003: …)                  later ones count

What is amended is never in a row's own chunk, so neither has to know when the other was written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.codec import Count, corrupt, pack, unpack
from driftline.panes.waiting import CHUNKS, to_join
from driftline.sketches.keys import Ints

VERSION = 1
MAX_ROWS = 250_000
"""Rows of a chunk, some 6 MB, beyond which it is left as it is."""
FIRST_ROOM = 256
SAMPLED = 512
"""Values by which an array is judged: a dictionary helps if they hardly differ."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class LedgerColumn:
    """One value of every row. `fill` is that of a row that says nothing else."""

    dtype: Any
    fill: float | int = 0


class _Chunk(msgspec.Struct, array_like=True):
    """Rows from `start` to before `stop`: all of them, or those of them that were amended."""

    name: str
    start: Count
    stop: Count
    size: Count


class LedgerState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a checkpoint says of a ledger, beside its chunks."""

    first: Count
    next: Count
    named: Count
    rows: list[_Chunk]
    amended: list[_Chunk]

    @property
    def blobs(self) -> list[str]:
        """The names of the chunks."""
        return [chunk.name for chunk in (*self.rows, *self.amended)]


class Ledger:
    """See the module's head.

    Args:
        name: what the names of its blobs begin with.
        columns: what a row holds.
        amendable: what may be changed later; a new row has these columns' fill.
    """

    def __init__(
        self, name: str, columns: Mapping[str, LedgerColumn], amendable: Mapping[str, LedgerColumn] | None = None
    ) -> None:
        self.name = name
        self._columns = dict(columns)
        self._amendable = dict(amendable or {})
        self.first = 0
        """The oldest row that is still kept."""
        self.next = 0
        """The number of the next row."""
        self.base = 0
        """The row at index 0 of the arrays."""
        self.arrays: dict[str, Array] = {
            key: np.full(0, column.fill, column.dtype) for key, column in (self._columns | self._amendable).items()
        }
        self._room = 0
        self._named = 0
        self._stored = 0
        """The next row that is in no chunk."""
        self._rows: list[_Chunk] = []
        self._amended: list[_Chunk] = []
        self._amended_rows: dict[str, Ints] = {}
        self._fresh: list[Ints] = []
        self._dropped: list[str] = []

    def __len__(self) -> int:
        return self.next - self.first

    def column(self, name: str) -> Array:
        """Return the column of all rows that are kept, as a view."""
        view: Array = self.arrays[name][self.first - self.base : self.next - self.base]
        return view

    def take(self, name: str, rows: Ints) -> Array:
        """Return the values of these rows."""
        found: Array = self.arrays[name][rows - self.base]
        return found

    def add_column(self, name: str, column: LedgerColumn) -> None:
        """Hold one more value of every row from now on."""
        self._columns[name] = column
        self.arrays[name] = np.full(self._room, column.fill, column.dtype)

    def reserve(self, size: int) -> None:
        """Make room for so many rows."""
        if self.next - self.base + size <= self._room:
            return
        kept = slice(self.first - self.base, self.next - self.base)
        self._room = max(FIRST_ROOM, 2 * len(self) + size)
        for name, column in (self._columns | self._amendable).items():
            grown = np.full(self._room, column.fill, column.dtype)
            grown[: len(self)] = self.arrays[name][kept]
            self.arrays[name] = grown
        self.base = self.first

    def append(self, size: int, values: Mapping[str, Array]) -> None:
        """Append rows. Columns without values keep what is in the reserved room: their fill, or what was put there."""
        self.reserve(size)
        place = slice(self.next - self.base, self.next - self.base + size)
        for name, array in values.items():
            self.arrays[name][place] = array
        self.next += size

    def amend(self, rows: Ints) -> None:
        """Note that amendable columns of these rows were changed."""
        if len(rows):
            self._fresh.append(rows)

    def drop(self, before: int) -> None:
        """Let go of the rows before this one."""
        self.first = max(self.first, min(before, self.next))

    # storing

    def checkpoint(self) -> tuple[LedgerState, dict[str, bytes | None]]:
        """Return (plain description, blobs to write; None deletes) of what changed since the last checkpoint."""
        writes: dict[str, bytes | None] = {}
        self._rows = self._keep(self._rows, writes)
        self._amended = self._keep(self._amended, writes)
        for name in set(self._amended_rows) - {chunk.name for chunk in self._amended}:
            del self._amended_rows[name]
        start = max(self._stored, self.first)
        if start < self.next:
            joined = self._join(self._rows, self.next - start, writes)
            start = max(min([start, *(chunk.start for chunk in joined)]), self.first)
            chunk = _Chunk(self._new_name("rows"), start, self.next, self.next - start)
            place = slice(start - self.base, self.next - self.base)
            held = {name: self.arrays[name][place] for name in self._columns}
            writes[chunk.name] = pack("ledger", VERSION, *squeezed(held))
            self._rows.append(chunk)
        self._stored = self.next
        self._store_amended(writes)
        return LedgerState(self.first, self.next, self._named, list(self._rows), list(self._amended)), writes

    def _store_amended(self, writes: dict[str, bytes | None]) -> None:
        fresh = np.unique(np.concatenate(self._fresh)) if self._fresh else np.zeros(0, dtype=np.int64)
        self._fresh = []
        fresh = fresh[fresh >= self.first]
        if not len(fresh):
            return
        joined = self._join(self._amended, len(fresh), writes)
        rows = np.unique(np.concatenate([fresh, *(self._amended_rows.pop(chunk.name) for chunk in joined)]))
        rows = rows[rows >= self.first]
        chunk = _Chunk(self._new_name("amended"), int(rows[0]), int(rows[-1]) + 1, len(rows))
        held = {"row": rows, **{name: self.take(name, rows) for name in self._amendable}}
        writes[chunk.name] = pack("ledger", VERSION, *squeezed(held))
        self._amended.append(chunk)
        self._amended_rows[chunk.name] = rows

    def _keep(self, chunks: Sequence[_Chunk], writes: dict[str, bytes | None]) -> list[_Chunk]:
        """Return the chunks of which some rows are kept."""
        writes.update({chunk.name: None for chunk in chunks if chunk.stop <= self.first})
        return [chunk for chunk in chunks if chunk.stop > self.first]

    @staticmethod
    def _join(chunks: list[_Chunk], new: int, writes: dict[str, bytes | None]) -> list[_Chunk]:
        """Take out the newest chunks, if there are many, that are to be written again with what is new."""
        if len(chunks) < CHUNKS:
            return []
        number = len(to_join({chunk.name: chunk.size for chunk in chunks}, new, MAX_ROWS))
        joined = chunks[len(chunks) - number :]
        del chunks[len(chunks) - number :]
        writes.update({chunk.name: None for chunk in joined})
        return joined

    def _new_name(self, kind: str) -> str:
        self._named += 1
        return f"{self.name}/{kind}/{self._named - 1}"

    def restore(self, state: LedgerState, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        self.first = self.base = state.first
        self.next, self._stored, self._named = state.first, state.next, state.named
        self._rows, self._amended = list(state.rows), list(state.amended)
        self.reserve(state.next - state.first)
        at = state.first
        for number, chunk in enumerate(state.rows):
            if (chunk.start != at if number else chunk.start > at) or not at < chunk.stop <= state.next:
                raise corrupt("ledger", f"rows from {at:,} on of {self.name} are in no chunk, or in two")
            arrays = loosened(unpack(blobs[chunk.name], "ledger", (VERSION,)))
            part = slice(at - chunk.start, chunk.stop - chunk.start)
            for name, column in self._columns.items():
                if name not in arrays:
                    continue  # a column that is newer than the chunk
                if len(arrays[name]) != chunk.stop - chunk.start:
                    raise corrupt("ledger", f"a column of {self.name} has {len(arrays[name]):,} rows")
                place = slice(at - self.base, chunk.stop - self.base)
                self.arrays[name][place] = _as(arrays[name], column.dtype)[part]
            at = chunk.stop
        if at != state.next:
            raise corrupt("ledger", f"rows {at:,} to {state.next:,} of {self.name} are in no chunk")
        self.next = state.next
        for chunk in state.amended:
            arrays = loosened(unpack(blobs[chunk.name], "ledger", (VERSION,)))
            rows: Ints = arrays["row"]
            if len(rows) and not 0 <= rows.min() <= rows.max() < state.next:
                raise corrupt("ledger", f"an amendment of {self.name} belongs to no row")
            self._amended_rows[chunk.name] = rows
            kept = rows >= self.first
            for name, column in self._amendable.items():
                self.arrays[name][rows[kept] - self.base] = _as(arrays[name], column.dtype)[kept]


def squeezed(columns: Mapping[str, Array]) -> tuple[dict[str, int], dict[str, Array]]:
    """Return (what was subtracted of whole columns, arrays that are stored in fewer bytes). Undone by `loosened`."""
    low: dict[str, int] = {}
    arrays: dict[str, Array] = {}
    for name, column in columns.items():
        whole = column.view(np.int64 if column.itemsize == 8 else np.int32) if column.dtype.kind == "f" else column
        least, most = (int(whole.min()), int(whole.max())) if len(whole) else (0, 0)
        if most - least < 2**32:
            low[name] = least
            arrays[name] = whole.astype(np.int64) - least
        elif len(np.unique(whole[:: max(1, len(whole) // SAMPLED)])) <= min(SAMPLED // 2, len(whole) // 2):
            values, codes = np.unique(whole, return_inverse=True)
            arrays[f"{name} values"], arrays[f"{name} codes"] = values, codes
        else:
            arrays[name] = whole
    return low, arrays


def _as(whole: Array, dtype: Any) -> Array:
    """Return a column in its own form."""
    if np.dtype(dtype).kind != "f":
        return whole.astype(dtype, copy=False)
    return whole.astype(f"i{np.dtype(dtype).itemsize}", copy=False).view(dtype)


def loosened(found: Any) -> dict[str, Array]:
    """Return the columns of a chunk, floats as the whole numbers that have their bits."""
    low = msgspec.convert(found.value, dict[str, int])
    columns: dict[str, Array] = {}
    for name, array in found.arrays.items():
        if name.endswith(" codes"):
            name = name.removesuffix(" codes")
            columns[name] = found.arrays[f"{name} values"][array]
        elif not name.endswith(" values"):
            columns[name] = array + low.get(name, 0)
    return columns
