"""What a season hides is taken out, and what chance adds stays."""

import numpy as np
import pytest

from driftline.errors import InputError
from driftline.evidence.building import build_reference
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season, deseasoned
from tests.evidence.columns import summarise

HOUR = 3_600_000
DAY = Season(24 * HOUR)
SLOTS = 240


@pytest.mark.parametrize("seasons", [2, 5])
def test_counts_without_their_season_vary_as_independent_events_do(seasons: int) -> None:
    """A slot's shares are estimated from the same few seasons and so lie nearer to its windows than the truth does."""
    chance = np.random.default_rng(3)
    phase = np.arange(SLOTS) / SLOTS * 2 * np.pi
    truth = np.stack([2 + np.sin(phase), 2 + np.cos(phase), np.full(SLOTS, 2.0), np.full(SLOTS, 1.0)], axis=1)
    truth /= truth.sum(axis=1, keepdims=True)
    slots = np.tile(np.arange(SLOTS), seasons)
    counts = chance.multinomial(500, truth[slots])[:, None, :]
    by_slot = counts.reshape(seasons, SLOTS, 1, 4).sum(axis=0) / (500 * seasons)
    overall = by_slot.mean(axis=0)

    found = deseasoned(counts, slots, by_slot, overall, seasons)

    level = 500 * overall
    squares = ((found - level) ** 2 / level).sum(axis=2)
    assert squares.mean() == pytest.approx(3, rel=0.1), "chi squared with three degrees of freedom"
    assert found.sum(axis=2) == pytest.approx(500)


def seasonal(hours: int) -> Reference:
    chance = np.random.default_rng(4)
    panes = [(hour * HOUR, summarise({"x": chance.normal(hour % 24, 1, 20)})) for hour in range(hours)]
    return build_reference(panes, model="m", version="1", segment="", pane_ms=HOUR, learned=False, season=DAY)


def test_a_seasonal_reference_is_built_of_two_seasons_at_least() -> None:
    assert len(seasonal(48).phases) == 24
    with pytest.raises(InputError, match="needs 2 whole seasons of 86400000 ms"):
        seasonal(47)
