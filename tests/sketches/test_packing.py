"""Sketches come back from their narrow arrays as they went, and arrays that cannot be sketches are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.codec import Array, pack, unpack
from driftline.errors import StateCorrupt
from driftline.sketches.cell_classes import PLAIN
from driftline.sketches.cells import Cells, from_buckets
from driftline.sketches.keys import KEY_BITS, number_keys
from driftline.sketches.packing import pack_cells, unpack_cells

NUMBERS = st.floats(-1e9, 1e9).map(lambda number: int(number_keys(np.array([number]))[0]))
KEYS = st.one_of(st.integers(0, 40), st.integers(0, 1 << 20), NUMBERS, st.integers(0, (1 << KEY_BITS) - 2))
CELL = st.lists(KEYS, min_size=1, max_size=60)


def sketched(cells: list[list[int]], cap: int) -> Cells:
    """Return the sketches of cells, each given by the keys of its values."""
    cell = np.repeat(np.arange(len(cells)), [len(keys) for keys in cells])
    keys = np.array([key for held in cells for key in held], dtype=np.int64)
    ids = 3 * np.arange(len(cells))
    return from_buckets(ids, np.zeros_like(ids), cell, keys, np.ones_like(keys), np.zeros_like(keys), cap)


def through_the_codec(arrays: dict[str, Array]) -> dict[str, Array]:
    return unpack(pack("cells", 1, None, arrays), "cells", (1,)).arrays


@given(cells=st.lists(CELL, max_size=8), cap=st.sampled_from([1, 7, 256]))
def test_cells_come_back(cells: list[list[int]], cap: int) -> None:
    packed = sketched(cells, cap)
    again = unpack_cells(through_the_codec(pack_cells(packed)))
    for name in Cells.__slots__:
        assert np.array_equal(getattr(again, name), getattr(packed, name)), name


def plain() -> dict[str, Array]:
    """Return the arrays of a cell of five numbers, of which one is there three times."""
    keys = number_keys(np.array([0.1, 0.7, 0.7, 0.7, 1.3, 2.9, 1e6]))
    arrays = through_the_codec(pack_cells(sketched([keys.tolist()], 256)))
    assert {name[-1] for name in arrays} == {str(PLAIN)}
    return arrays


def test_numbers_of_a_small_group_take_five_bytes() -> None:
    arrays = plain()
    assert arrays[f"keys{PLAIN}"].dtype == np.uint32
    assert arrays[f"high{PLAIN}"].dtype == np.uint8
    assert (arrays[f"places{PLAIN}"].tolist(), arrays[f"repeats{PLAIN}"].tolist()) == ([1], [2])


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("places", np.array([5])),
        ("places", np.array([-1])),
        ("places", np.array([1, 1])),
        ("places", np.array([1.0])),
        ("repeats", np.array([0])),
        ("repeats", np.array([1, 1])),
        ("high", np.zeros(4, dtype=np.uint8)),
        ("high", np.zeros(5, dtype=np.int64)),
        ("high", np.full(5, 255, dtype=np.uint8)),
        ("keys", np.zeros(5)),
        ("sizes", np.array([6])),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(name: str, array: Array) -> None:
    with pytest.raises(StateCorrupt):
        unpack_cells({**plain(), f"{name}{PLAIN}": array})


@pytest.mark.parametrize("name", ["shifts", "sizes", "keys", "places", "repeats"])
def test_an_array_that_is_missing_is_named(name: str) -> None:
    arrays = plain()
    del arrays[f"{name}{PLAIN}"]
    with pytest.raises(StateCorrupt, match=f"{name}{PLAIN}.* is missing"):
        unpack_cells(arrays)
