"""Rows in chunks: what is read back is what was there, and a checkpoint writes what is new."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.codec import pack
from driftline.errors import StateCorrupt
from driftline.labels.ledger import Ledger, LedgerColumn, squeezed
from tests.labels.stores import Stored

COLUMNS = {"id": LedgerColumn(np.int64), "score": LedgerColumn(np.float32, np.nan), "value": LedgerColumn(np.float64)}
STANDING = {"revision": LedgerColumn(np.int64, -1), "truth": LedgerColumn(np.float64, np.nan)}
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "append", "amend", "drop", "restart"]), st.integers(0, 7)), max_size=120
)


def ledger() -> Ledger:
    return Ledger("rows", COLUMNS, STANDING)


@given(STEPS)
def test_rows_are_what_they_were_after_any_restarts(steps: list[tuple[str, int]]) -> None:
    held, store, wanted, first = ledger(), Stored(), dict[int, list[float]](), 0
    for number, (step, size) in enumerate(steps):
        rows = np.array(sorted(wanted)[: 2 * size : 2], dtype=np.int64)
        if step == "append":
            values = np.arange(size) * 2**40 + number
            for value in values.tolist():
                wanted[first + len(wanted)] = [value, value / 2**41, value + 0.5, -1, float("nan")]
            held.append(size, {"id": values, "score": values / 2**41, "value": values + 0.5})
        elif step == "amend":
            held.arrays["revision"][rows - held.base] = number
            held.arrays["truth"][rows - held.base] = number / 4
            held.amend(rows)
            for row in rows.tolist():
                wanted[row][3:] = [number, number / 4]
        elif step == "drop":
            wanted = dict(list(wanted.items())[size:])
            first = min(wanted, default=held.next)
            held.drop(first)
        else:
            state = store.take(*held.checkpoint())
            assert set(store.blobs) == set(state.blobs)
            held = ledger()
            held.restore(state, store.blobs)
        assert len(held) == len(wanted)
        for at, name in enumerate(["id", "score", "value", "revision", "truth"]):
            expected = np.array([values[at] for values in wanted.values()], dtype=held.arrays[name].dtype)
            np.testing.assert_array_equal(held.column(name), expected)


def test_a_checkpoint_writes_what_is_new() -> None:
    held, store = ledger(), Stored()
    ids = np.random.default_rng(1).integers(0, 2**62, 100_000)
    held.append(len(ids), {"id": ids})
    store.take(*held.checkpoint())
    held.append(10, {"id": ids[:10]})
    held.amend(np.arange(500, 510))
    _, writes = held.checkpoint()
    assert sum(len(blob) for blob in writes.values() if blob is not None) < 1_500


def test_chunks_stay_few() -> None:
    held, store = ledger(), Stored()
    for number in range(1_000):
        held.append(1, {"id": np.array([number])})
        held.amend(np.array([number]))
        state = store.take(*held.checkpoint())
    assert len(state.rows) < 16
    assert len(state.amended) < 16


@pytest.mark.parametrize(
    "change",
    [{"next": 25}, {"first": 15}, {"rows": []}],
    ids=["rows that are in no chunk", "what was amended is older", "no chunk"],
)
def test_state_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    held, store = ledger(), Stored()
    held.append(10, {"id": np.arange(10)})
    store.take(*held.checkpoint())
    held.append(10, {"id": np.arange(10)})
    state = store.take(*held.checkpoint())
    for name, value in change.items():
        setattr(state, name, value)
    if "first" in change:
        state.rows.pop()
    with pytest.raises(StateCorrupt, match="in no chunk"):
        ledger().restore(state, store.blobs)


def test_a_chunk_of_other_rows_is_refused() -> None:
    held, store = ledger(), Stored()
    held.append(10, {"id": np.arange(10)})
    state = store.take(*held.checkpoint())
    low, arrays = squeezed({"id": np.arange(9)})
    with pytest.raises(StateCorrupt, match="has 9 rows"):
        ledger().restore(state, {state.rows[0].name: pack("ledger", 1, low, arrays)})
