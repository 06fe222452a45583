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


@pytest.mark.parametrize("name", Tally.__slots__)
def test_state_with_a_column_missing_is_corrupt(name: str) -> None:
    tally = _binary(1)(np.arange(200), 1)
    arrays = {each: getattr(tally, each) for each in Tally.__slots__ if each != name}
    with pytest.raises(StateCorrupt):
        unpacked(codec.pack(KIND, VERSION, None, arrays))


@pytest.mark.parametrize("rows", [[1, 0], [0, 0]])
def test_state_whose_rows_are_out_of_order_is_corrupt(rows: list[int]) -> None:
    tally = _binary(1)(np.arange(200), 1)
    mixed = Tally(*(getattr(tally, each)[rows] for each in Tally.__slots__))
    with pytest.raises(StateCorrupt):
        unpacked(mixed.packed())


@pytest.mark.parametrize("weight", [0.0, -1.0, 300.0, float("nan"), float("inf")])
def test_weights_that_cannot_be_counted_are_refused(weight: float) -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="a weight is between 1/256 and 256"):
        classified(one, one, one, np.array([0.5]), weights=np.array([weight]))
