"""NannyML's data sets with labels: car loans, US census, credit cards (three classes), car prices (a regression)."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from driftline.demo import packages
from driftline.demo.dataset import REFERENCE
from driftline.demo.nannyml import FOLDER
from driftline.demo.nannyml import PACKAGE as DEMO
from driftline.sketches.keys import Floats, Ints

PACKAGE = replace(
    DEMO,
    files={
        **DEMO.files,
        **{
            f"{FOLDER}/{name}": digest
            for name, digest in {
                "mc_reference.csv": "0f6f86734566813032cb0f18165938bd11a81c805285f5e67bccd02d7ec991d3",
                "mc_analysis.csv": "a8955b5167645cd5283caa2217e5b5949cbdf224c34bf4e89b6531bfbee13cb2",
                "mc_analysis_gt.csv": "8965a1ac4fba71458861fad3b9bd4a585151ed813d9aa5f6708ed0f22220789e",
                "regression_synthetic_reference.csv": (
                    "7c64c7d8957c12cb1a63f9a031ae17507587d6b6b294fc64cdc5bfaeba01b173"
                ),
                "regression_synthetic_analysis.csv": "0edc02eafa4b309192ef6a4fa952ecce1afde31c9ed9793e5e5cc64cfc60cda5",
                "regression_synthetic_analysis_targets.csv": (
                    "3a508f80e61d20310363a4222416f413feb76c9f9453a79f76356125da466d79"
                ),
            }.items()
        },
    },
    what="outcomes of models that others published",
    again="make detection",
)
CARDS = ("highstreet_card", "prepaid_card", "upmarket_card")


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Predictions with their labels."""

    scores: Floats
    predicted: Ints
    truths: Ints


@dataclass(frozen=True, slots=True)
class Prices:
    """Predictions of a number with their labels."""

    predicted: Floats
    truths: Floats


def car_loans() -> tuple[LabelledRows, LabelledRows]:
    """Return 50,000 outcomes of before, and 50,000 of which the second half is of dearer cars."""
    before, after = car_loan_tables()
    return _two(before, "y_pred_proba", "y_pred", "repaid"), _two(after, "y_pred_proba", "y_pred", "repaid")


def car_loan_tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the same as tables, with labels."""
    later = _read("synthetic_car_loan_analysis.csv").join(
        _read("synthetic_car_loan_analysis_target.csv"), on="id", maintain_order="left"
    )
    return _read(REFERENCE), later


def census() -> tuple[LabelledRows, LabelledRows]:
    """Return who has work, by the US census: 68,785 people, and 208,892 later ones."""
    later = _read("employment_MA_analysis.pq").join(
        _read("employment_MA_analysis_target.pq"), on="id", maintain_order="left"
    )
    columns = ("predicted_probability", "prediction", "employed")
    return _two(_read("employment_MA_reference.pq"), *columns), _two(later, *columns)


def cards() -> tuple[LabelledRows, LabelledRows]:
    """Return outcomes of three classes."""
    later = _read("mc_analysis.csv").join(_read("mc_analysis_gt.csv"), on="id", maintain_order="left")
    return _three(_read("mc_reference.csv")), _three(later)


def prices() -> tuple[Prices, Prices]:
    """Return prices of cars: 60,000 of before, and 60,000 of which the second half is otherwise."""
    later = _read("regression_synthetic_analysis.csv").join(
        _read("regression_synthetic_analysis_targets.csv"), on="id", maintain_order="left"
    )
    first, second = (
        Prices(frame["y_pred"].to_numpy(), frame["y_true"].to_numpy())
        for frame in (_read("regression_synthetic_reference.csv"), later)
    )
    return first, second


def _two(frame: pl.DataFrame, score: str, predicted: str, truth: str) -> LabelledRows:
    return LabelledRows(
        frame[score].to_numpy(), frame[predicted].to_numpy().astype(np.int64), frame[truth].to_numpy().astype(np.int64)
    )


def _three(frame: pl.DataFrame) -> LabelledRows:
    scores = np.stack([frame[f"y_pred_proba_{card}"].to_numpy() for card in CARDS], axis=1)
    predicted, truths = (np.array([CARDS.index(each) for each in frame[name]]) for name in ("y_pred", "y_true"))
    return LabelledRows(scores, predicted, truths)


def _read(name: str) -> pl.DataFrame:
    kept = packages.cache_directory("performance")
    packages.obtain(PACKAGE, kept)
    file: Path = kept / name
    return pl.read_parquet(file) if name.endswith(".pq") else pl.read_csv(file)
