"""A sketch is a function of the set of values: any order, batching or tree of merges gives the same arrays."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.sketches.buckets import SORTED, TINY
from driftline.sketches.cells import CAP, Cells, empty, from_buckets, from_rows, merge
from driftline.sketches.keys import KEY_BITS, Ints, category_key, key_numbers, number_keys

finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(st.integers(0, 3), finite), min_size=1, max_size=400)


def sketch(pairs: list[tuple[int, float]], cap: int = CAP) -> Cells:
    ids, position = np.unique(np.array([cell for cell, _ in pairs], dtype=np.int64), return_inverse=True)
    keys = number_keys(np.array([value for _, value in pairs], dtype=np.float64))
    return from_buckets(ids, np.zeros_like(ids), position, keys, np.ones_like(keys), np.zeros_like(keys), cap)


def same(left: Cells, right: Cells) -> bool:
    names = ("ids", "shifts", "sizes", "keys", "counts", "offsets")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


def naive(pairs: list[tuple[int, float]], cap: int) -> dict[int, tuple[int, dict[int, int], dict[int, int]]]:
    """One cell after the other, one shift after the other, in plain Python."""
    cells: dict[int, list[int]] = {}
    for cell, value in pairs:
        cells.setdefault(cell, []).append(int(number_keys(np.array([value]))[0]))
    result = {}
    for cell, keys in cells.items():
        shift = 0
        while len({key >> shift for key in keys}) > cap:
            shift += 1
        counts = Counter((key >> shift) << shift for key in keys)
        offsets: Counter[int] = Counter()
        for key in keys:
            offsets[(key >> shift) << shift] += key - ((key >> shift) << shift)
        result[cell] = (shift, dict(counts), {bucket: offsets[bucket] for bucket in counts})
    return result


@given(rows, st.integers(2, 20))
def test_equals_the_naive_definition(pairs: list[tuple[int, float]], cap: int) -> None:
    got, want = sketch(pairs, cap), naive(pairs, cap)
    assert list(got.ids) == sorted(want)
    bounds = got.bounds
    for index, cell in enumerate(got.ids.tolist()):
        part = slice(bounds[index], bounds[index + 1])
        shift, counts, offsets = want[cell]
        assert got.shifts[index] == shift
        assert dict(zip(got.keys[part].tolist(), got.counts[part].tolist(), strict=True)) == counts
        assert dict(zip(got.keys[part].tolist(), got.offsets[part].tolist(), strict=True)) == offsets
        assert (np.diff(got.keys[part]) > 0).all()


@given(rows, st.randoms(use_true_random=False), st.integers(2, 20), st.integers(1, 7))
def test_any_order_batching_and_merge_tree_give_the_same_sketch(
    pairs: list[tuple[int, float]], random: object, cap: int, pieces: int
) -> None:
    whole = sketch(pairs, cap)
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    size = max(1, len(shuffled) // pieces)
    parts = [sketch(shuffled[at : at + size], cap) for at in range(0, len(shuffled), size)]
    assert same(merge(parts, cap), whole)
    while len(parts) > 1:
        left, right = parts.pop(0), parts.pop(0)
        parts.append(merge([left, right], cap))
    assert same(parts[0], whole)


@given(rows, st.integers(2, 20))
def test_a_known_lower_bound_of_the_shift_changes_nothing(pairs: list[tuple[int, float]], cap: int) -> None:
    whole = sketch(pairs, cap)
    half = sketch(pairs[: len(pairs) // 2 + 1], cap)
    known: dict[int, int] = dict(zip(half.ids.tolist(), half.shifts.tolist(), strict=True))
    rest = pairs[len(pairs) // 2 + 1 :]
    if rest:
        ids, position = np.unique(np.array([cell for cell, _ in rest], dtype=np.int64), return_inverse=True)
        keys = number_keys(np.array([value for _, value in rest], dtype=np.float64))
        shifts = np.array([known.get(cell, 0) for cell in ids.tolist()], dtype=np.int64)
        counted = from_buckets(ids, shifts, position, keys, np.ones_like(keys), np.zeros_like(keys), cap)
        half = merge([half, counted], cap)
    assert same(half, whole)


@given(rows)
def test_renaming_merges_cells_that_get_the_same_id(pairs: list[tuple[int, float]]) -> None:
    cells = sketch(pairs)
    assert same(cells.renamed(np.zeros(len(cells), dtype=np.int64)), sketch([(0, value) for _, value in pairs]))
    assert same(cells.renamed(10 - cells.ids), sketch([(10 - cell, value) for cell, value in pairs]))


@given(st.lists(finite, min_size=1, max_size=50))
def test_keys_keep_the_order_and_28_bits(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    keys = number_keys(ordered)
    assert (np.diff(keys) >= 0).all()
    near = key_numbers(keys)
    assert (np.abs(near) <= np.abs(ordered)).all()
    assert (number_keys(near) == keys).all()
    normal = np.abs(ordered) > 1e-300
    assert np.allclose(near[normal], ordered[normal], rtol=2.0**-28, atol=0)


@pytest.mark.parametrize("size", [1, TINY, TINY + 1, CAP, CAP + 1, SORTED - 1, SORTED, SORTED + 1])
@pytest.mark.parametrize("known", [0, 7])
def test_rows_are_counted_alike_whether_sorted_or_hashed(size: int, known: int) -> None:
    random = np.random.default_rng(size)
    columns = (
        random.normal(size=(3, size)),
        random.integers(0, 2, (1, size)) / 3,
        np.exp(random.normal(0, 9, (1, size))),
    )
    keys: Ints = np.ascontiguousarray(np.vstack([number_keys(row) for part in columns for row in part]))
    keys[:, random.random(size) < 0.1] = -1
    ids = np.arange(len(keys) + 1)
    cell, row = np.nonzero(keys >= 0)
    held = np.concatenate([np.zeros(size, dtype=np.int64), keys[cell, row]])
    ones, none = np.ones_like(held), np.zeros(0, dtype=np.int64)
    shifts = np.full(len(ids), known if size > CAP else 0)
    shifts[[0, 4]] = 0  # of few values

    want = from_buckets(
        ids, shifts, np.concatenate([np.zeros(size, dtype=np.int64), 1 + cell]), held, ones, np.zeros_like(held)
    )
    got = from_rows(
        ids[None], shifts[None], ids - 1, keys, np.array([0]), np.array([size]),
        (np.zeros(size + 1, dtype=np.int64), none, none),
    )  # fmt: skip

    assert same(got, want)


def test_means_are_exact_to_the_keys_resolution() -> None:
    random = np.random.default_rng(3)
    for values in (random.normal(0, 1, 20_000), random.normal(290, 5, 20_000), random.lognormal(3, 1, 20_000)):
        cells = sketch([(0, value) for value in values.tolist()])
        assert len(cells.keys) <= CAP
        mean = float((cells.means() * cells.counts).sum() / cells.totals()[0])
        assert mean == pytest.approx(float(values.mean()), rel=1e-7, abs=1e-7)


def test_small_integers_and_a_stray_value_stay_exact() -> None:
    values = [float(k % 100) for k in range(10_000)] + [1e9]
    cells = sketch([(0, value) for value in values])
    assert cells.shifts[0] == 0
    assert key_numbers(cells.keys).tolist() == [*map(float, range(100)), 1e9]


def test_categories_above_the_cap_become_hash_prefixes() -> None:
    keys: Ints = np.array([category_key(f"city-{k}") for k in range(5_000)], dtype=np.int64)
    zero = np.zeros(1, dtype=np.int64)
    cells = from_buckets(zero, zero, np.zeros(5_000, dtype=np.int64), keys, np.ones_like(keys), np.zeros_like(keys))
    assert len(cells.keys) <= CAP
    assert cells.totals().tolist() == [5_000]
    assert cells.shifts[0] >= KEY_BITS - math.log2(CAP) - 1


def test_a_cap_beyond_the_tables_room_is_refused() -> None:
    for cap in (0, CAP + 1):
        with pytest.raises(ValueError, match="between 1 and"):
            merge([], cap)


def test_nothing_merges_to_nothing() -> None:
    assert len(merge([])) == len(empty()) == 0
    assert empty().totals().tolist() == []
