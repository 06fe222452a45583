"""However a model is watched, the parts of its false-alarm budget never add up to more than the budget."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.incidents.budget import AlarmBudget
from driftline.tasks.checks.listed import CHECKS
from driftline.tasks.watching import volume

DAY = 86_400_000
SHARES = [volume.SHARE, *(check.share for check in CHECKS)]
budgets = st.builds(AlarmBudget, st.floats(0.01, 100), st.integers(60_000, 400 * DAY), with_labels=st.booleans())


@given(budgets, st.integers(1, 6), st.integers(0, 300), st.booleans())
def test_the_parts_add_up_to_at_most_the_budget(
    budget: AlarmBudget, sizes: int, segments: int, segmented: bool
) -> None:
    ranks = [None, *range(1, segments + 1)] if segmented else [None]
    total = sum(
        budget.allowance(share, sizes=sizes, segment_rank=rank, segmented=segmented)
        for share in SHARES
        for rank in ranks
        for _ in range(sizes)
    )
    total += sum(budget.outcomes.allowance(1.0, sizes=1, segment_rank=rank, segmented=segmented) for rank in ranks)
    assert total <= budget.count * (1 + 1e-9)
    if not segmented:
        assert total == pytest.approx(budget.count)


@given(budgets, st.sampled_from(SHARES), st.integers(60_000, DAY))
def test_a_threshold_pays_for_its_part(budget: AlarmBudget, share: float, size_ms: int) -> None:
    """An e-value reaches c at most once in c windows: so many windows a period, over c, is what it costs."""
    allowance = budget.allowance(share, sizes=2, segment_rank=None, segmented=True)
    threshold = math.exp(budget.log_threshold(allowance, size_ms))
    windows = budget.period_ms / size_ms
    assert windows / threshold <= max(allowance, windows) * (1 + 1e-9)
    if windows >= allowance:
        assert windows / threshold == pytest.approx(allowance)


def test_the_shares_are_all_there_is() -> None:
    assert sum(SHARES) == pytest.approx(1.0)
