"""How often a value comes that the reference has not seen: what it says of itself, and what windows then hold."""

import numpy as np
import pytest

from driftline.detection.categories import RUNS, SIGNALS, CategoriesJob, draw_reference, laws, measure
from driftline.evidence.bins import Quality
from driftline.evidence.building import build_reference
from driftline.evidence.novelty import MIN_PARTS, seen_by_one_part
from driftline.evidence.projection import Projection
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season
from driftline.evidence.signals import Nature, cell_shift
from driftline.sketches.group import SignalRole, combine
from driftline.sketches.keys import Ints, category_key
from tests.evidence.columns import PANE_MS, reference_of, summarise


@pytest.mark.parametrize("values", [50, 290, 400, 1_500])
@pytest.mark.parametrize("new", [0.0, 0.01, 0.2])
def test_what_was_seen_once_tells_how_much_is_new_also_in_coarsened_sketches(values: int, new: float) -> None:
    chance = np.random.default_rng([values, round(new * 100)])
    keys: Ints = np.array([category_key(str(number)) for number in range(values)], dtype=np.int64)
    shares = np.full(values, (1 - new) / values)
    reference = draw_reference(CategoriesJob(values, "uniform", new, 5_000), keys, shares, chance)
    assert (cell_shift(reference.summary, 1, SignalRole.STRINGS) > 0) == (values + 5_000 * new > 256)
    projection = Projection(reference)
    _, true = laws(projection, keys, shares, new)
    expected = projection.quality_shares[1:, Quality.UNSEEN]
    assert len(expected) == RUNS * SIGNALS
    error = 4 * np.sqrt((true[:, Quality.UNSEEN].mean() + 1 / 5_000) / 5_000 / len(expected))
    # What one of sixteen parts alone held is a little more than what will be new to all.
    assert -error <= expected.mean() - true[:, Quality.UNSEEN].mean() <= error + 0.15 * expected.mean() + 2e-4


def test_a_reference_of_open_categories_raises_no_alarm() -> None:
    cell = measure(CategoriesJob(300, "uniform", 0.01, 24_000))
    assert cell.alarms == 0


def _sessions(panes: int, each: int) -> Reference:
    """Every pane holds sessions of its own, each of 5 events, beside 20 events of one that stays."""
    columns = [[f"s{pane}-{at}" for at in range(each) for _ in range(5)] + ["stays"] * 20 for pane in range(panes)]
    return reference_of(*({"x": column} for column in columns))


def test_values_that_come_in_bursts_and_never_again_are_new_in_every_window() -> None:
    projection = Projection(_sessions(panes=32, each=4))
    assert projection.quality_shares[1, Quality.UNSEEN] == pytest.approx(0.5, abs=0.01)
    window = projection.project(summarise({"x": [f"w{at // 5}" for at in range(20)] + ["stays"] * 20}))
    assert projection.quality(window)[1, Quality.UNSEEN] == 20


def test_in_fewer_panes_than_there_must_be_parts_one_event_is_a_part() -> None:
    projection = Projection(_sessions(panes=MIN_PARTS - 1, each=4))
    assert projection.quality_shares[1, Quality.UNSEEN] < 0.01


def test_parts_are_long_so_that_a_burst_lies_within_one() -> None:
    panes = [(at, summarise({"x": [f"burst {at // 4}", "stays"]})) for at in range(128)]
    whole = combine(summary for _, summary in panes)
    marked = seen_by_one_part(whole, [Nature.EMPTY, Nature.CATEGORIES], panes)
    names = {whole.categories[key] for key in whole.cells.keys[marked].tolist()}
    assert names == {f"burst {number}" for number in range(32)}


def test_what_one_part_alone_held_is_stored_with_the_reference() -> None:
    reference = _sessions(panes=32, each=4)
    read = Reference.decode(reference.encode())
    assert read.alone.tolist() == reference.alone.tolist()
    assert (Projection(read).reference == Projection(reference).reference).all()


def test_each_phase_of_a_season_expects_as_many_new_values_as_it_had() -> None:
    hour = 60 * PANE_MS
    panes = [(at * hour, summarise({"x": ["a", "b"] * 50 + [f"new {at}"] * (at % 24 == 3)})) for at in range(24 * 20)]
    reference = build_reference(
        panes, model="m", version="", segment="", pane_ms=hour, learned=False, season=Season(24 * hour)
    )
    projection = Projection(reference)
    unseen = [projection.quality(phase)[1, Quality.UNSEEN] for phase in reference.phases]
    assert unseen == [20 * (hour_of_day == 3) for hour_of_day in range(24)]


def test_one_among_thousands_that_becomes_frequent_shows_in_its_group() -> None:
    chance = np.random.default_rng(4)
    panes = [{"x": [f"zip {code}" for code in chance.integers(0, 5_000, 500)]} for _ in range(20)]
    projection = Projection(reference_of(*panes))
    before = projection.shares[1]
    assert (before > 0).sum() == 8 + 1
    codes = [f"zip {code}" for code in chance.integers(0, 5_000, 700)]
    window = projection.evidence(projection.project(summarise({"x": codes + ["a new one"] * 300})))[1]
    assert (window / window.sum() / before).max() > 2
