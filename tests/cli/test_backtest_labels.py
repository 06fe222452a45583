"""A backtest with labels says whether the model still worked, as the stream would."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.cli.conftest import Driftline, Finished

BEGIN = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY = 86_400_000
DAYS, A_DAY, TURN = 60, 150, 30
"""What outcomes mean changes on day TURN."""
MODELS = {"windows": ["1d"], "pane": "6h"}
COLUMNS = ["--model", "m", "--id-column", "id", "--time-column", "at", "--prediction-column", "answer"]
COLUMNS += ["--score-column", "p", "--label-column", "truth"]


def table(path: Path, *, turned: bool = False, seed: int = 1) -> Path:
    """Write predictions of a calibrated model with their outcomes, four in ten of which are turned round at some time.

    Inputs and scores are as ever.
    """
    rng = np.random.default_rng(seed)
    rows = DAYS * A_DAY
    score = rng.beta(0.6, 0.9, rows)
    truth = rng.random(rows) < score
    truth ^= (np.arange(rows) >= TURN * A_DAY) & (rng.random(rows) < 0.4) & turned
    pl.DataFrame(
        {
            "id": [f"e-{row}" for row in range(rows)],
            "at": BEGIN + np.sort(rng.integers(0, DAYS * DAY, rows)),
            "x": rng.normal(size=rows),
            "answer": np.where(score > 0.5, "yes", "no"),
            "p": score,
            "truth": np.where(truth, "yes", "no"),
        }
    ).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("usual") / "usual.parquet", seed=2)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("turned") / "turned.parquet", turned=True)


def run(driftline: Driftline, *arguments: object, **own: object) -> Finished:
    done = driftline("backtest", *arguments, *COLUMNS, DRIFTLINE_MODELS=json.dumps({"*": {**MODELS, **own}}))
    assert done.status == 0, done.err
    return done


def day(incident: dict[str, Any]) -> int:
    """Return on which day it was told."""
    return (datetime.fromisoformat(incident["opened"]) - datetime(2026, 1, 1, tzinfo=UTC)).days


def test_outcomes_that_mean_something_else_are_told_when_their_labels_come(
    driftline: Driftline, usual: Path, turned: Path
) -> None:
    at_once = run(driftline, turned, "--reference", usual, "--label-delay", "1h", "--json", awaits_labels="30d")
    (incident,) = at_once.json[0]["incidents"]
    assert (incident["kind"], incident["model"], incident["resolved"]) == ("performance", "m", None)
    assert "the inputs are as before, but their meaning has changed" in incident["summary"]
    assert TURN < day(incident) <= TURN + 4
    assert at_once.json[0]["labels"] == {"consumed": DAYS * A_DAY, "joined": DAYS * A_DAY}
    (whole,) = at_once.json[0]["performance"]
    assert (whole["model"], whole["segment"], whole["given"]) == ("m", None, True)
    (auroc,) = [metric for metric in whole["metrics"] if metric["name"] == "auroc"]
    assert "outcomes are not" in auroc["sentence"]
    assert [window["labels"] for window in auroc["windows"]] == [window["predictions"] for window in auroc["windows"]]

    late = run(driftline, turned, "--reference", usual, "--label-delay", "20d", "--json", awaits_labels="30d")
    (later,) = late.json[0]["incidents"]
    assert TURN + 20 < day(later) <= TURN + 24
    assert later["kind"] == "performance"


def test_outcomes_as_ever_and_labels_that_nobody_names_tell_nothing(
    driftline: Driftline, usual: Path, turned: Path
) -> None:
    same = run(driftline, usual, "--label-delay", "1d", "--json", awaits_labels="30d").json[0]
    assert (same["incidents"], same["labels"]["joined"]) == ([], DAYS * A_DAY)
    assert [view["given"] for view in same["performance"]] == [False]
    columns = [*COLUMNS[: COLUMNS.index("--label-column")], "--feature-columns", "x"]
    asked = {"DRIFTLINE_MODELS": json.dumps({"*": {**MODELS, "awaits_labels": "30d"}})}
    without = driftline("backtest", turned, *columns, "--json", **asked).json[0]
    assert set(without) == {"events", "windows", "counters", "incidents", "chosen"}
    assert without["incidents"] == []


def test_the_same_for_people(driftline: Driftline, usual: Path, turned: Path) -> None:
    done = run(driftline, turned, "--reference", usual, "--label-delay", "1h", awaits_labels="1d")
    assert "m version (none): windows of 1d" in done.out
    assert "━ estimated   ● by labels" in done.out
    assert "accuracy: the inputs are as before, as far as the estimate sees them; outcomes are not" in done.out
    assert f"{DAYS * A_DAY:,} labels: {DAYS * A_DAY:,} joined" in done.out
    assert "is known later" not in done.err


def test_a_table_of_labels_is_joined_by_ids(driftline: Driftline, usual: Path, turned: Path, tmp_path: Path) -> None:
    rows = pl.read_parquet(turned)
    labels, bare = tmp_path / "labels.parquet", tmp_path / "bare.parquet"
    rows.select("id", "truth", known=pl.col("at") + DAY).sample(fraction=1, shuffle=True, seed=1).write_parquet(labels)
    rows.drop("truth").write_parquet(bare)
    known = ("--labels", labels, "--label-time-column", "known")

    apart = run(driftline, bare, "--reference", usual, *known, "--json", awaits_labels="30d")
    delayed = run(driftline, turned, "--reference", usual, "--label-delay", "1d", "--json", awaits_labels="30d")

    assert apart.json == delayed.json
    assert apart.json[0]["incidents"]
    assert "truth" not in apart.err


def test_how_long_labels_are_awaited_is_chosen_and_said(driftline: Driftline, turned: Path) -> None:
    done = run(driftline, turned, "--label-delay", "20d", "--json")
    assert done.json[0]["chosen"] == {"*": {"awaits_labels": "30d"}}
    assert f"DRIFTLINE_MODELS='{json.dumps(done.json[0]['chosen'])}'" in done.err
    assert done.json[0]["labels"]["joined"] == DAYS * A_DAY

    short = run(driftline, turned, "--label-delay", "20d", "--json", awaits_labels="7d")
    assert "joined" not in short.json[0]["labels"]
    said = "9,000 of 9,000 labels come later than awaits_labels (1w) after their predictions, so they do not count"
    assert said in short.err
    assert "write awaits_labels: 20d under" in short.err
    assert short.err.index(said) < short.err.index("of CPU"), "before it runs"


def test_labels_that_have_not_come_yet_are_estimated(driftline: Driftline, usual: Path, tmp_path: Path) -> None:
    waits = tmp_path / "waits.parquet"
    pl.read_parquet(usual).with_columns(truth=pl.lit(None, pl.String)).write_parquet(waits)
    done = run(driftline, waits, "--reference", usual, "--json", awaits_labels="30d")
    assert "no row has a label yet" in done.err
    (whole,) = done.json[0]["performance"]
    windows = whole["metrics"][0]["windows"]
    assert {window["labels"] for window in windows} == {0}
    assert all(window["estimated"] is not None for window in windows)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--label-column", "truht"], '--label-column: usual.parquet has no column "truht"; did you mean truth?'),
        (["--label-time-column", "atb"], '--label-time-column: usual.parquet has no column "atb"; did you mean at?'),
        (["--label-delay", "1d", "--label-time-column", "at"], "--label-delay: excludes --label-time-column"),
        (["--label-delay", "soon"], '--label-delay: "soon" is not a duration'),
        (["--label-column", "x"], '"no", "yes"; write labels as the model answers'),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_judged(
    driftline: Driftline, usual: Path, arguments: list[str], complaint: str
) -> None:
    done = driftline("backtest", usual, *COLUMNS, *arguments)
    assert (done.status, done.out) == (2, "")
    assert complaint in done.err.replace("\n", " ")


def test_labels_need_the_name_of_their_column(driftline: Driftline, usual: Path) -> None:
    columns = COLUMNS[: COLUMNS.index("--label-column")]
    for option in (["--labels", str(usual)], ["--label-delay", "1d"]):
        done = driftline("backtest", usual, *columns, *option)
        assert (done.status, "--label-column: is missing" in done.err) == (2, True)
