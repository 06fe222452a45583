"""Each outage for a few seconds; `make stress` makes them last."""

from pathlib import Path

import pytest

from tests.chaos.stress import OUTAGES, stress

LASTS_S = 12.0
"""Longer than a session, and than a producer is waited for at once."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", OUTAGES)
def test_a_worker_pauses_says_why_goes_on_and_loses_nothing(name: str, tmp_path: Path) -> None:
    seen = stress(name, LASTS_S, tmp_path)

    assert seen.wrong == ()
    assert seen.went_on_after < 30
    assert seen.memory_most < seen.memory_before + 100
