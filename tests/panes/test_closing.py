"""Records of the panes topic stay below what Kafka allows by default, whatever is counted."""

import numpy as np
import pytest

from driftline.panes.closing import pane_records
from driftline.panes.groups import Naming, OpenGroup
from driftline.panes.records import GROUP_STEP, Pane
from driftline.sketches.cells import CAP, Cells, from_buckets, merge
from driftline.sketches.group import EVENTS, ROLES, SignalRole
from driftline.sketches.keys import number_keys

KAFKA_ALLOWS = 1_048_588
SIGNALS, SEGMENTS = 40, 60
PANE = Pane(0, 1, 0, "m", 0, 60_000)
RANDOM = np.random.default_rng(5)


def cells(role: SignalRole, keys: list[int], count: int) -> Cells:
    """Return the cells of each signal of each segment, all with these keys, each key so many times."""
    ids = np.array(
        [group * GROUP_STEP + (1 + slot) * ROLES + role for group in range(SEGMENTS) for slot in range(SIGNALS)]
    )
    cell = np.repeat(np.arange(len(ids)), len(keys))
    every = np.tile(np.array(keys, dtype=np.int64), len(ids))
    counts = np.full(len(every), count, dtype=np.int64)
    return from_buckets(ids, np.zeros_like(ids), cell, every, counts, np.zeros_like(every))


def numbers(size: int) -> list[int]:
    keys: list[int] = np.unique(number_keys(RANDOM.normal(0, 1e6, size))).tolist()
    return keys


COARSE = cells(SignalRole.NUMBERS, numbers(5_000), 10**9)
EXACT = cells(SignalRole.NUMBERS, numbers(CAP), 1)
REPEATED = cells(SignalRole.NUMBERS, numbers(CAP), 10**9)
STRINGS = cells(SignalRole.STRINGS, RANDOM.integers(0, 1 << 40, CAP).tolist(), 10**9)


@pytest.mark.parametrize(
    "held",
    [COARSE, EXACT, REPEATED, STRINGS, merge([REPEATED, STRINGS])],
    ids=["coarse", "exact", "repeated", "named", "both"],
)
def test_no_record_is_larger_than_kafka_allows(held: Cells) -> None:
    signals = [EVENTS, *(f"features.f{number:03}" for number in range(SIGNALS))]
    naming = Naming(signals, ["1"], [f"tenant={number:02}" for number in range(SEGMENTS)], ("tenant",))
    groups = [OpenGroup(number, "m", 0, 60_000, 0, number) for number in range(SEGMENTS)]
    names = {key: "\N{GRINNING FACE}" * 20 + f"{key:013}" for key in np.unique(STRINGS.keys).tolist()}
    records = pane_records(PANE, naming, groups, held, [], names)
    sizes = [len(record.encode()) for record in records]
    assert max(sizes) < KAFKA_ALLOWS
    assert len(sizes) == 1 or min(sizes[:-1]) > KAFKA_ALLOWS / 32, sizes
    assert sum(len(record.cells) for record in records) == len(held)
