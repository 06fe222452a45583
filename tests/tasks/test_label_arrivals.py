"""Labels as they come: what is learned to be usual, what is told, and what is kept while nobody knows yet."""

from collections.abc import Callable
from itertools import accumulate, cycle, islice

import pytest

from driftline.incidents.incident import Incident, Status
from driftline.performance.names import MAX_WINDOWS
from driftline.tasks.outcomes.label_arrivals import LabelArrivals
from tests.tasks.outcomes import DAY, rules

Arrives = Callable[[int], int | None]
"""From the day of predictions to the day when their labels come; None: never."""


def told(arrives: Arrives, days: int, *, awaited: int = 45, stray: int = 0) -> list[tuple[Status, int]]:
    """Return what is told, and on which day, of a model with 500 predictions a day, which all get a label at once.

    `stray`: so many labels come on the third day, as somebody tries out how to send them.
    """
    arrivals, held = LabelArrivals(), rules(awaited=awaited * DAY)
    due: dict[int, list[int]] = {}
    found: list[tuple[Status, int]] = []
    for day in range(days):
        if (at := arrives(day)) is not None and at - day <= awaited:
            due.setdefault(max(at, day), []).append(day)
        arrivals.take(day * DAY, (day + 1) * DAY, 500, 0)
        for start in due.get(day, []):
            arrivals.take(start * DAY, (day + 1) * DAY, 0, 500)
        if day == 2 and stray:
            arrivals.take(day * DAY, (day + 1) * DAY, 0, stray)
        changed: list[Incident] = arrivals.close("churn", held, day * DAY)
        found += [(each.status, day) for each in changed]
    return found


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize(
    ("backfilled", "stray"), [(False, 0), (False, 3), (False, 40), (False, 200), (True, 0), (True, 3), (True, 40)]
)
def test_labels_that_begin_long_after_predictions_and_then_stop_are_told_and_so_is_their_return(
    delay: int, stray: int, *, backfilled: bool
) -> None:
    def arrives(day: int) -> int | None:
        if day < 30 and not backfilled:
            return None
        return None if 80 <= day < 90 else max(day + delay, 30)

    (fired, stopped), (over, back) = told(arrives, 120, stray=stray)
    assert (fired, over) == (Status.FIRING, Status.RESOLVED)
    assert 81 + delay <= stopped <= 84 + delay
    assert 90 + delay < back <= 93 + delay


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("made_up_for", [True, False])
def test_an_outage_while_it_is_learned_what_is_usual_does_not_become_usual(delay: int, *, made_up_for: bool) -> None:
    def arrives(day: int) -> int | None:
        if 3 <= day + delay < 6:
            return 6 if made_up_for else None
        return None if day >= 60 else day + delay

    ((status, day),) = told(arrives, 80)
    assert status is Status.FIRING
    assert 60 < day <= 64 + delay


def test_weeks_in_which_labels_come_on_five_days_are_usual() -> None:
    assert told(lambda day: day + 1 + max(0, 2 - (day + 1) % 7), 120) == []


MONTHS = (31, 28, 33, 28, 31, 30, 33, 29)
"""Days from one delivery to the next: months are not alike, and some begin with a weekend."""


def delivered(day: int, last: int = 10**6) -> int | None:
    """Return the day of the next delivery of labels; None after the last one."""
    deliveries = accumulate(islice(cycle(MONTHS), 20))
    return next((each for each in deliveries if day < each <= last), None)


@pytest.mark.parametrize("silent", [0, 59], ids=["from the beginning", "two months later"])
def test_a_delivery_of_labels_once_a_month_is_usual_and_is_told_where_it_is_missing(silent: int) -> None:
    assert told(lambda day: delivered(day) if day >= silent else None, 300) == []
    ((status, day),) = told(lambda day: delivered(day, last=214) if day >= silent else None, 300)
    assert status is Status.FIRING
    assert 214 + 30 < day <= 214 + 40


def test_labels_that_never_came_are_not_missed() -> None:
    assert told(lambda day: None, 100) == []


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
        came = 500 if day % 20 == 0 else 5
        arrivals.take(day * DAY, (day + 1) * DAY, came, came)
        arrivals.close("churn", held, day * DAY)
    assert arrivals.usual
