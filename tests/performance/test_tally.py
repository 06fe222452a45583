"""A tally is a function of the multiset of outcomes: of what was added, less what was taken away."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline import codec
from driftline.errors import StateCorrupt
from driftline.performance.outcomes import WAITING, classified, labelled, regressed, waiting
from driftline.performance.tally import KIND, VERSION, Tally, empty, merged, unpacked
from driftline.sketches.keys import Bools, Ints
from tests.performance.drawn import draw, seeds

Rows = Ints | Bools
Counting = Callable[[Rows, int], Tally]


def _binary(seed: int) -> Counting:
    rows = draw(seed, 200, groups=3)
    truths = np.where(np.arange(200) % 5 == 0, WAITING, rows.truths)

    def count(chosen: Rows, sign: int) -> Tally:
        signs = np.full(len(rows.groups[chosen]), sign)
        columns = (rows.groups[chosen], rows.predicted[chosen], truths[chosen], rows.scores[chosen])
        return classified(*columns, weights=rows.weights[chosen], signs=signs)

    return count


def _many(seed: int) -> Counting:
    rows = draw(seed, 200, classes=4, groups=3)

    def count(chosen: Rows, sign: int) -> Tally:
        signs = np.full(len(rows.groups[chosen]), sign)
        return classified(
            rows.groups[chosen], rows.predicted[chosen], rows.truths[chosen], rows.scores[chosen], signs=signs
        )

    return count


def _numbers(seed: int) -> Counting:
    rng = np.random.default_rng(seed)
    groups, predicted, weights = rng.integers(0, 3, 200), rng.normal(5, 100, 200), rng.integers(1, 2000, 200) / 256
    truths = np.where(np.arange(200) % 5 == 0, np.nan, predicted + rng.standard_cauchy(200))

    def count(chosen: Rows, sign: int) -> Tally:
        signs = np.full(len(groups[chosen]), sign)
        return regressed(groups[chosen], predicted[chosen], truths[chosen], weights=weights[chosen], signs=signs)

    return count


KINDS = [_binary, _many, _numbers]
kinds = st.sampled_from(KINDS)


def _same(one: Tally, other: Tally) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Tally.__slots__)


@given(kinds, seeds, st.randoms(use_true_random=False))
def test_any_order_batching_and_tree_of_merges_is_alike(
    kind: Callable[[int], Counting], seed: int, chance: Random
) -> None:
    count = kind(seed)
    rows = list(range(200))
    chance.shuffle(rows)
    cuts = sorted(chance.sample(range(200), chance.randint(0, 6)))
    parts = [
        count(np.array(rows[low:high], dtype=np.int64), 1) for low, high in zip([0, *cuts], [*cuts, 200], strict=True)
    ]
    while len(parts) > 1:
        parts.append(parts.pop(chance.randrange(len(parts))) + parts.pop(chance.randrange(len(parts))))
    assert _same(parts[0], count(np.arange(200), 1))


@given(kinds, seeds)
def test_what_is_taken_away_leaves_no_trace(kind: Callable[[int], Counting], seed: int) -> None:
    count, even = kind(seed), np.arange(200) % 2 == 0
    assert _same(merged([count(np.arange(200), 1), count(~even, -1)]), count(even, 1))
    assert _same(count(np.arange(200), 1) - count(~even, 1), count(even, 1))
    assert _same(count(even, -1) + count(even, 1), empty())


@given(kinds, seeds)
def test_a_correction_may_come_before_what_it_corrects(kind: Callable[[int], Counting], seed: int) -> None:
    count, even = kind(seed), np.arange(200) % 2 == 0
    early = count(~even, -1)
    assert _same(unpacked(early.packed()) + count(np.arange(200), 1), count(even, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_outcomes_and_what_waits_are_counted_once(kind: Callable[[int], Counting]) -> None:
    tally = kind(1)(np.arange(200), 1)
    waits = 0 if kind is _many else 40
    assert int(labelled(tally, 3).sum()) == 200 - waits
    assert int(waiting(tally, 3).sum()) == waits


@pytest.mark.parametrize("kind", KINDS)
def test_groups_may_be_put_together(kind: Callable[[int], Counting]) -> None:
    tally = kind(1)(np.arange(200), 1)
    together = tally.regrouped(np.array([0, 1, 0]))
    assert labelled(together, 2).tolist() == [labelled(tally, 3)[[0, 2]].sum(), labelled(tally, 3)[1]]


@given(kinds, seeds)
def test_state_comes_back_as_it_was(kind: Callable[[int], Counting], seed: int) -> None:
    tally = kind(seed)(np.arange(200), 1)
    assert _same(unpacked(tally.packed()), tally)


def _read(tally: Tally) -> codec.Unpacked:
    return codec.unpack(tally.packed(), KIND, (VERSION,))


@pytest.mark.parametrize("name", list(_read(empty()).arrays))
def test_state_with_a_column_missing_is_corrupt(name: str) -> None:
    read = _read(_binary(1)(np.arange(200), 1))
    arrays = {each: column for each, column in read.arrays.items() if each != name}
    with pytest.raises(StateCorrupt):
        unpacked(codec.pack(KIND, VERSION, read.value, arrays))


@pytest.mark.parametrize(
    ("name", "value"), [("cell", 9_999), ("cell", -1), ("groups", -1), ("groups", 9), ("low", -(2**25)), ("low", 2**60)]
)
def test_state_whose_rows_cannot_be_is_corrupt(name: str, value: int) -> None:
    read = _read(_binary(1)(np.arange(200), 1))
    read.arrays[name][3] = value
    with pytest.raises(StateCorrupt):
        unpacked(codec.pack(KIND, VERSION, read.value, read.arrays))


@pytest.mark.parametrize("unit", [0, -1, None, "256"])
def test_state_of_no_unit_is_corrupt(unit: object) -> None:
    with pytest.raises(StateCorrupt):
        unpacked(codec.pack(KIND, VERSION, unit, _read(_binary(1)(np.arange(200), 1)).arrays))


def test_an_outcome_takes_few_bytes() -> None:
    rows = draw(1, 10_000)
    tally = classified(rows.groups, rows.predicted, rows.truths, rows.scores)
    assert len(tally.packed()) < 16 * len(tally) < 12_000


@pytest.mark.parametrize("weight", [0.0, -1.0, 300.0, float("nan"), float("inf")])
def test_weights_that_cannot_be_counted_are_refused(weight: float) -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="a weight must be between 1/256 and 256"):
        classified(one, one, one, np.array([0.5]), weights=np.array([weight]))
