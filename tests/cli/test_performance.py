"""`driftline performance` on NannyML's data sets: what it prints is known from their rows and labels."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from driftline.detection import outcomes as published
from driftline.detection.estimates import CAR_LOANS, CAR_LOANS_REALISED
from tests.cli.conftest import Driftline

COLUMNS = ["--time-column", "at", "--prediction-column", "answer", "--score-column", "p", "--label-column", "repaid"]
BEGIN = datetime(2018, 10, 30, 18, tzinfo=UTC)
EVERY = timedelta(days=303) / 50_000
PAGE = Path(__file__).parents[2] / "docs/performance-monitoring.md"


def _table(rows: published.LabelledRows) -> pl.DataFrame:
    times = [BEGIN + number * EVERY for number in range(len(rows.truths))]
    return pl.DataFrame({"at": times, "answer": rows.predicted, "p": rows.scores, "repaid": rows.truths})


@pytest.fixture(scope="module")
def loans() -> pl.DataFrame:
    return _table(published.car_loans()[1])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loans") / "reference.parquet"
    _table(published.car_loans()[0]).write_parquet(path)
    return path


def _written(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path)
    return path


def test_car_loans_are_told_in_numbers(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    table = _written(loans, tmp_path / "loans.csv")

    done = driftline("performance", table, "--reference", reference, *COLUMNS, "--json")

    area, accuracy = done.json[0]["metrics"]
    assert (area["name"], accuracy["name"], done.json[0]["labels"]) == ("auroc", "accuracy", ["alike"] * 10)
    assert [each["estimated"] for each in area["windows"]] == pytest.approx(CAR_LOANS, abs=1e-6)
    assert [each["realised"] for each in area["windows"]] == pytest.approx(CAR_LOANS_REALISED, abs=1e-5)
    assert [each["estimate_left"] for each in area["windows"]] == [False] * 5 + [True] * 5
    assert not any(each["unforeseen"] for each in area["windows"])
    assert area["sentence"] == (
        "AUROC was estimated to fall from 0.971 to 0.961 on 2019-03-31; labels confirm it: 0.960."
    )
    assert (accuracy["windows"][0]["predictions"], accuracy["windows"][0]["labels"]) == (5_000, 5_000)


def test_the_page_shows_what_the_command_prints(driftline: Driftline, tmp_path: Path) -> None:
    before, after = (
        _written(frame, tmp_path / f"{number}.csv") for number, frame in enumerate(published.car_loan_tables())
    )
    columns = ["--prediction-column", "y_pred", "--score-column", "y_pred_proba", "--label-column", "repaid"]

    done = driftline(
        *("performance", after, "--reference", before, "--time-column", "timestamp", *columns, "--metric", "auroc")
    )

    printed = "\n".join(line.rstrip() for line in done.out.partition("\nAn estimate")[0].strip().splitlines())
    assert printed.count("\n") > 20
    assert printed in PAGE.read_text()


def test_labels_in_another_case_are_told(driftline: Driftline, loans: pl.DataFrame, tmp_path: Path) -> None:
    paid = pl.col("repaid").replace_strict({0: "No", 1: "Yes"}, return_dtype=pl.String)
    answers = loans.with_columns(pl.col("answer").replace_strict({0: "no", 1: "yes"}, return_dtype=pl.String), paid)
    table = _written(answers, tmp_path / "loans.csv")

    done = driftline("performance", table, "--reference", table, *COLUMNS)

    assert 'of which "No" and "no" look like one class; write labels as the model answers' in done.err


def test_without_labels_all_is_estimated(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    table = _written(loans.drop("repaid"), tmp_path / "loans.csv")

    done = driftline("performance", table, "--reference", reference, *COLUMNS)

    assert 'loans.csv: has no column "repaid": it has no labels yet' in done.err
    assert "AUROC was estimated to fall from 0.971 to 0.961 on 2019-03-31; labels do not tell." in done.out
    assert "Labels of 2018-10-30 (and 9 more windows): 0 labels have come so far: wait for more." in done.out
    assert "●" not in done.out.replace("● by labels", "")


def test_labels_that_come_for_some_windows_only(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    came = pl.int_range(pl.len()) < 32_500
    table = _written(loans.with_columns(pl.when(came).then("repaid").alias("repaid")), tmp_path / "loans.csv")

    done = driftline("performance", table, "--reference", reference, *COLUMNS, "--metric", "auroc", "--csv")

    rows = list(csv.DictReader(done.out.splitlines()))
    assert [int(row["labels"]) for row in rows] == [5_000] * 6 + [2_500, 0, 0, 0]
    assert [bool(row["realised"]) for row in rows] == [True] * 7 + [False] * 3
    assert float(rows[6]["realised"]) == pytest.approx(CAR_LOANS_REALISED[6], abs=0.006)


def test_labels_of_what_was_granted_only_tell_precision_and_nothing_else(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    granted = pl.when(pl.col("answer") == 1).then("repaid").alias("repaid")
    table = _written(loans.with_columns(granted), tmp_path / "loans.csv")
    asked = ["--metric", "precision", "--metric", "recall", "--metric", "auroc"]

    done = driftline("performance", table, "--reference", reference, *COLUMNS, *asked, "--json")

    found = done.json[0]
    told = {each["name"]: [row["realised"] is not None for row in each["windows"]] for each in found["metrics"]}
    assert told == {"precision": [True] * 10, "recall": [False] * 10, "auroc": [False] * 10}
    assert found["labels"] == ["partly"] * 10
    assert 'no labels come for what was predicted as "0"' in found["said_of_labels"][0]


def test_labels_that_come_more_often_for_some_scores_are_weighted(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    came = rng.random(loans.height) < np.where(loans["p"].to_numpy() > 0.7, 0.95, 0.3)
    some = loans.with_columns(pl.when(pl.Series(came)).then("repaid").alias("repaid"))

    def accuracies(frame: pl.DataFrame) -> list[float]:
        table = _written(frame, tmp_path / "loans.csv")
        done = driftline("performance", table, "--reference", reference, *COLUMNS, "--metric", "accuracy", "--json")
        return [row["realised"] for row in done.json[0]["metrics"][0]["windows"]]

    all_, weighted = np.array(accuracies(loans)), np.array(accuracies(some))
    plain = [
        each["right"].mean()
        for each in some.drop_nulls("repaid")
        .with_columns(right=pl.col("answer") == pl.col("repaid"))
        .with_columns(group=pl.Series(np.flatnonzero(came) // 5_000))
        .partition_by("group")
    ]
    assert np.abs(weighted - all_).mean() < 0.5 * np.abs(np.array(plain) - all_).mean()


def test_outcomes_that_change_while_inputs_stay_are_what_no_estimate_sees(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    before = loans.head(25_000)
    changed = (np.arange(25_000) >= 20_000) & (np.random.default_rng(1).random(25_000) < 0.3)
    truths = np.where(changed, 1 - before["repaid"].to_numpy(), before["repaid"].to_numpy())
    table = _written(before.with_columns(pl.Series("repaid", truths)), tmp_path / "loans.csv")

    done = driftline("performance", table, "--reference", reference, *COLUMNS, "--metric", "auroc", "--window", "5000")

    said = next(line for line in done.out.splitlines() if line.startswith("AUROC: the inputs are as before"))
    assert said.endswith("(worse) since 2019-02-28, which no estimate can see.")
    assert said in PAGE.read_text()
    assert "labels left it, not as estimated" in done.out


def test_money(driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path) -> None:
    table = _written(loans, tmp_path / "loans.csv")
    costs = "0:1=-2000, 1:1=300, 1:0=-300"

    done = driftline(
        *("performance", table, "--reference", reference, *COLUMNS, "--costs", costs, "--metric", "auroc", "--json")
    )

    money = done.json[0]["metrics"][1]
    first = loans.head(5_000)
    worth = {(0, 1): -2000, (1, 1): 300, (1, 0): -300, (0, 0): 0}
    exact = np.mean([worth[pair] for pair in first.select("repaid", "answer").iter_rows()])
    assert (money["name"], money["windows"][0]["realised"]) == ("value", pytest.approx(exact))
    assert money["windows"][5]["estimate_left"]


def test_windows_by_time(driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path) -> None:
    table = _written(loans.filter(pl.col("at").dt.month() != 1), tmp_path / "loans.csv")

    done = driftline(
        *("performance", table, "--reference", reference, *COLUMNS, "--metric", "auroc", "--window", "10d", "--json")
    )

    since = [row["since"] for row in done.json[0]["metrics"][0]["windows"]]
    assert since[:3] == ["2018-10-30", "2018-11-09", "2018-11-19"]
    assert not [day for day in since if day.startswith("2019-01-1")]


def test_car_prices_are_a_regression(driftline: Driftline, tmp_path: Path) -> None:
    tables = []
    for name, rows in zip(("reference", "later"), published.prices(), strict=True):
        pl.DataFrame({"price": rows.predicted, "sold": rows.truths}).write_parquet(tmp_path / f"{name}.parquet")
        tables.append(tmp_path / f"{name}.parquet")
    columns = ["--prediction-column", "price", "--label-column", "sold"]

    done = driftline("performance", tables[1], "--reference", tables[0], *columns, "--json")

    absolute, square = done.json[0]["metrics"]
    later = published.prices()[1]
    errors = (later.predicted - later.truths)[:6_000]
    assert absolute["windows"][0]["realised"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert square["windows"][0]["realised"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert absolute["sentence"].startswith("MAE was estimated to fall from 846.3 to 789.0 on row 30,001; labels say it")
    assert "Only labels can" in done.json[0]["cannot_see"]


def test_three_classes_have_a_score_each(driftline: Driftline, tmp_path: Path) -> None:
    tables = []
    for name, rows in zip(("reference", "later"), published.cards(), strict=True):
        scores = {f"p_{card}": rows.scores[:, at] for at, card in enumerate(published.CARDS)}
        names = {
            what: [published.CARDS[each] for each in codes]
            for what, codes in (("answer", rows.predicted), ("truth", rows.truths))
        }
        pl.DataFrame({**names, **scores}).write_parquet(tmp_path / f"{name}.parquet")
        tables.append(tmp_path / f"{name}.parquet")
    columns = ["--prediction-column", "answer", "--label-column", "truth"]
    each = ",".join(f"{card}=p_{card}" for card in published.CARDS)

    done = driftline("performance", tables[1], "--reference", tables[0], *columns, "--class-scores", each, "--json")

    area, accuracy = done.json[0]["metrics"]
    later = published.cards()[1]
    right = (later.predicted == later.truths)[:6_000].mean()
    assert (area["name"], accuracy["windows"][0]["realised"]) == ("auroc_macro", pytest.approx(right))
    assert [row["estimate_left"] for row in area["windows"]] == [False] * 5 + [True] * 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--score-column", "q"], '--score-column: reference.parquet has no column "q"'),
        (["--label-column", "repayed"], 'has no column "repayed"; did you mean repaid?'),
        (["--time-column", "when"], '--time-column: reference.parquet has no column "when"'),
        (["--metric", "aurok"], '--metric: there is no metric "aurok"; choose from accuracy, auroc'),
        (["--window", "soon"], '--window: "soon" is not a duration'),
        (["--window", "0"], "--window: must be more than 0"),
        (["--window", "1m"], "--window: 1m makes 2,000 windows, more than 1,000"),
        (["--costs", "0:2=4"], '--costs: there is no class "2"; there are 0, 1'),
        (["--costs", "four"], '--costs: "four" is not of the form TRUE:PREDICTED=MONEY'),
        (["--class-scores", "a"], '--class-scores: "a" is not a list of two or more'),
        (["--class-scores", "0=p,1=p"], "--class-scores: excludes --score-column"),
        (["--json", "--csv"], "--csv: excludes --json"),
        (["--model-column", "answer"], "--model: is missing; name the model of --model-column"),
    ],
)
def test_what_cannot_be_is_said(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    times = [BEGIN + number * timedelta(minutes=1) for number in range(2_000)]
    table = _written(loans.head(2_000).with_columns(pl.Series("at", times)), tmp_path / "loans.csv")

    done = driftline("performance", table, "--reference", reference, *COLUMNS, *options)

    assert (done.status, said in done.err) == (2, True), done.err


def test_columns_that_are_missing_from_the_command_are_named(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    table = _written(loans.head(2_000), tmp_path / "loans.csv")

    def said(*options: str) -> str:
        return driftline("performance", table, "--reference", reference, *options).err

    assert "--prediction-column: is missing" in said("--label-column", "repaid")
    assert "--label-column: is missing" in said("--prediction-column", "answer", "--score-column", "p")
    assert "name the column of scores: --score-column" in said(
        "--prediction-column", "answer", "--label-column", "repaid"
    )


def test_rows_that_say_nothing_are_counted(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    row = pl.int_range(pl.len())
    table = loans.head(3_000).with_columns(
        answer=pl.when(row >= 3).then("answer"), p=pl.when(row == 5).then(7.0).when(row != 6).then("p")
    )

    done = driftline(
        "performance", _written(table, tmp_path / "loans.csv"), "--reference", reference, *COLUMNS, "--json"
    )

    assert "loans.csv: 3 rows have no prediction; Driftline ignores them" in done.err
    assert "loans.csv: 2 rows have no probability as score" in done.err
    assert sum(row["predictions"] for row in done.json[0]["metrics"][0]["windows"]) == 2_997


def test_a_reference_of_one_class_and_a_handful_of_rows_are_no_trouble(
    driftline: Driftline, loans: pl.DataFrame, reference: Path, tmp_path: Path
) -> None:
    few = _written(loans.head(7), tmp_path / "few.csv")
    ones = _written(loans.filter(pl.col("repaid") == 1).head(300), tmp_path / "ones.csv")

    of_few = driftline("performance", few, "--reference", reference, *COLUMNS)
    of_one = driftline("performance", few, "--reference", ones, *COLUMNS)

    assert (of_few.status, "7 labels have come" in of_few.out, "not as estimated" in of_few.out) == (0, False, False)
    assert "AUROC is not defined in the reference, so there is nothing to compare with." in of_one.out
