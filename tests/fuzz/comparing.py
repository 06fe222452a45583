"""What a batch of records decoded to, in a form that can be compared, and the smallest stream on which two differ."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from driftline.columns.batch import ColumnBatch
from driftline.columns.reasons import Reason
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import Ints

Value = bytes | None
_VERSION, _SEGMENT, _MODEL, _IGNORED = -1, -2, -3, -4
"""Stand in the place of a cell for what is not in one."""


def facts(batch: ColumnBatch) -> Ints:
    """Return all that was decoded from accepted records as sorted rows (record, cell, value): shape (facts, 3).

    A number's value is its bits; -0.0 is 0.0, as in the sketches.
    """
    parts: list[Ints] = []
    for columns in batch.models:
        rows = columns.rows
        fine = batch.reasons[rows] == 0
        parts.append(_part(rows, _MODEL, sum(columns.shape.model.encode("utf-8", "surrogatepass")), fine))
        parts.append(_part(rows, _VERSION, columns.versions, fine))
        for which, codes in enumerate(columns.segments):
            parts.append(_part(rows, _SEGMENT, which * 2**20 + codes, fine))
        for slot, numbers in zip(columns.number_slots.tolist(), columns.numbers, strict=True):
            parts.append(
                _part(
                    rows, slot * ROLES + SignalRole.NUMBERS, (numbers + 0.0).view(np.int64), fine & np.isfinite(numbers)
                )
            )
        for cell, keys in zip(columns.category_cells.tolist(), columns.categories, strict=True):
            parts.append(_part(rows, cell, keys, fine & (keys >= 0)))
        odd = columns.oddity_rows
        cells = columns.oddity_slots * ROLES + SignalRole.ODDITIES
        parts.append(np.stack([rows[odd], cells, columns.oddity_keys], axis=1)[fine[odd]])
    if batch.ignored:
        rows, counts = np.array(sorted(batch.ignored.items()), dtype=np.int64).T
        parts.append(_part(rows, _IGNORED, counts, counts > 0))
    found = np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.int64)
    return found[np.lexsort(found.T[::-1])]


def _part(rows: Ints, cell: int, values: Ints | int, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ints:
    whole = np.stack(np.broadcast_arrays(rows, np.int64(cell), values), axis=1)
    return np.asarray(whole[chosen], dtype=np.int64)


def difference(values: Sequence[Value], got: ColumnBatch, expected: ColumnBatch) -> str:
    """Return how two decodings of the same records differ, by the first record on which they do; "" if they do not."""
    for name, found, wanted in (
        ("reason", got.reasons, expected.reasons),
        ("time", _times(got), _times(expected)),
    ):
        differ = np.flatnonzero(found != wanted)
        if len(differ):
            row = int(differ[0])
            return f"{name} {_name(name, found[row])}, expected {_name(name, wanted[row])}, of {values[row]!r}"
    found, wanted = facts(got), facts(expected)
    if found.shape == wanted.shape and np.array_equal(found, wanted):
        return ""
    ours, theirs = set(map(tuple, found.tolist())), set(map(tuple, wanted.tolist()))
    row = min((fact[0] for fact in ours ^ theirs), default=-1)
    only = [sorted(fact[1:] for fact in side if fact[0] == row) for side in (ours - theirs, theirs - ours)]
    return f"(cell, value) {only[0]}, expected {only[1]}, of {values[row]!r}"


def _times(batch: ColumnBatch) -> Ints:
    return np.where(batch.reasons == 0, batch.times, 0)


def _name(name: str, value: int) -> str:
    return Reason(int(value)).label if name == "reason" else str(value)


def pieces(values: Sequence[Value], cuts: Sequence[int]) -> list[Sequence[Value]]:
    """Cut a sequence at these places."""
    places = sorted({0, len(values), *cuts})
    return [values[start:stop] for start, stop in pairwise(places)]


def shrunk(values: Sequence[Value], fails: Callable[[Sequence[Value]], bool], tries: int = 2_000) -> list[Value]:
    """Return a shorter sequence that still fails, found by leaving out ever smaller parts."""
    left = list(values)
    size = len(left) // 2
    while size and tries:
        at = 0
        while at < len(left) and tries:
            tries -= 1
            shorter = left[:at] + left[at + size :]
            if fails(shorter):
                left = shorter
            else:
                at += size
        size //= 2
    return left
