"""A profile of a table with labels says how well the model worked, and workers read it."""

from pathlib import Path

import numpy as np
import polars as pl
from typer.testing import CliRunner, Result

from driftline.cli.profile import app
from driftline.config import load
from driftline.performance.outcomes import Series
from driftline.pipeline.task_settings import judge_settings

COLUMNS = ("--model", "churn", "--time-column", "at", "--prediction-column", "answer", "--label-column", "truth")


def _table(path: Path, rows: int, *, scores: bool = True) -> Path:
    rng = np.random.default_rng(1)
    score = rng.beta(0.6, 0.9, rows)
    truth = rng.random(rows) < score
    columns = {
        "at": np.arange(rows) * 60_000 + 1_700_000_000_000,
        "x": rng.normal(size=rows),
        "answer": np.where(score > 0.5, "yes", "no"),
        "truth": np.where(truth, "yes", "no"),
    }
    pl.DataFrame(columns | ({"p": score} if scores else {})).write_parquet(path)
    return path


def _build(table: Path, *more: str) -> Result:
    arguments = ["build", str(table), *COLUMNS, *more, "-o", str(table.with_suffix(".profile"))]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_workers_compare_with_what_the_table_says(tmp_path: Path) -> None:
    table = _table(tmp_path / "test.parquet", 3_000)
    built = _build(table, "--score-column", "p")
    assert "performance by 3,000 labels" in built.stdout
    path = tmp_path / "driftline.yaml"
    path.write_text("models: {churn: {awaits_labels: 1d, reference: test.profile}}")
    rules = judge_settings(load(path)).rules("churn").performance
    assert rules is not None
    found = rules.reference("3", "")
    assert found is not None
    assert (found.series, found.classes, found.labels) == (Series.SCORES, ("no", "yes"), 3_000)
    assert found.stretches in (50, 51)
    assert float(found.kind().measured(found.whole, 1)["auroc"].values[0]) > 0.8
    assert rules.reference("3", "tenant=acme") is None


def test_a_table_that_does_not_do_says_why_and_is_a_profile_nevertheless(tmp_path: Path) -> None:
    few = _build(_table(tmp_path / "few.parquet", 100), "--score-column", "p")
    assert "labels in 100 rows" in few.output
    assert few.exit_code == 0
    without = _build(_table(tmp_path / "without.parquet", 1_500, scores=False))
    assert "holds no reference of performance" in without.output
    assert "--score-column" in without.output
