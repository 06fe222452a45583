import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from driftline.cli.timeline import bar
from tests.cli.conftest import Driftline


def rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=20)
MODELS = "{'*': {windows: [1h], pane: 10m, false_alarms: 1 per 365d}}"
COLUMNS = ["--model", "m", "--time-column", "at", "--prediction-column", "p"]


def table(path: Path, hours: int, *, shift_at: int | None = None, seed: int = 0) -> Path:
    """Write a table of 180 events an hour; from hour `shift_at` on x is larger by two standard deviations."""
    random = np.random.default_rng(seed)
    count = hours * 180
    x = random.normal(size=count)
    if shift_at is not None:
        x[shift_at * 180 :] += 2.0
    times = [BEGIN + number * EVERY for number in range(count)]
    pl.DataFrame({"at": times, "x": x, "p": random.uniform(size=count)}).write_parquet(path)
    return path


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    return table(tmp_path / "usual.parquet", 72, seed=1)


def test_a_shift_is_found_soon_and_nothing_before_it(driftline: Driftline, usual: Path, tmp_path: Path) -> None:
    shifted = table(tmp_path / "shifted.parquet", 48, shift_at=24)

    done = driftline("backtest", shifted, *COLUMNS, "--reference", usual, "--json", DRIFTLINE_MODELS=MODELS)

    (found,) = done.json
    assert set(found) == {"events", "windows", "counters", "incidents", "chosen"}
    assert (found["events"], found["counters"]) == (48 * 180, {"consumed": 48 * 180, "accepted": 48 * 180})
    assert found["windows"] == 48
    incident = found["incidents"][0]
    assert set(incident) == {
        *(
            "id",
            "model",
            "version",
            "segment",
            "kind",
            "opened",
            "resolved",
            "window",
            "began",
            "level",
            "reason",
            "summary",
            "signals",
            "changes",
            "parts",
        )
    }
    assert (incident["model"], incident["kind"], incident["resolved"]) == ("m", "data_drift", None)
    assert "2026-01-02T01:00:00Z" <= incident["opened"] <= "2026-01-02T03:00:00Z"
    assert set(incident["window"]) == {"start", "end", "count"}
    signal = incident["signals"][0]
    assert set(signal) == {
        *("name", "evidence", "share", "effects", "what", "before", "after"),
        *("named", "became", "gone", "factor", "multiplied", "outside"),
    }
    (change,) = incident["changes"]
    assert (change["what"], change["severity"], change["summary"]) == ("firing", "warning", incident["summary"])
    assert (incident["began"], incident["level"]) == ("2026-01-02T00:00:00Z", "data")
    assert (signal["name"], signal["effects"]["psi"] > 0.5) == ("features.x", True)


def test_the_same_for_people(driftline: Driftline, usual: Path, tmp_path: Path) -> None:
    shifted = table(tmp_path / "shifted.parquet", 48, shift_at=24)

    done = driftline("backtest", shifted, *COLUMNS, "--reference", usual, DRIFTLINE_MODELS=MODELS)

    assert "m: inputs have drifted from the reference since about 2026-01-02T00:00:00Z: x mean" in done.out
    assert "█" in done.out
    assert done.out.splitlines()[-1].startswith("8,640 events, 48 windows, ")


def test_without_a_shift_nothing_fires(driftline: Driftline, usual: Path, tmp_path: Path) -> None:
    same = table(tmp_path / "same.parquet", 48, seed=2)

    done = driftline("backtest", same, *COLUMNS, "--reference", usual, "--json", DRIFTLINE_MODELS=MODELS)

    assert done.json[0]["incidents"] == []


def test_a_reference_that_is_never_complete_is_said(driftline: Driftline, tmp_path: Path) -> None:
    done = driftline("backtest", table(tmp_path / "short.parquet", 2), *COLUMNS)

    assert done.out == "360 events, 0 windows, 0 incidents\n"
    assert "nothing to report" in done.err


def test_events_without_times_are_refused(driftline: Driftline, usual: Path) -> None:
    done = driftline("backtest", usual, "--model", "m", "--prediction-column", "p")

    assert (done.status, "--time-column" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("spans", "drawn"),
    [
        ([], "··········"),
        ([(0, 100)], "██████████"),
        ([(100, None)], "·········█"),
        ([(35, 36)], "···█······"),
        ([(10, 20), (50, None)], "·█···█████"),
        ([(-50, 10), (90, 500)], "█········█"),
    ],
)
def test_the_timeline_shows_every_span(spans: list[tuple[int, int | None]], drawn: str) -> None:
    assert bar(spans, 0, 100, 10) == drawn


def test_the_last_window_is_shown_beside_the_reference(driftline: Driftline, usual: Path, tmp_path: Path) -> None:
    shifted = table(tmp_path / "shifted.parquet", 48, shift_at=24)
    asked = ("backtest", shifted, *COLUMNS, "--reference", usual, "--show")

    (shown,) = driftline(*asked, "--json", DRIFTLINE_MODELS=MODELS).json[0]["shown"]
    screen = driftline(*asked, DRIFTLINE_MODELS=MODELS).out

    first = shown["signals"][0]
    assert (first["name"], first["family"], shown["window"]["count"]) == ("features.x", "inputs", 180)
    assert first["effects"]["mean_after"] - first["effects"]["mean_before"] > 1.5
    assert sum(first["histogram"]["before"][:8]) > 0.4 > 0.2 > sum(first["histogram"]["after"][:8])
    assert "m: 180 events, 2026-01-02T23:00:00Z to 2026-01-03T00:00:00Z, beside a reference of 12,960" in screen
    assert screen.index("features.x") < screen.index("prediction.value")
    assert first["effects"]["out_of_range_after"] > 0
    assert re.search(r"null +missing +out of range +mean +reference → now", screen)


def test_windows_that_hold_next_to_nothing_are_told(driftline: Driftline, tmp_path: Path) -> None:
    times = [BEGIN + timedelta(hours=number) for number in range(400)]
    rare = tmp_path / "rare.parquet"
    pl.DataFrame({"at": times, "x": [1.0] * 400, "p": [0.5] * 400}).write_parquet(rare)

    done = driftline("backtest", rare, *COLUMNS)

    assert done.status == 0
    assert "a window of 1h holds 1 events on average" in done.err
    suits = re.search("these settings suit the table: DRIFTLINE_MODELS='(.*)'", done.err)
    assert suits
    assert done.err.index("these settings suit") < done.err.index("of CPU"), "before it runs"
    better = driftline("backtest", rare, *COLUMNS, "--json", DRIFTLINE_MODELS=suits[1])
    assert "suits" not in better.err
    assert better.json[0]["windows"] > 0


def test_windows_and_panes_suit_a_sparse_table_and_the_same_settings_find_the_same(
    driftline: Driftline, tmp_path: Path
) -> None:
    rows, moved = 8_640, 5_000  # one every ten minutes for sixty days
    chance = np.random.default_rng(1)
    sparse = tmp_path / "sparse.parquet"
    pl.DataFrame(
        {
            "at": [BEGIN + timedelta(minutes=10 * row) for row in range(rows)],
            "x": chance.normal(size=rows) + np.where(np.arange(rows) < moved, 0, 2),
            "p": chance.random(rows),
        }
    ).write_parquet(sparse)

    done = driftline("backtest", sparse, *COLUMNS, "--json")
    (found,) = done.json
    asked = driftline("backtest", sparse, *COLUMNS, "--json", DRIFTLINE_MODELS=json.dumps(found["chosen"]))

    assert found["chosen"] == {"*": {"windows": ["1w"], "pane": "12h"}}
    assert json.dumps(found["chosen"]) in done.err
    assert "data_drift" in {incident["kind"] for incident in found["incidents"]}
    assert asked.json == [{**found, "chosen": {}}]


def test_a_tag_that_is_not_watched_is_said_to_be_none(driftline: Driftline, tmp_path: Path) -> None:
    path = tmp_path / "tagged.parquet"
    pl.read_parquet(table(path, 3)).with_columns(tenant=pl.lit("a")).write_parquet(path)
    tagged = ("backtest", path, *COLUMNS, "--segment-columns", "tenant")
    said = 'Driftline does not watch the values of tenant as segments; to do so, write {"segments": ["tenant"]}'

    assert said in driftline(*tagged, "--json").err.replace("\n", " ")
    named = driftline(*tagged, "--json", DRIFTLINE_MODELS="{'*': {segments: [tenant]}}")
    assert "does not watch" not in named.err


@pytest.mark.parametrize("stray", [datetime(2027, 4, 10, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)])
def test_one_row_with_a_wrong_clock_is_said_and_changes_nothing(
    driftline: Driftline, tmp_path: Path, stray: datetime
) -> None:
    rows = pl.read_parquet(table(tmp_path / "t.parquet", 72, shift_at=48))
    rows.with_columns(at=pl.when(pl.int_range(pl.len()) == 700).then(pl.lit(stray)).otherwise("at")).write_parquet(
        tmp_path / "t.parquet"
    )
    done = driftline("backtest", tmp_path / "t.parquet", *COLUMNS, "--json")
    (found,) = done.json
    assert [incident["kind"] for incident in found["incidents"]] == ["data_drift"]
    assert found["incidents"][0]["opened"].startswith("2026-01-03T0")
    assert f"t.parquet: 1 row is dated far from all others, which lie from {rfc3339(BEGIN)}" in done.err
    assert rfc3339(stray) in done.err
    assert found["chosen"]["*"].get("windows", ["1h"]) == ["1h"]


def test_signals_beyond_the_limit_are_not_taken_for_missing_and_what_a_model_answers_is_watched_first(
    driftline: Driftline, usual: Path, tmp_path: Path
) -> None:
    rows = table(tmp_path / "t.parquet", 24)
    done = driftline(
        *("backtest", rows, *COLUMNS, "--reference", usual, "--json"),
        DRIFTLINE_MODELS=MODELS,
        DRIFTLINE_LIMITS="{signals: 1}",
    )
    (incident,) = done.json[0]["incidents"]
    assert incident["kind"] == "capacity"
    assert "signals 180 (features.x)" in incident["summary"]
