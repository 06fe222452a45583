"""A table of good times is cut, shuffled and judged: false alarms are measured, and what they come from is named."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from driftline.cli.calibrated import as_text
from driftline.config import Settings
from driftline.errors import InputError
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Basis, Kind
from driftline.offline.backtest import backtest, build_references
from driftline.offline.calibration import Calibrated, calibrate
from driftline.pipeline.task_settings import judge_settings, with_references
from driftline.tables import ColumnMapping, iter_events, open_table
from tests.tasks.changes import HOUR, MINUTE, START

MAPPING = ColumnMapping(model="m", time_column="at", prediction_column="answer")
EVERY_MS = 600  # a hundred events a window of a minute
HOW = Settings.model_validate({"models": {"*": {"windows": ["1m"], "pane": "1m", "false_alarms": "1 per 1h"}}})


def wander(size: int, persistence: float, seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """An autoregressive process of unit variance."""
    steps = np.random.default_rng(seed).normal(0, np.sqrt(1 - persistence**2), size)
    found = np.empty(size)
    last = 0.0
    for at, step in enumerate(steps.tolist()):
        last = found[at] = persistence * last + step
    return found


def table(path: Path, x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Path:
    chance = np.random.default_rng(7)
    frame = {"at": START + np.arange(len(x)) * EVERY_MS, "x": x, "answer": chance.beta(2, 5, len(x))}
    pl.DataFrame(frame).write_parquet(path)
    return path


def measured(path: Path, settings: Settings = HOW, passes: int = 4) -> tuple[Calibrated, list[Reference]]:
    opened = open_table(path)
    references = build_references(settings, opened, MAPPING)
    return calibrate(settings, opened, MAPPING, references, passes=passes), references


def test_a_process_that_forgets_within_a_window_keeps_the_budget(tmp_path: Path) -> None:
    found, _ = measured(table(tmp_path / "ar.parquet", wander(18_000, 0.9)))
    assert found.guaranteed
    assert found.calibration.rate == pytest.approx(found.alarms.total() / (found.replayed_ms / HOUR), rel=0.01)
    assert found.calibration.rate <= 1
    assert found.calibration.high >= 3.69 / 3, "the table holds three hours and no more, however often it is replayed"
    assert found.replayed_ms > found.table_ms
    text = as_text(found)
    assert "budget    1 false alarm in 1 hour" in text
    assert "is guaranteed" in text


def test_what_was_measured_overrules_what_was_concluded(tmp_path: Path) -> None:
    found, references = measured(table(tmp_path / "calm.parquet", wander(9_000, 0.0)), passes=2)
    assert found.guaranteed
    refuted = replace(found, calibration=msgspec.structs.replace(found.calibration, rate=9.0, low=2.0, high=20.0))
    assert not refuted.guaranteed
    assert "more false alarms were measured than it allows" in as_text(refuted)
    shifted = table(tmp_path / "later.parquet", wander(6_000, 0.0, seed=2) + 3)
    judging = with_references(
        judge_settings(HOW), [replace(reference, calibration=refuted.calibration) for reference in references]
    )
    incident = backtest(HOW, iter_events(open_table(shifted), MAPPING), judging=judging).latest[-1]
    assert incident.false_alarms is not None
    assert (incident.false_alarms.basis, incident.false_alarms.rate) == (Basis.MEASURED, 9.0)


def test_one_that_wanders_for_hours_does_not_and_longer_windows_are_advised(tmp_path: Path) -> None:
    found, references = measured(table(tmp_path / "ar.parquet", wander(36_000, 0.9995)))
    assert not found.guaranteed
    assert {(each.signal, each.size) for each in found.dependent} == {("features.x", MINUTE)}
    assert found.calibration.low < found.calibration.rate < found.calibration.high
    assert set(found.alarms) == {"features.x"}
    (each,) = found.dependent
    assert each.independent_at is None or each.independent_at >= 4 * MINUTE
    assert "windows of 1m (features.x): " in as_text(found)
    dependent = references[0].dependent(1)
    assert dependent is not None
    assert dependent.tolist() == [name == "features.x" for name in references[0].summary.signals]


def test_a_rhythm_is_recognised_and_the_seasonal_reference_is_advised_and_helps(tmp_path: Path) -> None:
    size, day = 7 * 24 * 60, 24 * 60
    chance = np.random.default_rng(3)
    minutes = np.arange(size)
    frame = pl.DataFrame(
        {
            "at": START + minutes * MINUTE,
            "x": chance.normal(0, 1, size) + 3 * np.sin(2 * np.pi * minutes / day),
            "answer": chance.beta(2, 5, size),
        }
    )
    frame.write_parquet(tmp_path / "season.parquet")
    model = {"windows": ["1h"], "pane": "1h", "false_alarms": "1 per 1d"}
    plain = Settings.model_validate({"models": {"*": model}})
    seasonal = Settings.model_validate({"models": {"*": {**model, "season": "day"}}})
    found, _ = measured(tmp_path / "season.parquet", plain)
    assert not found.guaranteed
    assert found.seasons == ("day",)
    assert "season: day" in as_text(found)
    helped, _ = measured(tmp_path / "season.parquet", seasonal)
    assert helped.guaranteed
    assert helped.calibration.rate <= 1


def test_the_same_seed_measures_the_same(tmp_path: Path) -> None:
    path = table(tmp_path / "ar.parquet", wander(12_000, 0.99))
    assert measured(path, passes=2)[0] == measured(path, passes=2)[0]


def test_a_table_that_is_too_short_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    path = table(tmp_path / "short.parquet", wander(3_000, 0.5))
    with pytest.raises(InputError, match="spans 30m; to calibrate windows of 1m it needs 50m"):
        measured(path)


@pytest.mark.parametrize(
    ("persistence", "calibrated", "basis"),
    [
        (0.0, False, Basis.GUARANTEED),
        (0.998, False, Basis.NOT_GUARANTEED),
        (0.998, True, Basis.MEASURED),
    ],
)
def test_an_alert_says_what_its_false_alarm_rate_rests_on(
    tmp_path: Path, persistence: float, calibrated: bool, basis: Basis
) -> None:
    x = wander(18_000, persistence)
    found, references = measured(table(tmp_path / "good.parquet", x), passes=2)
    if calibrated:
        references = [replace(reference, calibration=found.calibration) for reference in references]
        references = [Reference.decode(reference.encode()) for reference in references]
    later = table(tmp_path / "later.parquet", np.where(np.arange(12_000) < 6_000, x[:12_000], x[:12_000] + 8))
    judging = with_references(judge_settings(HOW), references)
    result = backtest(HOW, iter_events(open_table(later), MAPPING), judging=judging)
    incident = result.latest[-1]
    assert incident.false_alarms is not None
    assert incident.false_alarms.basis is basis
    assert (incident.false_alarms.count, incident.false_alarms.period_ms) == (1, HOUR)
    assert (incident.false_alarms.rate is not None) == (basis is Basis.MEASURED)
    said = {
        Basis.GUARANTEED: "",
        Basis.NOT_GUARANTEED: "more often than the budget allows",
        Basis.MEASURED: "false alarms in 1 hour, where 1 is allowed",
    }[basis]
    opening = next(each for each in result.incidents if each.id == incident.id)
    assert said in opening.summary


@pytest.mark.parametrize(("persistence", "basis"), [(0.0, Basis.GUARANTEED), (0.9, Basis.NOT_GUARANTEED)])
def test_an_alert_about_the_number_of_events_says_so_too(tmp_path: Path, persistence: float, basis: Basis) -> None:
    """Windows whose numbers wander from one to the next are fewer observations than they seem."""
    usual = np.rint(60 + 8 * wander(300, persistence)).astype(int)
    good, later = tmp_path / "good.parquet", tmp_path / "later.parquet"
    for path, numbers in ((good, usual), (later, np.full(60, 30))):
        at = np.concatenate([START + minute * MINUTE + np.arange(n) * 500 for minute, n in enumerate(numbers)])
        chance = np.random.default_rng(7)
        pl.DataFrame({"at": at, "answer": chance.beta(2, 5, len(at))}).write_parquet(path)
    references = build_references(HOW, open_table(good), MAPPING, complete=True)
    judging = with_references(judge_settings(HOW), references)
    result = backtest(HOW, iter_events(open_table(later), MAPPING), judging=judging)
    (incident,) = [each for each in result.latest if each.kind is Kind.VOLUME]
    assert incident.false_alarms is not None
    assert incident.false_alarms.basis is basis
