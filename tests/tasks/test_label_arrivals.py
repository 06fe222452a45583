"""Labels as they come: what is kept while nobody knows yet what is usual."""

import pytest

from driftline.performance.names import MAX_WINDOWS
from driftline.tasks.label_arrivals import LabelArrivals
from tests.tasks.outcomes import DAY, rules


@pytest.mark.parametrize("predictions", [5, 500], ids=["too few predictions", "no labels"])
def test_what_is_kept_is_bounded_while_nothing_can_be_learned(predictions: int) -> None:
    arrivals, held = LabelArrivals(), rules()
    for day in range(3 * MAX_WINDOWS):
        arrivals.take(day * DAY, (day + 1) * DAY, predictions, 0)
        assert arrivals.close("churn", held, day * DAY) == []
    assert not arrivals.usual
    assert len(arrivals.cohorts) == MAX_WINDOWS
    assert max(len(cohort.by_age) for cohort in arrivals.cohorts.values()) <= MAX_WINDOWS + 1


def test_what_is_usual_is_learned_of_windows_that_are_far_apart() -> None:
    arrivals, held = LabelArrivals(), rules()
    for day in range(3 * MAX_WINDOWS):
        arrivals.take(day * DAY, (day + 1) * DAY, 500 if day % 20 == 0 else 5, 5)
        arrivals.close("churn", held, day * DAY)
    assert arrivals.usual
