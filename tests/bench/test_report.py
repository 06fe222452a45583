import pytest

from driftline.bench.job import ContenderCost
from driftline.bench.path import growth
from driftline.bench.report import Target, environment, number, report
from driftline.bench.trials import TRIALS, Measurements
from driftline.cli.bench import document

COSTS = {
    "consume": 1.5,
    "consume + decode, msgspec": 4.0,
    "consume + decode, pyarrow": 5.0,
    "consume + decode, polars": 6.0,
    "whole path": 5.0,
    "whole path, 10 models": 6.0,
    "whole path, 100 models": 20.0,
    "per-event loop B": 25.0,
}
DETAILS = {
    "checkpointing_s": 0.1,
    "memory_mib": 200.0,
    "memory_growth_mib": 4.0,
    "panes": 8,
    "written_mib": 1.0,
    "cells_bytes": 44_000,
    "groups": 1,
    "us_a_pane": 300.0,
    "us_a_slice": 1_000.0,
    "us_a_window": 700.0,
    "us_a_reference": 50_000.0,
    "state_bytes": 1e6,
    "subjects": 10,
    "us_a_prediction": 0.5,
    "us_a_label": 2.0,
    "bytes_a_prediction": 36.0,
    "takeover_s": 0.3,
}
WHERE = environment("Kafka from somewhere", "a Redis", 1_000_000, 2)


def measured(us: float) -> ContenderCost:
    return ContenderCost(events=1_000_000, cpu_s=us, wall_s=us, details=DETAILS)


def measurements(**changed: float) -> Measurements:
    """Two rounds, in the second of which everything costs twice as much."""
    costs = {trial.name: COSTS.get(trial.name, 5.0) for trial in TRIALS} | {
        name.replace("_", " "): cost for name, cost in changed.items()
    }
    return {name: [measured(cost), measured(2 * cost)] for name, cost in costs.items()}


def target(name: str, found: Measurements, long_run: ContenderCost | None = None) -> Target:
    (chosen,) = [each for each in report(found, long_run, WHERE).targets if each.name.startswith(name)]
    return chosen


def test_the_best_decoder_is_the_floor_and_ratios_are_taken_within_a_round() -> None:
    made = report(measurements(), None, WHERE)

    assert made.floor == "consume + decode, msgspec"
    row = next(row for row in made.rows if row.name == "whole path")
    assert (row.cpu_us, row.ratio, row.rounds_us) == (7.5, 1.25, [5.0, 10.0])
    assert row.per_core == pytest.approx(1e6 / 7.5)


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("whole path, against consuming", 1.25, True),
        ("events a second and core", 1e6 / 7.5, False),
        ("per-event loop", 5.0, True),
        ("10 models", 1.2, True),
        ("100 models", 4.0, False),
        ("1,000 segments", 1.0, True),
    ],
)
def test_targets_say_whether_they_were_met(name: str, value: float, met: bool) -> None:
    found = target(name, measurements())
    assert found.value == pytest.approx(value)
    assert found.met is met


def test_without_the_loop_there_is_no_target_about_it() -> None:
    found = {name: rounds for name, rounds in measurements().items() if "loop" not in name}
    assert not [each for each in report(found, None, WHERE).targets if "loop" in each.name]


def test_memory_is_judged_over_a_long_run() -> None:
    assert target("memory grown", measurements(), measured(5.0)).value == pytest.approx(2.0)


def test_json_has_everything_that_is_shown() -> None:
    found = document(report(measurements(), None, WHERE))
    assert found.environment["events"] == 1_000_000
    assert {row.name for row in found.rows} == {trial.name for trial in TRIALS} - {"judge", "labels"}
    assert {True, False} == {each.met for each in found.targets}


def test_growth_is_that_after_start_up() -> None:
    assert growth([10, 80, 100, 100, 100, 100, 110, 110]) == 10
    assert growth([]) == 0


def test_numbers_are_short() -> None:
    assert [number(value) for value in (152_340.4, 42.25, 1.5)] == ["152,340", "42.2", "1.50"]
