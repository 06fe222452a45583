"""Each kind of incident is told in words, and the checks of a window share what the budget gives them."""

from driftline.incidents.incident import Kind
from driftline.incidents.wordings import WORDINGS
from driftline.tasks.checks.listed import CHECKS


def test_every_kind_has_words() -> None:
    assert set(WORDINGS) == set(Kind)


def test_a_check_ends_with_signals_that_are_back_and_says_what_is_back() -> None:
    assert [check.kind for check in CHECKS if not WORDINGS[check.kind].back] == []
    assert len({check.kind for check in CHECKS}) == len(CHECKS)
