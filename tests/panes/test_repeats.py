"""Repeated events: of the ids with the least hashes every occurrence is counted, whatever the order and the batches."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.errors import StateCorrupt
from driftline.panes import repeats
from driftline.panes.repeats import SAMPLE, IdSample, Repeats, sampled
from driftline.sketches.group import ROLES, SignalRole
from driftline.sketches.keys import Ints, key_numbers

STEP = 1 << 14
SLOT = 5
Events = list[tuple[int, int]]
"""Handle and id; a negative id is none."""


def naive(events: Events) -> dict[int, tuple[int, int]]:
    """Return for each group how many of the sampled events are the first of their id, and how many are not."""
    seen: dict[int, Counter[int]] = defaultdict(Counter)
    for handle, number in events:
        if number >= 0:
            seen[handle][number] += 1
    kept = {handle: [ids[least] for least in sorted(ids)[:SAMPLE]] for handle, ids in seen.items()}
    return {handle: (len(counts), sum(counts) - len(counts)) for handle, counts in kept.items()}


def add(to: Repeats, events: Events) -> None:
    handles = np.array(sorted({handle for handle, _ in events}), dtype=np.int64)
    ranks = np.searchsorted(handles, [handle for handle, _ in events])
    to.add(handles, ranks, np.array([number for _, number in events], dtype=np.int64))


def closed(of: Repeats, handles: set[int]) -> dict[int, tuple[int, int]]:
    cells = of.close(dict.fromkeys(handles, SLOT), STEP)
    found: dict[int, list[int]] = {}
    cell = np.repeat(cells.ids, cells.sizes).tolist()
    for at, value, count in zip(cell, key_numbers(cells.keys).tolist(), cells.counts.tolist(), strict=True):
        assert at % STEP == SLOT * ROLES + SignalRole.NUMBERS
        found.setdefault(at // STEP, [0, 0])[int(value)] += count
    return {handle: (first, again) for handle, (first, again) in found.items()}


ids = st.one_of(st.integers(-1, 3), st.integers(0, 2**63 - 1), st.integers(0, 600).map(lambda k: k << 50))
batches = st.lists(st.lists(st.tuples(st.integers(1, 3), ids), min_size=1, max_size=40), min_size=1, max_size=12)
whole = st.integers(0, 2**32).map(
    lambda seed: [(1, int(n)) for n in np.random.default_rng(seed).integers(0, 2_000, 3_000) << 40]
)


@given(st.one_of(batches, whole.map(lambda events: [events, events[:900]])), st.integers(0, 12), st.randoms())
def test_the_sample_is_what_a_plain_count_of_all_ids_gives(parts: list[Events], cut: int, chance: object) -> None:
    """Some batches, a checkpoint, a restart from it, and more batches; in another order it is the same."""
    held, arrays = Repeats(), {}
    for at, part in enumerate(parts):
        add(held, part)
        if at == cut:
            arrays = held.store("cells/0", [])
    events = [event for part in parts for event in part]
    handles = {handle for handle, _ in events}
    assert closed(held, handles) == naive(events)
    again = Repeats()
    again.restore("cells/0", arrays, np.array(sorted(handles), dtype=np.int64))
    for at, part in enumerate(parts):
        if at > cut or cut >= len(parts):
            add(again, part)
    assert closed(again, handles) == naive(events)
    chance.shuffle(events)  # type: ignore[attr-defined]
    singly = Repeats()
    for event in events[:200]:
        add(singly, [event])
    if events[200:]:
        add(singly, events[200:])
    assert closed(singly, handles) == naive(events)


@given(batches, st.integers(1, 5))
def test_chunks_that_are_merged_say_the_same(parts: list[Events], every: int) -> None:
    held = Repeats()
    names: list[str] = []
    for at, part in enumerate(parts):
        add(held, part)
        joining = names if at % every == every - 1 else []
        held.store(f"cells/{at}", joining)
        names = [*(name for name in names if name not in joining), f"cells/{at}"]
    events = [event for part in parts for event in part]
    some = {handle for handle, _ in events if handle < 3}
    assert closed(held, some) == naive([event for event in events if event[0] in some])
    rest = {handle for handle, _ in events} - some
    assert closed(held, rest) == naive([event for event in events if event[0] in rest])
    assert closed(held, some) == {}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=40))
def test_merging_is_exact_in_any_order(rows: list[tuple[int, int, int]]) -> None:
    singly = [IdSample(*(np.array([value], dtype=np.int64) for value in row)) for row in rows]
    left = sampled([*singly[: len(rows) // 2], sampled(singly[len(rows) // 2 :])])
    right = sampled(reversed(singly))
    for name in ("handles", "ids", "counts"):
        assert np.array_equal(getattr(left, name), getattr(right, name))


def test_a_busy_pane_costs_no_more_than_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "PENDING", 1_000)
    chance = np.random.default_rng(3)
    held = Repeats()
    one, ranks = np.array([4], dtype=np.int64), np.zeros(5_000, dtype=np.int64)
    sizes = []
    for _ in range(60):
        held.add(one, ranks, chance.integers(0, 2**62, 5_000))
        sizes.append(held._pending_ids)
    assert max(sizes) <= 2_000
    assert sizes[-1] - sizes[-2] < 50, "of 300,000 ids 256 are kept: another batch has hardly any that is less"
    assert len(held.store("cells/0", [])["ids"]) == SAMPLE


def ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    "arrays",
    [
        {"ids": ints(1)},
        {"id_handles": ints(1), "ids": ints(1, 2), "id_counts": ints(1)},
        {"id_handles": ints(1), "ids": ints(-1), "id_counts": ints(1)},
        {"id_handles": ints(1), "ids": ints(1), "id_counts": ints(0)},
        {"id_handles": ints(1), "ids": ints(1), "id_counts": ints(2**60)},
        {"id_handles": np.ones(1), "ids": ints(1), "id_counts": ints(1)},
    ],
)
def test_a_sample_that_contradicts_itself_is_refused(arrays: dict[str, Ints]) -> None:
    with pytest.raises(StateCorrupt, match="sample of event ids"):
        Repeats().restore("cells/0", arrays, ints(1))
