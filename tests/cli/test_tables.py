"""What happens to tables as people have them: no false incident, no true one hidden."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.cli.conftest import Driftline

COLUMNS = ["--model", "loans", "--time-column", "at", "--prediction-column", "answer"]
HOURLY = {"DRIFTLINE_MODELS": '{"*": {windows: [1h], pane: 30m}}'}


def loans(hours: int, seed: int, start: str = "2026-03-01") -> pl.DataFrame:
    chance, rows = np.random.default_rng(seed), hours * 60
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return pl.DataFrame(
        {
            "at": [first + timedelta(minutes=row) for row in range(rows)],
            "income": chance.lognormal(10, 0.5, rows).round(2),
            "member": chance.random(rows) < 0.3,
            "answer": chance.choice(["yes", "no"], rows),
        }
    )


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    loans(200, 1).write_parquet(tmp_path / "reference.parquet")
    return tmp_path / "reference.parquet"


def incidents(driftline: Driftline, table: Path, reference: Path, *more: str) -> list[dict[str, Any]]:
    done = driftline("backtest", table, "--reference", reference, *(more or COLUMNS), "--json", **HOURLY)
    assert done.status == 0, done.err
    found: list[dict[str, Any]] = done.json[0]["incidents"]
    return found


def spelt(number: pl.Expr, form: str) -> pl.Expr:
    plain = number.cast(pl.String)
    match form:
        case "thousands":
            return pl.when(number >= 1000).then(plain.str.replace(r"(\d)(\d{3})(\.|$)", "$1,$2$3")).otherwise(plain)
        case "spaces":
            return pl.when(number >= 1000).then(plain.str.replace(r"(\d)(\d{3})(\.|$)", "$1 $2$3")).otherwise(plain)
        case "comma":
            return plain.str.replace(".", ",", literal=True)
        case "percent":
            return (number * 100).round(2).cast(pl.String) + " %"
        case "some":
            return pl.when(pl.int_range(pl.len()) % 50 == 0).then(pl.lit("n.a.")).otherwise(plain)
        case _:
            return plain


@pytest.mark.parametrize("form", ["plain", "thousands", "spaces", "comma", "percent", "some"])
@pytest.mark.parametrize("drifts", [False, True])
def test_numbers_are_numbers_however_they_are_written(
    driftline: Driftline, tmp_path: Path, reference: Path, form: str, drifts: bool
) -> None:
    frame = loans(48, 2, "2026-03-12").with_columns(income=pl.col("income") * (1.6 if drifts else 1.0))
    path = tmp_path / "current.csv"
    frame.with_columns(
        spelt(pl.col("income").round(2), form), pl.col("member").cast(pl.String).str.to_uppercase()
    ).write_csv(path)

    found = incidents(driftline, path, reference)

    assert {incident["kind"] for incident in found} <= {"data_drift", "data_quality"}
    led = [incident["signals"][0]["name"] for incident in found if incident["kind"] == "data_drift"]
    assert led == (["features.income"] if drifts else [])
    assert drifts or (form == "some" or not found)


@pytest.mark.parametrize("form", ["01", "yes no", "T F"])
def test_booleans_are_read_as_the_reference_says(
    driftline: Driftline, tmp_path: Path, reference: Path, form: str
) -> None:
    yes, no = {"01": ("1", "0"), "yes no": ("yes", "no"), "T F": ("T", "F")}[form]
    path = tmp_path / "current.csv"
    frame = loans(48, 2, "2026-03-12")
    frame.with_columns(pl.when("member").then(pl.lit(yes)).otherwise(pl.lit(no)).alias("member")).write_csv(path)

    assert incidents(driftline, path, reference) == []


def test_the_index_of_pandas_is_no_feature(driftline: Driftline, tmp_path: Path) -> None:
    for name, frame in (("reference", loans(200, 1)), ("current", loans(48, 2, "2026-03-12"))):
        frame.with_row_index("").write_csv(tmp_path / f"{name}.csv")

    found = driftline(
        "backtest", tmp_path / "current.csv", *COLUMNS, "--reference", tmp_path / "reference.csv", **HOURLY
    )

    assert "current.csv: the column without a name (number 1) is ignored" in found.err
    assert "0 incidents" in found.out


def test_columns_that_only_one_table_has_are_named(driftline: Driftline, tmp_path: Path, reference: Path) -> None:
    frame = loans(2, 2, "2026-03-12").drop("member").with_columns(channel=pl.lit("web"))
    frame.write_parquet(tmp_path / "current.parquet")

    done = driftline("backtest", tmp_path / "current.parquet", *COLUMNS, "--reference", reference, **HOURLY)

    assert "reference.parquet does not have: channel" in done.err
    assert "current.parquet does not have: member. Name the labels of a reference with --label-column" in done.err


def versions(tmp_path: Path) -> tuple[Path, Path]:
    """Two versions of each of two models; of a/2 the income drifts."""
    both: dict[str, pl.DataFrame] = {}
    for name, hours, start in (("reference", 400, "2026-03-01"), ("current", 96, "2026-04-01")):
        frame = loans(hours, 1 if name == "reference" else 2, start).with_row_index("n")
        place = pl.col("n") % 4
        both[name] = frame.with_columns(
            model=pl.when(place < 2).then(pl.lit("a")).otherwise(pl.lit("b")), version=place % 2 + 1
        ).drop("n")
    drifted = (pl.col("model") == "a") & (pl.col("version") == 2)
    current = both["current"].with_columns(income=pl.col("income") * pl.when(drifted).then(2.0).otherwise(1.0))
    both["reference"].write_parquet(tmp_path / "r.parquet")
    current.write_csv(tmp_path / "c.csv")
    return tmp_path / "c.csv", tmp_path / "r.parquet"


NAMED = ["--model-column", "model", "--version-column", "version", *COLUMNS[2:]]


def test_several_models_and_versions_are_replayed_at_once_each_with_its_own_reference(
    driftline: Driftline, tmp_path: Path
) -> None:
    current, reference = versions(tmp_path)
    wide = {"DRIFTLINE_MODELS": '{"*": {windows: [4h], pane: 2h}}'}

    done = driftline("backtest", current, "--reference", reference, *NAMED, "--json", **wide)

    assert [(each["model"], each["version"], each["kind"]) for each in done.json[0]["incidents"]] == [
        ("a", "2", "data_drift")
    ]


def test_a_profile_is_of_one_model_and_version(driftline: Driftline, tmp_path: Path) -> None:
    _, reference = versions(tmp_path)
    out = tmp_path / "profiles" / "a.profile"

    several = driftline("profile", "build", reference, "-o", out, *NAMED)
    one = driftline("profile", "build", reference, "-o", out, *NAMED, "--model", "a", "--model-version", "2", "--json")

    assert (several.status, "a profile describes one: choose with --model" in several.err) == (
        2,
        True,
    )
    assert [(each["model"], each["version"], each["events"]) for each in one.json[0]["references"]] == [
        ("a", "2", 6_000)
    ]


def test_what_a_table_names_may_hold_markup(driftline: Driftline, tmp_path: Path) -> None:
    names = {"income": "[/b]income[red]", "member": "[link=x]"}
    loans(200, 1).rename(names).write_parquet(tmp_path / "r.parquet")
    frame = loans(48, 2, "2026-03-12").with_columns(income=pl.col("income") * 2)
    frame.rename(names).write_parquet(tmp_path / "c.parquet")
    options = ["--model", "m[/x]", *COLUMNS[2:]]

    done = driftline("backtest", tmp_path / "c.parquet", "--reference", tmp_path / "r.parquet", *options, **HOURLY)

    assert done.status == 0
    assert "m[/x]: inputs have drifted" in done.out
    assert "[/b]income[red] mean" in done.out


def test_a_label_that_only_the_reference_has_is_no_input_that_is_gone(driftline: Driftline, tmp_path: Path) -> None:
    loans(200, 1).with_columns(repaid=pl.lit(True)).write_parquet(tmp_path / "train.parquet")
    loans(48, 2, "2026-03-12").write_parquet(tmp_path / "now.parquet")

    assert incidents(driftline, tmp_path / "now.parquet", tmp_path / "train.parquet") != []
    found = incidents(
        driftline, tmp_path / "now.parquet", tmp_path / "train.parquet", *COLUMNS, "--label-column", "repaid"
    )
    assert found == []


@pytest.mark.parametrize(
    "command", [["publish", "--dry-run"], ["backtest"], ["profile", "build", "-o", "p"], ["profile", "calibrate"]]
)
def test_a_mistyped_column_is_named_with_the_nearest(driftline: Driftline, reference: Path, command: list[str]) -> None:
    for option, wrong, meant in (("--time-column", "att", "at"), ("--segment-columns", "menber", "member")):
        options = ["--model", "m", "--time-column", "at", option, wrong]
        done = driftline(*command, reference, *options, DRIFTLINE_MODELS="{}")
        assert (
            done.status,
            f'{option}: {reference.name} has no column "{wrong}"; did you mean {meant}?' in done.err,
        ) == (
            2,
            True,
        )
