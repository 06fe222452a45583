"""The compiled loops behind `cells`: one cell at a time, in a small hash table that stays in the cache.

A table holds the buckets of one cell at the present shift. When one bucket too many is occupied, the shift rises until
there are few enough: occupied buckets only become more as values come, and fewer as the shift rises, so the shift that
is reached in the end is the smallest for the whole set of values, whatever their order.
"""

from typing import Final, TypeAlias

import numpy as np

from driftline.compiled import compiled, inlined, signed
from driftline.sketches.keys import KEY_BITS, Bools, Floats, Ints

Buckets: TypeAlias = tuple[Ints, Ints, Ints]
"""Keys, counts and offsets of buckets: parallel arrays."""
SLOTS: Final = 1_024
"""Slots of a table; a cell may have a quarter of them occupied."""
FEW: Final = 256
"""As many buckets as a cell may have."""
SORTED: Final = 4_000
"""Fewer rows of a group are sorted, more are hashed. Hashing is faster where the shift is known and values repeat, and
takes ten times as long where the shift of a few hundred rows has to be found."""
TINY: Final = 16
"""So many are sorted here, for more numpy's sort is faster: it compares eight at a time, but a call takes 1 µs."""
ODDITY_KEYS: Final = 8
"""Keys of oddities are below this."""
_KEY, _COUNT, _OFFSET = 0, 1, 2
_EMPTY = -1
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TOP = np.uint64(54)  # 64 - log2(SLOTS)
_SIGN = np.int64(-(2**63))
_MAGNITUDE = np.int64(2**63 - 1)
_DROPPED = np.uint64(64 - KEY_BITS)


def room(size: int) -> Buckets:
    """Return room for so many buckets."""
    return np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)


def scratch() -> tuple[Ints, Ints, Ints]:
    """Return an empty table, room for the numbers of its occupied slots, and room to sort FEW keys."""
    table = np.zeros((SLOTS, 3), dtype=np.int64)
    table[:, _KEY] = _EMPTY
    return table, np.zeros(SLOTS, dtype=np.int64), np.zeros((2, FEW), dtype=np.int64)


@inlined
def _slot_of(table: Ints, key: int) -> int:
    """Return the slot that holds a key, or the empty one where it belongs."""
    slot = signed((np.uint64(key) * _MIX) >> _TOP)
    while table[slot, _KEY] != key and table[slot, _KEY] != _EMPTY:
        slot = (slot + 1) & (SLOTS - 1)
    return slot


@inlined
def _add(table: Ints, used: Ints, occupied: int, key: int, count: int, offset: int) -> int:
    """Add to a bucket. Returns the number of occupied slots."""
    slot = _slot_of(table, key)
    if table[slot, _KEY] == _EMPTY:
        table[slot, _KEY] = key
        table[slot, _COUNT] = count
        table[slot, _OFFSET] = offset
        used[occupied] = slot
        return occupied + 1
    table[slot, _COUNT] += count
    table[slot, _OFFSET] += offset
    return occupied


@compiled
def _coarsen(table: Ints, used: Ints, occupied: int, shift: int, cap: int) -> tuple[int, int]:
    """Raise the shift until at most `cap` buckets are occupied. Returns (shift, occupied)."""
    held = np.empty((occupied, 3), dtype=np.int64)
    for at in range(occupied):
        held[at] = table[used[at]]
        table[used[at], _KEY] = _EMPTY
    shift = _enough(np.sort(held[:, _KEY]), 0, occupied, shift, cap)
    low = (signed(1) << shift) - 1
    before, occupied = occupied, 0
    for at in range(before):
        key, count = held[at, _KEY], held[at, _COUNT]
        below = key & low
        occupied = _add(table, used, occupied, key ^ below, count, held[at, _OFFSET] + count * below)
    return shift, occupied


@inlined
def _enough(keys: Ints, first: int, last: int, shift: int, cap: int) -> int:
    """Return the least shift, from `shift` on, at which ascending keys occupy at most `cap` buckets.

    These are as many as there are neighbours that still differ, and one: fewer, the higher the shift.
    """
    if last - first <= cap or _differing(keys, first, last, shift) < cap:
        return shift
    too_low, enough = shift, KEY_BITS
    while enough - too_low > 1:
        middle = (too_low + enough) // 2
        if _differing(keys, first, last, middle) < cap:
            enough = middle
        else:
            too_low = middle
    return enough


@inlined
def _differing(keys: Ints, first: int, last: int, shift: int) -> int:
    differing = 0
    for at in range(first + 1, last):
        differing += (keys[at] ^ keys[at - 1]) >> shift != 0
    return differing


@inlined
def _sort(keys: Ints, first: int, last: int, room: Ints) -> None:
    """Sort at most FEW keys, each by counting those below it: without branches, many are compared at a time."""
    for at in range(first, last):
        room[0, at - first] = keys[at] << 8 | (at - first)  # no two are equal
    for at in range(last - first):
        key = room[0, at]
        below = 0
        for other in range(last - first):
            below += room[0, other] < key
        room[1, below] = key
    for at in range(first, last):
        keys[at] = room[1, at - first] >> 8


@inlined
def _append(out: Buckets, first: int, at: int, key: int, count: int, offset: int, low: int) -> int:
    """Add a bucket, its key's low bits cleared, behind those from `first` to `at`, or to the last of them."""
    below = key & low
    key ^= below
    offset += count * below
    if at > first and out[0][at - 1] == key:
        out[1][at - 1] += count
        out[2][at - 1] += offset
        return at
    out[0][at] = key
    out[1][at] = count
    out[2][at] = offset
    return at + 1


@inlined
def _count_runs(keys: Ints, out: Buckets, first: int) -> int:
    """Write ascending keys as buckets from `first` on, each as often as it is there. Returns the position behind them.

    Without a branch that goes by a value: nobody can guess whether a key is that of its neighbour.
    """
    at, before = first - 1, signed(-1)
    for row in range(len(keys)):
        key = keys[row]
        at += key != before
        out[0][at] = key
        out[1][at] = row  # the last of its run
        before = key
    held, last = out[1][first : at + 1], signed(-1)
    for bucket in range(len(held)):
        ends = held[bucket]
        held[bucket] = ends - last
        last = ends
    out[2][first : at + 1] = 0
    return at + 1


@inlined
def _zip(
    left: Buckets, at_left: int, left_end: int, right: Buckets, at_right: int, right_end: int, shift: int, cap: int,
    out: Buckets, at: int,
) -> tuple[int, int]:  # fmt: skip
    """Merge two sorted runs of buckets. Returns (position behind the result, the shift that it needed)."""
    first = at
    low = (signed(1) << shift) - 1
    while at_left < left_end or at_right < right_end:
        if at_right == right_end or (at_left < left_end and left[0][at_left] < right[0][at_right]):
            at = _append(out, first, at, left[0][at_left], left[1][at_left], left[2][at_left], low)
            at_left += 1
        else:
            at = _append(out, first, at, right[0][at_right], right[1][at_right], right[2][at_right], low)
            at_right += 1
    return _fit(out, first, at, shift, cap)


@inlined
def _fit(out: Buckets, first: int, at: int, shift: int, cap: int) -> tuple[int, int]:
    """Raise the shift of sorted buckets until there are at most `cap`. Returns (position behind them, shift)."""
    if at - first > cap:
        shift = _enough(out[0], first, at, shift, cap)
        low = (signed(1) << shift) - 1
        end, at = at, first
        for bucket in range(first, end):
            at = _append(out, first, at, out[0][bucket], out[1][bucket], out[2][bucket], low)
    return at, shift


@inlined
def _take_out(table: Ints, used: Ints, ranks: Ints, occupied: int, out: Buckets, at: int) -> int:
    """Move the buckets out in order of their keys. Returns the position behind them."""
    keys = out[0]
    for index in range(occupied):
        keys[at + index] = table[used[index], _KEY]
    _sort(keys, at, at + occupied, ranks)
    for index in range(at, at + occupied):
        slot = _slot_of(table, keys[index])
        out[1][index] = table[slot, _COUNT]
        out[2][index] = table[slot, _OFFSET]
    for index in range(occupied):
        table[used[index], _KEY] = _EMPTY
    return at + occupied


@compiled
def number_keys_into(values: Floats, bits: Ints, rows: Ints, keys: Ints) -> None:
    """Write the keys of numbers, shape (columns, rows), in the order of `rows`; -1 for what is not finite.

    `bits` is the same memory as `values`. See `keys.number_keys`.
    """
    for column in range(len(values)):
        for at in range(len(rows)):
            row = rows[at]
            value = values[column, row]
            if not np.isfinite(value):
                keys[column, at] = -1
                continue
            word = signed(0) if value == 0.0 else bits[column, row]
            word ^= (word >> 63) & _MAGNITUDE
            word ^= _SIGN
            keys[column, at] = signed(np.uint64(word) >> _DROPPED)


@compiled
def sketch_rows(
    keys: Ints, begins: Ints, ends: Ints, places: Ints, oddities: tuple[Ints, Ints, Ints], tally: Ints,
    shifts: Ints, sizes: Ints, cap: int, table: Ints, used: Ints, ranks: Ints, out: Buckets,
) -> int:  # fmt: skip
    """Sketch each (group, cell) of rows. Returns the number of buckets.

    Args:
        keys: shape (columns, rows); negative keys are not counted. If a group has more than TINY rows and fewer than
            SORTED, its keys ascend.
        begins, ends: where the rows of each group are.
        places: what each cell of a group counts: a column of `keys`, or -1 - n for line n of `tally`.
        oddities: where each row's oddities begin, and the end of the last; the line of `tally` and the key of each.
        tally: zeros, shape (lines, ODDITY_KEYS). The first line counts the rows themselves under key 0.
        shifts: shape (groups, cells): the least shift of each cell; becomes the shift reached.
        sizes: shape (groups, cells): becomes the number of each cell's buckets.
        cap: most buckets of a cell.
        table, used, ranks: see `scratch`.
        out: room for the buckets: see `cells.from_rows`.
    """
    at = 0
    starts, lines, kinds = oddities
    for group in range(len(begins)):
        begin, end = begins[group], ends[group]
        tally[0, 0] += end - begin
        for oddity in range(starts[begin], starts[end]):
            tally[lines[oddity], kinds[oddity]] += 1
        for place in range(len(places)):
            column = places[place]
            first = at
            if column < 0:
                for kind in range(ODDITY_KEYS):
                    if tally[-1 - column, kind]:
                        at = _append(out, first, at, kind, tally[-1 - column, kind], 0, 0)
                        tally[-1 - column, kind] = 0
                sizes[group, place] = at - first
                continue
            shift = shifts[group, place]
            low = (signed(1) << shift) - 1
            if end - begin < SORTED:
                held = keys[column]
                if end - begin <= TINY:
                    _sort(held, begin, end, ranks)
                counted = begin
                while counted < end and held[counted] < 0:
                    counted += 1
                shift = _enough(held, counted, end, shift, cap)
                if shift == 0:
                    at = _count_runs(held[counted:end], out, at)
                else:
                    low = (signed(1) << shift) - 1
                    for row in range(counted, end):
                        at = _append(out, first, at, held[row], 1, 0, low)
            else:
                occupied = 0
                for row in range(begin, end):
                    key = keys[column, row]
                    if key < 0:
                        continue
                    below = key & low
                    occupied = _add(table, used, occupied, key ^ below, 1, below)
                    if occupied > cap:
                        shift, occupied = _coarsen(table, used, occupied, shift, cap)
                        low = (signed(1) << shift) - 1
                at = _take_out(table, used, ranks, occupied, out, at)
            shifts[group, place] = shift
            sizes[group, place] = at - first
    return at


@compiled
def copy_buckets(cells: Ints, starts: Ints, sizes: Ints, held: Buckets, out: Buckets) -> None:
    """Copy the buckets of these cells, one cell after another; `starts` and `sizes` are those of all cells."""
    at = 0
    for cell in cells:
        begin = starts[cell]
        for bucket in range(begin, begin + sizes[cell]):
            out[0][at], out[1][at], out[2][at] = held[0][bucket], held[1][bucket], held[2][bucket]
            at += 1


@compiled
def merge_buckets(
    order: Ints, firsts: Ints, shifts: Ints, starts: Ints, held: Buckets, cap: int,
    table: Ints, used: Ints, ranks: Ints, rooms: tuple[Buckets, Buckets],
    out_shifts: Ints, out_sizes: Ints, out: Buckets,
) -> int:  # fmt: skip
    """Merge cells of equal id. Returns the number of buckets.

    Args:
        order: the cells, those of equal id together.
        firsts: where in `order` each id begins, and the end of the last.
        shifts: of each cell.
        starts: where each cell's buckets begin, and the end of the last.
        held: all buckets.
        cap: most buckets of a cell.
        table, used, ranks: see `scratch`.
        rooms: room for the buckets of three cells, twice.
        out_shifts, out_sizes: become the shift and the size of each id's cell.
        out: room for as many buckets as are held.
    """
    at = 0
    for place in range(len(firsts) - 1):
        first, last = firsts[place], firsts[place + 1]
        cell = order[first]
        begin, end = starts[cell], starts[cell + 1]
        if last == first + 1 and end - begin <= cap:
            out_shifts[place], out_sizes[place] = shifts[cell], end - begin
            for part in range(3):
                out[part][at : at + end - begin] = held[part][begin:end]
            at += end - begin
            continue
        shift = signed(0)
        most = signed(0)
        for index in range(first, last):
            cell = order[index]
            shift = max(shift, shifts[cell])
            most = max(most, starts[cell + 1] - starts[cell])
        if 2 <= last - first <= 4 and most <= cap:  # the usual case: merging runs is faster than hashing
            right = order[first + 1]
            if last == first + 2:
                after, shift = _zip(held, begin, end, held, starts[right], starts[right + 1], shift, cap, out, at)
            else:
                one, other = rooms
                size, shift = _zip(held, begin, end, held, starts[right], starts[right + 1], shift, cap, one, 0)
                right = order[first + 2]
                if last == first + 4:
                    size, shift = _zip(one, 0, size, held, starts[right], starts[right + 1], shift, cap, other, 0)
                    one = other
                    right = order[first + 3]
                after, shift = _zip(one, 0, size, held, starts[right], starts[right + 1], shift, cap, out, at)
            out_shifts[place], out_sizes[place] = shift, after - at
            at = after
            continue
        low = (signed(1) << shift) - 1
        occupied = 0
        for index in range(first, last):
            cell = order[index]
            for bucket in range(starts[cell], starts[cell + 1]):
                key, count = held[0][bucket], held[1][bucket]
                below = key & low
                occupied = _add(table, used, occupied, key ^ below, count, held[2][bucket] + count * below)
                if occupied > cap:
                    shift, occupied = _coarsen(table, used, occupied, shift, cap)
                    low = (signed(1) << shift) - 1
        out_shifts[place], out_sizes[place] = shift, occupied
        at = _take_out(table, used, ranks, occupied, out, at)
    return at


@compiled
def take_exact(chosen: Bools, shifts: Ints, sizes: Ints, keys: Ints, found: Ints) -> int:
    """Fill in the keys of those of the chosen cells that are exact; returns how many there are."""
    end = number = 0
    for cell in range(len(sizes)):
        start, end = end, end + sizes[cell]
        if chosen[cell] and shifts[cell] == 0:
            for bucket in range(start, end):
                found[number] = keys[bucket]
                number += 1
    return number
